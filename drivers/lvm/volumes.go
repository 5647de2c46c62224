package lvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Volumes implements drivers.Volumes.
type Volumes struct {
	o   Options
	key string

	// change is held while a snapshot is made or removed: lvm2 would queue
	// them anyway, and who looks first must find what he saw.
	change chan struct{}
	// activity is held while a snapshot is opened, or put away. Whoever has both
	// took change first.
	activity chan struct{}

	mu      sync.Mutex
	open    map[io.Closer]string // by what LV they are
	resting map[string]string    // uuids of LVs that are to be inactive when nobody reads them, by name
	closed  bool
}

var _ drivers.Volumes = (*Volumes)(nil)

// Open looks for lvm2 and for the volume group.
func Open(ctx context.Context, opts Options) (*Volumes, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	v := &Volumes{
		o: opts, key: Key(opts.Host, opts.VolumeGroup),
		change: make(chan struct{}, 1), activity: make(chan struct{}, 1),
		open: map[io.Closer]string{}, resting: map[string]string{},
	}
	if _, _, err := v.space(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", v.key, err)
	}
	if _, err := v.dmsetup(ctx, false, "version"); err != nil {
		return nil, away(ctx, err, "open %s: ask device-mapper for its version", v.key)
	}
	return v, nil
}

// Backend gives the key.
func (v *Volumes) Backend() string { return v.key }

// Close also closes what is still open.
func (v *Volumes) Close() error {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	return v.closeAll("")
}

// closeAll closes what is open of an LV, or everything. Reads under way end by
// themselves.
func (v *Volumes) closeAll(lv string) error {
	v.mu.Lock()
	var left []io.Closer
	for c, name := range v.open {
		if lv == "" || name == lv {
			left = append(left, c)
		}
	}
	v.mu.Unlock()
	var err error
	for _, c := range left {
		err = errors.Join(err, c.Close())
	}
	return err
}

// hold notes what was opened, so that it can be closed.
func (v *Volumes) hold(c io.Closer, l *lv) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return stowage.Errorf(stowage.Unavailable, "backend %s was closed", v.key)
	}
	v.open[c] = l.Name
	return nil
}

// note remembers an LV that is about to be activated, and is to be as it was afterwards:
// one that was kept, or one of Cinder's. A classic snapshot is active when its volume
// is, and is left so: with it would go the volume.
func (v *Volumes) note(l *lv) {
	if l.base() || l.cinders() && l.thin() && !l.active() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.resting[l.Name] = l.UUID
	}
}

// drop is told of what is closed; it gives the LV's name now, and whether this
// was the first to close it.
func (v *Volumes) drop(c io.Closer) (lv string, was bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	lv, was = v.open[c]
	delete(v.open, c)
	return lv, was
}

// lock waits for its turn to change something.
func (v *Volumes) lock(ctx context.Context) (unlock func(), err error) { return turn(ctx, v.change) }

// turn waits until what one can hold is free.
func turn(ctx context.Context, one chan struct{}) (unlock func(), err error) {
	select {
	case one <- struct{}{}:
		return func() { <-one }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Leftovers lists the snapshots of this package in the volume group, those that
// are being read or are kept as well: who asks must know which are in use.
// RemoveSnapshot takes each as it is. VolumeID is not known here.
func (v *Volumes) Leftovers(ctx context.Context) ([]stowage.Snapshot, error) {
	return v.ours(ctx, func(*lv) bool { return true })
}

// ours lists those of our snapshots that are wanted.
func (v *Volumes) ours(ctx context.Context, wanted func(*lv) bool) ([]stowage.Snapshot, error) {
	rows, err := v.list(ctx, `lv_tags={"`+tagOurs+`"} || lv_tags={"`+tagBase+`"}`)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var found []stowage.Snapshot
	for _, l := range rows {
		snap, ok := l.own(v)
		if !ok || !wanted(l) {
			continue
		}
		if err := l.describe(&snap); err != nil {
			return nil, err
		}
		found = append(found, snap)
	}
	return found, nil
}

// own tells which snapshot of ours an LV is; false for one that has our tags
// and not our name: somebody made a copy of a snapshot, tags and all.
func (l *lv) own(v *Volumes) (stowage.Snapshot, bool) {
	snap := stowage.Snapshot{Volume: stowage.VolumeLocation{Backend: v.key, Name: l.tag(tagVolume)}}
	for t := range strings.SplitSeq(l.Tags, ",") {
		name, ok := strings.CutPrefix(t, tagSnapshot)
		if ok && l.ours() && l.Name == lvName(v.o.VolumeGroup, snap.Volume.Name, name) {
			snap.Name = name
			return snap, true
		}
	}
	return snap, false
}

// check refuses what has no business with this backend.
func (v *Volumes) check(ctx context.Context, snap stowage.Snapshot, verb string) error {
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

func (v *Volumes) checkVolume(vol stowage.VolumeLocation) error {
	if vol.Backend != v.key {
		return stowage.Errorf(stowage.Invalid, "volume %q is on backend %q, not on %q", vol.Name, vol.Backend, v.key)
	}
	if !validName(vol.Name) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of a volume", vol.Name)
	}
	return nil
}
