package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// A server's backup is made by jobs in a row:
//
//	export                takes the snapshots; its parts are held until then
//	backup, backup, ...   its parts: each stores one volume
//	store                 follows the export, and ends when the parts have ended
//
// What is held has a window that never comes.
var held = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Part is the backup of one volume of a server, with the job that makes it.
type Part struct {
	Backup stowage.Backup
	Job    stowage.Job
}

// CreateSet writes the backup of a server with its parts, and the job that takes the
// snapshots, sets their ids, and ties them together. The parts are held.
func (d *DB) CreateSet(ctx context.Context, set *stowage.Backup, export *stowage.Job, parts []Part) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := insertBackup(ctx, tx, set); err != nil {
			return err
		}
		export.BackupID = set.ID
		if err := insertJob(ctx, tx, export); err != nil {
			return err
		}
		for i := range parts {
			b, j := &parts[i].Backup, &parts[i].Job
			b.SetID = set.ID
			if err := insertBackup(ctx, tx, b); err != nil {
				return err
			}
			j.BackupID, j.ParentID, j.ReadyAt, j.WindowStart = b.ID, export.ID, held, held
			if err := insertJob(ctx, tx, j); err != nil {
				return err
			}
		}
		return nil
	})
}

// StartAlone writes a job of an entity that no other of its kind may be done beside:
// Conflict while there is one, or if a backup that it names is being deleted.
func (d *DB) StartAlone(ctx context.Context, j *stowage.Job) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		// Whoever asks at once waits here for the other: the plan's row is locked, and
		// changed, which other nodes of a Galera cluster see.
		if _, err := tx.ExecContext(ctx, `UPDATE recovery_plans SET updated_at = updated_at + 1 WHERE id = ?`, j.EntityID); err != nil {
			return fmt.Errorf("hold plan %s: %w", j.EntityID, err)
		}
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs WHERE entity_id = ? AND kind = ? AND state IN (?, ?)`,
			j.EntityID, j.Kind, stowage.JobQueued, stowage.JobRunning).Scan(&n)
		if err != nil {
			return fmt.Errorf("look for a run of %s: %w", j.EntityID, err)
		}
		if n > 0 {
			return stowage.Errorf(stowage.Conflict, "It is being run.")
		}
		if err := holdRestored(ctx, tx, j.Params.Recovery, j.CreatedAt); err != nil {
			return err
		}
		return insertJob(ctx, tx, j)
	})
}

// PartJobs gives the jobs that are parts of a job, in the order they were written.
func (d *DB) PartJobs(ctx context.Context, parent string) ([]stowage.Job, error) {
	return d.queryJobs(ctx, "SELECT "+jobColumns+" FROM jobs WHERE parent_id = ? AND hidden = 1 ORDER BY seq", orNobodys(parent))
}

// Followers gives the jobs that follow one of the jobs.
func (d *DB) Followers(ctx context.Context, parents []string) ([]stowage.Job, error) {
	var all []stowage.Job
	for part := range slices.Chunk(parents, 500) {
		marks, args := markers(part)
		jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE parent_id IN (`+marks+`) AND kind IN (?, ?) ORDER BY seq`,
			append(args, stowage.JobStore, stowage.JobImport)...)
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// SetBackups gives the backups that are part of a server's.
func (d *DB) SetBackups(ctx context.Context, set int64) ([]stowage.Backup, error) {
	if set == 0 {
		return nil, nil
	}
	return query(ctx, d, "list parts of a backup", scanBackup, `SELECT `+backupColumns+` FROM backups WHERE set_id = ? ORDER BY id`, set)
}

// Flaws tells what is wrong with those of the backups that are of servers and could be
// restored, by their ids: a part is not there, or is damaged.
func (d *DB) Flaws(ctx context.Context, backups []stowage.Backup) (map[int64]string, error) {
	whole := slices.DeleteFunc(slices.Clone(backups), func(b stowage.Backup) bool { return b.Kind != stowage.OfServer || !stored(b) })
	flaws := map[int64]string{}
	for some := range slices.Chunk(whole, 500) {
		ids := make([]int64, len(some))
		for i, b := range some {
			ids[i] = b.ID
		}
		marks, args := markers(ids)
		list, err := query(ctx, d, "look at parts of backups", func(row rower) (b stowage.Backup, err error) {
			return b, row.Scan(&b.SetID, &b.UUID, &b.Status, &b.Damaged)
		}, `SELECT set_id, uuid, status, damaged_reason FROM backups WHERE set_id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		parts := map[int64]map[string]stowage.Backup{}
		for _, b := range list {
			if parts[b.SetID] == nil {
				parts[b.SetID] = map[string]stowage.Backup{}
			}
			parts[b.SetID][b.UUID] = b
		}
		for _, b := range some {
			if flaw := flawOf(b, parts[b.ID]); flaw != "" {
				flaws[b.ID] = flaw
			}
		}
	}
	return flaws, nil
}

// flawOf tells what is wrong with a server's backup that has these parts, by their UUIDs.
func flawOf(set stowage.Backup, parts map[string]stowage.Backup) string {
	if set.Server == nil {
		return "What the server was is not known."
	}
	const told = 4
	var flaws []string
	for _, disk := range set.Server.Disks {
		if disk.Backup == "" {
			continue // left out when it was made
		}
		if part, here := parts[disk.Backup]; !here || !stored(part) {
			flaws = append(flaws, fmt.Sprintf("The backup of volume %s is not there.", disk.VolumeID))
		} else if part.Damaged != "" {
			flaws = append(flaws, fmt.Sprintf("The backup of volume %s is damaged: %s", disk.VolumeID, part.Damaged))
		}
	}
	if n := len(flaws); n > told {
		flaws = append(flaws[:told], fmt.Sprintf("%d more are missing or damaged.", n-told))
	}
	return strings.Join(flaws, " ")
}

// HeldParts gives jobs that are held for one that has ended and did not let them go.
func (d *DB) HeldParts(ctx context.Context, limit int) ([]stowage.Job, error) {
	return d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ? AND window_start = ? AND parent_id IN
		(SELECT id FROM jobs WHERE state IN (?, ?)) ORDER BY seq LIMIT ?`,
		stowage.JobQueued, micros(held), stowage.JobFailed, stowage.JobCancelled, limit)
}

// letGo lets the parts of a job be claimed.
func letGo(ctx context.Context, tx *sql.Tx, parent string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET ready_at = 0, window_start = 0, fence = fence + 1, updated_at = ? WHERE parent_id = ? AND state = ? AND window_start = ?`,
		micros(now), parent, stowage.JobQueued, micros(held))
	if err != nil {
		return fmt.Errorf("let go the parts of job %s: %w", parent, err)
	}
	return nil
}

// Wake lets a waiting job look again at once at what it waits for: the one that a part
// is of, and the one that follows that.
func (d *DB) Wake(ctx context.Context, parent string, now time.Time) (n int64, err error) {
	if parent == "" {
		return 0, nil
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE jobs SET ready_at = 0, rung_at = ? WHERE state = ? AND attempt > 0 AND ready_at > ? AND window_start <= ?
			AND (id = ? OR parent_id = ?)`, micros(now), stowage.JobQueued, micros(now), micros(now), parent, parent)
		if err != nil {
			return fmt.Errorf("wake job %s: %w", parent, err)
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// Progress is how far the parts of a job are.
type Progress struct {
	Percent   int
	Done, All int64 // bytes
}

// PartProgress tells how far the parts of jobs are, together.
func (d *DB) PartProgress(ctx context.Context, parents []string) (map[string]Progress, error) {
	all := map[string]Progress{}
	if len(parents) == 0 {
		return all, nil
	}
	marks, args := markers(parents)
	type row struct {
		id string
		Progress
	}
	list, err := query(ctx, d, "measure parts of jobs", func(r rower) (one row, err error) {
		return one, r.Scan(&one.id, &one.Percent, &one.Done, &one.All)
	}, `SELECT parent_id, CAST(AVG(percent) AS `+d.whole()+`), SUM(bytes_done), SUM(bytes_all) FROM jobs
		WHERE hidden = 1 AND parent_id IN (`+marks+`) GROUP BY parent_id`, args...)
	for _, one := range list {
		all[one.id] = one.Progress
	}
	return all, err
}

// Exclude says whether a disk is left out of backups of its server: NotFound outside
// the scope, too.
func (d *DB) Exclude(ctx context.Context, scope Scope, id string, out bool) error {
	if _, err := d.Entity(ctx, scope, id); err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE entities SET excluded = ? WHERE id = ?`, out, id); err != nil {
			return fmt.Errorf("change entity %s: %w", id, err)
		}
		return nil
	})
}
