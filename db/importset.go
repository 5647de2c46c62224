package db

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// ImportSet ties an imported backup of a volume to the backup of the server that it is
// part of, and writes that if it is not there, with the server if that is not known:
// all or nothing. It is in error until all its parts are there, and says which are not;
// then it is available. A part that is tied already changes nothing. set becomes what
// is in the database. Conflict, with a reason, and nothing has changed: what there is
// under the set's UUID is of another project or container, or of another server, or
// the part is another's.
func (d *DB) ImportSet(ctx context.Context, set *stowage.Backup, part int64, server stowage.Entity, now time.Time) error {
	var row stowage.Backup
	write := func(tx *sql.Tx) (err error) {
		row, err = holdSet(ctx, tx, *set)
		if stowage.CodeOf(err) == stowage.NotFound {
			row = *set
			row.Status, row.FailReason, row.UpdatedAt = stowage.BackupError, "", now
			if err = insertBackup(ctx, tx, &row); err == nil {
				err = addEntity(ctx, tx, server, now)
			}
		}
		if err != nil {
			return err
		}
		tied, err := tie(ctx, tx, row.ID, part, now)
		if err != nil || !tied {
			return err
		}
		return gather(ctx, tx, &row, now)
	}
	err := d.inTx(ctx, write)
	if duplicate(err) { // somebody else wrote it since we looked
		err = d.inTx(ctx, write)
	}
	if err == nil {
		*set = row
	}
	return err
}

// holdSet gives the backup of a server that is there under this UUID, and keeps others
// from changing it. NotFound: there is none. Conflict: it is not this one.
func holdSet(ctx context.Context, tx *sql.Tx, set stowage.Backup) (stowage.Backup, error) {
	// The row is locked before it is read: of two parts that come at once, the second
	// to get here sees the first.
	if _, err := tx.ExecContext(ctx, `UPDATE backups SET kind = kind WHERE uuid = ?`, set.UUID); err != nil {
		return set, fmt.Errorf("hold backup %s: %w", set.UUID, err)
	}
	row, err := scanBackup(tx.QueryRowContext(ctx, "SELECT "+backupColumns+" FROM backups WHERE uuid = ?", set.UUID))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return row, stowage.Errorf(stowage.NotFound, "Backup %s could not be found.", set.UUID)
	case err != nil:
		return row, fmt.Errorf("read backup %s: %w", set.UUID, err)
	case row.ProjectID != set.ProjectID:
		return row, stowage.Errorf(stowage.Conflict, "Backup %s is of another project.", set.UUID)
	case row.Kind != stowage.OfServer:
		return row, stowage.Errorf(stowage.Conflict, "Backup %s is not of a server.", set.UUID)
	case row.Container != set.Container:
		return row, stowage.Errorf(stowage.Conflict, "Backup %s is in another container.", set.UUID)
	}
	was, err := json.Marshal(row.Server)
	if err != nil {
		return row, fmt.Errorf("compare backup %s: %w", set.UUID, err)
	}
	told, err := json.Marshal(set.Server)
	if err != nil {
		return row, fmt.Errorf("compare backup %s: %w", set.UUID, err)
	}
	if !bytes.Equal(was, told) {
		return row, stowage.Errorf(stowage.Conflict, "Backup %s is there, and the server is not the one that this part tells of.", set.UUID)
	}
	return row, nil
}

// tie makes a backup of a volume part of a server's. False: it is already.
func tie(ctx context.Context, tx *sql.Tx, set, part int64, now time.Time) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE backups SET set_id = ?, updated_at = ? WHERE id = ? AND kind = ? AND set_id = 0`,
		set, micros(now), part, stowage.OfVolume)
	if err != nil {
		return false, fmt.Errorf("tie backup %d to %d: %w", part, set, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	var of int64
	err = tx.QueryRowContext(ctx, `SELECT set_id FROM backups WHERE id = ?`, part).Scan(&of)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("look what backup %d is part of: %w", part, err)
	}
	if of != set {
		return false, stowage.Errorf(stowage.Conflict, "Backup %d is part of another one.", part)
	}
	return false, nil
}

// gather makes a server's backup the sum of its parts, as the job does that ends one.
// One that is being made is left to that job.
func gather(ctx context.Context, tx *sql.Tx, set *stowage.Backup, now time.Time) error {
	if set.Status == stowage.BackupCreating {
		return nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+backupColumns+" FROM backups WHERE set_id = ? ORDER BY id", set.ID)
	if err != nil {
		return fmt.Errorf("list parts of backup %d: %w", set.ID, err)
	}
	parts, err := collect(rows, "list parts of a backup", scanBackup)
	if err != nil {
		return err
	}
	was := set.Status
	sum(set, parts)
	if was == stowage.BackupError { // also one that was there: what failed it is here now, or is told of
		set.Status, set.FailReason = stowage.BackupAvailable, ""
		if why := missing(set, parts); why != "" {
			set.Status, set.FailReason = stowage.BackupError, clip(why, 1024)
		}
	}
	set.VerifiedAt, set.UpdatedAt = now, now
	// None of the moves that jobs make: nothing else makes what failed available.
	res, err := tx.ExecContext(ctx, `UPDATE backups SET size_gib = ?, volume_bytes = ?, stored_bytes = ?, object_count = ?, incremental = ?,
		snapshot_at = ?, verified_at = ?, updated_at = ?, status = ?, fail_reason = ? WHERE id = ? AND status = ?`,
		set.SizeGiB, set.VolumeBytes, set.StoredBytes, set.ObjectCount, set.Incremental, micros(set.SnapshotAt), micros(now), micros(now),
		set.Status, set.FailReason, set.ID, was)
	if err != nil {
		return fmt.Errorf("gather backup %d: %w", set.ID, err)
	}
	if err := moved(res, fmt.Sprintf("gather backup %d", set.ID)); err != nil {
		return err
	}
	return countMoved(ctx, tx, set.ID, was, set.Status)
}

func sum(set *stowage.Backup, parts []stowage.Backup) {
	var r BackupResult
	for _, b := range parts {
		if stored(b) {
			r.Add(b)
		}
	}
	set.SizeGiB, set.VolumeBytes, set.StoredBytes, set.ObjectCount = r.SizeGiB, r.VolumeBytes, r.StoredBytes, r.ObjectCount
	set.Incremental, set.SnapshotAt = r.Incremental, r.SnapshotAt
}

func stored(b stowage.Backup) bool {
	return b.Status == stowage.BackupAvailable || b.Status == stowage.BackupRestoring
}

// missing tells which of the parts are not there; empty: all are.
func missing(set *stowage.Backup, parts []stowage.Backup) string {
	const named = 8
	here := map[string]bool{}
	for _, b := range parts {
		here[b.UUID] = stored(b)
	}
	all, gone := 0, []string{}
	for _, d := range set.Server.Disks {
		if d.Backup == "" {
			continue
		}
		if all++; !here[d.Backup] {
			gone = append(gone, fmt.Sprintf("backup %s of volume %s", d.Backup, d.VolumeID))
		}
	}
	if len(gone) == 0 {
		return ""
	}
	n, more := len(gone), ""
	if n > named {
		gone, more = gone[:named], fmt.Sprintf(", and %d more", n-named)
	}
	return fmt.Sprintf("Imported without %d of %d volumes: %s%s.", n, all, strings.Join(gone, ", "), more)
}

// addEntity writes a server that the inventory does not know of, as one that is gone
// from the cloud: by it its backups are listed and deleted. If it is there, the next
// look at the cloud finds it.
func addEntity(ctx context.Context, tx *sql.Tx, server stowage.Entity, now time.Time) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM entities WHERE id = ?`, server.ID).Scan(&n); err != nil {
		return fmt.Errorf("look for entity %s: %w", server.ID, err)
	}
	if n > 0 {
		return nil
	}
	return writeEntity(ctx, tx, 0, server, nil, now)
}
