package manager_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
)

// outliving is a driver whose kept snapshots outlive their volume, as thin ones
// of LVM do: it lists all there are, and once deleted is set, all that are kept
// as those of a volume that is gone.
type outliving struct {
	*harness.Keeping
	h       *harness.Harness
	deleted *atomic.Bool
	looks   *atomic.Int64
}

func (o *outliving) Leftovers(ctx context.Context) (list []stowage.Snapshot, err error) {
	defer o.looks.Add(1)
	for _, dir := range o.h.Snapshots() {
		volume, name, ok := strings.Cut(filepath.Base(dir), "@")
		if !ok || strings.HasPrefix(volume, ".") {
			continue // being made, or removed
		}
		vol := stowage.VolumeLocation{Backend: harness.Backend, Name: volume}
		snap, err := o.CreateSnapshot(ctx, vol, name) // the one that is there
		if err != nil {
			return nil, err
		}
		list = append(list, snap)
	}
	return list, nil
}

func (o *outliving) Orphans(ctx context.Context) (list []stowage.Snapshot, err error) {
	if !o.deleted.Load() {
		return nil, nil
	}
	all, err := o.Leftovers(ctx)
	for _, snap := range all {
		if strings.HasPrefix(snap.Name, "backup.") {
			list = append(list, snap)
		}
	}
	return list, err
}

// outlive gives a manager such a driver.
func outlive(h *harness.Harness, m *manager.Manager) (*manager.Manager, *outliving) {
	o := &outliving{h: h, deleted: &atomic.Bool{}, looks: &atomic.Int64{}}
	m.Backends[0].Open = func(context.Context) (drivers.Volumes, error) {
		dir := filepath.Join(h.Dir, "volumes")
		v, err := file.Open(file.Options{Key: harness.Backend, Dir: dir})
		o.Keeping = &harness.Keeping{Volumes: v, Dir: filepath.Join(dir, ".snapshots")}
		return drivertest.FaultyVolumes(o, h.Disks), err
	}
	return m, o
}

// looked has the manager look so many times more, with the grace in between.
func (o *outliving) looked(times int64) {
	for want := o.looks.Load() + times; o.looks.Load() < want; {
		before := o.looks.Load()
		o.h.Clock.Step(2 * time.Minute)
		o.h.Until("it looks", func() bool { return o.looks.Load() > before })
	}
	o.h.Until("it has reported since", func() bool {
		list, err := o.h.DB.Services(context.Background())
		return err == nil && slices.ContainsFunc(list, func(s stowage.Service) bool { return o.h.Clock.Now().Sub(s.LastSeen) < time.Minute })
	})
}

// A base stays as long as its volume does, and goes when that is gone: the row
// and the snapshot, though its backup is still there.
func TestABaseGoesWithItsVolume(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	m, o := outlive(h, h.Manager("m1"))
	h.Start(m)
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	o.looked(4)
	kept(t, h, "9", &first)
	change(t, h, "9", "changed", 3)
	second := backup(t, h, "9")
	kept(t, h, "9", &second)
	wantModes(t, h, 1, 1, 0)

	o.deleted.Store(true)
	h.Disks.On(drivertest.OpRemoveSnapshot, "backup.").After(stowage.Errorf(stowage.Unavailable, "Not now.")) // the first time
	h.Until("nothing is kept of it", func() bool {
		h.Clock.Step(2 * time.Minute)
		_, err := h.DB.Base(context.Background(), harness.Backend, "9")
		return len(h.Snapshots()) == 0 && stowage.CodeOf(err) == stowage.NotFound
	})
	o.looked(1)
	back(t, h, first, second)
	gone(t, h, second, first)
	nothing(t, h)
}

// A kept snapshot that no row knows of is removed, and no other.
func TestAKeptSnapshotThatNobodyKnowsOfIsRemoved(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	m, o := outlive(h, h.Manager("m1"))
	stop := h.Start(m)
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	vol := stowage.VolumeLocation{Backend: harness.Backend, VolumeID: "9", Name: "volume-9"}
	o.looked(1) // the first, which it took at start
	lost := "backup.11111111-2222-4333-8444-555555555555.snap.1795000000"
	for _, name := range []string{lost, "backup.of-the-operator", "backup.1.snap.1"} {
		if _, err := o.CreateSnapshot(t.Context(), vol, name); err != nil {
			t.Fatal(err)
		}
	}
	o.looked(1)
	if left := h.Snapshots(); len(left) != 4 {
		t.Errorf("after one look there are %v", left)
	}
	stop()
	m, o = outlive(h, h.Manager("m2"))
	h.Start(m)
	h.Until("it is gone", func() bool {
		h.Clock.Step(2 * time.Minute)
		return !strings.Contains(strings.Join(h.Snapshots(), " "), lost)
	})
	o.looked(3)
	if left := h.Snapshots(); len(left) != 3 || !strings.Contains(strings.Join(left, " "), first.row.UUID) {
		t.Errorf("left are %v", left)
	}
	if _, err := h.DB.Base(t.Context(), harness.Backend, "9"); err != nil {
		t.Error(err)
	}
}
