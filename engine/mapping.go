package engine

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/time/rate"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// mapper writes the layers of one attempt. The last object it was given stays
// in memory until there is another, or until it is certain that it is needed:
// the layer of a small increment is often taken into a larger one at once.
type mapper struct {
	e       *Engine
	store   drivers.Store
	volume  string
	keys    *manifest.Keys
	attempt manifest.Attempt
	next    func() uint64
	stored  func(int)
	limit   *rate.Limiter
	listed  func(pack manifest.Place) bool // by the root that is to be written

	held *heldObject       // the last object, not stored yet
	put  *manifest.Objects // what was stored
}

type heldObject struct {
	manifest.Object
	data []byte
}

// over gives a fetch that finds this object in memory.
func (h *heldObject) over(fetch manifest.Fetch) manifest.Fetch {
	return func(ctx context.Context, o manifest.Object, offset int64, buf []byte) error {
		if h == nil || o.Place != h.Place {
			return fetch(ctx, o, offset, buf)
		}
		if offset > int64(len(h.data)) || copy(buf, h.data[offset:]) < len(buf) {
			return fmt.Errorf("map object %d is read beyond its end", o.Number)
		}
		return nil
	}
}

// write writes the layer of what fill adds. If that fails, no more of it is
// stored.
func (m *mapper) write(ctx context.Context, fill func(add func(entry) error) error) (manifest.Layer, error) {
	var failed error
	w, err := manifest.NewLayerWriter(m.keys, m.attempt, m.next, func(o manifest.Object, data []byte) error {
		if failed != nil {
			return failed
		}
		if err := m.flush(ctx); err != nil {
			return err
		}
		m.held = &heldObject{o, bytes.Clone(data)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	failed = fill(w.Add)
	layer, err := w.Close() // in any case: it holds a compressor
	if failed != nil {
		return nil, failed
	}
	return layer, err
}

// flush stores what is held.
func (m *mapper) flush(ctx context.Context) error {
	h := m.held
	if h == nil {
		return nil
	}
	name := manifest.MapName(m.volume, h.Place)
	if err := traffic(ctx, len(h.data), m.e.rate, m.limit); err != nil {
		return err
	}
	etag, err := m.store.Put(ctx, name, h.data)
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if sum, err := md5Of(etag); err != nil || sum != h.MD5 {
		return stowage.Errorf(stowage.Corrupt, "%s was stored as something else", name)
	}
	m.stored(len(h.data))
	m.put.Add(seal.Map, h.Place)
	m.held = nil
	return nil
}

// fetch reads a part of a stored map object.
func (m *mapper) fetch(ctx context.Context, o manifest.Object, offset int64, buf []byte) error {
	return fetchMap(ctx, m.store, m.volume, o, offset, buf)
}

// fetchMap reads a part of a stored map object.
func fetchMap(ctx context.Context, store drivers.Store, volume string, o manifest.Object, offset int64, buf []byte) error {
	return getExactly(ctx, store, manifest.MapName(volume, o.Place), buf, offset)
}

// getExactly reads len(buf) bytes of an object that must have them.
func getExactly(ctx context.Context, store drivers.Store, name string, buf []byte, offset int64) error {
	n, err := store.Get(ctx, name, buf, offset)
	if err != nil {
		return lost(err, name)
	}
	if n != len(buf) {
		return stowage.Errorf(stowage.Corrupt, "%s is shorter than it was", name)
	}
	return nil
}

// manyAttempts is how many a root lists at most before the whole map is written
// anew, which leaves only those whose packs are still in use.
const manyAttempts = manifest.MaxAttempts / 2

// settle puts a new layer on top of the parent's, taking in what is worth it,
// and stores what is not stored yet.
func (m *mapper) settle(ctx context.Context, delta manifest.Layer, parent *manifest.Root) ([]manifest.Layer, error) {
	var below []manifest.Layer
	if parent != nil {
		below = parent.Layers
	}
	if len(delta) == 0 {
		return below, nil
	}
	take := manifest.Merge(delta.Entries(), below)
	if parent != nil && len(parent.Salts) > manyAttempts {
		take = len(below)
	}
	layers := append([]manifest.Layer{delta}, below...)
	if take > 0 {
		whole, err := m.merge(ctx, layers[:1+take], take == len(below))
		if err != nil {
			return nil, fmt.Errorf("merge %d layers of the map: %w", 1+take, err)
		}
		layers = append([]manifest.Layer{}, layers[1+take:]...)
		if len(whole) > 0 { // else everything is zeros
			layers = append([]manifest.Layer{whole}, layers...)
		}
	}
	return layers, m.flush(ctx)
}

// merge writes one layer that says what these say together. At the bottom
// there is nothing that zeros would hide.
func (m *mapper) merge(ctx context.Context, layers []manifest.Layer, bottom bool) (manifest.Layer, error) {
	delta := m.held // part of what is merged, and not needed after that
	m.held = nil
	cursor := manifest.NewCursor(m.keys, delta.over(m.fetch), layers)
	defer cursor.Close()
	return m.write(ctx, func(add func(entry) error) error {
		for {
			e, ok, err := cursor.Next(ctx)
			if err != nil || !ok {
				return err
			}
			if e.Codec == codec.Zeros && bottom {
				continue
			}
			if e.Codec != codec.Zeros && !m.listed(e.Pack) { // no newer layer hides this entry
				return unlisted(e.Pack)
			}
			if err := add(e); err != nil {
				return err
			}
		}
	})
}
