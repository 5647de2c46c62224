package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
)

// reached is what the backups of a lineage reach, at one version of it.
type reached struct {
	lineage db.Lineage
	had     bool              // this backup has a set
	bytes   map[int64][]byte  // by backup
	mine    *manifest.Objects // of this backup
	others  *manifest.Objects // of all others

	chain  *cinderbackup.Chain   // this backup's, if cinder-backup made it
	chains []*cinderbackup.Chain // of all others
}

// set is what one backup reaches: objects, or the chain of a backup that
// cinder-backup made. The other is empty.
type set struct {
	objects *manifest.Objects
	chain   *cinderbackup.Chain // nil: it is one of our own
}

func (s *set) unmarshal(data []byte) error {
	s.objects = &manifest.Objects{}
	if !cinderbackup.IsChain(data) {
		return s.objects.UnmarshalBinary(data)
	}
	s.chain = &cinderbackup.Chain{}
	return s.chain.UnmarshalBinary(data)
}

// sets reads what the backups of a volume in a container reach.
func (m *Manager) sets(ctx context.Context, project, volume, container string, fn func(r db.Reach, s set)) (db.Lineage, error) {
	l, err := m.DB.Lineage(ctx, project, volume, container)
	if err != nil {
		return l, err
	}
	list, err := m.DB.Reaches(ctx, &l)
	for _, r := range list {
		var s set
		if err := s.unmarshal(r.Objects); err != nil {
			return l, fmt.Errorf("read what backup %d reaches: %w", r.BackupID, err)
		}
		fn(r, s)
	}
	return l, err
}

// reached reads the sets of the task's lineage.
func (t *task) reached(ctx context.Context) (r reached, err error) {
	r = reached{bytes: map[int64][]byte{}, mine: &manifest.Objects{}, others: &manifest.Objects{}}
	r.lineage, err = t.sets(ctx, t.backup.ProjectID, t.backup.Volume.ID, t.backup.Container, func(one db.Reach, s set) {
		r.bytes[one.BackupID] = one.Objects
		switch {
		case one.BackupID == t.backup.ID:
			r.had, r.mine, r.chain = true, s.objects, s.chain
		case s.chain != nil:
			r.chains = append(r.chains, s.chain)
		default:
			r.others.Union(s.objects)
		}
	})
	return r, err
}

// free turns into garbage what of a set nobody else reaches.
func (t *task) free(r reached, set *manifest.Objects, now time.Time) ([]db.Garbage, error) {
	set.Minus(r.others)
	if set.Len() == 0 {
		return nil, nil
	}
	data, err := set.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return []db.Garbage{t.garbage(db.Garbage{Objects: data, ReadyAt: now})}, nil
}

// freeChain is free for a backup of cinder-backup's. What is not ours stays.
func (t *task) freeChain(r reached, now time.Time) ([]db.Garbage, error) {
	if !r.chain.Taken {
		return nil, nil
	}
	rest := &cinderbackup.Chain{Members: r.chain.Minus(r.chains), Taken: true}
	if len(rest.Members) == 0 {
		return nil, nil
	}
	data, err := rest.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return []db.Garbage{t.garbage(db.Garbage{Objects: data, ReadyAt: now})}, nil
}

func (t *task) garbage(g db.Garbage) db.Garbage {
	g.ProjectID, g.Container, g.VolumeID, g.BackupID = t.backup.ProjectID, t.backup.Container, t.backup.Volume.ID, t.backup.ID
	return g
}

// lateWrites is when attempts that have ended are swept a second time: one that
// stood still may have stored something after the first, and a listing may lag.
const lateWrites = 24 * time.Hour

// strays is what attempts at the backup may have left that nothing leads to:
// everything of the backup but what begins with keep.
func (t *task) strays(keep string, now time.Time) []db.Garbage {
	all := backupPrefix(t.backup)
	return []db.Garbage{
		t.garbage(db.Garbage{Prefix: all, Keep: keep, ReadyAt: now}),
		t.garbage(db.Garbage{Prefix: all, Keep: keep, ReadyAt: now.Add(lateWrites)}),
	}
}

// reachMade is what the making of a backup means for its lineage: it reaches
// what its root does; what it held of its parent besides, it holds no longer.
func (t *task) reachMade(ctx context.Context, reach, spare *manifest.Objects) (*db.ReachMove, error) {
	r, err := t.reached(ctx)
	if err != nil {
		return nil, err
	}
	move := &db.ReachMove{Lineage: r.lineage}
	if move.Objects, err = reach.MarshalBinary(); err != nil {
		return nil, err
	}
	r.mine.Union(spare)
	r.mine.Minus(reach)
	if move.Garbage, err = t.free(r, r.mine, t.Now()); err != nil {
		return nil, err
	}
	if t.job.Attempt > 1 {
		move.Garbage = append(move.Garbage, t.strays(t.job.Params.Prefix, t.Now())...)
	}
	return move, nil
}

// reachFailed is what the failure of a backup means for its lineage.
func (t *task) reachFailed(ctx context.Context) (*db.ReachMove, error) {
	r, err := t.reached(ctx)
	if err != nil {
		return nil, err
	}
	move := &db.ReachMove{Lineage: r.lineage}
	if move.Garbage, err = t.free(r, r.mine, t.Now()); err != nil {
		return nil, err
	}
	if t.job.Params.Prefix != "" {
		move.Garbage = append(move.Garbage, t.strays("", t.Now())...)
	}
	return move, nil
}

// release writes down what becomes free when the task's backup goes, and that
// it reaches nothing any more.
func (t *task) release(ctx context.Context) error {
	for try := 1; ; try++ {
		r, err := t.reached(ctx)
		if err != nil || !r.had {
			return err
		}
		var garbage []db.Garbage
		if r.chain != nil {
			garbage, err = t.freeChain(r, t.Now())
		} else {
			garbage, err = t.free(r, r.mine, t.Now())
		}
		if err != nil {
			return err
		}
		err = t.DB.Release(ctx, r.lineage, t.job, garbage, t.Now())
		if stowage.CodeOf(err) != stowage.Conflict {
			return err
		}
		if !t.stillOurs(ctx) {
			return errLost
		}
		if try == plans {
			return &again{cause: err}
		}
	}
}

// plans is how often a change of a lineage that moved on is planned anew.
const plans = 20

// emptyOut deletes what the task's backup left, but for the sweep of a day
// later. What a sweep has taken on meanwhile is not waited for: it may have died.
func (t *task) emptyOut(ctx context.Context) error {
	list, err := t.DB.GarbageOf(ctx, t.backup.ID)
	if err != nil {
		return err
	}
	for _, g := range list {
		if g.ReadyAt.After(t.Now().Add(2 * garbageTime)) {
			continue
		}
		if err := t.Manager.remove(ctx, g, t); err != nil {
			return err
		}
	}
	return nil
}
