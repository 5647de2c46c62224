package drivertest

import (
	"context"
	"errors"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// keptName is one with which a volume of Cinder's can be deleted.
const keptName = "backup.6c0a5f5e-5d0c-4c55-9d4f-0f3a5d2b8a11.snap.1795000000"

// bases makes a volume with a snapshot to be kept.
func (f VolumesFixture) bases(t *testing.T) (drivers.Bases, stowage.VolumeLocation, stowage.Snapshot) {
	t.Helper()
	keeper, ok := f.Volumes.(drivers.Bases)
	if !ok {
		t.Skip("this backend keeps no snapshots")
	}
	vol := f.volume(t, 8*mib)
	f.write(t, vol, noise(1, 5*mib), 3)
	snap := f.snapshot(t, vol, "suite-inflight")
	t.Cleanup(func() { // under the name it has now
		snap.Name = keptName
		_ = f.Volumes.RemoveSnapshot(context.Background(), snap)
	})
	f.write(t, vol, noise(2, 5*mib), 2*mib)
	if f.KeepsNone {
		f.keepsNone(t, keeper, snap)
	}
	return keeper, vol, snap
}

// keepsNone: it says so, and the snapshot is as it was.
func (f VolumesFixture) keepsNone(t *testing.T, keeper drivers.Bases, snap stowage.Snapshot) {
	t.Helper()
	_, err := keeper.KeepSnapshot(t.Context(), snap, keptName)
	wantCode(t, "KeepSnapshot", err, stowage.NotFound)
	must(t, keeper.CheckSnapshot(t.Context(), snap))
	must(t, keeper.RemoveSnapshot(t.Context(), snap))
	if source, can := f.open(t, f.snapshot(t, snap.Volume, "suite-next")).(drivers.ChangeSource); can {
		t.Errorf("what changed is told by %T, and there is no base to tell it from", source)
	}
	t.Skip("no snapshot of these volumes may stay")
}

func keptIsTheSame(t *testing.T, f VolumesFixture) {
	keeper, vol, snap := f.bases(t)
	reader := f.open(t, snap)
	kept, err := keeper.KeepSnapshot(t.Context(), snap, keptName)
	must(t, err)

	if want := (stowage.Snapshot{Name: keptName, Volume: vol, ID: snap.ID, Bytes: snap.Bytes, At: snap.At}); kept != want {
		t.Errorf("kept as %+v, want %+v", kept, want)
	}
	must(t, keeper.CheckSnapshot(t.Context(), kept))
	wantCode(t, "CheckSnapshot by the old name", keeper.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	want := make([]byte, reader.Size())
	copy(want[3:], noise(1, 5*mib))
	same(t, "opened before", readAll(t, reader), want)
	same(t, "opened after", readAll(t, f.open(t, kept)), want)
	found, err := keeper.CreateSnapshot(t.Context(), vol, keptName)
	must(t, err)
	if found.ID != kept.ID {
		t.Errorf("found by its name: %+v, kept %+v", found, kept)
	}

	if source, ok := f.open(t, f.snapshot(t, vol, "suite-next")).(drivers.ChangeSource); ok {
		got := append([]byte(nil), want...)
		must(t, source.Changed(t.Context(), kept, 0, source.Size(), func(e stowage.Extent) error {
			_, err := source.ReadAt(got[e.Offset:e.End()], e.Offset)
			return ignoreEOF(err)
		}))
		same(t, "kept state and its changes", got, readAll(t, source))
	}
	// By its name alone, and the old name does nothing.
	must(t, keeper.RemoveSnapshot(t.Context(), snap))
	must(t, keeper.CheckSnapshot(t.Context(), kept))
	must(t, keeper.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: keptName, Volume: vol}))
	wantCode(t, "CheckSnapshot of the removed", keeper.CheckSnapshot(t.Context(), kept), stowage.NotFound)
}

// keptTwice: whoever kept it died before it could say so.
func keptTwice(t *testing.T, f VolumesFixture) {
	keeper, _, snap := f.bases(t)
	kept, err := keeper.KeepSnapshot(t.Context(), snap, keptName)
	must(t, err)
	for what, name := range map[string]stowage.Snapshot{"old": snap, "new": kept} {
		again, err := keeper.KeepSnapshot(t.Context(), name, keptName)
		if err != nil || again != kept {
			t.Errorf("kept again by its %s name: %+v, %v", what, again, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keeper.KeepSnapshot(ctx, snap, keptName); !errors.Is(err, context.Canceled) {
		t.Errorf("KeepSnapshot when cancelled: %v", err)
	}
}

func keptAnother(t *testing.T, f VolumesFixture) {
	keeper, vol, snap := f.bases(t)
	keep := func(snap stowage.Snapshot, name string) error {
		_, err := keeper.KeepSnapshot(t.Context(), snap, name)
		return err
	}
	for _, name := range badNames {
		wantCode(t, "KeepSnapshot as "+name, keep(snap, name), stowage.Invalid)
	}
	nameless, elsewhere := snap, snap
	nameless.ID, elsewhere.Volume.Backend = "", "other:backend"
	wantCode(t, "KeepSnapshot without an id", keep(nameless, keptName), stowage.Invalid)
	wantCode(t, "KeepSnapshot on another backend", keep(elsewhere, keptName), stowage.Invalid)

	taken := f.snapshot(t, vol, keptName)
	wantCode(t, "KeepSnapshot under a name that another has", keep(snap, keptName), stowage.Conflict)
	must(t, keeper.CheckSnapshot(t.Context(), snap))
	must(t, keeper.RemoveSnapshot(t.Context(), taken))

	must(t, keeper.RemoveSnapshot(t.Context(), snap))
	wantCode(t, "KeepSnapshot of the removed", keep(snap, keptName), stowage.NotFound)
	young := f.snapshot(t, vol, snap.Name)
	wantCode(t, "KeepSnapshot of another of the name", keep(snap, keptName), stowage.NotFound)
	must(t, keeper.CheckSnapshot(t.Context(), young))
}

// keptAndDeleted: a kept snapshot holds no deleted volume back, and one of a
// deleted volume is not kept.
func keptAndDeleted(t *testing.T, f VolumesFixture) {
	keeper, vol, snap := f.bases(t)
	if f.DeleteVolume == nil {
		t.Skip("this backend does not delete a volume that has snapshots")
	}
	kept, err := keeper.KeepSnapshot(t.Context(), snap, keptName)
	must(t, err)
	f.DeleteVolume(t, vol)
	wantCode(t, "CheckSnapshot", keeper.CheckSnapshot(t.Context(), kept), stowage.NotFound)
	_, err = keeper.KeepSnapshot(t.Context(), kept, keptName)
	wantCode(t, "KeepSnapshot again", err, stowage.NotFound)
	must(t, keeper.RemoveSnapshot(t.Context(), kept))
	f.wantNothingLeft(t, vol)

	_, vol, snap = f.bases(t)
	f.DeleteVolume(t, vol)
	_, err = keeper.KeepSnapshot(t.Context(), snap, keptName)
	wantCode(t, "KeepSnapshot of a deleted volume's", err, stowage.NotFound)
	must(t, keeper.CheckSnapshot(t.Context(), snap))
	must(t, keeper.RemoveSnapshot(t.Context(), snap))
	f.wantNothingLeft(t, vol)
}

func (f VolumesFixture) wantNothingLeft(t *testing.T, vol stowage.VolumeLocation) {
	t.Helper()
	if f.Left != nil && f.Left(t, vol) {
		t.Errorf("volume %s was deleted, and something is left of it", vol.Name)
	}
}
