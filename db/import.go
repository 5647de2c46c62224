package db

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/stowage/stowage"
)

// ImportBackup writes an available backup that was found in a container, with
// its UUID and its set of objects, both or neither, and sets its id. Conflict
// when the UUID is there already, also after a lost answer: BackupByUUID tells.
func (d *DB) ImportBackup(ctx context.Context, b *stowage.Backup, objects []byte) error {
	l, err := d.Lineage(ctx, b.ProjectID, b.Volume.ID, b.Container)
	if err != nil {
		return err
	}
	row := *b
	row.Status = stowage.BackupAvailable
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		// Whatever the version is: a set that is added makes nothing free, but
		// those who plan must see it.
		res, err := tx.ExecContext(ctx, `UPDATE lineages SET version = version + 1 WHERE id = ?`, l.ID)
		if err != nil {
			return fmt.Errorf("move lineage %d: %w", l.ID, err)
		}
		if err := moved(res, fmt.Sprintf("move lineage %d", l.ID)); err != nil {
			return err
		}
		if err := insertBackup(ctx, tx, &row); err != nil {
			return err
		}
		return putReach(ctx, tx, row.ID, l, objects)
	})
	if duplicate(err) {
		return stowage.Errorf(stowage.Conflict, "Backup %s is there already.", b.UUID)
	}
	if err != nil {
		return err
	}
	*b = row
	return nil
}

// ReplaceReaches writes sets of backups that have one anew. It is guarded by the
// lineage's version, as all changes of sets are: Conflict otherwise, also when
// one of the backups has no set any more, and nothing has changed.
func (d *DB) ReplaceReaches(ctx context.Context, l Lineage, sets []Reach) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := moveLineage(ctx, tx, l); err != nil {
			return err
		}
		for _, r := range sets {
			res, err := tx.ExecContext(ctx, `DELETE FROM reaches WHERE backup_id = ? AND lineage_id = ?`, r.BackupID, l.ID)
			if err != nil {
				return fmt.Errorf("take away the set of backup %d: %w", r.BackupID, err)
			}
			if err := moved(res, fmt.Sprintf("replace the set of backup %d", r.BackupID)); err != nil {
				return err
			}
			if err := putReach(ctx, tx, r.BackupID, l, r.Objects); err != nil {
				return err
			}
		}
		return nil
	})
}
