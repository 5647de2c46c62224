package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Garbage is objects that nothing reaches and that are still to be deleted:
// either a set, or all names under a prefix but those under another.
type Garbage struct {
	ID                             int64
	ProjectID, Container, VolumeID string
	BackupID                       int64 // the backup that left it; its row may be gone
	Objects                        []byte
	Prefix, Keep                   string
	ReadyAt                        time.Time // not to be deleted before
}

const garbageColumns = `id, project_id, container, volume_id, backup_id, objects, name_prefix, keep_prefix, ready_at`

const readyGarbageQuery = `SELECT ` + garbageColumns + ` FROM garbage WHERE ready_at <= ? ORDER BY ready_at, id LIMIT ?`

func scanGarbage(row rower) (Garbage, error) {
	var (
		g     Garbage
		ready int64
	)
	err := row.Scan(&g.ID, &g.ProjectID, &g.Container, &g.VolumeID, &g.BackupID, &g.Objects, &g.Prefix, &g.Keep, &ready)
	if len(g.Objects) == 0 {
		g.Objects = nil
	}
	g.ReadyAt = fromMicros(ready)
	return g, err
}

// AddGarbage writes down what is to be deleted. Written twice, it is deleted twice.
func (d *DB) AddGarbage(ctx context.Context, g Garbage) error {
	return d.inTx(ctx, func(tx *sql.Tx) error { return insertGarbage(ctx, tx, []Garbage{g}) })
}

func insertGarbage(ctx context.Context, tx *sql.Tx, list []Garbage) error {
	for _, g := range list {
		_, err := tx.ExecContext(ctx, `INSERT INTO garbage (project_id, container, volume_id, backup_id, objects, name_prefix,
			keep_prefix, ready_at) VALUES (?,?,?,?,?,?,?,?)`,
			g.ProjectID, g.Container, g.VolumeID, g.BackupID, notNull(g.Objects), g.Prefix, g.Keep, micros(g.ReadyAt))
		if err != nil {
			return fmt.Errorf("write down the garbage of backup %d: %w", g.BackupID, err)
		}
	}
	return nil
}

// GarbageOf gives what a backup left, in the order it was written down.
func (d *DB) GarbageOf(ctx context.Context, backupID int64) ([]Garbage, error) {
	return query(ctx, d, "list garbage", scanGarbage, `SELECT `+garbageColumns+` FROM garbage WHERE backup_id = ? ORDER BY id`, backupID)
}

// ReadyGarbage gives what may be deleted now, the longest waiting first. Two
// managers may get the same: one that postpones it first is mostly alone with
// it, and to delete twice does no harm.
func (d *DB) ReadyGarbage(ctx context.Context, now time.Time, limit int) ([]Garbage, error) {
	return query(ctx, d, "list garbage", scanGarbage, readyGarbageQuery, micros(now), limit)
}

// PostponeGarbage lets it wait; what is gone already is no error.
func (d *DB) PostponeGarbage(ctx context.Context, id int64, until time.Time) error {
	return d.garbage(ctx, id, `UPDATE garbage SET ready_at = ? WHERE id = ?`, micros(until), id)
}

// GarbageGone strikes out what was deleted; what is gone already is no error.
func (d *DB) GarbageGone(ctx context.Context, id int64) error {
	return d.garbage(ctx, id, `DELETE FROM garbage WHERE id = ?`, id)
}

func (d *DB) garbage(ctx context.Context, id int64, q string, args ...any) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return fmt.Errorf("change garbage %d: %w", id, err)
		}
		return nil
	})
}
