package lvm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.Orphans = (*Volumes)(nil)

// KeepSnapshot renames the LV of a thin snapshot and puts it away: it is not
// active while it waits. Cinder deletes and extends a thin volume that has
// snapshots; one with a classic snapshot it cannot, so none of these is kept.
// Of a volume with an external origin none is kept, since what is not mapped
// there is not zeros, and Changed counts on that. Cinder's are not ours to keep.
//
// The LV has both names in its tags while it is renamed, so that it is found
// under either, whoever died in between.
func (v *Volumes) KeepSnapshot(ctx context.Context, snap stowage.Snapshot, name string) (stowage.Snapshot, error) {
	kept := snap
	kept.Name = name
	for _, s := range []stowage.Snapshot{snap, kept} {
		if err := v.checkOurs(ctx, s, "keep"); err != nil {
			return snap, err
		}
	}
	if snap.ID == "" {
		return snap, stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s has no id to know it by", snap.Name, snap.Volume.Name)
	}
	id, ok := parseID(snap.ID)
	if !ok {
		return snap, stowage.Errorf(stowage.NotFound, "snapshot %s of volume %s cannot have the id %.80q", snap.Name, snap.Volume.Name, snap.ID)
	}
	unlock, err := v.lock(ctx)
	if err == nil {
		defer unlock()
		err = v.keep(ctx, id, snap, kept)
	}
	if err != nil {
		return snap, fmt.Errorf("keep snapshot %s of volume %s: %w", snap.Name, snap.Volume.Name, err)
	}
	return kept, nil
}

func (v *Volumes) keep(ctx context.Context, id snapID, snap, kept stowage.Snapshot) error {
	from, to := lvName(v.o.VolumeGroup, snap.Volume.Name, snap.Name), lvName(v.o.VolumeGroup, kept.Volume.Name, kept.Name)
	found, err := v.find(ctx, from, to)
	if err != nil {
		return err
	}
	l := found[to]
	switch {
	case l == nil:
		l = found[from]
	case l.UUID != id.lv:
		return stowage.Errorf(stowage.Conflict, "another LV has the name %s", to)
	}
	if l == nil || l.UUID != id.lv || l.tag(tagOrigin) != id.origin {
		return stowage.Errorf(stowage.NotFound, "it is gone, or another LV is in its place")
	}
	if err := v.keepable(ctx, l); err != nil {
		return err
	}
	if l.Name != to {
		if err := v.rename(ctx, l, to, kept.Name); err != nil {
			return err
		}
	}
	v.mu.Lock()
	v.resting[to] = l.UUID
	v.mu.Unlock()
	v.rest(ctx, to)
	return v.forget(ctx, l, to, kept.Name)
}

// keepable refuses what must go after the transfer.
func (v *Volumes) keepable(ctx context.Context, l *lv) error {
	switch {
	case !l.thin():
		return stowage.Errorf(stowage.NotFound, "a thick volume keeps no snapshot: it could not be deleted")
	case l.orphan():
		return stowage.Errorf(stowage.NotFound, "the volume was deleted")
	case l.base():
		return nil // it was looked at before
	}
	if err := v.activate(ctx, l); err != nil {
		return err
	}
	zeros, err := v.zerosUnmapped(ctx, l)
	if err == nil && !zeros {
		err = stowage.Errorf(stowage.NotFound, "a volume with an external origin keeps no snapshot")
	}
	return err
}

// rename gives the LV its new tags and then its new name.
func (v *Volumes) rename(ctx context.Context, l *lv, to, name string) error {
	if !l.base() || !l.named(name) {
		if _, err := v.lvm(ctx, true, "lvchange", "-y", "--addtag", tagBase, "--addtag", tagSnapshot+name,
			"-S", `lv_uuid="`+l.UUID+`"`, v.o.VolumeGroup+"/"+l.Name); err != nil {
			return fmt.Errorf("tag LV %s: %w", l.Name, err)
		}
	}
	_, failed := v.lvm(ctx, true, "lvrename", "-y", v.o.VolumeGroup, l.Name, to)
	// Whatever it said: what is there counts.
	found, err := v.find(context.WithoutCancel(ctx), to)
	switch {
	case err != nil:
		return err
	case found[to] != nil && found[to].UUID == l.UUID:
		v.renamed(l.Name, to)
		v.o.Log.InfoContext(ctx, "snapshot kept", "lv", to)
		return nil
	case found[to] != nil:
		return stowage.Wrap(stowage.Conflict, failed, "another LV has the name %s", to)
	case failed == nil:
		return fmt.Errorf("lvrename reported success, and there is no LV %s", to)
	}
	return failed
}

// forget takes away the tags of what the LV was before.
func (v *Volumes) forget(ctx context.Context, l *lv, to, name string) error {
	var args []string
	for t := range strings.SplitSeq(l.Tags, ",") {
		if old, ok := strings.CutPrefix(t, tagSnapshot); t == tagOurs || ok && old != name {
			args = append(args, "--deltag", t)
		}
	}
	if len(args) == 0 {
		return nil
	}
	args = slices.Concat([]string{"lvchange", "-y"}, args, []string{"-S", `lv_uuid="` + l.UUID + `"`, v.o.VolumeGroup + "/" + to})
	if _, err := v.lvm(ctx, true, args...); err != nil {
		return fmt.Errorf("tag LV %s: %w", to, err)
	}
	return nil
}

// renamed tells what is open of an LV its new name.
func (v *Volumes) renamed(from, to string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c, name := range v.open {
		if name == from {
			v.open[c] = to
		}
	}
}

// rest deactivates a snapshot that is to be inactive and that nobody here reads any more.
func (v *Volumes) rest(ctx context.Context, name string) {
	ctx = context.WithoutCancel(ctx) // what was begun ends
	unlock, err := turn(ctx, v.activity)
	if err == nil {
		defer unlock()
		v.putAway(ctx, name)
	}
}

// putAway does what rest does, for whoever holds the activity. Should somebody else have
// it open, or should it fail, it stays active, which hinders nobody. How one of Cinder's
// is to be is looked at anew when it is next opened.
func (v *Volumes) putAway(ctx context.Context, name string) {
	v.mu.Lock()
	uuid, waits := v.resting[name]
	for _, reading := range v.open {
		waits = waits && reading != name
	}
	if waits && strings.HasPrefix(name, cinderLV) {
		delete(v.resting, name)
	}
	v.mu.Unlock()
	if !waits {
		return
	}
	_, err := v.lvm(context.WithoutCancel(ctx), true, "lvchange", "-y", "-a", "n", "-S", `lv_uuid="`+uuid+`"`, v.o.VolumeGroup+"/"+name)
	if err != nil {
		v.o.Log.InfoContext(ctx, "snapshot stays active", "lv", name, "error", err)
	}
}

// Orphans lists the kept snapshots whose volume was deleted: a thin snapshot
// outlives its origin, and lvm2 then knows it no more.
func (v *Volumes) Orphans(ctx context.Context) ([]stowage.Snapshot, error) {
	return v.ours(ctx, func(l *lv) bool { return l.base() && l.orphan() })
}
