package manager

import (
	"context"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/rpc"
)

// A job that waits for others does no work of its own: it looks how they are, and is
// given back until they have ended. Whoever ends one of them wakes it.

// doStore ends the backup of a server when all its volumes are stored.
func (t *task) doStore(ctx context.Context) error {
	parts, err := t.DB.PartJobs(ctx, t.job.ParentID)
	if err != nil {
		return transient(err)
	}
	if err := t.await(ctx, parts, "stored"); err != nil {
		return err
	}
	var failed []stowage.Job
	result := db.BackupResult{}
	for _, j := range parts {
		if j.State != stowage.JobFinished {
			failed = append(failed, j)
			continue
		}
		b, err := t.DB.Backup(ctx, db.Scope{}, j.BackupID)
		if stowage.CodeOf(err) == stowage.NotFound {
			continue // deleted already, which is its owner's right
		}
		if err != nil {
			return transient(err)
		}
		result.Add(b)
	}
	if len(failed) > 0 {
		return t.partsFailed(ctx, failed, len(parts))
	}
	move := db.BackupMove{ID: t.backup.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Result: &result, Now: t.Now()}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

// tellSet has the backup of a volume tell what server's backup it is part of: with the
// database lost, the objects alone say how a server is built again. What does not fit
// is left out, since the volume can be restored without it.
func (t *task) tellSet(ctx context.Context, info *manifest.Info) error {
	if t.backup.SetID == 0 {
		return nil
	}
	set, err := t.DB.Backup(ctx, db.Scope{}, t.backup.SetID)
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		return err
	}
	if err == nil && set.Server == nil {
		err = stowage.Errorf(stowage.Invalid, "It is not of a server.")
	}
	id := uuid.Nil
	if err == nil {
		id, err = uuid.Parse(set.UUID)
	}
	if err == nil {
		err = info.AddSet(&manifest.Set{Backup: id, Name: set.Name, Description: set.Description, CreatedAt: set.CreatedAt, Server: *set.Server})
	}
	if err != nil {
		t.log.WarnContext(ctx, "the backup is stored without what the server is", "set", t.backup.SetID, "error", err)
	}
	return nil
}

// await gives nil when all jobs have ended, and otherwise the error that gives this
// one back. What somebody wishes of this one is wished of them.
func (t *task) await(ctx context.Context, jobs []stowage.Job, done string) error {
	wish := t.cancelWanted(ctx)
	open := 0
	for _, j := range jobs {
		if j.State.Ended() {
			continue
		}
		open++
		if wish == nil {
			continue
		}
		if err := t.DB.WantCancel(ctx, j, wish.Error()); err != nil && stowage.CodeOf(err) != stowage.Conflict {
			return transient(err)
		}
	}
	if open == 0 {
		return nil
	}
	return t.waitFor("%d of %d volumes are not %s yet.", open, len(jobs), done)
}

// partsFailed gives the error that ends a job whose parts did not all finish.
func (t *task) partsFailed(ctx context.Context, failed []stowage.Job, of int) error {
	if wish := t.cancelWanted(ctx); wish != nil {
		return wish
	}
	return stowage.Errorf(stowage.Unavailable, "%d of %d volumes failed. Volume %s: %s", len(failed), of, failed[0].EntityID, failed[0].Error)
}

// wake has the job looked at again that waits for one that has ended.
func (m *Manager) wake(ctx context.Context, ended stowage.Job) {
	if ended.ParentID == "" {
		return
	}
	waits := ended.ParentID
	if ended.Kind == stowage.JobImport { // then it is the run of a plan, if any, that waits
		if restore, err := m.DB.Job(ctx, waits); err == nil {
			waits = restore.ParentID
		}
	}
	n, err := m.DB.Wake(ctx, waits, m.Now())
	if err != nil {
		m.Log.WarnContext(ctx, "waiting job not woken, it looks again by itself", "job", ended.ParentID, "error", err)
		return
	}
	if n > 0 {
		m.ring(ctx, rpc.AnyQueue, ended)
	}
}

// ringParts rings once for each backend whose jobs were let go, and for the one that
// waits for them.
func (t *task) ringParts(ctx context.Context, pieces []piece) {
	rung := map[string]bool{}
	for _, p := range pieces {
		if queue := rpc.BackendQueue(p.job.Backend); !rung[queue] {
			rung[queue] = true
			t.ring(ctx, queue, p.job)
		}
	}
	t.ring(ctx, rpc.AnyQueue, t.job)
}

// ring rings a bell; one that is lost costs the time until the next sweep.
func (m *Manager) ring(ctx context.Context, queue string, j stowage.Job) {
	ctx, cancel := context.WithTimeout(ctx, m.SweepInterval)
	defer cancel()
	if err := m.Transport.Ring(ctx, queue, rpc.Bell{JobID: j.ID, RequestID: j.RequestID}); err != nil {
		m.Log.DebugContext(ctx, "bell not rung", "job", j.ID, "queue", queue, "error", err)
	}
}
