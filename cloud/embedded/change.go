package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// CreateUserVolume makes a sparse file. The volume is told as creating, as
// Cinder would, but is available by then.
func (v *Volumes) CreateUserVolume(ctx context.Context, user cloud.User, req cloud.VolumeRequest) (cloud.Volume, error) {
	if err := ctx.Err(); err != nil {
		return cloud.Volume{}, err
	}
	if req.SizeGiB < 1 || req.SizeGiB > 1<<32 { // beyond, bytes overflow an int64
		return cloud.Volume{}, stowage.Errorf(stowage.Invalid, "A volume of %d GiB cannot be made.", req.SizeGiB)
	}
	side := sidecar{
		ProjectID: user.ProjectID, Name: req.Name, Description: req.Description, Status: stowage.VolumeAvailable,
		Type: req.Type, AvailabilityZone: req.AvailabilityZone, Metadata: maps.Clone(req.Metadata),
	}
	id := v.newID()
	v.mu.Lock()
	defer v.mu.Unlock()
	// The sidecar first: should we crash before the file has its name, the
	// sidecar is of no volume and goes by itself; the other way round it would
	// be a volume that belongs to everybody.
	if err := v.writeSidecar(id, side); err != nil {
		return cloud.Volume{}, fmt.Errorf("create volume %s: %w", id, err)
	}
	size := req.SizeGiB * stowage.GiB
	if err := v.createFile(id, size); err != nil {
		err = errors.Join(err, v.dropSidecar(id))
		if errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = stowage.Wrap(stowage.OverLimit, err, "There is no room for a volume of %d GiB.", req.SizeGiB)
		}
		return cloud.Volume{}, fmt.Errorf("create volume %s: %w", id, err)
	}
	vol := v.view(id, size, side)
	vol.Status, vol.Host = stowage.VolumeCreating, ""
	return vol, nil
}

// createFile makes a file of full length appear under the volume's name.
func (v *Volumes) createFile(id string, size int64) (err error) {
	f, err := os.OpenFile(filepath.Join(v.dir, metaDir, filePrefix+id+newSuffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), v.path(id)); err != nil {
		return err
	}
	return syncDir(v.dir)
}

// Reserve takes an available volume.
func (v *Volumes) Reserve(ctx context.Context, volumeID, owner string) (string, error) {
	if uuid.Validate(owner) != nil {
		return "", stowage.Errorf(stowage.Invalid, "The owner of a lock must be a UUID.")
	}
	id := v.newID()
	err := v.change(ctx, volumeID, func(side *sidecar) error {
		if side.Status != stowage.VolumeAvailable {
			return stowage.Errorf(stowage.Conflict, "Volume %s must be available, but the current status is %q.", volumeID, side.Status)
		}
		side.Status = stowage.VolumeReserved
		side.Locks = append(side.Locks, lock{ID: id, Owner: owner})
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reserve volume %.64s: %w", volumeID, err)
	}
	return id, nil
}

// Lock finds what Reserve gave. No volume, no lock: NotFound.
func (v *Volumes) Lock(ctx context.Context, volumeID, owner string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	_, side, err := v.load(volumeID)
	if err != nil {
		return "", err
	}
	for _, l := range side.Locks {
		if l.Owner == owner {
			return l.ID, nil
		}
	}
	return "", stowage.Errorf(stowage.NotFound, "Volume %s is not locked by %s.", volumeID, owner)
}

// Release gives a lock back. As with Cinder, a volume without locks is
// available, whatever its status was.
func (v *Volumes) Release(ctx context.Context, attachment string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	holds := func(l lock) bool { return l.ID == attachment }
	var volumeID string
	var side sidecar
	err := v.eachSidecar(func(id string, _ int64, s sidecar) bool {
		if !slices.ContainsFunc(s.Locks, holds) {
			return true
		}
		volumeID, side = id, s
		return false
	})
	if err == nil && volumeID != "" {
		side.Locks = slices.DeleteFunc(side.Locks, holds)
		if len(side.Locks) == 0 {
			side.Status = stowage.VolumeAvailable
		}
		err = v.writeSidecar(volumeID, side)
	}
	if err != nil {
		return fmt.Errorf("release attachment %.64s: %w", attachment, err)
	}
	return nil
}

// SetStatus sets the status blindly.
func (v *Volumes) SetStatus(ctx context.Context, volumeID, status string) error {
	err := v.change(ctx, volumeID, func(side *sidecar) error {
		side.Status = status
		return nil
	})
	if err != nil {
		return fmt.Errorf("set volume %.64s to %s: %w", volumeID, status, err)
	}
	return nil
}

// SetMetadata replaces the user metadata and the bootable flag and adds to the
// image metadata, all in one step.
func (v *Volumes) SetMetadata(ctx context.Context, volumeID string, meta, image map[string]string, bootable bool) error {
	err := v.change(ctx, volumeID, func(side *sidecar) error {
		side.Metadata = maps.Clone(meta)
		if side.ImageMetadata == nil && len(image) > 0 {
			side.ImageMetadata = make(map[string]string, len(image))
		}
		maps.Copy(side.ImageMetadata, image)
		side.Bootable = bootable
		return nil
	})
	if err != nil {
		return fmt.Errorf("set metadata of volume %.64s: %w", volumeID, err)
	}
	return nil
}

// change reads the sidecar, lets fn change it and writes it, as one step.
func (v *Volumes) change(ctx context.Context, id string, fn func(*sidecar) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	_, side, err := v.load(id)
	if err != nil {
		return err
	}
	if err := fn(&side); err != nil {
		return err
	}
	return v.writeSidecar(id, side)
}
