package manager_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
)

const size = 3_000_000

// restore begins a restore as demo and gives the target's id.
func restore(t *testing.T, h *harness.Harness, backup, body string) string {
	t.Helper()
	a := h.Call("demo:demo", http.MethodPost, harness.Base("demo")+"/"+backup+"/restore", body)
	if a.Status != http.StatusOK {
		t.Fatalf("restore: %d %s", a.Status, a.Body)
	}
	return a.JSON(t)["restore"].(map[string]any)["volume_id"].(string)
}

func remove(t *testing.T, h *harness.Harness, backup string) {
	t.Helper()
	if a := h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+backup, ""); a.Status != http.StatusAccepted {
		t.Fatalf("delete: %d %s", a.Status, a.Body)
	}
}

// clean waits until nothing is left locked or half done.
func clean(t *testing.T, h *harness.Harness, volumes ...string) {
	t.Helper()
	h.Until("no snapshot is left", func() bool { return len(h.Snapshots()) == 0 })
	for _, v := range volumes {
		h.Until("volume "+v+" is free", func() bool { return h.VolumeStatus(v) == stowage.VolumeAvailable })
	}
	h.Until("no lock is left", func() bool {
		locked, err := h.DB.Locked(context.Background(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(locked) == 0
	})
}

func TestTheWholeLifeOfABackup(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	data := h.Volume("9", size)
	id := h.Create("9")
	got := h.Await(id, stowage.BackupAvailable)
	if got["size"] != 1.0 || got["object_count"] != float64(len(h.Objects())) || got["fail_reason"] != nil || got["snapshot_at"] == nil {
		t.Errorf("the backup is %v, with %d objects", got, len(h.Objects()))
	}
	clean(t, h, "9")

	target := restore(t, h, id, `{"restore": {}}`)
	h.Await(id, stowage.BackupAvailable)
	clean(t, h, target)
	if !bytes.Equal(h.Bytes(target)[:size], data) {
		t.Error("the new volume is not equal")
	}
	if err := os.WriteFile(h.VolumeFile("10"), bytes.Repeat([]byte{7}, size+5), 0o600); err != nil {
		t.Fatal(err)
	}
	restore(t, h, id, `{"restore": {"volume_id": "10"}}`)
	h.Await(id, stowage.BackupAvailable)
	clean(t, h, "10")
	if got := h.Bytes("10"); !bytes.Equal(got[:size], data) || !bytes.Equal(got[size:], bytes.Repeat([]byte{7}, 5)) {
		t.Error("the existing volume is not equal")
	}

	remove(t, h, id)
	h.Await(id, "")
	if left := h.Objects(); len(left) != 0 {
		t.Errorf("left in the container: %v", left)
	}
}

func TestANewVolumeGetsTheMetadataOfTheSource(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	meta, image := map[string]string{"k": "v", "src_backup_id": "older"}, map[string]string{"os_type": "linux"}
	if err := h.Cinder.Volumes.SetMetadata(t.Context(), "9", meta, image, true); err != nil {
		t.Fatal(err)
	}
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	target := restore(t, h, id, `{"restore": {"volume_id": null}}`)
	h.Await(id, stowage.BackupAvailable)
	v, err := h.Cinder.Volumes.Volume(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if v.Metadata["k"] != "v" || v.Metadata["src_backup_id"] == "older" || len(v.Metadata) != 2 || v.ImageMetadata["os_type"] != "linux" || !v.Bootable {
		t.Errorf("the new volume is %+v", v)
	}
}

// The manager dies (its process is gone, no deferred call is made) at every
// outside step of a backup; another one finishes what it began.
func TestABackupSurvivesTheDeathOfItsManagerAtAnyStep(t *testing.T) {
	for name, die := range map[string]func(h *harness.Harness, now func()){
		"before the snapshot": func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpCreateSnapshot, "").Run(now) },
		"after the snapshot":  func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpOpenSnapshot, "").Run(now) },
		"before the volume is free": func(h *harness.Harness, now func()) {
			h.Cinder.Before("Release", func(string) error { now(); return nil })
		},
		"after the volume is free": func(h *harness.Harness, now func()) {
			h.Cinder.After("Release", func(string) error { now(); return nil })
		},
		"at the first object": func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpPut, "pack").Run(now) },
		"in the middle":       func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpPut, "pack").Skip(2).Run(now) },
		"before the proof":    func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpCheckSnapshot, "").Run(now) },
		"before the root":     func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpPut, "root").Run(now) },
		"after the root":      func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpRemoveSnapshot, "").Run(now) },
	} {
		t.Run(name, func(t *testing.T) {
			h := harness.New(t)
			data := h.Volume("9", size)
			dead := deadly(t, h, die)
			id := h.Create("9")
			<-dead
			h.Cinder.Before("Release", nil)
			h.Cinder.After("Release", nil)
			h.Clock.Step(2 * time.Minute) // the dead one's lease runs out
			h.Start(h.Manager("m2"))
			h.Await(id, stowage.BackupAvailable)
			clean(t, h, "9")
			target := restore(t, h, id, `{"restore": {}}`)
			h.Await(id, stowage.BackupAvailable)
			if !bytes.Equal(h.Bytes(target)[:size], data) {
				t.Error("the restored volume is not equal")
			}
			remove(t, h, id)
			h.Await(id, "")
			if left := h.Objects(); len(left) != 0 {
				t.Errorf("left in the container: %v", left)
			}
		})
	}
}

// deadly starts a manager that dies when the fault comes: the goroutine that
// meets it never goes on, and the manager's lease is never renewed again. The
// channel is closed when that has happened.
func deadly(t *testing.T, h *harness.Harness, die func(h *harness.Harness, now func()), change ...func(*manager.Manager)) <-chan struct{} {
	t.Helper()
	dead, buried := make(chan struct{}), make(chan struct{})
	m := h.Manager("m1")
	ctx, cancel := context.WithCancel(context.Background())
	m.GraceTime = time.Hour
	for _, fn := range change {
		fn(m)
	}
	m.Now = time.Now // what it renews is not worth anything once the clock is stepped
	// A sweep may come by while it dies.
	now := sync.OnceFunc(func() {
		close(dead)
		cancel()
	})
	die(h, func() {
		now()
		<-buried
	})
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		close(buried)
		cancel()
		<-ended
	})
	h.Until("the manager has reported itself", func() bool {
		list, err := h.DB.Services(context.Background())
		return err == nil && len(list) > 0 && len(list[0].Backends) > 0
	})
	return dead
}

func TestARestoreSurvivesTheDeathOfItsManagerAtAnyStep(t *testing.T) {
	for name, die := range map[string]func(h *harness.Harness, now func()){
		"before it opens the target": func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpOpenTarget, "").Run(now) },
		"before the first byte":      func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpEmpty, "").Run(now) },
		"in the middle":              func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpGet, "pack").Skip(3).Run(now) },
		"before the flush":           func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpFlush, "").Run(now) },
		"before the metadata": func(h *harness.Harness, now func()) {
			h.Cinder.Before("SetMetadata", func(string) error { now(); return nil })
		},
		"before the volume is free": func(h *harness.Harness, now func()) {
			h.Cinder.Before("Release", func(string) error { now(); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness.New(t)
			data := h.Volume("9", size)
			stop := h.Start(h.Manager("m0"))
			id := h.Create("9")
			h.Await(id, stowage.BackupAvailable)
			clean(t, h, "9")
			stop()
			dead := deadly(t, h, die)
			target := restore(t, h, id, `{"restore": {}}`)
			<-dead
			if s := h.VolumeStatus(target); s != stowage.VolumeRestoringBackup {
				t.Errorf("half restored, the volume is %s", s)
			}
			h.Cinder.Before("SetMetadata", nil)
			h.Cinder.Before("Release", nil)
			h.Bury()
			h.Clock.Step(2 * time.Minute)
			h.Start(h.Manager("m2"))
			h.Await(id, stowage.BackupAvailable)
			clean(t, h, target)
			if !bytes.Equal(h.Bytes(target)[:size], data) {
				t.Error("the restored volume is not equal")
			}
		})
	}
}

func TestADeleteSurvivesTheDeathOfItsManager(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	stop := h.Start(h.Manager("m0"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	stop()
	dead := deadly(t, h, func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpDelete, "pack").Skip(2).Run(now) })
	remove(t, h, id)
	<-dead
	h.Clock.Step(2 * time.Minute)
	h.Start(h.Manager("m2"))
	h.Await(id, "")
	if left := h.Objects(); len(left) != 0 {
		t.Errorf("left in the container: %v", left)
	}
}

// A manager that was taken for dead and is not must change nothing any more.
func TestAManagerThatWasOnlySlowChangesNothing(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	slow, goOn := make(chan struct{}), make(chan struct{})
	h.Disks.On(drivertest.OpCheckSnapshot, "").Run(func() { close(slow); <-goOn })
	m1 := h.Manager("m1")
	m1.Now = time.Now // its clock does not see the step
	stop := h.Start(m1)
	id := h.Create("9")
	<-slow
	h.Clock.Step(2 * time.Minute)
	h.Start(h.Manager("m2"))
	first := h.Await(id, stowage.BackupAvailable)
	close(goOn)
	stop()
	if now := h.Show(id); now["updated_at"] != first["updated_at"] || now["status"] != "available" {
		t.Errorf("it was %v and became %v", first, now)
	}
	target := restore(t, h, id, `{"restore": {}}`)
	h.Await(id, stowage.BackupAvailable)
	if !bytes.Equal(h.Bytes(target)[:size], h.Bytes("9")) {
		t.Error("the restored volume is not equal")
	}
}

func TestAStoreThatIsAwayForAWhileCostsOnlyTime(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	away := stowage.Errorf(stowage.Unavailable, "503")
	h.Stores.On(drivertest.OpPut, "pack").Skip(1).Times(1).Before(away)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	clean(t, h, "9")
}

func TestAStoreThatStaysAwayFailsTheBackupWithAReason(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Stores.On(drivertest.OpPut, "pack").Always().Before(stowage.Errorf(stowage.Unavailable, "The object store is away."))
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	if got := h.Await(id, stowage.BackupError); got["fail_reason"] != "The object store is away." {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
	clean(t, h, "9")
	h.Stores.Clear()
	remove(t, h, id)
	h.Await(id, "")
}

func TestSecretsOfAnUnknownErrorStayInTheLog(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Stores.On(drivertest.OpPut, "pack").Always().Before(errors.New("dial 10.1.2.3: secret"))
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	if got := h.Await(id, stowage.BackupError); strings.Contains(got["fail_reason"].(string), "secret") {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
}

func TestARestoreThatFailsBeforeItWritesLeavesTheVolumeAlone(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	before := h.Volume("10", size)
	for _, name := range h.Objects() {
		if strings.Contains(name, "pack-00000003") {
			if err := h.ObjectStore().Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	restore(t, h, id, `{"restore": {"volume_id": 10}}`)
	got := h.Await(id, stowage.BackupAvailable) // the store may be wrong about it
	if reason, _ := got["fail_reason"].(string); !strings.Contains(reason, "missing") {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
	clean(t, h, "10")
	if !bytes.Equal(h.Bytes("10"), before) {
		t.Error("the volume was changed")
	}
}

func TestARestoreThatFailsInTheMiddleSaysSoOnTheVolume(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	h.Disks.On(drivertest.OpWriteAt, "").Skip(3).Times(1).Before(errors.New("input/output error"))
	h.Volume("10", size)
	restore(t, h, id, `{"restore": {"volume_id": 10}}`)
	h.Until("the volume shows it", func() bool { return h.VolumeStatus("10") == stowage.VolumeErrorRestoring })
	got := h.Await(id, stowage.BackupAvailable) // the backup itself is sound
	if reason, _ := got["fail_reason"].(string); !strings.HasPrefix(reason, "Restore failed: ") {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
}

func TestATenantWhoBreaksTheLockIsToldSo(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	h.Volume("10", size)
	h.Disks.On(drivertest.OpFlush, "").Run(func() {
		jobs, err := h.DB.BackupJobs(context.Background(), 1)
		if err != nil {
			t.Error(err)
		}
		if err := h.Cinder.Volumes.Release(context.Background(), jobs[len(jobs)-1].AttachmentID); err != nil {
			t.Error(err)
		}
	})
	restore(t, h, id, `{"restore": {"volume_id": 10}}`)
	h.Until("the volume shows it", func() bool { return h.VolumeStatus("10") == stowage.VolumeErrorRestoring })
	got := h.Await(id, stowage.BackupAvailable)
	if reason, _ := got["fail_reason"].(string); !strings.Contains(reason, "lock") {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
}

func TestALostBellIsRungAgain(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	stop := h.Start(h.Manager("m1"))
	stop() // alive for another minute, as far as the API knows
	id := h.Create("9")
	h.Start(h.Manager("m2"))
	h.Await(id, stowage.BackupAvailable)
}

func TestJobsBeyondTheQueueTimeoutAreEnded(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	stop := h.Start(h.Manager("m1"))
	stop()
	id := h.Create("9")
	h.Clock.Step(25 * time.Hour)
	other := h.Manager("m2")
	other.Backends = nil // alive, and without that backend
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- other.Run(ctx) }()
	got := h.Await(id, stowage.BackupError)
	if reason, _ := got["fail_reason"].(string); !strings.Contains(reason, harness.Backend) {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
	h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The database fails between two statements: no backup is left in a status that nobody
// brings it out of.
func TestAnOverdueJobWhoseBackupIsNotReadEndsLater(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	stop := h.Start(h.Manager("m1"))
	stop()
	id := h.Create("9")
	h.Clock.Step(25 * time.Hour)
	if err := h.Exec(`ALTER TABLE backups RENAME COLUMN description TO away`); err != nil {
		t.Fatal(err)
	}
	other := h.Manager("m2")
	other.Backends = nil
	stop = h.Start(other)
	h.Until("it is looked at", func() bool { return h.LogContains("its backup not read yet") })
	if err := h.Exec(`ALTER TABLE backups RENAME COLUMN away TO description`); err != nil {
		t.Fatal(err)
	}
	h.Await(id, stowage.BackupError)
	h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	stop()
}

func TestADisabledManagerTakesNoNewWork(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Start(h.Manager("m1"))
	if err := h.DB.EnableService(t.Context(), "m1", stowage.ServiceManager, false, "drained"); err != nil {
		t.Fatal(err)
	}
	a := h.Call("demo:demo", http.MethodPost, harness.Base("demo"), `{"backup": {"volume_id": 9}}`)
	if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, harness.Backend) {
		t.Errorf("create: %d %s", a.Status, a.Body)
	}
}

func TestShutdownGivesRunningWorkBack(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	m := h.Manager("m1")
	m.GraceTime = time.Millisecond
	begun := make(chan struct{})
	release := make(chan struct{})
	h.Stores.On(drivertest.OpPut, "pack").Run(func() { close(begun); <-release })
	stop := h.Start(m)
	id := h.Create("9")
	<-begun
	go func() { // once it stops, or a busy machine lets the backup end before
		for !h.LogContains("no more new work") {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		close(release)
	}()
	stop()
	jobs, err := h.DB.BackupJobs(t.Context(), 1)
	if err != nil || jobs[0].State != stowage.JobQueued {
		t.Fatalf("after the shutdown the job is %+v: %v", jobs, err)
	}
	h.Start(h.Manager("m2")) // at once, no lease has to run out
	h.Await(id, stowage.BackupAvailable)
}

// The lease's renewal finds the job ended before the runner is done with it:
// that must not stop the tidying up.
func TestTheEndOfAJobDoesNotCutItsTidyingShort(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	m := h.Manager("m1")
	m.Lease = 6 * time.Second // renewed every second
	m.SweepInterval = time.Hour
	h.Start(m)
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	h.Until("the backup's lock is given back", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	h.Cinder.Before("Release", func(string) error { <-time.After(1500 * time.Millisecond); return nil })
	restore(t, h, id, `{"restore": {"volume_id": 9}}`)
	h.Await(id, stowage.BackupAvailable)
	clean(t, h, "9")
	if h.LogContains("volume not freed") {
		t.Error("the volume was left to a sweep")
	}
}

func TestARestoreThatNeverBeganToWriteLeavesTheVolumeAvailable(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	before := h.Volume("10", size)
	h.Stores.On(drivertest.OpStat, "").Always().Before(stowage.Errorf(stowage.Unavailable, "The object store is away."))
	restore(t, h, id, `{"restore": {"volume_id": 10}}`)
	got := h.Await(id, stowage.BackupAvailable) // after the last attempt
	if got["fail_reason"] != "Restore failed: The object store is away." {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
	clean(t, h, "10")
	if !bytes.Equal(h.Bytes("10"), before) {
		t.Error("the volume was changed")
	}
}

// lister finds snapshots of the file driver by hand.
type lister struct {
	drivers.Volumes
	list func() []stowage.Snapshot
}

func (l *lister) Leftovers(context.Context) ([]stowage.Snapshot, error) { return l.list(), nil }

func TestASnapshotThatNobodyKnowsOfIsRemoved(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	vol := stowage.VolumeLocation{Backend: harness.Backend, VolumeID: "9", Name: "volume-9"}
	var known []stowage.Snapshot
	m := h.Manager("m1")
	open := m.Backends[0].Open
	m.Backends[0].Open = func(ctx context.Context) (drivers.Volumes, error) {
		v, err := open(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"stowage-inflight.11111111-2222-4333-8444-555555555555", "somebody-elses"} {
			snap, err := v.CreateSnapshot(ctx, vol, name)
			if err != nil {
				return nil, err
			}
			known = append(known, snap)
		}
		return &lister{v, func() []stowage.Snapshot { return known }}, nil
	}
	h.Start(m)
	h.Until("only the other one is left", func() bool {
		h.Clock.Step(2 * time.Second) // two looks, a minute apart
		left := h.Snapshots()
		return len(left) == 1 && strings.Contains(left[0], "somebody-elses")
	})
}

func TestRestartsAreNoFailures(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	for i := range 5 { // more than attempts may fail
		m := h.Manager("m1")
		m.GraceTime = time.Millisecond
		begun, release := make(chan struct{}), make(chan struct{})
		h.Stores.On(drivertest.OpPut, "pack").Times(1).Run(func() { close(begun); <-release })
		stop := h.Start(m)
		if i == 0 {
			h.Create("9")
		}
		<-begun
		go func() { // once it stops, or a busy machine lets the backup end before
			for h.LogCount("no more new work") <= i {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
			close(release)
		}()
		stop()
	}
	h.Start(h.Manager("m1"))
	h.Await("1", stowage.BackupAvailable)
}

func TestALongJobThatIsInterruptedIsNotOverdue(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	dead := deadly(t, h, func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpPut, "pack").Skip(1).Run(now) })
	id := h.Create("9")
	<-dead
	h.Clock.Step(25 * time.Hour) // it was begun yesterday
	h.Start(h.Manager("m2"))
	h.Await(id, stowage.BackupAvailable)
}

// An operator has changed the backup by hand: the job ends, and is not done
// again for ever.
func TestAJobWhoseBackupWasChangedByHandEnds(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Disks.On(drivertest.OpCheckSnapshot, "").Run(func() {
		if err := h.SetStatus(1, stowage.BackupError); err != nil {
			t.Error(err)
		}
	})
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupError)
	h.Until("the job has ended", func() bool {
		jobs, err := h.DB.BackupJobs(context.Background(), 1)
		return err == nil && jobs[0].State == stowage.JobFailed
	})
	clean(t, h, "9")
}
