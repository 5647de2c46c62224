package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// Holds are what keeps backups from being deleted, whatever their status. What a server's
// backup consists of holds it, too: it goes with all of it.
type Holds struct {
	Mounts int // that live
	Busy   int // parts that are being made or restored
	Runs   int // of recovery plans that are under way and name it
}

func (h Holds) any() bool { return h != Holds{} }

// holdsOf counts what holds the backups b of the condition: all by keys, and the few
// runs that are under way.
func holdsOf(condition string) string {
	return `SELECT
		(SELECT COUNT(*) FROM backups b JOIN mounts ON mounts.backup_id = b.id WHERE ` + condition + ` AND ` + mountLives + `) +
		(SELECT COUNT(*) FROM backups b JOIN backups part ON part.set_id = b.id JOIN mounts ON mounts.backup_id = part.id WHERE ` + condition + ` AND ` + mountLives + `),
		(SELECT COUNT(*) FROM backups b JOIN backups part ON part.set_id = b.id WHERE ` + condition + ` AND part.status IN ('creating', 'restoring')),
		(SELECT COUNT(DISTINCT jobs.id) FROM jobs JOIN backups b LEFT JOIN backups whole ON whole.id = b.set_id
			WHERE jobs.kind = 'recovery' AND jobs.finished_at = 0 AND jobs.state IN ('queued', 'running') AND ` + condition + `
			AND (INSTR(jobs.params, b.uuid) > 0 OR INSTR(jobs.params, whole.uuid) > 0))`
}

func scanHolds(row rower) (h Holds, err error) { return h, row.Scan(&h.Mounts, &h.Busy, &h.Runs) }

// Holds tells what holds a backup.
func (d *DB) Holds(ctx context.Context, backup int64) (Holds, error) {
	h, err := scanHolds(d.sql.QueryRowContext(ctx, holdsOf("b.id = ?"), backup, backup, backup, backup))
	if err != nil {
		return h, fmt.Errorf("look what holds backup %d: %w", backup, unavailable(err))
	}
	return h, nil
}

// EntityHolds tells what holds the backups of an entity, all together. Those that are part
// of a server's are the server's.
func (d *DB) EntityHolds(ctx context.Context, entity string) (Holds, error) {
	h, err := scanHolds(d.sql.QueryRowContext(ctx, holdsOf("b.volume_id = ? AND b.set_id = 0"), entity, entity, entity, entity))
	if err != nil {
		return h, fmt.Errorf("look what holds backups of %s: %w", entity, unavailable(err))
	}
	return h, nil
}

// pinned is the condition of marks that say that a backup stays.
const pinned = `(retention_mark = 'DONT_TOUCH' OR retention_mark = 'ARCHIVE' AND (retain_until = 0 OR retain_until > ?))`

// notHeld is asked behind the write to the backup's row, which whoever begins to hold it
// writes to, too: Conflict if something holds it. Retention, which goes by a mark, also
// minds the marks of what belongs together: of the whole, and of each part.
func notHeld(ctx context.Context, tx *sql.Tx, m BackupMove) error {
	h, err := scanHolds(tx.QueryRowContext(ctx, holdsOf("b.id = ?"), m.ID, m.ID, m.ID, m.ID))
	if err != nil {
		return fmt.Errorf("look what holds backup %d: %w", m.ID, err)
	}
	if h.any() {
		return stowage.Errorf(stowage.Conflict, "backup %d is held by %d mounts, %d busy parts, %d runs of recovery plans", m.ID, h.Mounts, h.Busy, h.Runs)
	}
	if m.Marked == nil {
		return nil
	}
	var n int
	err = tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM backups WHERE set_id = ? AND `+pinned+`) +
		(SELECT COUNT(*) FROM backups WHERE id = (SELECT part.set_id FROM backups part WHERE part.id = ?) AND `+pinned+`)`,
		m.ID, micros(m.Now), m.ID, micros(m.Now)).Scan(&n)
	if err != nil {
		return fmt.Errorf("look for marks beside backup %d: %w", m.ID, err)
	}
	if n > 0 {
		return stowage.Errorf(stowage.Conflict, "backup %d belongs to one that is to stay", m.ID)
	}
	return nil
}

// holdWhole writes to the row of the server's backup that a backup is part of, if it is, so
// that a deletion of that beside us waits or fails: Conflict if it is being deleted.
func holdWhole(ctx context.Context, tx *sql.Tx, part int64, now time.Time) error {
	var set int64
	if err := tx.QueryRowContext(ctx, `SELECT set_id FROM backups WHERE id = ?`, part).Scan(&set); err != nil {
		return fmt.Errorf("look what backup %d is part of: %w", part, err)
	}
	if set == 0 {
		return nil
	}
	what, there := fmt.Sprintf("hold backup %d", set), 0
	res, err := tx.ExecContext(ctx, `UPDATE backups SET updated_at = ? WHERE id = ? AND status <> ?`, micros(now), set, stowage.BackupDeleting)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	lost := moved(res, what)
	if lost == nil {
		return nil
	}
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM backups WHERE id = ?`, set).Scan(&there); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if there == 0 { // then nothing of it is deleted any more, and this part can still be read
		return nil
	}
	return lost
}

// holdRestored holds the backups that a run of a recovery plan names: Conflict if one of
// them cannot be restored any more.
func holdRestored(ctx context.Context, tx *sql.Tx, run *stowage.Recovery, now time.Time) error {
	if run == nil {
		return nil
	}
	for _, step := range run.Steps {
		res, err := tx.ExecContext(ctx, `UPDATE backups SET updated_at = ? WHERE uuid = ? AND status IN (?, ?)`,
			micros(now), step.Backup, stowage.BackupAvailable, stowage.BackupRestoring)
		if err != nil {
			return fmt.Errorf("hold backup %s: %w", step.Backup, err)
		}
		if err := moved(res, "hold backup "+step.Backup); err != nil {
			return stowage.Wrap(stowage.Conflict, err, "Backup %s cannot be restored any more.", step.Backup)
		}
	}
	return nil
}
