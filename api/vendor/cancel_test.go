package vendor_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

// idle has a manager that was there a moment ago, and volume 9.
func idle(t *testing.T) *harness.Harness {
	t.Helper()
	h := harness.New(t)
	h.Start(h.Manager("m1"))()
	h.Volume("9", 300_000)
	return h
}

func cancel(h *harness.Harness, guid string) answer {
	h.T.Helper()
	return send(h, http.MethodPut, "/tasks/"+guid+"/state", `{"state":{"name":"CANCELLED"},"statusInfo":"not today"}`, demo)
}

func TestATaskThatNobodyBeganIsCancelledAtOnce(t *testing.T) {
	h := idle(t)
	id := h.Create("9")
	task := one(t, send(h, http.MethodGet, "/tasks?state=QUEUED", "", demo))
	if got := one(t, send(h, http.MethodGet, "/backups", "", demo)); at(got, "status.name") != "QUEUED" {
		t.Errorf("the backup is %v", got)
	}
	a := cancel(h, task["guid"].(string))
	if a.Status != http.StatusOK || at(a.JSON(t), "state.name") != "CANCELLED" || at(a.JSON(t), "statusInfo") != "Cancelled: not today" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if b := h.Show(id); b["status"] != "error" || b["fail_reason"] != "Cancelled: not today" {
		t.Errorf("the backup is %v", b)
	}
	if s := h.VolumeStatus("9"); s != stowage.VolumeAvailable {
		t.Errorf("the volume is %s", s)
	}
	wantFault(t, cancel(h, task["guid"].(string)), http.StatusConflict, "has ended")
	h.Start(h.Manager("m1"))
	h.Await(h.Create("9"), stowage.BackupAvailable) // and it works again
	if n := len(rows(t, send(h, http.MethodGet, "/tasks?state=CANCELLED", "", demo))); n != 1 {
		t.Errorf("%d are cancelled", n)
	}
}

// A user interface's button on each row removes what has ended.
func TestRemovingAWorkflowEndsNothing(t *testing.T) {
	h := idle(t)
	id := h.Create("9")
	guid := one(t, send(h, http.MethodGet, "/workflow-executions", "", demo))["guid"].(string)
	remove := func() {
		t.Helper()
		if a := send(h, http.MethodDelete, "/workflow-executions/"+guid, "", demo); a.Status != http.StatusNoContent {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	remove()
	if got := one(t, send(h, http.MethodGet, "/tasks", "", demo)); at(got, "state.name") != "QUEUED" {
		t.Errorf("it is %v", got)
	}
	h.Start(h.Manager("m1"))
	h.Await(id, stowage.BackupAvailable)
	awaitTask(h, guid, "FINISHED")
	remove()
	for _, path := range []string{"/tasks", "/workflow-executions"} {
		if got := rows(t, send(h, http.MethodGet, path, "", demo)); len(got) != 0 {
			t.Errorf("%s: still there: %v", path, got)
		}
	}
	wantFault(t, send(h, http.MethodDelete, "/workflow-executions/none", "", demo), http.StatusNotFound, "none")
}

func TestDeletingATaskThatWaitsCancelsIt(t *testing.T) {
	h := idle(t)
	h.Create("9")
	guid := one(t, send(h, http.MethodGet, "/tasks", "", demo))["guid"].(string)
	for range 2 {
		if a := send(h, http.MethodDelete, "/tasks/"+guid, "", demo); a.Status != http.StatusNoContent {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if got := rows(t, send(h, http.MethodGet, "/tasks", "", demo)); len(got) != 0 {
		t.Errorf("still there: %v", got)
	}
	for _, v := range []string{"10", "11", "12"} {
		h.Volume(v, 1000)
		h.Create(v)
	}
	if a := send(h, http.MethodDelete, "/tasks/all-finished-and-queued", "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if got := rows(t, send(h, http.MethodGet, "/tasks", "", demo)); len(got) != 0 {
		t.Errorf("still there: %v", got)
	}
	for _, v := range []string{"9", "10", "11", "12"} {
		if s := h.VolumeStatus(v); s != stowage.VolumeAvailable {
			t.Errorf("volume %s is %s", v, s)
		}
	}
}

// held begins something that stops at the fault, cancels the one task that runs
// then, and lets it go on once the manager has heard of it.
func held(h *harness.Harness, fault drivertest.Fault, begin func()) {
	h.T.Helper()
	reached, heard := make(chan struct{}), make(chan struct{})
	fault.Run(func() { close(reached); <-heard })
	begin()
	<-reached
	running := one(h.T.(*testing.T), send(h, http.MethodGet, "/tasks?state=RUNNING", "", token("portal:admin")))
	if at(running, "node.guid") != "m1" {
		h.T.Errorf("it runs on %v", running["node"])
	}
	if a := cancel(h, running["guid"].(string)); a.Status != http.StatusOK {
		h.T.Errorf("%d %s", a.Status, a.Body)
	}
	h.Until("the manager has heard", func() bool { return h.LogContains("work is to stop") })
	close(heard)
	h.Until("the task is cancelled", func() bool {
		return len(rows(h.T.(*testing.T), send(h, http.MethodGet, "/tasks?state=CANCELLED", "", demo))) == 1
	})
}

func TestABackupUnderWayIsCancelledAndLeavesNothing(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", 3_000_000)
	id := ""
	held(h, h.Stores.On(drivertest.OpPut, "pack").Skip(2), func() { id = h.Create("9") })
	if b := h.Await(id, stowage.BackupError); b["fail_reason"] != "Cancelled: not today" {
		t.Errorf("the backup is %v", b)
	}
	h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	h.Until("no snapshot is left", func() bool { return len(h.Snapshots()) == 0 })
	h.Until("no object is left", func() bool { return len(h.Objects()) == 0 })
	h.Await(h.Create("9"), stowage.BackupAvailable) // and it works again
}

func TestARestoreUnderWayIsCancelledAndTheVolumeShowsIt(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", 3_000_000)
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	before := h.Volume("10", 3_000_000)
	h.Until("the volumes are free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	held(h, h.Stores.On(drivertest.OpGet, "pack").Skip(3), func() {
		a := h.Call("demo:demo", http.MethodPost, harness.Base("demo")+"/"+id+"/restore", `{"restore": {"volume_id": 10}}`)
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	})
	if b := h.Await(id, stowage.BackupAvailable); b["fail_reason"] != "Restore: Cancelled: not today" {
		t.Errorf("the backup is %v", b)
	}
	want := stowage.VolumeAvailable
	if !bytes.Equal(before, h.Bytes("10")) { // nobody writes to it any more
		want = stowage.VolumeErrorRestoring
	}
	// A volume that is let go is available before it shows what became of it.
	h.Until("the volume is "+want, func() bool { return h.VolumeStatus("10") == want })
	job := one(t, send(h, http.MethodGet, "/restore-jobs?protected-entity=9", "", demo))
	if at(job, "status.name") != "FAILED" || at(job, "dstProtectedEntity.guid") != "10" || at(job, "backup.size") != 3e6 {
		t.Errorf("the restore job is %v", job)
	}
}

func TestADeletionIsNotCancelled(t *testing.T) {
	h := backedUp(t)
	reached, on := make(chan struct{}), make(chan struct{})
	h.Stores.On(drivertest.OpDelete, "").Run(func() { close(reached); <-on })
	h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/1", "")
	<-reached
	running := one(t, send(h, http.MethodGet, "/tasks?type=DELETE", "", demo))
	wantFault(t, cancel(h, running["guid"].(string)), http.StatusConflict, "deletion")
	if a := send(h, http.MethodDelete, "/tasks/all-running", "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	close(on)
	h.Await("1", "")
	one(t, send(h, http.MethodGet, "/tasks?type=DELETE&state=FINISHED", "", demo))
}
