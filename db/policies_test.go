package db

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// policy writes one with a rule that names the schedules.
func policy(t *testing.T, d *DB, project, name string, entities []string, schedules ...string) (stowage.Policy, stowage.Rule) {
	t.Helper()
	p := stowage.Policy{ID: uuid.NewString(), Kind: stowage.PolicyBackup, ProjectID: project, Name: name, Active: true, Priority: 50, CreatedAt: noon, UpdatedAt: noon,
		Is: stowage.PolicyDetails{ExportThreshold: 30, Assign: stowage.AutoAssign{Mode: stowage.AssignOnly, IncludeNames: []string{"名"}}}}
	r := stowage.Rule{ID: uuid.NewString(), PolicyID: p.ID, ProjectID: project, Name: "R", Active: true, Schedules: schedules, CreatedAt: noon,
		Is: stowage.RuleDetails{Container: "c", Retention: stowage.Retention{Full: stowage.Keep{Last: 2, Newer: time.Hour}, KeepLast: true}}}
	if err := d.SavePolicy(t.Context(), PolicyChange{Policy: p, New: true, Rules: &[]stowage.Rule{r}, Entities: &entities}); err != nil {
		t.Fatal(err)
	}
	return p, r
}

func schedule(t *testing.T, d *DB, project, name string) stowage.Schedule {
	t.Helper()
	s := stowage.Schedule{ID: uuid.NewString(), Kind: stowage.PolicyBackup, ProjectID: project, Name: name, Active: true, NextDue: noon, CreatedAt: noon, UpdatedAt: noon,
		Is: stowage.ScheduleDetails{Full: true, Window: time.Hour, Times: stowage.Timetable{At: 12 * time.Hour, Days: []time.Weekday{0, 6}, Occurrences: []int{-1}}}}
	if err := d.SaveSchedule(t.Context(), s, true, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPoliciesAreReadAsTheyWereWritten(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		s := schedule(t, d, "p", "S")
		p, r := policy(t, d, "p", "名前", []string{"e2", "e1"}, s.ID)
		same := func(what string, got, want any) {
			t.Helper()
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
			}
		}
		same("policy", must(d.Policy(t.Context(), Scope{"p"}, p.ID))(t), p)
		same("rule", must(d.Rule(t.Context(), Scope{"p"}, r.ID))(t), r)
		same("schedule", must(d.Schedule(t.Context(), Scope{"p"}, s.ID))(t), s)
		same("entities", must(d.PolicyEntities(t.Context(), p.ID))(t), []string{"e1", "e2"})
		same("schedules", must(d.PolicySchedules(t.Context(), []string{p.ID, "none"}))(t), map[string][]stowage.Schedule{p.ID: {s}})
		same("of entities", must(d.EntityPolicies(t.Context(), stowage.PolicyBackup, []string{"e1", "e3", "名"}))(t), map[string][2]string{"e1": {p.ID, p.Name}})
		for _, id := range []string{p.ID, "none", "名"} {
			for _, read := range []func() error{
				func() error { _, err := d.Policy(t.Context(), Scope{"q"}, id); return err },
				func() error { _, err := d.Rule(t.Context(), Scope{"q"}, id); return err },
				func() error { _, err := d.Schedule(t.Context(), Scope{"q"}, id); return err },
				func() error { return d.DeletePolicy(t.Context(), Scope{"q"}, id) },
				func() error { return d.DeleteSchedule(t.Context(), Scope{"q"}, id) },
			} {
				wantCode(t, read(), stowage.NotFound)
			}
		}
		// A name is of one of a project.
		again := stowage.Policy{ID: uuid.NewString(), ProjectID: "p", Name: p.Name, CreatedAt: noon, UpdatedAt: noon}
		wantCode(t, d.SavePolicy(t.Context(), PolicyChange{Policy: again, New: true}), stowage.Conflict)
		wantCode(t, d.SavePolicy(t.Context(), PolicyChange{Policy: again}), stowage.NotFound)
		again.ProjectID = "q"
		if err := d.SavePolicy(t.Context(), PolicyChange{Policy: again, New: true, Entities: &[]string{"e2", "e3"}}); err != nil {
			t.Fatal(err)
		}
		same("what was left", must(d.PolicyEntities(t.Context(), p.ID))(t), []string{"e1"})
		twice := s
		twice.ID = uuid.NewString()
		wantCode(t, d.SaveSchedule(t.Context(), twice, true, nil), stowage.Conflict)
		wantCode(t, d.SaveSchedule(t.Context(), twice, false, nil), stowage.NotFound)
		if err := d.DeletePolicy(t.Context(), Scope{"p"}, p.ID); err != nil {
			t.Fatal(err)
		}
		_, err := d.Rule(t.Context(), Scope{}, r.ID)
		wantCode(t, err, stowage.NotFound)
		same("rules of the schedule", must(d.PolicySchedules(t.Context(), []string{p.ID}))(t), map[string][]stowage.Schedule{})
	})
}

// Whoever assigns at the same time, an entity ends up in one policy.
func TestAssigningAtOnceLeavesEachEntityInOnePolicy(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var entities []string
		for i := range 20 {
			entities = append(entities, fmt.Sprintf("e%02d", i))
		}
		var policies []string
		for i := range 4 {
			p, _ := policy(t, d, "p", fmt.Sprint("P", i), nil)
			policies = append(policies, p.ID)
		}
		var all sync.WaitGroup
		for i, p := range policies {
			all.Go(func() {
				var err error
				if i%2 == 0 {
					err = d.AutoAssign(t.Context(), p, entities, nil)
				} else {
					for _, e := range entities {
						if err == nil {
							err = d.Assign(t.Context(), stowage.PolicyBackup, e, p)
						}
					}
				}
				if err != nil && stowage.CodeOf(err) != stowage.Conflict {
					t.Error(err)
				}
			})
		}
		all.Wait()
		total := 0
		for _, p := range policies {
			total += len(must(d.PolicyEntities(t.Context(), p))(t))
		}
		if total != len(entities) {
			t.Errorf("%d of %d are assigned", total, len(entities))
		}
	})
}

func TestOfManyWhoSeeARunDueOneBeginsIt(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		s := schedule(t, d, "p", "S")
		policy(t, d, "p", "P", []string{"e1", "e2", "e3"}, s.ID)
		due := must(d.DueSchedules(t.Context(), noon, 10))(t)
		if len(due) != 1 || len(must(d.DueSchedules(t.Context(), noon.Add(-1000), 10))(t)) != 0 {
			t.Fatalf("due are %+v", due)
		}
		next := noon.Add(24 * time.Hour)
		var begun atomic.Int32
		var all sync.WaitGroup
		for range 5 {
			run := PlannedRun{Run: stowage.Run{ScheduleID: s.ID, ProjectID: "p", Due: noon, WindowEnd: noon.Add(time.Hour), State: stowage.RunRunning, Full: true, CreatedAt: noon}}
			for _, e := range []string{"e1", "e2", "e3"} {
				run.Entries = append(run.Entries, stowage.Entry{EntityID: e, PolicyID: "x", RuleID: "y", JobID: uuid.NewString(), State: stowage.EntryWaiting})
			}
			all.Go(func() {
				err := d.BeginRuns(t.Context(), due[0], next, []PlannedRun{run})
				if err == nil {
					begun.Add(1)
				} else if stowage.CodeOf(err) != stowage.Conflict {
					t.Error(err)
				}
			})
		}
		all.Wait()
		runs := must(d.RunsUnderWay(t.Context(), 0, 10))(t)
		if begun.Load() != 1 || len(runs) != 1 || len(must(d.RunEntries(t.Context(), []int64{runs[0].ID}))(t)[runs[0].ID]) != 3 {
			t.Fatalf("%d began it, there are %+v", begun.Load(), runs)
		}
		now := must(d.Schedule(t.Context(), Scope{}, s.ID))(t)
		if !now.NextDue.Equal(next) || !now.LastRun.Equal(noon) {
			t.Errorf("the schedule is %+v", now)
		}
		// A schedule that was set back does not run the same time again.
		now.NextDue = noon
		if err := d.SaveSchedule(t.Context(), now, false, nil); err != nil {
			t.Fatal(err)
		}
		again := PlannedRun{Run: stowage.Run{ScheduleID: s.ID, Due: noon, State: stowage.RunRunning, CreatedAt: noon}, Entries: []stowage.Entry{{EntityID: "e4", JobID: "j", State: stowage.EntryWaiting}}}
		if err := d.BeginRuns(t.Context(), now, next, []PlannedRun{again}); err != nil {
			t.Fatal(err)
		}
		if got := must(d.RunsUnderWay(t.Context(), 0, 10))(t); len(got) != 1 {
			t.Errorf("it runs again: %+v", got)
		}
		// Each entity is one's at a time.
		taken := []string{}
		var mu sync.Mutex
		for range 4 {
			all.Go(func() {
				list, err := d.TakeEntries(t.Context(), runs[0].ID, noon.Add(-time.Minute), noon, 10)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, e := range list {
					taken = append(taken, e.EntityID)
				}
			})
		}
		all.Wait()
		if slices.Sort(taken); fmt.Sprint(taken) != "[e1 e2 e3]" {
			t.Errorf("taken: %v", taken)
		}
		if list := must(d.TakeEntries(t.Context(), runs[0].ID, noon, noon.Add(time.Minute), 1))(t); len(list) != 1 {
			t.Errorf("after a while nobody can have it: %v", list)
		}
	})
}

func TestARunEndsOnceWithItsCleanups(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		s := schedule(t, d, "p", "S")
		run := PlannedRun{Run: stowage.Run{ScheduleID: s.ID, ProjectID: "p", Due: noon, State: stowage.RunRunning, CreatedAt: noon},
			Entries: []stowage.Entry{{EntityID: "e1", PolicyID: "x", JobID: "j1", State: stowage.EntryWaiting}, {EntityID: "e2", PolicyID: "y", JobID: "j2", State: stowage.EntryWaiting}}}
		if err := d.BeginRuns(t.Context(), s, noon.Add(time.Hour), []PlannedRun{run}); err != nil {
			t.Fatal(err)
		}
		id := must(d.RunsUnderWay(t.Context(), 0, 10))(t)[0].ID
		for _, err := range []error{
			d.SetEntry(t.Context(), stowage.Entry{RunID: id, EntityID: "e1", JobID: "j1", State: stowage.EntryFailed, Reason: "why"}),
			d.SetEntry(t.Context(), stowage.Entry{RunID: id, EntityID: "e1", JobID: "j1", State: stowage.EntryBegun}), // too late
			d.SkipEntries(t.Context(), id, "y", "enough"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		tally := must(d.RunTally(t.Context(), id))(t)
		slices.SortFunc(tally, func(a, b Tally) int { return len(a.State) - len(b.State) })
		if fmt.Sprint(tally) != "[{x failed  1} {y skipped  1}]" {
			t.Errorf("the tally is %v", tally)
		}
		for n, want := range []stowage.Code{"", stowage.Conflict} {
			j := stowage.Job{ID: uuid.NewString(), Kind: stowage.JobCleanup, State: stowage.JobQueued, ProjectID: "p", By: stowage.Origin{ScheduleID: s.ID, PolicyID: "x"}, CreatedAt: noon}
			err := d.EndRun(t.Context(), id, []stowage.Job{j}, noon)
			if err != nil && stowage.CodeOf(err) != want || err == nil && want != "" {
				t.Errorf("the %d. time: %v", n+1, err)
			}
		}
		for f, want := range map[threeIDs]int{{s.ID, "", ""}: 1, {"", "x", ""}: 1, {"", "y", ""}: 0, {"", "", "r"}: 0} {
			if _, n, err := d.Tasks(t.Context(), Scope{"p"}, TaskFilter{Schedule: f[0], Policy: f[1], Rule: f[2]}, Page{Limit: 10}); err != nil || n != want {
				t.Errorf("%v: %d, %v", f, n, err)
			}
		}
		if n := must(d.DropRuns(t.Context(), noon, 10))(t); n != 0 {
			t.Errorf("%d were forgotten too early", n)
		}
		if n := must(d.DropRuns(t.Context(), noon.Add(time.Second), 10))(t); n != 1 || len(must(d.RunEntries(t.Context(), []int64{id}))(t)) != 0 {
			t.Errorf("%d were forgotten", n)
		}
	})
}

// threeIDs are those of a schedule, a policy and a rule.
type threeIDs [3]string

// What a database of the version before holds is nobody's by a policy.
func TestAnUpgradeLeavesOldBackupsToTheirUsers(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must(must(d.provider())(t).DownTo(t.Context(), 3))(t)
		must(d.sql.ExecContext(t.Context(), `INSERT INTO backups (uuid, project_id, user_id, name, description, container, status, volume_id, volume, size_gib, created_at, updated_at)
			VALUES ('11111111-1111-4111-8111-111111111111', 'p', 'u', 'n', '', 'c', 'available', '9', '{"id":"9"}', 1, 5, 5)`))(t)
		must(d.sql.ExecContext(t.Context(), `INSERT INTO jobs (id, kind, state, project_id, user_id, backup_id, volume_id, priority, ready_at, params, created_at, updated_at)
			VALUES ('11111111-0000-4000-8000-000000000001', 'backup', 'finished', 'p', 'u', 1, '9', 50, 0, '{}', 5, 5)`))(t)
		must(d.Sync(t.Context()))(t)
		if d.dialect == MySQL { // it commits each statement by itself: the program may die behind any of them
			must(d.sql.ExecContext(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 3`))(t)
			must(d.Sync(t.Context()))(t)
		}
		b := must(d.BackupByUUID(t.Context(), Scope{}, "11111111-1111-4111-8111-111111111111"))(t)
		j := must(d.Job(t.Context(), "11111111-0000-4000-8000-000000000001"))(t)
		none := stowage.Origin{}
		if b.By != none || j.By != none || b.Mark != stowage.MarkStandard || !b.RetainUntil.IsZero() {
			t.Errorf("they became %+v and %+v", b, j)
		}
		if marked := must(d.MarkedBackups(t.Context(), "p", 0, 10))(t); len(marked) != 0 {
			t.Errorf("marked: %+v", marked)
		}
	})
}

func TestRetentionDeletesWhatIsMarkedAsItSawIt(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := made(t, d, "a")
		remove := func(seen *RetainMark) error {
			j := sampleJob(stowage.JobDelete)
			return d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupDeleting, Marked: seen, Now: noon}, &j)
		}
		until := noon.Add(time.Hour)
		b.Mark, b.RetainUntil = stowage.MarkArchive, until
		must0(t, d.MarkBackups(t.Context(), Scope{}, []stowage.Backup{b}, nil, noon))
		for _, seen := range []RetainMark{{}, {Mark: stowage.MarkStandard}, {Mark: stowage.MarkArchive}, {Mark: stowage.MarkRemove, Until: until}} {
			wantCode(t, remove(&seen), stowage.Conflict)
		}
		must0(t, remove(&RetainMark{stowage.MarkArchive, until}))
		b.Mark = stowage.MarkDontTouch
		wantCode(t, d.MarkBackups(t.Context(), Scope{}, []stowage.Backup{b}, nil, noon), stowage.NotFound)
		b.Mark = stowage.MarkRemove
		must0(t, d.MarkBackups(t.Context(), Scope{}, []stowage.Backup{b}, nil, noon))
		other := made(t, d, "b")
		other.Mark = stowage.MarkDontTouch
		must0(t, d.MarkBackups(t.Context(), Scope{}, []stowage.Backup{other}, nil, noon))
		b = other
		must0(t, remove(nil)) // a user's own word
	})
}
