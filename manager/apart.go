package manager

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// A server may have volumes that no one manager reaches: on two LVM hosts, say. Then it is
// Cinder that is asked for the snapshots, and the manager beside each volume stores it. None
// of ours is taken, so none stays for the next backup to begin from: that compares all data.

// mayGoApart gives nil if it is so, and every volume has a living manager. A manager that
// reaches all of them has the job left to it.
func (t *task) mayGoApart(ctx context.Context, pieces []piece) error {
	var why error = stowage.Errorf(stowage.Unavailable, "The server's volumes are on backends that no one backup manager reaches.")
	if t.Verbs != nil && t.Verbs.Servers != nil {
		backends := make([]string, len(pieces))
		for i, p := range pieces {
			backends[i] = p.job.Backend
		}
		together, err := t.Verbs.Together(ctx, backends)
		switch {
		case err == nil && !together:
			return nil
		case err == nil:
			why = stowage.Errorf(stowage.Unavailable, "The server's volumes are left to a backup manager that reaches all of them.")
			if t.job.Backend != backends[0] { // a volume was moved since
				t.job.Backend = backends[0]
				if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
					return err
				}
			}
		case stowage.CodeOf(err) != stowage.Unavailable:
			return err
		default:
			why = err
		}
	}
	if t.waitedEnough() {
		return why
	}
	return &again{cause: why, after: t.RetryDelay, free: true}
}

// exportApart has the snapshots taken, by Nova where it can, and has each read where its
// volume is.
func (t *task) exportApart(ctx context.Context, pieces []piece) error {
	for _, p := range pieces {
		if _, can := p.vols.(drivers.CinderSnapshots); !can && !p.elsewhere() {
			return unreadable(p.job.VolumeID)
		}
	}
	server := t.backup.Server
	what := picture{byNova: server != nil && server.ImageID == ""}
	for _, p := range pieces {
		what.volumes = append(what.volumes, p.job.VolumeID)
	}
	told, err := t.ask(ctx)
	if err != nil {
		return err
	}
	begun := t.Now()
	taken, note, err := t.takePicture(ctx, t.Verbs.Servers, what)
	told(err)
	if err != nil {
		return transient(err)
	}
	var apart time.Duration // of a guest that holds still they are of one moment
	if !what.byNova || !server.Agent || note != "" {
		apart = t.Now().Sub(begun)
	}
	if !t.stillOurs(ctx) { // then what bears its id is another manager's
		return errLost
	}
	if err := t.stillTheirs(ctx, pieces); err != nil {
		return transient(err)
	}
	stored := map[string]bool{}
	for i := range pieces {
		j := &pieces[i].job
		if j.Params.Cinder = taken[j.VolumeID]; j.Params.Cinder == "" {
			return stowage.Errorf(stowage.Conflict, "Volume %s was detached meanwhile.", j.VolumeID)
		}
		stored[j.VolumeID] = true
	}
	// Nova took volumes that are left out as well.
	err = t.dropQuiesced(ctx, t.job, func(volume string) bool { return !stored[volume] })
	if err != nil {
		t.log.WarnContext(ctx, "snapshots that Nova took not removed, a sweep will", "error", err)
	}
	return t.letGo(ctx, pieces, apart, note, true) // as long as they are read
}

// partsRead reports whether Cinder's snapshots are read yet for an export that has ended, by
// managers that may go and leave them. Who cannot tell looks again.
func (m *Manager) partsRead(ctx context.Context, export stowage.Job) bool {
	if export.Kind != stowage.JobExport || export.State != stowage.JobFinished {
		return false
	}
	parts, err := m.DB.PartJobs(ctx, export.ID)
	return err != nil || slices.ContainsFunc(parts, func(p stowage.Job) bool { return p.Params.Cinder != "" && !p.State.Ended() })
}

// findCinders finds the snapshot that was taken for this part.
func (t *task) findCinders(ctx context.Context, vols drivers.Volumes) error {
	finder, can := vols.(drivers.CinderSnapshots)
	if !can {
		return unreadable(t.job.VolumeID)
	}
	snap, err := finder.CinderSnapshot(ctx, t.job.Params.Volume, t.job.Params.Cinder)
	if stowage.CodeOf(err) == stowage.NotFound {
		return snapshotGone(err)
	}
	if err != nil {
		return fmt.Errorf("find the snapshot that Cinder took: %w", err)
	}
	t.job.Params.Quiesced = snap
	return t.DB.Note(ctx, t.job, t.Now())
}

func unreadable(volume string) error {
	return stowage.Errorf(stowage.Invalid, "Snapshots that Cinder takes cannot be read on the backend of volume %s.", volume)
}

func snapshotGone(err error) error {
	return stowage.Wrap(stowage.Conflict, err, "The snapshot was removed. Another one would not be of the moment that the server's other volumes are of.")
}
