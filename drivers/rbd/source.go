//go:build ceph

package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
)

// source implements drivers.ChangeSource on an image opened at a snapshot.
type source struct {
	*handle
	id      snapID
	name    string
	extents extentMap
}

func (s *source) Size() int64 { return s.extents.size }

// maxPiece bounds one call of librbd, whose lengths are ints.
const maxPiece = 256 << 20

func (s *source) ReadAt(p []byte, offset int64) (int, error) {
	return s.readAt(p, offset, s.Size(), "snapshot "+s.name)
}

// readAt reads from an image or snapshot of this size as io.ReaderAt says.
func (h *handle) readAt(p []byte, offset, size int64, what string) (n int, err error) {
	if offset < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "read at %d of %s", offset, what)
	}
	if offset >= size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), size-offset))
	for n < want {
		var got int
		err := h.use(func(image *rbd.Image) (err error) {
			got, err = image.ReadAt(p[n:min(want, n+maxPiece)], offset+int64(n))
			return err
		})
		n += got
		if errors.Is(err, io.EOF) || err == nil && got == 0 {
			err = io.ErrUnexpectedEOF // within the size there is no end
		}
		if err != nil {
			return n, coded(err, "read %d bytes at %d of %s", len(p), offset, what)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *source) Allocated(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	if err := inside("list", offset, length, s.Size()); err != nil {
		return err
	}
	return s.extents.walk(ctx, s.handle, offset, length, fn)
}

// extentMap knows how to ask an image, or a snapshot, for what it holds.
type extentMap struct {
	size int64
	// unit is what requests are aligned to: librbd's answers for a part of an
	// object were wrong more than once. With striping it is the whole set of
	// objects that a stripe goes over.
	unit int64
	// whole: the object map answers, which knows whole objects only. Without
	// one, each object is asked, and what it tells is exact at the same price.
	whole rbd.DiffWholeObject
}

func mapOf(image *rbd.Image) (extentMap, error) {
	var m extentMap
	info, err := image.Stat()
	if err != nil {
		return m, err
	}
	stripes, err := image.GetStripeCount()
	if err != nil {
		return m, err
	}
	features, err := image.GetFeatures()
	if err != nil {
		return m, err
	}
	m.size = int64(info.Size)
	m.unit = int64(info.Obj_size) * int64(max(1, stripes))
	if m.unit <= 0 {
		return m, fmt.Errorf("objects of %d bytes in stripes of %d", info.Obj_size, stripes)
	}
	if features&rbd.FeatureFastDiff != 0 {
		m.whole = rbd.EnableWholeObject
	}
	return m, nil
}

// window is how much is asked for at a time, in units: the context is looked
// at in between, and the answer is in memory.
const window = 4096

// walk asks for the difference to nothing, parents included: what a clone has
// not copied yet is its data too. fn is called outside of librbd, so it may
// take its time, and read.
func (m extentMap) walk(ctx context.Context, h *handle, offset, length int64, fn func(stowage.Extent) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list extents: %w", err)
	}
	end := offset + length
	for at := offset / m.unit * m.unit; at < end; at += window * m.unit {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list extents: %w", err)
		}
		last := min(at+window*m.unit, (end+m.unit-1)/m.unit*m.unit, m.size)
		found, err := m.ask(h, at, last-at)
		if err != nil {
			return coded(err, "list extents of %d bytes at %d", last-at, at)
		}
		for _, e := range found {
			start, stop := max(e.Offset, offset), min(e.End(), end)
			if start >= stop {
				continue
			}
			if err := fn(stowage.Extent{Offset: start, Length: stop - start}); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask gives what an aligned range holds, parents included.
func (m extentMap) ask(h *handle, offset, length int64) ([]stowage.Extent, error) {
	return iterate(h, rbd.DiffIterateConfig{
		Offset: uint64(offset), Length: uint64(length), IncludeParent: rbd.IncludeParent, WholeObject: m.whole,
	}, false)
}

// iterate gives the extents of a diff, in order and merged: also those that
// hold nothing any more, if holes is set.
func iterate(h *handle, config rbd.DiffIterateConfig, holes bool) ([]stowage.Extent, error) {
	var found []stowage.Extent
	config.Callback = func(offset, length uint64, exists int, _ any) int {
		if (holes || exists != 0) && length > 0 {
			found = append(found, stowage.Extent{Offset: int64(offset), Length: int64(length)})
		}
		return 0
	}
	if err := h.use(func(image *rbd.Image) error { return image.DiffIterate(config) }); err != nil {
		return nil, err
	}
	return merge(found), nil
}

// merge brings extents in order and joins those that touch.
func merge(found []stowage.Extent) []stowage.Extent {
	slices.SortFunc(found, func(a, b stowage.Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	merged := found[:0]
	for _, e := range found {
		if n := len(merged); n > 0 && e.Offset <= merged[n-1].End() {
			merged[n-1].Length = max(merged[n-1].End(), e.End()) - merged[n-1].Offset
			continue
		}
		merged = append(merged, e)
	}
	return merged
}

// inside refuses what is not within the volume.
func inside(verb string, offset, length, size int64) error {
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return stowage.Errorf(stowage.Invalid, "%s %d bytes at %d of a volume of %d bytes", verb, length, offset, size)
	}
	return nil
}
