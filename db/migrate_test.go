package db

import (
	"fmt"
	"testing"
)

// A database of the first version becomes one of this version, and keeps what
// is in it.
func TestAnUpgradeKeepsWhatIsThere(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		p := must(d.provider())(t)
		must(p.DownTo(t.Context(), 1))(t)
		const insert = `INSERT INTO backups (uuid, project_id, user_id, name, description, container, status, fail_reason, volume_id, volume,
			size_gib, manifest, created_at, updated_at) VALUES (?, 'p', 'u', 'n', '', 'c', 'available', '', '9', '{"id":"9"}', 1, ?, 5, 5)`
		for uuid, manifest := range map[string]string{
			"11111111-1111-4111-8111-111111111111": "volume_9/backup_x/00000001/manifest",
			"22222222-2222-4222-8222-222222222222": "",
		} {
			must(d.sql.ExecContext(t.Context(), insert, uuid, manifest))(t)
		}
		must(d.Sync(t.Context()))(t)
		if d.dialect == MySQL { // it commits each statement by itself: the program may die behind any of them
			must(d.sql.ExecContext(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 1`))(t)
			must(d.Sync(t.Context()))(t)
		}
		for uuid, damaged := range map[string]bool{
			"11111111-1111-4111-8111-111111111111": true, // in a format nobody reads any more
			"22222222-2222-4222-8222-222222222222": false,
		} {
			b := must(d.BackupByUUID(t.Context(), Scope{}, uuid))(t)
			if b.Name != "n" || b.Damaged != "" != damaged || !b.VerifiedAt.IsZero() {
				t.Errorf("it became %+v", b)
			}
		}
		must(d.Lineage(t.Context(), "p", "9", "c"))(t)
	})
}

// Jobs that were written before tasks were shown are shown, under the volume
// they were about; verifications are nobody's task.
func TestAnUpgradeShowsOldJobsAsTasks(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must(must(d.provider())(t).DownTo(t.Context(), 2))(t)
		exec := func(q string, args ...any) {
			t.Helper()
			must(d.sql.ExecContext(t.Context(), q, args...))(t)
		}
		exec(`INSERT INTO backups (id, uuid, project_id, user_id, name, description, container, status, volume_id, volume, size_gib, created_at, updated_at)
			VALUES (7, '11111111-1111-4111-8111-111111111111', 'p', 'u', 'n', '', 'c', 'available', '9', '{"id":"9"}', 1, 5, 5)`)
		const job = `INSERT INTO jobs (id, kind, state, project_id, user_id, backup_id, volume_id, priority, ready_at, params, created_at, updated_at)
			VALUES (?, ?, 'finished', 'p', 'u', ?, ?, 50, 0, '{}', 5, 5)`
		exec(job, "11111111-0000-4000-8000-000000000001", "restore", 7, "10")
		exec(job, "11111111-0000-4000-8000-000000000002", "verify", 7, "")
		exec(job, "11111111-0000-4000-8000-000000000003", "backup", 99, "11")
		must(d.Sync(t.Context()))(t)
		if d.dialect == MySQL {
			exec(`DELETE FROM goose_db_version WHERE version_id > 2`)
			must(d.Sync(t.Context()))(t)
		}
		rows := must(d.sql.QueryContext(t.Context(), `SELECT kind, entity_id, hidden FROM jobs ORDER BY seq`))(t)
		got := must(collect(rows, "list", func(row rower) (string, error) {
			var kind, entity, hidden string
			err := row.Scan(&kind, &entity, &hidden)
			return kind + " " + entity + " " + hidden, err
		}))(t)
		if want := "[restore 9 0 verify 9 1 backup 11 0]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Jobs that ended before what they moved was noted have it noted, as far as their
// backups are still there.
func TestAnUpgradeNotesWhatOldJobsMoved(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must(must(d.provider())(t).DownTo(t.Context(), 6))(t)
		exec := func(q string, args ...any) {
			t.Helper()
			must(d.sql.ExecContext(t.Context(), q, args...))(t)
		}
		exec(`INSERT INTO backups (id, uuid, project_id, user_id, name, description, container, status, volume_id, volume, size_gib, volume_bytes, stored_bytes, created_at, updated_at)
			VALUES (7, '11111111-1111-4111-8111-111111111111', 'p', 'u', 'n', '', 'c', 'available', '9', '{"id":"9"}', 1, 1000, 100, 5, 5)`)
		const job = `INSERT INTO jobs (id, kind, state, project_id, user_id, backup_id, volume_id, priority, ready_at, params, created_at, updated_at, finished_at)
			VALUES (?, ?, ?, 'p', 'u', ?, '9', 50, 0, '{}', 5, 5, 5)`
		exec(job, "11111111-0000-4000-8000-000000000001", "backup", "finished", 7)
		exec(job, "11111111-0000-4000-8000-000000000002", "restore", "finished", 7)
		exec(job, "11111111-0000-4000-8000-000000000003", "restore", "failed", 7)
		exec(job, "11111111-0000-4000-8000-000000000004", "verify", "finished", 7)
		exec(job, "11111111-0000-4000-8000-000000000005", "backup", "finished", 99)
		must(d.Sync(t.Context()))(t)
		if d.dialect == MySQL {
			exec(`DELETE FROM goose_db_version WHERE version_id > 6`)
			must(d.Sync(t.Context()))(t)
		}
		rows := must(d.sql.QueryContext(t.Context(), `SELECT kind, container, volume_bytes, stored_bytes FROM jobs ORDER BY seq`))(t)
		got := must(collect(rows, "list", func(row rower) (string, error) {
			var f [4]string
			err := row.Scan(&f[0], &f[1], &f[2], &f[3])
			return fmt.Sprint(f), err
		}))(t)
		if want := "[[backup c 1000 100] [restore c 1000 0] [restore c 0 0] [verify  0 0] [backup  0 0]]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
