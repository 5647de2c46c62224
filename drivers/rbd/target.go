//go:build ceph

package rbd

import (
	"context"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// target implements drivers.ReadableTarget on an image opened for writing.
type target struct {
	*handle
	name    string
	extents extentMap
}

var _ drivers.ReadableTarget = (*target)(nil)

// OpenTarget opens the image, looks who else has it open for writing, and
// locks it.
func (v *volumes) OpenTarget(ctx context.Context, vol stowage.VolumeLocation) (drivers.Target, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open volume %s: %w", vol.Name, err)
	}
	if err := v.checkVolume(vol); err != nil {
		return nil, err
	}
	h, err := v.byName(vol.Name)
	if err != nil {
		return nil, coded(err, "open volume %s", vol.Name)
	}
	t := &target{handle: h, name: vol.Name}
	err = h.use(func(image *rbd.Image) (err error) {
		if err := exclusive(image); err != nil {
			return err
		}
		t.extents, err = mapOf(image)
		return err
	})
	if err != nil {
		return nil, errors.Join(coded(err, "open volume %s for writing", vol.Name), h.Close())
	}
	return t, nil
}

// exclusive makes sure that nobody else writes, now and, with the lock, later.
// Who opened the image for writing watches it: we do since we opened it, so of
// two who try at the same time at least one sees the other.
func exclusive(image *rbd.Image) error {
	watchers, err := image.ListWatchers()
	if err != nil {
		return err
	}
	if len(watchers) > 1 {
		return stowage.Errorf(stowage.Conflict, "somebody else has it open for writing")
	}
	features, err := image.GetFeatures()
	if err != nil {
		return err
	}
	if features&rbd.FeatureExclusiveLock == 0 {
		return nil
	}
	return image.LockAcquire(rbd.LockModeExclusive)
}

func (t *target) Size() int64 { return t.extents.size }

// ReadAt gives what was written last: there is no cache in between that does
// not see both, and nobody else writes.
func (t *target) ReadAt(p []byte, offset int64) (int, error) {
	return t.readAt(p, offset, t.Size(), "volume "+t.name)
}

func (t *target) WriteAt(p []byte, offset int64) (n int, err error) {
	if err := inside("write", offset, int64(len(p)), t.Size()); err != nil {
		return 0, err
	}
	for n < len(p) {
		var wrote int
		err := t.use(func(image *rbd.Image) (err error) {
			wrote, err = image.WriteAt(p[n:min(len(p), n+maxPiece)], offset+int64(n))
			return err
		})
		n += wrote
		if err == nil && wrote == 0 {
			err = errors.New("nothing was written")
		}
		if err != nil {
			return n, coded(err, "write %d bytes at %d of volume %s", len(p), offset, t.name)
		}
	}
	return n, nil
}

// WriteZeroes uses librbd's "write the same": for zeros it drops the objects
// that are covered whole and zeroes parts of others, to the byte. A discard
// would not do: it silently leaves out what is not aligned to the granularity
// of the pool's or the image's configuration.
func (t *target) WriteZeroes(offset, length int64) error {
	if err := inside("zero", offset, length, t.Size()); err != nil {
		return err
	}
	for length > 0 {
		// A multiple of the pattern's length, with the rest as one of its own.
		n := min(length, maxPiece)
		pattern := zeros[:]
		if n >= int64(len(pattern)) {
			n -= n % int64(len(pattern))
		} else {
			pattern = pattern[:n]
		}
		err := t.use(func(image *rbd.Image) error {
			_, err := image.WriteSame(uint64(offset), uint64(n), pattern, 0)
			return err
		})
		if err != nil {
			return coded(err, "zero %d bytes at %d of volume %s", n, offset, t.name)
		}
		offset, length = offset+n, length-n
	}
	return nil
}

var zeros [512]byte

// Empty asks the object map, or each object, and the parents.
func (t *target) Empty(ctx context.Context) (bool, error) {
	if err := t.Flush(); err != nil {
		return false, err
	}
	data := errors.New("data")
	err := t.extents.walk(ctx, t.handle, 0, t.Size(), func(stowage.Extent) error { return data })
	if errors.Is(err, data) {
		return false, nil
	}
	return err == nil, err
}

func (t *target) Flush() error {
	if err := t.use((*rbd.Image).Flush); err != nil {
		return coded(err, "flush volume %s", t.name)
	}
	return nil
}
