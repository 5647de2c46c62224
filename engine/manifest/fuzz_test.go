package manifest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand"
	"reflect"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// refused reports whether err is one, and makes sure of its code.
func refused(t *testing.T, err error) bool {
	if err != nil && stowage.CodeOf(err) != stowage.Corrupt {
		t.Fatalf("%v is not corrupt", err)
	}
	return err != nil
}

func FuzzPage(f *testing.F) {
	table, place := []Attempt{attempt(0), attempt(1), attempt(2)}, map[Attempt]int{attempt(0): 0, attempt(1): 1, attempt(2): 2}
	for n := 1; n < 40; n += 6 {
		f.Add(appendPage(nil, entries(rand.New(rand.NewSource(int64(n))), n, 3, 5), place))
	}
	f.Add([]byte{1, 0, 0})
	room := &pageRoom{}
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := room.parse(plain, &sealed, table)
		if refused(t, err) {
			return
		}
		for i := range got {
			if got[i].check(&sealed) != nil || i > 0 && got[i].Chunk <= got[i-1].Chunk {
				t.Fatalf("entry %d is out of bounds or order: %+v", i, got[i])
			}
		}
		// There is one way only to write a page.
		if again := appendPage(nil, got, place); !bytes.Equal(again, plain) {
			t.Fatalf("%x becomes %x", plain, again)
		}
	})
}

func FuzzIndex(f *testing.F) {
	for n := range 4 {
		x := index{}
		for i := range n {
			x.attempts = append(x.attempts, attempt(i))
			x.pages = append(x.pages, page{first: uint64(i * 100), entries: 50, stored: 1000, plain: 2000})
		}
		f.Add(x.append(nil), int64(64+1000*n), uint64(50*n), uint64(0), uint64(500))
	}
	f.Fuzz(func(t *testing.T, plain []byte, offset int64, entries, first, last uint64) {
		o := &Object{Entries: entries, First: first, Last: last}
		x, err := parseIndex(plain, o, offset)
		if refused(t, err) {
			return
		}
		if again := x.append(nil); !bytes.Equal(again, plain) {
			t.Fatalf("%x becomes %x", plain, again)
		}
		if x.pages[0].offset != seal.HeaderBytes || x.pages[len(x.pages)-1].end() != offset {
			t.Fatalf("the pages do not fill the object: %+v", x.pages)
		}
	})
}

// An object with a hash that fits, so that only the form of it is looked at.
func FuzzMapObject(f *testing.F) {
	for _, n := range []int{1, 5, 60} {
		c := newContainer(f, keys(open, 3))
		o := c.write(attempt(0), limits{10, 10, 1 << 20}, entries(rand.New(rand.NewSource(1)), n, 3, 3))[0]
		f.Add(c.objects[o.Place], o.Entries, o.First, o.Last)
	}
	f.Fuzz(func(t *testing.T, data []byte, entries, first, last uint64) {
		c := newContainer(t, keys(open, 3))
		o := Object{Place: Place{attempt(0), 1}, Bytes: int64(len(data)), Entries: entries, First: first, Last: last}
		c.objects[o.Place] = data
		if len(data) > seal.TrailerBytes {
			if tr, err := seal.ParseTrailer(seal.Map, data[len(data)-seal.TrailerBytes:], o.Bytes); err == nil {
				o.Index = open.Hash.Sum(data[tr.IndexOffset:][:tr.IndexStored])
			}
		}
		got, err := c.walk(Layer{o})
		if !refused(t, err) && uint64(len(got)) != entries {
			t.Fatalf("%d entries instead of %d", len(got), entries)
		}
	})
}

func FuzzRootClear(f *testing.F) {
	c := newCodec(f)
	for _, format := range []seal.Format{open, sealed} {
		data, err := sample(format).Encode(secret, c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseRoot(data)
		if refused(t, err) {
			return
		}
		c, err := codec.New()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r, err := s.Open(secret, c)
		if refused(t, err) {
			return
		}
		if _, err := r.Encode(secret, c); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}

func FuzzRootBody(f *testing.F) {
	f.Add(body(f, sample(open)))
	part := sample(open)
	part.Info.Set = setOf(part)
	f.Add(body(f, part))
	empty := sample(open)
	empty.Layers, empty.Packs = nil, nil
	f.Add(body(f, empty))
	f.Fuzz(func(t *testing.T, plain []byte) {
		r := &Root{Format: open}
		if refused(t, r.parseBody(plain)) || refused(t, r.check()) {
			return
		}
		c, err := codec.New()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		data, err := r.Encode(nil, c)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := reopen(data, nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Packs, r.Packs) || !reflect.DeepEqual(again.Layers, r.Layers) || again.Self != r.Self {
			t.Fatalf("%+v becomes %+v", r, again)
		}
		if set := r.Objects(); set.Len() < uint64(len(r.Packs)) {
			t.Fatalf("%d packs are %d objects", len(r.Packs), set.Len())
		}
	})
}

func FuzzObjects(f *testing.F) {
	for n := range 3 {
		data, err := someObjects(int64(n), 50).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 5 { // or nothing would get past the check sum
			binary.BigEndian.PutUint32(data[1:], crc32.Checksum(data[5:], castagnoli))
		}
		var o, again Objects
		if refused(t, o.UnmarshalBinary(data)) {
			return
		}
		out, err := o.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalBinary(out); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if again.Len() != o.Len() {
			t.Fatalf("%d objects become %d", o.Len(), again.Len())
		}
		if again.Minus(&o); again.Len() != 0 {
			t.Fatalf("a set less itself has %d objects", again.Len())
		}
	})
}

func FuzzParseRootName(f *testing.F) {
	f.Add(RootName("0b1c", attempt(1)))
	for _, name := range otherNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id, a, ok := ParseRootName(name); ok && (RootName(id, a) != name || !ValidVolumeID(id)) {
			t.Fatalf("%q is %q, %v", name, id, a)
		}
	})
}
