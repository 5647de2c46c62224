package manager

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

const (
	// garbageAtOnce is how much garbage one look takes on.
	garbageAtOnce = 20
	// garbageTime is how long one manager is alone with a piece of garbage.
	garbageTime = time.Hour
)

// removeGarbage deletes what nothing reaches. A piece that cannot be deleted
// now is looked at again later.
func (m *Manager) removeGarbage(ctx context.Context) {
	list, err := m.DB.ReadyGarbage(ctx, m.Now(), garbageAtOnce)
	if err != nil && ctx.Err() == nil {
		m.Log.WarnContext(ctx, "garbage not looked at", "error", err)
	}
	for _, g := range list {
		if ctx.Err() != nil {
			return
		}
		if err := m.DB.PostponeGarbage(ctx, g.ID, m.Now().Add(garbageTime)); err != nil {
			m.Log.WarnContext(ctx, "garbage not taken", "error", err)
			return
		}
		within, cancel := context.WithTimeout(ctx, garbageTime)
		err := m.remove(within, g, nil)
		cancel()
		if err != nil {
			m.Log.WarnContext(ctx, "garbage not removed, will be tried again", "backup", g.BackupID, "error", err)
		}
	}
}

// remove deletes one piece of garbage and strikes it out. waits is the task that
// waits for it, if any.
func (m *Manager) remove(ctx context.Context, g db.Garbage, waits *task) error {
	store, err := m.Stores.Open(ctx, g.ProjectID, g.Container)
	if err != nil {
		return err
	}
	reached, chains, err := m.reachedBy(ctx, g)
	if err != nil {
		return err
	}
	if len(g.Objects) > 0 {
		var s set
		if err := s.unmarshal(g.Objects); err != nil {
			return fmt.Errorf("read garbage %d: %w", g.ID, err)
		}
		s.objects.Minus(reached)
		var progress *engine.Progress
		if waits != nil {
			progress = &waits.progress
		}
		if err := m.Engine.Delete(ctx, store, g.VolumeID, s.objects, progress); err != nil {
			return err
		}
		if s.chain != nil {
			if err := m.removeMembers(ctx, store, g, s.chain.Minus(chains), progress); err != nil {
				return err
			}
		}
	}
	if g.Prefix != "" {
		if !strings.HasPrefix(g.Prefix, volumePrefix(g.VolumeID)) || !strings.HasSuffix(g.Prefix, "/") {
			return fmt.Errorf("garbage %d has the prefix %q: that may not be all ours", g.ID, g.Prefix)
		}
		attempts := map[manifest.Attempt]bool{}
		if err := reached.Each(func(_ seal.Kind, p manifest.Place) error {
			attempts[p.Attempt] = true
			return nil
		}); err != nil {
			return err
		}
		needed := func(name string) bool {
			_, a, ours := manifest.ParseRootName(path.Dir(name) + "/root")
			return g.Keep != "" && strings.HasPrefix(name, g.Keep) || ours && attempts[a]
		}
		if err := m.Engine.DeletePrefix(ctx, store, g.Prefix, needed); err != nil {
			return err
		}
	}
	return m.DB.GarbageGone(ctx, g.ID)
}

// removeMembers deletes backups of cinder-backup's, with all their objects.
func (m *Manager) removeMembers(ctx context.Context, store drivers.Store, g db.Garbage, members []cinderbackup.Member, progress *engine.Progress) error {
	for _, member := range members {
		if member.Prefix.VolumeID != g.VolumeID {
			return fmt.Errorf("garbage %d of volume %s has %s: that may not be ours", g.ID, g.VolumeID, member.Prefix)
		}
		if err := m.Engine.DeleteMember(ctx, store, member, progress); err != nil {
			return err
		}
	}
	return nil
}

// reachedBy gives what the known backups of the volume reach, at the moment of
// deleting: what was garbage once may have become known again, when a database
// was restored from an old dump and the container imported.
func (m *Manager) reachedBy(ctx context.Context, g db.Garbage) (*manifest.Objects, []*cinderbackup.Chain, error) {
	all := &manifest.Objects{}
	var chains []*cinderbackup.Chain
	_, err := m.sets(ctx, g.ProjectID, g.VolumeID, g.Container, func(_ db.Reach, s set) {
		if all.Union(s.objects); s.chain != nil {
			chains = append(chains, s.chain)
		}
	})
	return all, chains, err
}
