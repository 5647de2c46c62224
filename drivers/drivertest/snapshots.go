package drivertest

import (
	"testing"

	"github.com/stowage/stowage"
)

func snapshotIsolated(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 8*mib+1234)
	first := noise(1, 3*mib)
	f.write(t, vol, first, 777)
	snap := f.snapshot(t, vol, "suite-one")
	f.write(t, vol, noise(2, 5*mib), 0)

	if snap.Name != "suite-one" || snap.Volume != vol || snap.ID == "" || snap.At.IsZero() {
		t.Errorf("CreateSnapshot gave %+v", snap)
	}
	source := f.open(t, snap)
	if source.Size() != snap.Bytes || snap.Bytes < 8*mib+1234 {
		t.Errorf("Size %d, snapshot of %d bytes", source.Size(), snap.Bytes)
	}
	want := make([]byte, source.Size())
	copy(want[777:], first)
	same(t, "snapshot", readAll(t, source), want)
	must(t, f.Volumes.CheckSnapshot(t.Context(), snap))
}

func snapshotTwice(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 4*mib)
	first := noise(1, mib)
	f.write(t, vol, first, 0)
	one := f.snapshot(t, vol, "suite-twice")
	f.write(t, vol, noise(2, mib), 0)
	two := f.snapshot(t, vol, "suite-twice")

	if one.ID != two.ID || one.Bytes != two.Bytes || !one.At.Equal(two.At) || one.Volume != two.Volume {
		t.Errorf("created %+v, then found %+v", one, two)
	}
	same(t, "snapshot found again", readAll(t, f.open(t, two))[:mib], first)
}

func snapshotAnother(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 4*mib)
	old := f.snapshot(t, vol, "suite-again")
	must(t, f.Volumes.RemoveSnapshot(t.Context(), old))
	young := f.snapshot(t, vol, "suite-again")
	if young.ID == old.ID {
		t.Errorf("both have the id %q", old.ID)
	}
	_, err := f.Volumes.OpenSnapshot(t.Context(), old)
	wantCode(t, "OpenSnapshot of the old one", err, stowage.NotFound)
	wantCode(t, "CheckSnapshot of the old one", f.Volumes.CheckSnapshot(t.Context(), old), stowage.NotFound)
	must(t, f.Volumes.CheckSnapshot(t.Context(), young))
}

func snapshotRemovedWhileRead(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 4*mib)
	f.write(t, vol, noise(1, 4*mib), 0)
	snap := f.snapshot(t, vol, "suite-removed")
	source := f.open(t, snap)
	_, err := source.ReadAt(make([]byte, 512), 0)
	must(t, err)
	must(t, f.Volumes.CheckSnapshot(t.Context(), snap))

	must(t, f.Volumes.RemoveSnapshot(t.Context(), snap))

	// Whatever a read gives now, the check says that it is worth nothing.
	_, _ = source.ReadAt(make([]byte, 512), 2*mib)
	wantCode(t, "CheckSnapshot", f.Volumes.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	_, err = f.Volumes.OpenSnapshot(t.Context(), snap)
	wantCode(t, "OpenSnapshot", err, stowage.NotFound)
}

func snapshotRemoveTwice(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 4*mib)
	f.write(t, vol, noise(1, mib), 0)
	kept := f.snapshot(t, vol, "suite-kept")
	snap := f.snapshot(t, vol, "suite-gone")

	// Only volume and name: the manager died before it noted the id.
	nameless := stowage.Snapshot{Name: snap.Name, Volume: vol}
	must(t, f.Volumes.RemoveSnapshot(t.Context(), nameless))
	wantCode(t, "CheckSnapshot", f.Volumes.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	must(t, f.Volumes.RemoveSnapshot(t.Context(), nameless))
	must(t, f.Volumes.RemoveSnapshot(t.Context(), snap))
	must(t, f.Volumes.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "suite-never", Volume: vol}))

	must(t, f.Volumes.CheckSnapshot(t.Context(), kept))
	same(t, "volume", f.contents(t, vol)[:mib], noise(1, mib))
}

func snapshotOfDeleted(t *testing.T, f VolumesFixture) {
	if f.DeleteVolume == nil {
		t.Skip("this backend does not delete a volume that has snapshots")
	}
	vol := f.volume(t, 8*mib)
	data := noise(1, 6*mib)
	f.write(t, vol, data, 0)
	snap := f.snapshot(t, vol, "suite-orphan")
	source := f.open(t, snap)

	f.DeleteVolume(t, vol)

	same(t, "source open before", readAll(t, source)[:len(data)], data)
	must(t, f.Volumes.CheckSnapshot(t.Context(), snap))
	same(t, "source opened after", readAll(t, f.open(t, snap))[:len(data)], data)
	_, err := f.Volumes.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget", err, stowage.NotFound)

	must(t, source.Close())
	must(t, f.Volumes.RemoveSnapshot(t.Context(), snap))
	wantCode(t, "CheckSnapshot", f.Volumes.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	must(t, f.Volumes.RemoveSnapshot(t.Context(), snap))
}
