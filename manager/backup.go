package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
)

// volumePrefix begins the names of all objects of a volume.
func volumePrefix(volume string) string { return "volume_" + volume + "/" }

// backupPrefix begins the names of all objects that attempts at a backup write.
func backupPrefix(b stowage.Backup) string {
	return fmt.Sprintf("%sbackup_%s/", volumePrefix(b.Volume.ID), b.UUID)
}

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
	closed := sync.OnceFunc(func() { _ = source.Close() }) // it was only read: an error loses nothing
	defer closed()
	if err := t.freeVolume(ctx); err != nil {
		return transient(err)
	}
	result, err := t.store(ctx, vols, source, store)
	if err != nil {
		return transient(err)
	}
	move := db.BackupMove{
		ID: t.backup.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Now: t.Now(),
		Result: &db.BackupResult{
			SizeGiB:     max(t.backup.SizeGiB, stowage.SizeGiB(result.VolumeBytes)),
			VolumeBytes: result.VolumeBytes, StoredBytes: result.StoredBytes, ObjectCount: result.ObjectCount,
			Incremental: result.Mode != engine.Full, Manifest: result.Root, ManifestDigest: result.RootDigest,
			SnapshotAt: t.job.Params.Read().At,
		},
	}
	reach := func(ctx context.Context) (*db.ReachMove, error) { return t.reachMade(ctx, result.Reach, result.Spare) }
	// Once the job has ended anybody may remove the snapshot, a sweep too: one of its own
	// that is open Cinder may be unable to remove, and does not try again.
	closed()
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}, reach) {
		return errLost
	}
	// Only now is it certain that nobody else reads the snapshot.
	t.job.State = stowage.JobFinished
	t.tidy(ctx, t.job)
	return nil
}

// store has the engine store what is new in the source.
func (t *task) store(ctx context.Context, vols drivers.Volumes, source drivers.Source, store drivers.Store) (engine.BackupResult, error) {
	none := engine.BackupResult{}
	id, err := uuid.Parse(t.backup.UUID)
	if err != nil {
		return none, fmt.Errorf("backup %d: %w", t.backup.ID, err)
	}
	key, err := t.Keys.New(ctx, t.backup.ProjectID)
	if err != nil {
		return none, err
	}
	snap := t.job.Params.Read()
	attempt := manifest.Attempt{Backup: id, Fence: uint64(t.job.Fence)}
	in := engine.BackupInput{
		Source: source, Store: store, Attempt: attempt, Key: key, Progress: &t.progress,
		Info: manifest.Info{
			Backup: id, Fence: attempt.Fence, Project: t.backup.ProjectID, Volume: t.backup.Volume, SnapshotAt: snap.At,
			CreatedAt: t.backup.CreatedAt, Name: t.backup.Name, Description: t.backup.Description,
		},
		Check: func(ctx context.Context) error { return vols.CheckSnapshot(ctx, snap) },
	}
	if err := t.tellSet(ctx, &in.Info); err != nil {
		return none, err
	}
	from, err := t.parent(ctx, store)
	if err != nil {
		return none, err
	}
	if from != nil {
		in.Parent, in.Base, in.Doubt = from.root.Root, from.base, from.doubt
	}
	if t.job.Params.Between, err = t.between(ctx, vols, source); err != nil {
		return none, err
	}
	t.job.Params.Prefix = manifest.Prefix(t.backup.Volume.ID, attempt)
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return none, err
	}
	if err := t.unused(ctx, store, t.job.Params.Prefix); err != nil {
		return none, err
	}
	result, err := t.Engine.Backup(ctx, in)
	if why, bad := engine.DamageOf(err); bad && from != nil {
		// What was read of the parent is not what it was: begin from another.
		if err := t.noteDamaged(ctx, from.backup, why); err != nil {
			return none, err
		}
		return none, &again{cause: err, after: t.RetryDelay, free: true} // it ends: there is one parent less each time
	}
	if err == nil {
		t.log.InfoContext(ctx, "backup stored", "mode", result.Mode, "read", result.ReadBytes, "stored", result.StoredBytes)
	}
	return result, err
}

// unused makes sure that no name of the attempt was ever used. A database that
// was restored from an old dump may count fences a second time; the next claim
// has another one.
func (t *task) unused(ctx context.Context, store drivers.Store, prefix string) error {
	used := &again{cause: stowage.Errorf(stowage.Unavailable, "There are objects under %s already.", prefix), after: time.Millisecond, free: true}
	err := store.List(ctx, prefix, func(drivers.ObjectInfo) error { return used })
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil
	}
	return err
}

// source opens the snapshot this backup reads: the one an earlier attempt took
// if it is still there, or a new one of the locked volume.
func (t *task) source(ctx context.Context, vols drivers.Volumes) (drivers.Source, error) {
	if t.job.Params.Cinder != "" && t.job.Params.Quiesced.ID == "" {
		if err := t.findCinders(ctx, vols); err != nil {
			return nil, err
		}
	}
	if t.job.Params.Read().ID != "" {
		source, err := vols.OpenSnapshot(ctx, t.job.Params.Read())
		if stowage.CodeOf(err) != stowage.NotFound {
			return source, err
		}
		if t.job.ParentID != "" {
			return nil, snapshotGone(err)
		}
		t.log.WarnContext(ctx, "the snapshot is gone, taking another", "snapshot", t.job.Params.Snapshot.Name)
	}
	if t.job.ParentID != "" { // somebody who was away for long wrote over it
		return nil, snapshotGone(nil)
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
	var vol cloud.Volume
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
		if attachment, vol, err = cloud.TakeVolume(ctx, t.Volumes, t.job.VolumeID, t.job.ID, status); err != nil {
			return t.whileHeld(ctx, fmt.Errorf("lock the volume: %w", err), t.job.VolumeID)
		}
	}
	if t.job.Lock == stowage.LockHeld && t.job.AttachmentID == attachment {
		return nil
	}
	if vol.ID == "" {
		if vol, err = t.Volumes.Volume(ctx, t.job.VolumeID); err != nil {
			return err
		}
	}
	// Locked, it cannot be given away any more.
	if given := t.job.CheckOwner(vol.ProjectID); given != nil {
		if _, err := cloud.FreeVolume(ctx, t.Volumes, t.job.VolumeID, t.job.ID, attachment); err != nil {
			return err
		}
		t.job.Lock, t.job.AttachmentID = stowage.LockReleased, ""
		return given
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
// now; the rest goes with a sweep. Only one whose end is
// written may do it: until then another attempt may be storing the backup.
func (t *task) undoBackup(ctx context.Context) {
	if err := t.emptyOut(ctx); err != nil {
		t.log.WarnContext(ctx, "objects of the failed backup not removed", "error", err)
	}
}
