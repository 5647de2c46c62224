package pack

import (
	"testing"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// sound holds what a parser believed against the bounds.
func sound(t *testing.T, tail Trailer, entries []Entry, chunkBytes, overhead int) {
	at, seen := int64(seal.HeaderBytes), map[uint64]bool{}
	for _, e := range entries {
		if e.Number >= chunk.MaxNumber || seen[e.Number] || e.Offset != at || e.Length < 1 || e.Length > chunkBytes ||
			e.Stored <= overhead || e.Stored > e.Length+overhead || e.Codec != codec.Raw && e.Codec != codec.Zstd {
			t.Fatalf("%+v is out of bounds", e)
		}
		seen[e.Number] = true
		at += int64(e.Stored)
	}
	if at != tail.IndexOffset || len(entries) != tail.Count || at > MaxBytes {
		t.Fatalf("%d chunks that end at %d, by %+v", len(entries), at, tail)
	}
}

// Whatever the bytes at the end of an object, they are a trailer within bounds
// or Corrupt.
func FuzzParseTrailer(f *testing.F) {
	for _, h := range []seal.Header{open, closed} {
		object := build(f, h, sample())
		f.Add(object[len(object)-TrailerBytes:], int64(len(object)))
	}
	f.Add(trailer(64, 1, 0, 0).Append(nil, seal.Pack), int64(97))
	f.Fuzz(func(t *testing.T, tail []byte, n int64) {
		x, err := ParseTrailer(tail, n)
		if err != nil {
			corrupt(t, "an error", err)
			return
		}
		if x.Count < 1 || x.Count > MaxChunks || x.IndexPlain != 53*x.Count || x.IndexOffset < 64+int64(x.Count) ||
			x.IndexOffset+int64(x.IndexStored)+32 != n || n > MaxBytes {
			t.Fatalf("%+v of %d bytes", x, n)
		}
	})
}

// Whatever the object, reading all of it gives chunks with their hashes, or
// Corrupt.
func FuzzRead(f *testing.F) {
	for _, h := range []seal.Header{open, closed} {
		f.Add(h.Cipher == seal.None, build(f, h, sample()))
		f.Add(h.Cipher == seal.None, build(f, h, sample()[:1]))
	}
	f.Fuzz(func(t *testing.T, unsealed bool, object []byte) {
		h := closed
		if unsealed {
			h = open
		}
		entries, chunks, err := read(t, h, object)
		if err != nil {
			corrupt(t, "an error", err)
			return
		}
		for i, e := range entries {
			if h.Hash.Sum(chunks[i].plain) != e.Hash || len(chunks[i].plain) != e.Length {
				t.Fatalf("%+v is not what came out", e)
			}
		}
	})
}

// Whatever an index says once it is opened: entries within bounds, or Corrupt.
func FuzzParseIndex(f *testing.F) {
	c := newCodec(f)
	for _, h := range []seal.Header{open, closed} {
		entries, err := index(f, h, build(f, h, sample()))
		if err != nil {
			f.Fatal(err)
		}
		var plain []byte
		for _, e := range entries {
			plain = appendEntry(plain, e)
		}
		f.Add(h.Cipher == seal.None, plain, int64(0), 0)
		f.Add(h.Cipher == seal.None, append(plain, plain...), int64(-1), 1)
	}
	f.Fuzz(func(t *testing.T, unsealed bool, plain []byte, offset int64, count int) {
		h := closed
		if unsealed {
			h = open
		}
		tail, box := forge(t, h, c, plain)
		tail.IndexOffset += offset
		tail.Count += count
		boxes := boxesOf(t, h)
		entries, err := ParseIndex(tail, boxes, box, h.ChunkBytes, c)
		if err != nil {
			corrupt(t, "an error", err)
			return
		}
		sound(t, tail, entries, h.ChunkBytes, boxes.Overhead())
	})
}

// Whatever an entry says and its box holds: bytes with that hash, or Corrupt.
func FuzzPlain(f *testing.F) {
	c := newCodec(f)
	for _, x := range sample() {
		how, stored, err := c.Chunk(nil, x.plain)
		if err != nil {
			f.Fatal(err)
		}
		hash := open.Hash.Sum(x.plain)
		f.Add(true, x.number, how, len(stored), len(x.plain), hash[:], stored)
		hash = closed.Hash.Sum(x.plain)
		f.Add(false, x.number, how, len(stored)+16, len(x.plain), hash[:], boxesOf(f, closed).Seal(nil, stored, x.number))
	}
	dst := make([]byte, 10000)
	f.Fuzz(func(t *testing.T, unsealed bool, number uint64, how byte, stored, length int, hash, box []byte) {
		h := closed
		if unsealed {
			h = open
		}
		if len(hash) != 32 {
			return
		}
		e := Entry{Number: number, Codec: how, Stored: stored, Length: length, Hash: chunk.Hash(hash)}
		plain, err := Plain(c, boxesOf(t, h), h.Hash, e, append([]byte{}, box...), dst)
		if err != nil {
			corrupt(t, "an error", err)
			return
		}
		if len(plain) != length || h.Hash.Sum(plain) != e.Hash {
			t.Fatalf("%+v is not what came out", e)
		}
	})
}
