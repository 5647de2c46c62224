package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// PinReach writes the set of the parent as that of the job's backup, which is
// being made: from now on nothing of it becomes free, even if the parent goes.
// A set that an earlier attempt wrote is replaced. It is guarded by the
// lineage's version, by the job running under its fence, and by the parent
// being one that can be restored (available, restoring): Conflict otherwise,
// and nothing has changed.
//
// Once it is done, the same call gives Conflict, since the version has moved.
// Whoever lost the answer plans again from Reaches and pins again, which
// replaces the set by itself.
func (d *DB) PinReach(ctx context.Context, l Lineage, j stowage.Job, parentID int64, objects []byte) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := holdJob(ctx, tx, j); err != nil {
			return err
		}
		if err := moveLineage(ctx, tx, l); err != nil {
			return err
		}
		if err := holdBackup(ctx, tx, j.BackupID, stowage.BackupCreating); err != nil {
			return err
		}
		if _, err := inLineage(ctx, tx, j.BackupID, l); err != nil {
			return err
		}
		// To read the parent is enough: whoever takes its set away moves the version.
		status, err := inLineage(ctx, tx, parentID, l)
		if err != nil {
			return err
		}
		if status != stowage.BackupAvailable && status != stowage.BackupRestoring {
			return stowage.Errorf(stowage.Conflict, "the parent, backup %d, is %s", parentID, status)
		}
		return putReach(ctx, tx, j.BackupID, l, objects)
	})
}

// ReachMove is a change of the set of the backup whose job ends, and what
// becomes free by it.
type ReachMove struct {
	Lineage Lineage   // in the version the change was computed from
	Objects []byte    // the set from now on (it may be empty); nil: there is none any more
	Garbage []Garbage // is written down in the same transaction
}

func moveReach(ctx context.Context, tx *sql.Tx, backupID int64, m ReachMove) error {
	if err := moveLineage(ctx, tx, m.Lineage); err != nil {
		return err
	}
	if _, err := inLineage(ctx, tx, backupID, m.Lineage); err != nil {
		return err
	}
	change := putReach
	if m.Objects == nil {
		change = dropReach
	}
	if err := change(ctx, tx, backupID, m.Lineage, m.Objects); err != nil {
		return err
	}
	return insertGarbage(ctx, tx, m.Garbage)
}

// Release takes away the set of the job's backup, which is being deleted, and
// writes down what became free. It is guarded by the lineage's version, by the
// job running under its fence and by the backup being deleted: Conflict
// otherwise, and nothing has changed. A backup that has no set is no error.
//
// Once it is done, the same call gives Conflict, since the version has moved.
// Whoever lost the answer looks at Reaches: without a set of the backup there,
// it is done, and GarbageOf has what was written down.
func (d *DB) Release(ctx context.Context, l Lineage, j stowage.Job, garbage []Garbage, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := holdJob(ctx, tx, j); err != nil {
			return err
		}
		if err := holdBackup(ctx, tx, j.BackupID, stowage.BackupDeleting); err != nil {
			return err
		}
		return moveReach(ctx, tx, j.BackupID, ReachMove{Lineage: l, Garbage: garbage})
	})
}

// holdJob makes sure that the job runs under the fence the caller knows. It
// writes (a microsecond, so that something changes), since another Galera node
// notices what is written and not what is read.
func holdJob(ctx context.Context, tx *sql.Tx, j stowage.Job) error {
	res, err := tx.ExecContext(ctx, `UPDATE jobs SET updated_at = updated_at + 1 WHERE id = ? AND state = ? AND fence = ?`,
		j.ID, stowage.JobRunning, j.Fence)
	if err != nil {
		return fmt.Errorf("hold job %s: %w", j.ID, err)
	}
	return moved(res, "hold job "+j.ID)
}

// holdBackup makes sure of a backup's status, as holdJob does of a job.
func holdBackup(ctx context.Context, tx *sql.Tx, id int64, status stowage.BackupStatus) error {
	what := fmt.Sprintf("hold backup %d, %s", id, status)
	res, err := tx.ExecContext(ctx, `UPDATE backups SET updated_at = updated_at + 1 WHERE id = ? AND status = ?`, id, status)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return moved(res, what)
}

func putReach(ctx context.Context, tx *sql.Tx, backupID int64, l Lineage, objects []byte) error {
	_, err := tx.ExecContext(ctx, `REPLACE INTO reaches (backup_id, lineage_id, objects) VALUES (?,?,?)`, backupID, l.ID, notNull(objects))
	if err != nil {
		return fmt.Errorf("write the set of backup %d: %w", backupID, err)
	}
	return nil
}

func dropReach(ctx context.Context, tx *sql.Tx, backupID int64, l Lineage, _ []byte) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM reaches WHERE backup_id = ? AND lineage_id = ?`, backupID, l.ID)
	if err != nil {
		return fmt.Errorf("take away the set of backup %d: %w", backupID, err)
	}
	return nil
}

// notNull is b for a column that must have a value: no bytes are a value, too.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
