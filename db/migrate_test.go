package db

import (
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
