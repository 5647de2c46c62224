package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// A job is worked on by whoever holds its lease. Every claim, return and
// take-over makes the fence one greater, and everything a holder writes names
// the fence it was given: one who was taken for dead and is not can change
// nothing any more.

// Claim takes the best queued job for one of the backends (an empty key stands
// for jobs that any manager may do): highest priority first, then oldest. It
// gives NotFound when there is none.
func (d *DB) Claim(ctx context.Context, owner string, backends []string, now time.Time, lease time.Duration) (stowage.Job, error) {
	marks, args := markers(backends)
	args = append([]any{stowage.JobQueued}, args...)
	args = append(args, micros(now), micros(now))
	// Several, because another manager may be quicker with the first.
	jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ? AND backend IN (`+marks+`)
		AND ready_at <= ? AND window_start <= ? ORDER BY priority DESC, seq LIMIT 16`, args...)
	if err != nil {
		return stowage.Job{}, err
	}
	return d.claimOne(ctx, jobs, owner, now, lease)
}

// ClaimOverdue takes a queued job that has waited since before the given time
// (a job given back begins to wait again), or that had not begun when its
// window ended, whatever its backend: NotFound when there is none.
func (d *DB) ClaimOverdue(ctx context.Context, owner string, since, now time.Time, lease time.Duration) (stowage.Job, error) {
	jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ?
		AND (updated_at < ? AND window_start < ? OR window_end > 0 AND window_end < ? AND attempt = 0) ORDER BY seq LIMIT 16`,
		stowage.JobQueued, micros(since), micros(since), micros(now))
	if err != nil {
		return stowage.Job{}, err
	}
	return d.claimOne(ctx, jobs, owner, now, lease)
}

// claimOne claims the first of the jobs that nobody else is quicker with.
func (d *DB) claimOne(ctx context.Context, jobs []stowage.Job, owner string, now time.Time, lease time.Duration) (stowage.Job, error) {
	for _, j := range jobs {
		err := d.claim(ctx, &j, owner, now, lease)
		if stowage.CodeOf(err) == stowage.Conflict {
			continue
		}
		return j, err
	}
	return stowage.Job{}, stowage.Errorf(stowage.NotFound, "no job is waiting")
}

func (d *DB) claim(ctx context.Context, j *stowage.Job, owner string, now time.Time, lease time.Duration) error {
	started := j.StartedAt
	if started.IsZero() {
		started = now
	}
	host, _, _ := strings.Cut(owner, "/")
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE jobs SET state = ?, attempt = attempt + 1, fence = fence + 1,
			lease_owner = ?, lease_expires = ?, host = ?, started_at = ?, updated_at = ? WHERE id = ? AND state = ? AND fence = ?`,
			stowage.JobRunning, owner, micros(now.Add(lease)), host, micros(started), micros(now), j.ID, stowage.JobQueued, j.Fence)
		if err != nil {
			return fmt.Errorf("claim job %s: %w", j.ID, err)
		}
		if err := moved(res, "claim job "+j.ID); err != nil {
			return err
		}
		return tellOfTask(ctx, tx, *j, stowage.JobRunning, j.Fence+1, now)
	})
	if err != nil {
		return err
	}
	j.State, j.LeaseOwner, j.LeaseExpires, j.Host = stowage.JobRunning, owner, now.Add(lease), host
	j.Attempt, j.Fence, j.StartedAt, j.UpdatedAt = j.Attempt+1, j.Fence+1, started, now
	return nil
}

// Renew makes the lease last until now+lease and notes the progress: Conflict
// when the job is no longer the holder's.
func (d *DB) Renew(ctx context.Context, j stowage.Job, now time.Time, lease time.Duration) error {
	return d.held(ctx, j, "renew job "+j.ID, `lease_expires = ?, percent = ?, bytes_done = ?, bytes_all = ?, updated_at = ?`,
		micros(now.Add(lease)), j.Percent, j.BytesDone, j.BytesAll, micros(now))
}

// Note writes what the holder must find again after a crash: lock, leftover
// snapshot, target and parameters.
func (d *DB) Note(ctx context.Context, j stowage.Job, now time.Time) error {
	params, err := json.Marshal(j.Params)
	if err != nil {
		return fmt.Errorf("note job %s: %w", j.ID, err)
	}
	return d.held(ctx, j, "note job "+j.ID, `lock_state = ?, attachment_id = ?, leftover = ?, volume_id = ?, backend = ?, params = ?, updated_at = ?`,
		j.Lock, j.AttachmentID, j.Leftover, j.VolumeID, j.Backend, string(params), micros(now))
}

// held updates a job that is in the state and under the fence the caller knows.
func (d *DB) held(ctx context.Context, j stowage.Job, what, set string, args ...any) error {
	return d.inTx(ctx, func(tx *sql.Tx) error { return heldIn(ctx, tx, j, what, set, args...) })
}

func heldIn(ctx context.Context, tx *sql.Tx, j stowage.Job, what, set string, args ...any) error {
	res, err := tx.ExecContext(ctx, `UPDATE jobs SET `+set+` WHERE id = ? AND state = ? AND fence = ?`,
		append(args, j.ID, j.State, j.Fence)...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return moved(res, what)
}

// Ready lets a queued job that nobody has claimed yet be claimed from now on,
// also by a manager whose clock is behind.
func (d *DB) Ready(ctx context.Context, j stowage.Job, now time.Time) error {
	return d.held(ctx, j, "ready job "+j.ID, `ready_at = 0, rung_at = ?, updated_at = ?`, micros(now), micros(now))
}

// Requeue gives a job back, to be claimed again at readyAt. Failures is how
// many more failures that is: 0 for a job given back in order.
func (d *DB) Requeue(ctx context.Context, j stowage.Job, reason string, failures int, readyAt, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		err := heldIn(ctx, tx, j, "give back job "+j.ID,
			`state = 'queued', fence = fence + 1, lease_owner = '', lease_expires = 0, rung_at = 0, ready_at = ?,
			failures = failures + ?, error = ?, updated_at = ?`,
			micros(readyAt), failures, clip(reason, 1024), micros(now))
		if err != nil {
			return err
		}
		return tellOfTask(ctx, tx, j, stowage.JobQueued, j.Fence+1, now)
	})
}

// TakeOver gives back all jobs whose lease ran out before now, and all that an
// earlier process of the same host held (its owner is not this one): that one
// is known to be dead. It gives the ids.
func (d *DB) TakeOver(ctx context.Context, host, owner string, now time.Time) ([]string, error) {
	jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ? ORDER BY seq LIMIT 10000`, stowage.JobRunning)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, j := range jobs {
		old := j.LeaseOwner != owner && strings.HasPrefix(j.LeaseOwner, host+"/")
		if !old && j.LeaseExpires.After(now) {
			continue
		}
		err := d.Requeue(ctx, j, "A backup manager stopped working on it.", 1, now, now)
		if stowage.CodeOf(err) == stowage.Conflict {
			continue
		}
		if err != nil {
			return ids, err
		}
		ids = append(ids, j.ID)
	}
	return ids, nil
}

// Unrung gives queued jobs that may be claimed and whose bell rang last before
// the given time, and notes that it rings now.
func (d *DB) Unrung(ctx context.Context, before, now time.Time, limit int) ([]stowage.Job, error) {
	jobs, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ? AND ready_at <= ? AND window_start <= ?
		AND rung_at < ? ORDER BY priority DESC, seq LIMIT ?`, stowage.JobQueued, micros(now), micros(now), micros(before), limit)
	if err != nil {
		return nil, err
	}
	var mine []stowage.Job
	for _, j := range jobs {
		err := d.held(ctx, j, "ring job "+j.ID, `rung_at = ?`, micros(now))
		if stowage.CodeOf(err) == stowage.Conflict {
			continue
		}
		if err != nil {
			return mine, err
		}
		mine = append(mine, j)
	}
	return mine, nil
}

// Locked gives ended jobs whose lock on a volume may not have been given back.
func (d *DB) Locked(ctx context.Context, limit int) ([]stowage.Job, error) {
	return d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE lock_state IN (?, ?) AND state IN (?, ?, ?) ORDER BY seq LIMIT ?`,
		stowage.LockWanted, stowage.LockHeld, stowage.JobFinished, stowage.JobFailed, stowage.JobCancelled, limit)
}

// Leftovers gives ended jobs whose snapshot may still be on one of the backends.
func (d *DB) Leftovers(ctx context.Context, backends []string, limit int) ([]stowage.Job, error) {
	if len(backends) == 0 {
		return nil, nil
	}
	marks, args := markers(backends)
	args = append([]any{true, stowage.JobFinished, stowage.JobFailed, stowage.JobCancelled}, args...)
	return d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE leftover = ? AND state IN (?, ?, ?)
		AND backend IN (`+marks+`) ORDER BY seq LIMIT ?`, append(args, limit)...)
}
