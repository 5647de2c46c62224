package db

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// Whatever end a page is reached from, all pages together are the list, in its
// order, and a page behind the end is empty.
func TestPagesFromEitherEndAreTheList(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fillJobs(t, d, 47)
		fillEntities(t, d, 47)
		fill(t, d, 47)
		ctx := context.Background()
		lists := map[string]func(Page) ([]string, error){
			"tasks": func(p Page) (got []string, err error) {
				list, _, err := d.Tasks(ctx, Scope{}, TaskFilter{}, p)
				for _, j := range list {
					got = append(got, j.ID)
				}
				return got, err
			},
			"entities": func(p Page) (got []string, err error) {
				list, _, err := d.Entities(ctx, Scope{}, EntityFilter{}, p)
				for _, e := range list {
					got = append(got, e.ID)
				}
				return got, err
			},
			"backups": func(p Page) (got []string, err error) {
				list, _, err := d.History(ctx, Scope{}, HistoryFilter{Alone: true}, p)
				for _, b := range list {
					got = append(got, b.UUID)
				}
				return got, err
			},
		}
		for what, list := range lists {
			for _, order := range []string{"", "name", "state", "present", "size", "started"} {
				for _, down := range []bool{false, true} {
					whole, err := list(Page{Limit: 1000, Order: order, Descending: down})
					if err != nil || len(whole) != 47 {
						t.Fatalf("%s by %q: %d, %v", what, order, len(whole), err)
					}
					var parts []string
					for at := 0; at < 60; at += 10 {
						part, err := list(Page{Offset: at, Limit: 10, Order: order, Descending: down})
						if err != nil {
							t.Fatal(err)
						}
						parts = append(parts, part...)
					}
					if !slices.Equal(whole, parts) {
						t.Errorf("%s by %q, %v: %v in parts, %v in one", what, order, down, parts, whole)
					}
				}
			}
		}
	})
}

// A list of backups is filtered by what stands in the index that it walks along:
// no row is read but those of the page.
func TestPagesOfBackupsReadAnIndexAlone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fill(t, d, 3000)
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE backups"))(t)
		}
		yes := true
		for what, c := range map[string]struct {
			scope Scope
			f     HistoryFilter
			p     Page
			index string
		}{
			"all":          {index: "backups_set"},
			"of a project": {scope: Scope{"p3"}, index: "backups_points"},
			"good ones":    {f: HistoryFilter{Statuses: []stowage.BackupStatus{stowage.BackupAvailable}}, index: "backups_set"},
			"increments":   {f: HistoryFilter{Incremental: &yes}, index: "backups_set"},
			"of a name":    {p: Page{Name: "web"}, index: "backups_"},
			"by size":      {p: Page{Order: "size"}, index: "backups_sized"},
			"by name":      {p: Page{Order: "name"}, index: "backups_named"},
		} {
			c.f.Alone, c.p.Limit, c.p.Offset = true, 20, 100
			q, args := historyQuery(c.f.where(c.scope, c.p), c.p, 3000)
			inner := q[strings.Index(q, "(SELECT")+1 : strings.Index(q, ") page")]
			plan := planOf(t, d, inner, args...)
			low := strings.ToLower(plan)
			covering := strings.Contains(low, "covering index "+c.index) || strings.Contains(low, `"using_index": true`) && strings.Contains(plan, c.index)
			if !covering || strings.Contains(low, "temp b-tree") || strings.Contains(low, "filesort") {
				t.Errorf("%s: the plan is %s", what, plan)
			}
		}
	})
}

func TestFreeTextFindsBackupsByAllThatIsSaidOfThem(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fill(t, d, 20)
		must(d.sql.ExecContext(t.Context(), "UPDATE backups SET description = 'before the Upgrade' WHERE id = 3"))(t)
		must(d.sql.ExecContext(t.Context(), "UPDATE backups SET name = 'upgrades' WHERE id = 7"))(t)
		list, _, err := d.History(t.Context(), Scope{}, HistoryFilter{Alone: true}, Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{"upgrade": 2, "before": 1, "none": 0, list[4].UUID: 1, "v5": 1} {
			if _, n, err := d.History(t.Context(), Scope{}, HistoryFilter{Alone: true}, Page{Limit: 100, Filter: text}); err != nil || n != want {
				t.Errorf("%s finds %d, want %d: %v", text, n, want, fmt.Sprint(err))
			}
		}
		if _, n, err := d.History(t.Context(), Scope{}, HistoryFilter{Project: "p3", Container: "c"}, Page{Limit: 100}); err != nil || n != 2 {
			t.Errorf("of one project's container: %d, %v", n, err)
		}
	})
}
