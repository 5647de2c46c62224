package pack

import (
	"testing"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// volume is the chunks of a pack of 64 MiB or so, a third of it incompressible.
func volume() []one {
	var all []one
	for i := range 200 {
		x := one{uint64(i), noise(byte(i), 256<<10)}
		if i%3 != 0 {
			copy(x.plain, text(200<<10))
		}
		all = append(all, x)
	}
	return all
}

// BenchmarkBuild is all that is done to a chunk, on one goroutine.
func BenchmarkBuild(b *testing.B) {
	for name, h := range map[string]seal.Header{
		"open/sha256": header(seal.None, chunk.SHA256, 256<<10), "sealed/blake3": header(seal.AES256GCM, chunk.BLAKE3, 256<<10),
	} {
		b.Run(name, func(b *testing.B) {
			all, c, boxes := volume(), newCodec(b), boxesOf(b, h)
			buf, room := make([]byte, 0, 64<<20), make([]byte, 0, codec.Bound(256<<10))
			b.SetBytes(int64(len(all)) * 256 << 10)
			b.ReportAllocs()
			for b.Loop() {
				p := NewBuilder(h, boxes, buf)
				for _, x := range all {
					how, stored, err := c.Chunk(room, x.plain)
					if err != nil {
						b.Fatal(err)
					}
					e, to, ok := p.Reserve(Entry{Number: x.number, Codec: how, Length: len(x.plain), Hash: h.Hash.Sum(x.plain)}, len(stored))
					if !ok {
						b.Fatal("it is full")
					}
					boxes.Seal(to[:0], stored, e.Number)
				}
				if _, err := p.Finish(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead is all that a restore does to a pack, on one goroutine.
func BenchmarkRead(b *testing.B) {
	for name, h := range map[string]seal.Header{
		"open/sha256": header(seal.None, chunk.SHA256, 256<<10), "sealed/blake3": header(seal.AES256GCM, chunk.BLAKE3, 256<<10),
	} {
		b.Run(name, func(b *testing.B) {
			object := build(b, h, volume())
			entries, err := index(b, h, object)
			if err != nil {
				b.Fatal(err)
			}
			c, boxes := newCodec(b), boxesOf(b, h)
			box, dst := make([]byte, 1<<20), make([]byte, 256<<10)
			b.SetBytes(int64(len(entries)) * 256 << 10)
			for b.Loop() {
				for _, e := range entries {
					n := copy(box, object[e.Offset:][:e.Stored])
					if _, err := Plain(c, boxes, h.Hash, e, box[:n], dst); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkReserve is what a chunk costs the lock that all goroutines share.
func BenchmarkReserve(b *testing.B) {
	boxes, buf := boxesOf(b, closed), make([]byte, 0, 8<<20)
	p, n := NewBuilder(closed, boxes, buf), uint64(0)
	for b.Loop() {
		if _, _, ok := p.Reserve(Entry{Number: n, Codec: codec.Raw, Length: 64}, 64); !ok {
			p, n = NewBuilder(closed, boxes, buf), 0
		}
		n++
	}
}

// BenchmarkParseIndex is of the longest index there is.
func BenchmarkParseIndex(b *testing.B) {
	var plain []byte
	for i := range MaxChunks {
		plain = appendEntry(plain, Entry{Number: uint64(i), Codec: codec.Raw, Stored: 17, Length: 1, Hash: chunk.SHA256.Sum([]byte{byte(i), byte(i >> 8)})})
	}
	c, boxes := newCodec(b), boxesOf(b, closed)
	tail, box := forge(b, closed, c, plain)
	room := make([]byte, len(box))
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		copy(room, box)
		if _, err := ParseIndex(tail, boxes, room, 1, c); err != nil {
			b.Fatal(err)
		}
	}
}
