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

var _ drivers.ChangeSource = (*source)(nil)

// Changed asks the storage daemons what was written to each object between the
// two snapshots, to the byte. See doc.go for why it asks them, and not the
// object map, whether an object changed.
//
// An image that is open is not told that a snapshot goes away, and a daemon
// asked about one that is gone answers that nothing changed. So base is proved
// on a fresh look at the image before, and once more behind the last question:
// its name goes first when it is removed, and its id never comes back, so what
// is there in the end was there all the time.
func (s *source) Changed(ctx context.Context, base stowage.Snapshot, offset, length int64, fn func(stowage.Extent) error) (err error) {
	if err := inside("list", offset, length, s.Size()); err != nil {
		return err
	}
	d, err := s.since(ctx, base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.walk(ctx, offset, offset+length, fn); err != nil {
		return err
	}
	return s.v.CheckSnapshot(ctx, base)
}

// changes is two states of an image.
type changes struct {
	old, now *handle // open at base, and at what came after it
	base     string  // base's name
	was, is  extentMap
	// doubt is where the parent shows, or showed, in one of them only. There
	// what either of them holds counts.
	doubt stowage.Extent
}

// since opens the image at base and at the source's own snapshot, both anew:
// what the source's handle knows of other snapshots is as old as itself.
func (s *source) since(ctx context.Context, base stowage.Snapshot) (*changes, error) {
	old, id, err := s.v.find(ctx, base)
	if err != nil {
		return nil, err
	}
	d := &changes{old: old, base: base.Name}
	if err = s.follows(id); err == nil {
		if d.now, err = s.v.reading(s.id.image); err == nil {
			err = d.open(id.snap, s.id.snap)
		}
	}
	if err != nil {
		return nil, errors.Join(coded(err, "compare snapshot %s with %s of volume %s", s.name, base.Name, base.Volume.Name), d.close())
	}
	return d, nil
}

// follows refuses a base that the source cannot be compared with.
func (s *source) follows(base snapID) error {
	if base.image != s.id.image {
		return stowage.Errorf(stowage.NotFound, "snapshot %s is of image %s, not of %s", base, base.image, s.id.image)
	}
	if base.snap > s.id.snap {
		return stowage.Errorf(stowage.Invalid, "snapshot %s is older than %s", s.id, base)
	}
	return nil
}

func (d *changes) open(base, snap uint64) error {
	var was, is uint64 // how much of the parent there is
	err := d.old.use(func(image *rbd.Image) (err error) {
		if err = image.SetSnapByID(base); err == nil {
			d.was, was, err = withParent(image)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = d.now.use(func(image *rbd.Image) error {
		// librbd takes base's name, and looks it up in what this handle knows.
		found, err := image.GetSnapID(d.base)
		if err == nil && found != base {
			err = stowage.Errorf(stowage.NotFound, "snapshot %d has the name now, not %d", found, base)
		}
		if err == nil {
			err = image.SetSnapByID(snap)
		}
		if err == nil {
			d.is, is, err = withParent(image)
		}
		return err
	})
	if was != is {
		d.doubt = stowage.Extent{Offset: int64(min(was, is)), Length: int64(max(was, is) - min(was, is))}
	}
	return err
}

func withParent(image *rbd.Image) (m extentMap, overlap uint64, err error) {
	if m, err = mapOf(image); err == nil {
		overlap, err = image.GetOverlap()
	}
	return m, overlap, err
}

func (d *changes) close() error {
	var err error
	for _, h := range []*handle{d.old, d.now} {
		if h != nil {
			err = errors.Join(err, h.Close())
		}
	}
	return err
}

// mapWindow is how much the object maps are asked for at a time, in units: each
// time librbd loads them whole, a quarter of a byte per object and snapshot.
const mapWindow = 1 << 18

// gap is how many objects that need not be asked are asked all the same, in
// units, where that spares a call: one costs as much as 5 objects.
const gap = 4

func (d *changes) walk(ctx context.Context, offset, end int64, fn func(stowage.Extent) error) error {
	unit := d.is.unit
	for at := offset / unit * unit; at < end; at += mapWindow * unit {
		last := min(at+mapWindow*unit, (end+unit-1)/unit*unit, d.is.size)
		objects, err := d.objects(ctx, at, last)
		if err != nil {
			return err
		}
		for _, run := range runs(objects, unit, last) {
			for ; run.Length > 0; run.Offset, run.Length = run.Offset+window*unit, run.Length-window*unit {
				piece := stowage.Extent{Offset: run.Offset, Length: min(run.Length, window*unit)}
				if err := d.tell(ctx, piece, offset, end, fn); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// objects gives where there is anything to ask: objects that either of the two
// has, and where there is doubt. What neither has reads the same in both.
func (d *changes) objects(ctx context.Context, offset, end int64) ([]stowage.Extent, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	if d.is.whole != rbd.EnableWholeObject || d.was.whole != rbd.EnableWholeObject {
		return []stowage.Extent{{Offset: offset, Length: end - offset}}, nil
	}
	var found []stowage.Extent
	for _, state := range []struct {
		h    *handle
		size int64
	}{{d.old, d.was.size}, {d.now, d.is.size}} {
		length := min(end, state.size) - offset
		if length <= 0 {
			continue
		}
		own, err := iterate(state.h, rbd.DiffIterateConfig{
			Offset: uint64(offset), Length: uint64(length), IncludeParent: rbd.ExcludeParent, WholeObject: rbd.EnableWholeObject,
		}, true)
		if err != nil {
			return nil, coded(err, "list objects of %d bytes at %d", length, offset)
		}
		found = append(found, own...)
	}
	if start, stop := max(d.doubt.Offset, offset), min(d.doubt.End(), end); start < stop {
		found = append(found, stowage.Extent{Offset: start, Length: stop - start})
	}
	return merge(found), nil
}

// runs rounds to whole units, up to the end, and joins what is not far apart.
func runs(found []stowage.Extent, unit, end int64) []stowage.Extent {
	var joined []stowage.Extent
	for _, e := range found {
		start, stop := e.Offset/unit*unit, min((e.End()+unit-1)/unit*unit, end)
		if n := len(joined); n > 0 && start <= joined[n-1].End()+gap*unit {
			joined[n-1].Length = max(joined[n-1].End(), stop) - joined[n-1].Offset
			continue
		}
		joined = append(joined, stowage.Extent{Offset: start, Length: stop - start})
	}
	return joined
}

// tell asks about a piece and passes on what lies between offset and end.
func (d *changes) tell(ctx context.Context, piece stowage.Extent, offset, end int64, fn func(stowage.Extent) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list changes: %w", err)
	}
	found, err := d.ask(piece)
	if err != nil {
		return coded(err, "list changes of %d bytes at %d", piece.Length, piece.Offset)
	}
	offset, end = max(offset, piece.Offset), min(end, piece.End())
	for _, e := range found {
		start, stop := max(e.Offset, offset), min(e.End(), end)
		if start >= stop {
			continue
		}
		if err := fn(stowage.Extent{Offset: start, Length: stop - start}); err != nil {
			return err
		}
	}
	return nil
}

// ask gives what changed in a piece of whole units.
func (d *changes) ask(piece stowage.Extent) ([]stowage.Extent, error) {
	found, err := iterate(d.now, rbd.DiffIterateConfig{
		SnapName: d.base, Offset: uint64(piece.Offset), Length: uint64(piece.Length), IncludeParent: rbd.IncludeParent,
	}, true)
	if err != nil || d.doubt.Offset >= piece.End() || d.doubt.End() <= piece.Offset {
		return found, err
	}
	is, err := d.is.ask(d.now, piece.Offset, piece.Length)
	if err != nil {
		return nil, err
	}
	found = append(found, is...)
	if length := min(piece.End(), d.was.size) - piece.Offset; length > 0 {
		was, err := d.was.ask(d.old, piece.Offset, length)
		if err != nil {
			return nil, err
		}
		found = append(found, was...)
	}
	return merge(found), nil
}
