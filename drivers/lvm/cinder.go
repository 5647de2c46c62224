package lvm

import (
	"context"
	"fmt"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.CinderSnapshots = (*Volumes)(nil)

const (
	// cinderPrefix begins the names that Cinder gives to snapshots, unless its
	// snapshot_name_template says otherwise.
	cinderPrefix = "snapshot-"
	// cinderLV begins the names of their LVs: what LVM keeps for itself Cinder
	// escapes. Ours are made of names that begin with a letter or a digit, so the
	// name alone tells one from the other, whatever the tags.
	cinderLV = "_" + cinderPrefix
)

// cinders: it is what Cinder calls an LV that is a snapshot, so it is the user's.
func (l *lv) cinders() bool { return strings.HasPrefix(l.Name, cinderLV) }

// volumeUUID is the uuid of the volume it is a snapshot of: of ours as it was noted, for
// lvm2 forgets a thin one's when that is deleted; of Cinder's as lvm2 has it.
func (l *lv) volumeUUID() string {
	if l.cinders() {
		return l.OriginUUID
	}
	return l.tag(tagOrigin)
}

// lvOf gives the name of the LV that a snapshot is, Cinder's or one of ours.
func (v *Volumes) lvOf(snap stowage.Snapshot) string {
	if strings.HasPrefix(snap.Name, cinderPrefix) {
		return "_" + snap.Name
	}
	return lvName(v.o.VolumeGroup, snap.Volume.Name, snap.Name)
}

// checkOurs refuses, beyond what check does, the names of snapshots that are Cinder's
// to give.
func (v *Volumes) checkOurs(ctx context.Context, snap stowage.Snapshot, verb string) error {
	if err := v.check(ctx, snap, verb); err != nil {
		return err
	}
	if strings.HasPrefix(snap.Name, cinderPrefix) {
		return stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s would be one of Cinder's", snap.Name, snap.Volume.Name)
	}
	return nil
}

// CinderSnapshot finds the LV by its name, which does not tell of which volume it is:
// that lvm2 knows.
func (v *Volumes) CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (stowage.Snapshot, error) {
	snap := stowage.Snapshot{Name: cinderPrefix + id, Volume: vol}
	if err := v.check(ctx, snap, "find"); err != nil {
		return snap, err
	}
	if !validName(id) {
		return snap, stowage.Errorf(stowage.Invalid, "%q is no id of a snapshot", id)
	}
	err := v.findCinders(ctx, &snap)
	if err != nil {
		return snap, fmt.Errorf("find snapshot %s of volume %s: %w", snap.Name, vol.Name, err)
	}
	return snap, nil
}

func (v *Volumes) findCinders(ctx context.Context, snap *stowage.Snapshot) error {
	name := v.lvOf(*snap)
	found, err := v.find(ctx, snap.Volume.Name, name)
	if err != nil {
		return err
	}
	origin, l := found[snap.Volume.Name], found[name]
	if err := usable(origin, snap.Volume.Name); err != nil {
		return err
	}
	switch {
	case l == nil:
		return stowage.Errorf(stowage.NotFound, "there is no LV %s", name)
	case !l.snapshotOf(origin):
		return stowage.Errorf(stowage.NotFound, "LV %s is no snapshot of this volume", name)
	case l.overflowed():
		return overflow(snap.Volume.Name)
	}
	return l.describe(snap)
}
