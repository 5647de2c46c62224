package manager_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
)

// keeps lets a manager keep snapshots.
func keeps(h *harness.Harness, m *manager.Manager) *manager.Manager {
	return keepsThen(h, m, func() {})
}

func keepsThen(h *harness.Harness, m *manager.Manager, then func()) *manager.Manager {
	m.Backends[0].Open = func(context.Context) (drivers.Volumes, error) {
		dir := filepath.Join(h.Dir, "volumes")
		v, err := file.Open(file.Options{Key: harness.Backend, Dir: dir})
		return drivertest.FaultyVolumes(&harness.Keeping{Volumes: v, Dir: filepath.Join(dir, ".snapshots"), Then: then}, h.Disks), err
	}
	return m
}

// kept waits until the backup's snapshot is the only one there is, and the
// base of its volume; without a backup, until there is none.
func kept(t *testing.T, h *harness.Harness, volume string, p *point) {
	t.Helper()
	var why string
	defer func() {
		if t.Failed() {
			t.Log(why)
		}
	}()
	h.Until("the right snapshot is kept", func() bool {
		left := h.Snapshots()
		base, err := h.DB.Base(context.Background(), harness.Backend, volume)
		unneeded, other := h.DB.UnneededBases(context.Background(), []string{harness.Backend}, 10)
		if other != nil {
			t.Fatal(other)
		}
		why = fmt.Sprintf("snapshots %v, base %+v, %v, unneeded %+v", left, base, err, unneeded)
		if p == nil {
			return len(left) == 0 && stowage.CodeOf(err) == stowage.NotFound && len(unneeded) == 0
		}
		name := fmt.Sprintf("backup.%s.snap.%d", p.row.UUID, p.row.SnapshotAt.Unix())
		return len(left) == 1 && strings.HasSuffix(left[0], "@"+name) && err == nil && len(unneeded) == 0 &&
			base.BackupID == p.row.ID && base.BackupUUID == p.row.UUID && base.Snapshot.Name == name
	})
	h.Until("the volume is free", func() bool { return h.VolumeStatus(volume) == stowage.VolumeAvailable })
}

// modes counts the backups that were made so, as the log tells.
func modes(h *harness.Harness) map[string]int {
	h.LogMu.Lock()
	defer h.LogMu.Unlock()
	n := map[string]int{}
	for line := range strings.Lines(h.Log.String()) {
		if _, rest, ok := strings.Cut(line, `msg="backup stored"`); ok {
			_, mode, _ := strings.Cut(rest, " mode=")
			mode, _, _ = strings.Cut(mode, " ")
			n[mode]++
		}
	}
	return n
}

func wantModes(t *testing.T, h *harness.Harness, full, changed, compared int) {
	t.Helper()
	if got := modes(h); got["full"] != full || got["changed"] != changed || got["compared"] != compared {
		t.Errorf("the backups were %v, want %d full, %d changed and %d compared", got, full, changed, compared)
	}
}

func TestTheLastSnapshotStaysForTheNextBackup(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(keeps(h, h.Manager("m1")))
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	change(t, h, "9", "changed", 3, 17)
	second := backup(t, h, "9")
	kept(t, h, "9", &second)
	wantModes(t, h, 1, 1, 0)
	if !h.LogContains("mode=changed read=131072 ") {
		t.Error("more was read than two chunks")
	}
	back(t, h, first, second)

	gone(t, h, first) // not the one that is needed
	kept(t, h, "9", &second)
	change(t, h, "9", "changed again", 4)
	third := backup(t, h, "9")
	kept(t, h, "9", &third)
	wantModes(t, h, 1, 2, 0)
	back(t, h, second, third)
	gone(t, h, third)
	kept(t, h, "9", nil)

	// Without the snapshot of the newest that is left, everything is compared.
	change(t, h, "9", "and again", 5)
	fourth := backup(t, h, "9")
	kept(t, h, "9", &fourth)
	wantModes(t, h, 1, 2, 1)
	back(t, h, second, fourth)
	gone(t, h, second, fourth)
	kept(t, h, "9", nil)
	nothing(t, h)
}

func TestAManagerThatKeepsNoBases(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	stop := h.Start(keeps(h, h.Manager("m1")))
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	stop()
	m := keeps(h, h.Manager("m1"))
	m.KeepBases = false
	h.Start(m)
	change(t, h, "9", "changed", 3)
	second := backup(t, h, "9")
	kept(t, h, "9", &first) // it is still what the first was made of
	wantModes(t, h, 1, 1, 0)
	// The third begins from the second, and what is kept is the first's. Where
	// the volume is again as it was then, that would tell of no change.
	write(t, h, "9", first.want)
	third := backup(t, h, "9")
	wantModes(t, h, 1, 1, 1)
	back(t, h, first, second, third)
	gone(t, h, first)
	kept(t, h, "9", nil)
	gone(t, h, second, third)
	nothing(t, h)
}

// What is kept is the damaged one's, and not of the one that is gone back to.
func TestABaseOfADamagedBackupIsNotAsked(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(keeps(h, h.Manager("m1")))
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	change(t, h, "9", "changed", 3)
	second := backup(t, h, "9")
	kept(t, h, "9", &second)
	if err := h.ObjectStore().Delete(t.Context(), objectOf(t, h, second, "/pack-")); err != nil {
		t.Fatal(err)
	}
	change(t, h, "9", "changed again", 4)
	third := backup(t, h, "9")
	kept(t, h, "9", &third)
	wantModes(t, h, 1, 1, 1)
	if !third.row.Incremental || row(t, h, second.id).Damaged == "" {
		t.Errorf("the third is %+v", third.row)
	}
	back(t, h, first, third)
	gone(t, h, second, first)
	back(t, h, third)
	gone(t, h, third)
	kept(t, h, "9", nil)
	nothing(t, h)
}

func TestABaseThatIsGoneCostsOnlyTime(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, h *harness.Harness){
		"removed before": func(t *testing.T, h *harness.Harness) { removeSnapshots(t, h) },
		"removed while it is asked": func(t *testing.T, h *harness.Harness) {
			h.Disks.On(drivertest.OpChanged, "").Run(func() { removeSnapshots(t, h) })
		},
		"gone in the end": func(t *testing.T, h *harness.Harness) {
			h.Disks.On(drivertest.OpChanged, "").After(stowage.Errorf(stowage.NotFound, "It is gone."))
		},
		"another of the name": func(t *testing.T, h *harness.Harness) {
			for _, dir := range h.Snapshots() {
				file, err := filepath.Glob(filepath.Join(dir, "*.raw"))
				if err == nil {
					err = os.Rename(file[0], filepath.Join(dir, "other.raw"))
				}
				if err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Start(keeps(h, h.Manager("m1")))
			h.Volume("9", size)
			first := backup(t, h, "9")
			kept(t, h, "9", &first)
			lose(t, h)
			change(t, h, "9", "changed", 3)
			second := backup(t, h, "9")
			wantModes(t, h, 1, 0, 1)
			if !second.row.Incremental {
				t.Error("it is no increment")
			}
			if name == "another of the name" {
				return // that one is nobody's, and stays
			}
			kept(t, h, "9", &second)
			back(t, h, first, second)
			gone(t, h, first, second)
			kept(t, h, "9", nil)
			nothing(t, h)
		})
	}
}

// removeSnapshots is what somebody does by hand.
func removeSnapshots(t *testing.T, h *harness.Harness) {
	t.Helper()
	for _, dir := range h.Snapshots() {
		if strings.Contains(dir, "@backup.") {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAStorageThatCannotTellForNowIsAskedAgain(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(keeps(h, h.Manager("m1")))
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	change(t, h, "9", "changed", 3)
	h.Disks.On(drivertest.OpChanged, "").Before(stowage.Errorf(stowage.Unavailable, "Not now."))
	second := backup(t, h, "9")
	kept(t, h, "9", &second)
	wantModes(t, h, 1, 1, 0)
	back(t, h, first, second)
}

// The manager dies while it keeps a snapshot, or while it removes the one that
// was replaced.
func TestBasesSurviveTheDeathOfTheirManager(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(h *harness.Harness, now func()){
		"before it is kept":     func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpKeepSnapshot, "").Run(now) },
		"before the old one":    func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpRemoveSnapshot, "backup.").Run(now) },
		"while it asks":         func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpChanged, "").Run(now) },
		"kept, and not yet set": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Volume("9", size)
			stop := h.Start(keeps(h, h.Manager("m0")))
			first := backup(t, h, "9")
			kept(t, h, "9", &first)
			stop()
			change(t, h, "9", "changed", 3, 17)
			want := h.Bytes("9")
			then := func() {}
			if die == nil {
				die = func(_ *harness.Harness, now func()) { then = now }
			}
			dead := deadly(t, h, die, func(m *manager.Manager) { keepsThen(h, m, func() { then() }) })
			id := h.Create("9")
			<-dead
			h.Clock.Step(2 * time.Minute)
			h.Start(keeps(h, h.Manager("m2")))
			second := backed(t, h, id, want)
			kept(t, h, "9", &second)
			wantModes(t, h, 1, 1, 0)
			back(t, h, first, second)
			gone(t, h, second, first)
			kept(t, h, "9", nil)
			later(t, h)
			nothing(t, h)
		})
	}
}

// Cinder removes the snapshots of a volume that it deletes, and does not get over one
// that somebody else removed meanwhile.
func TestABaseIsLeftToCinderWhileItDeletesTheVolume(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(keeps(h, h.Manager("m1")))
	h.Volume("9", size)
	first := backup(t, h, "9")
	kept(t, h, "9", &first)
	var looked atomic.Int32
	h.Cinder.Change(func(v *cloud.Volume) {
		v.Status = stowage.VolumeDeleting
		looked.Add(1)
	})
	gone(t, h, first)
	h.Until("it was looked at", func() bool { return looked.Load() > 2 })
	if left := h.Snapshots(); len(left) != 1 {
		t.Fatalf("snapshots: %v", left)
	}
	h.Cinder.Change(nil)
	kept(t, h, "9", nil)
}
