package manifest

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/codec"
)

// Fetch reads a range of a map object, all of buf.
type Fetch func(ctx context.Context, o Object, offset int64, buf []byte) error

// Cursor walks layers side by side in ascending order of chunks; of a chunk
// the newest entry counts. For each layer it holds the index of the object it
// stands in, a page, and what it has read ahead: no more, whatever the length
// of the volume. It belongs to one goroutine.
type Cursor struct {
	keys    *Keys
	fetch   Fetch
	strands []*strand
	from    uint64 // the next entry's chunk, at least
	codec   *codec.Codec
	err     error // of the first thing that went wrong; the cursor stands still after it
}

// NewCursor makes a cursor at the beginning of layers, newest first, as a root
// that was opened has them. Nothing is fetched before it is needed.
func NewCursor(k *Keys, fetch Fetch, layers []Layer) *Cursor {
	c := &Cursor{keys: k, fetch: fetch}
	for _, l := range layers {
		c.strands = append(c.strands, &strand{cursor: c, layer: l, follow: none})
	}
	c.codec, c.err = codec.New()
	return c
}

// Seek makes the next Next give the first entry at or after chunk. It goes
// forward only, and fetches nothing.
func (c *Cursor) Seek(_ context.Context, chunk uint64) error {
	if c.err == nil && chunk < c.from {
		c.err = stowage.Errorf(stowage.Internal, "the map is read forward: from chunk %d, not %d", c.from, chunk)
	}
	c.from = chunk
	return c.err
}

// Next gives the next entry, also of chunks that are zeros; false: there is none.
func (c *Cursor) Next(ctx context.Context) (Entry, bool, error) {
	if c.err != nil {
		return Entry{}, false, c.err
	}
	e, ok, err := c.step(ctx)
	c.err = err
	return e, ok, err
}

func (c *Cursor) step(ctx context.Context) (Entry, bool, error) {
	var newest *strand
	var least uint64
	for _, s := range c.strands {
		if err := s.skip(ctx, c.from); err != nil {
			return Entry{}, false, err
		}
		if chunk, ok := s.head(); ok && (newest == nil || chunk < least) {
			newest, least = s, chunk
		}
	}
	if newest == nil {
		return Entry{}, false, nil
	}
	if err := newest.load(ctx); err != nil {
		return Entry{}, false, err
	}
	c.from = least + 1
	return newest.entries[newest.at], true, nil
}

// Close gives up what the cursor holds. It is of no use afterwards.
func (c *Cursor) Close() {
	if c.codec != nil {
		c.codec.Close()
	}
	*c = Cursor{err: stowage.Errorf(stowage.Internal, "the cursor is closed")}
}
