package manager

import (
	"context"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// quiesce has Nova take snapshots of the server's volumes while its guest holds still,
// if the server says that an agent for it is in the guest. They are stored in place of
// ours, which are older and stay for the next backup to begin from: see between.
//
// Where it cannot be had, ours are stored: rather a backup of a power cut than none.
// The note tells the user why. left: some of what Nova took is to be looked for when the
// job has ended; the job's row says so until then.
func (t *task) quiesce(ctx context.Context, pieces []piece) (note string, left bool, err error) {
	server := t.backup.Server
	if server == nil || !server.Agent || server.ImageID != "" || t.Verbs == nil || t.Verbs.Servers == nil {
		return "", t.job.Params.Late, nil
	}
	for _, p := range pieces {
		if _, can := p.vols.(drivers.CinderSnapshots); !can {
			return t.notQuiesced(ctx, pieces, unreadable(p.job.VolumeID)), t.job.Params.Late, nil
		}
	}
	told, err := t.ask(ctx)
	if err != nil {
		return "", true, err
	}
	err = t.takeQuiesced(ctx, pieces)
	told(err)
	if ctx.Err() != nil {
		return "", true, err
	}
	if !t.stillOurs(ctx) { // then what there is of Nova's is another manager's
		return "", true, errLost
	}
	if err != nil {
		note = t.notQuiesced(ctx, pieces, err)
	}
	stored := map[string]bool{}
	for _, p := range pieces {
		stored[p.job.VolumeID] = p.job.Params.Quiesced.ID != ""
	}
	// Nova took volumes that are left out as well.
	err = t.dropQuiesced(ctx, t.job, func(volume string) bool { return !stored[volume] })
	if err != nil {
		t.log.WarnContext(ctx, "snapshots that Nova took not removed, a sweep will", "error", err)
	}
	return note, err != nil || t.job.Params.Late, nil
}

// ask notes that snapshots may be taken from now on, and what is told of the outcome goes to
// told: without an answer they may come late, since Nova goes on when a proxy has given up.
// So may those that an earlier attempt asked for.
func (t *task) ask(ctx context.Context) (told func(error), err error) {
	late := t.job.Params.Late
	t.job.Leftover, t.job.Params.Late = true, true
	if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
		return nil, err
	}
	if !t.fresh() {
		return nil, errLost
	}
	return func(err error) {
		switch stowage.CodeOf(err) {
		case stowage.Invalid, stowage.Forbidden, stowage.NotFound, stowage.Conflict, stowage.OverLimit:
			t.job.Params.Late = late
		default:
			t.job.Params.Late = late || err != nil
		}
	}, nil
}

// mayCome reports whether snapshots may be taken yet for a job that has ended.
func (m *Manager) mayCome(j stowage.Job) bool {
	return j.Params.Late && m.Now().Sub(j.FinishedAt) <= lateLocks
}

// takeQuiesced has the snapshots taken, and finds each of them on its backend.
func (t *task) takeQuiesced(ctx context.Context, pieces []piece) error {
	taken, err := t.Verbs.Servers.SnapshotServer(ctx, t.job.ProjectID, t.job.EntityID, t.job.ID)
	if err != nil {
		return err
	}
	for i := range pieces {
		j := &pieces[i].job
		id := taken[j.VolumeID]
		if id == "" {
			return stowage.Errorf(stowage.Conflict, "Volume %s was detached meanwhile.", j.VolumeID)
		}
		j.Params.Quiesced, err = pieces[i].vols.(drivers.CinderSnapshots).CinderSnapshot(ctx, j.Params.Volume, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// The bounds of what is noted of where two snapshots differ: in the job and with the base,
// and in memory while it is gathered.
const (
	mostBetween     = 1000
	mostWhileListed = 16 * mostBetween
)

// between gives where what is stored may differ from the snapshot that stays for the next
// backup to begin from. What changed since that one is not enough to read by then: what the
// guest wrote before Nova's snapshot and discarded again after it is in neither the
// one that stays nor the next. Nil: they are the same, or nobody can tell, and none stays.
func (t *task) between(ctx context.Context, vols drivers.Volumes, source drivers.Source) ([]stowage.Extent, error) {
	changes, tells := source.(drivers.ChangeSource)
	_, keeps := vols.(drivers.Bases)
	if t.job.Params.Quiesced.ID == "" || t.job.Params.Snapshot.ID == "" || !t.KeepBases || !tells || !keeps {
		return nil, nil
	}
	list := []stowage.Extent{} // not nil: nothing differs
	err := changes.Changed(ctx, t.job.Params.Snapshot, 0, source.Size(), func(e stowage.Extent) error {
		if e.Length > 0 {
			list = append(list, e)
		}
		if len(list) == mostWhileListed {
			list = fewer(list, mostBetween)
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		t.log.WarnContext(ctx, "what the guest wrote as it was quiesced is not told, no base is kept", "error", err)
		return nil, nil
	}
	return fewer(list, mostBetween), nil
}

// fewer joins those of the extents, which are in order, that are nearest to one another,
// until there are at most so many.
func fewer(list []stowage.Extent, most int) []stowage.Extent {
	if len(list) <= most {
		return list
	}
	gaps := make([]int64, len(list)-1)
	for i := range gaps {
		gaps[i] = list[i+1].Offset - list[i].End()
	}
	slices.Sort(gaps)
	near := gaps[len(list)-most-1]
	joined := list[:1]
	for _, e := range list[1:] {
		if last := &joined[len(joined)-1]; e.Offset-last.End() <= near {
			last.Length = e.End() - last.Offset
		} else {
			joined = append(joined, e)
		}
	}
	return joined
}

// notQuiesced falls back to our own snapshots, all of them, which are of one moment.
func (t *task) notQuiesced(ctx context.Context, pieces []piece, why error) string {
	for i := range pieces {
		pieces[i].job.Params.Quiesced = stowage.Snapshot{}
	}
	t.log.WarnContext(ctx, "the guest was not quiesced", "server", t.job.EntityID, "error", why)
	return "The guest was not quiesced, what is stored is as after a power cut: " + reason(why)
}

// dropQuiesced removes snapshots that Nova took for an export.
func (m *Manager) dropQuiesced(ctx context.Context, export stowage.Job, of func(volume string) bool) error {
	servers, err := m.servers()
	if err != nil {
		return err
	}
	return servers.RemoveServerSnapshots(ctx, export.ProjectID, export.ID, of)
}

// tidyQuiesced removes what Nova took for a job that has ended: for a part, the snapshot
// it read; for an export, those that no part will read.
func (m *Manager) tidyQuiesced(ctx context.Context, j stowage.Job) error {
	if j.Kind != stowage.JobExport {
		if !j.Params.OfCinder() || j.Params.Cinder != "" && (m.Verbs == nil || m.Verbs.Servers == nil) {
			return nil // the export's manager removes what this one cannot
		}
		export := stowage.Job{ID: j.ParentID, ProjectID: j.ProjectID}
		return m.dropQuiesced(ctx, export, func(volume string) bool { return volume == j.VolumeID })
	}
	reads := map[string]bool{}
	if j.State == stowage.JobFinished {
		parts, err := m.DB.PartJobs(ctx, j.ID)
		if err != nil {
			return err
		}
		for _, p := range parts {
			reads[p.VolumeID] = !p.State.Ended() && p.Params.OfCinder()
		}
	}
	return m.dropQuiesced(ctx, j, func(volume string) bool { return !reads[volume] })
}
