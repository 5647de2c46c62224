package db

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

func ids(jobs []stowage.Job) (list []string) {
	for _, j := range jobs {
		list = append(list, j.ID)
	}
	return list
}

// some writes jobs, the first of them first.
func some(t *testing.T, d *DB, changes ...func(*stowage.Backup, *stowage.Job)) (jobs []stowage.Job) {
	t.Helper()
	for _, change := range changes {
		_, j := created(t, d, change)
		jobs = append(jobs, j)
	}
	return jobs
}

func TestTasksAreListedNewestFirstAndFiltered(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		j := some(t, d,
			func(b *stowage.Backup, j *stowage.Job) { j.EntityID = "v1"; j.Priority = 10 },
			func(b *stowage.Backup, j *stowage.Job) { j.EntityID = "v2"; j.ProjectID = "q"; j.Priority = 90 },
			func(b *stowage.Backup, j *stowage.Job) {
				j.EntityID = "v2"
				j.Kind = stowage.JobRestore
				b.Container = "other"
			},
			func(b *stowage.Backup, j *stowage.Job) { j.EntityID = "v1"; j.Kind = stowage.JobVerify },
			func(b *stowage.Backup, j *stowage.Job) { j.EntityID = "v3"; j.CreatedAt = noon.Add(time.Hour) },
		)
		claimed := must(d.Claim(t.Context(), "h1/x", []string{"file:a"}, noon, time.Minute))(t)
		if err := d.Found(t.Context(), 1, []stowage.Entity{{ID: "v3", Kind: stowage.EntityVolume, Name: "Web 100%", Present: true, Listed: true}}, noon); err != nil {
			t.Fatal(err)
		}
		b := must(d.BackupsByID(t.Context(), []int64{1}))(t)[1]
		for what, c := range map[string]struct {
			scope Scope
			f     TaskFilter
			p     Page
			want  []int
		}{
			"all but verifications":     {want: []int{4, 2, 1, 0}},
			"of a project":              {scope: Scope{"p"}, want: []int{4, 2, 0}},
			"of an entity":              {f: TaskFilter{Entities: []string{"v2"}}, want: []int{2, 1}},
			"of an entity of a project": {scope: Scope{"q"}, f: TaskFilter{Entities: []string{"v2"}}, want: []int{1}},
			"of two kinds":              {f: TaskFilter{Kinds: []stowage.JobKind{stowage.JobRestore, stowage.JobDelete}}, want: []int{2}},
			"running":                   {f: TaskFilter{States: []stowage.JobState{stowage.JobRunning}}, want: []int{1}},
			"of a host":                 {f: TaskFilter{Host: "h1"}, want: []int{1}},
			"of no host":                {f: TaskFilter{Host: "h"}, want: nil},
			"of a host like":            {f: TaskFilter{Host: "h_"}, want: nil},
			"of a backup":               {f: TaskFilter{Backup: b.UUID}, want: []int{0}},
			"into a container":          {f: TaskFilter{Project: "p", Into: "other"}, want: []int{2}},
			"since":                     {f: TaskFilter{Since: noon.Add(time.Minute)}, want: []int{4}},
			"until":                     {f: TaskFilter{Until: noon}, want: []int{2, 1, 0}},
			"named so":                  {p: Page{Filter: "100%"}, want: []int{4}},
			"named with a percent":      {p: Page{Filter: "%"}, want: []int{4}},
			"with text of all letters":  {p: Page{Filter: "名"}, want: nil},
			"in a state":                {f: TaskFilter{TextStates: []stowage.JobState{stowage.JobRunning}}, p: Page{Filter: "RUNN"}, want: []int{1}},
			"of a kind, or named so":    {f: TaskFilter{TextKinds: []stowage.JobKind{stowage.JobRestore}}, p: Page{Filter: "100%"}, want: []int{4, 2}},
			"by priority":               {p: Page{Order: "priority"}, want: []int{0, 2, 4, 1}},
			"by priority down":          {p: Page{Order: "priority", Descending: true}, want: []int{1, 4, 2, 0}},
			"oldest first":              {p: Page{Order: "created"}, want: []int{0, 1, 2, 4}},
			"in no order there is":      {p: Page{Order: "seq; DROP"}, want: []int{4, 2, 1, 0}},
			"not ASCII":                 {f: TaskFilter{Entities: []string{"名"}}, want: nil},
		} {
			if c.p.Limit == 0 {
				c.p.Limit = 100
			}
			got, total, err := d.Tasks(t.Context(), c.scope, c.f, c.p)
			var want []string
			for _, i := range c.want {
				want = append(want, j[i].ID)
			}
			if err != nil || !slices.Equal(ids(got), want) || total != len(want) {
				t.Errorf("%s: %v (%d) %v, want %v", what, ids(got), total, err, want)
			}
		}
		page, total, err := d.Tasks(t.Context(), Scope{}, TaskFilter{}, Page{Offset: 1, Limit: 2})
		if err != nil || total != 4 || !slices.Equal(ids(page), []string{j[2].ID, j[1].ID}) || page[1].LeaseOwner != claimed.LeaseOwner {
			t.Errorf("page %v of %d: %v", ids(page), total, err)
		}
		_, err = d.Task(t.Context(), Scope{}, "")
		wantCode(t, err, stowage.NotFound)
		_, err = d.Task(t.Context(), Scope{"q"}, j[0].ID)
		wantCode(t, err, stowage.NotFound)
	})
}

func TestOnlyTasksThatHaveEndedAreHidden(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		j := some(t, d, nil, nil, func(b *stowage.Backup, j *stowage.Job) { j.ProjectID = "q" })
		for _, one := range []stowage.Job{j[0], j[2]} {
			if err := d.End(t.Context(), one, JobEnd{State: stowage.JobCancelled, Now: noon}); err != nil {
				t.Fatal(err)
			}
		}
		if n := must(d.HideTasks(t.Context(), Scope{"p"}, TaskFilter{}))(t); n != 1 {
			t.Errorf("%d hidden", n)
		}
		left, _, err := d.Tasks(t.Context(), Scope{}, TaskFilter{}, Page{Limit: 9})
		if err != nil || !slices.Equal(ids(left), []string{j[2].ID, j[1].ID}) {
			t.Errorf("left: %v, %v", ids(left), err)
		}
		if n := must(d.HideTasks(t.Context(), Scope{}, TaskFilter{ID: j[1].ID}))(t); n != 0 {
			t.Error("one that has not ended was hidden")
		}
		must(d.Job(t.Context(), j[0].ID))(t) // the row stays
	})
}

func TestAWishToCancelIsHeardUntilTheEnd(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, j := created(t, d, nil)
		if why := must(d.CancelWanted(t.Context(), j.ID))(t); why != "" {
			t.Errorf("wanted: %q", why)
		}
		if err := d.WantCancel(t.Context(), j, strings.Repeat("é", 2000)); err != nil {
			t.Fatal(err)
		}
		if why := must(d.CancelWanted(t.Context(), j.ID))(t); len([]rune(why)) != 1024 {
			t.Errorf("wanted: %q", why)
		}
		if err := d.End(t.Context(), j, JobEnd{State: stowage.JobCancelled, Now: noon}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.WantCancel(t.Context(), j, "x"), stowage.Conflict)
	})
}

func TestHistoryIsFilteredAndPaged(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		yes := true
		for i := range 5 {
			created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
				b.Name, b.Volume.ID, b.StoredBytes = fmt.Sprint("n", i), fmt.Sprint("v", i%2), int64(i)
				b.Incremental, b.SnapshotAt = i == 3, noon.Add(time.Duration(i)*time.Hour)
				if i == 4 {
					b.ProjectID, b.Container, b.Status = "q", "d", stowage.BackupAvailable
				}
			})
		}
		for what, c := range map[string]struct {
			scope Scope
			f     HistoryFilter
			p     Page
			want  string
		}{
			"all":             {want: "[5 4 3 2 1]"},
			"of a project":    {scope: Scope{"q"}, want: "[5]"},
			"of a volume":     {f: HistoryFilter{Entities: []string{"v1"}}, want: "[4 2]"},
			"in a status":     {f: HistoryFilter{Statuses: []stowage.BackupStatus{stowage.BackupAvailable}}, want: "[5]"},
			"in a container":  {f: HistoryFilter{Container: "d"}, want: "[5]"},
			"since":           {f: HistoryFilter{Since: noon.Add(3 * time.Hour)}, want: "[5 4]"},
			"until":           {f: HistoryFilter{Until: noon.Add(time.Hour)}, want: "[2 1]"},
			"of a size":       {f: HistoryFilter{MinBytes: 3}, want: "[5 4]"},
			"increments":      {f: HistoryFilter{Incremental: &yes}, want: "[4]"},
			"by size":         {p: Page{Order: "size"}, want: "[1 2 3 4 5]"},
			"by name, down":   {p: Page{Order: "name", Descending: true}, want: "[5 4 3 2 1]"},
			"named":           {p: Page{Name: "N3"}, want: "[4]"},
			"of text":         {p: Page{Filter: "n4"}, want: "[5]"},
			"a page":          {p: Page{Offset: 1, Limit: 2}, want: "[4 3]"},
			"nobody's volume": {f: HistoryFilter{Entities: []string{"é"}}, want: "[]"},
		} {
			if c.p.Limit == 0 {
				c.p.Limit = 100
			}
			list, total, err := d.History(t.Context(), c.scope, c.f, c.p)
			got := []int64{}
			for _, b := range list {
				got = append(got, b.ID)
			}
			if err != nil || fmt.Sprint(got) != c.want || total < len(got) {
				t.Errorf("%s: %v (%d) %v, want %s", what, got, total, err, c.want)
			}
		}
		if list := must(d.Containers(t.Context(), Scope{}))(t); fmt.Sprint(list) != "[{p c 4 6} {q d 1 4}]" {
			t.Errorf("containers: %v", list)
		}
	})
}

// A page of tasks and of entities is a walk along one index, and rows are read
// for the page alone.
func TestPagesOfTasksWalkAlongAnIndex(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fillJobs(t, d, 3000)
		fillEntities(t, d, 3000)
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE jobs, entities"))(t)
		}
		type asked struct {
			what, index, query string
			args               []any
		}
		var list []asked
		add := func(what, index, q string, args []any) { list = append(list, asked{what, index, q, args}) }
		for what, c := range map[string]struct {
			scope Scope
			f     TaskFilter
			order string
			index string
		}{
			"all tasks":          {index: "jobs_shown"},
			"by who asked":       {order: "origin", index: "jobs_origin"},
			"of a manager":       {f: TaskFilter{Host: "m3"}, index: "jobs_host"},
			"tasks of a project": {scope: Scope{"p3"}, index: "jobs_shown_project"},
			"tasks of an entity": {f: TaskFilter{Entities: []string{"v3"}}, index: "jobs_shown_entity"},
		} {
			q, args := tasksQuery(c.f.where(c.scope), Page{Limit: 20, Offset: 100, Order: c.order}, 3000)
			add(what, c.index, q, args)
		}
		q, args := entitiesQuery(EntityFilter{}, EntityFilter{}.where(Scope{}, Page{}), Page{Limit: 20, Offset: 100}, 3000)
		add("all entities", "entities_listed", q, args)
		for _, q := range list {
			plan := planOf(t, d, q.query, q.args...)
			// The page itself, some twenty rows, may be sorted once more.
			if !strings.Contains(plan, q.index) {
				t.Errorf("%s: the plan is %s", q.what, plan)
			}
		}
	})
}

// fillJobs writes jobs of ten projects and a hundred volumes, the plain way.
func fillJobs(t testing.TB, d *DB, n int) {
	t.Helper()
	states := []stowage.JobState{stowage.JobFinished, stowage.JobFailed, stowage.JobFinished, stowage.JobCancelled}
	bulk(t, d, n, `INSERT INTO jobs (id, kind, state, project_id, user_id, priority, ready_at, params, created_at, updated_at, started_at, entity_id, schedule_id, host) VALUES `,
		func(i int) []any {
			return []any{uuid.NewString(), stowage.JobBackup, states[i%4], fmt.Sprint("p", i%10), "u", 50, 0, "{}", i, i, i, fmt.Sprint("v", i%100), fmt.Sprint("s", i%7), fmt.Sprint("m", i%5)}
		})
}

func fillEntities(t testing.TB, d *DB, n int) {
	t.Helper()
	bulk(t, d, n, `INSERT INTO entities (id, kind, project_id, name, words, host, present, listed, attributes, seen, updated_at) VALUES `,
		func(i int) []any {
			return []any{fmt.Sprint("v", i), stowage.EntityServer, fmt.Sprint("p", i%10), fmt.Sprintf("web-%d", i*7919%n), "nova", "c", 1, 1, `{"zone":"nova"}`, 1, 1}
		})
}

func bulk(t testing.TB, d *DB, n int, insert string, row func(int) []any) {
	t.Helper()
	for at := 0; at < n; {
		var values []string
		var args []any
		for ; at < n && len(values) < 500; at++ {
			r := row(at)
			marks, _ := markers(r)
			values, args = append(values, "("+marks+")"), append(args, r...)
		}
		if _, err := d.sql.ExecContext(context.Background(), insert+strings.Join(values, ","), args...); err != nil {
			t.Fatal(err)
		}
	}
}

// What pages cost with 10,000 entities and 100,000 tasks.
func BenchmarkTasks(b *testing.B) {
	d, err := Open(Options{Dialect: SQLite, Path: b.TempDir() + "/bench.sqlite"})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Sync(context.Background()); err != nil {
		b.Fatal(err)
	}
	fillJobs(b, d, 100_000)
	fillEntities(b, d, 10_000)
	for name, c := range map[string]struct {
		scope Scope
		f     TaskFilter
		p     Page
	}{
		"first page":           {p: Page{Limit: 20}},
		"last page":            {p: Page{Limit: 20, Offset: 99_900}},
		"last of a project":    {scope: Scope{"p3"}, p: Page{Limit: 20, Offset: 9_900}},
		"failed":               {f: TaskFilter{States: []stowage.JobState{stowage.JobFailed}}, p: Page{Limit: 20, Offset: 20_000}},
		"by state":             {p: Page{Limit: 20, Offset: 50_000, Order: "state"}},
		"by start":             {p: Page{Limit: 20, Offset: 50_000, Order: "started"}},
		"of an entity":         {f: TaskFilter{Entities: []string{"v7"}}, p: Page{Limit: 20}},
		"of text in its names": {p: Page{Limit: 20, Filter: "web-79"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if page, _, err := d.Tasks(context.Background(), c.scope, c.f, c.p); err != nil || len(page) == 0 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
	for name, p := range map[string]Page{
		"entities: first page": {Limit: 20}, "entities: last page": {Limit: 20, Offset: 9_900},
		"entities: text": {Limit: 20, Filter: "web-79"}, "entities: down by name": {Limit: 20, Order: "name", Descending: true},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if page, _, err := d.Entities(context.Background(), Scope{}, EntityFilter{}, p); err != nil || len(page) == 0 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
}
