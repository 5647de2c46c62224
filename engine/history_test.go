package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
)

// state is what a volume holds at one moment.
type state interface {
	source() drivers.Source
	// since is a source that knows the other states by their IDs, and tells of
	// more than has changed.
	since(bases map[string]state) drivers.Source
	target() (t drivers.Target, differs func() error)
}

// history is what happened to a volume and its backups, and what that must
// have come to.
type history struct {
	*rig
	states  map[string]state // by the snapshots that are still there
	now     state
	backups []past
	spare   *manifest.Objects

	modes                            map[Mode]int
	thinned, merged, layers, deleted int
}

type past struct {
	made
	id    string
	state state
}

func newHistory(r *rig) *history {
	return &history{rig: r, states: map[string]state{}, spare: &manifest.Objects{}, modes: map[Mode]int{}}
}

// backUpAny makes a backup with any of the others as its parent, or none.
func (h *history) backUpAny() {
	h.t.Helper()
	if len(h.backups) > 0 && h.rng.IntN(8) > 0 {
		h.backUp(&h.backups[h.rng.IntN(len(h.backups))])
		return
	}
	h.backUp(nil)
}

// backUp makes a backup of some kind.
func (h *history) backUp(parent *past) {
	h.t.Helper()
	id := fmt.Sprint("snap-", h.rig.made)
	var in BackupInput
	if h.rng.IntN(3) == 0 {
		in = h.input(h.now.source())
	} else {
		in = h.input(h.now.since(h.states))
	}
	want := Full
	if parent != nil {
		in.Parent, want = h.open(parent.made).Root, Compared
		in.Base = &stowage.Snapshot{ID: parent.id}
		if _, can := in.Source.(drivers.ChangeSource); can && h.states[parent.id] != nil {
			want = Changed
		}
	}
	b := past{h.run(in), id, h.now}
	if b.Mode != want {
		h.t.Fatalf("the backup is %s instead of %s", b.Mode, want)
	}
	h.modes[want]++
	h.spare.Union(b.Spare)
	h.states[id] = h.now
	h.exact(b.made)
	if parent != nil {
		h.learn(parent.made, b.made)
	}
	h.backups = append(h.backups, b)
}

// entries reads the whole map of a backup.
func (h *history) entries(o *Opened) map[uint64]entry {
	h.t.Helper()
	all := map[uint64]entry{}
	c := manifest.NewCursor(o.Keys(), (&mapper{store: h.store, volume: o.Info.Volume.ID}).fetch, o.Layers)
	defer c.Close()
	for {
		e, ok, err := c.Next(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if !ok {
			return all
		}
		if e.Codec != codec.Zeros {
			all[e.Chunk] = e
		}
	}
}

// exact checks that a root counts what its map says, to the byte.
func (h *history) exact(b made) {
	h.t.Helper()
	o := h.open(b)
	packs := map[manifest.Place]manifest.Pack{}
	for _, e := range h.entries(o) {
		p := packs[e.Pack]
		p.Alive++
		p.AliveBytes += int64(e.Stored)
		packs[e.Pack] = p
	}
	if len(packs) != len(o.Packs) {
		h.t.Fatalf("%s lists %d packs and reaches %d", b.Root, len(o.Packs), len(packs))
	}
	for _, p := range o.Packs {
		if is := packs[p.Place]; is.Alive != p.Alive || is.AliveBytes != p.AliveBytes {
			h.t.Fatalf("pack %d has %d chunks alive, %d bytes; the root says %d, %d", p.Number, is.Alive, is.AliveBytes, p.Alive, p.AliveBytes)
		}
	}
}

// learn finds out what the increment did besides.
func (h *history) learn(parent, child made) {
	h.t.Helper()
	p, c := h.open(parent), h.open(child)
	h.layers = max(h.layers, len(c.Layers))
	if len(c.Layers) > 0 && len(c.Layers) <= len(p.Layers) && c.Layers[0][0].Place != p.Layers[0][0].Place {
		h.merged++
	}
	before := h.entries(p)
	for n, e := range h.entries(c) {
		if old, ok := before[n]; ok && old.Hash == e.Hash && old.Pack != e.Pack {
			h.thinned++
			return
		}
	}
}

// remove deletes a backup and what only it reaches.
func (h *history) remove(i int) {
	h.t.Helper()
	b := h.backups[i]
	h.backups = slices.Delete(slices.Clone(h.backups), i, i+1)
	going := b.Reach
	for _, other := range h.backups {
		going.Minus(other.Reach)
	}
	if err := h.DeleteRoot(h.t.Context(), h.store, b.Root); err != nil {
		h.t.Fatal(err)
	}
	p := &Progress{}
	if err := h.Delete(h.t.Context(), h.store, "vol-1", going, p); err != nil {
		h.t.Fatal(err)
	}
	if done, all := p.Get(); done != all || uint64(all) != going.Len() {
		h.t.Errorf("the delete is done with %d of %d objects of %d", done, all, going.Len())
	}
	h.deleted++
}

// check holds everything that is there against what should be, and restores
// the newest backups, no more than so many.
func (h *history) check(newest int) {
	h.t.Helper()
	reach := &manifest.Objects{}
	reach.Union(h.spare)
	for i, b := range h.backups {
		reach.Union(b.Reach)
		if i < len(h.backups)-newest {
			continue
		}
		target, differs := b.state.target()
		if err := h.Restore(h.t.Context(), h.restoreInput(b.made, target)); err != nil {
			h.t.Fatal(err)
		}
		if err := differs(); err != nil {
			h.t.Fatalf("%s restores to something else: %v", b.Root, err)
		}
		h.clean(b.made)
	}
	if is, want := len(h.store.names("")), int(reach.Len())+len(h.backups); is != want {
		h.t.Fatalf("%d objects are stored instead of %d: %s", is, want, strings.Join(h.store.names(""), "\n"))
	}
}

// end deletes everything.
func (h *history) end() {
	h.t.Helper()
	for len(h.backups) > 0 {
		h.remove(h.rng.IntN(len(h.backups)))
	}
	h.check(0)
	if err := h.Delete(h.t.Context(), h.store, "vol-1", h.spare, nil); err != nil {
		h.t.Fatal(err)
	}
	if left := h.store.names(""); len(left) > 0 {
		h.t.Errorf("there is left: %s", left)
	}
}

// live runs so many steps; write changes the volume.
func (h *history) live(steps, most int, write func()) {
	h.t.Helper()
	for range steps {
		for range h.rng.IntN(3) {
			write()
		}
		switch {
		case len(h.backups) > 1 && h.rng.IntN(4) == 0, len(h.backups) == most:
			h.remove(h.rng.IntN(len(h.backups)))
		default:
			h.backUpAny()
		}
		if h.rng.IntN(4) == 0 && len(h.backups) > 0 { // a snapshot goes, its backup stays
			delete(h.states, h.backups[h.rng.IntN(len(h.backups))].id)
		}
		h.check(3)
	}
	h.end()
}

func TestAnyHistoryOfBytesComesBack(t *testing.T) {
	t.Parallel()
	total := map[string]int{}
	for seed := range 4 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHistory(newRig(t, Options{PackBytes: 400 * kib}, seed%2 == 0))
			v := &bytesState{r: h.rig, data: h.mixed(2*mib + 1000)}
			h.now = v
			h.live(22, 6, func() {
				v = v.next()
				h.now = v
			})
			for m, n := range h.modes {
				total[string(m)] += n
			}
			total["thinned"] += h.thinned
			total["merged"] += h.merged
			total["gone"] += h.deleted
		})
	}
	for _, what := range []string{string(Full), string(Changed), string(Compared), "thinned", "merged", "gone"} {
		if total[what] < 3 {
			t.Errorf("%s: %d times only", what, total[what])
		}
	}
}

// Layers pile up while those on top are small, and are taken in as the top
// grows.
func TestAnyHistoryOfLayersComesBack(t *testing.T) {
	t.Parallel()
	h := newHistory(newRig(t, Options{}, true)) // with packs so large that hardly any is thinned out
	v := &stampedState{r: h.rig, stamps: make([]uint32, 4800), bytes: 4800*unitBytes - 5}
	h.now = v.write(4800)
	h.backUp(nil)
	write := func(n int) { h.now = h.now.(*stampedState).write(n) }
	for _, step := range []struct{ chunks, layers int }{{1100, 2}, {5, 3}, {40, 3}, {600, 1}, {1000, 2}, {3000, 1}} {
		write(step.chunks)
		h.backUp(&h.backups[len(h.backups)-1])
		root := h.open(h.backups[len(h.backups)-1].made)
		if len(root.Layers) != step.layers {
			t.Errorf("after %d chunks, there are %d layers instead of %d", step.chunks, len(root.Layers), step.layers)
		}
		if len(h.backups) > 2 { // half of them go on the way
			h.remove(h.rng.IntN(len(h.backups) - 1))
		}
		h.check(1)
	}
	h.live(2, 2, func() { write(h.rng.IntN(1200)) })
}
