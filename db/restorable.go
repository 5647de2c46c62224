package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
)

// How many backups of it can be restored is written on an entity by the transaction
// that makes it true, so lists of entities need not look for them. It is counted up and
// down, not set: whoever moves another backup of the entity on another Galera node
// writes the same row, and one of the two is tried again.

// restorableOf counts the backups of the entity whose id follows, and a bracket.
const restorableOf = `(SELECT COUNT(*) FROM backups WHERE backups.status IN ('available', 'restoring') AND backups.volume_id = `

func counts(status stowage.BackupStatus) int {
	if status == stowage.BackupAvailable || status == stowage.BackupRestoring {
		return 1
	}
	return 0
}

// countMoved notes on the entity of a backup that the backup moved; from or to may be
// empty, for one that is made or goes. An entity that no look has found yet is counted
// when one does.
func countMoved(ctx context.Context, tx *sql.Tx, backup int64, from, to stowage.BackupStatus) error {
	change := counts(to) - counts(from)
	if change == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE entities SET restorable = restorable + ? WHERE id = (SELECT volume_id FROM backups WHERE id = ?)`, change, backup)
	if err != nil {
		return fmt.Errorf("count backup %d: %w", backup, err)
	}
	return nil
}

// recount puts right what is counted wrong on the entities: an operator changed a
// status by hand, or one Galera node moved a backup while another found its entity for
// the first time. Most times nothing is, so that is looked for without locks.
func (d *DB) recount(ctx context.Context, ids []string) error {
	marks, args := markers(ids)
	wrong, err := query(ctx, d, "look for wrong counts of backups", scanText, `SELECT id FROM entities WHERE id IN (`+marks+`) AND restorable <> `+restorableOf+`entities.id)`, args...)
	if err != nil || len(wrong) == 0 {
		return err
	}
	slices.Sort(wrong)
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for _, id := range wrong {
			if _, err := tx.ExecContext(ctx, `UPDATE entities SET restorable = `+restorableOf+`entities.id) WHERE id = ?`, id); err != nil {
				return fmt.Errorf("count the backups of entity %s: %w", id, err)
			}
		}
		return nil
	})
}
