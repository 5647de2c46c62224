package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/internal/harness"
)

const size = 300_000

var base = harness.Base("demo")

// started has a manager, and an available backup of volume 9.
func started(t *testing.T) (h *harness.Harness, backup string) {
	t.Helper()
	h = harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	free(h, "9")
	return h, id
}

func free(h *harness.Harness, volume string) {
	h.T.Helper()
	h.Until("volume "+volume+" is free", func() bool { return h.VolumeStatus(volume) == stowage.VolumeAvailable })
}

func backups(h *harness.Harness) int {
	h.T.Helper()
	return len(h.Call("demo:demo", http.MethodGet, base, "").JSON(h.T)["backups"].([]any))
}

func TestALockWhoseAnswerGotLostIsFound(t *testing.T) {
	h, _ := started(t)
	h.Cinder.After("Reserve", func(string) error { return errors.New("connection reset") })
	h.Await(h.Create("9"), stowage.BackupAvailable)
	free(h, "9")
}

// Every step after the row is written fails in turn, having done its work or
// not: the tenant gets an error, no backup is left, and the volume is free.
func TestACreateThatBreaksOffLeavesNothing(t *testing.T) {
	broken := errors.New("connection reset")
	for name, fault := range map[string]func(h *harness.Harness){
		"lock not taken": func(h *harness.Harness) { h.Cinder.Before("Reserve", func(string) error { return broken }) },
		"lock taken, and nobody knows": func(h *harness.Harness) {
			h.Cinder.After("Reserve", func(string) error { return broken })
			h.Cinder.Before("Lock", func(string) error { return broken })
		},
		"status not set":          func(h *harness.Harness) { h.Cinder.Before("SetStatus", func(string) error { return broken }) },
		"status set, answer lost": func(h *harness.Harness) { h.Cinder.After("SetStatus", func(string) error { return broken }) },
		"nor can it be freed": func(h *harness.Harness) {
			h.Cinder.Before("SetStatus", func(string) error { return broken })
			h.Cinder.Before("Release", func(string) error { return broken })
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := started(t)
			fault(h)
			a := h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": 9}}`)
			if a.Status != http.StatusInternalServerError {
				t.Errorf("create: %d %s", a.Status, a.Body)
			}
			for _, method := range []string{"Reserve", "Lock", "SetStatus", "Release"} {
				h.Cinder.Before(method, nil)
				h.Cinder.After(method, nil)
			}
			free(h, "9")
			if n := backups(h); n != 1 {
				t.Errorf("%d backups", n)
			}
			h.Await(h.Create("9"), stowage.BackupAvailable) // and it works again
		})
	}
}

func TestATenantWhoBreaksTheLockAtOnceDoesNotStrandHisVolume(t *testing.T) {
	h, _ := started(t)
	h.Cinder.After("Reserve", func(v string) error {
		h.Cinder.After("Reserve", nil)
		jobs, err := h.DB.BackupJobs(context.Background(), 2)
		if err != nil {
			return err
		}
		a, err := h.Cinder.Volumes.Lock(context.Background(), v, jobs[0].ID)
		if err != nil {
			return err
		}
		return h.Cinder.Volumes.Release(context.Background(), a)
	})
	a := h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": 9}}`)
	if a.Status != http.StatusBadRequest {
		t.Errorf("create: %d %s", a.Status, a.Body)
	}
	free(h, "9")
}

// The API server dies after it wrote the row; nobody ever calls back. Later a
// manager finds the job and does it, or ends it.
func TestWhatADeadAPIServerBeganIsFinished(t *testing.T) {
	for name, fault := range map[string]string{"before the lock": "Reserve", "before the status": "SetStatus"} {
		t.Run(name, func(t *testing.T) {
			h, _ := started(t)
			h.Cinder.Before(fault, func(string) error {
				h.Cinder.Before(fault, nil)
				<-t.Context().Done() // this goroutine is as good as dead
				return t.Context().Err()
			})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": 9}}`)
			}()
			t.Cleanup(func() { <-ended })
			h.Until("the row is there", func() bool { return backups(h) == 2 })
			h.Until("the API is stuck", func() bool { return h.VolumeStatus("9") != stowage.VolumeAvailable || fault == "Reserve" })
			h.Clock.Step(6 * time.Minute)
			h.Await("2", stowage.BackupAvailable)
			free(h, "9")
		})
	}
}

func TestAVolumeMadeForARestoreThatDiedIsMarked(t *testing.T) {
	h, id := started(t)
	made := ""
	h.Cinder.After("CreateUserVolume", func(string) error {
		found, err := h.Cinder.Volumes.FindVolumes(context.Background(), "demo", stowage.RestoreMark, lastJob(h, 1).ID)
		if err != nil || len(found) != 1 {
			return fmt.Errorf("found %v: %w", found, err)
		}
		made = found[0].ID
		return errors.New("connection reset")
	})
	a := h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`)
	if a.Status != http.StatusInternalServerError || made == "" {
		t.Fatalf("restore: %d %s, made %q", a.Status, a.Body, made)
	}
	h.Await(id, stowage.BackupAvailable)
	h.Until("the volume shows it", func() bool { return h.VolumeStatus(made) == stowage.VolumeErrorRestoring })
}

func lastJob(h *harness.Harness, backup int64) stowage.Job {
	h.T.Helper()
	jobs, err := h.DB.BackupJobs(context.Background(), backup)
	if err != nil || len(jobs) == 0 {
		h.T.Fatal(jobs, err)
	}
	return jobs[len(jobs)-1]
}

func TestTypeAndZoneAreGivenUpWhenTheyAreGone(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	source, err := h.Cinder.Volumes.CreateUserVolume(t.Context(), cloud.User{ProjectID: "demo", UserID: "demo"},
		cloud.VolumeRequest{SizeGiB: 1, Type: "fast", AvailabilityZone: "az-1"})
	if err != nil {
		t.Fatal(err)
	}
	id := h.Create(source.ID)
	h.Await(id, stowage.BackupAvailable)
	for name, gone := range map[string]string{"all there": "", "zone gone": "/az-1", "type gone": "fast/"} {
		t.Run(name, func(t *testing.T) {
			var tried []string
			h.Cinder.Before("CreateUserVolume", func(kind string) error {
				tried = append(tried, kind)
				if gone != "" && strings.Contains(kind, gone) {
					return stowage.Errorf(stowage.Invalid, "it is gone")
				}
				return nil
			})
			a := h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`)
			if a.Status != http.StatusOK {
				t.Fatalf("restore: %d %s", a.Status, a.Body)
			}
			want := map[string]string{"": "[fast/az-1]", "/az-1": "[fast/az-1 fast/]", "fast/": "[fast/az-1 fast/ /az-1]"}[gone]
			if fmt.Sprint(tried) != want {
				t.Errorf("tried %v, want %s", tried, want)
			}
			h.Await(id, stowage.BackupAvailable)
		})
	}
}

func TestWithoutAManagerThereIsA503WithTheBackendsName(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	for _, call := range []struct{ method, path, body, message string }{
		{http.MethodPost, base, `{"backup": {"volume_id": 9}}`, "No backup manager is available for backend file:test."},
	} {
		a := h.Call("demo:demo", call.method, call.path, call.body)
		if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, call.message) {
			t.Errorf("%s %s: %d %s", call.method, call.path, a.Status, a.Body)
		}
	}
	if s := h.VolumeStatus("9"); s != stowage.VolumeAvailable {
		t.Errorf("the volume is %s", s)
	}
}

func TestSwiftDecidesWhatATenantMayRestoreAndDelete(t *testing.T) {
	h, id := started(t)
	no := func(string) error { return stowage.Errorf(stowage.Forbidden, "You may not.") }
	h.Containers.Before("MayRead", no)
	h.Containers.Before("MayDelete", no)
	for _, call := range []struct{ method, path, body string }{
		{http.MethodPost, base + "/" + id + "/restore", `{"restore": {}}`},
		{http.MethodDelete, base + "/" + id, ""},
	} {
		if a := h.Call("demo:demo", call.method, call.path, call.body); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d %s", call.method, a.Status, a.Body)
		}
	}
	h.Await(id, stowage.BackupAvailable)
	if a := h.Call("admin:ops", http.MethodDelete, harness.Base("ops")+"/"+id+"?all_tenants=1", ""); a.Status != http.StatusAccepted {
		t.Errorf("the administrator: %d %s", a.Status, a.Body)
	}
}

func TestAnEncryptedVolumeIsRefused(t *testing.T) {
	h, id := started(t)
	h.Cinder.Change(func(v *cloud.Volume) { v.Encrypted = true })
	for path, body := range map[string]string{
		base:                         `{"backup": {"volume_id": 9}}`,
		base + "/" + id + "/restore": `{"restore": {"volume_id": 9}}`,
	} {
		a := h.Call("demo:demo", http.MethodPost, path, body)
		if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "Encrypted volumes") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	a := h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`)
	if a.Status != http.StatusBadRequest {
		t.Errorf("to a new volume that is encrypted: %d %s", a.Status, a.Body)
	}
	h.Await(id, stowage.BackupAvailable)
	if n := backups(h); n != 1 {
		t.Errorf("%d backups", n)
	}
}

func TestAVolumeThatIsBeingMigratedIsNotTaken(t *testing.T) {
	h, id := started(t)
	h.Cinder.Change(func(v *cloud.Volume) { v.MigrationStatus = "migrating" })
	for path, body := range map[string]string{
		base:                         `{"backup": {"volume_id": 9}}`,
		base + "/" + id + "/restore": `{"restore": {"volume_id": 9}}`,
	} {
		a := h.Call("demo:demo", http.MethodPost, path, body)
		if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "must be available") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	free(h, "9")
	h.Await(id, stowage.BackupAvailable)
}

// The API died before it had the lock. The tenant has used the volume since:
// the restore he was never told of must not come over it.
func TestARestoreThatCameToNothingDoesNotComeLater(t *testing.T) {
	h, id := started(t)
	h.Cinder.Before("Reserve", func(string) error {
		h.Cinder.Before("Reserve", nil)
		<-t.Context().Done() // this goroutine is as good as dead
		return t.Context().Err()
	})
	before := h.Volume("10", size)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {"volume_id": 10}}`)
	}()
	t.Cleanup(func() { <-ended })
	h.Await(id, stowage.BackupRestoring)
	h.Clock.Step(time.Hour)
	got := h.Await(id, stowage.BackupAvailable)
	if reason, _ := got["fail_reason"].(string); !strings.Contains(reason, "Restore again") {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
	if s := h.VolumeStatus("10"); s != stowage.VolumeAvailable || string(h.Bytes("10")) != string(before) {
		t.Errorf("the volume is %s, and its bytes are changed or not", s)
	}
}

// A new volume may take longer than a request may.
func TestANewVolumeThatIsSlowToComeIsRestoredAllTheSame(t *testing.T) {
	h, id := started(t)
	h.Cinder.Change(func(v *cloud.Volume) {
		if strings.HasPrefix(v.Name, "restore_") && v.Status == stowage.VolumeAvailable {
			v.Status = stowage.VolumeCreating
		}
	})
	a := h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`)
	if a.Status != http.StatusOK {
		t.Fatalf("restore: %d %s", a.Status, a.Body)
	}
	target := a.JSON(t)["restore"].(map[string]any)["volume_id"].(string)
	h.Until("a manager waits for it", func() bool { return lastJob(h, 1).Attempt > 5 })
	h.Cinder.Change(nil)
	h.Await(id, stowage.BackupAvailable)
	free(h, target)
	if string(h.Bytes(target)[:size]) != string(h.Bytes("9")) {
		t.Error("the restored volume is not equal")
	}
}
