package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

const backupColumns = `id, uuid, project_id, user_id, name, description, container, status, fail_reason,
	volume, size_gib, volume_bytes, stored_bytes, object_count, incremental, manifest, manifest_digest,
	damaged_reason, verified_at, snapshot_at, created_at, updated_at, schedule_id, policy_id, rule_id, retention_mark, retain_until,
	kind, set_id, COALESCE(server, '')`

func scanBackup(row rower) (stowage.Backup, error) {
	var (
		b      stowage.Backup
		volume string
		server string
		at     [5]int64
	)
	err := row.Scan(&b.ID, &b.UUID, &b.ProjectID, &b.UserID, &b.Name, &b.Description, &b.Container, &b.Status,
		&b.FailReason, &volume, &b.SizeGiB, &b.VolumeBytes, &b.StoredBytes, &b.ObjectCount, &b.Incremental,
		&b.Manifest, &b.ManifestDigest, &b.Damaged, &at[0], &at[1], &at[2], &at[3],
		&b.By.ScheduleID, &b.By.PolicyID, &b.By.RuleID, &b.Mark, &at[4], &b.Kind, &b.SetID, &server)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal([]byte(volume), &b.Volume); err != nil {
		return b, fmt.Errorf("backup %d: its volume record: %w", b.ID, err)
	}
	if server != "" {
		if err := json.Unmarshal([]byte(server), &b.Server); err != nil {
			return b, fmt.Errorf("backup %d: its server record: %w", b.ID, err)
		}
	}
	b.VerifiedAt, b.SnapshotAt = fromMicros(at[0]), fromMicros(at[1])
	b.CreatedAt, b.UpdatedAt = fromMicros(at[2]), fromMicros(at[3])
	b.RetainUntil = fromMicros(at[4])
	return b, nil
}

// Scope is whose rows a query sees: one project's, or everybody's when empty.
type Scope struct{ ProjectID string }

// Backup gives one backup: NotFound outside the scope, too.
func (d *DB) Backup(ctx context.Context, scope Scope, id int64) (stowage.Backup, error) {
	q, args := "SELECT "+backupColumns+" FROM backups WHERE id = ?", []any{id}
	if scope.ProjectID != "" {
		q, args = q+" AND project_id = ?", append(args, scope.ProjectID)
	}
	return d.oneBackup(ctx, fmt.Sprintf("Backup %d", id), q, args...)
}

// BackupByUUID gives one backup by its UUID: NotFound outside the scope, too.
func (d *DB) BackupByUUID(ctx context.Context, scope Scope, uuid string) (stowage.Backup, error) {
	if !ascii(uuid) {
		return stowage.Backup{}, stowage.Errorf(stowage.NotFound, "Backup %s could not be found.", uuid)
	}
	q, args := "SELECT "+backupColumns+" FROM backups WHERE uuid = ?", []any{uuid}
	if scope.ProjectID != "" {
		q, args = q+" AND project_id = ?", append(args, scope.ProjectID)
	}
	return d.oneBackup(ctx, "Backup "+uuid, q, args...)
}

// oneBackup reads one row: NotFound when there is none.
func (d *DB) oneBackup(ctx context.Context, what, q string, args ...any) (stowage.Backup, error) {
	b, err := scanBackup(d.sql.QueryRowContext(ctx, q, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return b, stowage.Errorf(stowage.NotFound, "%s could not be found.", what)
	}
	if err != nil {
		return b, fmt.Errorf("read %s: %w", what, unavailable(err))
	}
	return b, nil
}

// BackupFilter narrows a list. Zero fields do not.
type BackupFilter struct {
	Status   stowage.BackupStatus
	VolumeID string
	Name     string
}

// Backups lists backups of volumes in the order of their ids, oldest first, those with an
// id greater than after, at most limit of them. What a page without a filter costs
// depends on its length alone.
func (d *DB) Backups(ctx context.Context, scope Scope, f BackupFilter, after int64, limit int) ([]stowage.Backup, error) {
	if !ascii(f.VolumeID) || !ascii(string(f.Status)) {
		return nil, nil // MySQL would not compare them
	}
	where, args := []string{"id > ? AND kind = ''"}, []any{after}
	also := func(column, value string) {
		if value != "" {
			where, args = append(where, column+" = ?"), append(args, value)
		}
	}
	also("project_id", scope.ProjectID)
	also("status", string(f.Status))
	also("volume_id", f.VolumeID)
	if f.Name != "" {
		exactly := "name = ?"
		if d.dialect == MySQL { // whose comparison of texts is kinder than "exactly"
			exactly = "CAST(name AS BINARY) = CAST(? AS BINARY)"
		}
		where, args = append(where, exactly), append(args, f.Name)
	}
	q := "SELECT " + backupColumns + " FROM backups WHERE " + strings.Join(where, " AND ") + " ORDER BY id LIMIT ?"
	return query(ctx, d, "list backups", scanBackup, q, append(args, limit)...)
}

// Creating reports whether there is a backup of this UUID that is being made.
func (d *DB) Creating(ctx context.Context, uuid string) (bool, error) {
	var n int
	err := d.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM backups WHERE uuid = ? AND status = ?`, uuid, stowage.BackupCreating).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for backup %s: %w", uuid, unavailable(err))
	}
	return n > 0, nil
}

// CreateBackup writes a new backup and the job that makes it, sets their ids,
// and ties them together.
func (d *DB) CreateBackup(ctx context.Context, b *stowage.Backup, j *stowage.Job) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := insertBackup(ctx, tx, b); err != nil {
			return err
		}
		if err := tellOfBackup(ctx, tx, b.ID, b.Status, b.CreatedAt); err != nil {
			return err
		}
		j.BackupID = b.ID
		return insertJob(ctx, tx, j)
	})
}

// insertBackup writes a new row and sets its id.
func insertBackup(ctx context.Context, tx *sql.Tx, b *stowage.Backup) error {
	volume, err := json.Marshal(b.Volume)
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	server := ""
	if b.Server != nil {
		record, err := json.Marshal(b.Server)
		if err != nil {
			return fmt.Errorf("write backup: %w", err)
		}
		server = string(record)
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO backups (uuid, project_id, user_id, name, description, container, status,
		fail_reason, volume_id, volume, size_gib, volume_bytes, stored_bytes, object_count, incremental, manifest,
		manifest_digest, damaged_reason, verified_at, snapshot_at, created_at, updated_at, schedule_id, policy_id, rule_id,
		retention_mark, retain_until, kind, set_id, server) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		b.UUID, b.ProjectID, b.UserID, b.Name, b.Description, b.Container, b.Status, clip(b.FailReason, 1024), b.Volume.ID,
		string(volume), b.SizeGiB, b.VolumeBytes, b.StoredBytes, b.ObjectCount, b.Incremental, b.Manifest, b.ManifestDigest,
		clip(b.Damaged, 1024), micros(b.VerifiedAt), micros(b.SnapshotAt), micros(b.CreatedAt), micros(b.UpdatedAt),
		b.By.ScheduleID, b.By.PolicyID, b.By.RuleID, b.Mark, micros(b.RetainUntil), b.Kind, b.SetID, server)
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if b.ID, err = res.LastInsertId(); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return countMoved(ctx, tx, b.ID, "", b.Status)
}

// BackupMove is a status move of a backup, guarded by the status it leaves.
type BackupMove struct {
	ID         int64
	From, To   stowage.BackupStatus
	FailReason string
	Marked     *RetainMark   // nil: however it is marked; else a move to deleting is made only while it is marked so
	Remove     bool          // the row goes, instead of moving to To; not while it has a set of objects
	Result     *BackupResult // nil: what is there stays
	Now        time.Time
}

// RetainMark is what somebody said of keeping a backup.
type RetainMark struct {
	Mark  stowage.RetentionMark
	Until time.Time
}

// BackupResult is what a backup is once it is made.
type BackupResult struct {
	SizeGiB                               int64
	VolumeBytes, StoredBytes, ObjectCount int64
	Incremental                           bool
	Manifest, ManifestDigest              string
	SnapshotAt                            time.Time
}

// Add counts a backup of a volume as a part of a server's.
func (r *BackupResult) Add(part stowage.Backup) {
	r.SizeGiB += part.SizeGiB
	r.VolumeBytes += part.VolumeBytes
	r.StoredBytes += part.StoredBytes
	r.ObjectCount += part.ObjectCount
	r.Incremental = r.Incremental || part.Incremental
	if at := part.SnapshotAt; r.SnapshotAt.IsZero() || at.Before(r.SnapshotAt) {
		r.SnapshotAt = at
	}
}

// StartJob moves a backup and writes the job that the move is for.
func (d *DB) StartJob(ctx context.Context, move BackupMove, j *stowage.Job) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := moveBackup(ctx, tx, move); err != nil {
			return err
		}
		return insertJob(ctx, tx, j)
	})
}

func moveBackup(ctx context.Context, tx *sql.Tx, m BackupMove) error {
	what := fmt.Sprintf("backup %d from %s", m.ID, m.From)
	var (
		res sql.Result
		err error
	)
	switch {
	case m.Remove:
		// With a set still there, nobody would write down what became free.
		what += " away, its objects released"
		// While there is something to tell of, and to count.
		if err := tellOfBackup(ctx, tx, m.ID, stowage.BackupDeleted, m.Now); err != nil {
			return err
		}
		if err := countMoved(ctx, tx, m.ID, m.From, ""); err != nil {
			return err
		}
		res, err = tx.ExecContext(ctx, `DELETE FROM backups WHERE id = ? AND status = ?
			AND NOT EXISTS (SELECT 1 FROM reaches WHERE backup_id = ?)`, m.ID, m.From, m.ID)
	case !m.From.May(m.To):
		return stowage.Errorf(stowage.Conflict, "%s to %s: there is no such move", what, m.To)
	case m.Result != nil:
		r := m.Result
		res, err = tx.ExecContext(ctx, `UPDATE backups SET status = ?, fail_reason = ?, size_gib = ?, volume_bytes = ?, stored_bytes = ?,
			object_count = ?, incremental = ?, manifest = ?, manifest_digest = ?, snapshot_at = ?, verified_at = ?,
			updated_at = ? WHERE id = ? AND status = ?`, // just stored, or looked at with its parent
			m.To, clip(m.FailReason, 1024), r.SizeGiB, r.VolumeBytes, r.StoredBytes, r.ObjectCount, r.Incremental, r.Manifest,
			r.ManifestDigest, micros(r.SnapshotAt), micros(m.Now), micros(m.Now), m.ID, m.From)
	case m.To == stowage.BackupDeleting:
		what += " to be deleted"
		as, args := "", []any{m.To, clip(m.FailReason, 1024), micros(m.Now), m.ID, m.From}
		if m.Marked != nil {
			what += ", marked as it was"
			as, args = " AND retention_mark = ? AND retain_until = ?", append(args, m.Marked.Mark, micros(m.Marked.Until))
		}
		res, err = tx.ExecContext(ctx, `UPDATE backups SET status = ?, fail_reason = ?, updated_at = ? WHERE id = ? AND status = ?`+as, args...)
	default:
		res, err = tx.ExecContext(ctx, `UPDATE backups SET status = ?, fail_reason = ?, updated_at = ?
			WHERE id = ? AND status = ?`, m.To, clip(m.FailReason, 1024), micros(m.Now), m.ID, m.From)
	}
	if err != nil {
		return fmt.Errorf("move %s: %w", what, err)
	}
	if err := moved(res, "move "+what); err != nil || m.Remove {
		return err
	}
	switch m.To {
	case stowage.BackupDeleting:
		err = notHeld(ctx, tx, m)
	case stowage.BackupRestoring:
		err = holdWhole(ctx, tx, m.ID, m.Now)
	}
	if err != nil {
		return err
	}
	if err := countMoved(ctx, tx, m.ID, m.From, m.To); err != nil {
		return err
	}
	return tellOfBackup(ctx, tx, m.ID, m.To, m.Now)
}
