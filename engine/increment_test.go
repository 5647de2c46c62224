package engine

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
)

// young is a source that knows the base, and tells what changed to the grain.
func young(data, base []byte) *changeSource {
	return &changeSource{memSource: newSource(data), bases: map[string][]byte{"base": base}}
}

func TestAnIncrementStoresWhatChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{}, true)
	old := r.random(400*unitBytes + 100)
	parent := r.backup(newSource(old))
	data := bytes.Clone(old)
	for _, at := range []int{0, 7 * unitBytes, 7*unitBytes + 5000, 200*unitBytes - 1, len(data) - 1} {
		data[at]++
	}
	clear(data[300*unitBytes : 310*unitBytes])
	changed := int64(3*unitBytes + 100 + 10*unitBytes)
	for mode, source := range map[Mode]drivers.Source{Changed: young(data, old), Compared: newSource(data)} {
		b := r.increment(source, parent, "base")
		if b.Mode != mode {
			t.Fatalf("the backup is %s", b.Mode)
		}
		if stored := b.StoredBytes; stored < 3*unitBytes || stored > 3*unitBytes+4*kib+400*50 {
			t.Errorf("%s: %d bytes are stored", mode, stored)
		}
		if want := map[Mode]int64{Changed: changed, Compared: int64(len(data)) - 10*unitBytes}[mode]; b.ReadBytes != want {
			t.Errorf("%s: %d bytes are read instead of %d", mode, b.ReadBytes, want)
		}
		r.restore(b)
		r.clean(b)
	}
	// Nothing changed: nothing but a root.
	b := r.increment(young(old, old), parent, "base")
	if b.ReadBytes != 0 || b.StoredBytes > 4*kib || b.ObjectCount != parent.ObjectCount {
		t.Errorf("nothing changed, and %d bytes are read, %d stored, in %d objects", b.ReadBytes, b.StoredBytes, b.ObjectCount)
	}
	r.restore(b)
}

// The parent is not quite what the base is, and what tells them apart is in neither the
// base nor what is stored next: only who doubts it looks there.
func TestWhatIsInTheParentOnlyIsLookedAt(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{}, true)
	base := r.random(100*unitBytes + 100)
	clear(base[20*unitBytes : 40*unitBytes])
	stored := bytes.Clone(base)
	copy(stored[25*unitBytes:], r.random(3*unitBytes))
	stored[len(stored)-1]++
	parent := r.backup(newSource(stored))
	now := bytes.Clone(base)
	now[60*unitBytes]++
	in := r.input(young(now, base))
	in.Parent, in.Base = r.open(parent).Root, &stowage.Snapshot{ID: "base", Name: "base"}
	in.Doubt = []stowage.Extent{{Offset: 25 * unitBytes, Length: 3 * unitBytes}, {Offset: int64(len(stored)) - 1, Length: 1}}
	b := r.run(in)
	if want := int64(4*unitBytes + 100); b.Mode != Changed || b.ReadBytes != want {
		t.Errorf("the backup is %s and read %d bytes instead of %d", b.Mode, b.ReadBytes, want)
	}
	r.restore(b)
	r.clean(b)
}

// A large map is not written again for a small change, nor are chunks that
// compress to less than what the index says of them taken for dead bytes.
func TestAnIncrementOfALargeVolumeIsSmall(t *testing.T) {
	for _, chunks := range []int{1000, 5000} {
		h := newHistory(newRig(t, Options{}, false))
		v := (&stampedState{r: h.rig, stamps: make([]uint32, chunks), bytes: int64(chunks) * unitBytes}).write(chunks)
		h.now = v
		h.backUp(nil)
		next := v.write(20)
		in := h.input(stampedChanges{stampedSource{next}, map[string]state{"base": v}})
		in.Parent, in.Base = h.open(h.backups[0].made).Root, &stowage.Snapshot{ID: "base"}
		b := h.run(in)
		if b.StoredBytes > 20*150+2*kib && chunks > 1024 {
			t.Errorf("%d bytes are stored for 20 chunks", b.StoredBytes)
		}
		if most := int64(20+chunks/97+1) * unitBytes; b.ReadBytes > most {
			t.Errorf("%d bytes are read instead of %d", b.ReadBytes, most)
		}
	}
}

// What was data and is a hole comes back as zeros, however much it is.
func TestALargeHoleHidesWhatWasThere(t *testing.T) {
	t.Parallel()
	h := newHistory(newRig(t, Options{}, false))
	full := (&stampedState{r: h.rig, stamps: make([]uint32, 3*goneBatch), bytes: 3 * goneBatch * unitBytes}).write(3 * goneBatch)
	h.now = full
	h.backUp(nil)
	for _, kept := range [][]int{{}, {0}, {len(full.stamps) - 1}, {7, 200, 2*goneBatch + 70}} {
		holes := &stampedState{r: h.rig, stamps: make([]uint32, len(full.stamps)), bytes: full.bytes}
		for _, i := range kept {
			holes.stamps[i] = full.stamps[i]
		}
		in := h.input(holes.source())
		in.Parent = h.open(h.backups[0].made).Root
		b := h.run(in)
		target, differs := holes.target()
		if err := h.Restore(t.Context(), h.restoreInput(b, target)); err != nil {
			t.Fatal(err)
		}
		if err := differs(); err != nil {
			t.Errorf("with chunks %v left: %v", kept, err)
		}
		h.exact(b)
		if root := h.open(b); b.Mode != Compared || len(root.Packs) > len(kept) || (len(root.Layers) == 0) != (len(kept) == 0) {
			t.Errorf("%s, %d packs, %d layers", b.Mode, len(root.Packs), len(root.Layers))
		}
	}
}

func TestAVolumeGrows(t *testing.T) {
	r := newRig(t, Options{}, false)
	for _, before := range []int{0, 1, unitBytes - 1, unitBytes, 5*unitBytes + 3} {
		for _, more := range []int{1, unitBytes, 3*unitBytes + 7} {
			old := r.random(before)
			parent := r.backup(newSource(old))
			for _, grown := range [][]byte{append(bytes.Clone(old), make([]byte, more)...), append(bytes.Clone(old), r.random(more)...)} {
				for mode, source := range map[Mode]drivers.Source{Changed: young(grown, old), Compared: newSource(grown)} {
					b := r.increment(source, parent, "base")
					if b.Mode != mode {
						t.Errorf("the backup is %s", b.Mode)
					}
					r.restore(b)
					r.clean(b)
				}
			}
		}
	}
	// A smaller volume is another one.
	parent := r.backup(newSource(r.random(2 * unitBytes)))
	if b := r.increment(newSource(r.random(unitBytes)), parent, "base"); b.Mode != Full {
		t.Errorf("the backup is %s", b.Mode)
	}
}

// What the storage told before it found out that the base is gone is not
// believed: neither are other chunks left out, nor is only that looked at.
func TestABaseThatIsGoneIsNoBase(t *testing.T) {
	r := newRig(t, Options{}, false)
	old := r.random(20 * unitBytes)
	parent := r.backup(newSource(old))
	data := append(make([]byte, 3*unitBytes), old[3*unitBytes:]...)
	data[10*unitBytes]++
	source := &changeSource{memSource: newSource(data), lies: []stowage.Extent{{Offset: unitBytes, Length: unitBytes}, {Offset: 19 * unitBytes, Length: 5}}}
	b := r.increment(source, parent, "base")
	if b.Mode != Compared || b.ReadBytes != 17*unitBytes {
		t.Errorf("%s, %d bytes are read", b.Mode, b.ReadBytes)
	}
	r.restore(b)
	r.clean(b)
	// Without a base it is the same.
	in := r.input(source)
	in.Parent = r.open(parent).Root
	if b := r.run(in); b.Mode != Compared {
		t.Errorf("%s", b.Mode)
	}
}

// Another key, hash or chunk begins anew.
func TestAParentOfAnotherFormatIsNone(t *testing.T) {
	r := newRig(t, Options{}, true)
	data := r.random(5 * unitBytes)
	parent := r.backup(newSource(data))
	in := r.input(newSource(data))
	in.Parent, in.Key = r.open(parent).Root, testKey(t)
	res, err := r.Backup(t.Context(), in)
	if err != nil || res.Mode != Full {
		t.Errorf("another key: %s, %v", res.Mode, err)
	}
	other := newRig(t, Options{ChunkBytes: 2 * unitBytes}, false)
	other.store, other.key, other.made = r.store, r.key, 10
	if b := other.increment(newSource(data), parent, "base"); b.Mode != Full {
		t.Errorf("other chunks: %s", b.Mode)
	}
}

// Nothing is built on a parent that does not hold together.
func TestAParentThatLiesIsCorrupt(t *testing.T) {
	r := newRig(t, Options{PackBytes: 300 * kib, Readers: 1}, false)
	old := r.random(80 * unitBytes) // more than one read
	parent := r.backup(newSource(old))
	stranger := r.open(r.backup(newSource(r.random(80 * unitBytes)))).Root
	data := append(bytes.Clone(old[:78*unitBytes]), r.random(2*unitBytes)...)
	for what, lie := range map[string]func(*manifest.Root){
		"a pack that changed is not listed": func(p *manifest.Root) { p.Packs = p.Packs[:len(p.Packs)-1] },
		"a pack that stays is not listed":   func(p *manifest.Root) { p.Packs = p.Packs[1:] },
		"no pack is listed":                 func(p *manifest.Root) { p.Packs = nil },
		"fewer chunks are alive":            func(p *manifest.Root) { p.Packs[len(p.Packs)-1].Alive = 1 },
		"fewer bytes are alive":             func(p *manifest.Root) { p.Packs[len(p.Packs)-1].AliveBytes = unitBytes },
		"no bytes are left for what is left": func(p *manifest.Root) {
			p.Packs[len(p.Packs)-1].AliveBytes = 2 * unitBytes
			p.Packs[len(p.Packs)-1].Alive = 3
		},
		"the map has another index": func(p *manifest.Root) { p.Layers[0][0].Index[0]++ },
		"the map is another's":      func(p *manifest.Root) { p.Layers[0][0].Place = stranger.Layers[0][0].Place; p.Salts = stranger.Salts },
		"the map has more entries":  func(p *manifest.Root) { p.Layers[0][0].Entries--; p.Layers[0][0].Last-- },
		"an attempt is not listed":  func(p *manifest.Root) { clear(p.Salts) },
	} {
		for mode, source := range map[Mode]drivers.Source{Changed: young(data, old), Compared: newSource(data)} {
			before := r.store.names("/root")
			in := r.input(source)
			in.Parent, in.Base = r.open(parent).Root, &stowage.Snapshot{ID: "base"}
			in.Parent.Salts = maps.Clone(in.Parent.Salts)
			lie(in.Parent)
			if _, err := r.Backup(t.Context(), in); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("%s (%s): %v", what, mode, err)
			}
			r.whole()
			if !slices.Equal(r.store.names("/root"), before) {
				t.Errorf("%s (%s): there is a backup", what, mode)
			}
		}
	}
}
