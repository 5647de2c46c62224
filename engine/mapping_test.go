package engine

import (
	"testing"

	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// mapRig writes layers as one attempt does.
func mapRig(t *testing.T) (*rig, *mapper) {
	t.Helper()
	r := newRig(t, Options{}, false)
	in := r.input(nil)
	keys := manifest.NewKeys(seal.Format{Hash: r.opts.Hash, ChunkBytes: r.opts.ChunkBytes}, nil)
	keys.AddAttempt(in.Attempt, seal.Salt{1})
	number := uint64(0)
	return r, &mapper{
		e: r.Engine, store: r.store, volume: "vol-1", keys: keys, attempt: in.Attempt, put: &manifest.Objects{},
		next: func() uint64 { number++; return number }, stored: func(int) {}, listed: func(manifest.Place) bool { return true },
	}
}

// layer writes the chunks from one to before another, each in the pack; every
// seventh is zeros.
func (m *mapper) layer(t *testing.T, pack, from, to uint64) manifest.Layer {
	t.Helper()
	layer, err := m.write(t.Context(), func(add func(entry) error) error {
		for c := from; c < to; c++ {
			e := entry{Chunk: c, Codec: codec.Raw, Pack: manifest.Place{Attempt: m.attempt, Number: pack}, Offset: 64, Stored: 5}
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

// A root that would list ever more attempts has its map written anew.
func TestManyAttemptsAreForgotten(t *testing.T) {
	for attempts, want := range map[int]int{manyAttempts: 2, manyAttempts + 1: 1} {
		_, m := mapRig(t)
		parent := &manifest.Root{Layers: []manifest.Layer{m.layer(t, 1, 0, 5000)}, Salts: map[manifest.Attempt]seal.Salt{}}
		for i := range attempts {
			parent.Salts[manifest.Attempt{Fence: uint64(i)}] = seal.Salt{}
		}
		layers, err := m.settle(t.Context(), m.layer(t, 2, 10, 20), parent)
		if err != nil || len(layers) != want {
			t.Errorf("with %d attempts there are %d layers, %v", attempts, len(layers), err)
		}
	}
}

// The layer of an increment may have several objects, of which all but the last
// are stored before it is known that a larger layer takes them in.
func TestAMergedLayerLeavesItsObjectsToSpare(t *testing.T) {
	r, m := mapRig(t)
	stored := 0
	m.stored = func(n int) { stored += n }
	below := m.layer(t, 100, 0, 50)
	first, second := m.layer(t, 101, 10, 20), m.layer(t, 101, 20, 30)
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
	c := manifest.NewCursor(m.keys, m.fetch, layers)
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
