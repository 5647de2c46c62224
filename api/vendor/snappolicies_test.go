package vendor_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage/cloud"
)

func TestASnapshotPolicyIsMadeInOneStep(t *testing.T) {
	h, id, _, _ := farm(t)
	s, _ := snapSchedule(h, "hourly", "SNAPSHOT")
	made := good(h, http.MethodPost, "/policies/vm-snapshot", fmt.Sprintf(`{"name":"quick","priority":"70","vms":[{"guid":%q,"name":"web"}],
		"rules":[{"name":"R","schedules":[{"guid":%q}],"retentionVersions":"3","retentionDays":7.0,"ruleBackupDestinations":[]}]}`, id, s), demo)
	p := good(h, http.MethodGet, "/policies/vm-snapshot/"+guidOf(made), "", demo)
	if fmt.Sprint(made) != fmt.Sprint(p) {
		t.Errorf("made %v\nis   %v", made, p)
	}
	r := p["rules"].([]any)[0].(map[string]any)
	if p["name"] != "quick" || p["priority"] != 70.0 || len(p["vms"].([]any)) != 1 || r["retentionVersions"] != 3.0 || r["retentionDays"] != 7.0 ||
		len(r["ruleBackupDestinations"].([]any)) != 0 || at(r["schedules"].([]any)[0].(map[string]any), "name") != "hourly" {
		t.Errorf("it is %v", p)
	}
	whole := send(h, http.MethodGet, "/policies/vm-snapshot/"+guidOf(p), "", demo).Body
	if again := good(h, http.MethodPut, "/policies/vm-snapshot/"+guidOf(p), whole, demo); fmt.Sprint(again) != fmt.Sprint(p) {
		t.Errorf("sent back it is %v", again)
	}
	// One user interface changes its rules on the other path.
	for _, path := range []string{"/rules/vm-backup/", "/rules/vm-snapshot/"} {
		if got := good(h, http.MethodPut, path+guidOf(r), `{"name":"R2","schedules":["`+s+`"],"retentionDays":2}`, demo); got["retentionDays"] != 2.0 || got["retentionVersions"] != 0.0 {
			t.Errorf("%s: %v", path, got)
		}
	}
	if got := good(h, http.MethodPut, "/rules/vm-snapshot/"+guidOf(r), `{"name":"R3","schedules":["`+s+`"]}`, demo); got["retentionDays"] != 2.0 {
		t.Errorf("what is not said does not stay: %v", got)
	}
	for _, body := range []string{`{"name":"x","rules":[{"retentionVersions":-1}]}`, `{"name":"x","rules":[{"retentionDays":99999999999}]}`, `{"rules":[]}`} {
		wantFault(t, send(h, http.MethodPost, "/policies/vm-snapshot", body, demo), http.StatusBadRequest, "")
	}
	if a := send(h, http.MethodDelete, "/policies/vm-snapshot/"+guidOf(p), "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if v := good(h, http.MethodGet, "/virtual-machines/"+id, "", demo); v["snapshotMgmtPolicy"] != nil {
		t.Errorf("it is still in it: %v", v)
	}
}

func TestPoliciesOfBackupsAndOfSnapshotsDoNotMix(t *testing.T) {
	h, id, _, _ := farm(t)
	s, _ := snapSchedule(h, "S", "VM_SNAPSHOT")
	b := guidOf(good(h, http.MethodPost, "/schedules", dailyAtTen, demo))
	p := guidOf(good(h, http.MethodPost, "/policies/vm-snapshot", `{"name":"gold"}`, demo)) // in two steps
	r := guidOf(good(h, http.MethodPost, "/rules/vm-snapshot", `{"name":"R","policy":"`+p+`","schedules":["`+s+`"],"retentionVersions":1}`, demo))
	backup := policyOf(h, "gold", `["`+id+`"]`, b, "") // of the same name
	for path, want := range map[string]string{
		"/policies/vm-backup": guidOf(backup), "/policies/vm-snapshot": p, "/rules/vm-snapshot": r, "/rules/vm-backup": guidOf(backup["rules"].([]any)[0].(map[string]any)),
		"/schedules?type=VM_SNAPSHOT": s, "/schedules?type=SNAPSHOT": s, "/schedules?type=VM_BACKUP": b,
	} {
		if got := one(t, send(h, http.MethodGet, path, "", demo)); guidOf(got) != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, one := range [][2]string{{"vm-backup", p}, {"vm-snapshot", guidOf(backup)}} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			wantFault(t, send(h, method, "/policies/"+one[0]+"/"+one[1], `{"name":"x"}`, demo), http.StatusNotFound, "")
		}
	}
	wantFault(t, send(h, http.MethodGet, "/rules/vm-backup/"+r, "", demo), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodDelete, "/rules/vm-backup/"+r, "", demo), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodPost, "/rules/vm-backup", `{"policy":"`+p+`"}`, demo), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodPut, "/rules/vm-snapshot/"+r, `{"schedules":["`+b+`"]}`, demo), http.StatusBadRequest, "Schedule")
	wantFault(t, send(h, http.MethodPut, "/schedules/"+b, strings.Replace(dailyAtTen, `"rules":[]`, `"rules":["`+r+`"]`, 1), demo), http.StatusBadRequest, "Rule")
	wantFault(t, send(h, http.MethodPut, "/schedules/"+b, strings.Replace(dailyAtTen, "VM_BACKUP", "VM_SNAPSHOT", 1), demo), http.StatusBadRequest, "stays")
	wantFault(t, send(h, http.MethodPost, "/tasks/vm-snapshot", `{"protectedEntities":["`+id+`"],"rule":"`+guidOf(backup["rules"].([]any)[0].(map[string]any))+`"}`, demo), http.StatusNotFound, "Rule")

	// An entity has one of each.
	of := func() string {
		v := good(h, http.MethodGet, "/virtual-machines/"+id, "", demo)
		return fmt.Sprint(at(v, "vmBackupPolicy.guid"), " ", at(v, "snapshotMgmtPolicy.guid"))
	}
	settings := func(body, want string) {
		t.Helper()
		good(h, http.MethodPut, "/virtual-machines/"+id+"/settings", body, demo)
		if got := of(); got != want {
			t.Errorf("after %s it is in %s, want %s", body, got, want)
		}
	}
	none := fmt.Sprint(nil)
	settings(`{"snapshotMgmtPolicy":{"guid":"`+p+`"}}`, guidOf(backup)+" "+p)
	settings(`{"guid":"`+id+`","vmBackupPolicy":"`+guidOf(backup)+`"}`, guidOf(backup)+" "+p) // from who knows nothing of it
	settings(`{"guid":"`+id+`","vmBackupPolicy":null,"snapshotMgmtPolicy":"`+p+`"}`, none+" "+p)
	settings(`{"guid":"`+id+`","vmBackupPolicy":"`+guidOf(backup)+`","snapshotMgmtPolicy":null}`, guidOf(backup)+" "+none)
	wantFault(t, send(h, http.MethodPut, "/virtual-machines/"+id+"/settings", `{"snapshotMgmtPolicy":"`+guidOf(backup)+`"}`, demo), http.StatusNotFound, "Policy")
	good(h, http.MethodPut, "/policies/vm-snapshot/"+p, `{"name":"gold","vms":["`+id+`"]}`, demo)
	if got := of(); got != guidOf(backup)+" "+p {
		t.Errorf("it is in %s", got)
	}
	// Who is in a policy of the other kind comes by itself all the same.
	auto := `{"name":"auto","autoAssignSettings":{"mode":"ASSIGN_ONLY","includeRegExps":["^web$"]},"executeAutoAssignmentAfterSavingPolicy":true}`
	settings(`{"snapshotMgmtPolicy":null}`, guidOf(backup)+" "+none)
	if got := one(t, withTotal(send(h, http.MethodPost, "/policies/vm-snapshot/auto-assignment-preview", auto, demo))); at(got, "protectedEntity.guid") != id {
		t.Errorf("to come is %v", got)
	}
	if got := rows(t, withTotal(send(h, http.MethodPost, "/policies/vm-backup/auto-assignment-preview", auto, demo))); len(got) != 0 {
		t.Errorf("to come to one of backups is %v", got)
	}
	settings(`{"snapshotMgmtPolicy":"`+guidOf(good(h, http.MethodPost, "/policies/vm-snapshot", auto, demo))+`"}`, of())
	if got := one(t, withTotal(send(h, http.MethodPost, "/policies/vm-snapshot/list-by-entities", `{"protectedEntities":["`+id+`"]}`, demo))); got["name"] != "auto" {
		t.Errorf("it is in %v", got)
	}
	settings(`{"snapshotMgmtPolicy":"`+p+`"}`, guidOf(backup)+" "+p)
	// No schedule of backups takes it.
	if got := rows(t, send(h, http.MethodGet, "/virtual-machines?backupStatus=NO_SCHEDULE", "", demo)); slices.ContainsFunc(got, func(v map[string]any) bool { return guidOf(v) == id }) {
		t.Errorf("without a schedule: %v", got)
	}
	send(h, http.MethodDelete, "/policies/vm-backup/"+guidOf(backup), "", demo)
	if got := rows(t, send(h, http.MethodGet, "/virtual-machines?backupStatus=NO_SCHEDULE", "", demo)); !slices.ContainsFunc(got, func(v map[string]any) bool { return guidOf(v) == id }) {
		t.Errorf("a schedule of snapshots counts as one of backups: %v", got)
	}
}

// Each snapshot that a user asks for ends with a cleanup of its own.
func TestCleanupsOfSnapshotsBesideOneAnotherAllEnd(t *testing.T) {
	h := clouded(t)
	look(h)
	s, _ := snapSchedule(h, "S", "VM_SNAPSHOT")
	p, rule := snapPolicy(h, "P", `["10"]`, `["`+s+`"]`, `,"retentionVersions":9`)
	for n := range 3 {
		if n > 0 {
			until(h, h.Clock.Now().Add(time.Minute))
		}
		snap(h, "10", rule)
	}
	snapsCleaned(h, 3)
	good(h, http.MethodPut, "/rules/vm-snapshot/"+rule, `{"retentionVersions":1}`, demo)
	clean := func() (int, error) {
		return h.Verbs.CleanupSnapshots(t.Context(), h.Verbs.SnapshotCleanupJob(cloud.User{ProjectID: "demo"}, p))
	}
	var met atomic.Bool
	var other int
	h.Servers.Before("RemoveSnapshots", func(string) (err error) {
		if met.CompareAndSwap(false, true) { // another one does all of it meanwhile
			other, err = clean()
		}
		return err
	})
	if n, err := clean(); err != nil || other != 2 || n > 1 {
		t.Errorf("%d were removed by the one and %d by the other: %v", n, other, err)
	}
	if got := snapshotsOf(h, "10"); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}
