package manager

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
)

// leftoverGrace is between the two looks that a snapshot nobody knows of must
// be seen at before it goes.
const leftoverGrace = time.Minute

// keptName is what baseName gives.
var keptName = regexp.MustCompile(`^backup\.[0-9a-f-]{36}\.snap\.[0-9]+$`)

// removeLeftovers removes snapshots that nobody will ask for: those a driver
// finished taking when its manager was dead already, those that were kept
// when nobody could note it any more, and those that were kept of a volume
// that is gone. It is called by one goroutine.
func (m *Manager) removeLeftovers(ctx context.Context) {
	if m.Now().Sub(m.looked) < leftoverGrace {
		return
	}
	m.looked = m.Now()
	doubtful := map[string]bool{}
	keys, _ := m.keys()
	for _, key := range keys {
		vols, _ := m.backend(key)
		lister, ok := vols.(drivers.Leftovers)
		if !ok {
			continue
		}
		l := leftovers{Manager: m, key: key, vols: lister, doubtful: doubtful}
		if err := l.look(ctx); err != nil {
			m.Log.WarnContext(ctx, "snapshots not looked at", "backend", key, "error", err)
		}
	}
	m.doubtful = doubtful
}

// leftovers is one look at the snapshots of one backend.
type leftovers struct {
	*Manager
	key      string
	vols     drivers.Leftovers
	doubtful map[string]bool // seen this time, and perhaps to be removed the next
	bases    []db.Base       // that are known
	orphans  map[string]bool // kept snapshots whose volume is gone, by ID
}

func (l *leftovers) look(ctx context.Context) error {
	// First what is there, then what is known: what is kept and noted in
	// between is known.
	found, err := l.vols.Leftovers(ctx)
	if err != nil {
		return err
	}
	if l.orphans, err = l.orphaned(ctx); err != nil {
		return err
	}
	if l.bases, err = l.DB.Bases(ctx, l.key); err != nil {
		return err
	}
	for _, snap := range found {
		needed, err := l.needed(ctx, snap)
		switch {
		case err != nil:
			return err
		case needed:
		case !l.Manager.doubtful[mark(snap)]:
			l.doubtful[mark(snap)] = true
		default:
			l.remove(ctx, snap)
		}
	}
	return nil
}

// mark is what a snapshot is known by from one look to the next.
func mark(snap stowage.Snapshot) string {
	return strings.Join([]string{snap.Volume.Backend, snap.Volume.Name, snap.Name, snap.ID}, " ")
}

func (l *leftovers) orphaned(ctx context.Context) (map[string]bool, error) {
	knower, ok := l.vols.(drivers.Orphans)
	if !ok {
		return nil, nil
	}
	list, err := knower.Orphans(ctx)
	ids := map[string]bool{}
	for _, snap := range list {
		ids[snap.ID] = snap.ID != ""
	}
	return ids, err
}

// needed reports whether a snapshot is to stay: its backup is being made, or it
// is a base of a volume that is there, or it is none of ours. A base that is
// to be removed for another reason is left to removeBases.
func (l *leftovers) needed(ctx context.Context, snap stowage.Snapshot) (bool, error) {
	if uuid, ok := strings.CutPrefix(snap.Name, snapshotPrefix); ok {
		return l.DB.Creating(ctx, uuid)
	}
	return !keptName.MatchString(snap.Name) || l.base(snap) != nil && !l.orphans[snap.ID], nil
}

// base gives the base that a snapshot is, if it is known as one.
func (l *leftovers) base(snap stowage.Snapshot) *db.Base {
	for i, b := range l.bases {
		if b.Snapshot.ID == snap.ID && b.Snapshot.Name == snap.Name && b.Snapshot.Volume.Name == snap.Volume.Name {
			return &l.bases[i]
		}
	}
	return nil
}

// remove removes a snapshot. One that is known as a base is given up first:
// removeBases removes it until that has worked.
func (l *leftovers) remove(ctx context.Context, snap stowage.Snapshot) {
	l.Log.InfoContext(ctx, "removing a snapshot that nobody needs", "snapshot", snap.Name, "volume", snap.Volume.Name,
		"volume_gone", l.orphans[snap.ID])
	var err error
	if b := l.base(snap); b != nil {
		err = l.DB.GiveUpBase(ctx, *b)
	} else {
		err = l.vols.RemoveSnapshot(ctx, snap)
	}
	if err != nil {
		l.Log.WarnContext(ctx, "leftover snapshot not removed", "snapshot", snap.Name, "error", err)
	}
}
