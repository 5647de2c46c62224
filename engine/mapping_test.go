package engine

import (
	"testing"

	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// The layer of an increment may have several objects, of which all but the last
// are stored before it is known that a larger layer takes them in.
func TestAMergedLayerLeavesItsObjectsToSpare(t *testing.T) {
	r := newRig(t, Options{}, false)
	in := r.input(nil)
	keys := manifest.NewKeys(seal.Format{Hash: r.opts.Hash, ChunkBytes: r.opts.ChunkBytes}, nil)
	keys.AddAttempt(in.Attempt, seal.Salt{1})
	number, stored := uint64(0), 0
	m := &mapper{
		e: r.Engine, store: r.store, volume: "vol-1", keys: keys, attempt: in.Attempt, put: &manifest.Objects{},
		next:   func() uint64 { number++; return number },
		stored: func(n int) { stored += n },
		listed: func(manifest.Place) bool { return true },
	}
	// write makes a layer of the chunks from one to before another, each where
	// its pack's number says.
	write := func(pack uint64, from, to uint64) manifest.Layer {
		t.Helper()
		layer, err := m.write(t.Context(), func(add func(entry) error) error {
			for c := from; c < to; c++ {
				e := entry{Chunk: c, Codec: codec.Raw, Pack: manifest.Place{Attempt: in.Attempt, Number: pack}, Offset: 64, Stored: 5}
				if c%7 == 0 {
					e = entry{Chunk: c}
				}
				if err := add(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return layer
	}
	below := write(100, 0, 50)
	first, second := write(101, 10, 20), write(101, 20, 30)
	if objects := len(r.store.names("/map-")); objects != 2 || m.held == nil {
		t.Fatalf("%d objects are stored", objects)
	}
	layers, err := m.settle(t.Context(), append(first, second...), &manifest.Root{Layers: []manifest.Layer{below}})
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	// The merged one, what is below and what is to spare; the last was never stored.
	if objects := len(r.store.names("/map-")); objects != 3 || m.put.Len() != 3 || m.put.Has(seal.Map, second[0].Place) || m.held != nil {
		t.Errorf("%d objects are stored, %d are known", objects, m.put.Len())
	}
	sum := 0
	for _, name := range r.store.names("") {
		sum += len(r.store.objects[name])
	}
	if sum != stored {
		t.Errorf("%d bytes are stored, and %d counted", sum, stored)
	}
	c := manifest.NewCursor(keys, m.fetch, layers)
	defer c.Close()
	for chunk := range uint64(50) {
		if chunk%7 == 0 {
			continue // zeros: there is nothing below that they would hide
		}
		e, ok, err := c.Next(t.Context())
		want := uint64(100)
		if chunk >= 10 && chunk < 30 {
			want = 101
		}
		if err != nil || !ok || e.Chunk != chunk || e.Pack.Number != want {
			t.Fatalf("chunk %d: %+v, %v, %v", chunk, e, ok, err)
		}
	}
	if e, ok, err := c.Next(t.Context()); ok || err != nil {
		t.Errorf("behind the end: %+v, %v", e, err)
	}
}
