//go:build ceph

package rbd

import (
	"context"
	"errors"

	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.Bases = (*volumes)(nil)

// KeepSnapshot renames the snapshot to a name that Cinder takes for one of its
// own backups' and removes with the volume. In the trash it would keep the
// data of a deleted volume for nobody: there a snapshot is not kept, and
// RemoveSnapshot finds one that got there meanwhile by its ID.
func (v *volumes) KeepSnapshot(ctx context.Context, snap stowage.Snapshot, name string) (stowage.Snapshot, error) {
	kept := snap
	kept.Name = name
	if err := v.check(ctx, snap, "keep"); err != nil {
		return snap, err
	}
	if !cinders(name) {
		return snap, stowage.Errorf(stowage.Invalid, "Cinder would not remove a snapshot named %.100q with its volume", name)
	}
	if snap.ID == "" {
		return snap, stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s has no id to know it by", snap.Name, snap.Volume.Name)
	}
	id, ok := parseID(snap.ID)
	if !ok {
		return snap, stowage.Errorf(stowage.NotFound, "snapshot %s of volume %s cannot have the id %.80q", snap.Name, snap.Volume.Name, snap.ID)
	}
	if err := v.keep(ctx, id, snap, kept); err != nil {
		return snap, coded(err, "keep snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	return kept, nil
}

func (v *volumes) keep(ctx context.Context, id snapID, snap, kept stowage.Snapshot) error {
	if err := v.deleted(id.image); err != nil {
		return err
	}
	err := v.rename(snap.Volume.Name, id, snap.Name, kept.Name)
	if err != nil && v.CheckSnapshot(ctx, kept) != nil { // else somebody did the same, quicker
		return err
	}
	return v.deleted(id.image)
}

// rename gives a snapshot another of two names. It may have it already.
func (v *volumes) rename(volume string, id snapID, from, to string) error {
	h, err := v.byNameAndID(volume, id.image)
	if err != nil {
		return err
	}
	err = h.use(func(image *rbd.Image) error {
		if found, err := image.GetSnapID(to); err == nil && found == id.snap {
			return nil
		} else if err != nil && !errors.Is(err, rbd.ErrNotFound) {
			return err
		}
		found, err := image.GetSnapID(from)
		if err == nil && found != id.snap {
			err = stowage.Errorf(stowage.NotFound, "snapshot %d has the name now, not %d", found, id.snap)
		}
		if err == nil {
			err = image.GetSnapshot(from).Rename(to) // a Conflict if another has that name
		}
		return err
	})
	return errors.Join(err, h.Close())
}

// byNameAndID opens the volume's image by its name, for go-ceph renames no
// snapshot of an image that was opened by its id, and proves the id.
func (v *volumes) byNameAndID(name, imageID string) (*handle, error) {
	h, err := v.byName(name)
	if err != nil {
		return nil, err
	}
	var found string
	err = h.use(func(image *rbd.Image) (err error) { found, err = image.GetId(); return err })
	if err == nil && found != imageID {
		err = stowage.Errorf(stowage.NotFound, "image %s has the volume's name now, not %s", found, imageID)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// deleted is NotFound for an image in the trash.
func (v *volumes) deleted(imageID string) error {
	entries, err := v.trash()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Id == imageID {
			return stowage.Errorf(stowage.NotFound, "the volume was deleted, and its image is in the trash")
		}
	}
	return nil
}
