package cloudtest

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

func all(string) bool { return true }

// Snapshots of volumes, in use or not, and by their ids.
func (f ServersFixture) testVolumeSnapshots(t *testing.T) {
	req := f.request(t)
	f.build(t, req)
	used, free := req.Volumes[0].VolumeID, f.volume(t)
	mark := uuid.NewString()
	t.Cleanup(func() {
		if err := f.Servers.RemoveServerSnapshots(context.WithoutCancel(t.Context()), f.project(), mark, all); err != nil {
			t.Errorf("remove what was taken: %v", err)
		}
	})
	first, err := f.Servers.SnapshotVolumes(t.Context(), f.project(), []string{used}, mark)
	must(t, err, "take a snapshot of a volume in use")
	taken, err := f.Servers.SnapshotVolumes(t.Context(), f.project(), []string{used, free}, mark)
	must(t, err, "take one of another as well")
	if len(taken) != 2 || taken[used] == "" || taken[used] != first[used] || taken[free] == "" {
		t.Fatalf("took %v, and %v before", taken, first)
	}
	f.Cinder.await(t, used, stowage.VolumeInUse)
	f.Cinder.await(t, free, stowage.VolumeAvailable)
	listed := f.marked(t, mark)
	slices.SortFunc(listed, func(a, b cloud.Snapshot) int {
		return slices.Index([]string{used, free}, a.VolumeID) - slices.Index([]string{used, free}, b.VolumeID)
	})
	if want := []cloud.Snapshot{{ID: taken[used], VolumeID: used, Mark: mark}, {ID: taken[free], VolumeID: free, Mark: mark}}; !slices.Equal(listed, want) {
		t.Errorf("listed are %+v, want %+v", listed, want)
	}
	for range 2 { // gone is gone
		must(t, f.Servers.RemoveSnapshots(t.Context(), f.project(), []string{taken[used], noSuchID}), "remove one by its id")
	}
	if left := f.marked(t, mark); len(left) != 1 || left[0].ID != taken[free] {
		t.Errorf("left is %+v", left)
	}
	must(t, f.Servers.RemoveServerSnapshots(t.Context(), f.project(), mark, all), "remove all by the mark")
	if left := f.marked(t, mark); len(left) != 0 {
		t.Errorf("left is %+v", left)
	}
	_, err = f.Servers.SnapshotVolumes(t.Context(), f.project(), []string{noSuchID}, mark)
	wantCode(t, err, stowage.NotFound, "take a snapshot of a volume that is none")
}

// marked lists the snapshots of a mark.
func (f ServersFixture) marked(t *testing.T, mark string) []cloud.Snapshot {
	t.Helper()
	list, err := f.Servers.ListSnapshots(t.Context(), f.project())
	must(t, err, "list snapshots")
	return slices.DeleteFunc(list, func(s cloud.Snapshot) bool { return s.Mark != mark })
}
