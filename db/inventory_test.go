package db

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

func entity(id, project string, change func(*stowage.Entity)) stowage.Entity {
	e := stowage.Entity{
		ID: id, Kind: stowage.EntityVolume, ProjectID: project, Name: "name of " + id, Present: true, Listed: true,
		Is: stowage.EntityDetails{Zone: "nova", SizeGiB: 3, Tags: []string{"gold"}, Metadata: map[string]string{"k": "é"}, Created: noon},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func entityIDs(t *testing.T, d *DB, scope Scope, f EntityFilter, p Page) string {
	t.Helper()
	if p.Limit == 0 {
		p.Limit = 100
	}
	list, total, err := d.Entities(t.Context(), scope, f, p)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range list {
		out = append(out, e.ID)
	}
	return fmt.Sprint(out, total)
}

func TestALookWritesWhatChanged(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		one := entity("v1", "p", nil)
		found := func(look int64, at time.Time, list ...stowage.Entity) {
			t.Helper()
			if err := d.Found(t.Context(), look, list, at); err != nil {
				t.Fatal(err)
			}
		}
		found(1, noon, one, entity("v2", "p", nil))
		got := must(d.Entity(t.Context(), Scope{"p"}, "v1"))(t)
		if one.UpdatedAt = noon; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", one) {
			t.Errorf("got  %+v\nwant %+v", got, one)
		}
		found(2, noon.Add(time.Hour), one)
		if got := must(d.Entity(t.Context(), Scope{}, "v1"))(t); !got.UpdatedAt.Equal(noon) {
			t.Error("it was written though nothing changed")
		}
		one.Name = "another"
		found(3, noon.Add(time.Hour), one)
		if got := must(d.Entity(t.Context(), Scope{}, "v1"))(t); got.Name != "another" || got.UpdatedAt.Equal(noon) {
			t.Errorf("the change was not written: %+v", got)
		}
		// v2 was not seen since, and has no backups; an earlier look that ends late
		// changes nothing of what a later one has seen.
		found(2, noon, one)
		if err := goneUnseen(t, d, 3, stowage.EntityVolume); err != nil {
			t.Fatal(err)
		}
		if got := entityIDs(t, d, Scope{}, EntityFilter{}, Page{}); got != "[v1] 1" {
			t.Errorf("left: %s", got)
		}
		_, err := d.Entity(t.Context(), Scope{"q"}, "v1")
		wantCode(t, err, stowage.NotFound)
		_, err = d.Entity(t.Context(), Scope{}, "名")
		wantCode(t, err, stowage.NotFound)
	})
}

func TestWhatIsGoneStaysWithItsBackups(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		created(t, d, func(b *stowage.Backup, _ *stowage.Job) { b.Volume.ID = "v1"; b.Status = stowage.BackupAvailable })
		server := entity("s1", "p", func(e *stowage.Entity) { e.Kind = stowage.EntityServer })
		err := d.Found(t.Context(), 1, []stowage.Entity{entity("v1", "p", func(e *stowage.Entity) { e.ServerID, e.Listed = "s1", false }), entity("v2", "p", nil), server}, noon)
		if err != nil {
			t.Fatal(err)
		}
		if disks := must(d.Disks(t.Context(), "s1"))(t); len(disks) != 1 || disks[0].ID != "v1" {
			t.Errorf("disks: %v", disks)
		}
		if some := must(d.BackedUp(t.Context(), []string{"v1", "v2"}))(t); len(some) != 1 || !some["v1"] {
			t.Errorf("backed up: %v", some)
		}
		for _, kind := range []stowage.EntityKind{stowage.EntityVolume, stowage.EntityServer} {
			if err := goneUnseen(t, d, 2, kind); err != nil {
				t.Fatal(err)
			}
		}
		gone := false
		if got := entityIDs(t, d, Scope{"p"}, EntityFilter{Present: &gone}, Page{}); got != "[s1 v1] 2" {
			t.Errorf("gone: %s", got)
		}
		latest, full, err := d.LatestBackups(t.Context(), Scope{"p"}, []string{"v1", "v2"})
		if err != nil || len(latest) != 1 || len(full) != 1 {
			t.Errorf("%v, %v, %v", latest, full, err)
		}
		if latest, _, err := d.LatestBackups(t.Context(), Scope{"q"}, []string{"v1"}); err != nil || len(latest) != 0 {
			t.Errorf("another project's: %v, %v", latest, err)
		}
		if n := must(d.ForgetGone(t.Context(), Scope{"q"}))(t); n != 0 {
			t.Errorf("%d forgotten for another project", n)
		}
		if n := must(d.ForgetGone(t.Context(), Scope{"p"}))(t); n != 1 {
			t.Errorf("%d forgotten", n)
		}
		if got := entityIDs(t, d, Scope{}, EntityFilter{}, Page{}); got != "[v1] 1" {
			t.Errorf("left: %s", got)
		}
	})
}

func TestEntitiesAreFilteredAndPaged(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		err := d.Found(t.Context(), 1, []stowage.Entity{
			entity("a", "p", func(e *stowage.Entity) { e.Name = "Zeta" }), entity("b", "q", func(e *stowage.Entity) { e.Name = "alpha_1" }),
			entity("c", "", func(e *stowage.Entity) { e.Name = "beta" }), entity("d", "p", func(e *stowage.Entity) { e.Listed = false }),
			entity("e", "p", func(e *stowage.Entity) { e.Name, e.Is.Tags = "beta", []string{"silver"} }),
		}, noon)
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			scope Scope
			f     EntityFilter
			p     Page
			want  string
		}{
			"of a project":     {scope: Scope{"p"}, want: "[c e a] 3"},
			"by id, down":      {scope: Scope{"p"}, p: Page{Order: "id", Descending: true}, want: "[e c a] 3"},
			"a page":           {scope: Scope{"p"}, p: Page{Offset: 1, Limit: 1}, want: "[e] 3"},
			"named":            {p: Page{Name: "BET"}, want: "[c e] 2"},
			"with underscore":  {p: Page{Filter: "_"}, want: "[b] 1"},
			"tagged":           {p: Page{Filter: "silver"}, want: "[e] 1"},
			"by id":            {p: Page{Filter: "a"}, f: EntityFilter{IDs: []string{"a"}}, want: "[a] 1"},
			"by ids":           {f: EntityFilter{IDs: []string{"a", "d", "x"}}, want: "[a] 1"},
			"that cannot be":   {f: EntityFilter{IDs: []string{"名"}}, want: "[] 0"},
			"of text not here": {p: Page{Filter: "名"}, want: "[] 0"},
		} {
			if got := entityIDs(t, d, c.scope, c.f, c.p); got != c.want {
				t.Errorf("%s: %s, want %s", what, got, c.want)
			}
		}
		if names := must(d.EntityNames(t.Context(), []string{"a", "", "a", "名", "x"}))(t); fmt.Sprint(names) != "map[a:Zeta]" {
			t.Errorf("names: %v", names)
		}
	})
}

func TestTheCloudIsLookedAtOnceAtATime(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		ask := func(at, notSince time.Time) (stowage.Job, error) {
			j := stowage.NewInventoryJob(uuid.NewString(), at)
			return j, d.AskInventory(t.Context(), &j, notSince)
		}
		first, err := ask(noon, noon.Add(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = ask(noon, noon.Add(-time.Minute)); stowage.CodeOf(err) != stowage.Conflict {
			t.Errorf("asked twice: %v", err)
		}
		j := stowage.NewInventoryJob(uuid.NewString(), noon)
		if err := d.AskInventory(t.Context(), &j, noon.Add(time.Hour)); err != nil || j.ID != first.ID {
			t.Errorf("one that waits was not as good as another: %v, %v", j.ID, err)
		}
		claimed := must(d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute))(t)
		if err := d.End(t.Context(), claimed, JobEnd{State: stowage.JobFinished, Now: noon}); err != nil || claimed.ID != first.ID {
			t.Fatal(claimed.ID, err)
		}
		if second, err := ask(noon.Add(time.Hour), noon.Add(time.Hour)); err != nil || second.ID == first.ID {
			t.Errorf("the next: %v", err)
		}
		if err := d.DropInventoryJobs(t.Context(), noon.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		left, _, err := d.Tasks(t.Context(), Scope{}, TaskFilter{}, Page{Limit: 9})
		if err != nil || len(left) != 1 || slices.Contains(ids(left), first.ID) {
			t.Errorf("left: %v, %v", ids(left), err)
		}
		wantCode(t, d.SetMark(t.Context(), "x", 5, 6), stowage.Conflict)
		if err := d.SetMark(t.Context(), "x", 0, 6); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.SetMark(t.Context(), "x", 0, 7), stowage.Conflict)
	})
}

// Two managers find the same at the same time: a new server is new to both.
func TestLooksBesideOneAnotherWriteTheSame(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		const size = 30
		for round := range 10 {
			var entities []stowage.Entity
			var flavors []stowage.Resource
			for i := range size {
				id := fmt.Sprintf("%d-%03d", round, i)
				entities = append(entities, entity(id, "p", nil))
				flavors = append(flavors, stowage.Resource{ID: id, Name: id, Shared: true})
			}
			var all sync.WaitGroup
			for i := range 4 {
				look := int64(round*4 + i + 1)
				all.Go(func() {
					if err := d.Found(t.Context(), look, entities, noon); err != nil {
						t.Errorf("look %d: %v", look, err)
					}
					if err := d.SetResources(t.Context(), look, stowage.ResourceFlavor, flavors); err != nil {
						t.Errorf("look %d: %v", look, err)
					}
				})
			}
			all.Wait()
			if got := len(must(d.Resources(t.Context(), Scope{}, stowage.ResourceFlavor))(t)); got != size {
				t.Errorf("%d flavors", got)
			}
		}
		if got := must(d.Unseen(t.Context(), 40, stowage.EntityVolume, "9-", 500))(t); len(got) != 0 {
			t.Errorf("the last look has not the last word on %v", got)
		}
	})
}

func TestResourcesAreThoseOfTheProjectAndTheSharedOnes(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set := func(list ...stowage.Resource) {
			t.Helper()
			if err := d.SetResources(t.Context(), 1, stowage.ResourceNetwork, list); err != nil {
				t.Fatal(err)
			}
		}
		set(stowage.Resource{ID: "old", Name: "old"})
		set(stowage.Resource{ID: "1", Name: "shared", Shared: true}, stowage.Resource{ID: "2", Name: "mine", ProjectID: "p"},
			stowage.Resource{ID: "3", Name: "theirs", ProjectID: "q"}, stowage.Resource{ID: "3", Name: "twice", ProjectID: "q"})
		for scope, want := range map[string]string{"p": "[mine shared]", "": "[mine shared theirs]", "x": "[shared]"} {
			var got []string
			for _, r := range must(d.Resources(t.Context(), Scope{scope}, stowage.ResourceNetwork))(t) {
				got = append(got, r.Name)
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%q: %v, want %v", scope, got, want)
			}
		}
	})
}

// goneUnseen notes that all of a kind that a look did not find is gone.
func goneUnseen(t *testing.T, d *DB, look int64, kind stowage.EntityKind) error {
	t.Helper()
	return d.Gone(t.Context(), look, kind, must(d.Unseen(t.Context(), look, kind, "", 1000))(t), noon)
}

func TestOnlyWhatIsSaidToBeGoneIsGone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must0(t, d.Found(t.Context(), 1, []stowage.Entity{entity("a", "p", nil), entity("b", "p", nil), entity("c", "p", nil), entity("d", "p", nil),
			entity("s", "p", func(e *stowage.Entity) { e.Kind = stowage.EntityServer })}, noon))
		for _, v := range []string{"a", "b", "c", "d"} {
			created(t, d, func(b *stowage.Backup, _ *stowage.Job) { b.Volume.ID = v })
		}
		must0(t, d.Found(t.Context(), 2, []stowage.Entity{entity("a", "p", nil)}, noon))
		unseen := func(after string, limit int) string {
			return fmt.Sprint(must(d.Unseen(t.Context(), 2, stowage.EntityVolume, after, limit))(t))
		}
		if got := unseen("", 2) + unseen("c", 2); got != "[b c][d]" {
			t.Errorf("not found: %s", got)
		}
		must0(t, d.Found(t.Context(), 3, []stowage.Entity{entity("c", "p", nil)}, noon)) // another look finds it
		must0(t, d.Gone(t.Context(), 2, stowage.EntityVolume, []string{"a", "b", "c", "s"}, noon))
		gone := false
		if got := entityIDs(t, d, Scope{"p"}, EntityFilter{Present: &gone}, Page{}); got != "[b] 1" {
			t.Errorf("gone: %s", got)
		}
		if got := unseen("", 9); got != "[d]" {
			t.Errorf("what is gone already is asked for again: %s", got)
		}
	})
}

// What was written last is not always the newest: containers are imported in any order,
// and an export may wait for its window.
func TestTheNewestBackupIsThatOfTheLatestSnapshot(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must0(t, d.Found(t.Context(), 1, []stowage.Entity{entity("v1", "p", nil), entity("v2", "p", nil), entity("v3", "p", nil), entity("v4", "p", nil)}, noon))
		of := func(volume string, status stowage.BackupStatus, incremental bool, ago time.Duration) stowage.Backup {
			b, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
				b.Volume.ID, b.Status, b.Incremental, b.SnapshotAt = volume, status, incremental, noon.Add(-ago)
			})
			return b
		}
		of("v1", stowage.BackupAvailable, false, 2*time.Hour)
		newest := of("v1", stowage.BackupRestoring, true, time.Hour)
		full := of("v1", stowage.BackupAvailable, false, 90*time.Minute)
		of("v1", stowage.BackupAvailable, true, 48*time.Hour)
		of("v1", stowage.BackupError, false, 0)
		of("v2", stowage.BackupAvailable, false, time.Hour)
		twin := of("v2", stowage.BackupAvailable, false, time.Hour)
		of("v3", stowage.BackupError, false, 0)
		of("v4", stowage.BackupAvailable, true, 90*time.Minute) // as late as another's
		latest, fulls, err := d.LatestBackups(t.Context(), Scope{"p"}, []string{"v1", "v2", "v3", "v4"})
		if err != nil || len(latest) != 3 || latest["v1"].ID != newest.ID || latest["v2"].ID != twin.ID {
			t.Errorf("the newest are %v, %v", latest, err)
		}
		if len(fulls) != 2 || fulls["v1"].ID != full.ID || fulls["v2"].ID != twin.ID {
			t.Errorf("the newest full ones are %v", fulls)
		}
	})
}

func TestTheNewestBackupsAreFoundInAnIndexAlone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fill(t, d, 3000)
		fillEntities(t, d, 100)
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE backups, entities"))(t)
		}
		for _, project := range []string{"", "p1"} {
			q, args := latestQuery(Scope{project}, []string{"v1", "v2", "v3"})
			plan := planOf(t, d, q, args...)
			low := strings.ToLower(plan)
			covered := strings.Count(low, "covering index backups_latest") == 2 || strings.Contains(low, `"using_index": true`) && strings.Contains(plan, "backups_latest")
			if !covered || strings.Contains(low, "filesort") || strings.Contains(low, "temp b-tree") {
				t.Errorf("of project %q: the plan is %s", project, plan)
			}
		}
	})
}
