package db

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// moved writes a backup or a restore of a project that ended at a time, and gives the
// backup.
func (r *reportRig) moved(kind stowage.JobKind, project, volume, policy string, state stowage.JobState, at time.Time, volumeBytes, stored int64) stowage.Backup {
	r.t.Helper()
	b := sampleBackup(project)
	b.Volume.ID, b.CreatedAt, b.By.PolicyID, b.Container = volume, at.Add(-time.Hour), policy, "c-"+project
	j := sampleJob(kind)
	j.ProjectID, j.VolumeID, j.EntityID, j.CreatedAt, j.By.PolicyID = project, volume, volume, at.Add(-time.Hour), policy
	must0(r.t, r.d.CreateBackup(r.t.Context(), &b, &j))
	if state == stowage.JobQueued {
		return b
	}
	must0(r.t, r.d.claim(r.t.Context(), &j, "m/1", at, time.Hour))
	if state == stowage.JobRunning {
		return b
	}
	end := JobEnd{State: state, Now: at, Error: "it broke", Move: &BackupMove{ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupError, Now: at}}
	if state == stowage.JobFinished {
		end.Error = ""
		end.Move.To, end.Move.Result = stowage.BackupAvailable, &BackupResult{VolumeBytes: volumeBytes, StoredBytes: stored, SnapshotAt: at, Manifest: "m"}
	}
	must0(r.t, r.d.End(r.t.Context(), j, end))
	return b
}

type reportRig struct {
	t *testing.T
	d *DB
}

func must0(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text[T any](list []T, of func(T) string) string {
	var out []string
	for _, one := range list {
		out = append(out, of(one))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestReportsCountByWhenWorkEnded(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		r := &reportRig{t, d}
		day := func(n int) time.Time { return noon.AddDate(0, 0, n) }
		r.moved(stowage.JobBackup, "p", "1", "gold", stowage.JobFinished, day(0), 1000, 100)
		r.moved(stowage.JobBackup, "p", "2", "", stowage.JobFinished, day(-1), 2000, 200)
		r.moved(stowage.JobBackup, "q", "3", "gold", stowage.JobFinished, day(0), 4000, 400)
		r.moved(stowage.JobBackup, "p", "1", "gold", stowage.JobFailed, day(0), 0, 0)
		r.moved(stowage.JobBackup, "p", "1", "", stowage.JobCancelled, day(-9), 0, 0)
		r.moved(stowage.JobBackup, "p", "4", "", stowage.JobQueued, day(0), 0, 0)
		r.moved(stowage.JobBackup, "p", "5", "", stowage.JobRunning, day(0), 0, 0)
		r.moved(stowage.JobRestore, "p", "1", "", stowage.JobFinished, day(0), 500, 50)
		counts := func(c StateCount) string { return fmt.Sprint(c.Kind, " ", c.State, " ", c.N, " ", c.Bytes) }
		today := Span{From: noon.Add(-time.Hour * 2), To: noon}
		for what, c := range map[string]struct {
			scope  Scope
			span   Span
			policy string
			want   string
		}{
			"a day of one's own": {Scope{"p"}, today, "", "backup failed 1 0, backup finished 1 1000, backup queued 1 0, backup running 1 0, restore finished 1 500"},
			"everybody's day":    {Scope{}, today, "", "backup failed 1 0, backup finished 2 5000, backup queued 1 0, backup running 1 0, restore finished 1 500"},
			"a policy":           {Scope{}, today, "gold", "backup failed 1 0, backup finished 2 5000"},
			"all time":           {Scope{"p"}, Span{}, "", "backup cancelled 1 0, backup failed 1 0, backup finished 2 3000, backup queued 1 0, backup running 1 0, restore finished 1 500"},
			"the day before":     {Scope{"p"}, Span{To: noon.Add(-3 * time.Hour)}, "", "backup cancelled 1 0, backup finished 1 2000"},
		} {
			if got := text(must(d.CountMoved(t.Context(), c.scope, c.span, c.policy))(t), counts); got != c.want {
				t.Errorf("%s: %s\nwant %s", what, got, c.want)
			}
		}
		days := text(must(d.MovedByDay(t.Context(), Scope{"p"}, Span{From: day(-2)}))(t), func(b DayBytes) string {
			return fmt.Sprint(b.Kind, " ", b.Day.Format(time.DateOnly), " ", b.Bytes)
		})
		if want := "backup 2026-11-19 2000, backup 2026-11-20 1000, restore 2026-11-20 500"; days != want {
			t.Errorf("the days are %s, want %s", days, want)
		}
	})
}

func TestAReportKnowsOfBackupsThatAreGone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		r := &reportRig{t, d}
		b := r.moved(stowage.JobBackup, "p", "1", "", stowage.JobFinished, noon, 1000, 100)
		r.moved(stowage.JobBackup, "p", "2", "", stowage.JobFailed, noon, 0, 0)
		j := sampleJob(stowage.JobDelete)
		j.BackupID = b.ID
		must0(t, d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupDeleting, Now: noon}, &j))
		must0(t, d.End(t.Context(), j, JobEnd{State: stowage.JobFailed, Now: noon, Move: &BackupMove{ID: b.ID, From: stowage.BackupDeleting, Remove: true}}))
		rows := must(d.MovedRows(t.Context(), Scope{"p"}, Span{}, "", stowage.JobBackup, 10))(t)
		got := text(rows, func(m MovedRow) string {
			return fmt.Sprintf("%s %s %q %d %s", m.Job.EntityID, m.Job.State, m.Backup, m.Bytes, m.Job.Error)
		})
		if want := `1 finished "" 1000 , 2 failed "error" 0 it broke`; got != want {
			t.Errorf("the rows are %s\nwant %s", got, want)
		}
		sum := func(charges func() ([]Charge, error)) string {
			return text(must(charges())(t), func(c Charge) string { return fmt.Sprint(c.Project, c.Container, c.Bytes) })
		}
		by := ChargeKey{Container: "x"}
		if got := sum(func() ([]Charge, error) { return d.ChargeMoved(t.Context(), Scope{"p"}, Span{}, ChargeFilter{}, by) }); got != "c-p100" {
			t.Errorf("what was moved is %s", got)
		}
		if got := sum(func() ([]Charge, error) { return d.ChargeStored(t.Context(), Scope{"p"}, Span{}, ChargeFilter{}, by) }); got != "" {
			t.Errorf("what is stored is %s", got)
		}
	})
}

func TestChargesAreToldApartAndNarrowed(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		r := &reportRig{t, d}
		r.moved(stowage.JobBackup, "p", "1", "gold", stowage.JobFinished, noon, 1000, 100)
		r.moved(stowage.JobBackup, "p", "1", "gold", stowage.JobFinished, noon.Add(time.Hour), 1000, 10)
		r.moved(stowage.JobBackup, "p", "2", "", stowage.JobFinished, noon, 2000, 200)
		r.moved(stowage.JobBackup, "q", "3", "gold", stowage.JobFinished, noon, 4000, 400)
		show := func(c Charge) string {
			return strings.Trim(strings.Join([]string{c.Project, c.Container, c.Policy, c.Entity, fmt.Sprint(c.Bytes)}, " "), " ")
		}
		for what, c := range map[string]struct {
			scope         Scope
			span          Span
			f             ChargeFilter
			by            ChargeKey
			stored, moved string
		}{
			"in all":            {by: ChargeKey{}, stored: "8000", moved: "710"},
			"by entity":         {by: ChargeKey{Entity: "x"}, stored: "1 2000, 2 2000, 3 4000", moved: "1 110, 2 200, 3 400"},
			"by policy":         {by: ChargeKey{Policy: "x"}, stored: "2000, gold  6000", moved: "200, gold  510"},
			"by container":      {by: ChargeKey{Project: "x", Container: "x"}, stored: "p c-p   4000, q c-q   4000", moved: "p c-p   310, q c-q   400"},
			"one project":       {scope: Scope{"p"}, stored: "4000", moved: "310"},
			"two filters":       {f: ChargeFilter{Policies: []string{"gold"}, Projects: []string{"q"}}, stored: "4000", moved: "400"},
			"a container":       {f: ChargeFilter{Containers: []Container{{ProjectID: "p", Name: "c-p"}, {ProjectID: "q", Name: "c-p"}}}, stored: "4000", moved: "310"},
			"nobody's entity":   {f: ChargeFilter{Entities: []string{"日本"}}, stored: "0", moved: "0"},
			"a span with one":   {span: Span{From: noon.Add(-30 * time.Minute), To: noon.Add(time.Hour)}, f: ChargeFilter{Entities: []string{"1"}}, stored: "1000", moved: "110"},
			"a span with none":  {span: Span{From: noon.AddDate(1, 0, 0)}, stored: "0", moved: "0"},
			"another's project": {scope: Scope{"p"}, f: ChargeFilter{Projects: []string{"q"}}, stored: "0", moved: "0"},
		} {
			if got := text(must(d.ChargeStored(t.Context(), c.scope, c.span, c.f, c.by))(t), show); got != c.stored {
				t.Errorf("%s: stored %s, want %s", what, got, c.stored)
			}
			if got := text(must(d.ChargeMoved(t.Context(), c.scope, c.span, c.f, c.by))(t), show); got != c.moved {
				t.Errorf("%s: moved %s, want %s", what, got, c.moved)
			}
		}
	})
}

func TestMailingListsAreOneProjects(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		l := stowage.MailingList{ID: uuid.NewString(), ProjectID: "p", Name: "Ops", Recipients: []string{"a@x.test"}, CreatedAt: noon, UpdatedAt: noon}
		must0(t, d.SaveMailingList(t.Context(), l, true))
		other := l
		other.ID = uuid.NewString()
		other.Name = "OPS"
		if err := d.SaveMailingList(t.Context(), other, true); stowage.CodeOf(err) != stowage.Conflict {
			t.Errorf("a second one of the name: %v", err)
		}
		other.ProjectID = "q"
		must0(t, d.SaveMailingList(t.Context(), other, true))
		l.Recipients = append(l.Recipients, "ü@x.test")
		must0(t, d.SaveMailingList(t.Context(), l, false))
		if got := must(d.MailingList(t.Context(), Scope{"p"}, l.ID))(t); fmt.Sprint(got) != fmt.Sprint(l) {
			t.Errorf("it became %v", got)
		}
		for _, id := range []string{other.ID, "none", "日本"} {
			if _, err := d.MailingList(t.Context(), Scope{"p"}, id); stowage.CodeOf(err) != stowage.NotFound {
				t.Errorf("%s: %v", id, err)
			}
		}
		for filter, want := range map[string]int{"": 1, "op": 1, "a@X": 1, "none": 0} {
			if _, n, err := d.MailingLists(t.Context(), Scope{"p"}, Page{Limit: 10, Filter: filter}); n != want || err != nil {
				t.Errorf("%q finds %d: %v", filter, n, err)
			}
		}
		must0(t, d.DeleteMailingList(t.Context(), Scope{"p"}, l.ID))
		if err := d.SaveMailingList(t.Context(), l, false); stowage.CodeOf(err) != stowage.NotFound {
			t.Errorf("what is gone is changed: %v", err)
		}
	})
}

func TestADailyReportIsMovedByOne(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		none := must(d.DailyReport(t.Context(), "policy"))(t)
		first := DailyReport{PolicyID: "policy", Day: noon, Attempts: 1, NextAt: noon.Add(time.Minute)}
		must0(t, d.MoveDailyReport(t.Context(), none, first))
		second := first
		second.Attempts = 2
		for _, err := range []error{d.MoveDailyReport(t.Context(), none, first), d.MoveDailyReport(t.Context(), second, second)} {
			if stowage.CodeOf(err) != stowage.Conflict {
				t.Errorf("it was moved a second time: %v", err)
			}
		}
		must0(t, d.MoveDailyReport(t.Context(), first, second))
		if got := must(d.DailyReport(t.Context(), "policy"))(t); got != second {
			t.Errorf("it is %v", got)
		}
	})
}

// What a dashboard asks for with every page must not read all jobs there ever were.
func TestADayIsCountedAlongAnIndex(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for from := 0; from < 5000; from += 500 {
			var values []string
			var args []any
			for n := from; n < from+500; n++ {
				at := micros(noon.Add(-time.Duration(n) * time.Hour))
				values = append(values, "(?,?,'finished',?,'u',0,'v',50,0,'{}',?,?,?)")
				args = append(args, uuid.NewString(), []string{"backup", "delete", "restore"}[n%3], fmt.Sprintf("p%d", n%10), at, at, at)
			}
			must(d.sql.ExecContext(t.Context(), `INSERT INTO jobs (id, kind, state, project_id, user_id, backup_id, volume_id, priority, ready_at, params,
				created_at, updated_at, finished_at) VALUES `+strings.Join(values, ","), args...))(t)
		}
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE jobs"))(t)
		}
		for _, scope := range []Scope{{"p3"}, {}} {
			w := reported(scope, Span{From: noon.Add(-24 * time.Hour), To: noon}, moving)
			plan := planOf(t, d, `SELECT j.kind, j.state, COUNT(*), SUM(j.volume_bytes) FROM jobs j WHERE `+w.String()+` GROUP BY j.kind, j.state`, w.args...)
			// SQLite takes the project's jobs by another one; it is not for clouds.
			if !strings.Contains(plan, "jobs_report") && (d.dialect == MySQL || !strings.Contains(plan, "SEARCH j USING INDEX jobs_shown_project")) {
				t.Errorf("%v: the plan is %s", scope, plan)
			}
		}
	})
}
