package manager

import (
	"context"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// reason is what users are told of an error.
func reason(err error) string {
	if m := stowage.MessageOf(err); m != "" {
		return m
	}
	return "An internal error; the manager's log tells more."
}

// fail ends the job as failed or cancelled, clears up what can be cleared up now,
// and moves the backup as its kind says.
func (t *task) fail(ctx context.Context, state stowage.JobState, err error) {
	move := &db.BackupMove{ID: t.job.BackupID, FailReason: reason(err), Now: t.Now()}
	var reach func(context.Context) (*db.ReachMove, error)
	switch t.job.Kind {
	case stowage.JobBackup:
		move.From, move.To = stowage.BackupCreating, stowage.BackupError
		reach = t.reachFailed
	case stowage.JobExport, stowage.JobStore:
		move.From, move.To = stowage.BackupCreating, stowage.BackupError
	case stowage.JobRestore, stowage.JobImport:
		move.From, move.To = stowage.BackupRestoring, stowage.BackupAvailable
		move.FailReason = "Restore failed: " + move.FailReason
		if state == stowage.JobCancelled {
			move.FailReason = "Restore: " + reason(err)
		}
		if stowage.CodeOf(err) == stowage.Corrupt {
			move.To = stowage.BackupError
		}
	case stowage.JobDelete:
		move.From, move.To = stowage.BackupDeleting, stowage.BackupError
	case stowage.JobVerify:
		t.verifyFailed(ctx)
		move = nil
	default:
		move = nil
	}
	if !t.end(ctx, db.JobEnd{State: state, Error: reason(err), Move: move, Now: t.Now()}, reach) {
		t.lost(ctx)
		return
	}
	t.job.State = state
	switch t.job.Kind {
	case stowage.JobBackup:
		t.undoBackup(ctx)
	case stowage.JobExport:
		parts, look := t.DB.PartJobs(ctx, t.job.ID)
		if look != nil {
			t.log.WarnContext(ctx, "parts not ended, a sweep will", "error", look)
		}
		t.dropParts(ctx, parts, move.FailReason)
	}
	t.tidy(ctx, t.job)
}

// end writes the end of the job, for as long as the lease lasts: the work is
// done, and only this is missing. reach, if any, tells what it means for the
// lineage as it is now; should that move on meanwhile, it is asked again.
// False: it is another's job now.
func (t *task) end(ctx context.Context, end db.JobEnd, reach func(context.Context) (*db.ReachMove, error)) bool {
	t.ending.Store(true)
	var tried int64 = -1 // the lineage's version that was tried
	for stale := 0; ; {
		var err error
		if reach != nil {
			end.Reach, err = reach(ctx)
		}
		if err == nil {
			err = t.DB.End(ctx, t.job, end)
		}
		switch {
		case err == nil:
			t.job.FinishedAt = end.Now
			t.wake(ctx, t.job)
			return true
		case stowage.CodeOf(err) == stowage.Conflict && end.Reach != nil && end.Reach.Lineage.Version != tried && ctx.Err() == nil:
			tried = end.Reach.Lineage.Version
			continue
		case stowage.CodeOf(err) == stowage.Conflict && end.Reach != nil && end.Move != nil && stale < staleReads && t.standsAt(ctx, end.Move.From):
			// The lineage has moved on, and this node of the database has not heard of it.
			stale++
			pause(ctx, t.RetryDelay/10)
			continue
		case stowage.CodeOf(err) == stowage.Conflict && end.Move != nil && t.stillOurs(ctx):
			// Then it is the backup that somebody has changed by hand. The job
			// must end all the same, or it is done again for ever.
			t.log.ErrorContext(ctx, "the backup is not in the status the job left it in", "error", err)
			end = db.JobEnd{State: stowage.JobFailed, Error: "The backup was changed meanwhile.", Now: end.Now}
			if reach != nil {
				reach = t.reachFailed // and what was stored is nobody's
			}
			continue
		case stowage.CodeOf(err) == stowage.Conflict || ctx.Err() != nil:
			t.log.ErrorContext(ctx, "end of the job not written", "error", err)
			return false
		}
		t.log.WarnContext(ctx, "end of the job not written yet", "error", err)
		pause(ctx, time.Second)
	}
}

// staleReads is how often a read that may be old is done again: for a minute, usually.
const staleReads = 60

// standsAt reports whether the backup's row says that it is in the status.
func (t *task) standsAt(ctx context.Context, status stowage.BackupStatus) bool {
	b, err := t.DB.Backup(ctx, db.Scope{}, t.backup.ID)
	return err == nil && b.Status == status
}

// stillOurs reports whether the job's row says so.
func (t *task) stillOurs(ctx context.Context) bool {
	now, err := t.DB.Job(ctx, t.job.ID)
	return err == nil && now.Fence == t.job.Fence && now.State == t.job.State
}
