package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.ReadableTarget = (*target)(nil)

// source implements drivers.Source on the copy that a snapshot is.
type source struct {
	f    *os.File
	size int64
}

func (s *source) Size() int64 { return s.size }

func (s *source) Close() error { return s.f.Close() }

func (s *source) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.f.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, coded(err, "read %d bytes at %d", len(p), offset)
	}
	return n, err
}

// Allocated gives what the file system keeps blocks for.
func (s *source) Allocated(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	if err := inside("list", offset, length, s.size); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return dataExtents(ctx, s.f, offset, length, fn)
}

// target implements drivers.ReadableTarget on a locked file.
type target struct {
	f    *os.File
	name string
	size int64
}

func (t *target) Size() int64 { return t.size }

// Close gives the lock back with the file.
func (t *target) Close() error { return t.f.Close() }

// Flush makes data and allocation durable.
func (t *target) Flush() error {
	if err := t.f.Sync(); err != nil {
		return coded(err, "flush volume %s", t.name)
	}
	return nil
}

// ReadAt ends at the size the file had when it was opened, whoever made it
// longer since.
func (t *target) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "read at %d of volume %s", offset, t.name)
	}
	n, err := t.f.ReadAt(p[:max(0, min(int64(len(p)), t.size-offset))], offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, coded(err, "read %d bytes at %d of volume %s", len(p), offset, t.name)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (t *target) WriteAt(p []byte, offset int64) (int, error) {
	if err := inside("write", offset, int64(len(p)), t.size); err != nil {
		return 0, err
	}
	n, err := t.f.WriteAt(p, offset)
	if err != nil {
		return n, coded(err, "write %d bytes at %d of volume %s", len(p), offset, t.name)
	}
	return n, nil
}

// WriteZeroes punches a hole; the kernel zeroes what is left of blocks at both
// ends. Where it cannot, zeros are written.
func (t *target) WriteZeroes(offset, length int64) error {
	if err := inside("zero", offset, length, t.size); err != nil || length == 0 {
		return err
	}
	for {
		err := unix.Fallocate(int(t.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return t.writeZeroes(offset, length)
		default:
			return coded(err, "zero %d bytes at %d of volume %s", length, offset, t.name)
		}
	}
}

var zeros [1 << 20]byte

func (t *target) writeZeroes(offset, length int64) error {
	for length > 0 {
		n := min(length, int64(len(zeros)))
		if _, err := t.WriteAt(zeros[:n], offset); err != nil {
			return err
		}
		offset, length = offset+n, length-n
	}
	return nil
}

// Empty tells that the file is one hole.
func (t *target) Empty(ctx context.Context) (bool, error) {
	found := errors.New("data")
	err := dataExtents(ctx, t.f, 0, t.size, func(stowage.Extent) error { return found })
	if errors.Is(err, found) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for data in volume %s: %w", t.name, err)
	}
	return true, nil
}

// inside refuses what is not within the volume.
func inside(verb string, offset, length, size int64) error {
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return stowage.Errorf(stowage.Invalid, "%s %d bytes at %d of a volume of %d bytes", verb, length, offset, size)
	}
	return nil
}

// lockWhole takes a write lock on the whole file that belongs to this opening
// of it, not to the process. QEMU keeps locks of the same kind on images it
// has open, so this also fails while a guest runs on the volume.
func lockWhole(f *os.File) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return stowage.Wrap(stowage.Conflict, err, "somebody else has it open")
	}
	return err
}
