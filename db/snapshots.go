package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

const snapshotColumns = `id, project_id, entity_id, schedule_id, policy_id, rule_id, status, reason, taken_at, volumes, created_at, updated_at`

func scanSnapshot(row rower) (stowage.EntitySnapshot, error) {
	var (
		s       stowage.EntitySnapshot
		volumes string
		at      [3]int64
	)
	err := row.Scan(&s.ID, &s.ProjectID, &s.EntityID, &s.By.ScheduleID, &s.By.PolicyID, &s.By.RuleID, &s.Status, &s.Reason, &at[0], &volumes, &at[1], &at[2])
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(volumes), &s.Volumes); err != nil {
		return s, fmt.Errorf("snapshot %s: its volumes: %w", s.ID, err)
	}
	s.TakenAt, s.CreatedAt, s.UpdatedAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2])
	return s, nil
}

// AddSnapshot writes a snapshot that is to be taken, and the job that takes it.
func (d *DB) AddSnapshot(ctx context.Context, j *stowage.Job) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO snapshots (`+snapshotColumns+`) VALUES (?,?,?,?,?,?,?,'',0,'[]',?,?)`,
			j.ID, j.ProjectID, j.EntityID, j.By.ScheduleID, j.By.PolicyID, j.By.RuleID, stowage.SnapshotTaking, micros(j.CreatedAt), micros(j.UpdatedAt))
		if err != nil {
			return fmt.Errorf("write snapshot %s: %w", j.ID, err)
		}
		return insertJob(ctx, tx, j)
	})
}

// endSnapshot moves a snapshot as its job ends, whoever ends it.
func endSnapshot(ctx context.Context, tx *sql.Tx, j stowage.Job, end JobEnd) error {
	status, reason, taken := stowage.SnapshotFailed, end.Error, stowage.EntitySnapshot{Volumes: []stowage.VolumeSnapshot{}}
	if end.State == stowage.JobFinished && end.Snapshot != nil {
		status, reason, taken = stowage.SnapshotTaken, "", *end.Snapshot
	}
	volumes, err := json.Marshal(taken.Volumes)
	if err != nil {
		return fmt.Errorf("write snapshot %s: %w", j.ID, err)
	}
	res, err := tx.ExecContext(ctx, `UPDATE snapshots SET status = ?, reason = ?, taken_at = ?, volumes = ?, updated_at = ? WHERE id = ? AND status = ?`,
		status, clip(reason, 1024), micros(taken.TakenAt), string(volumes), micros(end.Now), j.ID, stowage.SnapshotTaking)
	if err != nil {
		return fmt.Errorf("write snapshot %s: %w", j.ID, err)
	}
	if status == stowage.SnapshotFailed { // a job must end, whatever became of its row
		return nil
	}
	return moved(res, "write snapshot "+j.ID)
}

// SnapshotFilter narrows a list of snapshots. Empty fields do not.
type SnapshotFilter struct {
	IDs, Entities, Policies []string
	Statuses                []stowage.SnapshotStatus
}

var snapshotOrders = map[string]string{"time": "taken_at", "status": "status", "created": "created_at"}

// Snapshots lists snapshots of entities, the newest first, and tells how many there are.
func (d *DB) Snapshots(ctx context.Context, scope Scope, f SnapshotFilter, p Page) ([]stowage.EntitySnapshot, int, error) {
	if !allASCII(slices.Concat(f.IDs, f.Entities, f.Policies)) {
		return nil, 0, nil
	}
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	oneOf(&w, "id", f.IDs)
	oneOf(&w, "entity_id", f.Entities)
	oneOf(&w, "policy_id", f.Policies)
	oneOf(&w, "status", f.Statuses)
	total, err := d.count(ctx, "count snapshots", `SELECT COUNT(*) FROM snapshots WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	if _, known := snapshotOrders[p.Order]; !known {
		p.Order, p.Descending = "created", true
	}
	list, err := query(ctx, d, "list snapshots", scanSnapshot, `SELECT `+snapshotColumns+` FROM snapshots WHERE `+w.String()+
		` ORDER BY `+ordered(snapshotOrders, p, "id", true)+` LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// Snapshot gives one snapshot: NotFound outside the scope, too.
func (d *DB) Snapshot(ctx context.Context, scope Scope, id string) (stowage.EntitySnapshot, error) {
	list, _, err := d.Snapshots(ctx, scope, SnapshotFilter{IDs: []string{orNobodys(id)}}, Page{Limit: 1})
	if err != nil {
		return stowage.EntitySnapshot{}, err
	}
	if len(list) == 0 {
		return stowage.EntitySnapshot{}, stowage.Errorf(stowage.NotFound, "Snapshot %.64s could not be found.", id)
	}
	return list[0], nil
}

// kept is the condition of snapshots that Cinder has, as far as is known.
const kept = `status IN ('` + string(stowage.SnapshotTaken) + `', '` + string(stowage.SnapshotRemoving) + `')`

// SnapshotEntities gives entities behind an id that a policy has snapshots of, in order.
func (d *DB) SnapshotEntities(ctx context.Context, policy, after string, limit int) ([]string, error) {
	return query(ctx, d, "list entities with snapshots", scanText,
		`SELECT DISTINCT entity_id FROM snapshots WHERE policy_id = ? AND entity_id > ? AND `+kept+` ORDER BY entity_id LIMIT ?`, policy, after, limit)
}

// PolicySnapshots gives the snapshots that a policy has of an entity, in the order in
// which they were taken.
func (d *DB) PolicySnapshots(ctx context.Context, policy, entity string) ([]stowage.EntitySnapshot, error) {
	return query(ctx, d, "list snapshots of a policy", scanSnapshot,
		`SELECT `+snapshotColumns+` FROM snapshots WHERE policy_id = ? AND entity_id = ? AND `+kept+` ORDER BY taken_at, id`, policy, entity)
}

// SnapshotProjects gives projects behind an id that have snapshots, in order.
func (d *DB) SnapshotProjects(ctx context.Context, after string, limit int) ([]string, error) {
	return query(ctx, d, "list projects with snapshots", scanText,
		`SELECT DISTINCT project_id FROM snapshots WHERE `+kept+` AND project_id > ? ORDER BY project_id LIMIT ?`, after, limit)
}

// KeptSnapshots gives snapshots of a project behind an id, in the order of their ids.
func (d *DB) KeptSnapshots(ctx context.Context, projectID, after string, limit int) ([]stowage.EntitySnapshot, error) {
	return query(ctx, d, "list snapshots of a project", scanSnapshot,
		`SELECT `+snapshotColumns+` FROM snapshots WHERE project_id = ? AND `+kept+` AND id > ? ORDER BY id LIMIT ?`, projectID, after, limit)
}

// RemoveSnapshot writes that a snapshot is being removed; to write it again is no error.
// Conflict: it is in no state to be.
func (d *DB) RemoveSnapshot(ctx context.Context, s stowage.EntitySnapshot, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		var status stowage.SnapshotStatus
		err := tx.QueryRowContext(ctx, `SELECT status FROM snapshots WHERE id = ?`, s.ID).Scan(&status)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return stowage.Errorf(stowage.Conflict, "Snapshot %s is not there any more.", s.ID)
		case err != nil:
			return fmt.Errorf("read snapshot %s: %w", s.ID, err)
		case status == stowage.SnapshotRemoving:
			return nil
		}
		res, err := tx.ExecContext(ctx, `UPDATE snapshots SET status = ?, updated_at = ? WHERE id = ? AND status = ?`,
			stowage.SnapshotRemoving, micros(now), s.ID, stowage.SnapshotTaken)
		if err != nil {
			return fmt.Errorf("remove snapshot %s: %w", s.ID, err)
		}
		return moved(res, "remove snapshot "+s.ID)
	})
}

// ForgetSnapshot forgets a snapshot of which Cinder has none any more. Gone is no error.
func (d *DB) ForgetSnapshot(ctx context.Context, id string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM snapshots WHERE id = ? AND `+kept, id); err != nil {
			return fmt.Errorf("forget snapshot %s: %w", id, err)
		}
		return nil
	})
}

// DropFailedSnapshots forgets snapshots that failed before the given time, and of which
// nothing may be left.
func (d *DB) DropFailedSnapshots(ctx context.Context, before time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM snapshots WHERE status = ? AND updated_at < ?
			AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = snapshots.id AND jobs.leftover = 1)`, stowage.SnapshotFailed, micros(before))
		if err != nil {
			return fmt.Errorf("forget snapshots that failed: %w", err)
		}
		return nil
	})
}

// SnapshotsLeft gives jobs that ended without the snapshot they were to take, and of which
// something may be in Cinder.
func (d *DB) SnapshotsLeft(ctx context.Context, limit int) ([]stowage.Job, error) {
	return d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE leftover = ? AND state IN (?, ?, ?) AND backend = '' AND kind = ? ORDER BY seq LIMIT ?`,
		true, stowage.JobFinished, stowage.JobFailed, stowage.JobCancelled, stowage.JobSnapshot, limit)
}
