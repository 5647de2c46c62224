package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
)

// pieceBytes is how much is copied between two looks at the context.
const pieceBytes = 32 << 20

// copySparse makes dst, a fresh file, the same as src with the same holes: as
// a reflink where it can be had.
func copySparse(ctx context.Context, dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())); err == nil {
		return sizeStays(dst, size)
	}
	if err := dst.Truncate(size); err != nil {
		return err
	}
	buf := make([]byte, 0) // allocated where the kernel cannot copy
	err = dataExtents(ctx, src, 0, size, func(e stowage.Extent) error {
		for e.Length > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(e.Length, pieceBytes)
			if buf, err = copyRange(dst, src, e.Offset, n, buf); err != nil {
				return err
			}
			e.Offset, e.Length = e.Offset+n, e.Length-n
		}
		return nil
	})
	if err != nil {
		return err
	}
	return sizeStays(src, size)
}

// sizeStays fails for a volume that grew or shrank under the copy.
func sizeStays(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size {
		return stowage.Errorf(stowage.Conflict, "the volume went from %d to %d bytes while it was copied", size, info.Size())
	}
	return nil
}

// copyRange copies within the kernel, and through buf where the file system
// does not do that; it returns buf for the next piece.
func copyRange(dst, src *os.File, offset, length int64, buf []byte) ([]byte, error) {
	in, out := offset, offset
	for len(buf) == 0 && in < offset+length {
		n, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, int(offset+length-in), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 { // whatever it is, reading and writing will tell better
			buf = make([]byte, 1<<20)
		}
	}
	for in < offset+length {
		piece := buf[:min(int64(len(buf)), offset+length-in)]
		if _, err := src.ReadAt(piece, in); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buf, fmt.Errorf("read at %d: %w", in, err)
		}
		if _, err := dst.WriteAt(piece, in); err != nil {
			return buf, fmt.Errorf("write at %d: %w", in, err)
		}
		in += int64(len(piece))
	}
	return buf, nil
}

// dataExtents calls fn for what is not a hole in [offset, offset+length). A
// file system that knows no holes shows one run of data.
func dataExtents(ctx context.Context, f *os.File, offset, length int64, fn func(stowage.Extent) error) error {
	end := offset + length
	for offset < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := f.Seek(offset, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO): // a hole up to the end
			return nil
		case errors.Is(err, unix.EINVAL):
			return fn(stowage.Extent{Offset: offset, Length: end - offset})
		case err != nil:
			return fmt.Errorf("look for data behind %d: %w", offset, err)
		}
		if data >= end {
			return nil
		}
		hole, err := f.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("look for a hole behind %d: %w", data, err)
		}
		hole = min(hole, end)
		if err := fn(stowage.Extent{Offset: data, Length: hole - data}); err != nil {
			return err
		}
		offset = hole
	}
	return nil
}
