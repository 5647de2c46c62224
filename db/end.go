package db

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

// JobEnd is how a job ends, and the move of its backup that goes with it.
type JobEnd struct {
	State stowage.JobState // finished, failed or cancelled
	Error string           // for the user
	Move  *BackupMove      // nil: the backup stays as it is
	LetGo bool             // the job's parts may be claimed from now on
	Next  *stowage.Job     // the job that follows it; nil: none
	Reach *ReachMove       // nil: the set of objects of the job's backup stays as it is
	Mount *stowage.Mount   // that is served from now on, unless the job is to be cancelled: Conflict; nil: none. What waits for a job that ends otherwise has failed
	// The snapshot that was taken, of a job that took one. Of a job that ends otherwise it has failed.
	Snapshot *stowage.EntitySnapshot
	Now      time.Time
}

// End ends a job that is in the state and under the fence the caller knows,
// moves its backup, lets its parts go and changes what that reaches: all or nothing. A job that
// has ended so already (the first answer got lost) is no error; one that is
// another's now gives Conflict, and so does a lineage that has moved on. Which
// of the two, the lineage's version tells (Reaches): if it is another one, plan
// again.
func (d *DB) End(ctx context.Context, j stowage.Job, end JobEnd) error {
	if !j.State.May(end.State) {
		return stowage.Errorf(stowage.Conflict, "job %s from %s to %s: there is no such move", j.ID, j.State, end.State)
	}
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		percent := j.Percent
		if end.State == stowage.JobFinished {
			percent = 100
		}
		res, err := tx.ExecContext(ctx, `UPDATE jobs SET state = ?, error = ?, percent = ?, bytes_done = ?, bytes_all = ?,
			lock_state = ?, leftover = ?, lease_owner = '', lease_expires = 0, finished_at = ?, updated_at = ?
			WHERE id = ? AND state = ? AND fence = ?`,
			end.State, clip(end.Error, 1024), percent, j.BytesDone, j.BytesAll, j.Lock, j.Leftover, micros(end.Now), micros(end.Now),
			j.ID, j.State, j.Fence)
		if err != nil {
			return fmt.Errorf("end job %s: %w", j.ID, err)
		}
		if err := moved(res, "end job "+j.ID); err != nil {
			return err
		}
		if end.LetGo {
			if err := letGo(ctx, tx, j.ID, end.Now); err != nil {
				return err
			}
		}
		if end.Next != nil {
			if err := insertJob(ctx, tx, end.Next); err != nil {
				return err
			}
		}
		if end.Mount != nil {
			// Whoever unmounts writes to the job's row as we did: he came before us, or he
			// finds it served.
			if wish, err := wishOf(ctx, tx, j.ID); err != nil || wish != "" {
				return cmp.Or(err, error(stowage.Errorf(stowage.Conflict, "job %s is to be cancelled: %s", j.ID, wish)))
			}
			if err := serveMount(ctx, tx, *end.Mount, end.Now); err != nil {
				return err
			}
		} else if j.Kind == stowage.JobMount {
			if err := failMount(ctx, tx, j, end.Error, end.Now); err != nil {
				return err
			}
		}
		if j.Kind == stowage.JobSnapshot {
			if err := endSnapshot(ctx, tx, j, end); err != nil {
				return err
			}
		}
		if end.Reach != nil {
			if err := moveReach(ctx, tx, j.BackupID, *end.Reach); err != nil {
				return err
			}
		}
		if end.Move != nil {
			if err := moveBackup(ctx, tx, *end.Move); err != nil {
				return err
			}
		}
		if err := noteMoved(ctx, tx, j, end.State); err != nil {
			return err
		}
		return tellOfTask(ctx, tx, j, end.State, j.Fence, end.Now)
	})
	if stowage.CodeOf(err) != stowage.Conflict {
		return err
	}
	// Was it we who did it, and only the answer was lost?
	now, look := d.Job(ctx, j.ID)
	if look == nil && now.State == end.State && now.Fence == j.Fence {
		return nil
	}
	return err
}

// noteMoved writes on a job that made or restored a backup where that is, and, if it
// was done, how much it moved: what reports tell when the backup is long gone.
func noteMoved(ctx context.Context, tx *sql.Tx, j stowage.Job, state stowage.JobState) error {
	if !slices.Contains(moving, j.Kind) {
		return nil
	}
	done := state == stowage.JobFinished
	_, err := tx.ExecContext(ctx, `UPDATE jobs SET container = COALESCE((SELECT b.container FROM backups b WHERE b.id = jobs.backup_id), ''),
		volume_bytes = COALESCE((SELECT b.volume_bytes FROM backups b WHERE b.id = jobs.backup_id AND 1 = ?), 0),
		stored_bytes = COALESCE((SELECT b.stored_bytes FROM backups b WHERE b.id = jobs.backup_id AND 1 = ?), 0)
		WHERE id = ?`, done, done && j.Kind != stowage.JobRestore, j.ID)
	if err != nil {
		return fmt.Errorf("note what job %s moved: %w", j.ID, err)
	}
	return nil
}

// Tidied notes what of an ended job's lock and snapshot is no longer there.
func (d *DB) Tidied(ctx context.Context, j stowage.Job, now time.Time) error {
	return d.held(ctx, j, "note the tidying of job "+j.ID, `lock_state = ?, leftover = ?, updated_at = ?`, j.Lock, j.Leftover, micros(now))
}
