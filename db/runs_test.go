package db

import (
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// inRun begins a run of a schedule, with an entity that waits.
func inRun(t *testing.T, d *DB, name string, due, created time.Time) stowage.Schedule {
	t.Helper()
	s := schedule(t, d, "p", name)
	again(t, d, s, due, created, "j-"+name)
	return s
}

// again begins a run of a schedule that was set to be due then.
func again(t *testing.T, d *DB, s stowage.Schedule, due, created time.Time, job string) {
	t.Helper()
	s = must(d.Schedule(t.Context(), Scope{}, s.ID))(t)
	run := PlannedRun{Run: stowage.Run{ScheduleID: s.ID, ProjectID: "p", Due: due, State: stowage.RunRunning, CreatedAt: created},
		Entries: []stowage.Entry{{EntityID: "e1", PolicyID: "x", JobID: job, State: stowage.EntryWaiting}}}
	if err := d.BeginRuns(t.Context(), s, due.Add(24*time.Hour), []PlannedRun{run}); err != nil {
		t.Fatal(err)
	}
}

// Two who see that a job was given up give one new id, and whoever still holds the old
// one changes nothing.
func TestAnEntityThatWaitsGetsAnotherJobOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		inRun(t, d, "S", noon, noon)
		run := must(d.RunsUnderWay(t.Context(), 0, 10))(t)[0]
		old := must(d.TakeEntries(t.Context(), run.ID, noon, noon, 10))(t)[0]
		if err := d.RenewEntry(t.Context(), old, "new"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.RenewEntry(t.Context(), old, "newer"), stowage.Conflict)
		old.State = stowage.EntryFailed
		if err := d.SetEntry(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		e := must(d.RunEntries(t.Context(), []int64{run.ID}))(t)[run.ID][0]
		if e.JobID != "new" || e.State != stowage.EntryWaiting {
			t.Errorf("it is %+v", e)
		}
		e.State = stowage.EntryBegun
		if err := d.SetEntry(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.RenewEntry(t.Context(), e, "late"), stowage.Conflict)
	})
}

func TestRunsUnderWayAreReadToTheLast(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for _, name := range []string{"a", "b", "c"} {
			inRun(t, d, name, noon, noon)
		}
		n := 0
		for after := int64(0); ; n++ {
			list := must(d.RunsUnderWay(t.Context(), after, 1))(t)
			if len(list) == 0 {
				break
			}
			after = list[0].ID
		}
		if n != 3 {
			t.Errorf("%d of three", n)
		}
	})
}
