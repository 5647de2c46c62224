package pack

import (
	"math/rand/v2"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

func header(c seal.Cipher, alg chunk.Algorithm, chunkBytes int) seal.Header {
	h := seal.Header{Kind: seal.Pack, Number: 3, Format: seal.Format{Cipher: c, Hash: alg, ChunkBytes: chunkBytes}}
	for i := range h.Salt {
		h.Salt[i] = byte(i)
	}
	if c != seal.None {
		h.KeyID = seal.KeyID{1, 2, 3}
	}
	return h
}

// open and closed are the headers most tests use.
var (
	open   = header(seal.None, chunk.SHA256, 64<<10)
	closed = header(seal.AES256GCM, chunk.BLAKE3, 64<<10)
)

func secret() *seal.Secret { return &seal.Secret{5, 6, 7} }

func boxesOf(t testing.TB, h seal.Header) *seal.Boxes {
	t.Helper()
	b, err := seal.New(h, secret())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newCodec(t testing.TB) *codec.Codec {
	t.Helper()
	c, err := codec.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// text is something that gets smaller.
func text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = "The only copy of their data. "[i%29] ^ byte(i/997)
	}
	return p
}

// one is a chunk of a volume.
type one struct {
	number uint64
	plain  []byte
}

// sample is one chunk that stays raw, one that is compressed, and a short one,
// in no order.
func sample() []one { return []one{{9, noise(1, 150)}, {1<<48 - 1, text(2000)}, {0, []byte{42}}} }

// put puts a chunk into a pack; false: it is full.
func put(t testing.TB, b *Builder, h seal.Header, boxes *seal.Boxes, c *codec.Codec, x one) (Entry, bool) {
	how, stored, err := c.Chunk(make([]byte, 0, codec.Bound(len(x.plain))), x.plain)
	if err != nil {
		t.Error(err)
	}
	e, room, ok := b.Reserve(Entry{Number: x.number, Codec: how, Length: len(x.plain), Hash: h.Hash.Sum(x.plain)}, len(stored))
	if !ok {
		return e, false
	}
	box := boxes.Seal(room[:0], stored, e.Number)
	if len(room) != e.Stored || cap(room) != e.Stored || len(box) != e.Stored || &box[0] != &room[0] {
		t.Errorf("chunk %d: a room of %d (%d) for a box of %d, %d are said", x.number, len(room), cap(room), len(box), e.Stored)
	}
	return e, true
}

// build makes the pack of these chunks.
func build(t testing.TB, h seal.Header, chunks []one) []byte {
	t.Helper()
	c, boxes, n := newCodec(t), boxesOf(t, h), 1<<20
	for _, x := range chunks {
		n += len(x.plain) + 100
	}
	b := NewBuilder(h, boxes, make([]byte, 0, n))
	for _, x := range chunks {
		if _, ok := put(t, b, h, boxes, c, x); !ok {
			t.Fatalf("chunk %d has no room", x.number)
		}
	}
	object, err := b.Finish(c)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// index reads a pack's index as maps are made again from packs: h is what the
// header is by the root or by the name.
func index(t testing.TB, h seal.Header, object []byte) ([]Entry, error) {
	t.Helper()
	if len(object) < seal.HeaderBytes+TrailerBytes {
		return nil, stowage.Errorf(stowage.Corrupt, "%d bytes", len(object))
	}
	tail, err := ParseTrailer(object[len(object)-TrailerBytes:], int64(len(object)))
	if err != nil {
		return nil, err
	}
	box := append([]byte{}, object[tail.IndexOffset:][:tail.IndexStored]...)
	return ParseIndex(tail, boxesOf(t, h), box, h.ChunkBytes, newCodec(t))
}

// read reads all of a pack.
func read(t testing.TB, h seal.Header, object []byte) ([]Entry, []one, error) {
	t.Helper()
	entries, err := index(t, h, object)
	if err != nil {
		return nil, nil, err
	}
	var chunks []one
	c, boxes := newCodec(t), boxesOf(t, h)
	for _, e := range entries {
		box := append([]byte{}, object[e.Offset:][:e.Stored]...)
		plain, err := Plain(c, boxes, h.Hash, e, box, make([]byte, h.ChunkBytes))
		if err != nil {
			return nil, nil, err
		}
		chunks = append(chunks, one{e.Number, plain})
	}
	return entries, chunks, nil
}

func corrupt(t testing.TB, what string, err error) {
	t.Helper()
	if stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("%s: %v", what, err)
	}
}

func trailer(offset int64, stored, plain, count int) Trailer {
	return Trailer{IndexOffset: offset, IndexStored: stored, IndexPlain: plain, Count: count}
}
