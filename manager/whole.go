package manager

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// later turns an error of a neighbour that is away into one to look again after, for
// as long as a job may wait. Jobs of many steps are not given up for having been
// tried often, but for having taken too long: what they made must go then.
func (t *task) later(err error) error {
	if _, said := errors.AsType[*again](err); said || err == nil || stowage.CodeOf(err) != stowage.Unavailable {
		return err
	}
	if t.Now().Sub(t.job.CreatedAt) > t.QueueTimeout {
		return err
	}
	return &again{cause: err, after: t.RetryDelay, free: true}
}

// waitedEnough tells whether the job has waited for as long as jobs may, since it could
// have begun.
func (t *task) waitedEnough() bool {
	begun := t.job.CreatedAt
	if t.job.WindowStart.After(begun) {
		begun = t.job.WindowStart
	}
	return t.Now().Sub(begun) > t.QueueTimeout
}

// whileHeld has a job that Cinder refuses a volume tried again while another job of ours has
// that volume, for as long as it may wait, and within its window.
func (t *task) whileHeld(ctx context.Context, err error, volumes ...string) error {
	if code := stowage.CodeOf(err); code != stowage.Conflict && code != stowage.Invalid || t.waitedEnough() {
		return err
	}
	if end := t.job.WindowEnd; !end.IsZero() && t.Now().After(end) {
		return err
	}
	for _, v := range volumes {
		held, look := t.DB.Held(ctx, v, t.job.ID)
		if look != nil {
			return errors.Join(look, err)
		}
		if held {
			return &again{cause: stowage.Wrap(stowage.Unavailable, err, "Volume %s is being backed up or restored.", v), after: t.RetryDelay, free: true}
		}
	}
	return err
}

// doWhole does what a server's backup needs by way of those of its volumes.
func (t *task) doWhole(ctx context.Context) error {
	if t.Verbs == nil {
		return stowage.Errorf(stowage.Invalid, "This manager cannot do what servers need.")
	}
	if t.job.Kind == stowage.JobDelete {
		return t.doDeleteWhole(ctx)
	}
	return t.doRestoreWhole(ctx)
}

// doDeleteWhole deletes the backups of a server's volumes, and then the one that
// stands for them. One of them that is being restored is waited for.
func (t *task) doDeleteWhole(ctx context.Context) error {
	left, err := t.DB.SetBackups(ctx, t.backup.ID)
	if err != nil {
		return t.later(err)
	}
	var why error
	for _, b := range left {
		if b.Status != stowage.BackupAvailable && b.Status != stowage.BackupError {
			continue
		}
		if err := t.Verbs.DeletePart(ctx, t.job, b); err != nil {
			why = err
		}
	}
	if len(left) > 0 && t.Now().Sub(t.job.CreatedAt) <= t.QueueTimeout {
		return t.waitFor("%d of its volumes' backups are not deleted yet.", len(left))
	}
	if len(left) > 0 {
		return stowage.Wrap(stowage.Conflict, why, "%d of its volumes' backups could not be deleted.", len(left))
	}
	move := db.BackupMove{ID: t.backup.ID, From: stowage.BackupDeleting, Remove: true, Now: t.Now()}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

// doRestoreWhole restores the volumes of a server, each by a job of its own, and
// hands on to the job that builds the server. If one of them fails, the volumes that
// were made go again.
func (t *task) doRestoreWhole(ctx context.Context) error {
	err := t.later(t.restoreDisks(ctx))
	if err != nil {
		return t.undo(ctx, err)
	}
	end := db.JobEnd{State: stowage.JobFinished, Now: t.Now()}
	if t.job.Params.Rebuild.VolumesOnly {
		end.Move = &db.BackupMove{ID: t.backup.ID, From: stowage.BackupRestoring, To: stowage.BackupAvailable, Now: t.Now()}
	} else {
		now := t.Now()
		end.Next = &stowage.Job{
			ID: t.NewID(), Kind: stowage.JobImport, State: stowage.JobQueued, ProjectID: t.job.ProjectID, UserID: t.job.UserID, RequestID: t.job.RequestID,
			BackupID: t.job.BackupID, EntityID: t.job.EntityID, Priority: t.job.Priority, ParentID: t.job.ID, By: t.job.By,
			Params: stowage.JobParams{Rebuild: t.job.Params.Rebuild}, ReadyAt: now, CreatedAt: now, UpdatedAt: now,
		}
	}
	if !t.end(ctx, end, nil) {
		return errLost
	}
	return nil
}

func (t *task) restoreDisks(ctx context.Context) error {
	if t.job.Params.Rebuild == nil || t.Verbs == nil || t.Verbs.Servers == nil {
		return stowage.Errorf(stowage.Invalid, "This manager cannot restore servers.")
	}
	begun, err := t.DB.PartJobs(ctx, t.job.ID)
	if err == nil && t.job.Params.Rebuild.Overwrite && len(begun) == 0 {
		if err = t.cancelWanted(ctx); err == nil {
			err = t.Verbs.MayOverwrite(ctx, t.job)
		}
	}
	if err != nil {
		return err
	}
	var wish error
	for _, d := range t.job.Params.Rebuild.Disks {
		if wish = t.cancelWanted(ctx); wish != nil {
			break // what has not begun does not begin
		}
		if err := t.Verbs.RestoreDisk(ctx, t.job, d); err != nil {
			return err
		}
	}
	parts, err := t.DB.PartJobs(ctx, t.job.ID)
	if err != nil {
		return err
	}
	if err := t.await(ctx, parts, "restored"); err != nil {
		return err
	}
	if wish != nil {
		return wish
	}
	for _, j := range parts {
		if j.State != stowage.JobFinished {
			return stowage.Errorf(stowage.Conflict, "Volume %s: %s", j.EntityID, j.Error)
		}
	}
	t.removeTwins(ctx, parts)
	return nil
}

// removeTwins removes what Cinder made for a part besides the volume that was restored, after
// its answer was lost. The restored one bears no mark any more.
func (t *task) removeTwins(ctx context.Context, parts []stowage.Job) {
	for _, j := range parts {
		if !j.Params.NewVolume {
			continue
		}
		made, err := t.Volumes.FindVolumes(ctx, t.job.ProjectID, stowage.RestoreMark, j.ID)
		for _, v := range made {
			if v.ID != j.VolumeID && err == nil {
				err = t.Verbs.Servers.RemoveVolume(ctx, t.job.ProjectID, v.ID)
			}
		}
		if err != nil {
			t.log.WarnContext(ctx, "volumes that were made twice not removed", "part", j.ID, "error", err)
		}
	}
}

// undo removes what was made before a job that cannot go on ends. Until that is done,
// it does not end; an error that is to be tried again passes.
func (t *task) undo(ctx context.Context, cause error) error {
	if _, wait := errors.AsType[*again](cause); wait || t.Verbs == nil || t.Verbs.Servers == nil || context.Cause(ctx) != nil {
		return cause
	}
	if !t.fresh() || !t.stillOurs(ctx) { // what there is may be finished by another manager, and a user's by now
		return errLost
	}
	restore := t.job.ID
	if t.job.Kind == stowage.JobImport {
		restore = t.job.ParentID
	}
	err := t.undone(ctx, restore, cause)
	if err == nil {
		return cause
	}
	if _, wait := errors.AsType[*again](t.later(err)); wait || stowage.CodeOf(err) == stowage.Conflict && t.Now().Sub(t.job.CreatedAt) <= t.QueueTimeout {
		return &again{cause: stowage.Wrap(stowage.Unavailable, err, "What was made is being removed, since: %s", reason(cause)), after: t.RetryDelay, free: true}
	}
	t.log.ErrorContext(ctx, "what was made for a server is not all removed", "error", err)
	return cause
}

func (t *task) undone(ctx context.Context, restore string, cause error) error {
	if t.job.Kind == stowage.JobImport {
		if err := t.Verbs.Servers.RemoveServer(ctx, t.job.ProjectID, t.job.ID); err != nil {
			return err
		}
	}
	return t.removeVolumes(ctx, restore, reason(cause))
}

// removeVolumes removes the volumes that the parts of a restore made. Parts that have
// not ended are to stop, and are waited for.
func (t *task) removeVolumes(ctx context.Context, restore, why string) error {
	parts, err := t.DB.PartJobs(ctx, restore)
	if err != nil {
		return err
	}
	open := 0
	for _, j := range parts {
		if !j.State.Ended() {
			open++
			if err := t.DB.WantCancel(ctx, j, why); err != nil && stowage.CodeOf(err) != stowage.Conflict {
				return err
			}
			continue
		}
		if !j.Params.NewVolume {
			continue
		}
		made, err := t.Volumes.FindVolumes(ctx, t.job.ProjectID, stowage.RestoreMark, j.ID) // before the mark is taken off
		if err != nil {
			return err
		}
		if j.VolumeID != "" {
			made = append(made, cloud.Volume{ID: j.VolumeID})
		}
		for _, v := range made {
			if _, err := cloud.FreeVolume(ctx, t.Volumes, v.ID, j.ID, ""); err != nil {
				return err
			}
			if err := t.Verbs.Servers.RemoveVolume(ctx, t.job.ProjectID, v.ID); err != nil {
				return err
			}
		}
	}
	if open > 0 {
		return stowage.Errorf(stowage.Unavailable, "%d volumes are being restored yet.", open)
	}
	return nil
}

// doImport builds a server from volumes that were restored for it. If that fails, the
// server and the volumes go again.
func (t *task) doImport(ctx context.Context) error {
	if err := t.later(t.build(ctx)); err != nil {
		return t.undo(ctx, err)
	}
	plan := t.job.Params.Rebuild
	move := db.BackupMove{ID: t.backup.ID, From: stowage.BackupRestoring, To: stowage.BackupAvailable, Now: t.Now()}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Error: strings.Join(plan.Notes, " "), Move: &move, Now: t.Now()}, nil) {
		return errLost
	}
	if _, err := t.Verbs.AskInventory(ctx, cloud.User{}); err != nil {
		t.log.WarnContext(ctx, "the new server is not looked for at once", "error", err)
	}
	return nil
}

// build asks for the server if that was not done, and looks how it gets on.
func (t *task) build(ctx context.Context) error {
	plan := t.job.Params.Rebuild
	if plan == nil || t.Verbs == nil || t.Verbs.Servers == nil || t.backup.Server == nil {
		return stowage.Errorf(stowage.Invalid, "This manager cannot build servers.")
	}
	if wish := t.cancelWanted(ctx); wish != nil {
		return wish
	}
	if plan.ServerID == "" {
		req, err := t.serverRequest(ctx, plan)
		if err != nil {
			return err
		}
		id, notes, err := t.Verbs.Servers.BuildServer(ctx, t.job.ProjectID, req)
		if err != nil {
			return fmt.Errorf("build a server: %w", err)
		}
		plan.ServerID, plan.Notes = id, notes
		if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
			return err
		}
		if wish := t.cancelWanted(ctx); wish != nil { // Nova takes its time
			return wish
		}
	}
	state, err := t.Verbs.Servers.ServerState(ctx, plan.ServerID)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return stowage.Wrap(stowage.Conflict, err, "The server was deleted before it was built.")
	case err != nil:
		return err
	case state.Status == cloud.ServerError:
		return stowage.Errorf(stowage.Conflict, "The server could not be built: %s", state.Fault)
	case state.Status == cloud.ServerBuild && t.Now().Sub(t.job.CreatedAt) <= t.QueueTimeout:
		return t.waitFor("The server is being built.")
	case state.Status == cloud.ServerBuild:
		return stowage.Errorf(stowage.Conflict, "The server was not built in time.")
	}
	return nil
}

// serverRequest puts the server together from the plan, what it was, and the volumes
// that were restored.
func (t *task) serverRequest(ctx context.Context, plan *stowage.Rebuild) (cloud.ServerRequest, error) {
	was := t.backup.Server
	req := cloud.ServerRequest{
		Name: plan.Name, FlavorID: plan.FlavorID, ImageID: was.ImageID, Zone: plan.Zone, KeyName: was.KeyName, Metadata: was.Metadata,
		Tags: was.Tags, Config: was.Config, Ports: plan.Ports, Mark: t.job.ID,
	}
	for _, d := range plan.Disks {
		j, err := t.DB.Job(ctx, d.JobID)
		if err != nil {
			return req, err
		}
		if j.State != stowage.JobFinished { // a node of the database has not heard of its end yet
			return req, stowage.Errorf(stowage.Unavailable, "The end of the restore of volume %s is not to be read yet.", j.EntityID)
		}
		// Whoever restored it may have died as the volume was all that was left to free.
		if j.Lock == stowage.LockHeld {
			if _, err := t.freeEnded(ctx, j); err != nil {
				return req, err
			}
		}
		disk := d.ServerDisk
		disk.VolumeID = j.VolumeID
		req.Volumes = append(req.Volumes, disk)
	}
	return req, nil
}
