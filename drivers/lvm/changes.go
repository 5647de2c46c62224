package lvm

import (
	"context"
	"fmt"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.ChangeSource = (*thinSource)(nil)

// thinSource is a source whose pool can tell what changed: a thin snapshot
// that shows no external origin, in which what is not mapped would be unknown.
type thinSource struct {
	*source

	// turn is held while two snapshots are compared; the last comparison is
	// kept, for neither of them ever changes.
	turn  chan struct{}
	known *delta
}

// Changed compares what the pool has mapped for the two snapshots. Nothing is
// guessed: where that cannot be had, what changed cannot be told.
//
// base is proved before and, once more, behind the last call: uuids of LVs do
// not come back, so one that is there in the end was there all the time, and
// the pool gave its number to no other.
func (s *thinSource) Changed(ctx context.Context, base stowage.Snapshot, offset, length int64, fn func(stowage.Extent) error) error {
	if err := inside("list", offset, length, s.Size()); err != nil {
		return err
	}
	was, err := s.v.findSnapshot(ctx, base)
	if err != nil {
		return err
	}
	d, err := s.since(ctx, was)
	if err != nil {
		return err
	}
	if err := d.changed.walk(ctx, offset, length, fn); err != nil {
		return err
	}
	_, err = s.v.findSnapshot(ctx, base)
	return err
}

// since gives the comparison with a base.
func (s *thinSource) since(ctx context.Context, was *lv) (*delta, error) {
	if !was.thin() || was.Pool != s.lv.Pool || was.volumeUUID() != s.lv.volumeUUID() {
		return nil, stowage.Errorf(stowage.NotFound, "LV %s is none to compare %s with", was.Name, s.lv.Name)
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("list changes: %w", ctx.Err())
	}
	defer func() { <-s.turn }()
	if s.known != nil && s.known.was.UUID == was.UUID {
		return s.known, nil
	}
	d, err := s.v.newDelta(ctx, was, s.lv)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("list changes: %w", ctx.Err())
	}
	if err != nil {
		s.v.o.Log.WarnContext(ctx, "what changed is not known, data is compared", "lv", s.lv.Name, "base", was.Name, "error", err)
		return nil, stowage.Wrap(stowage.NotFound, err, "pool %s does not tell what changed in LV %s since %s", s.lv.Pool, s.lv.Name, was.Name)
	}
	s.known = d
	return d, nil
}
