package lvm

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// CreateSnapshot has lvm2 take the snapshot, which stops writes to the volume
// for a moment. What an earlier attempt left half made is made anew.
func (v *Volumes) CreateSnapshot(ctx context.Context, vol stowage.VolumeLocation, name string) (stowage.Snapshot, error) {
	snap := stowage.Snapshot{Name: name, Volume: vol}
	if err := v.checkOurs(ctx, snap, "create"); err != nil {
		return snap, err
	}
	err := v.create(ctx, &snap)
	if err != nil {
		return snap, fmt.Errorf("create snapshot %s of volume %s: %w", name, vol.Name, err)
	}
	return snap, nil
}

func (v *Volumes) create(ctx context.Context, snap *stowage.Snapshot) error {
	unlock, err := v.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	name := lvName(v.o.VolumeGroup, snap.Volume.Name, snap.Name)
	found, err := v.find(ctx, snap.Volume.Name, name)
	if err != nil {
		return err
	}
	origin, made := found[snap.Volume.Name], found[name]
	if made != nil {
		if again, err := v.foundAgain(origin, made, snap); !again {
			return err
		}
		if err := v.remove(ctx, made); err != nil {
			return err
		}
	}
	if err := usable(origin, snap.Volume.Name); err != nil {
		return err
	}
	args, err := v.createArgs(ctx, origin, name, snap)
	if err != nil {
		return err
	}
	_, failed := v.lvm(ctx, true, args...)
	// Whatever it said: what is there counts.
	ctx = context.WithoutCancel(ctx)
	if found, err = v.find(ctx, snap.Volume.Name, name); err != nil {
		return err
	}
	origin, made = found[snap.Volume.Name], found[name]
	if made == nil || failed != nil && !made.snapshotOf(origin) {
		return v.whyNot(ctx, origin, snap.Volume.Name, failed)
	}
	if !made.snapshotOf(origin) {
		return stowage.Errorf(stowage.Conflict, "volume %s was replaced while its snapshot was made", snap.Volume.Name)
	}
	v.o.Log.InfoContext(ctx, "snapshot made", "volume", snap.Volume.Name, "lv", name, "thin", made.thin(), "bytes", made.Size)
	return made.describe(snap)
}

// foundAgain describes a snapshot that is there already; it reports true for
// one that is ours and must be made anew.
func (v *Volumes) foundAgain(origin, made *lv, snap *stowage.Snapshot) (bool, error) {
	if !made.ours() || made.tag(tagVolume) != snap.Volume.Name || !made.named(snap.Name) {
		return false, stowage.Errorf(stowage.Conflict, "an LV %s is there, and none of ours", made.Name)
	}
	switch {
	case !made.classicSnapshot() && !made.thin():
		return true, nil // lvm2 was cut short before it became a snapshot
	case origin != nil && origin.UUID != made.tag(tagOrigin):
		return false, stowage.Errorf(stowage.Conflict, "the snapshot is of another volume that had this name")
	case made.overflowed():
		return false, overflow(snap.Volume.Name)
	}
	return false, made.describe(snap)
}

// snapshotOf reports whether it is whole, and of this very volume.
func (l *lv) snapshotOf(origin *lv) bool {
	return origin != nil && (l.classicSnapshot() || l.thin()) && l.OriginUUID == origin.UUID && l.volumeUUID() == origin.UUID
}

// describe fills in what the LV tells.
func (l *lv) describe(snap *stowage.Snapshot) (err error) {
	snap.ID = snapID{l.volumeUUID(), l.UUID}.String()
	if snap.At, err = l.made(); err != nil {
		return err
	}
	snap.Bytes, err = l.bytes()
	return err
}

// usable refuses an LV that is no volume: there is none, it is a snapshot, a
// pool or a part of something.
func usable(l *lv, name string) error {
	switch {
	case l == nil:
		return stowage.Errorf(stowage.NotFound, "there is no volume %s", name)
	case l.attr(attrType) == 'O':
		return stowage.Errorf(stowage.Conflict, "volume %s is being reverted to a snapshot", name)
	case !l.volume() || l.ours() || reserved(name):
		return stowage.Errorf(stowage.Invalid, "LV %s is no volume", name)
	}
	return nil
}

// createArgs is the command for a snapshot. Read-only, so that nothing writes
// to it by mistake; a thin one stays inactive when the host boots, like any.
func (v *Volumes) createArgs(ctx context.Context, origin *lv, name string, snap *stowage.Snapshot) ([]string, error) {
	args := []string{
		"lvcreate", "-y", "-s", "-p", "r", "-n", name, "--addtag", tagOurs, "--addtag", tagVolume + snap.Volume.Name,
		"--addtag", tagSnapshot + snap.Name, "--addtag", tagOrigin + origin.UUID,
	}
	if origin.thin() {
		// With a size it would become a classic one.
		args = append(args, "--setactivationskip", "y")
	} else {
		store, err := v.storeBytes(ctx, origin)
		if err != nil {
			return nil, err
		}
		args = append(args, "-L", strconv.FormatInt(store, 10)+"b")
	}
	return append(args, v.o.VolumeGroup+"/"+origin.Name), nil
}

// storeBytes is how large the store of a classic snapshot is to be. Rather
// none than one smaller than configured: it would run full in the middle.
func (v *Volumes) storeBytes(ctx context.Context, origin *lv) (int64, error) {
	size, err := origin.bytes()
	if err != nil {
		return 0, err
	}
	free, extent, err := v.space(ctx)
	if err != nil {
		return 0, err
	}
	// All of the volume, and 16 bytes of index for each chunk of 4 KiB, twice
	// that to be safe; lvm2 takes less if it knows better.
	most := size + size/128 + 64<<10
	store := most
	if v.o.SnapshotPercent < 100 {
		store = min(most, max(size/100*int64(v.o.SnapshotPercent), v.o.SnapshotMinBytes))
	}
	if v.o.SnapshotMaxBytes > 0 {
		store = min(store, v.o.SnapshotMaxBytes)
	}
	store = (store + extent - 1) / extent * extent
	if store > free {
		return 0, stowage.Errorf(stowage.OverLimit,
			"The volume group of volume %s has %d MiB free, and a snapshot needs %d MiB.", origin.Name, free>>20, store>>20)
	}
	return store, nil
}

// whyNot finds the reason lvcreate failed for: its exit code has none.
func (v *Volumes) whyNot(ctx context.Context, origin *lv, volume string, failed error) error {
	if failed == nil {
		failed = fmt.Errorf("lvcreate reported success, and there is no LV")
	}
	if err := usable(origin, volume); err != nil {
		return stowage.Wrap(stowage.CodeOf(err), failed, "%s", stowage.MessageOf(err))
	}
	if origin.thin() {
		if pools, err := v.find(ctx, origin.Pool); err == nil && pools[origin.Pool] != nil && pools[origin.Pool].Data == "100.00" {
			return stowage.Wrap(stowage.OverLimit, failed, "The thin pool of volume %s is full.", volume)
		}
	} else if _, err := v.storeBytes(ctx, origin); stowage.Is(err, stowage.OverLimit) {
		return err
	}
	return failed
}

// OpenSnapshot activates the snapshot and opens it. Nothing is put away meanwhile: what
// is found active is to stay so until it is open.
func (v *Volumes) OpenSnapshot(ctx context.Context, snap stowage.Snapshot) (drivers.Source, error) {
	unlock, err := turn(ctx, v.activity)
	if err != nil {
		return nil, fmt.Errorf("open snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
	}
	defer unlock()
	l, err := v.findSnapshot(ctx, snap)
	if err != nil {
		return nil, err
	}
	s, err := v.openSource(ctx, l, snap)
	if err != nil {
		v.putAway(ctx, l.Name)
		return nil, fmt.Errorf("open snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
	}
	return s, nil
}

// CheckSnapshot asks lvm2 and the kernel once more. A classic snapshot that
// somebody has deactivated is activated to see whether it is still valid.
func (v *Volumes) CheckSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	l, err := v.findSnapshot(ctx, snap)
	if err != nil || l.active() || l.thin() {
		return err
	}
	if err := v.activate(ctx, l); err != nil {
		return fmt.Errorf("check snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
	}
	_, err = v.findSnapshot(ctx, snap)
	return err
}

// findSnapshot finds the LV and makes sure that it is the very one, and valid.
func (v *Volumes) findSnapshot(ctx context.Context, snap stowage.Snapshot) (*lv, error) {
	if err := v.check(ctx, snap, "open"); err != nil {
		return nil, err
	}
	if snap.ID == "" {
		return nil, stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s has no id to know it by", snap.Name, snap.Volume.Name)
	}
	id, ok := parseID(snap.ID)
	if !ok {
		return nil, stowage.Errorf(stowage.NotFound, "snapshot %s of volume %s cannot have the id %.80q", snap.Name, snap.Volume.Name, snap.ID)
	}
	name := v.lvOf(snap)
	found, err := v.find(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("find snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
	}
	l := found[name]
	switch {
	case l == nil:
		return nil, stowage.Errorf(stowage.NotFound, "snapshot %s of volume %s is gone", snap.Name, snap.Volume.Name)
	case l.base() && l.orphan():
		return nil, stowage.Errorf(stowage.NotFound, "volume %s was deleted, and its snapshot %s is of no use", snap.Volume.Name, snap.Name)
	case l.UUID != id.lv || l.volumeUUID() != id.origin || !l.classicSnapshot() && !l.thin():
		return nil, stowage.Errorf(stowage.NotFound, "another LV is in the place of snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	case l.overflowed():
		return nil, overflow(snap.Volume.Name)
	}
	return l, nil
}

// overflow is for whoever can do something about it.
func overflow(volume string) error {
	return stowage.Errorf(stowage.OverLimit,
		"The snapshot of volume %s overflowed: more was written to the volume during the backup than it has room for. "+
			"Give snapshots more space, or back the volume up while less is written.", volume)
}
