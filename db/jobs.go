package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stowage/stowage"
)

const jobColumns = `id, kind, state, project_id, user_id, request_id, backend, backup_id, volume_id, priority,
	ready_at, window_start, window_end, attempt, failures, fence, lease_owner, lease_expires, percent, bytes_done, bytes_all,
	lock_state, attachment_id, leftover, params, error, created_at, started_at, finished_at, updated_at, entity_id, schedule_id, policy_id, rule_id, parent_id, host`

func scanJob(row rower) (stowage.Job, error) {
	var (
		j      stowage.Job
		params string
		at     [8]int64
	)
	err := row.Scan(&j.ID, &j.Kind, &j.State, &j.ProjectID, &j.UserID, &j.RequestID, &j.Backend, &j.BackupID, &j.VolumeID,
		&j.Priority, &at[0], &at[1], &at[2], &j.Attempt, &j.Failures, &j.Fence, &j.LeaseOwner, &at[3], &j.Percent, &j.BytesDone,
		&j.BytesAll, &j.Lock, &j.AttachmentID, &j.Leftover, &params, &j.Error, &at[4], &at[5], &at[6], &at[7], &j.EntityID,
		&j.By.ScheduleID, &j.By.PolicyID, &j.By.RuleID, &j.ParentID, &j.Host)
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal([]byte(params), &j.Params); err != nil {
		return j, fmt.Errorf("job %s: its parameters: %w", j.ID, err)
	}
	j.ReadyAt, j.WindowStart, j.WindowEnd = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2])
	j.LeaseExpires, j.CreatedAt, j.StartedAt = fromMicros(at[3]), fromMicros(at[4]), fromMicros(at[5])
	j.FinishedAt, j.UpdatedAt = fromMicros(at[6]), fromMicros(at[7])
	return j, nil
}

func insertJob(ctx context.Context, tx *sql.Tx, j *stowage.Job) error {
	params, err := json.Marshal(j.Params)
	if err != nil {
		return fmt.Errorf("write job %s: %w", j.ID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO jobs (id, kind, state, project_id, user_id, request_id, backend, backup_id,
		volume_id, priority, ready_at, window_start, window_end, lock_state, params, created_at, updated_at, entity_id, schedule_id, policy_id, rule_id, parent_id, hidden)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		j.ID, j.Kind, j.State, j.ProjectID, j.UserID, j.RequestID, j.Backend, j.BackupID, j.VolumeID, j.Priority,
		micros(j.ReadyAt), micros(j.WindowStart), micros(j.WindowEnd), j.Lock, string(params),
		micros(j.CreatedAt), micros(j.UpdatedAt), j.EntityID, j.By.ScheduleID, j.By.PolicyID, j.By.RuleID, j.ParentID, j.Kind == stowage.JobVerify || j.Part()) // nobody asked for those
	if err != nil {
		return fmt.Errorf("write job %s: %w", j.ID, err)
	}
	return tellOfTask(ctx, tx, *j, j.State, j.Fence, j.CreatedAt)
}

// Job gives one job.
func (d *DB) Job(ctx context.Context, id string) (stowage.Job, error) {
	if !ascii(id) {
		return stowage.Job{}, stowage.Errorf(stowage.NotFound, "Job %s could not be found.", id)
	}
	j, err := scanJob(d.sql.QueryRowContext(ctx, "SELECT "+jobColumns+" FROM jobs WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return j, stowage.Errorf(stowage.NotFound, "Job %s could not be found.", id)
	}
	if err != nil {
		return j, fmt.Errorf("read job %s: %w", id, unavailable(err))
	}
	return j, nil
}

// LatestJobs gives, for each of the backups, the job that was written last, of
// those that can change its status.
func (d *DB) LatestJobs(ctx context.Context, backups []int64) (map[int64]stowage.Job, error) {
	latest := make(map[int64]stowage.Job, len(backups))
	if len(backups) == 0 {
		return latest, nil
	}
	marks, args := markers(backups)
	jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE seq IN
		(SELECT MAX(seq) FROM jobs WHERE backup_id IN (`+marks+`) AND kind NOT IN (?, ?) GROUP BY backup_id)`,
		append(args, stowage.JobMount, stowage.JobUnmount)...)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		latest[j.BackupID] = j
	}
	return latest, nil
}

// MakingJobs gives, for each of the backups, the job that makes or made it, and of a
// server's the one that follows, which stores it.
func (d *DB) MakingJobs(ctx context.Context, backups []int64) (making, storing map[int64]stowage.Job, err error) {
	making, storing = make(map[int64]stowage.Job, len(backups)), map[int64]stowage.Job{}
	for part := range slices.Chunk(backups, 500) {
		marks, args := markers(part)
		jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE backup_id IN (`+marks+`) AND kind IN (?, ?, ?)`,
			append(args, stowage.JobBackup, stowage.JobExport, stowage.JobStore)...)
		if err != nil {
			return nil, nil, err
		}
		for _, j := range jobs {
			if j.Kind == stowage.JobStore {
				storing[j.BackupID] = j
			} else {
				making[j.BackupID] = j
			}
		}
	}
	return making, storing, nil
}

// BackupJobs gives all jobs of one backup, in the order they were written.
func (d *DB) BackupJobs(ctx context.Context, backup int64) ([]stowage.Job, error) {
	return d.queryJobs(ctx, "SELECT "+jobColumns+" FROM jobs WHERE backup_id = ? ORDER BY seq", backup)
}

func (d *DB) queryJobs(ctx context.Context, q string, args ...any) ([]stowage.Job, error) {
	return query(ctx, d, "list jobs", scanJob, q, args...)
}

func markers[T any](values []T) (string, []any) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return strings.TrimSuffix(strings.Repeat("?,", len(values)), ","), args
}
