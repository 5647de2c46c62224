package pack

import (
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

func TestWhatGoesInComesOut(t *testing.T) {
	for _, c := range []seal.Cipher{seal.None, seal.AES256GCM} {
		for _, alg := range []chunk.Algorithm{chunk.SHA256, chunk.BLAKE3} {
			for n := chunk.MinBytes; n <= chunk.MaxBytes; n *= 2 {
				h := header(c, alg, n)
				in := []one{{7, noise(1, n)}, {3, text(n)}, {8, noise(2, n/3+1)}, {5, text(n - 1)}, {6, []byte{1}}}
				object := build(t, h, in)
				if got, err := seal.ParseHeader(seal.Pack, object); err != nil || got != h {
					t.Fatalf("the header is %+v, %v", got, err)
				}
				_, out, err := read(t, h, object)
				if err != nil || !reflect.DeepEqual(in, out) {
					t.Fatalf("cipher %d, %s, %d bytes: %v", c, alg, n, err)
				}
			}
		}
	}
}

// Entries as Reserve placed them are entries as the index has them.
func TestTheIndexSaysWhatReserveSaid(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		c, boxes, buf := newCodec(t), boxesOf(t, h), make([]byte, 0, 1<<20)
		b := NewBuilder(h, boxes, buf)
		var placed []Entry
		at := seal.HeaderBytes
		for i, x := range sample() {
			if b.Chunks() != i || b.Bytes() != at {
				t.Errorf("%d chunks, %d bytes", b.Chunks(), b.Bytes())
			}
			e, _ := put(t, b, h, boxes, c, x)
			if at += e.Stored; e.Offset != int64(at-e.Stored) {
				t.Errorf("chunk %d is at %d", e.Number, e.Offset)
			}
			placed = append(placed, e)
		}
		object, err := b.Finish(c)
		if err != nil || &object[0] != &buf[:1][0] {
			t.Fatalf("it is not in the room it was given: %v", err)
		}
		if got, err := index(t, h, object); err != nil || !reflect.DeepEqual(got, placed) {
			t.Errorf("placed\n%+v, read\n%+v: %v", placed, got, err)
		}
	}
}

// Many goroutines fill one pack, and all of it is there.
func TestManyPutAtOnce(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		boxes := boxesOf(t, h)
		b := NewBuilder(h, boxes, make([]byte, 0, 2<<20))
		var all sync.WaitGroup
		var mu sync.Mutex
		in := map[uint64][]byte{}
		for g := range 8 {
			all.Go(func() {
				c, err := codec.New()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for i := 0; ; i++ {
					x := one{uint64(i*8 + g), noise(byte(g), 1+i*97%5000)}
					if i%3 == 0 {
						x.plain = text(1 + i*89%9000)
					}
					if _, ok := put(t, b, h, boxes, c, x); !ok {
						return
					}
					mu.Lock()
					in[x.number] = x.plain
					mu.Unlock()
					_, _ = b.Chunks(), b.Bytes()
				}
			})
		}
		all.Wait()
		object, err := b.Finish(newCodec(t))
		if err != nil {
			t.Fatal(err)
		}
		_, out, err := read(t, h, object)
		if err != nil || len(out) != len(in) || len(out) < 300 {
			t.Fatalf("%d chunks of %d: %v", len(out), len(in), err)
		}
		for _, x := range out {
			if string(in[x.number]) != string(x.plain) {
				t.Errorf("chunk %d is another", x.number)
			}
		}
	}
}

// The room is all there is, whatever the index does: one byte less, and a chunk
// less goes in.
func TestAPackIsFullByBytes(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		boxes, c := boxesOf(t, h), newCodec(t)
		const chunks, n = 20, 1000
		exact := seal.HeaderBytes + chunks*(n+boxes.Overhead()) + endBytes(chunks, boxes.Overhead())
		for short, want := range map[int]int{0: chunks, 1: chunks - 1, n: chunks - 1} {
			room := make([]byte, exact+100)
			buf := room[: 0 : exact-short]
			b := NewBuilder(h, boxes, buf)
			got := 0
			for i := range chunks + 5 {
				if _, ok := put(t, b, h, boxes, c, one{uint64(i), noise(byte(i), n)}); ok {
					got++
				}
			}
			object, err := b.Finish(c)
			if err != nil || got != want || b.Chunks() != want {
				t.Fatalf("%d chunks go in: %v", got, err)
			}
			if len(object) > cap(buf) || &object[0] != &room[0] {
				t.Errorf("%d bytes in a room of %d", len(object), cap(buf))
			}
			for _, x := range room[cap(buf):] {
				if x != 0 {
					t.Fatal("it writes beyond its room")
				}
			}
			if _, out, err := read(t, h, object); err != nil || len(out) != want {
				t.Errorf("%d chunks come out: %v", len(out), err)
			}
		}
	}
}

func TestAPackIsFullByCount(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		boxes, c := boxesOf(t, h), newCodec(t)
		b := NewBuilder(h, boxes, make([]byte, 0, 16<<20))
		for i := range MaxChunks + 1 {
			plain := []byte{byte(i)}
			e, room, ok := b.Reserve(Entry{Number: uint64(i), Codec: codec.Raw, Length: 1, Hash: h.Hash.Sum(plain)}, 1)
			if ok != (i < MaxChunks) {
				t.Fatalf("chunk %d: %v", i, ok)
			}
			if ok {
				boxes.Seal(room[:0], plain, e.Number)
			}
		}
		object, err := b.Finish(c)
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := index(t, h, object); err != nil || len(entries) != MaxChunks {
			t.Errorf("%d chunks: %v", len(entries), err)
		}
	}
}

// No pack gets longer than packs may be, however much room there is.
func TestAPackIsFullAtItsBound(t *testing.T) {
	h := header(seal.None, chunk.SHA256, chunk.MaxBytes)
	boxes := boxesOf(t, h)
	b := NewBuilder(h, boxes, make([]byte, 0, MaxBytes+chunk.MaxBytes))
	for i := 0; ; i++ {
		if _, _, ok := b.Reserve(Entry{Number: uint64(i), Codec: codec.Raw, Length: chunk.MaxBytes}, chunk.MaxBytes); !ok {
			break
		}
	}
	object, err := b.Finish(newCodec(t))
	if err != nil || len(object) > MaxBytes || len(object) < MaxBytes-chunk.MaxBytes-10000 {
		t.Errorf("%d bytes, %v", len(object), err)
	}
}

// Two chunks sealed under one number would give one another away.
func TestANumberIsTakenOnce(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		boxes, c := boxesOf(t, h), newCodec(t)
		b := NewBuilder(h, boxes, make([]byte, 0, 1<<20))
		for i, x := range []one{{1, noise(1, 50)}, {2, noise(2, 50)}, {1, noise(3, 50)}, {1, noise(1, 50)}} {
			if _, ok := put(t, b, h, boxes, c, x); ok != (i < 2) {
				t.Errorf("chunk %d: %v", i, ok)
			}
		}
		object, err := b.Finish(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, out, err := read(t, h, object); err != nil || len(out) != 2 {
			t.Errorf("%d chunks, %v", len(out), err)
		}
	}
}

// What no reader would take is not written either.
func TestNoPackIsMadeThatCannotBeRead(t *testing.T) {
	for _, h := range []seal.Header{open, closed} {
		for name, x := range map[string]struct {
			e Entry
			n int
		}{
			"a number too large":       {Entry{Number: chunk.MaxNumber, Codec: codec.Raw, Length: 5}, 5},
			"zeros":                    {Entry{Codec: codec.Zeros, Length: 5}, 5},
			"another codec":            {Entry{Codec: 3, Length: 5}, 5},
			"nothing":                  {Entry{Codec: codec.Raw}, 0},
			"a chunk too long":         {Entry{Codec: codec.Raw, Length: h.ChunkBytes + 1}, h.ChunkBytes + 1},
			"raw and shorter":          {Entry{Codec: codec.Raw, Length: 5}, 4},
			"raw and longer":           {Entry{Codec: codec.Raw, Length: 5}, 6},
			"a frame no shorter":       {Entry{Codec: codec.Zstd, Length: 5}, 5},
			"an empty frame":           {Entry{Codec: codec.Zstd, Length: 5}, 0},
			"a length below nothing":   {Entry{Codec: codec.Raw, Length: -5}, -5},
			"a length beyond anything": {Entry{Codec: codec.Zstd, Length: 5}, math.MaxInt - 8},
		} {
			boxes, c := boxesOf(t, h), newCodec(t)
			b := NewBuilder(h, boxes, make([]byte, 0, 1<<20))
			put(t, b, h, boxes, c, one{77, noise(1, 50)})
			if _, _, ok := b.Reserve(x.e, x.n); ok {
				t.Errorf("%s is taken", name)
			}
			if _, err := b.Finish(c); err == nil {
				t.Errorf("%s: the pack is finished as if nothing had been", name)
			}
		}
	}
}

func TestPacksThatCannotBe(t *testing.T) {
	c := newCodec(t)
	b := NewBuilder(open, boxesOf(t, open), make([]byte, 0, 1000))
	if _, err := b.Finish(c); err == nil {
		t.Error("an empty pack is finished")
	}
	if put(t, b, open, boxesOf(t, open), c, one{1, []byte{1}}); b.Chunks() != 0 {
		t.Error("room for a chunk and none for its index")
	}
	root := open
	root.Kind = seal.Root
	for name, b := range map[string]*Builder{
		"a root":             NewBuilder(root, boxesOf(t, root), make([]byte, 0, 10000)),
		"no room":            NewBuilder(open, boxesOf(t, open), nil),
		"less than a header": NewBuilder(open, boxesOf(t, open), make([]byte, 0, 63)),
	} {
		if _, _, ok := b.Reserve(Entry{Codec: codec.Raw, Length: 1}, 1); ok {
			t.Errorf("%s takes a chunk", name)
		}
		if _, err := b.Finish(c); err == nil {
			t.Errorf("%s is finished", name)
		}
	}
	b = NewBuilder(open, boxesOf(t, open), make([]byte, 0, 10000))
	put(t, b, open, boxesOf(t, open), c, one{1, []byte{1}})
	if _, err := b.Finish(c); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Finish(c); err == nil {
		t.Error("it is finished twice")
	}
	if _, ok := put(t, b, open, boxesOf(t, open), c, one{2, []byte{1}}); ok {
		t.Error("a finished pack takes a chunk")
	}
}

// A builder lives in the room it is given.
func TestABuilderHasNoRoomOfItsOwn(t *testing.T) {
	boxes, c, buf := boxesOf(t, closed), newCodec(t), make([]byte, 0, 64<<20)
	plain := noise(1, 64<<10)
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := NewBuilder(closed, boxes, buf)
			for i := 0; ; i++ {
				e, room, ok := p.Reserve(Entry{Number: uint64(i), Codec: codec.Raw, Length: len(plain)}, len(plain))
				if !ok {
					break
				}
				boxes.Seal(room[:0], plain, e.Number)
			}
			if _, err := p.Finish(c); err != nil {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if bytes > 1<<20 {
		t.Errorf("a pack of 64 MiB costs %d bytes beside its room", bytes)
	}
}
