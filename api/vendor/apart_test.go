package vendor_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
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

const elsewhere = "file:elsewhere"

// beside has a manager reach these backends and no others.
func beside(h *harness.Harness, m *manager.Manager, keys ...string) *manager.Manager {
	m.Backends = nil
	for _, key := range keys {
		m.Backends = append(m.Backends, manager.Backend{Name: key, Driver: "file", Open: func(context.Context) (drivers.Volumes, error) {
			v, err := file.Open(file.Options{Key: key, Dir: filepath.Join(h.Dir, "volumes"), NewID: uuid.NewString})
			return drivertest.FaultyVolumes(v, h.Disks), err
		}})
	}
	return m
}

// torn is a farm whose server's second volume is on a backend that another manager reaches.
func torn(t *testing.T) (h *harness.Harness, id string, boot, data []byte) {
	t.Helper()
	h, id, boot, data, _ = tearing(t)
	return h, id, boot, data
}

// tearing is a torn farm, with what stops the other manager.
func tearing(t *testing.T) (h *harness.Harness, id string, boot, data []byte, stop func()) {
	t.Helper()
	h, id, boot, data = farm(t)
	h.Cinder.Place("22", elsewhere)
	stop = h.Start(beside(h, h.Manager("m2"), elsewhere))
	h.Until("both have reported themselves", func() bool {
		list, err := h.DB.Services(t.Context())
		return err == nil && len(list) == 2 && len(list[1].Backends) > 0
	})
	return h, id, boot, data, stop
}

// hosts tells who stored the volumes of a backup.
func hosts(h *harness.Harness, backup map[string]any) map[string]string {
	h.T.Helper()
	by := map[string]string{}
	jobs, _, err := h.DB.Tasks(h.T.Context(), db.Scope{}, db.TaskFilter{Backup: guidOf(backup), Kinds: []stowage.JobKind{stowage.JobExport}}, db.Page{Limit: 1})
	if err != nil || len(jobs) != 1 {
		h.T.Fatal(jobs, err)
	}
	parts, err := h.DB.PartJobs(h.T.Context(), jobs[0].ID)
	if err != nil {
		h.T.Fatal(err)
	}
	for _, j := range parts {
		by[j.VolumeID] = j.Host
	}
	return by
}

// Nothing is left, on whatever backend.
func nothingLeft(h *harness.Harness) {
	h.T.Helper()
	h.Until("nothing is left of what was taken", func() bool {
		jobs, err := h.DB.Leftovers(h.T.Context(), []string{harness.Backend, elsewhere}, 1)
		return err == nil && len(jobs) == 0 && len(h.Snapshots()) == 0
	})
}

func TestAServerThatNoOneManagerReachesIsBackedUpAsOne(t *testing.T) {
	h, id, boot, data := torn(t)
	written := settles(h)
	task, _, backup := exported(h, id, "FULL")
	if info := said(h, task); info != "" {
		t.Errorf("the task says %q", info)
	}
	if by := hosts(h, backup); by["21"] != "m1" || by["22"] != "m2" {
		t.Errorf("stored by %v", by)
	}
	nothingLeft(h)
	// Nova took it, of a guest that was quiesced if it can be.
	if got := restored(h, backup, boot); !bytes.HasPrefix(got, written) || !bytes.Equal(got[len(written):len(data)], data[len(written):]) {
		t.Errorf("restored %q..., want what the guest wrote last", got[:len(written)])
	}
	h.Servers.Before("SnapshotServer", nil)
	data = bytes.Repeat([]byte("later"), len(data)/5)
	rewrite(h, data)
	h.Clock.Step(time.Minute)
	_, _, second := exported(h, id, "INCREMENTAL")
	if at(second, "type.name") != "INCREMENTAL" {
		t.Errorf("the second is %v", second)
	}
	if got := restored(h, second, boot); !bytes.HasPrefix(got, data) {
		t.Errorf("restored %q...", got[:20])
	}
	nothingLeft(h)
}

// Where Nova takes none, Cinder takes them one behind the other, and the user is told.
func TestSnapshotsOfAServerAreTakenApartWhereNovaTakesNone(t *testing.T) {
	h, id, boot, data := torn(t)
	h.Servers.Before("SnapshotServer", func(string) error { return errBroken })
	task, _, backup := exported(h, id, "FULL")
	if info := said(h, task); !strings.Contains(info, "not of one moment") || !strings.Contains(info, "It broke.") {
		t.Errorf("the task says %q", info)
	}
	nothingLeft(h)
	if got := restored(h, backup, boot); !bytes.Equal(got[:len(data)], data) {
		t.Error("restored is not what was there")
	}
}

func TestAManagerThatReachesAllVolumesIsPreferred(t *testing.T) {
	h, id, boot, data := torn(t)
	h.Servers.Before("SnapshotServer", func(string) error { t.Error("Nova was asked"); return nil })
	h.Start(beside(h, h.Manager("m3"), harness.Backend, elsewhere))
	h.Until("it has reported itself", func() bool {
		list, err := h.DB.Services(t.Context())
		return err == nil && len(list) == 3 && !slices.ContainsFunc(list, func(s stowage.Service) bool { return len(s.Backends) == 0 })
	})
	task, _, backup := exported(h, id, "FULL")
	if by := at(send(h, http.MethodGet, "/tasks/"+guidOf(task), "", portal).JSON(t), "node.name"); by != "m3" {
		t.Errorf("the snapshots were taken by %v", by)
	}
	nothingLeft(h)
	if got := restored(h, backup, boot); !bytes.Equal(got[:len(data)], data) {
		t.Error("restored is not what was there")
	}
}

func TestAVolumeThatNobodyReachesIsToldOfAtOnce(t *testing.T) {
	h, id, _, _ := torn(t)
	h.Cinder.Place("22", "file:nowhere")
	wantFault(t, send(h, http.MethodPost, "/tasks/export", fmt.Sprintf(`{"protectedEntities":[%q]}`, id), demo), http.StatusServiceUnavailable, "file:nowhere")
}

// Whatever goes wrong, the task tells of it and nothing is left.
func TestAnExportApartThatFailsLeavesNothing(t *testing.T) {
	for what, spoil := range map[string]func(h *harness.Harness){
		"no snapshot is taken": func(h *harness.Harness) {
			for _, call := range []string{"SnapshotServer", "SnapshotVolumes"} {
				h.Servers.After(call, func(string) error { return errBroken })
			}
		},
		"it is not on the backend": func(h *harness.Harness) {
			h.Disks.On(drivertest.OpCinderSnapshot, "").Skip(1).Before(stowage.Errorf(stowage.NotFound, "It broke."))
		},
		"it goes before it is read": func(h *harness.Harness) {
			h.Disks.On(drivertest.OpOpenSnapshot, "snapshot-").Before(stowage.Errorf(stowage.NotFound, "It broke."))
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := torn(t)
			spoil(h)
			task := one(t, exportOf(h, id, "FULL"))
			var failed map[string]any
			h.Until("the backup has failed", func() bool {
				failed = send(h, http.MethodGet, "/backups/"+at(task, "backup.guid").(string), "", demo).JSON(t)
				return at(failed, "status.name") == "FAILED"
			})
			if info, _ := failed["statusInfo"].(string); !strings.Contains(info, "broke") && !strings.Contains(info, "was removed") {
				t.Errorf("the backup says %q", info)
			}
			nothingLeft(h)
		})
	}
}

// A manager that was away for too long finds the export another's: what that one had taken
// is what is stored, and nothing is left of the first.
func TestAnExportApartIsTakenOver(t *testing.T) {
	h, id, boot, _ := torn(t)
	written := settles(h)
	var takes atomic.Int32
	over := make(chan struct{})
	h.Servers.After("SnapshotServer", func(string) error {
		if takes.Add(1) > 1 {
			close(over)
			return nil
		}
		h.Clock.Step(2 * time.Minute)
		h.Start(h.Manager("m4"))
		<-over
		return nil
	})
	_, _, backup := exported(h, id, "FULL")
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	if got := restored(h, backup, boot); !bytes.HasPrefix(got, written) {
		t.Errorf("restored %q...", got[:len(written)])
	}
}

// A manager that is gone for ever leaves nothing in the project either.
func TestWhatWasTakenForAManagerThatIsGoneIsRemoved(t *testing.T) {
	h, id, _, _, stop := tearing(t)
	h.Servers.After("SnapshotServer", func(string) error { stop(); return nil })
	task := one(t, exportOf(h, id, "FULL"))
	awaitTask(h, guidOf(task), "FINISHED")
	h.Until("the other volume is stored, and its snapshot gone", func() bool { return len(h.Snapshots()) == 1 })
	h.Clock.Step(25 * time.Hour)
	h.Until("the backup has failed", func() bool {
		backup := send(h, http.MethodGet, "/backups/"+at(task, "backup.guid").(string), "", demo).JSON(t)
		return at(backup, "status.name") == "FAILED"
	})
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}

// A part that does not say what it reads takes no snapshot of another moment by itself.
func TestAPartWithoutItsSnapshotTakesNoOther(t *testing.T) {
	h, id, _, _, stop := tearing(t)
	h.Servers.After("SnapshotServer", func(string) error { stop(); return nil })
	task := one(t, exportOf(h, id, "FULL"))
	awaitTask(h, guidOf(task), "FINISHED")
	if err := h.Exec(`UPDATE jobs SET params = json_remove(params, '$.cinder') WHERE volume_id = '22' AND parent_id <> ''`); err != nil {
		t.Fatal(err)
	}
	h.Start(beside(h, h.Manager("m2"), elsewhere))
	var failed map[string]any
	h.Until("the backup has failed", func() bool {
		failed = send(h, http.MethodGet, "/backups/"+at(task, "backup.guid").(string), "", demo).JSON(t)
		return at(failed, "status.name") == "FAILED"
	})
	if info, _ := failed["statusInfo"].(string); !strings.Contains(info, "was removed") {
		t.Errorf("the backup says %q", info)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}
