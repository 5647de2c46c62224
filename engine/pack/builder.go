package pack

import (
	"fmt"
	"sync"

	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// Builder makes a pack: many goroutines Reserve room in it and fill it, then
// one calls Finish.
type Builder struct {
	boxes      *seal.Boxes
	chunkBytes int

	mu      sync.Mutex
	buf     []byte // as far as it is given away; never longer than its capacity
	entries []Entry
	numbers map[uint64]bool // of entries
	err     error           // what was asked for that no pack can have
	done    bool
}

// NewBuilder begins the pack with this header in the room of buf: buf's
// capacity is all the pack may get. boxes are those of the same header.
func NewBuilder(h seal.Header, boxes *seal.Boxes, buf []byte) *Builder {
	b := &Builder{boxes: boxes, chunkBytes: h.ChunkBytes, numbers: map[uint64]bool{}}
	switch room := min(cap(buf), MaxBytes); {
	case h.Kind != seal.Pack:
		b.err = fmt.Errorf("build a pack: its header is that of a %s", h.Kind)
	case room < seal.HeaderBytes:
		b.err = fmt.Errorf("build a pack: %d bytes have no room for a header", room)
	default:
		b.buf = h.Append(buf[:0:room])
	}
	return b
}

// Reserve makes room for a chunk that has n bytes before it is sealed, and says
// where. The caller puts its box there: boxes.Seal(room[:0], stored, e.Number).
//
// ok is false when the pack takes no more: it is full, index and trailer
// counted in as long as they may get, or it has that chunk number already
// (sealed under one number twice, two chunks would give one another away).
// A chunk that no pack could have is not taken either, and Finish tells of it.
func (b *Builder) Reserve(e Entry, n int) (placed Entry, room []byte, ok bool) {
	overhead := b.boxes.Overhead()
	e.Stored = n + overhead
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || b.done {
		return Entry{}, nil, false
	}
	if err := e.check(b.chunkBytes, overhead); err != nil {
		b.err = fmt.Errorf("build a pack: %w", err)
		return Entry{}, nil, false
	}
	full := len(b.entries) == MaxChunks || len(b.buf)+e.Stored+endBytes(len(b.entries)+1, overhead) > cap(b.buf)
	if full || b.numbers[e.Number] {
		return Entry{}, nil, false
	}
	at := len(b.buf)
	b.buf = b.buf[:at+e.Stored]
	e.Offset = int64(at)
	b.entries = append(b.entries, e)
	b.numbers[e.Number] = true
	return e, b.buf[at:len(b.buf):len(b.buf)], true
}

// endBytes is how long index and trailer of n chunks can get.
func endBytes(n, overhead int) int {
	return codec.Bound(n*entryBytes) + overhead + seal.TrailerBytes
}

// Chunks is how many chunks have room so far.
func (b *Builder) Chunks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

// Bytes is how long the pack is so far, without index and trailer.
func (b *Builder) Bytes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.buf)
}

// Finish gives the whole object, in the room the builder was given. It is
// called once, when every room is filled. A pack has one chunk at least.
func (b *Builder) Finish(c *codec.Codec) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return nil, b.err
	case b.done:
		return nil, fmt.Errorf("finish a pack: it is finished")
	case len(b.entries) == 0:
		return nil, fmt.Errorf("finish a pack: there is nothing in it")
	}
	b.done = true
	index := make([]byte, 0, len(b.entries)*entryBytes)
	for _, e := range b.entries {
		index = appendEntry(index, e)
	}
	at := len(b.buf)
	frame, err := c.Compress(b.buf[at:at:cap(b.buf)], index)
	if err != nil {
		return nil, fmt.Errorf("compress a pack's index: %w", err)
	}
	object := b.boxes.Seal(b.buf, frame, seal.IndexBox) // in place, where the frame is
	return seal.Trailer{
		IndexOffset: int64(at), IndexStored: len(object) - at,
		IndexPlain: len(index), Count: len(b.entries),
	}.Append(object, seal.Pack), nil
}
