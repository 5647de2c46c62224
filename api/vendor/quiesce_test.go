package vendor_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
)

// hasAgent says that the guest agent is in what demo's server boots from.
func hasAgent(h *harness.Harness) {
	h.T.Helper()
	if err := h.Cinder.SetMetadata(h.T.Context(), "21", nil, map[string]string{"hw_qemu_guest_agent": "yes"}, true); err != nil {
		h.T.Fatal(err)
	}
}

// settles has the guest of demo's server write what it had not written yet as Nova
// quiesces it: that is what tells Nova's snapshots from ours.
func settles(h *harness.Harness) (written []byte) {
	written = []byte("flushed as the guest was quiesced")
	h.Servers.Before("SnapshotServer", func(string) error {
		f, err := os.OpenFile(h.VolumeFile("22"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(written, 0); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // or Nova's snapshot is of the same tick of the kernel's clock as ours
		return f.Close()
	})
	return written
}

// restored restores a backup's volumes, and gives the bytes of the one that is no boot disk.
func restored(h *harness.Harness, backup map[string]any, boot []byte) []byte {
	h.T.Helper()
	before := volumes(h)
	task := send(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q,"restoredPeName":"again"}`, guidOf(backup)), demo).JSON(h.T)
	awaitTask(h, guidOf(task), "FINISHED")
	for _, v := range volumes(h) {
		if got := h.Bytes(v); !slices.Contains(before, v) && !bytes.HasPrefix(got, boot) {
			return got
		}
	}
	h.T.Fatal("it was not restored")
	return nil
}

// said is what the user is told of a task.
func said(h *harness.Harness, task map[string]any) string {
	h.T.Helper()
	info, _ := send(h, http.MethodGet, "/tasks/"+guidOf(task), "", demo).JSON(h.T)["statusInfo"].(string)
	return info
}

func TestAGuestWithAnAgentIsQuiesced(t *testing.T) {
	h, id, boot, data := farm(t)
	hasAgent(h)
	written := settles(h)
	task, _, backup := exported(h, id, "FULL")
	if info := said(h, task); info != "" {
		t.Errorf("the task says %q", info)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	if got := restored(h, backup, boot); !bytes.HasPrefix(got, written) || !bytes.Equal(got[len(written):len(data)], data[len(written):]) {
		t.Errorf("restored %q..., want what the guest wrote last", got[:len(written)])
	}
}

// Where Cinder's snapshots are devices it cannot remove one that is read, and would not
// try again.
func TestWhatNovaTookIsNotReadWhenItGoes(t *testing.T) {
	h, id, _, _ := farm(t)
	hasAgent(h)
	h.Servers.Snapshots = drivertest.FaultyVolumes(h.Servers.Snapshots.(drivers.Volumes), h.Disks)
	var closed atomic.Int32
	h.Disks.On(drivertest.OpClose, "snapshot-").Always().Run(func() {
		n, ended := closed.Add(1), int32(0)
		for part := range int64(2) { // the backup 1 is the server's
			jobs, err := h.DB.BackupJobs(context.Background(), 2+part)
			if err == nil && len(jobs) > 0 && jobs[0].State.Ended() {
				ended++
			}
		}
		if ended >= n {
			t.Errorf("%d jobs have ended, and only %d close what they read: a sweep may come before", ended, n)
		}
	})
	exported(h, id, "FULL")
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	open, read := map[string]int{}, 0
	for _, c := range h.Disks.Calls() {
		switch {
		case !strings.HasPrefix(c.Name, "snapshot-"):
		case c.Op == drivertest.OpOpenSnapshot:
			open[c.Name]++
			read++
		case c.Op == drivertest.OpClose:
			open[c.Name]--
		case c.Op == drivertest.OpRemoveSnapshot && open[c.Name] != 0:
			t.Errorf("%s was open as it was removed", c.Name)
		}
	}
	if read != 2 {
		t.Errorf("%d of Nova's were read", read)
	}
}

// A disk that is left out is taken by Nova all the same, and must not keep its snapshot.
func TestNothingIsLeftOfADiskThatIsLeftOut(t *testing.T) {
	h, id, _, _ := farm(t)
	hasAgent(h)
	send(h, http.MethodPut, "/virtual-machine-disks/22/settings", `{"guid":"22","excludedFromBackup":true}`, demo).JSON(t)
	exported(h, id, "FULL")
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}

// Whatever becomes of quiescing: there is a backup, of snapshots that are of one moment.
func TestAGuestThatIsNotQuiescedIsBackedUpAllTheSame(t *testing.T) {
	for what, spoil := range map[string]func(h *harness.Harness){
		"Nova refuses": func(h *harness.Harness) {
			h.Servers.Before("SnapshotServer", func(string) error { return errBroken })
		},
		"the answer is lost": func(h *harness.Harness) {
			h.Servers.After("SnapshotServer", func(string) error { return errBroken })
		},
		"one of two is not on the backend": func(h *harness.Harness) {
			h.Disks.On(drivertest.OpCinderSnapshot, "").Skip(1).Before(errBroken)
		},
		"and what was taken is not removed at once": func(h *harness.Harness) {
			h.Servers.After("SnapshotServer", func(string) error { return errBroken })
			var n atomic.Int32
			h.Servers.Before("RemoveServerSnapshots", func(string) error { // a sweep's may be beside the job's
				if n.Add(1) < 4 {
					return stowage.Errorf(stowage.Unavailable, "It broke.")
				}
				return nil
			})
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, boot, data := farm(t)
			hasAgent(h)
			settles(h)
			spoil(h)
			task, _, backup := exported(h, id, "FULL")
			if info := said(h, task); !strings.Contains(info, "not quiesced") || !strings.Contains(info, "It broke.") {
				t.Errorf("the task says %q", info)
			}
			h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
			if got := restored(h, backup, boot); !bytes.Equal(got[:len(data)], data) {
				t.Error("restored is not what was there before")
			}
		})
	}
}

// A manager that was away for too long as Nova took the snapshots finds the export
// another's: what that one took is what is stored, and nothing is left of the first.
func TestAnExportThatIsTakenOverIsQuiescedAgain(t *testing.T) {
	h, id, boot, _ := farm(t)
	hasAgent(h)
	written := settles(h)
	var takes atomic.Int32
	over := make(chan struct{})
	h.Servers.After("SnapshotServer", func(string) error {
		if takes.Add(1) == 1 {
			h.Clock.Step(2 * time.Minute)
			h.Start(h.Manager("m2"))
			<-over
		} else {
			close(over)
		}
		return nil
	})
	_, _, backup := exported(h, id, "FULL")
	if n := takes.Load(); n != 2 {
		t.Errorf("snapshots taken %d times", n)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	if got := restored(h, backup, boot); !bytes.HasPrefix(got, written) {
		t.Errorf("restored %q...", got[:len(written)])
	}
}

// A farm whose managers keep the snapshots of the latest backups, and ask what changed since.
func keepingFarm(t *testing.T) (h *harness.Harness, id string, boot, data []byte) {
	t.Helper()
	h = harness.New(t)
	h.Start(keeping(h, h.Manager("m1")))
	boot, data = h.Volume("21", 900_000), h.Volume("22", 300_000)
	clear(data[:128<<10])
	rewrite(h, data)
	h.Nova.Offer(stowage.ResourceFlavor, stowage.Resource{ID: "f1", Name: "m1.small", Shared: true})
	id = place(h, stowage.ServerRecord{ProjectID: "demo", Name: "web", FlavorID: "f1", Flavor: "m1.small", Disks: []stowage.ServerDisk{
		{VolumeID: "21", Device: "/dev/vda", Boot: true}, {VolumeID: "22", Device: "/dev/vdb"},
	}})
	hasAgent(h)
	return h, id, boot, data
}

// keeping lets a manager keep snapshots.
func keeping(h *harness.Harness, m *manager.Manager) *manager.Manager {
	m.Backends[0].Open = func(context.Context) (drivers.Volumes, error) {
		dir := filepath.Join(h.Dir, "volumes")
		v, err := file.Open(file.Options{Key: harness.Backend, Dir: dir, NewID: uuid.NewString})
		return drivertest.FaultyVolumes(&harness.Keeping{Volumes: v, Dir: filepath.Join(dir, ".snapshots")}, h.Disks), err
	}
	return m
}

// rewrite has the disk that is no boot disk hold what it is given.
func rewrite(h *harness.Harness, data []byte) {
	h.T.Helper()
	if err := os.WriteFile(h.VolumeFile("22"), data, 0o600); err != nil {
		h.T.Fatal(err)
	}
}

// onlyKept waits until there are no snapshots but so many that are kept.
func onlyKept(h *harness.Harness, n int) {
	h.T.Helper()
	h.Until("only what is kept is left", func() bool {
		left := h.Snapshots()
		jobs, err := h.DB.Leftovers(h.T.Context(), []string{harness.Backend}, 1)
		return err == nil && len(jobs) == 0 && len(left) == n && !slices.ContainsFunc(left, func(s string) bool { return !strings.Contains(s, "@backup.") })
	})
}

// Between our snapshot and Nova's the guest writes where nothing was, and discards it again
// before the next backup: it is in neither of our snapshots, and must not come back.
func TestWhatAGuestDiscardedAgainDoesNotComeBack(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(t *testing.T, h *harness.Harness)
		kept  int
		modes map[string]int
	}{
		"it is looked at again": {
			spoil: func(*testing.T, *harness.Harness) {}, kept: 2, modes: map[string]int{"full": 2, "changed": 2},
		},
		"it cannot be told": {
			spoil: func(_ *testing.T, h *harness.Harness) {
				h.Disks.On(drivertest.OpChanged, "").Times(2).After(stowage.Errorf(stowage.NotFound, "It is gone."))
			}, kept: 0, modes: map[string]int{"full": 2, "compared": 2},
		},
		"to tell it breaks": {
			spoil: func(_ *testing.T, h *harness.Harness) {
				h.Disks.On(drivertest.OpChanged, "").Times(2).Before(errBroken)
			},
			kept: 0, modes: map[string]int{"full": 2, "compared": 2},
		},
		"it is stored at the second attempt": {
			spoil: func(_ *testing.T, h *harness.Harness) {
				h.Stores.On(drivertest.OpPut, "/root").Times(2).Before(stowage.Errorf(stowage.Unavailable, "The store is away."))
			}, kept: 2, modes: map[string]int{"full": 2, "changed": 2},
		},
		"a manager of before kept the base": {
			spoil: func(_ *testing.T, h *harness.Harness) {}, kept: 2, modes: map[string]int{"full": 2, "compared": 2},
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, boot, data := keepingFarm(t)
			written := settles(h)
			c.spoil(t, h)
			_, _, first := exported(h, id, "FULL")
			onlyKept(h, c.kept)
			if strings.Contains(what, "of before") {
				forgetBetween(h)
			}
			h.Servers.Before("SnapshotServer", func(string) error { return nil })
			rewrite(h, data)
			h.Clock.Step(time.Minute)
			_, _, second := exported(h, id, "INCREMENTAL")
			for mode, n := range c.modes {
				if got := h.LogCount("mode=" + mode + " "); got != n {
					t.Errorf("%d backups are %s, want %d", got, mode, n)
				}
			}
			if got := restored(h, second, boot); !bytes.Equal(got[:len(data)], data) {
				t.Errorf("restored begins with %q, and there were zeros", got[:len(written)])
			}
			if got := restored(h, first, boot); !bytes.HasPrefix(got, written) {
				t.Errorf("the first begins with %q, want %q", got[:len(written)], written)
			}
			jobs, err := h.DB.BackupJobs(t.Context(), partOf(h, second, "22").ID)
			if err != nil || len(jobs) == 0 {
				t.Fatal(jobs, err)
			}
			h.Until("what the base says the job says no more", func() bool {
				j, err := h.DB.Job(t.Context(), jobs[0].ID)
				return err == nil && !j.Leftover && j.Params.Between == nil
			})
		})
	}
}

// partOf gives the backup of a volume that is a part of a server's.
func partOf(h *harness.Harness, set map[string]any, volume string) stowage.Backup {
	h.T.Helper()
	whole, err := h.DB.BackupByUUID(h.T.Context(), db.Scope{}, guidOf(set))
	if err != nil {
		h.T.Fatal(err)
	}
	parts, err := h.DB.SetBackups(h.T.Context(), whole.ID)
	if err != nil {
		h.T.Fatal(err)
	}
	for _, b := range parts {
		if b.Volume.ID == volume {
			return b
		}
	}
	h.T.Fatalf("there is no backup of volume %s", volume)
	return stowage.Backup{}
}

// forgetBetween leaves of the bases what was noted of them before it was noted where their
// backups differ from them.
func forgetBetween(h *harness.Harness) {
	h.T.Helper()
	for _, v := range []string{"21", "22"} {
		base, err := h.DB.Base(h.T.Context(), harness.Backend, v)
		if err == nil {
			base.Between = nil
			_, err = h.DB.SetBase(h.T.Context(), base)
		}
		if err != nil {
			h.T.Fatal(err)
		}
	}
}

// The manager dies when all is stored and nothing is kept yet: whoever tidies up knows as much.
func TestABaseThatAnotherManagerKeepsIsAsGood(t *testing.T) {
	h, id, boot, data := keepingFarm(t)
	settles(h)
	h.Disks.On(drivertest.OpKeepSnapshot, "").Times(4).Before(errBroken)
	exported(h, id, "FULL")
	onlyKept(h, 2)
	h.Servers.Before("SnapshotServer", func(string) error { return nil })
	rewrite(h, data)
	h.Clock.Step(time.Minute)
	_, _, second := exported(h, id, "INCREMENTAL")
	if n := h.LogCount("mode=changed "); n != 2 {
		t.Errorf("%d backups asked what changed", n)
	}
	if got := restored(h, second, boot); !bytes.Equal(got[:len(data)], data) {
		t.Errorf("restored begins with %q", got[:40])
	}
}

// Where our own snapshots are stored after all, they are what the next begins from.
func TestABaseOfAGuestThatWasNotQuiescedIsWhatWasStored(t *testing.T) {
	h, id, boot, data := keepingFarm(t)
	h.Servers.Before("SnapshotServer", func(string) error { return errBroken })
	exported(h, id, "FULL")
	onlyKept(h, 2)
	data[200_000]++
	rewrite(h, data)
	h.Clock.Step(time.Minute)
	_, _, second := exported(h, id, "INCREMENTAL")
	if n := h.LogCount("mode=changed "); n != 2 || h.LogContains("all data is compared") {
		t.Errorf("%d backups asked what changed", n)
	}
	if got := restored(h, second, boot); !bytes.Equal(got[:len(data)], data) {
		t.Error("restored is not what was there")
	}
}

// Until the end of an export is written another manager may have to begin anew, and must
// know what there may be.
func TestNothingIsLeftOfAnExportThatIsTakenOverInTheEnd(t *testing.T) {
	h := harness.New(t)
	m := h.Manager("m1")
	m.GraceTime = 100 * time.Millisecond
	stop := h.Start(m)
	h.Volume("21", 900_000)
	id := place(h, stowage.ServerRecord{ProjectID: "demo", Name: "web", FlavorID: "f1", Flavor: "m1.small",
		Disks: []stowage.ServerDisk{{VolumeID: "21", Device: "/dev/vda", Boot: true}}})
	hasAgent(h)
	if err := h.Exec(`CREATE TRIGGER x BEFORE UPDATE ON jobs WHEN NEW.kind='export' AND NEW.state='finished' BEGIN SELECT RAISE(ABORT,'down'); END`); err != nil {
		t.Fatal(err)
	}
	task := one(t, exportOf(h, id, "FULL"))
	h.Until("the end is not written", func() bool { return h.LogContains("end of the job not written yet") })
	stop()
	h.Disks.On(drivertest.OpCreateSnapshot, "").Always().Before(errBroken)
	h.Clock.Step(2 * time.Minute)
	h.Start(h.Manager("m2"))
	if got := ended(h, guidOf(task)); at(got, "state.name") != "FAILED" {
		t.Errorf("the task is %v", got)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}

// late has Nova take snapshots for a task that has ended: it had been asked for them, and
// did not stop when nobody waited any more.
func late(h *harness.Harness, server string, task map[string]any) {
	h.T.Helper()
	h.Clock.Step(time.Minute)
	var looks atomic.Int32
	h.Servers.Before("RemoveServerSnapshots", func(string) error { looks.Add(1); return nil })
	h.Until("it is looked for again and again", func() bool { return looks.Load() > 2 })
	if _, err := h.Servers.Servers.SnapshotServer(h.T.Context(), "demo", server, guidOf(task)); err != nil {
		h.T.Fatal(err)
	}
}

// looked waits until nothing of a task is looked for any more.
func looked(h *harness.Harness, task map[string]any) {
	h.T.Helper()
	h.Until("nothing of task "+guidOf(task)+" is looked for", func() bool {
		j, err := h.DB.Job(h.T.Context(), guidOf(task))
		return err == nil && !j.Leftover
	})
}

var errAway = stowage.Errorf(stowage.Unavailable, "It does not answer.")

func TestSnapshotsThatNovaTakesLateAreRemoved(t *testing.T) {
	for what, export := range map[string]func(h *harness.Harness, id string) map[string]any{
		"its answer was lost": func(h *harness.Harness, id string) map[string]any {
			h.Servers.Before("SnapshotServer", func(string) error { return errAway })
			task, _, _ := exported(h, id, "FULL")
			return task
		},
		"nobody waited for it": func(h *harness.Harness, id string) map[string]any {
			begun, over := make(chan struct{}), make(chan struct{})
			h.Servers.Before("SnapshotServer", func(string) error { close(begun); <-over; return context.Canceled })
			task := one(h.T.(*testing.T), exportOf(h, id, "FULL"))
			<-begun
			cancel(h, guidOf(task))
			h.Until("it is heard of", func() bool { return h.LogContains("work is to stop") })
			close(over)
			return ended(h, guidOf(task))
		},
		"it answered at the second attempt": func(h *harness.Harness, id string) map[string]any {
			n := 0
			h.Servers.Before("SnapshotServer", func(string) error {
				if n++; n == 1 {
					h.Clock.Step(2 * time.Minute)
					h.Start(h.Manager("m2"))
					h.Until("it is another's", func() bool { return h.LogContains("snapshots of a server taken") })
					return errAway
				}
				return nil
			})
			task, _, _ := exported(h, id, "FULL")
			h.Until("it is left to the other", func() bool {
				return h.LogContains("nothing of ours may stay") || h.LogContains("job left to another manager")
			})
			return task
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := farm(t)
			hasAgent(h)
			task := export(h, id)
			h.Until("nothing is left yet", func() bool { return len(h.Snapshots()) == 0 })
			late(h, id, task)
			h.Until("what came late is gone", func() bool { return len(h.Snapshots()) == 0 })
			h.Clock.Step(10 * time.Minute)
			looked(h, task)
		})
	}
}

// What was refused, or came at once, is not waited for.
func TestNothingLateIsLookedForBehindAnAnswer(t *testing.T) {
	h, id, _, _ := farm(t)
	hasAgent(h)
	task, _, _ := exported(h, id, "FULL")
	looked(h, task)
	h.Servers.Before("SnapshotServer", func(string) error { return errBroken })
	task, _, _ = exported(h, id, "FULL")
	looked(h, task)
}

// The manager that asked comes back when the job has ended long since.
func TestNothingIsLeftOfAManagerThatComesBackTooLate(t *testing.T) {
	h, id, _, _ := farm(t)
	hasAgent(h)
	over := make(chan struct{})
	var asked atomic.Bool
	h.Servers.Before("SnapshotServer", func(string) error { asked.Store(true); <-over; return nil })
	task := one(t, exportOf(h, id, "FULL"))
	h.Until("Nova is asked", asked.Load)
	h.Disks.On(drivertest.OpCreateSnapshot, "").Times(2).Before(errBroken)
	h.Clock.Step(2 * time.Minute)
	h.Start(h.Manager("m2"))
	if got := ended(h, guidOf(task)); at(got, "state.name") != "FAILED" {
		t.Errorf("the task is %v", got)
	}
	h.Clock.Step(11 * time.Minute)
	looked(h, task)
	h.Disks.Clear()
	close(over)
	h.Until("it finds out", func() bool { return h.LogContains("nothing of ours may stay") })
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}
