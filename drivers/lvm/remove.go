package lvm

import (
	"context"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// removeWait is how long somebody else may hold a snapshot open: a scan of all
// devices looks into each for a moment, and a read under way ends.
const removeWait = 20 * time.Second

// RemoveSnapshot removes the LV, also one that did not become a snapshot.
// Whatever this process has open of it is closed. One of Cinder's it does not remove:
// Cinder would not know.
func (v *Volumes) RemoveSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	if err := v.check(ctx, snap, "remove"); err != nil {
		return err
	}
	id, ok := parseID(snap.ID)
	if !ok && snap.ID != "" {
		return stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s cannot have the id %.80q", snap.Name, snap.Volume.Name, snap.ID)
	}
	unlock, err := v.lock(ctx)
	if err == nil {
		defer unlock()
		err = v.removeNamed(ctx, snap, id)
	}
	if err != nil {
		return fmt.Errorf("remove snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
	}
	return nil
}

func (v *Volumes) removeNamed(ctx context.Context, snap stowage.Snapshot, id snapID) error {
	name := v.lvOf(snap)
	found, err := v.find(ctx, name)
	if err != nil {
		return err
	}
	l := found[name]
	switch {
	case l == nil:
		return nil
	case snap.ID != "" && l.UUID != id.lv:
		return nil // gone, and another one has the name
	case !l.ours() || l.tag(tagVolume) != snap.Volume.Name || !l.named(snap.Name):
		return stowage.Errorf(stowage.Conflict, "LV %s is none of ours", name)
	}
	return v.remove(ctx, l)
}

// remove removes this very LV: the selection keeps lvremove from another one
// that has taken the name meanwhile.
func (v *Volumes) remove(ctx context.Context, l *lv) error {
	v.mu.Lock()
	delete(v.resting, l.Name) // it need not be put away
	v.mu.Unlock()
	if err := v.closeAll(l.Name); err != nil {
		v.o.Log.WarnContext(ctx, "snapshot not closed", "lv", l.Name, "error", err)
	}
	wait, cancel := context.WithTimeout(ctx, removeWait)
	defer cancel()
	for {
		_, failed := v.lvm(ctx, true, "lvremove", "-f", "-y", "-S", `lv_uuid="`+l.UUID+`"`, v.o.VolumeGroup+"/"+l.Name)
		found, err := v.find(context.WithoutCancel(ctx), l.Name)
		if err != nil {
			return err
		}
		left := found[l.Name]
		if left == nil || left.UUID != l.UUID {
			v.o.Log.InfoContext(ctx, "snapshot removed", "lv", l.Name)
			return nil
		}
		if left.attr(attrOpen) != 'o' && failed != nil {
			return failed
		}
		if pause(wait, time.Second/2) == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return stowage.Wrap(stowage.Conflict, failed, "somebody has LV %s open", l.Name)
	}
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
