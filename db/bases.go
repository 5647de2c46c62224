package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// Base is a snapshot that stays on a backend after a backup, so that the next
// one can ask what changed since. A volume has at most one on a backend; one
// that was replaced is remembered until its snapshot is removed.
type Base struct {
	Backend, VolumeID string
	BackupUUID        string
	BackupID          int64
	Snapshot          stowage.Snapshot
	At                time.Time

	// Between is where the backup may differ from the snapshot, which is then not the one
	// that was stored. Nil: nobody noted that, or it is the one that was stored.
	Between []stowage.Extent
}

// baseSnapshot is what the column of the snapshot holds.
type baseSnapshot struct {
	stowage.Snapshot
	Between []stowage.Extent `json:"between,omitzero"`
}

// same reports whether both are the same snapshot. Length and time of it are
// no marks of identity: they may have been read anew.
func (b Base) same(o Base) bool {
	return b.Backend == o.Backend && b.VolumeID == o.VolumeID && b.BackupUUID == o.BackupUUID &&
		b.Snapshot.Name == o.Snapshot.Name && b.Snapshot.ID == o.Snapshot.ID && b.Snapshot.Volume == o.Snapshot.Volume
}

// baseRow is a base and its place in the table.
type baseRow struct {
	Base
	id, replaced int64
}

const baseColumns = `b.id, b.replaced, b.backend, b.volume_id, b.backup_uuid, b.backup_id, b.snapshot, b.made_at`

func scanBase(row rower) (baseRow, error) {
	var (
		b        baseRow
		snapshot string
		at       int64
	)
	err := row.Scan(&b.id, &b.replaced, &b.Backend, &b.VolumeID, &b.BackupUUID, &b.BackupID, &snapshot, &at)
	if err != nil {
		return b, err
	}
	var kept baseSnapshot
	if err := json.Unmarshal([]byte(snapshot), &kept); err != nil {
		return b, fmt.Errorf("base %d: its snapshot: %w", b.id, err)
	}
	b.Snapshot, b.Between = kept.Snapshot, kept.Between
	b.At = fromMicros(at)
	return b, nil
}

// Base gives the base of a volume on a backend: NotFound if there is none.
func (d *DB) Base(ctx context.Context, backend, volumeID string) (Base, error) {
	list, err := query(ctx, d, "read the base of volume "+volumeID, scanBase,
		`SELECT `+baseColumns+` FROM bases b WHERE b.volume_id = ? AND b.backend = ? AND b.replaced = 0`, volumeID, backend)
	if err != nil {
		return Base{}, err
	}
	if len(list) == 0 {
		return Base{}, stowage.Errorf(stowage.NotFound, "Volume %s has no base on %s.", volumeID, backend)
	}
	return list[0].Base, nil
}

// SetBase makes b the base of its volume and gives back the one that it
// replaces, if any, which UnneededBases has until BaseRemoved. To set the same
// snapshot again replaces nothing; then old is nil.
func (d *DB) SetBase(ctx context.Context, b Base) (old *Base, err error) {
	snapshot, err := json.Marshal(baseSnapshot{b.Snapshot, b.Between})
	if err != nil {
		return nil, fmt.Errorf("set the base of volume %s: %w", b.VolumeID, err)
	}
	set := func(tx *sql.Tx) error {
		old = nil
		rows, err := basesOf(ctx, tx, b.Backend, b.VolumeID)
		if err != nil {
			return err
		}
		for _, r := range rows {
			switch {
			case r.same(b): // also one that was to be removed: it is needed again
				_, err = tx.ExecContext(ctx, `DELETE FROM bases WHERE id = ?`, r.id)
			case r.replaced == 0:
				old = &r.Base
				_, err = tx.ExecContext(ctx, `UPDATE bases SET replaced = id WHERE id = ?`, r.id)
			}
			if err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO bases (backend, volume_id, replaced, backup_id, backup_uuid, snapshot, made_at)
			VALUES (?,?,0,?,?,?,?)`, b.Backend, b.VolumeID, b.BackupID, b.BackupUUID, string(snapshot), micros(b.At))
		return err
	}
	// Of two that set the first base at once, the slower one replaces the other's.
	if err := d.inTxBeside(ctx, set); err != nil {
		return nil, fmt.Errorf("set the base of volume %s: %w", b.VolumeID, err)
	}
	return old, nil
}

// UnneededBases gives bases on the backends whose snapshots are to be removed:
// those replaced, and those whose backup is gone, in error or being deleted.
func (d *DB) UnneededBases(ctx context.Context, backends []string, limit int) ([]Base, error) {
	if len(backends) == 0 {
		return nil, nil
	}
	q, args := unneededBases(backends, limit)
	rows, err := query(ctx, d, "list unneeded bases", scanBase, q, args...)
	var list []Base
	for _, r := range rows {
		list = append(list, r.Base)
	}
	return list, err
}

func unneededBases(backends []string, limit int) (string, []any) {
	marks, args := markers(backends)
	return `SELECT ` + baseColumns + ` FROM bases b LEFT JOIN backups k ON k.id = b.backup_id
		WHERE b.backend IN (` + marks + `) AND (b.replaced <> 0 OR k.id IS NULL OR k.status IN (?, ?)) ORDER BY b.id LIMIT ?`,
		append(args, stowage.BackupError, stowage.BackupDeleting, limit)
}

// Bases gives all bases on a backend, those that are to be removed as well.
func (d *DB) Bases(ctx context.Context, backend string) ([]Base, error) {
	rows, err := query(ctx, d, "list the bases on "+backend, scanBase,
		`SELECT `+baseColumns+` FROM bases b WHERE b.backend = ? ORDER BY b.id`, backend)
	var list []Base
	for _, r := range rows {
		list = append(list, r.Base)
	}
	return list, err
}

// GiveUpBase makes a base one that is to be removed; nobody is told of it any
// more. One that is forgotten already is no error.
func (d *DB) GiveUpBase(ctx context.Context, b Base) error {
	return d.eachBase(ctx, b, `UPDATE bases SET replaced = id WHERE id = ?`)
}

// BaseRemoved forgets a base whose snapshot is gone; what is forgotten already
// is no error.
func (d *DB) BaseRemoved(ctx context.Context, b Base) error {
	return d.eachBase(ctx, b, `DELETE FROM bases WHERE id = ?`)
}

// eachBase runs a statement for each row that is the base.
func (d *DB) eachBase(ctx context.Context, b Base, statement string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		rows, err := basesOf(ctx, tx, b.Backend, b.VolumeID)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !r.same(b) {
				continue
			}
			if _, err := tx.ExecContext(ctx, statement, r.id); err != nil {
				return fmt.Errorf("base %d: %w", r.id, err)
			}
		}
		return nil
	})
}

// basesOf gives the rows of a volume on a backend, within a transaction.
func basesOf(ctx context.Context, tx *sql.Tx, backend, volumeID string) ([]baseRow, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+baseColumns+` FROM bases b WHERE b.volume_id = ? AND b.backend = ? ORDER BY b.id`,
		volumeID, backend)
	if err != nil {
		return nil, fmt.Errorf("list the bases of volume %s: %w", volumeID, err)
	}
	return collect(rows, "list the bases of volume "+volumeID, scanBase)
}
