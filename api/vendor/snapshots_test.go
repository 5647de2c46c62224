package vendor_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
)

// snapSchedule makes a schedule of snapshots that is due once a day, first within an hour.
func snapSchedule(h *harness.Harness, name, kind string) (string, time.Time) {
	h.T.Helper()
	due := h.Clock.Now().UTC().Add(time.Hour).Truncate(time.Minute)
	s := good(h, http.MethodPost, "/schedules", fmt.Sprintf(`{"name":%q,"type":%q,"executionType":"TIME","hour":%d,"startWindowLength":3600000}`,
		name, kind, due.Sub(due.Truncate(24*time.Hour)).Milliseconds()), demo)
	if got := at(s, "type.name"); got != "VM_SNAPSHOT" || s["backupType"] != nil {
		h.T.Errorf("the schedule is %v", s)
	}
	return guidOf(s), due
}

// snapPolicy makes a policy of snapshots, and gives its guid and its rule's.
func snapPolicy(h *harness.Harness, name, vms, schedules, retention string) (policy, rule string) {
	h.T.Helper()
	p := good(h, http.MethodPost, "/policies/vm-snapshot", fmt.Sprintf(`{"name":%q,"priority":"70","vms":%s,"rules":[{"name":"R","schedules":%s%s}]}`, name, vms, schedules, retention), demo)
	return guidOf(p), guidOf(p["rules"].([]any)[0].(map[string]any))
}

// snapshotsOf lists an entity's snapshots, the newest first.
func snapshotsOf(h *harness.Harness, entity string) []map[string]any {
	h.T.Helper()
	return rows(h.T.(*testing.T), withTotal(send(h, http.MethodGet, "/snapshots?stand-alone=true&protected-entity="+entity, "", demo)))
}

// snap asks for a snapshot by hand, and waits for its end.
func snap(h *harness.Harness, entity, rule string) map[string]any {
	h.T.Helper()
	task := one(h.T.(*testing.T), withTotal(send(h, http.MethodPost, "/tasks/vm-snapshot", fmt.Sprintf(`{"priority":"60","protectedEntities":[{"guid":%q}],"rule":{"guid":%q}}`, entity, rule), demo)))
	return ended(h, guidOf(task))
}

// snapsCleaned waits until so many cleanups have ended, and wants them to have done well.
func snapsCleaned(h *harness.Harness, n int) {
	h.T.Helper()
	h.Until(fmt.Sprintf("%d cleanups are over", n), func() bool {
		list := polled(h, "/tasks?type=OLD_SNAPSHOTS_REMOVAL")
		return len(list) >= n && !slices.ContainsFunc(list, func(t map[string]any) bool { return at(t, "state.name") != "FINISHED" })
	})
}

func TestAScheduleTakesSnapshotsAndRetentionRemovesTheOldest(t *testing.T) {
	h, id, _, _ := farm(t)
	h.Volume("23", 1000)
	look(h)
	foreign, err := h.Servers.TakeSnapshot(t.Context(), "demo", "23")
	if err != nil {
		t.Fatal(err)
	}
	s, due := snapSchedule(h, "S", "VM_SNAPSHOT")
	p, rule := snapPolicy(h, "P", `["`+id+`","23"]`, `["`+s+`"]`, `,"retentionVersions":2`)
	for n := 1; n <= 3; n++ {
		until(h, due)
		if run, want := ran(h, s, n), []string{id + " BEGUN", "23 BEGUN"}; len(strings.Split(entries(run), "; ")) != 2 || !strings.Contains(entries(run), want[0]) || !strings.Contains(entries(run), want[1]) {
			t.Fatalf("the run has %s", entries(run))
		}
		snapsCleaned(h, n)
		due = due.Add(24 * time.Hour)
	}
	tasks := rows(t, send(h, http.MethodGet, "/tasks?type=SNAPSHOT&schedule="+s+"&snapshot-policy="+p, "", demo))
	if len(tasks) != 6 || at(tasks[0], "state.name") != "FINISHED" || tasks[0]["priority"] != 70.0 || at(tasks[0], "originEntity.type.name") != "SCHEDULE" {
		t.Errorf("the tasks are %v", tasks)
	}
	if got := rows(t, send(h, http.MethodGet, "/tasks?filter=snapshot", "", demo)); len(got) != 9 {
		t.Errorf("%d tasks by the text", len(got))
	}
	servers, volumes := snapshotsOf(h, id), snapshotsOf(h, "23")
	if len(servers) != 2 || len(volumes) != 2 {
		t.Fatalf("kept are %v and %v", servers, volumes)
	}
	first := servers[0]
	if at(first, "status") != "SUCCESS" || at(first, "policy") != "P" || at(first, "rule.guid") != rule || at(first, "protectedEntity.name") != "web" ||
		len(first["disks"].([]any)) != 2 || first["uuid"] != guidOf(first) || first["snapshotTime"].(float64) <= servers[1]["snapshotTime"].(float64) {
		t.Errorf("the snapshot is %v", first)
	}
	if volumes[0]["uuid"] != at(volumes[0]["disks"].([]any)[0], "uuid") {
		t.Errorf("the volume's is %v", volumes[0])
	}
	// On the backend is what is listed, and what a user took.
	if got := h.Snapshots(); len(got) != 2*2+2+1 || !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, foreign) }) {
		t.Errorf("on the backend there are %v", got)
	}
	if got := rows(t, send(h, http.MethodGet, "/snapshots?stand-alone=false", "", demo)); len(got) != 0 {
		t.Errorf("not alone stand %v", got)
	}
	// What a policy took stays when it is deleted, and tells no policy any more.
	send(h, http.MethodDelete, "/policies/vm-snapshot/"+p, "", demo)
	if got := snapshotsOf(h, id); len(got) != 2 || got[0]["policy"] != nil || len(h.Snapshots()) != 7 {
		t.Errorf("after its policy is gone: %v, %v", got, h.Snapshots())
	}
}

// Whatever keeps a snapshot keeps it: its number, or its age.
func TestRetentionByDaysOutlivesTheEntity(t *testing.T) {
	h := clouded(t)
	s, due := snapSchedule(h, "S", "VM_SNAPSHOT")
	p, rule := snapPolicy(h, "P", `["10"]`, `["`+s+`"]`, `,"retentionVersions":1,"retentionDays":2`)
	if task := snap(h, "10", rule); at(task, "state.name") != "FINISHED" {
		t.Fatalf("the task is %v", task)
	}
	until(h, h.Clock.Now().Add(time.Minute))
	snap(h, "10", rule)
	snapsCleaned(h, 2)
	if got := snapshotsOf(h, "10"); len(got) != 2 {
		t.Errorf("young ones went: %v", got)
	}
	for n := 1; n <= 3; n++ {
		until(h, due)
		ran(h, s, n)
		snapsCleaned(h, 2+n)
		due = due.Add(24 * time.Hour)
	}
	// An hour later the first run's is more than two days old, not just about that.
	until(h, due.Add(-23*time.Hour))
	snap(h, "10", rule)
	snapsCleaned(h, 6)
	if got := snapshotsOf(h, "10"); len(got) != 3 { // of yesterday, of today, and this one
		t.Errorf("kept are %v", got)
	}
	// The entity goes: the last one stays, the others go as they grow old.
	good(h, http.MethodPut, "/policies/vm-snapshot/"+p, `{"name":"P","vms":[]}`, demo)
	until(h, due.Add(7*24*time.Hour))
	h.Until("the older ones are gone", func() bool { return len(snapshotsOf(h, "10")) == 1 && len(h.Snapshots()) == 1 })
}

func TestAProjectThatCannotBeLookedAtHoldsUpNoOthersCleanup(t *testing.T) {
	h, id, _, _ := farm(t)
	h.Volume("23", 1000)
	look(h)
	s, due := snapSchedule(h, "S", "VM_SNAPSHOT")
	snapPolicy(h, "P", `["`+id+`","23"]`, `["`+s+`"]`, `,"retentionVersions":1`)
	until(h, due)
	ran(h, s, 1)
	snapsCleaned(h, 1)
	// The first is of a project that is gone, or where the service has no role.
	first, second := min(id, "23"), max(id, "23")
	if err := h.Exec(`UPDATE snapshots SET project_id = 'gone' WHERE entity_id = ?`, first); err != nil {
		t.Fatal(err)
	}
	h.Servers.Before("ListSnapshots", func(project string) error {
		if project == "gone" {
			return stowage.Errorf(stowage.Forbidden, "no role")
		}
		return nil
	})
	until(h, due.Add(24*time.Hour))
	ran(h, s, 2)
	h.Until("the cleanup says that something is left", func() bool {
		return slices.ContainsFunc(polled(h, "/tasks?type=OLD_SNAPSHOTS_REMOVAL"), func(t map[string]any) bool { return at(t, "state.name") == "FAILED" })
	})
	if n := len(snapshotsOf(h, second)); n != 1 {
		t.Errorf("%d snapshots of %s are kept, not 1", n, second)
	}
	if list, _, err := h.DB.Snapshots(t.Context(), db.Scope{ProjectID: "gone"}, db.SnapshotFilter{}, db.Page{Limit: 10}); err != nil || len(list) != 1 || list[0].Status != stowage.SnapshotTaken {
		t.Errorf("of the other there are %v, %v", list, err)
	}
}

func TestASnapshotOfWhichAUserRemovedAPartTakesNoPlaceOfAWholeOne(t *testing.T) {
	h, id, _, _ := farm(t)
	s, _ := snapSchedule(h, "S", "VM_SNAPSHOT")
	p, rule := snapPolicy(h, "P", `["`+id+`"]`, `["`+s+`"]`, `,"retentionVersions":1`)
	good(h, http.MethodPut, "/policies/vm-snapshot/"+p, `{"name":"P","disableCleanOldBackups":true}`, demo)
	for range 2 {
		snap(h, id, rule)
		until(h, h.Clock.Now().Add(time.Minute))
	}
	h.Until("nothing is under way", func() bool { return len(polled(h, "/tasks?state=QUEUED&state=RUNNING")) == 0 })
	of := func() []stowage.EntitySnapshot {
		list, err := h.DB.PolicySnapshots(t.Context(), p, id)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := of()
	if len(before) != 2 || len(before[1].Volumes) != 2 {
		t.Fatalf("there are %v", before)
	}
	if err := h.Servers.RemoveSnapshots(t.Context(), "demo", []string{before[1].Volumes[0].SnapshotID}); err != nil {
		t.Fatal(err)
	}
	good(h, http.MethodPut, "/policies/vm-snapshot/"+p, `{"name":"P","disableCleanOldBackups":false}`, demo)
	clean := func(removed int, left ...string) {
		t.Helper()
		n, err := h.Verbs.CleanupSnapshots(t.Context(), stowage.Job{By: stowage.Origin{PolicyID: p}})
		if err != nil || n != removed {
			t.Errorf("%d are removed, %v", n, err)
		}
		var ids []string
		for _, one := range of() {
			ids = append(ids, one.ID)
		}
		if fmt.Sprint(ids) != fmt.Sprint(left) {
			t.Errorf("left are %v, not %v", ids, left)
		}
	}
	clean(0, before[0].ID, before[1].ID)
	snap(h, id, rule)
	h.Until("both older ones are gone", func() bool { return len(of()) == 1 })
	clean(0, of()[0].ID)
}

func TestWhatCinderHasNoLongerIsForgotten(t *testing.T) {
	h := clouded(t)
	_, rule := snapPolicy(h, "P", `["10"]`, `[]`, `,"retentionVersions":2`)
	first, second := snap(h, "10", rule), ""
	snapsCleaned(h, 1)
	until(h, h.Clock.Now().Add(time.Minute))
	second = guidOf(snap(h, "10", rule))
	snapsCleaned(h, 2)
	// A user removes the newer one: it counts no more.
	list := snapshotsOf(h, "10")
	if err := h.Servers.RemoveSnapshots(t.Context(), "demo", []string{list[0]["uuid"].(string)}); err != nil || guidOf(list[0]) != second {
		t.Fatal(err, list)
	}
	until(h, h.Clock.Now().Add(time.Minute))
	snap(h, "10", rule)
	snapsCleaned(h, 3)
	if got := snapshotsOf(h, "10"); len(got) != 2 || guidOf(got[1]) != guidOf(first) {
		t.Errorf("kept are %v", got)
	}
	if err := h.Servers.RemoveSnapshots(t.Context(), "demo", []string{snapshotsOf(h, "10")[0]["uuid"].(string), snapshotsOf(h, "10")[1]["uuid"].(string)}); err != nil {
		t.Fatal(err)
	}
	look(h)
	if got := snapshotsOf(h, "10"); len(got) != 0 {
		t.Errorf("a look at the cloud leaves %v", got)
	}
}

func TestSnapshotsAreTheProjectsOwn(t *testing.T) {
	h := clouded(t)
	alt := token("x:alt")
	p, rule := snapPolicy(h, "P", `["10"]`, `[]`, "")
	task := snap(h, "10", rule)
	for _, path := range []string{"/policies/vm-snapshot/" + p, "/rules/vm-snapshot/" + rule, "/tasks/" + guidOf(task)} {
		wantFault(t, send(h, http.MethodGet, path, "", alt), http.StatusNotFound, "")
		good(h, http.MethodGet, path, "", portal)
	}
	for _, path := range []string{"/snapshots", "/snapshots?protected-entity=10", "/policies/vm-snapshot", "/rules/vm-snapshot", "/tasks?type=SNAPSHOT"} {
		if got := rows(t, send(h, http.MethodGet, path, "", alt)); len(got) != 0 {
			t.Errorf("%s: another sees %v", path, got)
		}
	}
	one(t, send(h, http.MethodGet, "/snapshots?tenantid=demo", "", portal))
	wantFault(t, send(h, http.MethodPost, "/tasks/snapshot", `{"protectedEntities":["10"]}`, alt), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodPost, "/tasks/snapshot", `{"protectedEntities":["srv-2"],"rule":"`+rule+`"}`, alt), http.StatusNotFound, "Rule")
	wantFault(t, send(h, http.MethodPost, "/tasks/snapshot", `{"protectedEntities":["srv-2"],"rule":"`+rule+`"}`, portal), http.StatusBadRequest, "another project")
	wantFault(t, send(h, http.MethodPost, "/policies/vm-snapshot", `{"name":"x","vms":["10"]}`, alt), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodPut, "/virtual-machines/10/settings", `{"snapshotMgmtPolicy":"`+p+`"}`, alt), http.StatusNotFound, "")
}

// A snapshot without a rule is nobody's to remove.
func TestASnapshotByHandStays(t *testing.T) {
	h, id, _, _ := farm(t)
	send(h, http.MethodPut, "/virtual-machine-disks/22/settings", `{"guid":"22","excludedFromBackup":true}`, demo).JSON(t)
	task := snap(h, id, "")
	if at(task, "state.name") != "FINISHED" || at(task, "type.name") != "SNAPSHOT" || at(task, "originEntity.type.name") != "USER" || task["priority"] != 60.0 {
		t.Errorf("the task is %v", task)
	}
	got := snapshotsOf(h, id)
	if len(got) != 1 || len(got[0]["disks"].([]any)) != 1 || at(got[0]["disks"].([]any)[0], "vmDisk.guid") != "21" || len(h.Snapshots()) != 1 {
		t.Errorf("the snapshot is %v, on the backend %v", got, h.Snapshots())
	}
	if n := len(rows(t, send(h, http.MethodGet, "/tasks?type=SNAPSHOT_CLEANUP", "", demo))); n != 0 {
		t.Errorf("%d cleanups", n)
	}
}

// A server that Nova takes no snapshots of, and one that boots from an image.
func TestSnapshotsOneBehindTheOther(t *testing.T) {
	h, id, _, _ := farm(t)
	h.Servers.Before("SnapshotServer", func(string) error { return stowage.Errorf(stowage.Conflict, "It is resized.") })
	if task := snap(h, id, ""); at(task, "state.name") != "FINISHED" || !strings.Contains(fmt.Sprint(task["statusInfo"]), "It is resized.") || len(h.Snapshots()) != 2 {
		t.Errorf("the task is %v, on the backend %v", task, h.Snapshots())
	}
	h.Volume("24", 1000)
	other := place(h, stowage.ServerRecord{ProjectID: "demo", Name: "img", FlavorID: "f1", ImageID: "cirros", Disks: []stowage.ServerDisk{{VolumeID: "24", Device: "/dev/vdb"}}})
	if task := snap(h, other, ""); at(task, "state.name") != "FINISHED" || task["statusInfo"] != nil || len(h.Snapshots()) != 3 {
		t.Errorf("the task is %v, on the backend %v", task, h.Snapshots())
	}
}

func TestASnapshotThatFailsLeavesNothing(t *testing.T) {
	broken := stowage.Errorf(stowage.OverLimit, "It broke.")
	for what, spoil := range map[string]func(h *harness.Harness){
		"Nova refuses":       func(h *harness.Harness) { h.Servers.Before("SnapshotServer", func(string) error { return broken }) },
		"the answer is lost": func(h *harness.Harness) { h.Servers.After("SnapshotServer", func(string) error { return broken }) },
		"and what was taken is not removed at once": func(h *harness.Harness) {
			h.Servers.After("SnapshotServer", func(string) error { return broken })
			var n atomic.Int32
			h.Servers.Before("RemoveServerSnapshots", func(string) error {
				if n.Add(1) < 4 {
					return stowage.Errorf(stowage.Unavailable, "It clings.")
				}
				return nil
			})
		},
		"Cinder is away": func(h *harness.Harness) {
			h.Servers.After("SnapshotServer", func(string) error { return stowage.Errorf(stowage.Unavailable, "It broke.") })
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := farm(t)
			spoil(h)
			if task := snap(h, id, ""); at(task, "state.name") != "FAILED" || !strings.Contains(fmt.Sprint(task["statusInfo"]), "It broke.") {
				t.Errorf("the task is %v", task)
			}
			got := snapshotsOf(h, id)
			if len(got) != 1 || at(got[0], "status") != "FAILED" || !strings.Contains(fmt.Sprint(got[0]["statusInfo"]), "It broke.") || len(got[0]["disks"].([]any)) != 0 {
				t.Errorf("the snapshot is %v", got)
			}
			h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
			h.Clock.Step(31 * 24 * time.Hour)
			h.Until("it is forgotten", func() bool { return len(snapshotsOf(h, id)) == 0 })
		})
	}
}

func TestASnapshotThatIsCancelledLeavesNothing(t *testing.T) {
	h, id, _, _ := farm(t)
	begun, over := make(chan struct{}), make(chan struct{})
	h.Servers.After("SnapshotServer", func(string) error {
		close(begun)
		<-over
		return nil
	})
	task := one(t, withTotal(send(h, http.MethodPost, "/tasks/vm-snapshot", `{"protectedEntities":["`+id+`"]}`, demo)))
	<-begun
	if a := cancel(h, guidOf(task)); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	h.Until("it is heard of", func() bool { return h.LogContains("work is to stop") })
	close(over)
	if got := ended(h, guidOf(task)); at(got, "state.name") != "CANCELLED" {
		t.Errorf("the task is %v", got)
	}
	if got := snapshotsOf(h, id); len(got) != 1 || at(got[0], "status") != "FAILED" || got[0]["statusInfo"] != "Cancelled: not today" {
		t.Errorf("the snapshot is %v", got)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}

// One that nobody has begun ends at once, and so does its snapshot.
func TestASnapshotThatNobodyBeganIsCancelled(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	h.Volume("10", 1000)
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	stop()
	task := one(t, withTotal(send(h, http.MethodPost, "/tasks/snapshot", `{"protectedEntities":["10"]}`, demo)))
	if got := snapshotsOf(h, "10"); len(got) != 1 || at(got[0], "status") != "INPROGRESS" {
		t.Errorf("the snapshot is %v", got)
	}
	if a := cancel(h, guidOf(task)); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if got := snapshotsOf(h, "10"); len(got) != 1 || at(got[0], "status") != "FAILED" || len(h.Snapshots()) != 0 {
		t.Errorf("the snapshot is %v", got)
	}
}

// A manager that was away for too long as the snapshots were taken finds the job another's:
// what that one took is the snapshot, and nothing is left of the first.
func TestASnapshotThatIsTakenOverIsTakenAgain(t *testing.T) {
	h, id, _, _ := farm(t)
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
	if task := snap(h, id, ""); at(task, "state.name") != "FINISHED" || takes.Load() != 2 {
		t.Errorf("taken %d times, the task is %v", takes.Load(), task)
	}
	got := snapshotsOf(h, id)
	if len(got) != 1 || at(got[0], "status") != "SUCCESS" {
		t.Fatalf("the snapshots are %v", got)
	}
	h.Until("what is there is what is listed", func() bool {
		there := strings.Join(h.Snapshots(), " ")
		return len(h.Snapshots()) == 2 && strings.Contains(there, at(got[0]["disks"].([]any)[0], "uuid").(string)) && strings.Contains(there, at(got[0]["disks"].([]any)[1], "uuid").(string))
	})
}

// What an attempt took whose answer was lost is of another moment than the next one's.
func TestASnapshotOfAnEarlierAttemptIsNotKept(t *testing.T) {
	h := clouded(t)
	var first []cloud.Snapshot
	h.Servers.After("SnapshotVolumes", func(string) (err error) {
		if first != nil {
			return nil
		}
		if first, err = h.Servers.ListSnapshots(t.Context(), "demo"); err != nil {
			return err
		}
		return stowage.Errorf(stowage.Unavailable, "The answer is lost.")
	})
	if task := snap(h, "10", ""); at(task, "state.name") != "FINISHED" {
		t.Fatalf("the task is %v", task)
	}
	if got := snapshotsOf(h, "10"); len(got) != 1 || len(first) != 1 || got[0]["uuid"] == first[0].ID || len(h.Snapshots()) != 1 {
		t.Errorf("the snapshot is %v, first was %v, on the backend %v", got, first, h.Snapshots())
	}
}

// A removal that a manager does not live to finish is finished by the next cleanup, and
// what cannot be removed holds up nothing else.
func TestARemovalThatIsCutShortGoesOn(t *testing.T) {
	h := clouded(t)
	_, rule := snapPolicy(h, "P", `["10"]`, `[]`, `,"retentionVersions":1`)
	snap(h, "10", rule)
	snapsCleaned(h, 1)
	h.Servers.Before("RemoveSnapshots", func(string) error { return stowage.Errorf(stowage.Invalid, "It has a clone.") })
	until(h, h.Clock.Now().Add(time.Minute))
	snap(h, "10", rule)
	h.Until("it has failed", func() bool {
		list := polled(h, "/tasks?type=SNAPSHOT_CLEANUP&state=FAILED")
		return len(list) == 1 && strings.Contains(fmt.Sprint(list[0]["statusInfo"]), "It has a clone.")
	})
	if got := snapshotsOf(h, "10"); len(got) != 2 || at(got[1], "status") != "REMOVING" {
		t.Errorf("the snapshots are %v", got)
	}
	h.Servers.Before("RemoveSnapshots", nil)
	h.Servers.After("RemoveSnapshots", func(string) error { return nil })
	until(h, h.Clock.Now().Add(time.Minute))
	snap(h, "10", rule)
	h.Until("only the newest is left", func() bool { return len(snapshotsOf(h, "10")) == 1 && len(h.Snapshots()) == 1 })
}

// What was asked for and came when nobody waited for it any more does not stay.
func TestASnapshotThatComesLateIsRemoved(t *testing.T) {
	for what, c := range map[string]struct {
		lost  int // answers
		state string
		stays int
	}{"at the second attempt": {1, "FINISHED", 2}, "of one that failed": {100, "FAILED", 0}} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := farm(t)
			n := 0
			h.Servers.Before("SnapshotServer", func(string) error {
				if n++; n <= c.lost {
					return errAway
				}
				return nil
			})
			task := snap(h, id, "")
			if at(task, "state.name") != c.state {
				t.Errorf("the task is %v", task)
			}
			h.Until("only the snapshot is left", func() bool { return len(h.Snapshots()) == c.stays })
			kept := h.Snapshots()
			late(h, id, task)
			h.Until("what came late is gone", func() bool { return slices.Equal(h.Snapshots(), kept) })
			h.Clock.Step(10 * time.Minute)
			looked(h, task)
		})
	}
}
