package manager

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
)

// piece is one volume of a server that is exported.
type piece struct {
	job  stowage.Job     // that will store it
	vols drivers.Volumes // nil: its backend is not open here
}

func (p piece) elsewhere() bool { return p.vols == nil }

// doExport takes snapshots of all volumes of a server, one right behind the other in
// the order of their devices, and lets the jobs go that store them. Nothing is locked:
// the volumes are in use, and stay so. What is on them is what a power cut would leave,
// unless Nova takes snapshots of a quiesced guest: then those are stored. Of volumes that
// no one manager reaches Cinder takes them all.
//
// What an earlier attempt took is of another moment: it is removed first. Once the
// parts are let go, no other attempt can come.
func (t *task) doExport(ctx context.Context) error {
	pieces, err := t.pieces(ctx)
	if err != nil {
		return transient(err)
	}
	if err := t.beginAnew(ctx, pieces); err != nil {
		return err
	}
	if !t.fresh() {
		return errLost
	}
	if slices.ContainsFunc(pieces, piece.elsewhere) {
		return t.exportApart(ctx, pieces)
	}
	for i := range pieces {
		p := &pieces[i]
		p.job.Params.Snapshot, err = p.vols.CreateSnapshot(ctx, p.job.Params.Volume, p.job.Params.Snapshot.Name)
		if err != nil {
			return transient(fmt.Errorf("take a snapshot of volume %s: %w", p.job.VolumeID, err))
		}
	}
	if err := t.stillTheirs(ctx, pieces); err != nil {
		return transient(err)
	}
	notQuiesced, left, err := t.quiesce(ctx, pieces)
	if err != nil {
		return err
	}
	return t.letGo(ctx, pieces, spread(pieces), notQuiesced, left)
}

// beginAnew removes what an earlier attempt took, and notes that all may be taken from now
// on. What is on a backend that is not open here goes when its part ends.
func (t *task) beginAnew(ctx context.Context, pieces []piece) error {
	if t.job.Leftover {
		if err := t.dropQuiesced(ctx, t.job, everyVolume); err != nil {
			return transient(fmt.Errorf("remove what Nova took for an earlier attempt: %w", err))
		}
	}
	for i := range pieces {
		p := &pieces[i]
		if p.job.Leftover && !p.elsewhere() {
			if err := p.vols.RemoveSnapshot(ctx, p.job.Params.Snapshot); err != nil {
				return transient(fmt.Errorf("remove a snapshot of an earlier attempt: %w", err))
			}
		}
		if !p.job.Leftover || !p.elsewhere() {
			p.job.Params.Snapshot = stowage.Snapshot{Name: p.job.Params.Snapshot.Name, Volume: p.job.Params.Volume}
		}
		p.job.Leftover = true
		p.job.Params.Quiesced, p.job.Params.Cinder = stowage.Snapshot{}, ""
		if err := t.DB.Note(ctx, p.job, t.Now()); err != nil {
			return err
		}
	}
	return nil
}

// letGo notes what was taken, lets the parts go, and ends the export. Left: some of what
// Nova or Cinder took is to be looked for when the job has ended.
func (t *task) letGo(ctx context.Context, pieces []piece, spread time.Duration, said string, left bool) error {
	for _, p := range pieces {
		if err := t.DB.Note(ctx, p.job, t.Now()); err != nil {
			return err
		}
	}
	t.job.Params.Spread = spread
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return err
	}
	t.log.InfoContext(ctx, "snapshots of a server taken", "server", t.job.EntityID, "volumes", len(pieces), "spread", t.job.Params.Spread)
	now := t.Now()
	store := stowage.Job{
		ID: t.NewID(), Kind: stowage.JobStore, State: stowage.JobQueued, ProjectID: t.job.ProjectID, UserID: t.job.UserID, RequestID: t.job.RequestID,
		BackupID: t.job.BackupID, EntityID: t.job.EntityID, Priority: t.job.Priority, ParentID: t.job.ID, By: t.job.By,
		ReadyAt: now, CreatedAt: now, UpdatedAt: now,
	}
	t.job.Leftover = left // not before the end: until then another manager may have to begin anew
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Error: said, LetGo: true, Next: &store, Now: now}, nil) {
		return errLost
	}
	t.ringParts(ctx, pieces)
	t.job.State = stowage.JobFinished
	t.tidy(ctx, t.job)
	return nil
}

// pieces gives the volumes that are to be exported, where they are now.
func (t *task) pieces(ctx context.Context) ([]piece, error) {
	jobs, err := t.DB.PartJobs(ctx, t.job.ID)
	if err != nil {
		return nil, err
	}
	var pieces []piece
	for _, j := range jobs {
		vol, err := t.Volumes.Volume(ctx, j.VolumeID)
		if err != nil {
			return nil, err
		}
		if err := j.CheckOwner(vol.ProjectID); err != nil {
			return nil, err
		}
		if !slices.Contains([]string{stowage.VolumeInUse, stowage.VolumeAvailable, stowage.VolumeBackingUp}, vol.Status) {
			return nil, stowage.Errorf(stowage.Conflict, "Volume %s of the server is %s.", vol.ID, vol.Status)
		}
		if vol.Migrating() {
			return nil, &again{cause: stowage.Errorf(stowage.Unavailable, "Volume %s of the server is being migrated.", vol.ID)}
		}
		loc, err := t.Volumes.Locate(ctx, vol)
		if err != nil {
			return nil, err
		}
		if loc.Backend, err = t.keyOf(ctx, loc.Backend); err != nil {
			return nil, err
		}
		vols, here := t.Manager.backend(loc.Backend)
		if !here {
			vols = nil
		}
		if j.Leftover && loc != j.Params.Volume {
			return nil, stowage.Errorf(stowage.Conflict, "Volume %s of the server was moved meanwhile.", vol.ID)
		}
		b, err := t.DB.Backup(ctx, db.Scope{}, j.BackupID)
		if err != nil {
			return nil, err
		}
		j.Backend, j.Params.Volume, j.Params.Snapshot.Name = loc.Backend, loc, snapshotName(b)
		pieces = append(pieces, piece{j, vols})
	}
	if len(pieces) == 0 {
		return nil, stowage.Errorf(stowage.Conflict, "The server's backup has no parts any more.")
	}
	if slices.ContainsFunc(pieces, piece.elsewhere) {
		return pieces, t.mayGoApart(ctx, pieces)
	}
	return pieces, nil
}

// stillTheirs looks once more whose the volumes are. Nothing locks them: one that was
// detached can be given away until its snapshot is taken, and what is on it then is not
// this project's to have.
func (t *task) stillTheirs(ctx context.Context, pieces []piece) error {
	for _, p := range pieces {
		vol, err := t.Volumes.Volume(ctx, p.job.VolumeID)
		if err == nil {
			err = p.job.CheckOwner(vol.ProjectID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func spread(pieces []piece) time.Duration {
	first, last := pieces[0].job.Params.Read().At, pieces[0].job.Params.Read().At
	for _, p := range pieces {
		if at := p.job.Params.Read().At; at.Before(first) {
			first = at
		} else if at.After(last) {
			last = at
		}
	}
	return last.Sub(first)
}

// dropParts ends the jobs that an export has not let go, and removes their snapshots.
func (m *Manager) dropParts(ctx context.Context, parts []stowage.Job, reason string) {
	for _, j := range parts {
		if j.State != stowage.JobQueued {
			continue
		}
		move := db.BackupMove{ID: j.BackupID, From: stowage.BackupCreating, To: stowage.BackupError, FailReason: reason, Now: m.Now()}
		err := m.DB.End(ctx, j, db.JobEnd{State: stowage.JobFailed, Error: reason, Move: &move, Now: m.Now()})
		if stowage.CodeOf(err) == stowage.Conflict {
			continue // another manager was quicker
		}
		if err != nil {
			m.Log.WarnContext(ctx, "part of an export not ended, a sweep will", "job", j.ID, "error", err)
			continue
		}
		j.State = stowage.JobFailed
		m.tidy(ctx, j)
	}
}

// dropHeld ends jobs that are held for an export that has failed: whoever ended it
// died before it could, or had no manager's hands.
func (m *Manager) dropHeld(ctx context.Context) {
	parts, err := m.DB.HeldParts(ctx, sweepLimit)
	if err != nil {
		m.Log.WarnContext(ctx, "parts of exports not looked at", "error", err)
		return
	}
	m.dropParts(ctx, parts, "The snapshots of the server were not taken.")
}
