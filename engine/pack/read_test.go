package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"testing"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// Sealed, a pack has no bit that could be another: the header is in every seal,
// what a box holds is sealed, and the trailer's numbers have to fit all that.
func TestEveryBitOfASealedPackCounts(t *testing.T) {
	object := build(t, closed, sample())
	for i := range len(object) * 8 {
		bad := bytes.Clone(object)
		bad[i/8] ^= 1 << (i % 8)
		// The reader believes the header the object has.
		h, err := seal.ParseHeader(seal.Pack, bad)
		if err == nil && h.Cipher == closed.Cipher {
			_, _, err = read(t, h, bad)
		}
		corrupt(t, fmt.Sprintf("bit %d of byte %d", i%8, i/8), err)
	}
}

// Not sealed, a reader that knows from the root what the header is gets every
// chunk's right bytes or an error. What may go unnoticed without the object's
// own digest: which chunk number an entry of the index has, and bits in a frame
// that mean nothing.
func TestABitOfAnOpenPackCannotChangeAChunk(t *testing.T) {
	object := build(t, open, sample())
	entries, chunks, err := read(t, open, object)
	if err != nil {
		t.Fatal(err)
	}
	unnoticed := 0
	for i := range len(object) * 8 {
		bad := bytes.Clone(object)
		bad[i/8] ^= 1 << (i % 8)
		h, err := seal.ParseHeader(seal.Pack, bad)
		if err != nil {
			corrupt(t, "a header", err)
			continue
		}
		if i/8 < seal.HeaderBytes {
			if h == open {
				t.Errorf("bit %d of byte %d of the header is read as before", i%8, i/8)
			}
			continue
		}
		got, bytes, err := read(t, open, bad)
		if err != nil {
			corrupt(t, fmt.Sprintf("bit %d of byte %d", i%8, i/8), err)
			continue
		}
		unnoticed++
		raw := entries[0]
		if i/8 >= int(raw.Offset) && i/8 < int(raw.Offset)+raw.Stored || i/8 >= len(object)-TrailerBytes {
			t.Errorf("bit %d of byte %d goes unnoticed", i%8, i/8)
		}
		for n := range got {
			got[n].Number, bytes[n].number = entries[n].Number, chunks[n].number
		}
		if !reflect.DeepEqual(got, entries) || !reflect.DeepEqual(bytes, chunks) {
			t.Errorf("bit %d of byte %d changes a chunk", i%8, i/8)
		}
	}
	// Three numbers of 48 bits, and a few bits that nobody looks at.
	if unnoticed > 3*48+64 {
		t.Errorf("%d bits may be others", unnoticed)
	}
}

func TestPartsOfAPackAreNone(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		object := build(t, h, sample())
		for n := range object {
			_, _, err := read(t, h, object[:n])
			corrupt(t, fmt.Sprintf("the first %d bytes", n), err)
			if n > 0 {
				_, _, err = read(t, h, object[n:])
				corrupt(t, fmt.Sprintf("all but the first %d bytes", n), err)
			}
		}
		_, _, err := read(t, h, append(object, 0))
		corrupt(t, "a byte more", err)
	}
}

// forge makes an index box of these entries, as a tenant with the key may: the
// rest of the pack is as long as the entries say.
func forge(t testing.TB, h seal.Header, c *codec.Codec, plain []byte) (Trailer, []byte) {
	t.Helper()
	frame, err := c.Compress(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	box := boxesOf(t, h).Seal(nil, frame, seal.IndexBox)
	tail := Trailer{IndexOffset: seal.HeaderBytes, IndexStored: len(box), IndexPlain: len(plain), Count: len(plain) / entryBytes}
	for ; len(plain) >= entryBytes; plain = plain[entryBytes:] {
		tail.IndexOffset += int64(binary.BigEndian.Uint32(plain[9:]))
	}
	return tail, box
}

func TestAnIndexIsHeldAgainstItsBounds(t *testing.T) {
	c := newCodec(t)
	for _, h := range []seal.Header{open, closed} {
		over := boxesOf(t, h).Overhead()
		raw := Entry{Number: 1, Codec: codec.Raw, Stored: 100 + over, Length: 100}
		frame := Entry{Number: 2, Codec: codec.Zstd, Stored: 99 + over, Length: 100}
		with := func(e Entry, change func(*Entry)) Entry { change(&e); return e }
		for name, x := range map[string]struct {
			good    bool
			entries []Entry
		}{
			"as it should be":   {true, []Entry{raw, frame}},
			"in any order":      {true, []Entry{frame, raw}},
			"the last number":   {true, []Entry{with(raw, func(e *Entry) { e.Number = chunk.MaxNumber - 1 })}},
			"the longest chunk": {true, []Entry{with(raw, func(e *Entry) { e.Length, e.Stored = h.ChunkBytes, h.ChunkBytes+over })}},
			"a number twice":    {false, []Entry{raw, frame, raw}},
			"a number too far":  {false, []Entry{with(raw, func(e *Entry) { e.Number = chunk.MaxNumber })}},
			"the index's own":   {false, []Entry{with(raw, func(e *Entry) { e.Number = seal.IndexBox })}},
			"zeros":             {false, []Entry{with(raw, func(e *Entry) { e.Codec = codec.Zeros })}},
			"another codec":     {false, []Entry{with(raw, func(e *Entry) { e.Codec = 3 })}},
			"a chunk too long":  {false, []Entry{with(raw, func(e *Entry) { e.Length++; e.Length, e.Stored = h.ChunkBytes+1, h.ChunkBytes+1+over })}},
			"a long frame":      {false, []Entry{with(frame, func(e *Entry) { e.Length = h.ChunkBytes + 1 })}},
			"no length":         {false, []Entry{with(frame, func(e *Entry) { e.Length = 0 })}},
			"a huge length":     {false, []Entry{with(frame, func(e *Entry) { e.Length = math.MaxUint32 })}},
			"raw but shorter":   {false, []Entry{with(raw, func(e *Entry) { e.Stored-- })}},
			"raw but longer":    {false, []Entry{with(raw, func(e *Entry) { e.Stored++ })}},
			"a frame as long":   {false, []Entry{with(frame, func(e *Entry) { e.Stored++ })}},
			"only a seal":       {false, []Entry{with(frame, func(e *Entry) { e.Stored = over })}},
			"nothing stored":    {false, []Entry{with(frame, func(e *Entry) { e.Stored = 0 })}},
			"a huge frame":      {false, []Entry{with(frame, func(e *Entry) { e.Stored = math.MaxUint32 })}},
		} {
			var plain []byte
			for _, e := range x.entries {
				plain = appendEntry(plain, e)
			}
			tail, box := forge(t, h, c, plain)
			got, err := ParseIndex(tail, boxesOf(t, h), box, h.ChunkBytes, c)
			if x.good && (err != nil || len(got) != len(x.entries)) {
				t.Errorf("%s: %v", name, err)
			}
			if !x.good {
				corrupt(t, name, err)
			}
		}
	}
}

func TestAnIndexIsThatOfItsTrailer(t *testing.T) {
	c := newCodec(t)
	plain := appendEntry(appendEntry(nil, Entry{Number: 1, Codec: codec.Raw, Stored: 90, Length: 90}),
		Entry{Number: 2, Codec: codec.Raw, Stored: 90, Length: 90})
	good, box := forge(t, open, c, plain)
	for name, change := range map[string]func(*Trailer){
		"a chunk fewer":       func(x *Trailer) { x.Count-- },
		"a chunk more":        func(x *Trailer) { x.Count++ },
		"a whole entry fewer": func(x *Trailer) { x.Count--; x.IndexPlain -= entryBytes },
		"a whole entry more":  func(x *Trailer) { x.Count++; x.IndexPlain += entryBytes },
		"none":                func(x *Trailer) { x.Count, x.IndexPlain = 0, 0 },
		"fewer than none":     func(x *Trailer) { x.Count, x.IndexPlain = -1, -entryBytes },
		"bytes more":          func(x *Trailer) { x.IndexPlain++ },
		"stored more":         func(x *Trailer) { x.IndexStored++ },
		"chunks end before":   func(x *Trailer) { x.IndexOffset++ },
		"chunks end behind":   func(x *Trailer) { x.IndexOffset-- },
		"in the header":       func(x *Trailer) { x.IndexOffset = 0 },
		"far away":            func(x *Trailer) { x.IndexOffset = math.MaxInt64 },
	} {
		tail := good
		change(&tail)
		_, err := ParseIndex(tail, boxesOf(t, open), bytes.Clone(box), open.ChunkBytes, c)
		corrupt(t, name, err)
	}
	damaged := bytes.Clone(plain)
	damaged[entryBytes+20] = 1
	tail, box := forge(t, open, c, damaged)
	_, err := ParseIndex(tail, boxesOf(t, open), box, open.ChunkBytes, c)
	corrupt(t, "not zero where zeros are", err)
}

// What claims to be large has to be there before anything is made for it.
func TestClaimsCostNothing(t *testing.T) {
	h, c := closed, newCodec(t)
	small, box := forge(t, h, c, appendEntry(nil, Entry{Number: 1, Codec: codec.Raw, Stored: 17, Length: 1}))
	for name, x := range map[string]Trailer{
		"many chunks in few bytes": trailer(small.IndexOffset, len(box), MaxChunks*entryBytes, MaxChunks),
		"too many chunks":          trailer(MaxBytes, len(box), (MaxChunks+1)*entryBytes, MaxChunks+1),
		"a long index":             trailer(MaxBytes, len(box), seal.MaxIndexPlain, MaxChunks),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseIndex(x, boxesOf(t, h), bytes.Clone(box), h.ChunkBytes, c)
		runtime.ReadMemStats(&after)
		corrupt(t, name, err)
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 256<<10 {
			t.Errorf("%s: %d bytes", name, cost)
		}
	}
}

func TestATrailerIsOfAPackWithinItsBounds(t *testing.T) {
	const end = TrailerBytes + 60
	for name, x := range map[string]struct {
		good bool
		t    Trailer
	}{
		"as it should be":   {true, trailer(165, 60, entryBytes, 1)},
		"a byte each":       {true, trailer(66, 60, 2*entryBytes, 2)},
		"not a byte each":   {false, trailer(66, 60, 3*entryBytes, 3)},
		"another length":    {false, trailer(165, 60, entryBytes+1, 1)},
		"none":              {false, trailer(165, 60, entryBytes, 0)},
		"as many as can be": {true, trailer(1<<20, 60, MaxChunks*entryBytes, MaxChunks)},
		"one more":          {false, trailer(1<<20, 60, (MaxChunks+1)*entryBytes, MaxChunks+1)},
		"as long as can be": {true, trailer(MaxBytes-end, 60, entryBytes, 1)},
		"a byte longer":     {false, trailer(MaxBytes-end+1, 60, entryBytes, 1)},
	} {
		got, err := ParseTrailer(x.t.Append(nil, seal.Pack), x.t.IndexOffset+end)
		if x.good && (err != nil || got != x.t) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if !x.good {
			corrupt(t, name, err)
		}
	}
	_, err := ParseTrailer(trailer(165, 60, entryBytes, 1).Append(nil, seal.Map), 165+end)
	corrupt(t, "a map object's", err)
}

// A chunk is what its entry says, or nothing.
func TestAChunkIsHeldAgainstItsEntry(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		object := build(t, h, sample())
		entries, want, err := read(t, h, object)
		if err != nil {
			t.Fatal(err)
		}
		c, boxes, dst := newCodec(t), boxesOf(t, h), make([]byte, h.ChunkBytes)
		for i, e := range entries {
			box := func() []byte { return bytes.Clone(object[e.Offset:][:e.Stored]) }
			got, err := Plain(c, boxes, h.Hash, e, box(), dst)
			if err != nil || !bytes.Equal(got, want[i].plain) {
				t.Fatalf("chunk %d: %v", e.Number, err)
			}
			for name, change := range map[string]func(*Entry){
				"a number too far": func(e *Entry) { e.Number = chunk.MaxNumber },
				"zeros":            func(e *Entry) { e.Codec = codec.Zeros },
				"the other codec":  func(e *Entry) { e.Codec = codec.Raw + codec.Zstd - e.Codec },
				"a byte more":      func(e *Entry) { e.Length++ },
				"a byte less":      func(e *Entry) { e.Length-- },
				"no length":        func(e *Entry) { e.Length = 0 },
				"a length below":   func(e *Entry) { e.Length = -1 },
				"a huge length":    func(e *Entry) { e.Length = math.MaxInt },
				"stored as more":   func(e *Entry) { e.Stored++ },
				"stored as less":   func(e *Entry) { e.Stored-- },
				"stored below":     func(e *Entry) { e.Stored = math.MinInt },
				"another hash":     func(e *Entry) { e.Hash[31] ^= 1 },
			} {
				bad := e
				change(&bad)
				_, err := Plain(c, boxes, h.Hash, bad, box(), dst)
				corrupt(t, fmt.Sprintf("chunk %d, %s", e.Number, name), err)
			}
			other := e
			other.Number = (e.Number + 1) % chunk.MaxNumber
			if _, err := Plain(c, boxes, h.Hash, other, box(), dst); (err == nil) != (h.Cipher == seal.None) {
				t.Errorf("chunk %d as another: %v", e.Number, err)
			}
			_, err = Plain(c, boxes, h.Hash, e, box()[:e.Stored-1], dst)
			corrupt(t, "a box cut off", err)
			_, err = Plain(c, boxes, chunk.SHA256+chunk.BLAKE3-h.Hash, e, box(), dst)
			corrupt(t, "the other hash", err)
		}
	}
}

// What decompresses to more than there is room for is refused unlooked at.
func TestAChunkGetsTheRoomThereIs(t *testing.T) {
	c, boxes := newCodec(t), boxesOf(t, open)
	plain := text(5000)
	frame, err := c.Compress(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	e := Entry{Codec: codec.Zstd, Stored: len(frame), Length: len(plain), Hash: open.Hash.Sum(plain)}
	room := make([]byte, 6000)
	got, err := Plain(c, boxes, open.Hash, e, frame, room[:0:5000])
	if err != nil || !bytes.Equal(got, plain) || &got[0] != &room[0] || !bytes.Equal(room[5000:], make([]byte, 1000)) {
		t.Errorf("room enough: %v", err)
	}
	for _, room := range [][]byte{nil, room[:0:4999]} {
		_, err := Plain(c, boxes, open.Hash, e, frame, room)
		corrupt(t, fmt.Sprintf("room for %d", cap(room)), err)
	}
	short := e
	short.Length, short.Hash = 4000, open.Hash.Sum(plain[:4000])
	_, err = Plain(c, boxes, open.Hash, short, frame, room)
	corrupt(t, "the beginning of a chunk", err)
	raw := Entry{Codec: codec.Raw, Stored: 5000, Length: 5000, Hash: e.Hash}
	if got, err := Plain(c, boxes, open.Hash, raw, plain, nil); err != nil || &got[0] != &plain[0] {
		t.Errorf("raw, it needs no room: %v", err)
	}
}
