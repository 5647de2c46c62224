package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
)

// SourceMark is the key under which a restored volume's metadata names the
// backup it came from, as Cinder's own backups do.
const SourceMark = "src_backup_id"

// doRestore: lock, write, metadata of a new volume, end, free the volume.
func (t *task) doRestore(ctx context.Context) error {
	if t.job.VolumeID == "" {
		if err := t.makeTarget(ctx); err != nil {
			return err
		}
	}
	if err := t.findTarget(ctx); err != nil {
		return transient(err)
	}
	vols, ok := t.Manager.backend(t.job.Backend)
	if !ok {
		return fmt.Errorf("backend %s is not open here", t.job.Backend)
	}
	if err := t.lockVolume(ctx, stowage.VolumeRestoringBackup); err != nil {
		return transient(err)
	}
	store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
	if err != nil {
		return transient(err)
	}
	chain, err := t.chain(ctx)
	if err != nil {
		return transient(err)
	}
	target, err := t.openTarget(ctx, vols)
	if err != nil {
		return err
	}
	err = t.Engine.Restore(ctx, engine.RestoreInput{
		Store: store, Root: t.backup.Manifest, Digest: t.backup.ManifestDigest, Keys: t.Keys.Of(t.backup.ProjectID), Chain: chain,
		Target: t.guard(target), Compare: !t.job.Params.NewVolume, Progress: &t.progress,
		BeforeWrite: func(ctx context.Context) error {
			t.job.Params.Touched = true
			return t.DB.Note(ctx, t.job, t.Now())
		},
	})
	if err = errors.Join(err, target.Close()); err != nil {
		return transient(err)
	}
	if err := t.finishTarget(ctx); err != nil {
		return transient(err)
	}
	move := db.BackupMove{ID: t.backup.ID, From: stowage.BackupRestoring, To: stowage.BackupAvailable, Now: t.Now()}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}, nil) {
		return errLost
	}
	t.job.State = stowage.JobFinished
	t.tidy(ctx, t.job)
	return nil
}

// openTarget opens the volume. Somebody who is just done with it (our own
// snapshot being removed, for one) is waited for; a dead manager's lock takes
// longer to go, and is left to the next attempt.
func (t *task) openTarget(ctx context.Context, vols drivers.Volumes) (drivers.Target, error) {
	for try := 1; ; try++ {
		target, err := vols.OpenTarget(ctx, t.job.Params.Volume)
		switch {
		case err == nil:
			return target, nil
		case stowage.CodeOf(err) != stowage.Conflict:
			return nil, transient(err)
		case try == 20:
			return nil, &again{cause: err, after: 2 * t.RetryDelay}
		}
		pause(ctx, t.RetryDelay/20)
	}
}

// guarded writes only while the lease certainly lasts. Whoever stood still for
// longer finds the volume in somebody else's hands.
type guarded struct {
	drivers.Target
	t *task
}

// guard guards a target, which stays one that can be read if it is.
func (t *task) guard(target drivers.Target) drivers.Target {
	g := &guarded{target, t}
	if r, ok := target.(drivers.ReadableTarget); ok {
		return &guardedReadable{g, r}
	}
	return g
}

type guardedReadable struct {
	*guarded
	io.ReaderAt
}

func (g *guarded) WriteAt(p []byte, offset int64) (int, error) {
	if !g.t.fresh() {
		return 0, errLost
	}
	return g.Target.WriteAt(p, offset)
}

func (g *guarded) WriteZeroes(offset, length int64) error {
	if !g.t.fresh() {
		return errLost
	}
	return g.Target.WriteZeroes(offset, length)
}

// makeTarget makes the new volume of a part of a server's restore, if whoever began that
// could not. Others are made by their users' rights.
func (t *task) makeTarget(ctx context.Context) error {
	never := stowage.Errorf(stowage.Unavailable, "The volume to restore to was never made: the API server stopped. Restore again.")
	if t.job.ParentID == "" || !t.job.Params.NewVolume || t.Verbs == nil || t.Verbs.Servers == nil {
		return never
	}
	whole, err := t.DB.Job(ctx, t.job.ParentID)
	if err != nil {
		return transient(err)
	}
	plan := whole.Params.Rebuild
	if plan == nil {
		return never
	}
	at := slices.IndexFunc(plan.Disks, func(d stowage.RebuildDisk) bool { return d.JobID == t.job.ID })
	if at < 0 {
		return never
	}
	vol, err := t.Verbs.MakeVolume(ctx, t.job, t.backup, plan.Disks[at])
	if err != nil {
		return t.later(err)
	}
	t.job.VolumeID = vol.ID
	return transient(t.DB.Note(ctx, t.job, t.Now()))
}

// findTarget completes what the API had no time to: where the volume is. A
// job that turns out to be another backend's is handed on.
func (t *task) findTarget(ctx context.Context) error {
	if t.job.Backend != "" {
		return nil
	}
	vol, err := t.Volumes.Volume(ctx, t.job.VolumeID)
	if err != nil {
		return err
	}
	if vol.Encrypted {
		return stowage.Errorf(stowage.Invalid, "Volume %s is encrypted: encrypted volumes cannot be restored to yet.", vol.ID)
	}
	if vol.Status == stowage.VolumeCreating || vol.Status == stowage.VolumeDownloading {
		if t.Now().Sub(t.job.CreatedAt) > t.QueueTimeout {
			return stowage.Errorf(stowage.Unavailable, "Volume %s was not created in time.", vol.ID)
		}
		return &again{cause: stowage.Errorf(stowage.Unavailable, "Volume %s is still being created.", vol.ID), after: t.RetryDelay, free: true}
	}
	loc, err := t.Volumes.Locate(ctx, vol)
	if err != nil {
		return err
	}
	if loc.Backend, err = t.keyOf(ctx, loc.Backend); err != nil {
		return err
	}
	t.job.Backend, t.job.Params.Volume = loc.Backend, loc
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return err
	}
	if _, here := t.Manager.backend(loc.Backend); !here {
		return &again{cause: stowage.Errorf(stowage.Unavailable, "Volume %s is on backend %s.", vol.ID, loc.Backend), after: time.Millisecond, free: true}
	}
	return nil
}

// keyOf gives the managers' key for a backend as Cinder calls it.
func (t *task) keyOf(ctx context.Context, key string) (string, error) {
	services, err := t.DB.Services(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range services {
		for _, b := range s.Backends {
			if b.Serves(key) {
				return b.Key, nil
			}
		}
	}
	return key, nil // whoever comes to serve it
}

// finishTarget proves that the volume was ours all the time, and gives a new
// one the metadata of the source.
func (t *task) finishTarget(ctx context.Context) error {
	if _, err := t.Volumes.Lock(ctx, t.job.VolumeID, t.job.ID); err != nil {
		if stowage.CodeOf(err) == stowage.NotFound {
			return stowage.Errorf(stowage.Conflict, "The lock on volume %s was removed while it was written.", t.job.VolumeID)
		}
		return err
	}
	if !t.job.Params.NewVolume {
		return nil
	}
	meta := map[string]string{}
	maps.Copy(meta, t.backup.Volume.Metadata)
	delete(meta, stowage.RestoreMark) // of a source that was being restored to
	meta[SourceMark] = t.backup.UUID  // not the one the source came from
	err := t.Volumes.SetMetadata(ctx, t.job.VolumeID, meta, t.backup.Volume.ImageMetadata, t.backup.Volume.Bootable)
	if err != nil {
		return fmt.Errorf("restore the volume's metadata: %w", err)
	}
	return nil
}

// tidy gives back what an ended job holds outside the database, and notes what
// is gone. It can be called any number of times, by any manager.
func (m *Manager) tidy(ctx context.Context, j stowage.Job) {
	// The job has ended; what cancels it must not stop the tidying.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.Lease)
	defer cancel()
	log := m.Log.With("job", j.ID, "volume", j.VolumeID)
	was := j
	if j.Lock == stowage.LockHeld || j.Lock == stowage.LockWanted {
		found, err := false, error(nil)
		if j.VolumeID != "" {
			found, err = m.freeEnded(ctx, j)
		} else {
			found, err = m.spoilOrphan(ctx, j)
		}
		switch {
		case err != nil:
			log.WarnContext(ctx, "volume not freed, a sweep will", "error", err)
		case found || j.Lock == stowage.LockHeld || m.Now().Sub(j.FinishedAt) > lateLocks:
			j.Lock = stowage.LockReleased
		}
	}
	if vols, ok := m.backend(j.Backend); ok && j.Leftover {
		read := m.partsRead(ctx, j)
		if err := m.tidySnapshots(ctx, vols, j); err != nil {
			log.WarnContext(ctx, "snapshots not tidied, a sweep will", "error", err)
		} else {
			j.Leftover = read || m.mayCome(j)
		}
	}
	if j.Kind == stowage.JobSnapshot && j.Leftover {
		if err := m.lateSnapshots(ctx, j); err != nil {
			log.WarnContext(ctx, "what was taken not removed, a sweep will", "error", err)
		} else {
			j.Leftover = m.mayCome(j)
		}
	}
	note := m.DB.Tidied
	if !j.Leftover && j.Params.Between != nil { // the base has it by now
		j.Params.Between, note = nil, m.DB.Note
	}
	if j.Lock == was.Lock && j.Leftover == was.Leftover {
		return
	}
	if err := note(ctx, j, m.Now()); err != nil {
		log.WarnContext(ctx, "tidying not noted, a sweep will do it again", "error", err)
	}
}

// freeEnded frees the volume of a job that has ended, and marks it if a restore spoilt it:
// not one that is another project's by now.
func (m *Manager) freeEnded(ctx context.Context, j stowage.Job) (found bool, err error) {
	if j.Kind == stowage.JobRestore && j.State != stowage.JobFinished && (j.Params.Touched || j.Params.NewVolume) {
		return cloud.SpoilVolume(ctx, m.Volumes, j.VolumeID, j.ID, j.AttachmentID, ours(j))
	}
	return cloud.FreeVolume(ctx, m.Volumes, j.VolumeID, j.ID, j.AttachmentID)
}

// ours tells whether a project is the one that the job's volume was of.
func ours(j stowage.Job) func(projectID string) bool {
	return func(projectID string) bool { return j.CheckOwner(projectID) == nil }
}

// tidySnapshots removes the snapshots of a job that has ended, or keeps what the next
// begins from.
func (m *Manager) tidySnapshots(ctx context.Context, vols drivers.Volumes, j stowage.Job) error {
	if err := m.tidyQuiesced(ctx, j); err != nil || j.Kind == stowage.JobExport {
		return err
	}
	kept, err := m.keepBase(ctx, vols, j)
	if err != nil || kept {
		return err
	}
	return vols.RemoveSnapshot(ctx, j.Params.Snapshot)
}

// lateLocks is how long a lock (or a volume, or a snapshot) whose answer got lost is looked
// for after its job has ended: Cinder goes on when a proxy has given up.
const lateLocks = 10 * time.Minute

// spoilOrphan marks the volume that was made for a restore, by an API server
// that died before it could say so.
func (m *Manager) spoilOrphan(ctx context.Context, j stowage.Job) (found bool, err error) {
	volumes, err := m.Volumes.FindVolumes(ctx, j.ProjectID, stowage.RestoreMark, j.ID)
	if err != nil {
		return false, err
	}
	for _, v := range volumes {
		if _, err := cloud.SpoilVolume(ctx, m.Volumes, v.ID, j.ID, "", ours(j)); err != nil {
			return false, err
		}
	}
	return len(volumes) > 0, nil
}
