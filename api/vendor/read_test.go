package vendor_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
)

// rows reads an array, checks that no key of it is null, and that the header
// tells how many there are.
func rows(t *testing.T, a answer) []map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || a.Status != http.StatusOK || list == nil {
		t.Fatalf("no array: %d %s", a.Status, a.Body)
	}
	if n, err := strconv.Atoi(a.Header.Get("X-Total-Count")); err != nil || n < len(list) {
		t.Errorf("X-Total-Count is %q for %d", a.Header.Get("X-Total-Count"), len(list))
	}
	if strings.Contains(a.Body, ":null") {
		t.Errorf("there is a null in %s", a.Body)
	}
	return list
}

// at follows keys into an object: "state.name".
func at(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}

func one(t *testing.T, a answer) map[string]any {
	t.Helper()
	list := rows(t, a)
	if len(list) != 1 {
		t.Fatalf("%d rows: %s", len(list), a.Body)
	}
	return list[0]
}

var demo = token("demo:demo")

// backedUp has a manager, and an available backup of demo's volume 9.
func backedUp(t *testing.T) *harness.Harness {
	t.Helper()
	h, _ := backedUpBy(t)
	return h
}

// backedUpBy is backedUp, with what stops the manager.
func backedUpBy(t *testing.T) (h *harness.Harness, stop func()) {
	t.Helper()
	h = harness.New(t)
	stop = h.Start(h.Manager("m1"))
	h.Volume("9", 300_000)
	h.Await(h.Create("9"), stowage.BackupAvailable)
	h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	return h, stop
}

func TestAJobIsATaskABackupAndAWorkflow(t *testing.T) {
	h := backedUp(t)
	task := one(t, send(h, http.MethodGet, "/tasks", "", demo))
	for path, want := range map[string]any{
		"state.name": "FINISHED", "state.description": "Finished", "type.name": "EXPORT", "progress": 100.0, "priority": 50.0,
		"backupType.name": "FULL", "protectedEntity.guid": "9", "protectedEntity.type.name": "VM", "originEntity.type.name": "USER",
		"hypervisorManager.guid": "openstack", "backupDestination.guid": "demo:volumebackups", "tenantId": "demo", "node": nil,
	} {
		if got := at(task, path); got != want {
			t.Errorf("task: %s is %v, want %v", path, got, want)
		}
	}
	guid := task["guid"].(string)
	if got := send(h, http.MethodGet, "/tasks/"+guid+"/", "", demo).JSON(t); at(got, "guid") != guid {
		t.Errorf("the task is %v", got)
	}
	backup := one(t, send(h, http.MethodGet, "/backups/?protected-entity=9", "", demo))
	for path, want := range map[string]any{
		"status.name": "SUCCESS", "type.name": "FULL", "protectedEntity.guid": "9", "warningsPresent": false, "hidden": false,
		"guid": at(task, "backup.guid"), "warningsAcknowledged": false,
	} {
		if got := at(backup, path); got != want {
			t.Errorf("backup: %s is %v, want %v", path, got, want)
		}
	}
	where := backup["backupLocations"].([]any)[0]
	for path, want := range map[string]any{
		"backupDestination.name": "volumebackups", "status.name": "PRESENT", "retentionHint.name": "STANDARD_RETENTION", "roleType.name": "PRIMARY",
	} {
		if got := at(where, path); got != want {
			t.Errorf("location: %s is %v, want %v", path, got, want)
		}
	}
	run := one(t, send(h, http.MethodGet, "/workflow-executions?page=0&size=20&orderBy=state&direction=asc", "", demo))
	if at(run, "state.name") != "FINISHED" || at(run, "averageProgress") != 100.0 || at(run, "currentStep.name") != "EXPORT" {
		t.Errorf("the workflow is %v", run)
	}
	one(t, send(h, http.MethodGet, "/tasks?workflow-execution="+run["guid"].(string), "", demo))
	one(t, send(h, http.MethodGet, "/tasks?nameLike="+at(run, "protectedEntity.name").(string), "", demo))
	if got := rows(t, send(h, http.MethodGet, "/tasks?nameLike=nothing", "", demo)); len(got) != 0 {
		t.Errorf("by a name of none: %v", got)
	}
	file := one(t, send(h, http.MethodGet, "/backup-files/detailed/for-restore?backup="+backup["guid"].(string)+"&with-modified-configs=true", "", demo))
	if at(file, "backupFileType.name") != "DISK" || at(file, "vmDisk.guid") != "9" || at(file, "path") == "" {
		t.Errorf("the file is %v", file)
	}
}

func TestTasksAndBackupsAreFilteredInEverySpelling(t *testing.T) {
	h := backedUp(t)
	backup := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	for path, want := range map[string]int{
		"/tasks?state=FINISHED": 1, "/tasks?state=finished&state=RUNNING": 1, "/tasks?states=QUEUED&states=FAILED": 0,
		`/tasks?state=%7B%22name%22%3A%22FINISHED%22%7D`: 1, "/tasks?state=NO_SUCH": 0, "/tasks?state=": 1,
		"/tasks?type=EXPORT": 1, "/tasks?type=RESTORE": 0, "/tasks?type=INDEX": 0, "/tasks?type=STORE": 0,
		"/tasks?protected-entity=9": 1, "/tasks?protectedEntity=9": 1, "/tasks?protectedEntity=8": 0,
		"/tasks?backup=" + backup: 1, "/tasks?backup=x": 0, "/tasks?schedule=s": 0, "/tasks?node=m1": 0, "/tasks?node=null": 1,
		"/tasks?backup-destination=demo:volumebackups": 1, "/tasks?backup-destination=demo:other": 0,
		"/tasks?filter=": 1, "/tasks?filter=finish": 1, "/tasks?filter=nothing": 0, "/tasks?filter=9": 1, "/tasks?filter=%25": 0,
		"/tasks?page=0&size=1": 1, "/tasks?page=1&size=1": 0, "/tasks?from=1&to=2": 0, "/tasks?from=1": 1,
		"/tasks?protectedEntity=%E5%90%8D": 0, "/tasks?hypervisor-manager=openstack": 1, "/tasks?hypervisor-manager=other": 0,
		"/backups?status=SUCCESS": 1, "/backups?status=FAILED&status=SUCCESS": 1, "/backups?status=FAILED": 0, "/backups?status=PARTIAL_SUCCESS": 0,
		"/backups?type=FULL": 1, "/backups?type=INCREMENTAL": 0, "/backups?type=SYNTHETIC": 0, "/backups?only-mountable=true": 1,
		"/backups?only-mountable=false": 1, "/backups?min-size=1": 1, "/backups?min-size=999999999": 0, "/backups?from=1763715600123.0": 1,
		"/backups?to=1000": 0, "/backups?protected-entity=8": 0, "/backups?backup-destination=demo:volumebackups": 1,
		"/backups?protected-entity-type=VM": 1, "/backups?protected-entity-type=APP": 0, "/backups?backup-policy=p": 0,
		"/backup-locations?location-status=PRESENT": 1, "/backup-locations?location-status=REMOVED": 0, "/backup-locations/for-restore?protected-entity=9": 1,
		"/restore-jobs?protected-entity=9": 0, "/backup-destinations": 1, "/nodes": 0, "/snapshots?protected-entity=9&stand-alone=true": 0,
		"/policies/vm-snapshot": 0, "/credential": 0, "/projects": 1, "/hypervisor-managers/?backup-to-be-restored=" + backup: 1,
	} {
		if got := rows(t, send(h, http.MethodGet, path, "", demo)); len(got) != want {
			t.Errorf("%s: %d rows, want %d", path, len(got), want)
		}
	}
	wantFault(t, send(h, http.MethodGet, "/tasks?page=x", "", demo), http.StatusBadRequest, "page")
	wantFault(t, send(h, http.MethodGet, "/tasks/none", "", demo), http.StatusNotFound, "none")
	wantFault(t, send(h, http.MethodGet, "/backups/%E5%90%8D", "", demo), http.StatusNotFound, "could not be found")
}

// Who did the work is told of what has ended, too, but to the integration account only.
func TestWhichManagerDidTheWorkIsTheOperatorsBusiness(t *testing.T) {
	h := backedUp(t)
	admin := token("portal:admin")
	if task := one(t, send(h, http.MethodGet, "/tasks", "", admin)); at(task, "state.name") != "FINISHED" || at(task, "node.name") != "m1" || at(task, "node.guid") != "m1" {
		t.Errorf("the task is %v", task)
	}
	for path, want := range map[string][2]int{
		"/tasks?node=m1": {1, 0}, "/tasks?node=m": {0, 0}, "/tasks?node=m2": {0, 0}, "/tasks?node=%E5%90%8D": {0, 0},
		"/backups?node=m1": {1, 0}, "/backups?node=m2": {0, 0}, "/workflow-executions?node=m1": {1, 0}, "/tasks?node=": {1, 1},
	} {
		for i, who := range []func(*http.Request){admin, demo} {
			if got := rows(t, send(h, http.MethodGet, path, "", who)); len(got) != want[i] {
				t.Errorf("%s: %d rows, want %d", path, len(got), want[i])
			}
		}
	}
}

func TestATenantSeesHisProjectAndAPortalTheOneItNames(t *testing.T) {
	h := backedUp(t)
	guid := one(t, send(h, http.MethodGet, "/tasks", "", demo))["guid"].(string)
	backup := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	named := func(project string) func(*http.Request) {
		return func(r *http.Request) {
			if project != "" {
				r.Header.Set("3rd-party", "HORIZON")
				r.Header.Set("3rd-party-project", project)
			}
		}
	}
	for _, c := range []struct {
		token, path, header string
		want                int
	}{
		{"other:alt", "/tasks", "", 0},
		{"other:alt", "/tasks?tenantid=demo", "", 0},
		{"other:alt", "/tasks?project-uuid=demo", "demo", 0},
		{"demo:demo", "/tasks?tenantId=demo", "", 1},
		{"demo:demo", "/tasks?tenantId=alt", "", 0},
		{"reader:demo", "/tasks", "", 1},
		{"portal:ops", "/tasks", "", 1},
		{"portal:ops", "/tasks?tenantid=demo", "", 1},
		{"portal:ops", "/tasks?tenant-id=alt", "", 0},
		{"portal:ops", "/tasks", "demo", 1},
		{"portal:ops", "/tasks?project-uuid=alt", "alt", 0},
		{"portal:ops", "/tasks?tenantid=demo&project-uuid=alt", "alt", 0},
		{"admin:ops", "/backups", "", 1},
		{"portal:ops", "/nodes", "", 1},
	} {
		if got := rows(t, send(h, http.MethodGet, c.path, "", token(c.token), named(c.header))); len(got) != c.want {
			t.Errorf("%s of %s with %q: %d rows, want %d", c.token, c.path, c.header, len(got), c.want)
		}
	}
	for _, path := range []string{"/tasks/" + guid, "/backups/" + backup, "/backup-files?backup=" + backup} {
		wantFault(t, send(h, http.MethodGet, path, "", token("other:alt")), http.StatusNotFound, "could not be found")
		wantFault(t, send(h, http.MethodGet, path+"?tenantid=demo", "", token("other:alt")), http.StatusNotFound, "")
	}
	wantFault(t, send(h, http.MethodDelete, "/tasks/"+guid, "", token("other:alt")), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodDelete, "/tasks/"+guid, "", token("reader:demo")), http.StatusForbidden, "Policy")
	wantFault(t, send(h, http.MethodPut, "/backups/"+backup+"/description", `{"value":"x"}`, token("other:alt")), http.StatusNotFound, "")
}

func TestABackupIsDescribedAndItsWarningsAcknowledged(t *testing.T) {
	h := backedUp(t)
	guid := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	if err := h.Exec("UPDATE backups SET damaged_reason = 'A pack is missing.'"); err != nil {
		t.Fatal(err)
	}
	a := send(h, http.MethodPut, "/backups/"+guid+"/description", `{"value":"before the upgrade","extra":{}}`, demo)
	if a.Status != http.StatusOK || at(a.JSON(t), "description") != "before the upgrade" || at(a.JSON(t), "warningsPresent") != true {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, value := range []string{"true", `"false"`, `true`} {
		a = send(h, http.MethodPut, "/backups/"+guid+"/warnings-acknowledged", `{"value":`+value+`}`, demo)
		if a.Status != http.StatusOK || at(a.JSON(t), "warningsAcknowledged") != (strings.Trim(value, `"`) == "true") {
			t.Errorf("%s: %d %s", value, a.Status, a.Body)
		}
	}
	wantFault(t, send(h, http.MethodPut, "/backups/"+guid+"/description", `{"value":"`+strings.Repeat("x", 256)+`"}`, demo), http.StatusBadRequest, "255")
	wantFault(t, send(h, http.MethodPut, "/backups/none/description", `{"value":"x"}`, demo), http.StatusNotFound, "")
	if got := h.Show("1"); got["display_description"] != "before the upgrade" {
		t.Errorf("the other protocol shows %v", got)
	}
}

func TestTasksThatHaveEndedLeaveTheList(t *testing.T) {
	h := backedUp(t)
	guid := one(t, send(h, http.MethodGet, "/tasks", "", demo))["guid"].(string)
	wantFault(t, send(h, http.MethodPut, "/tasks/"+guid+"/state", `{"state":{"name":"CANCELLED"}}`, demo), http.StatusConflict, "has ended")
	wantFault(t, send(h, http.MethodPut, "/tasks/"+guid+"/state", `{"state":"RUNNING"}`, demo), http.StatusBadRequest, "CANCELLED")
	if a := send(h, http.MethodDelete, "/tasks/all-finished", "", token("other:alt")); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	one(t, send(h, http.MethodGet, "/tasks", "", demo)) // he has no hold on it
	if a := send(h, http.MethodDelete, "/tasks/"+guid, "", demo); a.Status != http.StatusNoContent || a.Body != "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantFault(t, send(h, http.MethodGet, "/tasks/"+guid, "", demo), http.StatusNotFound, "")
	h.Await(h.Create("9"), stowage.BackupAvailable)
	one(t, send(h, http.MethodGet, "/tasks", "", demo))
	send(h, http.MethodDelete, "/tasks/all-finished", "", demo)
	if got := rows(t, send(h, http.MethodGet, "/tasks", "", demo)); len(got) != 0 {
		t.Errorf("still there: %v", got)
	}
	if got := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(got) != 2 {
		t.Errorf("%d backups", len(got))
	}
}
