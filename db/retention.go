package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// PolicyVolumes gives volumes behind an id that a policy has backups of, in order.
func (d *DB) PolicyVolumes(ctx context.Context, policy, after string, limit int) ([]string, error) {
	return query(ctx, d, "list volumes of a policy", scanText,
		`SELECT DISTINCT volume_id FROM backups WHERE policy_id = ? AND volume_id > ? ORDER BY volume_id LIMIT ?`, policy, after, limit)
}

// PolicyBackups gives the backups that a policy made of a volume.
func (d *DB) PolicyBackups(ctx context.Context, policy, volume string) ([]stowage.Backup, error) {
	return query(ctx, d, "list backups of a policy", scanBackup,
		`SELECT `+backupColumns+` FROM backups WHERE policy_id = ? AND volume_id = ? ORDER BY id`, policy, volume)
}

// MarkedBackups gives backups of a project behind an id that no policy made, and
// that are to be removed all the same.
func (d *DB) MarkedBackups(ctx context.Context, projectID string, after int64, limit int) ([]stowage.Backup, error) {
	return query(ctx, d, "list marked backups", scanBackup, `SELECT `+backupColumns+` FROM backups
		WHERE retention_mark = ? AND policy_id = '' AND project_id = ? AND id > ? ORDER BY id LIMIT ?`, stowage.MarkRemove, projectID, after, limit)
}

// MarkBackups writes marks on backups of the scope, with jobs that clean up where
// there are any, all or nothing: NotFound if one of the backups is not there, or is to
// stay and is being deleted, or the server's that it is part of is.
func (d *DB) MarkBackups(ctx context.Context, scope Scope, marks []stowage.Backup, jobs []stowage.Job, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for _, b := range marks {
			w := HistoryFilter{UUID: b.UUID}.where(scope, Page{})
			if b.Mark != stowage.MarkRemove { // it would be no use
				w.and("status <> ?", stowage.BackupDeleting)
			}
			res, err := tx.ExecContext(ctx, `UPDATE backups SET retention_mark = ?, retain_until = ?, updated_at = ? WHERE `+w.String(),
				append([]any{b.Mark, micros(b.RetainUntil), micros(now)}, w.args...)...)
			if err != nil {
				return fmt.Errorf("mark backup %s: %w", b.UUID, err)
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return stowage.Wrap(stowage.NotFound, err, "Backup %.64s could not be found.", b.UUID)
			}
			if b.SetID == 0 || b.Mark == stowage.MarkRemove {
				continue
			}
			if err := holdWhole(ctx, tx, b.ID, now); stowage.CodeOf(err) == stowage.Conflict {
				return stowage.Wrap(stowage.NotFound, err, "Backup %.64s could not be found.", b.UUID)
			} else if err != nil {
				return err
			}
		}
		for _, j := range jobs {
			if err := insertJob(ctx, tx, &j); err != nil {
				return err
			}
		}
		return nil
	})
}
