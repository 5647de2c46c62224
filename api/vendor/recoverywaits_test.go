package vendor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
)

// halted runs a plan whose second server's backup, or a part of it, is being restored by
// another, and gives the task when the run waits for it.
func halted(h *harness.Harness, ids []string, where string) (task string) {
	h.T.Helper()
	plan := guidOf(inOrder(h, ids, ""))
	if err := h.Exec("UPDATE backups SET status = 'restoring' WHERE "+where, ids[1]); err != nil {
		h.T.Fatal(err)
	}
	task = guidOf(good(h, http.MethodPost, "/policies/recovery-plan/"+plan+"/run", `{}`, demo))
	h.Until("the second step has begun", func() bool {
		j, err := h.DB.Job(h.T.Context(), task)
		return err == nil && !j.Params.Recovery.Steps[1].BegunAt.IsZero()
	})
	if j, err := h.DB.Job(h.T.Context(), task); err != nil || j.State.Ended() {
		h.T.Fatalf("it does not wait: %s %s, %v", j.State, j.Error, err)
	}
	return task
}

const (
	theWhole = "volume_id = ?"
	thePart  = "set_id = (SELECT id FROM backups WHERE volume_id = ?)"
)

func TestAStepWaitsUntilItsBackupCanBeRestored(t *testing.T) {
	for what, where := range map[string]string{"the whole": theWhole, "a part": thePart} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, ids := trio(t)
			task := halted(h, ids, where)
			if err := h.Exec("UPDATE backups SET status = 'available' WHERE "+where, ids[1]); err != nil {
				t.Fatal(err)
			}
			if got := ended(h, task); at(got, "state.name") != "FINISHED" {
				t.Errorf("the run is %v: %v", at(got, "state.name"), got["statusInfo"])
			}
		})
	}
}

func TestAStepThatWaitsIsCancelled(t *testing.T) {
	h, ids := trio(t)
	task := halted(h, ids, theWhole)
	good(h, http.MethodPut, "/tasks/"+task+"/state", `{"state":{"name":"CANCELLED"}}`, demo)
	if got := ended(h, task); at(got, "state.name") != "CANCELLED" {
		t.Errorf("the run is %v: %v", at(got, "state.name"), got["statusInfo"])
	}
	if n := len(h.Servers.List()); n != 4 { // the first was up
		t.Errorf("%d servers", n)
	}
}

func TestAStepDoesNotWaitForEver(t *testing.T) {
	h, ids := trio(t)
	task := halted(h, ids, theWhole)
	h.Clock.Step(30 * 24 * time.Hour)
	if got := ended(h, task); at(got, "state.name") != "FAILED" || !strings.Contains(got["statusInfo"].(string), "available") {
		t.Errorf("the run is %v: %v", at(got, "state.name"), got["statusInfo"])
	}
}

func TestWhatARunRestoresIsNotDeletedBefore(t *testing.T) {
	h, ids := trio(t)
	task := halted(h, ids, theWhole)
	j, err := h.DB.Job(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	third := j.Params.Recovery.Steps[2].Backup
	wantFault(t, send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, ids[2]), demo), http.StatusConflict, "recovery plan")
	part := partsOf(h, third)[0]
	if a := h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+fmt.Sprint(part.ID), ""); a.Status != http.StatusConflict || !strings.Contains(a.Body, "recovery plan") {
		t.Errorf("a part of it: %d %s", a.Status, a.Body)
	}
	marked(h, third, "TO_REMOVE", 1)
	untouched(h, third)
	if err := h.Exec("UPDATE backups SET status = 'available' WHERE "+theWhole, ids[1]); err != nil {
		t.Fatal(err)
	}
	if got := ended(h, task); at(got, "state.name") != "FINISHED" {
		t.Errorf("the run is %v: %v", at(got, "state.name"), got["statusInfo"])
	}
	marked(h, third, "TO_REMOVE", 2)
	h.Until("it goes when the run is over", func() bool {
		_, err := h.DB.BackupByUUID(t.Context(), db.Scope{}, third)
		return stowage.CodeOf(err) == stowage.NotFound
	})
}

func TestWhoMayNotReadTheContainerRunsNoPlan(t *testing.T) {
	h, ids := trio(t)
	plan := guidOf(inOrder(h, ids, ""))
	h.Containers.Before("MayRead", func(string) error { return stowage.Errorf(stowage.Forbidden, "You may not read it.") })
	wantFault(t, send(h, http.MethodPost, "/policies/recovery-plan/"+plan+"/run", `{}`, demo), http.StatusForbidden, "may not read")
	if list := polled(h, "/tasks?type=RECOVERY_PLAN"); len(list) != 0 {
		t.Errorf("it is run: %v", list)
	}
}
