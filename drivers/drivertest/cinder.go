package drivertest

import (
	"context"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

func (f *faultyVolumes) CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (snap stowage.Snapshot, err error) {
	err = f.faults.call(OpCinderSnapshot, vol.Name, func() (err error) {
		finder, ok := f.Volumes.(drivers.CinderSnapshots)
		if !ok {
			return stowage.Errorf(stowage.NotFound, "snapshots of Cinder's are not looked for here")
		}
		snap, err = finder.CinderSnapshot(ctx, vol, id)
		return err
	})
	return snap, err
}

// cinder takes a snapshot as Cinder does, and gives what removes it.
func (f VolumesFixture) cinder(t *testing.T, vol stowage.VolumeLocation, id string) (taken stowage.Snapshot, remove func()) {
	t.Helper()
	if f.CinderSnapshot != nil {
		return f.CinderSnapshot(t, vol, id), func() { f.RemoveCinderSnapshot(t, vol, id) }
	}
	taken = f.snapshot(t, vol, "snapshot-"+id)
	return taken, func() { must(t, f.Volumes.RemoveSnapshot(t.Context(), taken)) }
}

// What Cinder took is as good as a snapshot of our own, and changes can be told from one
// to the other.
func cindersSnapshot(t *testing.T, f VolumesFixture) {
	finder, ok := f.Volumes.(drivers.CinderSnapshots)
	if !ok {
		t.Skip("it finds none of Cinder's")
	}
	const id, other = "6c1e5f3a-8f0b-4a53-9d39-0f4f7a2f6b11", "00000000-0000-4000-8000-000000000000"
	vol, another := f.volume(t, 4*mib), f.volume(t, 4*mib)
	f.write(t, vol, noise(1, mib), 0)
	base := f.snapshot(t, vol, "suite-before")
	want := noise(2, mib)
	f.write(t, vol, want, 2*mib)
	taken, remove := f.cinder(t, vol, id)
	f.write(t, vol, noise(3, mib), 2*mib)

	found, err := finder.CinderSnapshot(t.Context(), vol, id)
	must(t, err)
	if found.ID != taken.ID || found.Name != taken.Name || found.Bytes != taken.Bytes || !found.At.Equal(taken.At) || found.Volume != vol {
		t.Errorf("found %+v, taken was %+v", found, taken)
	}
	source := f.open(t, found)
	same(t, "what Cinder took", readAll(t, source)[2*mib:3*mib], want)
	if changes, ok := source.(drivers.ChangeSource); ok {
		covered := false
		must(t, changes.Changed(t.Context(), base, 0, source.Size(), func(e stowage.Extent) error {
			covered = covered || e.Offset <= 2*mib && e.Offset+e.Length >= 3*mib
			return nil
		}))
		if !covered {
			t.Error("what changed since a snapshot of our own is not told")
		}
	}
	must(t, f.Volumes.CheckSnapshot(t.Context(), found))
	_, err = finder.CinderSnapshot(t.Context(), vol, other)
	wantCode(t, "one that there is not", err, stowage.NotFound)
	_, err = finder.CinderSnapshot(t.Context(), another, id)
	wantCode(t, "one of another volume", err, stowage.NotFound)
	for _, none := range []string{"../x", "a b"} {
		_, err = finder.CinderSnapshot(t.Context(), vol, none)
		wantCode(t, "no id: "+none, err, stowage.Invalid)
	}
	must(t, source.Close()) // Cinder may not remove what is read
	remove()
	wantCode(t, "CheckSnapshot of what was removed", f.Volumes.CheckSnapshot(t.Context(), found), stowage.NotFound)
	_, err = f.Volumes.OpenSnapshot(t.Context(), found)
	wantCode(t, "OpenSnapshot of what was removed", err, stowage.NotFound)
	_, err = finder.CinderSnapshot(t.Context(), vol, id)
	wantCode(t, "one that was removed", err, stowage.NotFound)
	vol.Name += "-not-there"
	_, err = finder.CinderSnapshot(t.Context(), vol, id)
	wantCode(t, "of a volume that is none", err, stowage.NotFound)
}
