package manifest

import (
	"slices"
	"testing"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// forger makes map objects as the writer does, of whatever it is told.
type forger struct {
	pages   [][]Entry
	table   []Attempt
	page    func(n int, plain []byte) []byte // changes a page
	index   func(*index)
	plain   func([]byte) []byte // changes the index's bytes
	trailer func(*seal.Trailer)
	object  func(*Object)
}

// two is an honest object of two pages.
func two() *forger {
	at := func(c uint64, offset int64) Entry {
		return Entry{Chunk: c, Codec: codec.Raw, Pack: Place{attempt(0), 1}, Offset: offset, Stored: 100, Hash: chunk.Hash{byte(c)}}
	}
	return &forger{
		pages: [][]Entry{{at(10, 64), {Chunk: 11}, at(13, 164)}, {at(20, 264), at(30, 64)}},
		table: []Attempt{attempt(0), attempt(1)},
	}
}

// make makes the object, with hashes that fit it.
func (f *forger) make(c *container) Layer {
	c.t.Helper()
	o := Object{Place: Place{attempt(0), 1}, First: f.pages[0][0].Chunk}
	h, err := c.keys.Header(seal.Map, o.Place)
	if err != nil {
		c.t.Fatal(err)
	}
	boxes, err := c.keys.Boxes(seal.Map, o.Place)
	if err != nil {
		c.t.Fatal(err)
	}
	buf := h.Append(nil)
	box := func(plain []byte, number uint64) chunk.Hash {
		frame, err := newCodec(c.t).Compress(make([]byte, 0, codec.Bound(len(plain))), plain)
		if err != nil {
			c.t.Fatal(err)
		}
		from := len(buf)
		buf = boxes.Seal(buf, frame, number)
		return c.keys.format.Hash.Sum(buf[from:])
	}
	place := map[Attempt]int{attempt(0): 0, attempt(1): 1, attempt(2): 2}
	x := &index{attempts: f.table}
	for n, entries := range f.pages {
		plain := appendPage(nil, entries, place)
		if f.page != nil {
			plain = f.page(n, plain)
		}
		p := page{first: entries[0].Chunk, entries: len(entries), offset: int64(len(buf)), plain: len(plain)}
		p.hash = box(plain, uint64(n))
		p.stored = len(buf) - int(p.offset)
		x.pages = append(x.pages, p)
		o.Entries += uint64(len(entries))
		o.Last = entries[len(entries)-1].Chunk
	}
	if f.index != nil {
		f.index(x)
	}
	plain := x.append(nil)
	if f.plain != nil {
		plain = f.plain(plain)
	}
	t := seal.Trailer{IndexOffset: int64(len(buf)), IndexPlain: len(plain), Count: len(x.pages)}
	o.Index = box(plain, seal.IndexBox)
	t.IndexStored = len(buf) - int(t.IndexOffset)
	if f.trailer != nil {
		f.trailer(&t)
	}
	buf = t.Append(buf, seal.Map)
	o.Bytes = int64(len(buf))
	c.objects[o.Place] = buf
	if f.object != nil {
		f.object(&o)
	}
	return Layer{o}
}

func TestHostileMapsAreRefused(t *testing.T) {
	entry := func(change func(*Entry)) func(*forger) { return func(f *forger) { change(&f.pages[1][0]) } }
	pageOf := func(plain ...byte) func(*forger) {
		return func(f *forger) { f.page = func(int, []byte) []byte { return plain } }
	}
	for name, change := range map[string]func(*forger){
		"nothing wrong": func(*forger) {},

		"a pack 0":                    entry(func(e *Entry) { e.Pack.Number = 0 }),
		"a pack of 2^31":              entry(func(e *Entry) { e.Pack.Number = 1 << 31 }),
		"in the pack's header":        entry(func(e *Entry) { e.Offset = 63 }),
		"before the pack":             entry(func(e *Entry) { e.Offset = -1 }),
		"behind any pack":             entry(func(e *Entry) { e.Offset = MaxPackBytes - 99 }),
		"far behind any pack":         entry(func(e *Entry) { e.Offset = 1 << 62 }),
		"longer than a chunk":         entry(func(e *Entry) { e.Stored = chunk.DefaultBytes + 17 }),
		"as long as a chunk, in zstd": entry(func(e *Entry) { e.Codec, e.Stored = codec.Zstd, chunk.DefaultBytes+16 }),
		"nothing but a seal":          entry(func(e *Entry) { e.Stored = 0 }),
		"a codec of later times":      entry(func(e *Entry) { e.Codec = 3 }),
		"an attempt not in the table": entry(func(e *Entry) { e.Pack.Attempt = attempt(2) }),
		"an attempt nobody knows":     func(f *forger) { f.table[1] = attempt(50) },
		"an attempt twice":            func(f *forger) { f.table[1] = f.table[0] },

		"the same chunk twice":       func(f *forger) { f.pages[0][1].Chunk = 10 },
		"chunks that go back":        func(f *forger) { f.pages[0][1].Chunk = 9 },
		"chunks beyond all":          func(f *forger) { f.pages[1][1].Chunk = chunk.MaxNumber },
		"pages that overlap":         func(f *forger) { f.pages[0][2].Chunk = 20 },
		"pages that touch too soon":  func(f *forger) { f.pages[1][0].Chunk = 12 },
		"pages out of order":         func(f *forger) { slices.Reverse(f.pages) },
		"a page of nothing":          pageOf(0),
		"a page of 1,025":            pageOf(slices.Concat([]byte{0x81, 0x08}, make([]byte, 4000))...),
		"a page of more than it has": pageOf(0xff, 0x07, 1, 1),
		"a page that is cut off":     func(f *forger) { f.page = func(_ int, p []byte) []byte { return p[:len(p)-1] } },
		"a page with a byte more":    func(f *forger) { f.page = func(_ int, p []byte) []byte { return append(p, 0) } },

		"no pages":               func(f *forger) { f.index = func(x *index) { x.pages = nil } },
		"another first chunk":    func(f *forger) { f.index = func(x *index) { x.pages[1].first = 19 } },
		"fewer entries":          func(f *forger) { f.index = func(x *index) { x.pages[0].entries, x.pages[1].entries = 2, 3 } },
		"no entries":             func(f *forger) { f.index = func(x *index) { x.pages[0].entries, x.pages[1].entries = 5, 0 } },
		"a page that is longer":  func(f *forger) { f.index = func(x *index) { x.pages[1].stored++ } },
		"a page of 0 bytes":      func(f *forger) { f.index = func(x *index) { x.pages[1].stored = 0 } },
		"a page that unpacks":    func(f *forger) { f.index = func(x *index) { x.pages[1].plain = maxPagePlain + 1 } },
		"a page with less in it": func(f *forger) { f.index = func(x *index) { x.pages[1].plain-- } },
		"another page's hash":    func(f *forger) { f.index = func(x *index) { x.pages[1].hash = x.pages[0].hash } },
		"an index with a tail":   func(f *forger) { f.plain = func(p []byte) []byte { return append(p, 0) } },
		"an index cut off":       func(f *forger) { f.plain = func(p []byte) []byte { return p[:len(p)-1] } },
		"2^16 attempts":          func(f *forger) { f.plain = func([]byte) []byte { return []byte{0x80, 0x80, 4} } },

		"one more page":      func(f *forger) { f.trailer = func(t *seal.Trailer) { t.Count++ } },
		"another index":      func(f *forger) { f.trailer = func(t *seal.Trailer) { t.IndexOffset-- } },
		"an index that is 0": func(f *forger) { f.trailer = func(t *seal.Trailer) { t.IndexPlain = 0 } },
		"an index that bombs": func(f *forger) {
			f.trailer = func(t *seal.Trailer) { t.IndexPlain = maxIndexPlain + 1 }
		},

		"listed with another first": func(f *forger) { f.object = func(o *Object) { o.First-- } },
		"listed with another last":  func(f *forger) { f.object = func(o *Object) { o.Last++ } },
		"listed with an early last": func(f *forger) { f.object = func(o *Object) { o.Last-- } },
		"listed with more entries":  func(f *forger) { f.object = func(o *Object) { o.Entries++ } },
		"listed with another index": func(f *forger) { f.object = func(o *Object) { o.Index[0]++ } },
		"listed as no bytes":        func(f *forger) { f.object = func(o *Object) { o.Bytes = 0 } },
		"listed as longer":          func(f *forger) { f.object = func(o *Object) { o.Bytes++ } },
	} {
		t.Run(name, func(t *testing.T) {
			f := two()
			change(f)
			c := newContainer(t, keys(sealed, 3))
			got, err := c.walk(f.make(c))
			if name == "nothing wrong" {
				if err != nil {
					t.Fatal(err)
				}
				mustEqual(t, got, slices.Concat(f.pages...))
				return
			}
			mustBeCorrupt(t, err)
		})
	}
}

func TestEveryBitOfAMapObjectCounts(t *testing.T) {
	for _, f := range []seal.Format{open, sealed} {
		c := newContainer(t, keys(f, 3))
		layer := two().make(c)
		data := c.objects[layer[0].Place]
		for bit := range len(data) * 8 {
			data[bit/8] ^= 1 << (bit % 8)
			if _, err := c.walk(layer); err == nil {
				t.Errorf("cipher %d: bit %d of %d may be either way", f.Cipher, bit, len(data)*8)
			}
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// An object is of its attempt and number, and of no other key.
func TestAMapObjectOpensAsItselfOnly(t *testing.T) {
	c := newContainer(t, keys(sealed, 3))
	layer := two().make(c)
	data := c.objects[layer[0].Place]
	for _, p := range []Place{{attempt(0), 2}, {attempt(1), 1}, {attempt(9), 1}} {
		other := slices.Clone(layer)
		other[0].Place = p
		c.objects[p] = data
		_, err := c.walk(other)
		mustBeCorrupt(t, err)
	}
	c.keys = NewKeys(sealed, &seal.Secret{9})
	for n := range 3 {
		c.keys.AddAttempt(attempt(n), salt(n))
	}
	_, err := c.walk(layer)
	mustBeCorrupt(t, err)
}
