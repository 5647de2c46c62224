package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
)

// root begins the names of all objects of a backup, whatever the attempt.
func root(b stowage.Backup) string {
	return fmt.Sprintf("volume_%s/backup_%s/", b.Volume.ID, b.UUID)
}

// prefix begins the names of the objects of one attempt. The fence grows with
// every claim, so no name is ever used twice.
func prefix(b stowage.Backup, fence int64) string { return fmt.Sprintf("%s%08d/", root(b), fence) }

// snapshotName is the name of the snapshot while a transfer runs. It must not
// be of the form backup.<id>.snap.<x>: Cinder removes such snapshots with the
// volume, and what we read then would be zeros.
func snapshotName(b stowage.Backup) string { return snapshotPrefix + b.UUID }

const snapshotPrefix = "stowage-inflight."

// transient turns an error of a neighbour that is away into one to try again.
func transient(err error) error {
	if _, said := errors.AsType[*again](err); !said && stowage.CodeOf(err) == stowage.Unavailable {
		return &again{cause: err}
	}
	return err
}

// doBackup: lock, snapshot, free the volume, transfer, prove the snapshot,
// manifest, end, remove the snapshot.
func (t *task) doBackup(ctx context.Context) error {
	vols, ok := t.Manager.backend(t.job.Params.Volume.Backend)
	if !ok {
		return fmt.Errorf("backend %s is not open here", t.job.Params.Volume.Backend)
	}
	store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
	if err != nil {
		return transient(err)
	}
	source, err := t.source(ctx, vols)
	if err != nil {
		return transient(err)
	}
	defer source.Close()
	if err := t.freeVolume(ctx); err != nil {
		return transient(err)
	}
	if t.job.Attempt > 1 {
		// What earlier attempts stored is not used again (yet). Later ones are
		// none of our business: we may be the slow one who was given up.
		mine := prefix(t.backup, t.job.Fence)
		if err := t.Engine.DeleteListed(ctx, store, root(t.backup), func(name string) bool { return name < mine }); err != nil {
			return transient(err)
		}
	}
	snap := t.job.Params.Snapshot
	t.job.Params.Prefix = prefix(t.backup, t.job.Fence)
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return transient(err)
	}
	result, err := t.Engine.Backup(ctx, engine.BackupInput{
		Source: source, Store: store, Prefix: t.job.Params.Prefix, Backup: t.backup.UUID, Volume: t.backup.Volume,
		SnapshotAt: snap.At, Progress: &t.progress,
		Check: func(ctx context.Context) error { return vols.CheckSnapshot(ctx, snap) },
	})
	if err != nil {
		return transient(err)
	}
	move := db.BackupMove{
		ID: t.backup.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Now: t.Now(),
		Result: &db.BackupResult{
			SizeGiB:     max(t.backup.SizeGiB, stowage.SizeGiB(result.VolumeBytes)),
			VolumeBytes: result.VolumeBytes, StoredBytes: result.StoredBytes, ObjectCount: result.ObjectCount,
			Manifest: result.Manifest, ManifestDigest: result.ManifestDigest, SnapshotAt: snap.At,
		},
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}) {
		return errLost
	}
	// Only now is it certain that nobody else reads the snapshot.
	t.job.State = stowage.JobFinished
	t.tidy(ctx, t.job)
	return nil
}

// source opens the snapshot this backup reads: the one an earlier attempt took
// if it is still there, or a new one of the locked volume.
func (t *task) source(ctx context.Context, vols drivers.Volumes) (drivers.Source, error) {
	if t.job.Params.Snapshot.ID != "" {
		source, err := vols.OpenSnapshot(ctx, t.job.Params.Snapshot)
		if stowage.CodeOf(err) != stowage.NotFound {
			return source, err
		}
		t.log.WarnContext(ctx, "the snapshot is gone, taking another", "snapshot", t.job.Params.Snapshot.Name)
	}
	if err := t.lockVolume(ctx, stowage.VolumeBackingUp); err != nil {
		return nil, err
	}
	t.job.Leftover = true
	t.job.Params.Snapshot = stowage.Snapshot{Name: snapshotName(t.backup), Volume: t.job.Params.Volume}
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return nil, err
	}
	snap, err := vols.CreateSnapshot(ctx, t.job.Params.Volume, snapshotName(t.backup))
	if err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	t.job.Params.Snapshot = snap
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return nil, err
	}
	return vols.OpenSnapshot(ctx, snap)
}

// lockVolume makes sure that the volume is locked for this job: by the API, by
// an earlier attempt, or now.
func (t *task) lockVolume(ctx context.Context, status string) error {
	attachment, err := t.Volumes.Lock(ctx, t.job.VolumeID, t.job.ID)
	late := t.job.Kind == stowage.JobRestore && !t.job.Params.NewVolume
	switch {
	case err == nil:
	case stowage.CodeOf(err) != stowage.NotFound:
		return err
	case t.job.Lock == stowage.LockHeld:
		return stowage.Errorf(stowage.Conflict, "The lock on volume %s was removed before the work was done.", t.job.VolumeID)
	case late:
		// The API died before it had the lock, and the volume was free for
		// minutes: what is on it now may not be what the tenant wanted gone.
		return stowage.Errorf(stowage.Conflict, "The restore was not begun in time: the API server stopped. Restore again.")
	default:
		t.job.Lock = stowage.LockWanted
		if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
			return err
		}
		if attachment, _, err = cloud.TakeVolume(ctx, t.Volumes, t.job.VolumeID, t.job.ID, status); err != nil {
			return fmt.Errorf("lock the volume: %w", err)
		}
	}
	if t.job.Lock == stowage.LockHeld && t.job.AttachmentID == attachment {
		return nil
	}
	// The API may have died between taking the lock and showing the status.
	if attachment, err = cloud.ShowStatus(ctx, t.Volumes, t.job.VolumeID, t.job.ID, status); err != nil {
		return err
	}
	t.job.Lock, t.job.AttachmentID = stowage.LockHeld, attachment
	return t.DB.Note(ctx, t.job, t.Now())
}

// freeVolume gives the volume back to its users.
func (t *task) freeVolume(ctx context.Context) error {
	if t.job.Lock != stowage.LockHeld && t.job.Lock != stowage.LockWanted {
		return nil
	}
	// Whoever has taken the job over needs the lock as it is.
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return err
	}
	if _, err := cloud.FreeVolume(ctx, t.Volumes, t.job.VolumeID, t.job.ID, t.job.AttachmentID); err != nil {
		return err
	}
	t.job.Lock, t.job.AttachmentID = stowage.LockReleased, ""
	return t.DB.Note(ctx, t.job, t.Now())
}

// undoBackup removes what a backup that has failed stored, as far as it goes
// now; the rest goes when the user deletes the backup. Only one whose end is
// written may do it: until then another attempt may be storing the backup.
func (t *task) undoBackup(ctx context.Context) {
	store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
	if err == nil {
		err = t.Engine.DeleteListed(ctx, store, root(t.backup), func(string) bool { return true })
	}
	if err != nil {
		t.log.WarnContext(ctx, "objects of the failed backup not removed", "error", err)
	}
}
