//go:build ceph

package rbd

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
)

// RemoveSnapshot removes the snapshot from its image, wherever that is. An
// image in the trash that has no snapshot left after that goes too: a volume
// was deleted, and only we held its data back.
func (v *volumes) RemoveSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	if err := v.check(ctx, snap, "remove"); err != nil {
		return err
	}
	if snap.ID == "" {
		return v.removeByName(ctx, snap)
	}
	id, ok := parseID(snap.ID)
	if !ok {
		return stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s cannot have the id %.80q", snap.Name, snap.Volume.Name, snap.ID)
	}
	// Purged also if the snapshot is gone already: whoever removed it may have
	// died before the purge, and the id says that this image is the one.
	_, left, err := v.removeFrom(id.image, snap, id.snap)
	if err != nil || left {
		return err
	}
	return v.purge(ctx, id.image, snap)
}

// removeByName is for a snapshot of which we know no more than its name: its
// maker died before it could note the id. An image is purged only if it had
// the snapshot.
func (v *volumes) removeByName(ctx context.Context, snap stowage.Snapshot) error {
	h, err := v.byName(snap.Volume.Name)
	if err == nil {
		var live string
		err = h.use(func(image *rbd.Image) (err error) { live, err = image.GetId(); return err })
		if err = errors.Join(err, h.Close()); err != nil {
			return coded(err, "look at volume %s", snap.Volume.Name)
		}
		if removed, _, err := v.removeFrom(live, snap, 0); removed || err != nil {
			return err
		}
	} else if codeOf(err) != stowage.NotFound {
		return coded(err, "open volume %s", snap.Volume.Name)
	}
	entries, err := v.trash()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name != snap.Volume.Name {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("remove snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
		}
		removed, left, err := v.removeFrom(entry.Id, snap, 0)
		if err != nil {
			return err
		}
		if removed && !left {
			return v.purge(ctx, entry.Id, snap)
		}
	}
	return nil
}

// removeFrom removes the snapshot from an image, if its number is the wanted
// one or none is wanted. In the trash the number counts, whatever its name. It tells whether it did, and whether the image is
// still needed for other snapshots. An image that is gone is not needed.
func (v *volumes) removeFrom(imageID string, snap stowage.Snapshot, want uint64) (removed, left bool, err error) {
	h, err := v.byID(imageID)
	if codeOf(err) == stowage.NotFound {
		return false, false, nil
	}
	if err != nil {
		return false, false, coded(err, "open image %s of volume %s", imageID, snap.Volume.Name)
	}
	err = h.use(func(image *rbd.Image) error {
		name := snap.Name
		found, err := image.GetSnapID(name)
		if err != nil && want != 0 && codeOf(v.deleted(imageID)) == stowage.NotFound {
			// The image went to the trash while the snapshot was renamed.
			if name, err = image.GetSnapByID(want); err == nil {
				found, err = image.GetSnapID(name)
			}
		}
		if err == nil && (want == 0 || want == found) {
			err = image.GetSnapshot(name).Remove()
			removed = err == nil
		}
		if err != nil && !errors.Is(err, rbd.ErrNotFound) {
			return err
		}
		others, err := image.GetSnapshotNames()
		left = len(others) > 0
		return err
	})
	if err = errors.Join(err, h.Close()); err != nil {
		return removed, true, coded(err, "remove snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	return removed, left, nil
}

func (v *volumes) trash() ([]rbd.TrashInfo, error) {
	l, err := v.connected()
	if err != nil {
		return nil, err
	}
	entries, err := rbd.GetTrashList(l.ioctx)
	v.giveBack(l, err)
	if err != nil && codeOf(err) != stowage.NotFound {
		return nil, coded(err, "list the trash of %s", v.key)
	}
	return entries, nil
}

// purge deletes an image from the trash, if it is there under the volume's
// name. One that is to be kept until later is left to who wants that.
func (v *volumes) purge(ctx context.Context, imageID string, snap stowage.Snapshot) error {
	entries, err := v.trash()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Id != imageID || entry.Name != snap.Volume.Name {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("purge image %s of the deleted volume %s: %w", imageID, snap.Volume.Name, err)
		}
		l, err := v.connected()
		if err != nil {
			return err
		}
		err = rbd.TrashRemove(l.ioctx, imageID, false)
		v.giveBack(l, err)
		switch code := codeOf(err); {
		case err == nil, code == stowage.NotFound:
			return nil
		case code == stowage.Forbidden && entry.DefermentEndTime.After(entry.DeletionTime):
			return nil // kept on purpose
		}
		return coded(err, "purge image %s of the deleted volume %s", imageID, snap.Volume.Name)
	}
	return nil
}
