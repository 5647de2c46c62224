package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

const nextToVerifyQuery = `SELECT ` + backupColumns + ` FROM backups WHERE status = '` + string(stowage.BackupAvailable) + `'
	AND kind = '' AND verified_at < ? ORDER BY verified_at, id LIMIT ?`

// NextToVerify gives available backups that were verified last before the given
// time, or never: the least recently verified first.
func (d *DB) NextToVerify(ctx context.Context, before time.Time, limit int) ([]stowage.Backup, error) {
	return query(ctx, d, "list backups to verify", scanBackup, nextToVerifyQuery, micros(before), limit)
}

// NoteVerified writes that a backup was looked at, and what was found: empty if
// it is as it was written. NotFound for one that is gone.
func (d *DB) NoteVerified(ctx context.Context, backupID int64, damaged string, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE backups SET damaged_reason = ?, verified_at = ? WHERE id = ?`,
			clip(damaged, 1024), micros(now), backupID)
		if err != nil {
			return fmt.Errorf("note the verification of backup %d: %w", backupID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return stowage.Errorf(stowage.NotFound, "Backup %d could not be found.", backupID)
	})
}

// AddJob writes a job for an available backup that leaves its status alone.
// Conflict for a backup in another status, and while a job of the same kind
// for it has not ended: managers that find it due at once write one job.
func (d *DB) AddJob(ctx context.Context, j *stowage.Job) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := holdBackup(ctx, tx, j.BackupID, stowage.BackupAvailable); err != nil {
			return err
		}
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs WHERE backup_id = ? AND kind = ? AND state IN (?, ?)`,
			j.BackupID, j.Kind, stowage.JobQueued, stowage.JobRunning).Scan(&n)
		if err != nil {
			return fmt.Errorf("look for a job to %s backup %d: %w", j.Kind, j.BackupID, err)
		}
		if n > 0 {
			return stowage.Errorf(stowage.Conflict, "There is a job to %s backup %d already.", j.Kind, j.BackupID)
		}
		return insertJob(ctx, tx, j)
	})
}
