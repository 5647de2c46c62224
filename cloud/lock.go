package cloud

import (
	"context"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
)

// settled are the migration statuses of a volume that stays where it is.
var settled = []string{"", "none", "success", "error"}

// Migrating reports whether the volume is on its way to elsewhere.
func (v Volume) Migrating() bool { return !slices.Contains(settled, v.MigrationStatus) }

// TakeVolume locks an available volume for the owner (a UUID), shows the
// status on it, and gives the attachment that stands for the lock and the
// volume as it was found behind it: what was read before may have changed.
// Conflict: the volume was not to be had. Unknown tells that an error leaves
// it open whether the lock was taken, or will be: FreeVolume settles it later.
func TakeVolume(ctx context.Context, v Volumes, volumeID, owner, status string) (string, Volume, error) {
	none := Volume{}
	attachment, err := v.Reserve(ctx, volumeID, owner)
	if err != nil {
		switch stowage.CodeOf(err) {
		case stowage.Conflict, stowage.Invalid, stowage.NotFound, stowage.Forbidden:
			return "", none, err
		}
		// The answer got lost, not necessarily the lock. One that is not there
		// now may still come: Cinder does not stop when a proxy does.
		found, look := v.Lock(ctx, volumeID, owner)
		if look != nil {
			return "", none, &Unknown{err}
		}
		attachment = found
	}
	vol, err := v.Volume(ctx, volumeID)
	if err != nil {
		return attachment, none, &Unknown{err}
	}
	if vol.Migrating() {
		// Cinder would throw away what is written now, or move what is read.
		if err := v.Release(ctx, attachment); err != nil {
			return attachment, none, &Unknown{err}
		}
		return "", none, stowage.Errorf(stowage.Conflict, "volume %s is being migrated", volumeID)
	}
	attachment, err = ShowStatus(ctx, v, volumeID, owner, status)
	return attachment, vol, err
}

// ShowStatus shows a status on a volume the owner has locked, and gives the
// attachment that stands for the lock. Conflict: the lock was broken.
func ShowStatus(ctx context.Context, v Volumes, volumeID, owner, status string) (string, error) {
	if err := v.SetStatus(ctx, volumeID, status); err != nil {
		return "", &Unknown{fmt.Errorf("show %s on volume %s: %w", status, volumeID, err)}
	}
	attachment, err := v.Lock(ctx, volumeID, owner)
	if err == nil {
		return attachment, nil
	}
	if stowage.CodeOf(err) != stowage.NotFound {
		return "", &Unknown{err}
	}
	// A tenant can break the lock on his own volume. Had he done so just now,
	// the status set on top of it would stay for ever.
	vol, err := v.Volume(ctx, volumeID)
	if err == nil && vol.Status == status && vol.Attachments == 0 {
		err = v.SetStatus(ctx, volumeID, stowage.VolumeAvailable)
	}
	if err != nil {
		return "", &Unknown{err}
	}
	return "", stowage.Errorf(stowage.Conflict, "the lock on volume %s was broken", volumeID)
}

// FreeVolume gives the owner's lock on the volume back: the volume is available
// again. It can be called any number of times, and reports whether there was a
// lock.
func FreeVolume(ctx context.Context, v Volumes, volumeID, owner, attachment string) (found bool, err error) {
	if attachment == "" {
		attachment, err = v.Lock(ctx, volumeID, owner)
		if stowage.CodeOf(err) == stowage.NotFound {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for the lock on volume %s: %w", volumeID, err)
		}
	}
	if err := v.Release(ctx, attachment); err != nil {
		return true, fmt.Errorf("free volume %s: %w", volumeID, err)
	}
	return true, nil
}

// SpoilVolume frees the volume and shows on it that its contents are not to be
// trusted, unless somebody else has taken it meanwhile, or it is of a project by
// now that is not ours. Unavailable: it is still being made.
func SpoilVolume(ctx context.Context, v Volumes, volumeID, owner, attachment string, ours func(projectID string) bool) (found bool, err error) {
	if found, err = FreeVolume(ctx, v, volumeID, owner, attachment); err != nil {
		return found, err
	}
	vol, err := v.Volume(ctx, volumeID)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return found, nil
	case err != nil:
		return found, fmt.Errorf("look at volume %s: %w", volumeID, err)
	case !ours(vol.ProjectID):
		return found, nil
	case vol.Status == stowage.VolumeCreating || vol.Status == stowage.VolumeDownloading:
		return found, stowage.Errorf(stowage.Unavailable, "volume %s is still being created", volumeID)
	case vol.Status != stowage.VolumeAvailable:
		return found, nil
	}
	if err := v.SetStatus(ctx, volumeID, stowage.VolumeErrorRestoring); err != nil {
		return found, fmt.Errorf("show the failed restore on volume %s: %w", volumeID, err)
	}
	return true, nil
}

// Unknown marks an error that leaves open whether the call took effect.
type Unknown struct{ Cause error }

// Error gives the cause's text.
func (u *Unknown) Error() string { return u.Cause.Error() }

// Unwrap gives the cause.
func (u *Unknown) Unwrap() error { return u.Cause }
