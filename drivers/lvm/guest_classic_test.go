//go:build lvmguest

package lvm

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
)

func small(o *Options) { o.SnapshotPercent, o.SnapshotMinBytes = 10, 4*mib }

// More is written than the snapshot has room for: everybody says so, it can be
// removed, and the user can delete his volume.
func TestGuestOverflow(t *testing.T) {
	v := driver(t, small)
	vol := classic(t, v, "volume-overflow", 64*mib)
	raw(t, vol, pattern(1, 32*mib), 0)
	snap, source := snapshot(t, v, vol, "stowage-inflight.1")
	wantData(t, "before", source, 0, pattern(1, 2*mib))

	raw(t, vol, pattern(2, 32*mib), 0)

	_, err := source.ReadAt(make([]byte, mib), 0)
	wantCode(t, "ReadAt", err, stowage.OverLimit)
	if !strings.Contains(err.Error(), "overflowed") || !strings.Contains(err.Error(), vol.Name) {
		t.Errorf("the reason: %v", err)
	}
	_, err = source.ReadAt(make([]byte, 512), 60*mib)
	wantCode(t, "ReadAt of what was never written to", err, stowage.OverLimit)
	wantCode(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), snap), stowage.OverLimit)
	_, err = v.OpenSnapshot(t.Context(), snap)
	wantCode(t, "OpenSnapshot", err, stowage.OverLimit)
	_, err = v.CreateSnapshot(t.Context(), vol, snap.Name)
	wantCode(t, "CreateSnapshot once more", err, stowage.OverLimit)
	must(t, v.RemoveSnapshot(t.Context(), snap))
	wantCode(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	if attr := run(t, "lvs --noheadings -o lv_attr %s/%s", group, vol.Name); !strings.HasPrefix(attr, "-wi-a") {
		t.Errorf("the volume's attributes: %s", attr)
	}
	run(t, "lvremove -y %s/%s", group, vol.Name)
}

// The watch warns while the store fills, and stops reads that would not fail.
func TestGuestOverflowIsWatched(t *testing.T) {
	var log records
	v := driver(t, small, log.options, func(o *Options) { o.WatchInterval = 50 * time.Millisecond })
	vol := classic(t, v, "volume-watched", 64*mib)
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	raw(t, vol, pattern(2, 5*mib), 0)
	wait(t, "a warning", func() bool { return log.has("store fills") })
	wantData(t, "nearly full", source, 0, make([]byte, mib))
	raw(t, vol, pattern(2, 16*mib), 0)
	wait(t, "the end", func() bool { return log.has("snapshot overflowed") })
	_, err := source.ReadAt(make([]byte, 1), 0)
	wantCode(t, "ReadAt", err, stowage.OverLimit)
}

func TestGuestNoRoomForASnapshot(t *testing.T) {
	v := driver(t)
	classic(t, v, "filler", 800*mib)
	vol := classic(t, v, "volume-big", 600*mib)
	_, err := v.CreateSnapshot(t.Context(), vol, "stowage-inflight.1")
	wantCode(t, "CreateSnapshot", err, stowage.OverLimit)
	if err != nil && !strings.Contains(err.Error(), "MiB free") {
		t.Errorf("the reason: %v", err)
	}
	must(t, v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.1", Volume: vol}))
}

// Whatever the names, only what carries our tags is touched.
func TestGuestForeignAndHalfMade(t *testing.T) {
	v := driver(t)
	vol := classic(t, v, "volume-a--b.c_d-", 8*mib)
	raw(t, vol, pattern(3, 8*mib), 0)
	name := lvName(group, vol.Name, "stowage-inflight.1")
	byName := stowage.Snapshot{Name: "stowage-inflight.1", Volume: vol}

	classic(t, v, name, 4*mib)
	_, err := v.CreateSnapshot(t.Context(), vol, byName.Name)
	wantCode(t, "CreateSnapshot where a foreign LV is", err, stowage.Conflict)
	wantCode(t, "RemoveSnapshot of a foreign LV", v.RemoveSnapshot(t.Context(), byName), stowage.Conflict)
	if !there(t, name) {
		t.Fatal("a foreign LV was removed")
	}
	// lvcreate was cut short: tagged, and no snapshot yet.
	run(t, "lvchange -q --addtag %s --addtag %s%s --addtag %s%s %s/%s", tagOurs, tagVolume, vol.Name, tagSnapshot, byName.Name, group, name)
	snap, source := snapshot(t, v, vol, byName.Name)
	wantData(t, "made anew", source, 0, pattern(3, 8*mib))
	must(t, v.RemoveSnapshot(t.Context(), snap))

	run(t, "lvcreate -q -y -L 4M -n %s --addtag %s --addtag %s%s --addtag %s%s %s", name, tagOurs, tagVolume, vol.Name, tagSnapshot, byName.Name, group)
	must(t, v.RemoveSnapshot(t.Context(), byName))
	if there(t, name) {
		t.Error("half a snapshot is still there")
	}
}

func TestGuestLeftovers(t *testing.T) {
	v := driver(t)
	thick, slim := classic(t, v, "volume-thick", 8*mib), thin(t, v, pool, "volume-slim", 8*mib)
	one, _ := snapshot(t, v, thick, "stowage-inflight.1")
	two, _ := snapshot(t, v, slim, "stowage-inflight.1")
	found, err := driver(t).Leftovers(t.Context())
	must(t, err)
	if len(found) != 2 {
		t.Fatalf("found %+v", found)
	}
	for _, f := range found {
		want := one
		if f.Volume.Name == slim.Name {
			want = two
		}
		want.Volume.VolumeID = ""
		if f != want {
			t.Errorf("found %+v, want %+v", f, want)
		}
	}
	must(t, v.Close()) // as if its process had ended
	for _, f := range found {
		must(t, driver(t).RemoveSnapshot(t.Context(), f))
	}
	found, err = driver(t).Leftovers(t.Context())
	if len(found) != 0 || err != nil {
		t.Errorf("still there: %+v, %v", found, err)
	}
}

// Whoever has the volume open, claimed or not, is not written under.
func TestGuestTargetInUse(t *testing.T) {
	v := driver(t)
	for _, vol := range []stowage.VolumeLocation{classic(t, v, "volume-thick", 8*mib), thin(t, v, pool, "volume-slim", 8*mib)} {
		for _, flag := range []int{os.O_RDWR, os.O_RDWR | unix.O_EXCL, os.O_RDONLY} {
			f, err := os.OpenFile("/dev/"+group+"/"+vol.Name, flag, 0)
			must(t, err)
			_, err = v.OpenTarget(t.Context(), vol)
			wantCode(t, fmt.Sprintf("OpenTarget of %s, open with %#x", vol.Name, flag), err, stowage.Conflict)
			must(t, f.Close())
		}
		target, err := v.OpenTarget(t.Context(), vol)
		must(t, err)
		must(t, target.Close())
	}
}

// Volumes that Cinder left inactive, and LVs that are none.
func TestGuestActivation(t *testing.T) {
	v := driver(t)
	thick, slim := classic(t, v, "volume-thick", 8*mib), thin(t, v, pool, "volume-slim", 8*mib)
	for _, vol := range []stowage.VolumeLocation{thick, slim} {
		raw(t, vol, pattern(5, mib), mib)
		run(t, "lvchange -q -a n %s/%s", group, vol.Name)
		snap, source := snapshot(t, v, vol, "stowage-inflight.1")
		wantData(t, "snapshot of the inactive "+vol.Name, source, mib, pattern(5, mib))
		must(t, v.CheckSnapshot(t.Context(), snap))
		must(t, source.Close())
		must(t, v.RemoveSnapshot(t.Context(), snap))
		run(t, "lvchange -q -a n %s/%s", group, vol.Name)
		target, err := v.OpenTarget(t.Context(), vol)
		must(t, err)
		must(t, target.Close())
	}
	snap, err := v.CreateSnapshot(t.Context(), slim, "stowage-inflight.2")
	must(t, err)
	name := lvName(group, slim.Name, snap.Name)
	if attr := run(t, "lvs --noheadings -o lv_attr %s/%s", group, name); attr[1] != 'r' || attr[4] != '-' || attr[9] != 'k' {
		t.Errorf("a fresh thin snapshot: %s", attr)
	}
	source, err := v.OpenSnapshot(t.Context(), snap)
	must(t, err)
	if attr := run(t, "lvs --noheadings -o lv_attr %s/%s", group, name); attr[4:6] != "ao" {
		t.Errorf("an open thin snapshot: %s", attr)
	}
	must(t, source.Close())
	for _, none := range []string{name, pool, pool + "_tdata", pool + "_tmeta", "lvol0_pmspare"} {
		if _, err := v.OpenTarget(t.Context(), named(v, none)); err == nil {
			t.Errorf("LV %s can be written to as a volume", none)
		}
		if _, err := v.CreateSnapshot(t.Context(), named(v, none), "stowage-inflight.3"); err == nil {
			t.Errorf("LV %s has a snapshot as a volume", none)
		}
	}
	must(t, v.RemoveSnapshot(t.Context(), snap))
}
