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

// A clock that was ahead has written a run that is still to come. When its time comes, the
// real one takes its place; what was begun a little early is not begun again.
func TestARunFromTheFutureTakesNoRealOnesPlace(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		day := func(n int) time.Time { return noon.Add(time.Duration(n) * 24 * time.Hour) }
		s := inRun(t, d, "S", day(3), day(3).Add(time.Second))
		again(t, d, s, day(2), day(3).Add(time.Second), "missed") // as what was missed is written with it
		again(t, d, s, day(2), day(2).Add(time.Second), "second")
		again(t, d, s, day(3), day(3).Add(2*time.Second), "third")
		again(t, d, s, day(4), day(4).Add(-30*time.Minute), "early")
		again(t, d, s, day(4), day(4), "twice")
		list, total, err := d.Runs(t.Context(), s.ID, Page{Limit: 10})
		if err != nil || total != 3 {
			t.Fatalf("%d runs, %v", total, err)
		}
		for i, want := range []string{"early", "third", "second"} {
			if e := must(d.RunEntries(t.Context(), []int64{list[i].ID}))(t)[list[i].ID]; len(e) != 1 || e[0].JobID != want {
				t.Errorf("the run of %v has %+v, not %s", list[i].Due, e, want)
			}
		}
	})
}

func TestAnEntityThatWasTriedInTheFutureIsTriedNow(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		inRun(t, d, "S", noon, noon)
		run := must(d.RunsUnderWay(t.Context(), 0, 10))(t)[0].ID
		for _, c := range []struct {
			now  time.Duration
			want int
		}{{400 * 24 * time.Hour, 1}, {0, 1}, {-30 * time.Minute, 0}, {time.Minute, 1}} {
			at := noon.Add(c.now)
			if list := must(d.TakeEntries(t.Context(), run, at.Add(-time.Minute), at, 10))(t); len(list) != c.want {
				t.Errorf("at %v: %v", c.now, list)
			}
		}
	})
}

func TestAScheduleIsSetBackWithItsLastRun(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		s := inRun(t, d, "S", noon, noon)
		again(t, d, s, noon.Add(400*24*time.Hour), noon.Add(400*24*time.Hour), "ahead")
		list := must(d.SchedulesDueAfter(t.Context(), noon.Add(24*time.Hour), "", 10))(t)
		if len(list) != 1 {
			t.Fatalf("there are %v", list)
		}
		next := noon.Add(time.Hour)
		if err := d.SetBack(t.Context(), list[0], next, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.SetBack(t.Context(), list[0], next, noon), stowage.Conflict)
		if now := must(d.Schedule(t.Context(), Scope{}, s.ID))(t); !now.NextDue.Equal(next) || !now.LastRun.Equal(noon) {
			t.Errorf("it is %+v", now)
		}
		if list := must(d.SchedulesDueAfter(t.Context(), noon.Add(24*time.Hour), "", 10))(t); len(list) != 0 {
			t.Errorf("there are %v", list)
		}
	})
}
