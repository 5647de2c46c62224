//go:build ceph

package rbd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// CreateSnapshot asks for the snapshot; whoever has the image locked, such as
// a guest's QEMU, makes it on our behalf.
func (v *volumes) CreateSnapshot(ctx context.Context, vol stowage.VolumeLocation, name string) (stowage.Snapshot, error) {
	snap := stowage.Snapshot{Name: name, Volume: vol}
	if err := v.check(ctx, snap, "create"); err != nil {
		return snap, err
	}
	h, err := v.byName(vol.Name)
	if err != nil {
		return snap, coded(err, "open volume %s", vol.Name)
	}
	defer h.Close()
	err = h.use(func(image *rbd.Image) error {
		if _, err := image.GetSnapID(name); !errors.Is(err, rbd.ErrNotFound) {
			return err // nil: it is there already
		}
		if _, err := image.CreateSnapshot(name); err != nil && !errors.Is(err, rbd.ErrExist) {
			return err
		}
		return nil
	})
	if err == nil {
		err = h.use(func(image *rbd.Image) error { return describe(image, &snap) })
	}
	if err != nil {
		return snap, coded(err, "create snapshot %s of volume %s", name, vol.Name)
	}
	return snap, nil
}

// describe fills in what the image knows of the snapshot of this name.
func describe(image *rbd.Image, snap *stowage.Snapshot) error {
	id, err := image.GetId()
	if err != nil {
		return err
	}
	infos, err := image.GetSnapshotNames()
	if err != nil {
		return err
	}
	for _, info := range infos {
		if info.Name != snap.Name {
			continue
		}
		at, err := image.GetSnapTimestamp(info.Id)
		if err != nil {
			return err
		}
		snap.ID, snap.Bytes, snap.At = snapID{id, info.Id}.String(), int64(info.Size), time.Unix(at.Sec, at.Nsec).UTC()
		return nil
	}
	return rbd.ErrNotFound
}

// OpenSnapshot opens the image by its id, and the snapshot by its own.
func (v *volumes) OpenSnapshot(ctx context.Context, snap stowage.Snapshot) (drivers.Source, error) {
	h, id, err := v.find(ctx, snap)
	if err != nil {
		return nil, err
	}
	s := &source{handle: h, id: id, name: snap.Name}
	err = h.use(func(image *rbd.Image) error {
		if err := image.SetSnapByID(id.snap); err != nil {
			return err
		}
		s.extents, err = mapOf(image)
		return err
	})
	if err != nil {
		return nil, errors.Join(coded(err, "open snapshot %s of volume %s", snap.Name, snap.Volume.Name), h.Close())
	}
	return s, nil
}

// CheckSnapshot opens the image once more: an image that is open for reading
// is not told when a snapshot goes away.
func (v *volumes) CheckSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	h, _, err := v.find(ctx, snap)
	if err != nil {
		return err
	}
	return h.Close()
}

// find opens the image of the snapshot and makes sure that it has it.
func (v *volumes) find(ctx context.Context, snap stowage.Snapshot) (*handle, snapID, error) {
	if err := v.check(ctx, snap, "open"); err != nil {
		return nil, snapID{}, err
	}
	if snap.ID == "" {
		return nil, snapID{}, stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s has no id to know it by", snap.Name, snap.Volume.Name)
	}
	id, ok := parseID(snap.ID)
	if !ok {
		return nil, id, stowage.Errorf(stowage.NotFound, "snapshot %s of volume %s cannot have the id %.80q", snap.Name, snap.Volume.Name, snap.ID)
	}
	h, err := v.reading(id.image)
	if err != nil {
		return nil, id, coded(err, "open image %s of volume %s", id.image, snap.Volume.Name)
	}
	var found uint64
	err = h.use(func(image *rbd.Image) (err error) { found, err = image.GetSnapID(snap.Name); return err })
	if err == nil && found != id.snap {
		err = stowage.Errorf(stowage.NotFound, "snapshot %d has the name now, not %d", found, id.snap)
	}
	if err != nil {
		return nil, id, errors.Join(coded(err, "find snapshot %s of volume %s", snap.Name, snap.Volume.Name), h.Close())
	}
	return h, id, nil
}

// check refuses what has no business with this backend.
func (v *volumes) check(ctx context.Context, snap stowage.Snapshot, verb string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s snapshot %s of volume %s: %w", verb, snap.Name, snap.Volume.Name, err)
	}
	if err := v.checkVolume(snap.Volume); err != nil {
		return err
	}
	if !validName(snap.Name) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of a snapshot", snap.Name)
	}
	return nil
}

func (v *volumes) checkVolume(vol stowage.VolumeLocation) error {
	if vol.Backend != v.key {
		return stowage.Errorf(stowage.Invalid, "volume %q is on backend %q, not on %q", vol.Name, vol.Backend, v.key)
	}
	if !validName(vol.Name) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of a volume", vol.Name)
	}
	return nil
}
