package manifest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

func TestACountIsHeldAgainstTheBytesThatAreThere(t *testing.T) {
	for left, ok := range map[int]bool{4 * 50: true, 4*50 - 1: false} {
		r := &reader{data: append([]byte{50}, make([]byte, left)...)}
		if n := r.count(100, 4); ok != (n == 50) || ok == r.bad {
			t.Errorf("with %d bytes left there are %d, %v", left, n, r.bad)
		}
	}
}

// The index alone must refuse what pages would otherwise have to tell.
func TestAnIndexFitsItsObject(t *testing.T) {
	make := func() (*index, *Object, int64) {
		return &index{pages: []page{{first: 10, entries: 5, stored: 100, plain: 9}, {first: 15, entries: 6, stored: 100, plain: 9}}},
			&Object{Entries: 11, First: 10, Last: 20}, 264
	}
	x, o, offset := make()
	if _, err := parseIndex(x.append(nil), o, offset); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*index, *Object, *int64){
		"pages too close": func(x *index, _ *Object, _ *int64) { x.pages[1].first = 14 },
		"a gap":           func(_ *index, _ *Object, offset *int64) { *offset++ },
		"an overlap":      func(_ *index, _ *Object, offset *int64) { *offset-- },
		"no room":         func(_ *index, o *Object, _ *int64) { o.Last = 19 },
		"other entries":   func(_ *index, o *Object, _ *int64) { o.Entries = 10 },
		"another first":   func(_ *index, o *Object, _ *int64) { o.First = 9 },
	} {
		x, o, offset := make()
		change(x, o, &offset)
		if _, err := parseIndex(x.append(nil), o, offset); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// An index that says it becomes 60 MiB takes no such room.
func TestABombOfAnIndexIsRefusedBeforeItGoesOff(t *testing.T) {
	f := two()
	f.plain = func(p []byte) []byte { return append(p, make([]byte, 60<<20)...) }
	c := newContainer(t, keys(sealed, 3))
	layer := f.make(c)
	before := allocated()
	_, err := c.walk(layer)
	mustBeCorrupt(t, err)
	if made := allocated() - before; made > 2<<20 {
		t.Errorf("it took %d bytes", made)
	}
}

func TestAJumpFetchesNoMoreThanAPage(t *testing.T) {
	c := newContainer(t, keys(open, 1))
	layer := c.write(attempt(0), limits{}, dense(100_000))
	cur := NewCursor(c.keys, c.fetch, []Layer{layer})
	defer cur.Close()
	for to := uint64(0); to < 90_000; to += 9000 {
		c.bytes = 0
		if err := cur.Seek(context.Background(), to); err != nil {
			t.Fatal(err)
		}
		if _, _, err := cur.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
		if to > 0 && c.bytes > 40<<10 {
			t.Errorf("at %d, %d bytes were fetched", to, c.bytes)
		}
	}
}

func TestTheWriterTakesNothingThatCouldNotBeRead(t *testing.T) {
	good := two().pages[1][1]
	for name, change := range map[string]func(*Entry){
		"the same chunk":      func(e *Entry) { e.Chunk = 5 },
		"an earlier chunk":    func(e *Entry) { e.Chunk = 4 },
		"in a header":         func(e *Entry) { e.Offset = 0 },
		"zeros somewhere":     func(e *Entry) { e.Codec = codec.Zeros },
		"an unknown attempt":  func(e *Entry) { e.Pack.Attempt = attempt(77) },
		"an unheard-of codec": func(e *Entry) { e.Codec = 9 },
	} {
		c := newContainer(t, keys(open, 1))
		w, err := NewLayerWriter(c.keys, attempt(0), func() uint64 { return 1 }, c.put)
		if err != nil {
			t.Fatal(err)
		}
		e := good
		change(&e)
		if err := w.Add(Entry{Chunk: 5}); err != nil {
			t.Fatal(err)
		}
		if w.Add(e) == nil {
			t.Errorf("%s: taken", name)
		}
		good := good
		good.Chunk = 99
		if w.Add(good) == nil {
			t.Errorf("%s: the writer goes on", name)
		}
		if l, err := w.Close(); err == nil || l != nil || len(c.objects) > 0 {
			t.Errorf("%s: there is a layer %v, %v", name, l, err)
		}
	}
	if _, err := NewLayerWriter(keys(open, 1), attempt(1), nil, nil); err == nil {
		t.Error("an attempt nobody knows may write")
	}
}

func TestAStoreThatFailsFailsTheLayer(t *testing.T) {
	full := errors.New("full")
	w, err := NewLayerWriter(keys(open, 1), attempt(0), func() uint64 { return 1 }, func(Object, []byte) error { return full })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(Entry{Chunk: 5}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if l, err := w.Close(); !errors.Is(err, full) || l != nil {
			t.Errorf("got %v, %v", l, err)
		}
	}
	if w.Add(Entry{Chunk: 6}) == nil {
		t.Error("it takes more")
	}
}

func TestAnObjectIsCutAtItsPagesAndItsBytes(t *testing.T) {
	for want, l := range map[int]limits{
		10: {entries: 10, pages: 1, bytes: 1 << 20}, 5: {entries: 10, pages: 2, bytes: 1 << 20},
		4: {entries: 10, pages: 3, bytes: 1 << 20}, 1: {entries: 10, pages: 10, bytes: 1 << 20},
		100: {entries: 1, pages: 50, bytes: 65},
	} {
		c := newContainer(t, keys(open, 1))
		if layer := c.write(attempt(0), l, dense(100)); len(layer) != want {
			t.Errorf("%+v: there are %d objects, not %d", l, len(layer), want)
		}
	}
}

func TestARootIsNoOtherAttemptsAndNoVolumesTooSmall(t *testing.T) {
	c := newCodec(t)
	for name, change := range map[string]func(*Root){
		"another backup": func(r *Root) { r.Info.Backup = uuid.UUID{1} },
		"another fence":  func(r *Root) { r.Info.Fence++ },
		"more alive than chunks": func(r *Root) {
			// 16 chunks, and layers that have each of them twice.
			r.Info.VolumeBytes = 16 * int64(r.Format.ChunkBytes)
			r.Layers[0][0].First, r.Layers[0][0].Last, r.Layers[0][0].Entries = 0, 15, 16
			r.Layers[1] = r.Layers[1][:1]
			r.Packs[0].Alive = 10
		},
	} {
		r := sample(sealed)
		change(r)
		if _, err := r.Encode(secret, c); err == nil {
			t.Errorf("%s: it can be written", name)
		}
	}
}

func TestTheTableOfARootIsInOrder(t *testing.T) {
	for name, table := range map[string][]Attempt{
		"order": {attempt(4), attempt(5)}, "no order": {attempt(5), attempt(4)}, "twice": {attempt(4), attempt(4)},
	} {
		r := sample(open)
		r.Layers, r.Packs = nil, nil
		_, err := reopen(forge(t, r.header(), nil, r.appendBody(nil, fmt.Appendf(nil,
			`{"format":"stowage-backup","backup":%q,"fence":%d,"volume":{"id":"v"}}`, r.Self.Backup, r.Self.Fence), table)), nil, newCodec(t))
		if (err == nil) != (name == "order") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARootHasNoNumberAndNoEndTooSoon(t *testing.T) {
	r := sample(open)
	h := r.header()
	h.Number = 1
	_, err := ParseRoot(forge(t, h, nil, body(t, r)))
	mustBeCorrupt(t, err)
	data := forge(t, r.header(), nil, body(t, r))
	for n := range data {
		_, err := reopen(data[:n], nil, newCodec(t))
		mustBeCorrupt(t, err)
	}
}

func TestABitmapHasNothingBehindIt(t *testing.T) {
	data, err := someObjects(1, 1).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	// Version, check sum, one attempt, 24 bytes of it; the length of a bitmap.
	const at = 5 + 1 + 24
	n := data[at]
	for name, change := range map[string]func() []byte{
		"as it was":     func() []byte { return slices.Clone(data) },
		"a byte behind": func() []byte { d := slices.Insert(slices.Clone(data), at+1+int(n), 0); d[at]++; return d },
		"a byte less":   func() []byte { d := slices.Delete(slices.Clone(data), at+int(n), at+1+int(n)); d[at]--; return d },
		"out of order":  func() []byte { d := slices.Concat(data, data[6:]); d[5] = 2; return d },
		"one too few":   func() []byte { d := slices.Clone(data); d[5] = 2; return d },
	} {
		d := change()
		binary.BigEndian.PutUint32(d[1:], crc32.Checksum(d[5:], castagnoli))
		var o Objects
		if err := o.UnmarshalBinary(d); (err == nil) != (name == "as it was") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys know what they were told, and a header is made of it.
func TestKeysKnowTheirAttemptsOnly(t *testing.T) {
	k := keys(sealed, 2)
	p := Place{attempt(1), 9}
	h, err := k.Header(seal.Pack, p)
	if err != nil || h != (seal.Header{Kind: seal.Pack, Format: sealed, Salt: salt(1), Number: 9}) {
		t.Errorf("got %+v, %v", h, err)
	}
	p.Attempt = attempt(2)
	_, err = k.Boxes(seal.Pack, p)
	mustBeCorrupt(t, err)
	k.AddAttempt(attempt(2), salt(2))
	for range 2 {
		b, err := k.Boxes(seal.Pack, p)
		if err != nil {
			t.Fatal(err)
		}
		box := b.Seal(nil, []byte("x"), 1)
		if other, err := k.Boxes(seal.Map, p); err != nil {
			t.Fatal(err)
		} else if _, err := other.Open(slices.Clone(box), 1); err == nil {
			t.Error("a pack's box opens as a map's")
		}
		if plain, err := b.Open(box, 1); err != nil || string(plain) != "x" {
			t.Errorf("got %q, %v", plain, err)
		}
	}
}
