package db

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// A page of a tenant's list is a walk along one index, wherever it begins and
// however many backups there are.
func TestAPageWalksAlongAnIndex(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fill(t, d, 3000)
		explain := "EXPLAIN QUERY PLAN "
		if d.dialect == MySQL {
			explain = "EXPLAIN FORMAT=JSON "
		}
		rows, err := d.sql.QueryContext(t.Context(), explain+"SELECT "+backupColumns+
			" FROM backups WHERE id > ? AND project_id = ? ORDER BY id LIMIT ?", 1500, "p7", 100)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		plan := ""
		for rows.Next() {
			columns, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if b, ok := v.([]byte); ok {
					v = string(b)
				}
				plan += fmt.Sprint(v) + " "
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, "backups_project") || strings.Contains(strings.ToLower(plan), "temp b-tree") || strings.Contains(plan, "filesort") {
			t.Errorf("the plan is %s", plan)
		}
	})
}

// fill writes backups of ten projects, the plain way: only the list counts.
func fill(t testing.TB, d *DB, n int) {
	t.Helper()
	for at := 0; at < n; {
		var values []string
		var args []any
		for ; at < n && len(values) < 500; at++ {
			values = append(values, "(?,?,'u','','','c','available','v','{}',1,0,0)")
			args = append(args, uuid.NewString(), fmt.Sprintf("p%d", at%10))
		}
		_, err := d.sql.ExecContext(context.Background(), `INSERT INTO backups (uuid, project_id, user_id, name, description,
			container, status, volume_id, volume, size_gib, created_at, updated_at) VALUES `+strings.Join(values, ","), args...)
		if err != nil {
			t.Fatal(err)
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
