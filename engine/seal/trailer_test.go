package seal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"testing"
)

var trailer = Trailer{IndexOffset: 1000, IndexStored: 116, IndexPlain: 106, Count: 2}

// whole is how long the object is that ends with trailer.
const whole = 1000 + 116 + TrailerBytes

func TestATrailerIsWhatThePageSays(t *testing.T) {
	for kind, word := range map[Kind]string{Pack: "STOWPEND", Map: "STOWMEND"} {
		want := "00000000000003e8" + "00000074" + "0000006a" + "00000002" + "00000000" + hex.EncodeToString([]byte(word))
		got := trailer.Append(nil, kind)
		if hex.EncodeToString(got) != want {
			t.Errorf("%s: it is\n%x, not\n%s", kind, got, want)
		}
		back, err := ParseTrailer(kind, got, whole)
		if err != nil || back != trailer {
			t.Errorf("%s: read back: %+v, %v", kind, back, err)
		}
	}
}

func TestATrailerIsOfItsKindAndItsObject(t *testing.T) {
	tail := trailer.Append(nil, Pack)
	for _, k := range []Kind{Map, Root, ""} {
		_, err := ParseTrailer(k, tail, whole)
		corrupt(t, "a pack's as that of "+string(k), err)
	}
	_, err := ParseTrailer(Root, make([]byte, TrailerBytes), whole)
	corrupt(t, "a root's", err)
	for _, n := range []int64{whole - 1, whole + 1, 0, -1, TrailerBytes, 1115, math.MaxInt64, math.MinInt64} {
		_, err := ParseTrailer(Pack, tail, n)
		corrupt(t, fmt.Sprintf("at the end of %d bytes", n), err)
	}
	for n := range tail {
		_, err := ParseTrailer(Pack, tail[:n], whole)
		corrupt(t, fmt.Sprintf("%d bytes", n), err)
	}
	_, err = ParseTrailer(Pack, append(tail, 0), whole)
	corrupt(t, "a byte more", err)
}

func TestNumbersOutOfBoundsAreCorrupt(t *testing.T) {
	for name, x := range map[string]struct {
		offset               uint64
		stored, plain, count uint32
		whole                int64
	}{
		"in the header":         {63, 116, 106, 2, 63 + 116 + 32},
		"a negative offset":     {1 << 63, 116, 106, 2, whole},
		"an offset that wraps":  {math.MaxUint64 - 115, 116, 106, 2, 32},
		"beyond the end":        {2000, 116, 106, 2, whole},
		"no index":              {1116, 0, 106, 2, whole},
		"a gap behind":          {1000, 115, 106, 2, whole},
		"into the trailer":      {1000, 117, 106, 2, whole},
		"nothing plain":         {1000, 116, 0, 0, whole},
		"too much plain":        {1000, 116, 64<<20 + 1, 2, whole},
		"stored far too much":   {1000, 1 << 20, 106, 2, 1000 + 1<<20 + 32},
		"no entries":            {1000, 116, 106, 0, whole},
		"more entries than fit": {1000, 116, 106, 107, whole},
		"4 GiB":                 {1000, math.MaxUint32, math.MaxUint32, math.MaxUint32, 1000 + math.MaxUint32 + 32},
	} {
		var tail []byte
		tail = binary.BigEndian.AppendUint64(tail, x.offset)
		for _, n := range []uint32{x.stored, x.plain, x.count, 0} {
			tail = binary.BigEndian.AppendUint32(tail, n)
		}
		got, err := ParseTrailer(Pack, append(tail, "STOWPEND"...), x.whole)
		corrupt(t, name, err)
		if got != (Trailer{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestZerosOfATrailerAreZeros(t *testing.T) {
	for i := 20; i < 24; i++ {
		tail := trailer.Append(nil, Pack)
		tail[i] = 0x10
		_, err := ParseTrailer(Pack, tail, whole)
		corrupt(t, "not zero", err)
	}
}

// Whatever the bytes, what comes out lies in the object and gives them again.
func FuzzParseTrailer(f *testing.F) {
	f.Add(true, trailer.Append(nil, Pack), int64(whole))
	f.Add(false, trailer.Append(nil, Map), int64(whole))
	f.Add(true, Trailer{IndexOffset: -1, IndexStored: 1, IndexPlain: 1, Count: 1}.Append(nil, Pack), int64(32))
	f.Fuzz(func(t *testing.T, pack bool, tail []byte, bytes int64) {
		kind := Map
		if pack {
			kind = Pack
		}
		x, err := ParseTrailer(kind, tail, bytes)
		if err != nil {
			corrupt(t, "an error", err)
			return
		}
		if x.IndexOffset < HeaderBytes || x.IndexOffset+int64(x.IndexStored)+TrailerBytes != bytes ||
			x.IndexPlain < 1 || x.IndexPlain > MaxIndexPlain || x.Count < 1 || string(x.Append(nil, kind)) != string(tail) {
			t.Errorf("%+v of %d bytes", x, bytes)
		}
	})
}
