package manager

import (
	"context"
	"fmt"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
)

// parent is what an increment begins from.
type parent struct {
	backup stowage.Backup
	root   *engine.Opened
	base   *stowage.Snapshot // the snapshot it was made of, or one that is older; nil: there is none
	doubt  []stowage.Extent  // where it may differ from that
}

// parent picks the backup that this one is an increment of, makes sure that
// all it leads to is there, and holds on to that. nil: there is none, and this
// is a full backup. A damaged one is noted, and passed over.
func (t *task) parent(ctx context.Context, store drivers.Store) (*parent, error) {
	if t.job.Params.Full {
		return nil, nil
	}
	for try := 1; ; {
		r, err := t.reached(ctx)
		if err != nil {
			return nil, err
		}
		b, err := t.DB.Parent(ctx, t.backup.ProjectID, t.backup.Volume.ID, t.backup.Container)
		if stowage.CodeOf(err) == stowage.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		root, damage, err := t.sound(ctx, store, b)
		if stowage.CodeOf(err) == stowage.Forbidden {
			// Whoever has no key to it any more can still begin anew.
			t.log.WarnContext(ctx, "the parent cannot be opened, a full backup is made", "parent", b.ID, "error", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if damage != "" {
			if err := t.noteDamaged(ctx, b, damage); err != nil {
				return nil, err
			}
			continue
		}
		if err = t.DB.PinReach(ctx, r.lineage, t.job, b.ID, r.bytes[b.ID]); err == nil {
			p := &parent{backup: b, root: root}
			p.base, p.doubt = t.base(ctx, b)
			return p, nil
		}
		if stowage.CodeOf(err) != stowage.Conflict {
			return nil, err
		}
		if !t.stillOurs(ctx) {
			return nil, errLost
		}
		if try++; try > plans {
			return nil, &again{cause: err}
		}
	}
}

// sound reads a backup's root and looks at everything it leads to.
func (t *task) sound(ctx context.Context, store drivers.Store, b stowage.Backup) (*engine.Opened, string, error) {
	root, err := t.Engine.ReadRoot(ctx, store, b.Manifest, b.ManifestDigest, t.Keys.Of(b.ProjectID))
	if why, bad := engine.DamageOf(err); bad {
		return nil, why, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the root of backup %d: %w", b.ID, err)
	}
	found, err := t.Engine.LookAt(ctx, store, root.Root, nil)
	if err != nil {
		return nil, "", err
	}
	return root, engine.Describe(found), nil
}

// noteDamaged notes that a backup cannot be restored, unless it is being
// deleted: then its objects go one by one.
func (t *task) noteDamaged(ctx context.Context, b stowage.Backup, damage string) error {
	now, err := t.DB.Backup(ctx, db.Scope{}, b.ID)
	if stowage.CodeOf(err) == stowage.NotFound || err == nil && now.Status == stowage.BackupDeleting {
		return nil
	}
	if err != nil {
		return err
	}
	t.log.ErrorContext(ctx, "a backup is damaged", "damaged", b.ID, "uuid", b.UUID, "damage", damage)
	err = t.DB.NoteVerified(ctx, b.ID, damage, t.Now())
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil // gone meanwhile
	}
	return err
}

// base gives the snapshot that was kept after a backup, and where the backup may differ
// from it. Without one the next backup only takes longer.
//
// A backup of a quiesced guest was made of another snapshot than the one that was kept, as
// the times tell. Where they differ was not always noted: then there is no telling.
func (t *task) base(ctx context.Context, b stowage.Backup) (*stowage.Snapshot, []stowage.Extent) {
	base, err := t.DB.Base(ctx, t.job.Backend, t.backup.Volume.ID)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return nil, nil
	case err != nil:
		t.log.WarnContext(ctx, "base not looked for", "error", err)
		return nil, nil
	case base.BackupUUID != b.UUID || base.Snapshot.Volume != t.job.Params.Snapshot.Volume:
		return nil, nil
	case base.Between == nil && !base.At.Equal(b.SnapshotAt):
		t.log.InfoContext(ctx, "the base is not what was stored, all data is compared", "parent", b.ID)
		return nil, nil
	}
	return &base.Snapshot, base.Between
}

// keepBase keeps the snapshot of a backup that was made for the next one, if
// the backend can. False: it is to be removed.
func (m *Manager) keepBase(ctx context.Context, vols drivers.Volumes, j stowage.Job) (bool, error) {
	keeper, can := vols.(drivers.Bases)
	if !can || !m.KeepBases || j.Kind != stowage.JobBackup || j.State != stowage.JobFinished || j.Params.Snapshot.ID == "" {
		return false, nil
	}
	if j.Params.Quiesced.ID != "" && j.Params.Between == nil {
		return false, nil
	}
	b, err := m.DB.Backup(ctx, db.Scope{}, j.BackupID)
	if stowage.CodeOf(err) == stowage.NotFound {
		// Deleted already. The snapshot may have its new name by now.
		kept, err := keeper.KeepSnapshot(ctx, j.Params.Snapshot, baseName(j))
		if err == nil {
			err = vols.RemoveSnapshot(ctx, kept)
		}
		if stowage.CodeOf(err) == stowage.NotFound {
			return false, nil
		}
		return false, err
	}
	if err != nil {
		return false, err
	}
	kept, err := keeper.KeepSnapshot(ctx, j.Params.Snapshot, baseName(j))
	if stowage.CodeOf(err) == stowage.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = m.DB.SetBase(ctx, db.Base{
		Backend: j.Backend, VolumeID: j.VolumeID, BackupUUID: b.UUID, BackupID: b.ID, Snapshot: kept, At: j.Params.Snapshot.At,
		Between: j.Params.Between,
	})
	return err == nil, err
}

// baseName is the name of the snapshot that stays after a backup, of the form
// that Cinder removes along with a volume that is deleted: nobody reads it
// then without noticing.
func baseName(j stowage.Job) string {
	return fmt.Sprintf("backup.%s.snap.%d", strings.TrimPrefix(j.Params.Snapshot.Name, snapshotPrefix), j.Params.Snapshot.At.Unix())
}

// beingDeleted reports whether Cinder deletes the volume just now, or does not tell. It
// lists the kept snapshots first and then removes one after another: one that is gone
// by then it does not get over, and the volume ends in error_deleting.
func (m *Manager) beingDeleted(ctx context.Context, volume string) bool {
	vol, err := m.Volumes.Volume(ctx, volume)
	return err == nil && vol.Status == stowage.VolumeDeleting || err != nil && stowage.CodeOf(err) != stowage.NotFound
}

// removeBases removes the kept snapshots that no backup will ask for any more.
func (m *Manager) removeBases(ctx context.Context) {
	keys, _ := m.keys()
	bases, err := m.DB.UnneededBases(ctx, keys, sweepLimit)
	if err != nil {
		m.Log.WarnContext(ctx, "bases not looked at", "error", err)
	}
	for _, b := range bases {
		vols, open := m.backend(b.Backend)
		if !open || ctx.Err() != nil || m.beingDeleted(ctx, b.VolumeID) {
			continue
		}
		err := vols.RemoveSnapshot(ctx, b.Snapshot)
		if err == nil {
			err = m.DB.BaseRemoved(ctx, b)
		}
		if err != nil {
			m.Log.WarnContext(ctx, "base not removed, will be tried again", "snapshot", b.Snapshot.Name, "error", err)
		}
	}
}
