package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

const runColumns = `id, schedule_id, project_id, due, window_end, state, full_backup, created_at, ended_at`

func scanRun(row rower) (stowage.Run, error) {
	var (
		r  stowage.Run
		at [4]int64
	)
	err := row.Scan(&r.ID, &r.ScheduleID, &r.ProjectID, &at[0], &at[1], &r.State, &r.Full, &at[2], &at[3])
	r.Due, r.WindowEnd, r.CreatedAt, r.EndedAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2]), fromMicros(at[3])
	return r, err
}

const entryColumns = `run_id, entity_id, policy_id, rule_id, job_id, state, reason`

func scanEntry(row rower) (e stowage.Entry, err error) {
	return e, row.Scan(&e.RunID, &e.EntityID, &e.PolicyID, &e.RuleID, &e.JobID, &e.State, &e.Reason)
}

// PlannedRun is a run that is to be written, with its entities.
type PlannedRun struct {
	stowage.Run
	Entries []stowage.Entry
}

// BeginRuns moves a schedule from the time that is due to the next one, and writes
// the runs of the times between. Conflict: somebody else has. A due time that has
// a run already gets no other, unless a clock that was ahead wrote that one.
func (d *DB) BeginRuns(ctx context.Context, s stowage.Schedule, next time.Time, runs []PlannedRun) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		last := s.LastRun
		for _, r := range runs {
			if r.State != stowage.RunMissed {
				last = r.Due
			}
		}
		res, err := tx.ExecContext(ctx, `UPDATE schedules SET next_due = ?, last_run = ? WHERE id = ? AND active = 1 AND next_due = ?`,
			micros(next), micros(last), s.ID, micros(s.NextDue))
		if err != nil {
			return fmt.Errorf("move schedule %s: %w", s.ID, err)
		}
		if err := moved(res, "move schedule "+s.ID); err != nil {
			return err
		}
		for _, r := range runs {
			if err := insertRun(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func insertRun(ctx context.Context, tx *sql.Tx, r PlannedRun) error {
	res, err := tx.ExecContext(ctx, `INSERT INTO schedule_runs (schedule_id, project_id, due, window_end, state, full_backup, created_at, ended_at)
		VALUES (?,?,?,?,?,?,?,?)`, r.ScheduleID, r.ProjectID, micros(r.Due), micros(r.WindowEnd), r.State, r.Full, micros(r.CreatedAt), micros(r.EndedAt))
	if duplicate(err) {
		if ahead, err := dropAhead(ctx, tx, r); err != nil || !ahead {
			return err
		}
		return insertRun(ctx, tx, r)
	}
	if err != nil {
		return fmt.Errorf("write run of schedule %s: %w", r.ScheduleID, err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("write run of schedule %s: %w", r.ScheduleID, err)
	}
	for _, e := range r.Entries {
		_, err := tx.ExecContext(ctx, `INSERT INTO run_entries (`+entryColumns+`) VALUES (?,?,?,?,?,?,?)`,
			id, e.EntityID, e.PolicyID, e.RuleID, e.JobID, e.State, clip(e.Reason, 1024))
		if err != nil {
			return fmt.Errorf("write entity %s of a run: %w", e.EntityID, err)
		}
	}
	return nil
}

// clockOff is how far apart the clocks of those may be who write runs.
const clockOff = time.Hour

// dropAhead forgets the run that stands at the due time of a real one, if it was written
// by a clock that was ahead, and reports whether it was. That it is dated later than now
// tells; or that a run was written behind it, and is dated much earlier.
func dropAhead(ctx context.Context, tx *sql.Tx, r PlannedRun) (bool, error) {
	var id, created int64
	what := fmt.Sprintf("look at the run of schedule %s at %s", r.ScheduleID, r.Due)
	err := tx.QueryRowContext(ctx, `SELECT id, created_at FROM schedule_runs WHERE schedule_id = ? AND due = ?`, r.ScheduleID, micros(r.Due)).Scan(&id, &created)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	if created <= micros(r.CreatedAt.Add(clockOff)) {
		var behind int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM schedule_runs WHERE id > ? AND created_at < ?`, id, created-clockOff.Microseconds()).Scan(&behind)
		if err != nil {
			return false, fmt.Errorf("%s: %w", what, err)
		}
		if behind == 0 {
			return false, nil
		}
	}
	for _, q := range []string{`DELETE FROM run_entries WHERE run_id = ?`, `DELETE FROM schedule_runs WHERE id = ?`} {
		if _, err := tx.ExecContext(ctx, q, id); err != nil {
			return false, fmt.Errorf("forget a run from the future: %w", err)
		}
	}
	return true, nil
}

// RunsUnderWay gives runs behind an id that have not ended, the oldest first.
func (d *DB) RunsUnderWay(ctx context.Context, after int64, limit int) ([]stowage.Run, error) {
	return query(ctx, d, "list runs", scanRun, `SELECT `+runColumns+` FROM schedule_runs WHERE state = ? AND id > ? ORDER BY id LIMIT ?`,
		stowage.RunRunning, after, limit)
}

// TakeEntries gives entities of a run that wait, and that nobody has tried since
// the given time. Who is given one has the time until then for it to himself. What was
// tried in the future was tried by a clock that was ahead, and does not count.
func (d *DB) TakeEntries(ctx context.Context, run int64, triedBefore, now time.Time, limit int) ([]stowage.Entry, error) {
	list, err := query(ctx, d, "list entities of a run", scanEntry, `SELECT `+entryColumns+` FROM run_entries
		WHERE run_id = ? AND state = ? AND (tried_at <= ? OR tried_at > ?) ORDER BY tried_at, entity_id LIMIT ?`,
		run, stowage.EntryWaiting, micros(triedBefore), micros(now.Add(clockOff)), limit)
	if err != nil {
		return nil, err
	}
	var mine []stowage.Entry
	for _, e := range list {
		err := d.inTx(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, `UPDATE run_entries SET tried_at = ? WHERE run_id = ? AND entity_id = ? AND state = ? AND (tried_at <= ? OR tried_at > ?)`,
				micros(now), run, e.EntityID, stowage.EntryWaiting, micros(triedBefore), micros(now.Add(clockOff)))
			if err != nil {
				return fmt.Errorf("take entity %s of a run: %w", e.EntityID, err)
			}
			return moved(res, "take entity "+e.EntityID+" of a run")
		})
		switch {
		case err == nil:
			mine = append(mine, e)
		case stowage.CodeOf(err) != stowage.Conflict:
			return mine, err
		}
	}
	return mine, nil
}

// RenewEntry gives an entity of a run that waits another id for its job, which is not
// there yet. Conflict: it does not wait any more, or somebody else has.
func (d *DB) RenewEntry(ctx context.Context, e stowage.Entry, job string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		what := fmt.Sprintf("renew entity %s of run %d", e.EntityID, e.RunID)
		res, err := tx.ExecContext(ctx, `UPDATE run_entries SET job_id = ? WHERE run_id = ? AND entity_id = ? AND state = ? AND job_id = ?`,
			job, e.RunID, e.EntityID, stowage.EntryWaiting, e.JobID)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return moved(res, what)
	})
}

// Held reports whether a job other than this one may hold a volume: it has locked it, or
// tried to, and has not given it back yet, even if it has ended.
func (d *DB) Held(ctx context.Context, volume, but string) (bool, error) {
	n, err := d.count(ctx, "look for locks on volume "+volume, `SELECT COUNT(*) FROM jobs WHERE lock_state IN (?, ?) AND (lock_state = ? OR state <> ?) AND volume_id = ? AND id <> ?`,
		[]any{stowage.LockHeld, stowage.LockWanted, stowage.LockHeld, stowage.JobQueued, volume, but})
	return n > 0, err
}

// SetEntry writes what became of an entity of a run that waits; nothing if it does
// not wait any more, or for another job.
func (d *DB) SetEntry(ctx context.Context, e stowage.Entry) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE run_entries SET state = ?, reason = ? WHERE run_id = ? AND entity_id = ? AND state = ? AND job_id = ?`,
			e.State, clip(e.Reason, 1024), e.RunID, e.EntityID, stowage.EntryWaiting, e.JobID)
		if err != nil {
			return fmt.Errorf("write entity %s of run %d: %w", e.EntityID, e.RunID, err)
		}
		return nil
	})
}

// SkipEntries writes that what waits of a policy in a run is not to be.
func (d *DB) SkipEntries(ctx context.Context, run int64, policy, reason string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE run_entries SET state = ?, reason = ? WHERE run_id = ? AND policy_id = ? AND state = ?`,
			stowage.EntrySkipped, clip(reason, 1024), run, policy, stowage.EntryWaiting)
		if err != nil {
			return fmt.Errorf("skip entities of run %d: %w", run, err)
		}
		return nil
	})
}

// Tally is how many entities of a policy in a run are where.
type Tally struct {
	PolicyID string
	State    stowage.EntryState
	Job      stowage.JobState // of those begun; empty: nobody knows any more
	N        int
}

// RunTally counts the entities of a run. A server's backup is made when what follows
// the export has ended.
func (d *DB) RunTally(ctx context.Context, run int64) ([]Tally, error) {
	return query(ctx, d, "count entities of a run", func(row rower) (t Tally, err error) {
		return t, row.Scan(&t.PolicyID, &t.State, &t.Job, &t.N)
	}, `SELECT e.policy_id, e.state, COALESCE(s.state, j.state, '') AS job, COUNT(*) FROM run_entries e LEFT JOIN jobs j ON j.id = e.job_id
		LEFT JOIN jobs s ON s.parent_id = e.job_id AND s.kind = ?
		WHERE e.run_id = ? GROUP BY e.policy_id, e.state, job`, stowage.JobStore, run)
}

// QueuedOfRun gives jobs of a policy in a run that nobody has begun.
func (d *DB) QueuedOfRun(ctx context.Context, run int64, policy string) ([]stowage.Job, error) {
	return d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ? AND attempt = 0 AND id IN
		(SELECT job_id FROM run_entries WHERE run_id = ? AND policy_id = ?) ORDER BY seq LIMIT 1000`, stowage.JobQueued, run, policy)
}

// EndRun writes that a run has ended, with the jobs that clean up behind it: both
// once. Conflict: it has.
func (d *DB) EndRun(ctx context.Context, run int64, cleanups []stowage.Job, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE schedule_runs SET state = ?, ended_at = ? WHERE id = ? AND state = ?`,
			stowage.RunFinished, micros(now), run, stowage.RunRunning)
		if err != nil {
			return fmt.Errorf("end run %d: %w", run, err)
		}
		if err := moved(res, fmt.Sprintf("end run %d", run)); err != nil {
			return err
		}
		for _, j := range cleanups {
			if err := insertJob(ctx, tx, &j); err != nil {
				return err
			}
		}
		return nil
	})
}

// Runs lists the runs of a schedule, the newest first, and tells how many there are.
func (d *DB) Runs(ctx context.Context, schedule string, p Page) ([]stowage.Run, int, error) {
	total, err := d.count(ctx, "count runs", `SELECT COUNT(*) FROM schedule_runs WHERE schedule_id = ?`, []any{schedule})
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list runs", scanRun, `SELECT `+runColumns+` FROM schedule_runs WHERE schedule_id = ? ORDER BY due DESC LIMIT ? OFFSET ?`,
		schedule, p.Limit, p.Offset)
	return list, total, err
}

// RunEntries gives the entities of each of the runs.
func (d *DB) RunEntries(ctx context.Context, runs []int64) (map[int64][]stowage.Entry, error) {
	out := map[int64][]stowage.Entry{}
	for part := range slices.Chunk(runs, 100) {
		marks, args := markers(part)
		list, err := query(ctx, d, "list entities of runs", scanEntry,
			`SELECT `+entryColumns+` FROM run_entries WHERE run_id IN (`+marks+`) ORDER BY run_id, entity_id`, args...)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			out[e.RunID] = append(out[e.RunID], e)
		}
	}
	return out, nil
}

// DropRuns forgets some runs that ended before the given time, and tells how many.
func (d *DB) DropRuns(ctx context.Context, before time.Time, limit int) (int, error) {
	ids, err := query(ctx, d, "list old runs", func(row rower) (id int64, err error) { return id, row.Scan(&id) },
		`SELECT id FROM schedule_runs WHERE state IN (?, ?) AND ended_at < ? ORDER BY id LIMIT ?`, stowage.RunFinished, stowage.RunMissed, micros(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	marks, args := markers(ids)
	return len(ids), d.inTx(ctx, func(tx *sql.Tx) error {
		for _, q := range []string{`DELETE FROM run_entries WHERE run_id IN (`, `DELETE FROM schedule_runs WHERE id IN (`} {
			if _, err := tx.ExecContext(ctx, q+marks+`)`, args...); err != nil {
				return fmt.Errorf("forget old runs: %w", err)
			}
		}
		return nil
	})
}
