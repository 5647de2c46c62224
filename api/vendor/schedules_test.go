package vendor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/internal/harness"
)

// soon makes a schedule of demo's that is due once a day, first an hour from now
// or a little less, and gives its guid and when.
func soon(h *harness.Harness, name, kind, more string) (string, time.Time) {
	h.T.Helper()
	at := h.Clock.Now().UTC().Add(time.Hour).Truncate(time.Minute)
	s := good(h, http.MethodPost, "/schedules", fmt.Sprintf(`{"name":%q,"type":"VM_BACKUP","backupType":%q,"executionType":"TIME","hour":%d,"startWindowLength":3600000%s}`,
		name, kind, at.Sub(at.Truncate(24*time.Hour)).Milliseconds(), more), demo)
	if s["nextRun"] != float64(at.UnixMilli()) {
		h.T.Fatalf("it is next due at %v, not at %v", s["nextRun"], at.UnixMilli())
	}
	return guidOf(s), at
}

// wholeMinute lets a minute begin, so that all schedules which are made now are due at once.
func wholeMinute(h *harness.Harness) {
	now := h.Clock.Now()
	h.Clock.Step(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
}

// until lets it become the time, with managers that are heard of.
func until(h *harness.Harness, at time.Time) {
	h.T.Helper()
	h.Clock.Step(at.Add(-20 * time.Second).Sub(h.Clock.Now()))
	h.Until("a manager is heard of", func() bool {
		list, err := h.DB.Services(h.T.Context())
		if err != nil {
			h.T.Fatal(err)
		}
		return slices.ContainsFunc(list, func(s stowage.Service) bool { return h.Clock.Now().Sub(s.LastSeen) < 15*time.Second })
	})
	h.Clock.Step(at.Add(time.Second).Sub(h.Clock.Now()))
}

// polled is a list that may grow while it is read: longer than it was counted.
func polled(h *harness.Harness, path string) []map[string]any {
	h.T.Helper()
	return rows(h.T.(*testing.T), withTotal(send(h, http.MethodGet, path, "", demo)))
}

// ran waits until a schedule has as many runs that are over, and gives the latest.
func ran(h *harness.Harness, schedule string, runs int) map[string]any {
	h.T.Helper()
	var list []map[string]any
	h.Until(fmt.Sprintf("%d runs are over", runs), func() bool {
		list = polled(h, "/schedules/"+schedule+"/runs")
		return len(list) == runs && at(list[0], "state.name") != "RUNNING"
	})
	return list[0]
}

// entries are the entities of a run: where each is, and why.
func entries(run map[string]any) string {
	var out []string
	for _, e := range run["entities"].([]any) {
		out = append(out, strings.TrimSpace(fmt.Sprint(at(e, "protectedEntity.guid"), " ", at(e, "state.name"), " ", orNothing(at(e, "statusInfo")))))
	}
	return strings.Join(out, "; ")
}

func orNothing(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func policyOf(h *harness.Harness, name, vms, schedule, retention string) map[string]any {
	h.T.Helper()
	return good(h, http.MethodPost, "/policies/vm-backup", fmt.Sprintf(`{"name":%q,"priority":80,"vms":%s,"rules":[{"name":"R","schedules":[%q],
		"ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"demo:nightly","backupRetentionSettings":{%s}}]}]}`, name, vms, schedule, retention), demo)
}

func TestAScheduleIsUnderstoodInEachDialect(t *testing.T) {
	h := clouded(t)
	for what, c := range map[string]struct{ body, want string }{
		"the user interface's, at a time": {dailyAtTen, "FULL TIME 3.6e+07 3.6e+06 <nil> [] [] []"},
		"the older panel's": {`{"name":"a","type":"VM_BACKUP","backupType":"INCREMENTAL","executionType":"TIME","hour":18000000.0,"startWindowLength":"10800000",
			"daysOfWeek":["MONDAY","SUNDAY"],"months":["MAY"],"dayOfWeekOccurrences":["LAST_IN_MONTH","FIRST_IN_MONTH"]}`,
			"INCREMENTAL TIME 1.8e+07 1.08e+07 <nil> [SUNDAY MONDAY] [MAY] [LAST_IN_MONTH FIRST_IN_MONTH]"},
		"the user interface's, an interval": {`{"name":"b","type":{"name":"VM_BACKUP"},"backupType":{"name":"INCREMENTAL"},"executionType":{"name":"INTERVAL"},"hour":null,"startWindowLength":null,
			"interval":{"startHour":36000000,"endHour":"72000000","frequency":3600000.0},"daysOfWeek":[{"name":"FRIDAY","description":"Friday"}],"months":[],"dayOfWeekOccurrences":[],"rules":[]}`,
			"INCREMENTAL INTERVAL 0 0 map[endHour:7.2e+07 frequency:3.6e+06 startHour:3.6e+07] [FRIDAY] [] []"},
	} {
		s := good(h, http.MethodPost, "/schedules", c.body, demo)
		words := func(key string) (out []any) {
			for _, e := range s[key].([]any) {
				if at(e, "description") == "" {
					t.Errorf("%s: %v has no description", what, e)
				}
				out = append(out, at(e, "name"))
			}
			return out
		}
		got := fmt.Sprint(at(s, "backupType.name"), " ", at(s, "executionType.name"), " ", s["hour"], " ", s["startWindowLength"], " ", s["interval"], " ",
			words("daysOfWeek"), " ", words("months"), " ", words("dayOfWeekOccurrences"))
		if got != c.want || at(s, "type.name") != "VM_BACKUP" || s["active"] != true || s["tenantId"] != "demo" || len(s["rules"].([]any)) != 0 {
			t.Errorf("%s: %s\nwant %s, of %v", what, got, c.want, s)
		}
		whole := send(h, http.MethodGet, "/schedules/"+guidOf(s), "", demo).Body
		if again := good(h, http.MethodPut, "/schedules/"+guidOf(s), whole, demo); fmt.Sprint(again) != fmt.Sprint(s) {
			t.Errorf("%s: sent back it is %v", what, again)
		}
	}
	for path, want := range map[string]int{
		"/schedules": 3, "/schedules?type=VM_BACKUP": 3, "/schedules?type=VM_SNAPSHOT": 0, "/schedules?filter=dai": 1, "/schedules?size=2": 2, "/schedules?protected-entity=10": 0,
	} {
		if got := rows(t, send(h, http.MethodGet, path, "", demo)); len(got) != want {
			t.Errorf("%s: %d", path, len(got))
		}
	}
	for what, c := range map[string]struct{ body, message string }{
		"no hour":        {`{"name":"c","backupType":"FULL","executionType":"TIME"}`, "hour"},
		"no interval":    {`{"name":"c","backupType":"FULL","executionType":"INTERVAL"}`, "interval"},
		"no type":        {`{"name":"c","executionType":"TIME","hour":0}`, "backupType"},
		"no name":        {`{"backupType":"FULL","executionType":"TIME","hour":0}`, "name"},
		"a restore":      {`{"name":"c","type":"VM_RESTORE","backupType":"FULL","hour":0}`, "VM_BACKUP"},
		"a day":          {`{"name":"c","backupType":"FULL","hour":0,"daysOfWeek":["SOMEDAY"]}`, "daysOfWeek"},
		"an hour":        {`{"name":"c","backupType":"FULL","hour":86400000}`, "within a day"},
		"a huge hour":    {`{"name":"c","backupType":"FULL","hour":9e18}`, "within a day"},
		"over midnight":  {`{"name":"c","backupType":"FULL","executionType":"INTERVAL","interval":{"startHour":7200000,"endHour":3600000,"frequency":3600000}}`, "midnight"},
		"every second":   {`{"name":"c","backupType":"FULL","executionType":"INTERVAL","interval":{"startHour":0,"endHour":3600000,"frequency":1000}}`, "frequency"},
		"a long window":  {`{"name":"c","backupType":"FULL","hour":0,"startWindowLength":604800001}`, "window"},
		"nobody's rule":  {`{"name":"c","backupType":"FULL","hour":0,"rules":["none"]}`, "Rule"},
		"any other mode": {`{"name":"c","backupType":"FULL","executionType":"NEVER"}`, "executionType"},
	} {
		a := send(h, http.MethodPost, "/schedules", c.body, demo)
		if a.Status != http.StatusBadRequest && a.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		wantFault(t, a, a.Status, c.message)
	}
}

func TestAScheduleFiresOnceWhoeverSeesIt(t *testing.T) {
	h := clouded(t)
	h.Start(h.Manager("m2"))
	h.Start(h.Manager("m3"))
	h.Volume("11", 300_000)
	h.Volume("12", 300_000)
	look(h)
	s, due := soon(h, "S", "FULL", "")
	p := policyOf(h, "P", `["10","11","12","srv-1"]`, s, "")
	until(h, due)
	run := ran(h, s, 1)
	if got, want := entries(run), "10 BEGUN; 11 BEGUN; 12 BEGUN; srv-1 FAILED Server srv-1 could not be found."; got != want {
		t.Errorf("the run has %s\nwant %s", got, want)
	}
	tasks := rows(t, send(h, http.MethodGet, "/tasks?type=EXPORT&schedule="+s, "", demo))
	if len(tasks) != 3 {
		t.Fatalf("%d tasks", len(tasks))
	}
	for _, task := range tasks {
		if at(task, "state.name") != "FINISHED" || task["priority"] != 80.0 || task["windowEnd"] != float64(due.Add(time.Hour).UnixMilli()) || at(task, "backupType.name") != "FULL" ||
			at(task, "originEntity.type.name") != "SCHEDULE" || at(task, "originEntity.name") != "S" || at(task, "backupDestination.name") != "nightly" || task["tenantId"] != "demo" {
			t.Errorf("the task is %v", task)
		}
	}
	rule := guidOf(p["rules"].([]any)[0].(map[string]any))
	for path, want := range map[string]int{
		"/backups": 3, "/backups?backup-policy=" + guidOf(p): 3, "/backups?backup-rule=" + rule: 3, "/backup-locations?backup-rule=" + rule: 3,
		"/backups?schedule=" + s: 3, "/backups?backup-policy=x": 0, "/backups?backup-rule=x": 0, "/tasks?schedule=x": 0, "/schedules?protected-entity=10": 1,
		"/schedules?protected-entity=9": 0, "/schedules?rules=" + rule: 1, "/tasks?type=BACKUP_CLEANUP": 1, "/tasks?type=OLD_BACKUPS_REMOVAL": 1,
		"/virtual-machines?backupStatus=IS_PROTECTED": 3, "/virtual-machines?backupStatus=NOT_PROTECTED": 1, "/virtual-machines?backupStatus=NO_SCHEDULE": 0,
	} {
		if got := rows(t, send(h, http.MethodGet, path, "", demo)); len(got) != want {
			t.Errorf("%s: %d, want %d", path, len(got), want)
		}
	}
	b := rows(t, send(h, http.MethodGet, "/backups", "", demo))[0]
	if at(b, "backupRule.name") != "R" || at(b, "originEntity.type.name") != "SCHEDULE" {
		t.Errorf("the backup is %v", b)
	}
	if got := good(h, http.MethodGet, "/schedules/"+s, "", demo); got["lastRun"] != float64(due.UnixMilli()) || got["nextRun"] != float64(due.Add(24*time.Hour).UnixMilli()) {
		t.Errorf("the schedule is %v", got)
	}
	// The run is not the other project's to see.
	wantFault(t, send(h, http.MethodGet, "/schedules/"+s+"/runs", "", token("x:alt")), http.StatusNotFound, "")
}

func TestARunThatNobodyBeginsIsMissedAndWithinItsWindowCaughtUp(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	h.Volume("10", 1000)
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	s, due := soon(h, "S", "INCREMENTAL", "")
	policyOf(h, "P", `["10"]`, s, "")
	stop()
	h.Clock.Step(due.Add(2 * time.Hour).Sub(h.Clock.Now()))
	stop = h.Start(h.Manager("m1"))
	if run := ran(h, s, 1); at(run, "state.name") != "MISSED" || run["dueTime"] != float64(due.UnixMilli()) || len(run["entities"].([]any)) != 0 {
		t.Errorf("the run is %v", run)
	}
	h.Until("the log tells", func() bool { return h.LogContains("a scheduled run was missed") })
	if got := good(h, http.MethodGet, "/schedules/"+s, "", demo); got["lastRun"] != nil {
		t.Errorf("the schedule says it ran: %v", got)
	}
	stop()
	due = due.Add(24 * time.Hour)
	h.Clock.Step(due.Add(30 * time.Minute).Sub(h.Clock.Now()))
	h.Start(h.Manager("m1"))
	h.Until("it is caught up", func() bool {
		h.Clock.Step(200 * time.Millisecond) // whoever looks before the manager is heard of tries again in a minute
		list := polled(h, "/schedules/"+s+"/runs")
		return len(list) == 2 && at(list[0], "state.name") == "FINISHED" && entries(list[0]) == "10 BEGUN"
	})
	one(t, send(h, http.MethodGet, "/backups", "", demo))
}

// Of an interval's times that nobody saw the last is begun, if its window is open.
func TestOfManyMissedTimesTheLastIsBegun(t *testing.T) {
	h := clouded(t)
	if now := h.Clock.Now(); now.Add(time.Minute).Truncate(10*time.Minute) != now.Truncate(10*time.Minute) {
		h.Clock.Step(2 * time.Minute) // none is due while it is being made
	}
	s := guidOf(good(h, http.MethodPost, "/schedules", `{"name":"S","backupType":"FULL","executionType":"INTERVAL","interval":{"startHour":0,"endHour":86400000,"frequency":600000}}`, demo))
	policyOf(h, "P", `["10"]`, s, "")
	first := time.UnixMilli(int64(good(h, http.MethodGet, "/schedules/"+s, "", demo)["nextRun"].(float64))).UTC()
	if day := first.Add(-time.Hour).Truncate(24 * time.Hour); first.Add(time.Hour).Truncate(24*time.Hour) != day {
		first = first.Add(2 * time.Hour) // not over midnight: intervals begin anew there
		h.Clock.Step(first.Add(-5 * time.Minute).Sub(h.Clock.Now()))
		ranSome(h, s)
	}
	before := len(rows(t, send(h, http.MethodGet, "/schedules/"+s+"/runs?size=100", "", demo)))
	h.Clock.Step(first.Add(35 * time.Minute).Sub(h.Clock.Now()))
	h.Until("all are known", func() bool {
		return len(polled(h, "/schedules/"+s+"/runs?size=100")) >= before+4
	})
	var states []string
	for _, r := range rows(t, send(h, http.MethodGet, "/schedules/"+s+"/runs?size=4", "", demo)) {
		states = append(states, at(r, "state.name").(string))
	}
	if got := strings.Join(states[1:], " "); got != "MISSED MISSED MISSED" || states[0] == "MISSED" {
		t.Errorf("they are %v", states)
	}
}

func ranSome(h *harness.Harness, schedule string) {
	h.Until("it has runs", func() bool {
		return len(polled(h, "/schedules/"+schedule+"/runs")) > 0
	})
}

func TestWhatIsNotActiveDoesNotRun(t *testing.T) {
	h := clouded(t)
	h.Volume("11", 1000)
	look(h)
	wholeMinute(h)
	never, due := soon(h, "never", "FULL", "")
	whole := send(h, http.MethodGet, "/schedules/"+never, "", demo).Body
	if off := good(h, http.MethodPut, "/schedules/"+never, strings.Replace(whole, `"active":true`, `"active":"false"`, 1), demo); off["active"] != false || off["nextRun"] != nil {
		t.Errorf("it is %v", off)
	}
	s, _ := soon(h, "S", "FULL", "")
	off := policyOf(h, "off", `["10"]`, s, "")
	good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(off), `{"name":"off","active":false}`, demo)
	policyOf(h, "on", `["11"]`, s, "")
	until(h, due)
	if got := entries(ran(h, s, 1)); got != "11 BEGUN" {
		t.Errorf("the run has %s", got)
	}
	if got := rows(t, send(h, http.MethodGet, "/schedules/"+never+"/runs", "", demo)); len(got) != 0 {
		t.Errorf("it ran: %v", got)
	}
	if v := good(h, http.MethodGet, "/virtual-machines/10", "", demo); v["backupUpToDate"] != nil {
		t.Errorf("no schedule says when, and it is %v", v["backupUpToDate"])
	}
}

func TestUpToDateIsWhatHasABackupSinceItWasLastDue(t *testing.T) {
	h := clouded(t)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	state := func() any { return good(h, http.MethodGet, "/virtual-machines/10", "", demo)["backupUpToDate"] }
	if state() != false {
		t.Errorf("it has no backup and is %v", state())
	}
	until(h, due)
	if run := ran(h, s, 1); entries(run) != "10 BEGUN" || state() != true {
		t.Errorf("it has a backup and is %v, the run %s", state(), entries(run))
	}
	h.Cinder.Change(func(v *cloud.Volume) { v.Status = "in-use" })
	until(h, due.Add(24*time.Hour))
	if got := entries(ran(h, s, 2)); !strings.HasPrefix(got, "10 FAILED Invalid volume") {
		t.Errorf("the run has %s", got)
	}
	if state() != true { // there is time left
		t.Errorf("within the window it is %v", state())
	}
	h.Clock.Step(time.Hour)
	if state() != false {
		t.Errorf("the backup is of the day before, and it is %v", state())
	}
}

func TestAPolicyGivesUpWhenTooMuchFailed(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	var ids []string
	for i := range 14 {
		id := fmt.Sprint(100 + i)
		h.Volume(id, 1000)
		ids = append(ids, `"`+id+`"`)
	}
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	s, due := soon(h, "S", "FULL", "")
	p := policyOf(h, "P", "["+strings.Join(ids, ",")+"]", s, "")
	good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(p), `{"name":"P","failRemainingBackupTasksExportThreshold":"30","failRemainingBackupTasksStoreThreshold":60}`, demo)
	h.Cinder.Change(func(v *cloud.Volume) {
		if v.ID < "105" {
			v.Status = "in-use"
		}
	})
	h.Clock.Step(due.Add(-20 * time.Second).Sub(h.Clock.Now()))
	h.Until("the manager is heard of", func() bool {
		list, err := h.DB.Services(t.Context())
		return err == nil && h.Clock.Now().Sub(list[0].LastSeen) < 10*time.Second
	})
	stop() // nobody begins what is asked for
	h.Clock.Step(due.Add(time.Second).Sub(h.Clock.Now()))
	for _, step := range []func() error{
		func() error { return h.Verbs.FireDue(t.Context()) }, func() error { return h.Verbs.FollowRuns(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{}
	run := one(t, send(h, http.MethodGet, "/schedules/"+s+"/runs", "", demo))
	for _, e := range run["entities"].([]any) {
		count[at(e, "state.name").(string)]++
	}
	if fmt.Sprint(count) != "map[BEGUN:5 FAILED:5 SKIPPED:4]" || !strings.Contains(entries(run), "Too many") {
		t.Errorf("%v, %s", count, entries(run))
	}
	tasks := rows(t, send(h, http.MethodGet, "/tasks?type=EXPORT&schedule="+s, "", demo))
	for _, task := range tasks {
		if at(task, "state.name") != "CANCELLED" || !strings.Contains(task["statusInfo"].(string), "Too many") {
			t.Errorf("the task is %v", task)
		}
	}
	if len(tasks) != 5 {
		t.Errorf("%d tasks", len(tasks))
	}
}

// What cannot be asked for now is asked for again, as long as the window is open,
// and whatever got further than the answer told is not asked for twice.
func TestAScheduledBackupIsTriedAgainAndNeverTwice(t *testing.T) {
	h, stop := managed(t)
	h.Volume("11", 1000)
	h.Volume("12", 1000)
	look(h)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10","11","12"]`, s, "")
	away := stowage.Errorf(stowage.Unavailable, "Cinder is away.")
	h.Cinder.Before("Reserve", func(id string) error {
		if id == "11" {
			return away // nothing is written of it but a job that failed
		}
		return nil
	})
	until(h, due)
	waits := func() bool {
		list := polled(h, "/schedules/"+s+"/runs")
		return len(list) == 1 && entries(list[0]) == "10 BEGUN; 11 WAITING Cinder is away.; 12 BEGUN"
	}
	h.Until("one of them waits", waits)
	stop() // it would be in the midst of what is undone under it
	// Everybody looks again and again, and whoever asked died before he wrote that
	// down: nothing more comes of it.
	again := func() {
		for range 3 {
			for _, q := range []string{`UPDATE run_entries SET state = 'waiting', tried_at = 0`, `UPDATE schedule_runs SET state = 'running'`} {
				if err := h.Exec(q); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Verbs.FireDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := h.Verbs.FollowRuns(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	again()
	if got := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(got) != 2 {
		t.Errorf("%d backups", len(got))
	}
	if !waits() {
		t.Error("none of them waits any more")
	}
	h.Cinder.Before("Reserve", nil)
	again()
	stop = h.Start(h.Manager("m1"))
	if got := entries(ran(h, s, 1)); got != "10 BEGUN; 11 BEGUN; 12 BEGUN" {
		t.Errorf("the run has %s", got)
	}
	stop()
	again()
	h.Start(h.Manager("m1"))
	ran(h, s, 1)
	if got := rows(t, send(h, http.MethodGet, "/backups?status=SUCCESS", "", demo)); len(got) != 3 {
		t.Errorf("%d backups", len(got))
	}
}

// However Cinder fails when it is asked for the lock, the backup comes later, and once.
func TestAShortFailureOfCinderDelaysAScheduledBackup(t *testing.T) {
	broken := errors.New("connection reset")
	for what, fault := range map[string]func(h *harness.Harness){
		"it is away": func(h *harness.Harness) {
			h.Cinder.Before("Reserve", func(string) error { return stowage.Errorf(stowage.Unavailable, "Cinder is away.") })
		},
		"nobody knows what it did not": func(h *harness.Harness) { h.Cinder.Before("Reserve", func(string) error { return broken }) },
		"nobody knows what it did": func(h *harness.Harness) {
			h.Cinder.After("Reserve", func(string) error { return broken })
			h.Cinder.Before("Lock", func(string) error { return broken })
		},
		"the lock is there, and cannot be given back": func(h *harness.Harness) {
			h.Cinder.Before("SetStatus", func(string) error { return broken })
			h.Cinder.Before("Release", func(string) error { return broken })
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := clouded(t)
			s, due := soon(h, "S", "FULL", "")
			policyOf(h, "P", `["10"]`, s, "")
			fault(h)
			until(h, due)
			h.Until("it waits", func() bool {
				list := polled(h, "/schedules/"+s+"/runs")
				return len(list) == 1 && strings.HasPrefix(entries(list[0]), "10 WAITING ") && len(polled(h, "/tasks?type=EXPORT&state=FAILED")) == 1
			})
			h.Clock.Step(50 * time.Second)
			h.Until("the manager is heard of", func() bool {
				list, err := h.DB.Services(t.Context())
				return err == nil && h.Clock.Now().Sub(list[0].LastSeen) < 5*time.Second
			})
			h.Clock.Step(20 * time.Second)
			h.Until("it is looked at again", func() bool { return h.LogCount("a scheduled backup is not begun") == 2 })
			for _, method := range []string{"Reserve", "Lock", "SetStatus", "Release"} {
				h.Cinder.Before(method, nil)
				h.Cinder.After(method, nil)
			}
			h.Until("it has begun", func() bool {
				h.Clock.Step(200 * time.Millisecond) // so slowly that the manager never seems dead
				return entries(polled(h, "/schedules/"+s+"/runs")[0]) == "10 BEGUN"
			})
			ran(h, s, 1)
			if list := polled(h, "/backups?status=SUCCESS"); len(list) != 1 {
				t.Errorf("there are %v", list)
			}
			if list := polled(h, "/backups"); len(list) != 1 {
				t.Errorf("there are %v", list)
			}
		})
	}
}

// A neighbour that takes its time keeps nobody from beginning what is due, and from
// following it.
func TestARunThatHangsKeepsNoOtherBack(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	h.Volume("11", 300_000)
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	a, due := soon(h, "A", "FULL", "")
	policyOf(h, "PA", `["10"]`, a, "")
	later := due.Add(10 * time.Minute)
	b := guidOf(good(h, http.MethodPost, "/schedules", fmt.Sprintf(`{"name":"B","type":"VM_BACKUP","backupType":"FULL","executionType":"TIME","hour":%d}`,
		later.Sub(later.Truncate(24*time.Hour)).Milliseconds()), demo))
	policyOf(h, "PB", `["11"]`, b, "")
	hangs, release := make(chan bool, 10), make(chan bool)
	h.Cinder.Before("Reserve", func(volume string) error {
		if volume == "10" {
			hangs <- true
			<-release
		}
		return nil
	})
	defer close(release)
	until(h, due)
	<-hangs
	until(h, later)
	if run := ran(h, b, 1); entries(run) != "11 BEGUN" || at(run, "state.name") != "FINISHED" {
		t.Errorf("the run is %v", run)
	}
	if run := polled(h, "/schedules/"+a+"/runs")[0]; at(run, "state.name") != "RUNNING" {
		t.Errorf("the run that hangs is %v", run)
	}
}

// More runs than are followed at once, all of them long but one: that one does not wait
// until another is through.
func TestRunsAreFollowedInTurns(t *testing.T) {
	h := harness.New(t)
	h.Verbs.DownTime = time.Hour // of a manager that is stopped, and counts as alive
	stop := h.Start(h.Manager("m1"))
	volumes := map[string][]string{}
	for i := range 5 {
		for j := range 25 {
			if i == 4 && j > 0 {
				break // the last schedule's has one
			}
			id := fmt.Sprintf("%d%02d", i+1, j)
			h.Volume(id, 1000)
			volumes[fmt.Sprint("S", i)] = append(volumes[fmt.Sprint("S", i)], `"`+id+`"`)
		}
	}
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	var due time.Time
	wholeMinute(h)
	for i := range 5 {
		name := fmt.Sprint("S", i)
		var s string
		s, due = soon(h, name, "FULL", "")
		policyOf(h, name, "["+strings.Join(volumes[name], ",")+"]", s, "")
	}
	h.Clock.Step(due.Add(-20 * time.Second).Sub(h.Clock.Now()))
	h.Until("the manager is heard of", func() bool {
		list, err := h.DB.Services(t.Context())
		return err == nil && h.Clock.Now().Sub(list[0].LastSeen) < 10*time.Second
	})
	stop()
	h.Clock.Step(due.Add(time.Second).Sub(h.Clock.Now()))
	var mu sync.Mutex
	var order []string
	h.Cinder.Before("Reserve", func(volume string) error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, volume)
		return nil
	})
	if err := h.Verbs.FireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Verbs.FollowRuns(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Four at once have a part of ten each, and then it is its turn, while three others
	// may have begun the next part.
	if at := slices.Index(order, "500"); len(order) != 101 || at > 80 {
		t.Errorf("it is the %d. of %d", at+1, len(order))
	}
}

// A volume can be given to another project: it takes no policy with it.
func TestAVolumeThatWasGivenAwayIsBackedUpByNobodysOldPolicy(t *testing.T) {
	h := clouded(t)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	if err := h.Exec(`UPDATE entities SET project_id = 'alt' WHERE id = '10'`); err != nil {
		t.Fatal(err)
	}
	until(h, due)
	if got := entries(ran(h, s, 1)); got != "10 SKIPPED It is of another project than the policy." {
		t.Errorf("the run has %s", got)
	}
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "alt" })
	look(h)
	if v := good(h, http.MethodGet, "/virtual-machines/10", "", token("x:alt")); v["vmBackupPolicy"] != nil {
		t.Errorf("it is still in it: %v", v)
	}
	if got := rows(t, send(h, http.MethodGet, "/backups", "", portal)); len(got) != 0 {
		t.Errorf("there are %v", got)
	}
}

// A neighbour that is away when a run begins is asked again until its window ends.
func TestARunWaitsForNeighbours(t *testing.T) {
	h := clouded(t)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	away := fmt.Errorf("no route to host")
	h.Containers.Before("Serve", func(string) error { return stowage.Wrap(stowage.Unavailable, away, "Swift is away.") })
	until(h, due)
	waits := func(runs int) func() bool {
		return func() bool {
			list := polled(h, "/schedules/"+s+"/runs")
			return len(list) == runs && at(list[0], "state.name") == "RUNNING" && entries(list[0]) == "10 WAITING Swift is away."
		}
	}
	h.Until("it waits", waits(1))
	h.Containers.Before("Serve", nil)
	h.Until("it has begun", func() bool {
		h.Clock.Step(200 * time.Millisecond) // so slowly that the manager never seems dead
		return entries(polled(h, "/schedules/"+s+"/runs")[0]) == "10 BEGUN"
	})
	ran(h, s, 1)
	h.Containers.Before("Serve", func(string) error { return stowage.Wrap(stowage.Unavailable, away, "Swift is away.") })
	until(h, due.Add(24*time.Hour))
	h.Until("it waits again", waits(2))
	h.Clock.Step(time.Hour)
	if got := entries(ran(h, s, 2)); !strings.HasPrefix(got, "10 FAILED ") {
		t.Errorf("the run has %s", got)
	}
}

// What somebody takes back while it waits is not begun.
func TestWhatIsTakenOutWhileItWaitsIsNotBegun(t *testing.T) {
	for what, c := range map[string]struct{ take, want string }{
		"the policy is inactive":            {`{"name":"P","active":false}`, "The policy is not active any more."},
		"the rule is inactive":              {`{"name":"P","rules":[{"guid":"RULE","name":"R","active":false,"schedules":["SCHEDULE"]}]}`, "The rule is not active any more."},
		"the rule names another schedule":   {`{"name":"P","rules":[{"guid":"RULE","name":"R","schedules":[]}]}`, "The rule does not name the schedule any more."},
		"the entity was taken out":          {`{"name":"P","vms":[]}`, "It is not in the policy any more."},
		"the entity came to another policy": {"", "It is not in the policy any more."},
	} {
		t.Run(what, func(t *testing.T) {
			h := clouded(t)
			s, due := soon(h, "S", "FULL", "")
			p := policyOf(h, "P", `["10"]`, s, "")
			h.Containers.Before("Serve", func(string) error { return stowage.Errorf(stowage.Unavailable, "Swift is away.") })
			until(h, due)
			h.Until("it waits", func() bool {
				list := polled(h, "/schedules/"+s+"/runs")
				return len(list) == 1 && entries(list[0]) == "10 WAITING Swift is away."
			})
			if c.take == "" {
				good(h, http.MethodPost, "/policies/vm-backup", `{"name":"Q","vms":["10"]}`, demo)
			} else {
				rule := guidOf(p["rules"].([]any)[0].(map[string]any))
				good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(p), strings.NewReplacer("RULE", rule, "SCHEDULE", s).Replace(c.take), demo)
			}
			h.Containers.Before("Serve", nil)
			h.Clock.Step(2 * time.Minute)
			if got := entries(ran(h, s, 1)); got != "10 SKIPPED "+c.want {
				t.Errorf("the run has %s", got)
			}
			if list := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(list) != 0 {
				t.Errorf("there are %v", list)
			}
		})
	}
}

// However many rules name a schedule, the last one's policy has its backups.
func TestAScheduleOfVeryManyRulesLeavesNoneOut(t *testing.T) {
	h := clouded(t)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	for _, q := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 10001) INSERT INTO policy_rules
			(id, policy_id, project_id, name, position, active, details, created_at) SELECT printf('!%05d', i), '!', 'demo', 'R', i, 1, '{}', 1 FROM n`,
		`INSERT INTO rule_schedules (rule_id, schedule_id) SELECT id, '` + s + `' FROM policy_rules WHERE policy_id = '!'`,
	} {
		if err := h.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	until(h, due)
	if got := entries(ran(h, s, 1)); got != "10 BEGUN" {
		t.Errorf("the run has %q", got)
	}
}

// What is left of entities that went grows old as well.
func TestAPolicyThatNothingIsInAnyMoreIsCleanedUp(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	h.Volume("11", 300_000)
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	s, due := soon(h, "S", "FULL", "")
	p := guidOf(policyOf(h, "P", `["10"]`, s, `"retentionKeepFullNewerThan":86400000`))
	policyOf(h, "others", `["11"]`, s, "")
	until(h, due)
	ran(h, s, 1)
	good(h, http.MethodPut, "/policies/vm-backup/"+p, `{"name":"P","vms":[]}`, demo)
	left := func() int { return len(rows(t, send(h, http.MethodGet, "/backups?backup-policy="+p, "", demo))) }
	if left() != 1 {
		t.Fatalf("%d backups", left())
	}
	until(h, due.Add(48*time.Hour))
	if got := entries(ran(h, s, 3)); got != "11 BEGUN" { // the day between was missed
		t.Errorf("the run has %s", got)
	}
	h.Until("the old backup is gone", func() bool { return left() == 0 })
	// With nothing left there is nothing to clean up.
	n := len(polled(h, "/tasks?type=BACKUP_CLEANUP"))
	until(h, due.Add(72*time.Hour))
	ran(h, s, 4)
	if more := len(polled(h, "/tasks?type=BACKUP_CLEANUP")) - n; more != 1 {
		t.Errorf("%d cleanups", more)
	}
}

func TestARunWithoutEntitiesCleansUp(t *testing.T) {
	h := clouded(t)
	s, due := soon(h, "S", "FULL", "")
	p := guidOf(policyOf(h, "P", `["10"]`, s, `"retentionKeepFullNewerThan":7200000`))
	until(h, due)
	ran(h, s, 1)
	cleaned(h, 1)
	good(h, http.MethodPut, "/policies/vm-backup/"+p, `{"name":"P","vms":[]}`, demo)
	until(h, due.Add(24*time.Hour))
	if got := entries(ran(h, s, 2)); got != "" {
		t.Errorf("the run has %s", got)
	}
	cleaned(h, 2)
	if list := kept(h); len(list) != 0 {
		t.Errorf("there are %v", list)
	}
}

// A clock that is ahead deletes nothing that is kept by age, and moves no schedule.
func TestAWrongClockDeletesNothing(t *testing.T) {
	h := harness.New(t)
	var wrong atomic.Int64 // how far the clock of the host is ahead of the database's
	h.Verbs.ServerTime = func(context.Context) (time.Time, bool, error) {
		return h.Clock.Now().Add(-time.Duration(wrong.Load())), true, nil
	}
	h.Start(h.Manager("m1"))
	h.Volume("10", 300_000)
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, `"retentionKeepFullNewerThan":2592000000`) // 30 days
	for n := range 2 {
		until(h, due.Add(time.Duration(n)*24*time.Hour))
		ran(h, s, n+1)
		cleaned(h, n+1)
	}
	next := good(h, http.MethodGet, "/schedules/"+s, "", demo)["nextRun"]
	const ahead = 400 * 24 * time.Hour
	wrong.Store(int64(ahead))
	h.Clock.Step(ahead)
	h.Until("the log tells", func() bool {
		return h.LogContains("The clock of this host is 400 days ahead of the database's.")
	})
	if err := h.Verbs.FireDue(t.Context()); stowage.CodeOf(err) != stowage.Unavailable {
		t.Errorf("got %v", err)
	}
	list := kept(h)
	a := send(h, http.MethodPost, "/retention/mark-backups", fmt.Sprintf(`[{"guid":%q,"retentionHint":"TO_REMOVE"}]`, guidOf(list[0])), demo)
	if len(list) != 2 || a.Status != http.StatusOK {
		t.Fatalf("%d backups, %d %s", len(list), a.Status, a.Body)
	}
	h.Until("a cleanup was tried", func() bool {
		for _, task := range polled(h, "/tasks?type=BACKUP_CLEANUP") {
			if at(task, "state.name") == "FAILED" {
				return true
			}
		}
		return false
	})
	if n := len(kept(h)); n != 2 {
		t.Errorf("%d backups are left", n)
	}
	if now := good(h, http.MethodGet, "/schedules/"+s, "", demo)["nextRun"]; now != next {
		t.Errorf("it is next due at %v, not %v", now, next)
	}
}

// What a wrong clock has moved is set back by a right one, and what it wrote takes no real
// run's place.
func TestASchedulesNextTimeIsSetBackAfterAWrongClock(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	until(h, due)
	ran(h, s, 1)
	day := func(n int) time.Time { return due.Add(time.Duration(n) * 24 * time.Hour) }
	nextRun := func() time.Time {
		n, _ := good(h, http.MethodGet, "/schedules/"+s, "", demo)["nextRun"].(float64)
		return time.UnixMilli(int64(n)).UTC()
	}
	until(h, day(3)) // a clock that is ahead by three days: two are missed, and the third is run
	ran(h, s, 4)
	if got := nextRun(); !got.Equal(day(4)) {
		t.Fatalf("it is next due at %v", got)
	}
	h.Clock.Step(-3 * 24 * time.Hour)
	h.Until("it is set back", func() bool { return nextRun().Equal(day(1)) })
	h.Until("the log tells", func() bool { return h.LogContains("a schedule was due too late and is set back") })
	if last := good(h, http.MethodGet, "/schedules/"+s, "", demo)["lastRun"]; last != float64(due.UnixMilli()) {
		t.Errorf("it last ran at %v", last)
	}
	for n := 1; n <= 4; n++ {
		until(h, day(n))
		h.Until(fmt.Sprintf("it has run on day %d", n), func() bool {
			if !nextRun().Equal(day(n + 1)) {
				return false
			}
			for _, run := range polled(h, "/schedules/"+s+"/runs") {
				if run["dueTime"] == float64(day(n).UnixMilli()) {
					return at(run, "state.name") == "FINISHED" && entries(run) == "10 BEGUN"
				}
			}
			return false
		})
	}
	h.Until("each has made its backup", func() bool { return len(polled(h, "/backups?status=SUCCESS")) == 6 }) // one of them by the wrong clock
}
