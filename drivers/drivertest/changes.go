package drivertest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// history is a volume at two moments: a snapshot of the first, the second
// open, and what both read as.
type history struct {
	vol       stowage.VolumeLocation
	base      stowage.Snapshot
	source    drivers.ChangeSource
	old, data []byte
}

// changed makes a history, or skips where the driver has none.
func (f VolumesFixture) changed(t *testing.T) history {
	t.Helper()
	h := history{vol: f.volume(t, 40*mib+777)}
	f.write(t, h.vol, noise(1, 9*mib), 5)
	f.write(t, h.vol, noise(2, 6*mib), 30*mib)
	h.base = f.snapshot(t, h.vol, "suite-base")
	h.old = readAll(t, f.open(t, h.base))
	f.change(t, h.vol, func(target drivers.Target) {
		for i, r := range []struct{ offset, length int64 }{{0, 1}, {64<<10 - 1, 2}, {5 * mib, 100}, {12 * mib, 4 * mib}, {40 * mib, 777}} {
			writeAt(t, target, noise(uint64(i)+3, r.length), r.offset)
		}
		for _, r := range []struct{ offset, length int64 }{{7*mib + 1, 3}, {8 * mib, 4 * mib}, {31 * mib, 4*mib + 5}, {20 * mib, mib}} {
			must(t, target.WriteZeroes(r.offset, r.length))
		}
	})
	source := f.open(t, f.snapshot(t, h.vol, "suite-young"))
	changes, ok := source.(drivers.ChangeSource)
	if !ok {
		t.Skip("this backend cannot tell what changed")
	}
	h.source, h.data = changes, readAll(t, source)
	return h
}

func (h history) changes(t *testing.T, offset, length int64) (found []stowage.Extent) {
	t.Helper()
	must(t, h.source.Changed(t.Context(), h.base, offset, length, func(e stowage.Extent) error {
		found = append(found, e)
		return nil
	}))
	return found
}

func changedCovers(t *testing.T, f VolumesFixture) {
	h := f.changed(t)
	// The old state with the extents read anew must be the new state.
	got := append([]byte(nil), h.old...)
	for _, e := range h.changes(t, 0, h.source.Size()) {
		copy(got[e.Offset:e.End()], h.data[e.Offset:e.End()])
	}
	same(t, "old state and its changes", got, h.data)

	again := f.open(t, f.snapshot(t, h.vol, "suite-youngest"))
	since, err := f.Volumes.CreateSnapshot(t.Context(), h.vol, "suite-young")
	must(t, err)
	must(t, again.(drivers.ChangeSource).Changed(t.Context(), since, 0, again.Size(), func(e stowage.Extent) error {
		t.Errorf("nothing was written, and %+v is said to have changed", e)
		return nil
	}))
}

func changedBounds(t *testing.T, f VolumesFixture) {
	h := f.changed(t)
	size := h.source.Size()
	for _, r := range []struct{ offset, length int64 }{
		{0, size}, {0, 1}, {1, 1}, {0, 0}, {size, 0}, {size - 1, 1}, {65535, 1}, {65536, 70000}, {5*mib + 50, 1}, {12*mib + 5, 9},
		{7*mib + 2, 1}, {11 * mib, 8*mib + 1}, {31*mib + 1, 3*mib + 4097}, {17 * mib, 4 * mib}, {4*mib - 1, 30*mib + 2},
	} {
		at := r.offset
		what := fmt.Sprintf("Changed(%d, %d)", r.offset, r.length)
		for _, e := range h.changes(t, r.offset, r.length) {
			if e.Length <= 0 || e.Offset < at || e.End() > r.offset+r.length {
				t.Errorf("%s gave %+v, behind %d", what, e, at)
				break
			}
			same(t, what+" passed over", h.data[at:e.Offset], h.old[at:e.Offset])
			at = e.End()
		}
		same(t, what+" passed over", h.data[at:r.offset+r.length], h.old[at:r.offset+r.length])
	}
	nothing := func(stowage.Extent) error { return nil }
	for _, r := range []struct{ offset, length int64 }{{-1, 2}, {0, -1}, {0, size + 1}, {size + 1, 0}} {
		err := h.source.Changed(t.Context(), h.base, r.offset, r.length, nothing)
		wantCode(t, fmt.Sprintf("Changed(%d, %d)", r.offset, r.length), err, stowage.Invalid)
	}
}

func changedEnds(t *testing.T, f VolumesFixture) {
	h := f.changed(t)
	enough := errors.New("enough")
	calls := 0
	err := h.source.Changed(t.Context(), h.base, 0, h.source.Size(), func(stowage.Extent) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("fn failed, Changed gave %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = h.source.Changed(ctx, h.base, 0, h.source.Size(), func(stowage.Extent) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Changed when cancelled: %v", err)
	}
	// Reads and other questions go on after that, and beside it.
	must(t, h.source.Changed(t.Context(), h.base, 0, h.source.Size(), func(e stowage.Extent) error {
		_, err := h.source.ReadAt(make([]byte, 1), e.Offset)
		return err
	}))
}

// changedSinceAnother: whatever is not the very base is not compared with.
func changedSinceAnother(t *testing.T, f VolumesFixture) {
	h := f.changed(t)
	since := func(base stowage.Snapshot) error {
		return h.source.Changed(t.Context(), base, 0, h.source.Size(), func(stowage.Extent) error { return nil })
	}
	other := f.volume(t, 40*mib)
	wantCode(t, "snapshot of another volume", since(f.snapshot(t, other, "suite-base")), stowage.NotFound)
	nameless, unnamed := h.base, h.base
	nameless.Name, unnamed.ID = "suite-other", ""
	wantCode(t, "a name that is not there", since(nameless), stowage.NotFound)
	wantCode(t, "no id", since(unnamed), stowage.Invalid)

	must(t, f.Volumes.RemoveSnapshot(t.Context(), h.base))
	wantCode(t, "snapshot that is gone", since(h.base), stowage.NotFound)
	f.snapshot(t, h.vol, "suite-base")
	wantCode(t, "another of the name", since(h.base), stowage.NotFound)
}

// changedBaseGoes: removed in the middle, and what was told is worth nothing.
func changedBaseGoes(t *testing.T, f VolumesFixture) {
	h := f.changed(t)
	gone := false
	err := h.source.Changed(t.Context(), h.base, 0, h.source.Size(), func(stowage.Extent) error {
		if gone {
			return nil
		}
		gone = true
		return f.Volumes.RemoveSnapshot(t.Context(), h.base)
	})
	if !gone {
		t.Fatal("nothing is said to have changed")
	}
	wantCode(t, "Changed", err, stowage.NotFound)
}
