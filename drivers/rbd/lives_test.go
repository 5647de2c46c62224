//go:build stack && ceph

package rbd_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

const mib = int64(1) << 20

func (r *rig) snapshot(t *testing.T, vol stowage.VolumeLocation, name string) (stowage.Snapshot, drivers.Source) {
	t.Helper()
	snap, err := r.CreateSnapshot(t.Context(), vol, name)
	must(t, err)
	source, err := r.OpenSnapshot(t.Context(), snap)
	must(t, err)
	t.Cleanup(func() { _ = source.Close() })
	return snap, source
}

func (r *rig) write(t *testing.T, name string, data []byte, offset int64) {
	t.Helper()
	image := r.image(t, name)
	_, err := image.WriteAt(data, offset)
	must(t, err)
	must(t, image.Flush())
	must(t, image.Close())
}

func pattern(n int64) []byte { return bytes.Repeat([]byte("stowage."), int(n/8)) }

func wantData(t *testing.T, what string, source io.ReaderAt, offset int64, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := source.ReadAt(got, offset); err != nil && err != io.EOF || !bytes.Equal(got, want) {
		t.Errorf("%s: not what was written (%v)", what, err)
	}
}

// A volume deleted while it is read stays whole, and goes with our snapshot.
func TestStackDeletedWhileRead(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 32*mib, cinders)
	r.write(t, vol.Name, pattern(20*mib), 4*mib)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	other, err := r.CreateSnapshot(t.Context(), vol, "stowage-inflight.2")
	must(t, err)
	wantData(t, "before", source, 4*mib, pattern(8*mib))

	r.deleteAsCinder(t, vol)

	wantData(t, "after", source, 12*mib, pattern(12*mib))
	must(t, r.CheckSnapshot(t.Context(), snap))
	if n := len(r.inTrash(t, vol)); n != 1 {
		t.Fatalf("%d images of the volume are in the trash", n)
	}
	must(t, source.Close())
	must(t, r.RemoveSnapshot(t.Context(), snap))
	if n := len(r.inTrash(t, vol)); n != 1 {
		t.Fatal("the image is gone, and another snapshot needed it")
	}
	must(t, r.CheckSnapshot(t.Context(), other))
	// The second one is known by its name only.
	must(t, r.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: other.Name, Volume: vol}))
	if n := len(r.inTrash(t, vol)); n != 0 {
		t.Error("the image is still in the trash")
	}
	must(t, r.RemoveSnapshot(t.Context(), snap))
	must(t, r.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: other.Name, Volume: vol}))
}

// A volume deleted just when its snapshot got its new name: nothing stays.
func TestStackKeptInTheTrash(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	must(t, source.Close())
	_, err := r.Volumes.(drivers.Bases).KeepSnapshot(t.Context(), snap, "backup.1.snap.1")
	must(t, err)
	must(t, ceph.GetImage(r.ioctx, vol.Name).Trash(0)) // as Cinder, which had looked for such snapshots before
	_, err = r.Volumes.(drivers.Bases).KeepSnapshot(t.Context(), snap, "backup.1.snap.1")
	wantCode(t, "KeepSnapshot in the trash", err, stowage.NotFound)
	must(t, r.RemoveSnapshot(t.Context(), snap))
	if n := len(r.inTrash(t, vol)); n != 0 {
		t.Error("the image is still in the trash")
	}
}

// Whoever removed the snapshot and died before the purge is followed by one
// who knows the id.
func TestStackPurgeAfterACrash(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	must(t, source.Close())
	image := r.image(t, vol.Name)
	must(t, image.GetSnapshot(snap.Name).Remove())
	must(t, image.Close())
	must(t, ceph.GetImage(r.ioctx, vol.Name).Trash(0))

	must(t, r.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: snap.Name, Volume: vol}))
	if n := len(r.inTrash(t, vol)); n != 1 {
		t.Error("purged on the strength of a name alone")
	}
	must(t, r.RemoveSnapshot(t.Context(), snap))
	if n := len(r.inTrash(t, vol)); n != 0 {
		t.Error("the image is still in the trash")
	}
}

// What Cinder, or an operator, wants kept for a while is kept.
func TestStackDeferredDeletionIsKept(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	must(t, source.Close())
	must(t, ceph.GetImage(r.ioctx, vol.Name).Trash(time.Hour))
	must(t, r.RemoveSnapshot(t.Context(), snap))
	if n := len(r.inTrash(t, vol)); n != 1 {
		t.Error("purged before its time")
	}
	wantCode(t, "CheckSnapshot", r.CheckSnapshot(t.Context(), snap), stowage.NotFound)
}

// A volume of the same name beside a trashed one is not touched.
func TestStackTrashAndLiveOfOneName(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	must(t, source.Close())
	r.deleteAsCinder(t, vol)
	_, err := ceph.Create2(r.ioctx, vol.Name, uint64(4*mib), allFeatures, 22)
	must(t, err)

	must(t, r.CheckSnapshot(t.Context(), snap))
	must(t, r.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: snap.Name, Volume: vol}))
	if n := len(r.inTrash(t, vol)); n != 0 {
		t.Error("the image is still in the trash")
	}
	must(t, r.image(t, vol.Name).Close())
}

func TestStackRenamedWhileRead(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	r.write(t, vol.Name, pattern(mib), 0)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	must(t, ceph.GetImage(r.ioctx, vol.Name).Rename(vol.Name+"-renamed"))
	t.Cleanup(func() { r.wipe(t, vol.Name+"-renamed") })
	wantData(t, "open before", source, 0, pattern(mib))
	must(t, r.CheckSnapshot(t.Context(), snap))
	_, again := r.OpenSnapshot(t.Context(), snap)
	must(t, again)
	must(t, r.RemoveSnapshot(t.Context(), snap))
	wantCode(t, "CheckSnapshot", r.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	must(t, r.image(t, vol.Name+"-renamed").Close())
}

// Removed behind our back, as Cinder removes what looks like its own: reads
// give something, and only the check tells.
func TestStackRemovedAndMadeAgain(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 16*mib, cinders)
	r.write(t, vol.Name, pattern(16*mib), 0)
	snap, source := r.snapshot(t, vol, "backup.1.snap.1")
	image := r.image(t, vol.Name)
	must(t, image.GetSnapshot(snap.Name).Remove())
	_, err := image.CreateSnapshot(snap.Name)
	must(t, err)
	must(t, image.Close())

	_, _ = source.ReadAt(make([]byte, 4096), 8*mib)
	wantCode(t, "CheckSnapshot", r.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	_, err = r.OpenSnapshot(t.Context(), snap)
	wantCode(t, "OpenSnapshot", err, stowage.NotFound)
	must(t, r.RemoveSnapshot(t.Context(), snap))
	image = r.image(t, vol.Name)
	defer image.Close()
	if _, err := image.GetSnapID(snap.Name); err != nil {
		t.Errorf("the other snapshot of the name was removed: %v", err)
	}
}

func TestStackGrowthAfterTheSnapshot(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 10*mib+5, cinders)
	r.write(t, vol.Name, pattern(10*mib), 0)
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	image := r.image(t, vol.Name)
	must(t, image.Resize(uint64(64*mib)))
	must(t, image.Close())
	r.write(t, vol.Name, pattern(54*mib), 10*mib)

	again, err := r.OpenSnapshot(t.Context(), snap)
	must(t, err)
	defer again.Close()
	for _, s := range []drivers.Source{source, again} {
		if s.Size() != 10*mib+5 {
			t.Errorf("Size %d", s.Size())
		}
		wantData(t, "snapshot", s, 0, append(pattern(10*mib), 0, 0, 0, 0, 0))
		must(t, s.Allocated(t.Context(), 0, s.Size(), func(e stowage.Extent) error {
			if e.End() > s.Size() {
				t.Errorf("extent %+v", e)
			}
			return nil
		}))
	}
	found, err := r.CreateSnapshot(t.Context(), vol, snap.Name)
	must(t, err)
	if found.Bytes != 10*mib+5 || found.ID != snap.ID {
		t.Errorf("found again: %+v", found)
	}
	// And shrinking below it.
	image = r.image(t, vol.Name)
	must(t, image.Resize(uint64(mib)))
	must(t, image.Close())
	wantData(t, "snapshot of the shrunken volume", again, 8*mib, pattern(2*mib))
}

// A volume made from an image shares the image's objects until it writes.
func TestStackClone(t *testing.T) {
	for _, features := range []uint64{allFeatures, ceph.FeatureLayering} {
		r := newRig(t)
		parent := r.volume(t, 24*mib, layout{features: features, order: 22})
		r.write(t, parent.Name, pattern(8*mib), 4*mib)
		image := r.image(t, parent.Name)
		snap, err := image.CreateSnapshot("snap")
		must(t, err)
		must(t, snap.Protect())
		must(t, image.Close())
		options := ceph.NewRbdImageOptions()
		defer options.Destroy()
		must(t, options.SetUint64(ceph.ImageOptionFeatures, features))
		clone := stowage.VolumeLocation{Backend: r.Backend(), Name: parent.Name + "-clone"}
		must(t, ceph.CloneImage(r.ioctx, parent.Name, "snap", r.ioctx, clone.Name, options))
		t.Cleanup(func() { r.wipe(t, clone.Name) })

		target, err := r.OpenTarget(t.Context(), clone)
		must(t, err)
		if empty, err := target.Empty(t.Context()); empty || err != nil {
			t.Errorf("a clone of data is empty: %v, %v", empty, err)
		}
		must(t, target.Close())
		r.write(t, clone.Name, pattern(mib), 17*mib)
		_, source := r.snapshot(t, clone, "stowage-inflight.1")
		want := make([]byte, 24*mib)
		copy(want[4*mib:], pattern(8*mib))
		copy(want[17*mib:], pattern(mib))
		got := make([]byte, 24*mib)
		var sum int64
		must(t, source.Allocated(t.Context(), 0, 24*mib, func(e stowage.Extent) error {
			sum += e.Length
			_, err := source.ReadAt(got[e.Offset:e.End()], e.Offset)
			if err == io.EOF {
				err = nil
			}
			return err
		}))
		if !bytes.Equal(got, want) || sum > 12*mib {
			t.Errorf("the clone's extents, %d bytes, do not make up its data", sum)
		}

		// Zeros over what the parent holds must hide it.
		target, err = r.OpenTarget(t.Context(), clone)
		must(t, err)
		must(t, target.WriteZeroes(5*mib+1, 6*mib))
		must(t, target.Flush())
		must(t, target.Close())
		clear(want[5*mib+1 : 11*mib+1])
		_, source = r.snapshot(t, clone, "stowage-inflight.2")
		wantData(t, "clone with zeros", source, 0, want)
		must(t, r.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.1", Volume: clone}))
		must(t, r.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.2", Volume: clone}))
	}
}
