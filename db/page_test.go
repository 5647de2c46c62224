package db

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// What is asked often is a walk along one index, wherever it begins and however
// many rows there are: nothing is sorted, and no table is read from end to end.
func TestWhatIsAskedOftenWalksAlongAnIndex(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fill(t, d, 3000)
		fillRest(t, d, 3000)
		if d.dialect == MySQL {
			if _, err := d.sql.ExecContext(t.Context(), "ANALYZE TABLE backups, lineages, reaches, garbage, bases"); err != nil {
				t.Fatal(err)
			}
		}
		unneeded, args := unneededBases([]string{"b3"}, 100)
		for _, q := range []struct {
			what, query, index string
			args               []any
		}{
			{"a page of a tenant's list", "SELECT " + backupColumns + " FROM backups WHERE id > ? AND project_id = ? ORDER BY id LIMIT ?",
				"backups_project", []any{1500, "p7", 100}},
			{"the parent", parentQuery, "backups_volume", []any{"v3", "p3", "c"}},
			{"what to verify next", nextToVerifyQuery, "backups_verified", []any{100, 10}},
			{"a lineage's sets", reachesQuery, "reaches_lineage", []any{7}},
			{"garbage that is ready", readyGarbageQuery, "garbage_ready", []any{1000, 10}},
			{"unneeded bases", unneeded, "bases_backend", args},
		} {
			plan := planOf(t, d, q.query, q.args...)
			low := strings.ToLower(plan)
			if !strings.Contains(plan, q.index) || strings.Contains(low, "temp b-tree") || strings.Contains(low, "filesort") {
				t.Errorf("%s: the plan is %s", q.what, plan)
			}
		}
	})
}

// planOf gives how the database would go about a query.
func planOf(t *testing.T, d *DB, q string, args ...any) string {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if d.dialect == MySQL {
		explain = "EXPLAIN FORMAT=JSON "
	}
	rows, err := d.sql.QueryContext(t.Context(), explain+q, args...)
	if err != nil {
		t.Fatal(err)
	}
	plan := ""
	_, err = collect(rows, "explain", func(row rower) (int, error) {
		columns, err := rows.Columns()
		if err != nil {
			return 0, err
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		err = row.Scan(into...)
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			plan += fmt.Sprint(v) + " "
		}
		return 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// fill writes backups of ten projects, the plain way: only the list counts.
func fill(t testing.TB, d *DB, n int) {
	t.Helper()
	for at := 0; at < n; {
		var values []string
		var args []any
		for ; at < n && len(values) < 500; at++ {
			values = append(values, "(?,?,'u','','','c','available',?,'{}',1,'root',?,?,0,0)")
			args = append(args, uuid.NewString(), fmt.Sprintf("p%d", at%10), fmt.Sprintf("v%d", at%100), at, at)
		}
		_, err := d.sql.ExecContext(context.Background(), `INSERT INTO backups (uuid, project_id, user_id, name, description,
			container, status, volume_id, volume, size_gib, manifest, verified_at, snapshot_at, created_at, updated_at) VALUES `+strings.Join(values, ","), args...)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fillRest writes as many sets, garbage and bases.
func fillRest(t testing.TB, d *DB, n int) {
	t.Helper()
	for _, table := range []struct {
		into string
		row  func(at int) []any
	}{
		{"lineages (project_id, volume_id, container, version)", func(at int) []any { return []any{"p", fmt.Sprint("v", at), "c", 1} }},
		{"reaches (backup_id, lineage_id, objects)", func(at int) []any { return []any{at + 1, at%100 + 1, []byte("x")} }},
		{"garbage (project_id, container, volume_id, backup_id, objects, name_prefix, keep_prefix, ready_at)",
			func(at int) []any { return []any{"p", "c", "v", at, []byte("x"), "", "", at} }},
		{"bases (backend, volume_id, replaced, backup_id, backup_uuid, snapshot, made_at)",
			func(at int) []any { return []any{fmt.Sprint("b", at%10), fmt.Sprint("v", at), 0, at + 1, "", "{}", 0} }},
	} {
		for at := 0; at < n; {
			var values []string
			var args []any
			for ; at < n && len(values) < 500; at++ {
				row := table.row(at)
				marks, _ := markers(row)
				values, args = append(values, "("+marks+")"), append(args, row...)
			}
			if _, err := d.sql.ExecContext(context.Background(), "INSERT INTO "+table.into+" VALUES "+strings.Join(values, ","), args...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The cost of a page at the beginning and at the end of a million backups, a
// hundred thousand of them the tenant's.
func BenchmarkPage(b *testing.B) {
	d, err := Open(Options{Dialect: SQLite, Path: b.TempDir() + "/bench.sqlite"})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Sync(context.Background()); err != nil {
		b.Fatal(err)
	}
	fill(b, d, 1_000_000)
	for name, after := range map[string]int64{"first": 0, "last": 980_000} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := d.Backups(context.Background(), Scope{"p3"}, BackupFilter{}, after, 1000)
				if err != nil || len(page) != 1000 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
}
