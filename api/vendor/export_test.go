package vendor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

func export(h *harness.Harness, who func(*http.Request), body string) (a answer) {
	h.T.Helper()
	h.Until("a manager is heard of", func() bool { // after a step of the clock
		a = send(h, http.MethodPost, "/tasks/export", body, who)
		return a.Status != http.StatusServiceUnavailable
	})
	return withTotal(a)
}

// awaitTask waits until a task is in the state.
func awaitTask(h *harness.Harness, guid, state string) (task map[string]any) {
	h.T.Helper()
	h.Until("task "+guid+" is "+state, func() bool {
		task = send(h, http.MethodGet, "/tasks/"+guid, "", portal).JSON(h.T)
		return at(task, "state.name") == state
	})
	return task
}

// What each generation of clients sends, word for word but for the guids.
func TestAnExportIsUnderstoodInEachDialect(t *testing.T) {
	h := clouded(t)
	now := h.Clock.Now().UnixMilli()
	h.Volume("10", 300_000)
	policy := good(h, http.MethodPost, "/policies/vm-backup", `{"name":"P","rules":[{"ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"demo:weekly"}]}]}`, demo)
	weekly := policy["rules"].([]any)[0].(map[string]any)
	for what, c := range map[string]struct {
		body, container string
		priority        float64
		kind            string
	}{
		"the guide's": {fmt.Sprintf(`{"windowStart":%d,"windowEnd":%d,"priority":60,"backupType":{"name":"FULL"},
			"backupDestination":{"guid":"demo:nightly"},"protectedEntities":[{"guid":"10"}]}`, now, now+3600_000), "nightly", 60, "FULL"},
		"the older panel's": {`{"backupType":"FULL","backupDestination":{"guid":"demo:volumebackups"},"protectedEntities":[{"guid":"10"}],"tenantId":"demo"}`,
			"volumebackups", 50, "FULL"},
		"the user interface's": {fmt.Sprintf(`{"backupType":{"name":"INCREMENTAL","description":"Incremental"},
			"protectedEntities":[{"guid":"10","uuid":"10","name":"vol-10","vmBackupPolicy":{"guid":"p","name":"P","rules":[]},"tags":[],"project":null}],
			"priority":"70","windowStart":%d.0,"retryCount":"1","rules":[{"guid":"r","name":"Default","active":true,"ruleBackupDestinations":[
				{"roleType":{"name":"SECONDARY","description":"Secondary"},"backupDestination":{}},
				{"active":true,"roleType":{"name":"PRIMARY","description":"Primary"},"backupDestination":{"guid":"demo:nightly","name":"nightly"},
				 "backupRetentionSettings":{"retentionKeepLastNFull":"4"}}]}],"protectedEntityType":"VM","async":true}`, now), "nightly", 70, "INCREMENTAL"},
		"no more than it takes":  {`{"protectedEntities":["10"]}`, "volumebackups", 50, "INCREMENTAL"},
		"a rule by its guid":     {`{"protectedEntities":["10"],"rules":[{"guid":"` + guidOf(weekly) + `","name":"x"}]}`, "weekly", 50, "INCREMENTAL"},
		"a rule that is nowhere": {`{"protectedEntities":["10"],"rules":[{"guid":"r"}]}`, "volumebackups", 50, "INCREMENTAL"},
	} {
		h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
		task := one(t, export(h, demo, c.body))
		if at(task, "type.name") != "EXPORT" || at(task, "backupDestination.name") != c.container || at(task, "priority") != c.priority ||
			at(task, "backupType.name") != c.kind || at(task, "protectedEntity.guid") != "10" || at(task, "protectedEntity.name") != "vol-10" {
			t.Errorf("%s: the task is %v", what, task)
		}
		awaitTask(h, task["guid"].(string), "FINISHED")
		backup := send(h, http.MethodGet, "/backups/"+at(task, "backup.guid").(string), "", demo).JSON(t)
		if at(backup, "status.name") != "SUCCESS" || at(backup, "name") != "vol-10" {
			t.Errorf("%s: the backup is %v", what, backup)
		}
	}
	if got := rows(t, send(h, http.MethodGet, "/backup-destinations", "", demo)); len(got) != 3 {
		t.Errorf("destinations: %v", got)
	}
	if got := h.Call("demo:demo", http.MethodGet, harness.Base("demo"), "").JSON(t)["backups"].([]any); len(got) != 6 {
		t.Errorf("the other protocol shows %d", len(got))
	}
}

func TestAFullBackupIsFull(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	for _, c := range []struct{ ask, got string }{{"INCREMENTAL", "FULL"}, {"INCREMENTAL", "INCREMENTAL"}, {"FULL", "FULL"}} {
		h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
		task := one(t, export(h, demo, `{"backupType":"`+c.ask+`","protectedEntities":["10"]}`))
		awaitTask(h, task["guid"].(string), "FINISHED")
		backup := send(h, http.MethodGet, "/backups/"+at(task, "backup.guid").(string), "", demo).JSON(t)
		if at(backup, "type.name") != c.got {
			t.Errorf("asked for %s, it is %v", c.ask, at(backup, "type.name"))
		}
	}
}

func TestAnExportThatCannotBeIsRefusedBeforeAnyBegins(t *testing.T) {
	h := clouded(t)
	h.Volume("11", 1000)
	h.Nova.Change(nil)
	look(h)
	ms := func(d time.Duration) string { return fmt.Sprint(h.Clock.Now().Add(d).UnixMilli()) }
	for what, c := range map[string]struct {
		body, message string
		status        int
	}{
		"nothing":                {`{}`, "protectedEntities", 400},
		"no JSON":                {`protectedEntities=10`, "body", 400},
		"a server":               {`{"protectedEntities":["11","srv-1"]}`, "Server srv-1 could not be found", 404}, // Nova does not know it any more
		"another's":              {`{"protectedEntities":["11","srv-2"]}`, "could not be found", 404},
		"an odd type":            {`{"protectedEntities":["11"],"backupType":"SYNTHETIC"}`, "backupType", 400},
		"an odd priority":        {`{"protectedEntities":["11"],"priority":101}`, "priority", 400},
		"a priority of letters":  {`{"protectedEntities":["11"],"priority":"high"}`, "body", 400},
		"another's destination":  {`{"protectedEntities":["11"],"backupDestination":"alt:x"}`, "another project", 400},
		"a destination too long": {`{"protectedEntities":["11"],"backupDestination":"` + strings.Repeat("x", 257) + `"}`, "not valid", 400},
		"a window that is over":  {`{"protectedEntities":["11"],"windowEnd":` + ms(-time.Minute) + `}`, "has ended", 400},
		"a window inside out":    {`{"protectedEntities":["11"],"windowStart":` + ms(2*time.Hour) + `,"windowEnd":` + ms(time.Hour) + `}`, "before it begins", 400},
		"a window of no time":    {`{"protectedEntities":["11"],"windowStart":1e18}`, "milliseconds", 400},
		"another's tenant":       {`{"protectedEntities":["11"],"tenantId":"alt"}`, "", 404},
	} {
		a := export(h, demo, c.body)
		if a.Status != c.status {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		wantFault(t, a, c.status, c.message)
	}
	wantFault(t, export(h, token("reader:demo"), `{"protectedEntities":["11"]}`), http.StatusForbidden, "Policy")
	if got := rows(t, send(h, http.MethodGet, "/backups", "", portal)); len(got) != 0 {
		t.Errorf("begun: %v", got)
	}
}

func TestAWindowIsWaitedForWithoutTheVolumeBeingLocked(t *testing.T) {
	h := clouded(t)
	start := h.Clock.Now().Add(time.Hour)
	body := fmt.Sprintf(`{"protectedEntities":["10"],"windowStart":%d,"windowEnd":%d}`, start.UnixMilli(), start.Add(time.Hour).UnixMilli())
	task := one(t, export(h, demo, body))
	guid := task["guid"].(string)
	if at(task, "state.name") != "QUEUED" || at(task, "windowStart") != float64(start.UnixMilli()) || h.VolumeStatus("10") != stowage.VolumeAvailable {
		t.Errorf("the task is %v, the volume %s", task, h.VolumeStatus("10"))
	}
	h.Clock.Step(61 * time.Minute)
	awaitTask(h, guid, "FINISHED")
	late := one(t, export(h, demo, fmt.Sprintf(`{"protectedEntities":["10"],"windowStart":%d,"windowEnd":%d}`,
		h.Clock.Now().Add(time.Hour).UnixMilli(), h.Clock.Now().Add(2*time.Hour).UnixMilli())))
	h.Clock.Step(3 * time.Hour)
	if got := awaitTask(h, late["guid"].(string), "FAILED"); at(got, "statusInfo") != "The job did not begin inside its window." {
		t.Errorf("it says %v", got["statusInfo"])
	}
	h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
}

// A portal's account has no project of its own to speak of: what it asks for
// belongs to the project whose volume it is.
func TestAPortalBacksUpForTheProjectWhoseVolumeItIs(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	task := one(t, export(h, portal, `{"protectedEntities":["10"],"tenantId":"demo"}`))
	if at(task, "tenantId") != "demo" || at(task, "backupDestination.guid") != "demo:volumebackups" {
		t.Errorf("the task is %v", task)
	}
	awaitTask(h, task["guid"].(string), "FINISHED")
	one(t, send(h, http.MethodGet, "/backups", "", demo))
	wantFault(t, export(h, portal, `{"protectedEntities":["10"],"tenantId":"alt"}`), http.StatusNotFound, "")
	guid := at(task, "backup.guid").(string)
	want := h.Bytes("10")
	made := send(h, http.MethodPost, "/tasks/restore", `{"backup":"`+guid+`"}`, portal).JSON(t) // by the service's rights in the project
	made = awaitTask(h, guidOf(made), "FINISHED")
	target := at(made, "dstProtectedEntity.guid").(string)
	if vol, err := h.Cinder.Volume(t.Context(), target); err != nil || vol.ProjectID != "demo" || !bytes.Equal(h.Bytes(target)[:len(want)], want) {
		t.Errorf("the new volume is %v, %v", vol, err)
	}
	h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
	if err := os.WriteFile(h.VolumeFile("10"), make([]byte, len(want)), 0o600); err != nil {
		t.Fatal(err)
	}
	a := send(h, http.MethodPost, "/tasks/restore", `{"backup":"`+guid+`","overwrite":true}`, portal)
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	awaitTask(h, a.JSON(t)["guid"].(string), "FINISHED")
	if !bytes.Equal(h.Bytes("10")[:len(want)], want) {
		t.Error("the volume is not what it was")
	}
}

func TestARestoreIsUnderstoodInEachDialect(t *testing.T) {
	h := clouded(t)
	want := h.Volume("10", 300_000)
	h.Nova.Offer(stowage.ResourceVolumeType, stowage.Resource{ID: "t1", Name: "fast", Shared: true})
	look(h)
	awaitTask(h, one(t, export(h, demo, `{"protectedEntities":["10"]}`))["guid"].(string), "FINISHED")
	guid := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	for what, body := range map[string]string{
		"bare": `{"backup":"` + guid + `","dstProtectedEntity":{"guid":"10","type":"VM"},"hypervisorManager":{"guid":"openstack"},
			"restoredPeName":"again","restoreStorageId":"","restoreProject":"demo","tenantId":"demo"}`,
		"whole": `{"backup":null,"backupLocation":{"guid":"` + guid + `","backup":{"guid":"` + guid + `"},"status":{"name":"PRESENT"}},
			"hypervisorManager":{"guid":"openstack","url":"x"},"restoreClusterId":"nova","restoreStorageId":"t1","restoredPeName":"again","overwrite":false,
			"restoreToOriginalVolumeType":false,"restoredNetworks":[],"taskFiles":[],"baseImage":{},"isDiskLayoutActive":false}`,
		"both": `{"backup":{"guid":"` + guid + `","name":"x"},"backupLocation":{"guid":"` + guid + `"},"restoredPeName":"again","restoreToOriginalVolumeType":true,"restoreStorageId":"none","restoreProject":"Demo"}`,
	} {
		a := send(h, http.MethodPost, "/tasks/restore", body, demo)
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", what, a.Status, a.Body)
		}
		task := awaitTask(h, a.JSON(t)["guid"].(string), "FINISHED")
		made := at(task, "dstProtectedEntity.guid").(string)
		if made == "10" || at(task, "type.name") != "RESTORE" || at(task, "protectedEntity.guid") != "10" || !bytes.Equal(h.Bytes(made)[:len(want)], want) {
			t.Errorf("%s: the task is %v", what, task)
		}
		v, err := h.Cinder.Volume(t.Context(), made)
		if err != nil || v.Name != "again" || (what == "whole") != (v.Type == "fast") {
			t.Errorf("%s: the volume is %+v, %v", what, v, err)
		}
		h.Until("the backup is free", func() bool { return h.Show("1")["status"] == "available" })
	}
	if !bytes.Equal(h.Bytes("10"), want) {
		t.Error("the original was written to")
	}
	for body, status := range map[string]int{
		`{}`: 400, `{"backup":"none"}`: 404, `{"backup":"` + guid + `","restoreProject":"Alt"}`: 400, `{"backup":"` + guid + `","restoreStorageId":"none"}`: 400,
		`{"backup":"` + guid + `","overwrite":true,"dstProtectedEntity":"none"}`: 404, `{"backup":"` + guid + `","overwrite":"maybe"}`: 400,
	} {
		wantFault(t, send(h, http.MethodPost, "/tasks/restore", body, demo), status, "")
	}
	wantFault(t, send(h, http.MethodPost, "/tasks/restore", `{"backup":"`+guid+`"}`, token("x:alt")), http.StatusNotFound, "")
}

func TestDeletingAnEntityDeletesItsBackups(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	remove := func(who func(*http.Request), value string) answer {
		return withTotal(send(h, http.MethodPost, "/tasks/delete", `{"value":`+value+`}`, who))
	}
	if got := rows(t, remove(demo, `"10"`)); len(got) != 0 {
		t.Errorf("there was nothing: %v", got)
	}
	for range 2 {
		h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
		awaitTask(h, one(t, export(h, demo, `{"protectedEntities":["10"]}`))["guid"].(string), "FINISHED")
	}
	wantFault(t, remove(token("x:alt"), `"10"`), http.StatusNotFound, "")
	wantFault(t, remove(demo, `""`), http.StatusBadRequest, "value")
	if err := h.SetStatus(2, stowage.BackupRestoring); err != nil {
		t.Fatal(err)
	}
	wantFault(t, remove(demo, `"10"`), http.StatusConflict, "restored")
	if err := h.SetStatus(2, stowage.BackupAvailable); err != nil {
		t.Fatal(err)
	}
	tasks := rows(t, remove(demo, `{"guid":"10"}`))
	if len(tasks) != 2 || at(tasks[0], "type.name") != "DELETE" {
		t.Fatalf("the tasks are %v", tasks)
	}
	for _, task := range tasks {
		awaitTask(h, task["guid"].(string), "FINISHED")
	}
	h.Until("no object is left", func() bool { return len(h.Objects()) == 0 })
}

// Nothing of an answer is null, whatever is asked.
func TestNoAnswerHoldsANull(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	awaitTask(h, one(t, export(h, demo, `{"protectedEntities":["10"]}`))["guid"].(string), "FINISHED")
	for _, path := range []string{"/virtual-machines", "/tasks", "/backups", "/workflow-executions", "/nodes", "/backup-locations", "/session/user", "/hypervisor-managers"} {
		a := send(h, http.MethodGet, path, "", portal)
		if a.Status != http.StatusOK || strings.Contains(a.Body, "null") || !json.Valid([]byte(a.Body)) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// A task is tried again as often as was asked for, and not as the operator has it.
func TestATaskIsTriedAgainAsOftenAsIsAskedFor(t *testing.T) {
	for _, c := range []struct{ retries, calls int }{{0, 1}, {4, 5}} {
		h := clouded(t)
		h.Disks.On(drivertest.OpCreateSnapshot, "").Always().Before(stowage.Errorf(stowage.Unavailable, "away"))
		task := one(t, export(h, demo, fmt.Sprintf(`{"protectedEntities":["10"],"retryCount":"%d"}`, c.retries)))
		awaitTask(h, guidOf(task), "FAILED")
		n := 0
		for _, call := range h.Disks.Calls() {
			if call.Op == drivertest.OpCreateSnapshot {
				n++
			}
		}
		if n != c.calls {
			t.Errorf("%d retries: tried %d times, want %d", c.retries, n, c.calls)
		}
	}
	h := clouded(t)
	wantFault(t, export(h, demo, `{"protectedEntities":["10"],"retryCount":-1}`), http.StatusBadRequest, "tried again")
}

// Cinder locks the volume when the job that asked for it has been given up.
func TestALockThatComesLateIsGivenBack(t *testing.T) {
	h := clouded(t)
	start := h.Clock.Now().Add(time.Hour)
	task := one(t, export(h, demo, fmt.Sprintf(`{"protectedEntities":["10"],"windowStart":%d}`, start.UnixMilli())))
	h.Cinder.Before("Reserve", func(string) error { return errAway })
	until(h, start)
	if got := ended(h, guidOf(task)); at(got, "state.name") != "FAILED" {
		t.Errorf("the task is %v", got)
	}
	h.Clock.Step(time.Minute)
	if _, err := h.Cinder.Volumes.Reserve(t.Context(), "10", guidOf(task)); err != nil {
		t.Fatal(err)
	}
	h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
	h.Clock.Step(10 * time.Minute)
	h.Until("it is looked for no more", func() bool {
		j, err := h.DB.Job(t.Context(), guidOf(task))
		return err == nil && j.Lock == stowage.LockReleased
	})
}
