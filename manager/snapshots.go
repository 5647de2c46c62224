package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// everyVolume is for those who want the snapshots of all volumes of a mark.
func everyVolume(string) bool { return true }

// servers are those that take snapshots in a project.
func (m *Manager) servers() (cloud.Servers, error) {
	if m.Verbs == nil || m.Verbs.Servers == nil {
		return nil, stowage.Errorf(stowage.Invalid, "This manager cannot have snapshots taken.")
	}
	return m.Verbs.Servers, nil
}

// doSnapshot has Cinder take a snapshot of an entity that stays in its project. That
// something may have been taken is noted first, and it bears the job's id: whoever is next,
// or tidies up, removes it by that. What an earlier attempt took is of another moment, and
// goes before anything is taken again.
func (t *task) doSnapshot(ctx context.Context) error {
	servers, err := t.servers()
	if err != nil {
		return err
	}
	if t.job.Leftover {
		if err := servers.RemoveServerSnapshots(ctx, t.job.ProjectID, t.job.ID, everyVolume); err != nil {
			return transient(fmt.Errorf("remove what an earlier attempt took: %w", err))
		}
	}
	what, err := t.pictured(ctx, servers)
	if err != nil {
		return transient(err)
	}
	told, err := t.ask(ctx)
	if err != nil {
		return err
	}
	at := t.Now()
	taken, note, err := t.takePicture(ctx, servers, what)
	told(err)
	if err != nil {
		return transient(t.whileHeld(ctx, err, what.volumes...))
	}
	snap := stowage.EntitySnapshot{ID: t.job.ID, TakenAt: at, Volumes: []stowage.VolumeSnapshot{}}
	for _, v := range what.volumes {
		if taken[v] == "" {
			return stowage.Errorf(stowage.Conflict, "Volume %s was detached meanwhile.", v)
		}
		snap.Volumes = append(snap.Volumes, stowage.VolumeSnapshot{VolumeID: v, SnapshotID: taken[v]})
	}
	if !t.stillOurs(ctx) { // then what bears its id is another manager's
		return errLost
	}
	if err := removeOthers(ctx, servers, t.job, snap); err != nil {
		return transient(err)
	}
	t.job.Leftover = t.job.Params.Late // of an earlier attempt
	end := db.JobEnd{State: stowage.JobFinished, Error: note, Snapshot: &snap, Next: t.cleanUpBehind(), Now: t.Now()}
	if !t.end(ctx, end, nil) {
		return errLost
	}
	t.log.InfoContext(ctx, "snapshot taken", "entity", t.job.EntityID, "volumes", len(snap.Volumes))
	return nil
}

// picture is what a snapshot is taken of.
type picture struct {
	volumes []string
	byNova  bool // a server whose volumes Nova takes
}

// pictured looks what there is of the entity: the volumes of a server but for those that
// are left out, or the volume.
func (t *task) pictured(ctx context.Context, servers cloud.Servers) (p picture, err error) {
	e, err := t.DB.Entity(ctx, db.Scope{ProjectID: t.job.ProjectID}, t.job.EntityID)
	if err != nil {
		return p, err
	}
	if e.Kind == stowage.EntityVolume {
		p.volumes = []string{e.ID}
		return p, nil
	}
	server, err := servers.Server(ctx, e.ID)
	if err == nil && server.ProjectID != t.job.ProjectID {
		err = stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", e.ID)
	}
	if err != nil {
		return p, err
	}
	for _, d := range server.Disks {
		disk, err := t.DB.Entity(ctx, db.Scope{}, d.VolumeID)
		if err != nil && stowage.CodeOf(err) != stowage.NotFound {
			return p, err
		}
		if !disk.Excluded {
			p.volumes = append(p.volumes, d.VolumeID)
		}
	}
	if len(p.volumes) == 0 {
		return p, stowage.Errorf(stowage.Invalid, "Server %s has no volume that a snapshot could be taken of.", e.ID)
	}
	p.byNova = server.ImageID == ""
	return p, nil
}

// takePicture gives the volumes with Cinder's ids. Nova takes those of a server that boots
// from a volume at one moment, and quiesces its guest if an agent is in it. In a state in
// which Nova does not, they are taken one behind the other: rather a snapshot of a power
// cut than none. The note tells the user why.
func (t *task) takePicture(ctx context.Context, servers cloud.Servers, what picture) (taken map[string]string, note string, err error) {
	project, mark := t.job.ProjectID, t.job.ID
	if what.byNova {
		taken, err = servers.SnapshotServer(ctx, project, t.job.EntityID, mark)
		code := stowage.CodeOf(err)
		if err == nil || ctx.Err() != nil || code != stowage.Invalid && code != stowage.Conflict {
			return taken, "", err
		}
		note = "The snapshots are not of one moment, and the guest was not quiesced: " + reason(err)
		t.log.WarnContext(ctx, "Nova takes no snapshots of a server", "server", t.job.EntityID, "error", err)
		if !t.fresh() || !t.stillOurs(ctx) { // then what bears the mark is another manager's
			return nil, "", errLost
		}
		if err := servers.RemoveServerSnapshots(ctx, project, mark, everyVolume); err != nil {
			return nil, "", err
		}
	}
	taken, err = servers.SnapshotVolumes(ctx, project, what.volumes, mark)
	return taken, note, err
}

// removeOthers removes what bears the job's id and is not in the snapshot: volumes that
// are left out, which Nova took as well, and what an earlier attempt asked for and Cinder
// took after we had looked for it.
func removeOthers(ctx context.Context, servers cloud.Servers, j stowage.Job, snap stowage.EntitySnapshot) error {
	found, err := servers.ListSnapshots(ctx, j.ProjectID)
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, v := range snap.Volumes {
		ours[v.SnapshotID] = true
	}
	var others []string
	for _, f := range found {
		if f.Mark == j.ID && !ours[f.ID] {
			others = append(others, f.ID)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return servers.RemoveSnapshots(ctx, j.ProjectID, others)
}

// cleanUpBehind is the job that removes what a policy keeps no longer, behind a snapshot
// that a user asked for: behind a run it is the run's. Nil: there is none.
func (t *task) cleanUpBehind() *stowage.Job {
	if t.job.By.PolicyID == "" || t.job.By.ScheduleID != "" {
		return nil
	}
	j := t.Verbs.SnapshotCleanupJob(cloud.User{ProjectID: t.job.ProjectID, UserID: t.job.UserID, RequestID: t.job.RequestID}, t.job.By.PolicyID)
	return &j
}

// doSnapshotCleanup removes the snapshots that a policy keeps no longer.
func (t *task) doSnapshotCleanup(ctx context.Context) error {
	if t.Verbs == nil {
		return stowage.Errorf(stowage.Unavailable, "This manager cannot clean up.")
	}
	n, err := t.Verbs.CleanupSnapshots(ctx, t.job)
	if n > 0 {
		t.log.InfoContext(ctx, "snapshots are removed that their policy keeps no longer", "policy", t.job.By.PolicyID, "snapshots", n)
	}
	if err != nil {
		return transient(err)
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

// lateSnapshots removes what bears the id of a job that has ended, but for the snapshot that
// it ended with. The image that Nova makes beside them goes, too.
func (m *Manager) lateSnapshots(ctx context.Context, j stowage.Job) error {
	servers, err := m.servers()
	if err != nil {
		return err
	}
	if j.State != stowage.JobFinished {
		return servers.RemoveServerSnapshots(ctx, j.ProjectID, j.ID, everyVolume)
	}
	snap, err := m.DB.Snapshot(ctx, db.Scope{}, j.ID)
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		return err
	}
	if snap.Status == stowage.SnapshotTaking { // a node of the database has not heard of its end yet
		return stowage.Errorf(stowage.Unavailable, "The end of snapshot %s is not to be read yet.", j.ID)
	}
	if err := servers.RemoveServerSnapshots(ctx, j.ProjectID, j.ID, func(string) bool { return false }); err != nil {
		return err
	}
	return removeOthers(ctx, servers, j, snap)
}

// failuresShown is how long snapshots that failed are listed.
const failuresShown = 30 * 24 * time.Hour

// sweepSnapshots removes what jobs left that ended without their snapshot, and forgets
// failures of old.
func (m *Manager) sweepSnapshots(ctx context.Context) {
	jobs, err := m.DB.SnapshotsLeft(ctx, sweepLimit)
	if err != nil {
		m.Log.WarnContext(ctx, "snapshots in projects not looked at", "error", err)
	}
	for _, j := range jobs {
		if ctx.Err() != nil {
			return
		}
		m.tidy(ctx, j)
	}
	if err := m.DB.DropFailedSnapshots(ctx, m.Now().Add(-failuresShown)); err != nil {
		m.Log.WarnContext(ctx, "snapshots that failed not forgotten", "error", err)
	}
}
