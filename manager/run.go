package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
)

var (
	// errDrained: the manager stops, the job is given back.
	errDrained = errors.New("the manager is shutting down")
	// errLost: the lease could not be renewed; the job is another's by now.
	errLost = errors.New("the lease was lost")
)

// again marks an error after which the job is given back and claimed later.
type again struct {
	cause error
	after time.Duration // 0: the usual delay
	free  bool          // no failure, just not yet
	waits bool          // for others, which is as it should be
}

func (a *again) Error() string { return a.cause.Error() }
func (a *again) Unwrap() error { return a.cause }

// waitFor gives a job back that has nothing to do until others have done something:
// whoever has done it wakes it, if it is one of ours.
func (t *task) waitFor(format string, args ...any) error {
	return &again{cause: stowage.Errorf(stowage.Unavailable, format, args...), after: t.RetryDelay / 5, free: true, waits: true}
}

// cancelled marks the end of work that somebody does not want any more.
type cancelled struct{ reason string }

func (c *cancelled) Error() string { return c.reason }

// task is one attempt at a job.
type task struct {
	*Manager
	job      stowage.Job
	backup   stowage.Backup
	progress engine.Progress
	renewed  atomic.Pointer[time.Time] // when the lease was last renewed
	ending   atomic.Bool               // from here on a lease that cannot be renewed means that the job has ended
	log      *slog.Logger
}

// run does one attempt at a claimed job, to whatever end.
func (m *Manager) run(hard context.Context, job stowage.Job) {
	t := m.task(job)
	ctx, cancel := context.WithCancelCause(hard)
	defer cancel(nil)
	renewed := make(chan struct{})
	stopRenewing, stop := context.WithCancel(ctx)
	go func() { defer close(renewed); t.renew(stopRenewing, job, cancel) }()

	level := slog.LevelInfo
	if job.Stepwise() && job.Attempt > 1 { // it looks how the others get on, again and again
		level = slog.LevelDebug
	}
	t.log.Log(ctx, level, "job begins")
	err := t.attempt(ctx)
	stop()
	<-renewed
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	t.settle(context.WithoutCancel(ctx), err)
}

func (m *Manager) task(job stowage.Job) *task {
	t := &task{Manager: m, job: job, log: m.Log.With("job", job.ID, "kind", job.Kind, "backup", job.BackupID,
		"volume", job.VolumeID, "attempt", job.Attempt, "request_id", job.RequestID)}
	now := time.Now()
	t.renewed.Store(&now)
	return t
}

// fresh reports whether the lease certainly has time left: by the clock that
// stands still with the machine, and by the one that does not.
func (t *task) fresh() bool {
	last := *t.renewed.Load()
	return time.Since(last) < t.Lease*2/3 && time.Now().Round(0).Sub(last.Round(0)) < t.Lease*2/3
}

// renew keeps the lease of the job as it was claimed, and tells its progress
// (the task's own copy of the job belongs to the runner). When it cannot, it cancels the work while the lease
// still has a third of its time to run.
func (t *task) renew(ctx context.Context, j stowage.Job, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(min(t.Lease/6, 5*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		j.Percent = t.progress.Percent()
		j.BytesDone, j.BytesAll = t.progress.Get()
		attempt, stop := context.WithTimeout(ctx, t.Lease/6)
		err := t.DB.Renew(attempt, j, t.Now(), t.Lease)
		stop()
		switch {
		case err == nil:
			t.renewed.Store(&begun)
			if j.Stepwise() {
				continue // it looks by itself, between its steps, and has to remove what it made
			}
			if wish := t.cancelWanted(ctx); wish != nil && !t.ending.Load() {
				t.log.Info("work is to stop", "reason", wish)
				cancel(wish)
				return // what is to be undone takes less than the lease
			}
		case ctx.Err() != nil, t.ending.Load():
			return
		case stowage.CodeOf(err) == stowage.Conflict, !t.fresh():
			t.log.Warn("lease lost, work stops", "error", err)
			cancel(errLost)
			return
		default:
			t.log.Warn("lease not renewed, will be tried again", "error", err)
		}
	}
}

// cancelWanted gives the end that somebody wishes the work had; nil: nobody does.
func (t *task) cancelWanted(ctx context.Context) error {
	reason, err := t.DB.CancelWanted(ctx, t.job.ID)
	if err != nil || reason == "" {
		return nil // whoever cannot be asked now is asked again
	}
	return &cancelled{reason}
}

// attempt does the work of one attempt.
func (t *task) attempt(ctx context.Context) error {
	if err := t.readBackup(ctx); err != nil {
		return transient(err)
	}
	if wish := t.cancelWanted(ctx); wish != nil && !t.job.Stepwise() && t.job.Kind != stowage.JobDelete {
		return wish
	}
	switch {
	case !t.job.WindowEnd.IsZero() && t.job.Attempt == 1 && t.Now().After(t.job.WindowEnd):
		return stowage.Errorf(stowage.Unavailable, "The job did not begin inside its window.")
	case !t.job.Stepwise() && t.job.Kind != stowage.JobDelete && t.job.Failures >= max(t.attempts(), t.MaxAttempts): // managers that died count, too, and are nobody's retries
		return stowage.Errorf(stowage.Unavailable, "Given up after %d attempts: %s", t.job.Failures, t.job.Error)
	}
	if t.job.Params.Whole {
		return t.doWhole(ctx)
	}
	switch t.job.Kind {
	case stowage.JobBackup:
		return t.doBackup(ctx)
	case stowage.JobExport:
		return t.doExport(ctx)
	case stowage.JobStore:
		return t.doStore(ctx)
	case stowage.JobImport:
		return t.doImport(ctx)
	case stowage.JobRecovery:
		return t.doRecovery(ctx)
	case stowage.JobRestore:
		return t.doRestore(ctx)
	case stowage.JobDelete:
		return t.doDelete(ctx)
	case stowage.JobVerify:
		return t.doVerify(ctx)
	case stowage.JobMount:
		return t.doMount(ctx)
	case stowage.JobUnmount:
		return t.doUnmount(ctx)
	case stowage.JobInventory:
		return t.doInventory(ctx)
	case stowage.JobCleanup:
		return t.doCleanup(ctx)
	case stowage.JobSnapshot:
		return t.doSnapshot(ctx)
	case stowage.JobSnapshotCleanup:
		return t.doSnapshotCleanup(ctx)
	}
	return fmt.Errorf("there is no runner for jobs of kind %q", t.job.Kind)
}

// attempts is how often the job may fail before it is given up.
func (t *task) attempts() int {
	if t.job.Params.Retries != nil {
		return 1 + *t.job.Params.Retries
	}
	return t.MaxAttempts
}

// readBackup reads the backup that the job is about, if it is about one.
func (t *task) readBackup(ctx context.Context) (err error) {
	if t.job.BackupID == 0 {
		return nil
	}
	t.backup, err = t.DB.Backup(ctx, db.Scope{}, t.job.BackupID)
	if t.job.Kind == stowage.JobUnmount && stowage.CodeOf(err) == stowage.NotFound {
		return nil
	}
	return err
}

// settle brings the job to the state that the outcome asks for.
func (t *task) settle(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.Lease/3)
	defer cancel()
	retry, wantsAgain := errors.AsType[*again](err)
	wish, unwanted := errors.AsType[*cancelled](err)
	switch {
	case err == nil:
		t.log.InfoContext(ctx, "job finished")
	case errors.Is(err, errLost):
		// Whoever has the job now clears up; we may touch nothing any more.
		t.lost(ctx)
	case errors.Is(err, errDrained):
		t.log.InfoContext(ctx, "job given back", "reason", err)
		t.giveBack(ctx, err, 0, 0)
	case unwanted:
		t.log.InfoContext(ctx, "job cancelled", "reason", wish.reason)
		t.fail(ctx, stowage.JobCancelled, stowage.Errorf(stowage.Conflict, "%s", wish.reason))
	case wantsAgain && (retry.free || t.job.Kind == stowage.JobDelete || t.job.Failures+1 < t.attempts()):
		delay := retry.after
		if delay == 0 {
			delay = min(t.RetryDelay<<min(t.job.Failures, 10), 5*time.Minute)
		}
		if retry.waits {
			t.log.DebugContext(ctx, "job waits", "for", err, "delay", delay)
		} else {
			t.log.WarnContext(ctx, "attempt failed, will be tried again", "error", err, "delay", delay)
		}
		failures := 1
		if retry.free {
			failures = 0
		}
		t.giveBack(ctx, err, failures, delay)
	default:
		t.log.ErrorContext(ctx, "job failed", "error", err)
		t.fail(ctx, stowage.JobFailed, err)
	}
}

func (t *task) giveBack(ctx context.Context, why error, failures int, delay time.Duration) {
	err := t.DB.Requeue(ctx, t.job, reason(why), failures, t.Now().Add(delay), t.Now())
	if stowage.CodeOf(err) == stowage.Conflict {
		t.lost(ctx)
	} else if err != nil {
		t.log.WarnContext(ctx, "job not given back, its lease will run out", "error", err)
	}
}

// lost is called when the job turns out to be another's. While that one works,
// everything is his. Once the job has ended, what we made too late (a snapshot
// or a lock that he could not know of) would stay: both bear the job's name.
func (t *task) lost(ctx context.Context) {
	now, err := t.DB.Job(ctx, t.job.ID)
	if err != nil || !now.State.Ended() {
		t.log.WarnContext(ctx, "job left to another manager")
		return
	}
	t.log.WarnContext(ctx, "job was ended by another manager, nothing of ours may stay")
	if now.VolumeID != "" {
		if _, err := cloud.FreeVolume(ctx, t.Volumes, now.VolumeID, now.ID, ""); err != nil {
			t.log.WarnContext(ctx, "late lock not looked for", "error", err)
		}
	}
	if now.Kind == stowage.JobSnapshot {
		if err := t.lateSnapshots(ctx, now); err != nil {
			t.log.WarnContext(ctx, "late snapshots not looked for", "error", err)
		}
	}
	if now.Kind == stowage.JobExport {
		if err := t.tidyQuiesced(ctx, now); err != nil {
			t.log.WarnContext(ctx, "late snapshots of Nova's not looked for", "error", err)
		}
	}
	vols, ok := t.Manager.backend(now.Backend)
	if ok && now.Kind == stowage.JobBackup {
		late := stowage.Snapshot{Name: snapshotName(t.backup), Volume: now.Params.Volume}
		if err := vols.RemoveSnapshot(ctx, late); err != nil {
			t.log.WarnContext(ctx, "late snapshot not looked for", "error", err)
		}
	}
}
