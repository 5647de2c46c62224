//go:build lvmguest

package lvm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

const keptName = "backup.6c0a5f5e-5d0c-4c55-9d4f-0f3a5d2b8a11.snap.1795000000"

// keep takes a snapshot and keeps it.
func keep(t *testing.T, v *Volumes, vol stowage.VolumeLocation) stowage.Snapshot {
	t.Helper()
	snap, source := snapshot(t, v, vol, "stowage-inflight.1")
	kept, err := v.KeepSnapshot(t.Context(), snap, keptName)
	must(t, err)
	must(t, source.Close())
	t.Cleanup(func() { _ = v.RemoveSnapshot(context.Background(), kept) })
	return kept
}

// since gives how much changed, and what.
func since(t *testing.T, source drivers.Source, base stowage.Snapshot) (found []stowage.Extent, err error) {
	t.Helper()
	err = source.(drivers.ChangeSource).Changed(t.Context(), base, 0, source.Size(), func(e stowage.Extent) error {
		found = append(found, e)
		return nil
	})
	return found, err
}

func wantSince(t *testing.T, source drivers.Source, base stowage.Snapshot, want ...stowage.Extent) {
	t.Helper()
	got, err := since(t, source, base)
	if err != nil || len(got) != len(want) {
		t.Fatalf("changed is %v, %v, want %v", got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("changed is %v, want %v", got, want)
		}
	}
}

// What was written, discarded and added since is told, to the chunk.
func TestGuestChangesToTheChunk(t *testing.T) {
	v := driver(t)
	vol := thin(t, v, pool, "volume-a-b", 32*mib)
	raw(t, vol, pattern(1, 8*mib), 0)
	base := keep(t, v, vol)
	device := "/dev/" + group + "/" + vol.Name
	raw(t, vol, pattern(2, 4096), 2*mib+4096) // a part of a chunk
	raw(t, vol, pattern(3, 2*chunk), 16*mib)  // where nothing was
	run(t, "blkdiscard -o %d -l %d %s", 5*mib, mib, device)
	run(t, "lvextend -q -L %db %s/%s", 40*mib, group, vol.Name)
	raw(t, vol, pattern(4, chunk), 36*mib)
	_, source := snapshot(t, v, vol, "stowage-inflight.2")
	wantSince(t, source, base,
		stowage.Extent{Offset: 2 * mib, Length: chunk}, stowage.Extent{Offset: 5 * mib, Length: mib},
		stowage.Extent{Offset: 16 * mib, Length: 2 * chunk}, stowage.Extent{Offset: 36 * mib, Length: chunk})
	wantData(t, "what was discarded", source, 5*mib, make([]byte, mib))
}

// Chunks that are no divisor of the volume's size: what lies behind the end
// of the base was never a part of it.
func TestGuestChangesBehindTheEnd(t *testing.T) {
	v := driver(t)
	run(t, "lvcreate -q -y --type thin-pool -L 96M -c 3M -n pool-odd %s", group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/pool-odd") })
	vol := thin(t, v, "pool-odd", "volume-odd", 16*mib) // the sixth chunk has 1 MiB of it
	raw(t, vol, pattern(1, 16*mib), 0)
	base := keep(t, v, vol)
	run(t, "lvextend -q -L %db %s/%s", 24*mib, group, vol.Name)
	_, source := snapshot(t, v, vol, "stowage-inflight.2")
	wantSince(t, source, base, stowage.Extent{Offset: 15 * mib, Length: 3 * mib})
	wantData(t, "what was added", source, 16*mib, make([]byte, 8*mib))
	must(t, source.Close())
	must(t, v.RemoveSnapshot(t.Context(), base))
	must(t, v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.2", Volume: vol}))
	run(t, "lvremove -f -y %s/%s", group, vol.Name)
}

// Cinder's ways with a volume work while a base is kept, which is not active.
// Then the volume is gone, and the base is known to be of no use.
func TestGuestBaseHindersNobody(t *testing.T) {
	v := driver(t)
	vol := thin(t, v, pool, "volume-free", 16*mib)
	raw(t, vol, pattern(1, mib), 0)
	base := keep(t, v, vol)
	name := lvName(group, vol.Name, base.Name)
	if attr := run(t, "lvs --noheadings -o lv_attr %s/%s", group, name); attr != "Vri---tz-k" {
		t.Errorf("the base is %s", attr)
	}
	if attr := run(t, "lvs --noheadings -o lv_attr %s/%s", group, vol.Name); attr[0] != 'V' {
		t.Errorf("the volume is %s, and cannot be deleted", attr)
	}
	run(t, "lvextend -q -L %db %s/%s", 20*mib, group, vol.Name)
	run(t, "lvrename -q %s %s volume-renamed", group, vol.Name) // as in the end of a migration
	run(t, "lvrename -q %s volume-renamed %s", group, vol.Name)
	must(t, v.CheckSnapshot(t.Context(), base))
	if left, err := v.Orphans(t.Context()); len(left) != 0 || err != nil {
		t.Errorf("orphans: %+v, %v", left, err)
	}
	all, err := v.Leftovers(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != base.Name || all[0].ID != base.ID || all[0].Volume.Name != vol.Name {
		t.Errorf("leftovers: %+v, %v", all, err)
	}
	run(t, "lvremove -f -y %s/%s", group, vol.Name)
	wantCode(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), base), stowage.NotFound)
	// Another volume of the name is another volume.
	again := thin(t, v, pool, vol.Name, 16*mib)
	left, err := v.Orphans(t.Context())
	if err != nil || len(left) != 1 || left[0].ID != base.ID || left[0].Name != base.Name {
		t.Fatalf("orphans: %+v, %v", left, err)
	}
	_, source := snapshot(t, v, again, "stowage-inflight.2")
	_, err = since(t, source, base)
	wantCode(t, "Changed", err, stowage.NotFound)
	must(t, v.RemoveSnapshot(t.Context(), left[0]))
	if there(t, name) {
		t.Error("it is still there")
	}
}

// A thick volume keeps none, and says so; so does one with an external origin.
func TestGuestNotKept(t *testing.T) {
	v := driver(t)
	thick := classic(t, v, "volume-thick", 8*mib)
	image := classic(t, v, "image-1", 8*mib)
	run(t, "lvchange -q -a n -p r %s/image-1", group)
	run(t, "lvcreate -q -y -s --thinpool %s -n volume-of-image %s/image-1", pool, group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/volume-of-image") })
	for _, vol := range []stowage.VolumeLocation{thick, named(v, "volume-of-image")} {
		snap, source := snapshot(t, v, vol, "stowage-inflight.1")
		if _, can := source.(drivers.ChangeSource); can {
			t.Errorf("the source of %s says that it can tell what changed", vol.Name)
		}
		_, err := v.KeepSnapshot(t.Context(), snap, keptName)
		wantCode(t, "KeepSnapshot of "+vol.Name, err, stowage.NotFound)
		must(t, v.CheckSnapshot(t.Context(), snap))
		must(t, v.RemoveSnapshot(t.Context(), snap))
	}
	run(t, "lvremove -f -y %s/volume-of-image", group)
	_ = image
}

// Where the pool does not tell, nobody guesses: its metadata is held by
// another, the tool is not there, or what it writes is cut short.
func TestGuestChangesNotTold(t *testing.T) {
	var log records
	tool := filepath.Join(t.TempDir(), "thin_delta")
	v := driver(t, log.options, func(o *Options) { o.ThinDelta = tool })
	vol := thin(t, v, pool, "volume-quiet", 16*mib)
	raw(t, vol, pattern(1, 4*mib), 0)
	base := keep(t, v, vol)
	raw(t, vol, pattern(2, mib), mib)
	_, source := snapshot(t, v, vol, "stowage-inflight.2")
	untold := func(what string) {
		t.Helper()
		found, err := since(t, source, base)
		wantCode(t, what, err, stowage.NotFound)
		if len(found) != 0 || !log.has("data is compared") {
			t.Errorf("%s: told %v", what, found)
		}
	}
	untold("without thin_delta")
	for what, script := range map[string]string{
		"cut short":            `/usr/sbin/thin_delta "$@" | head -n 4`,
		"cut short and failed": `/usr/sbin/thin_delta "$@" | head -n 4; exit 1`,
		"failed in the end":    `/usr/sbin/thin_delta "$@"; exit 1`,
		"a record missing":     `/usr/sbin/thin_delta "$@" | sed -e '/<same begin="32"/d'`,
		"of another volume":    `/usr/sbin/thin_delta --metadata-snap --snap1 "$3" --snap2 "$3" "$6"`,
	} {
		must(t, os.WriteFile(tool, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
		untold(what)
	}
	device := deviceName(group, pool) + "-tpool"
	must(t, os.Remove(tool))
	must(t, os.Symlink("/usr/sbin/thin_delta", tool))
	run(t, "dmsetup message %s 0 reserve_metadata_snap", device)
	untold("held by another")
	run(t, "dmsetup message %s 0 release_metadata_snap", device)
	wantSince(t, source, base, stowage.Extent{Offset: mib, Length: mib})
}

// A pool that has run full still tells what changed, and keeps what is there.
func TestGuestFullPoolTells(t *testing.T) {
	v := driver(t)
	run(t, "lvcreate -q -y --type thin-pool -L 32M -n pool-full2 %s", group)
	run(t, "lvchange -q -y --errorwhenfull y %s/pool-full2", group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/pool-full2") })
	vol := thin(t, v, "pool-full2", "volume-full2", 64*mib)
	raw(t, vol, pattern(1, 8*mib), 0)
	base := keep(t, v, vol)
	raw(t, vol, pattern(2, mib), 2*mib)
	snap, source := snapshot(t, v, vol, "stowage-inflight.2")
	target := open(t, v, vol)
	var failed error
	for at := int64(8 * mib); at < 64*mib && failed == nil; at += mib {
		_, failed = target.WriteAt(pattern(2, mib), at)
	}
	wantCode(t, "WriteAt to a full pool", failed, stowage.OverLimit)
	must(t, target.Close())
	wantSince(t, source, base, stowage.Extent{Offset: 2 * mib, Length: mib})
	kept, err := v.KeepSnapshot(t.Context(), snap, keptName[:len(keptName)-1]+"1")
	must(t, err)
	must(t, source.Close())
	must(t, v.RemoveSnapshot(t.Context(), base))
	must(t, v.CheckSnapshot(t.Context(), kept))
	must(t, v.RemoveSnapshot(t.Context(), kept))
	run(t, "lvremove -f -y %s/%s", group, vol.Name)
}

// Killed at any moment of keeping: whoever comes next finishes it, or removes
// it, by the name it had.
func TestGuestKilledKeeper(t *testing.T) {
	v := driver(t)
	vol := thin(t, v, pool, "volume-slim", 8*mib)
	raw(t, vol, pattern(1, mib), 0)
	for after := range 7 {
		killed(t, "keep", vol, t.TempDir(), time.Duration(after*223)*time.Millisecond)
		wait(t, "the tools to end", func() bool { out, _ := tooled("pgrep -x lvm"); return out == "" })
		found, err := v.Leftovers(t.Context())
		must(t, err)
		if len(found) > 1 {
			t.Fatalf("left: %+v", found)
		}
		for _, snap := range found {
			old := snap
			old.Name = "stowage-inflight.1"
			kept, err := v.KeepSnapshot(t.Context(), old, keptName)
			must(t, err)
			must(t, v.CheckSnapshot(t.Context(), kept))
			left, err := v.Leftovers(t.Context())
			if err != nil || len(left) != 1 || left[0].Name != keptName || left[0].ID != kept.ID {
				t.Fatalf("kept %+v, and there is %+v, %v", kept, left, err)
			}
			if row := run(t, "lvs --noheadings -o lv_attr,lv_tags %s/%s", group, lvName(group, vol.Name, keptName)); !strings.HasPrefix(row, "Vri---tz-k") ||
				strings.Contains(row, "inflight") {
				t.Errorf("the base is %s", row)
			}
			must(t, v.RemoveSnapshot(t.Context(), kept))
		}
		if info := run(t, "dmsetup info -c --noheadings -o suspended %s", deviceName(group, vol.Name)); info != "Active" {
			t.Fatalf("volume %s is %s", vol.Name, info)
		}
	}
}

// Killed while the pool's metadata is held for a comparison: the next one
// gives it up and compares.
func TestGuestKilledComparer(t *testing.T) {
	var log records
	state := t.TempDir()
	v := driver(t, log.options, func(o *Options) { o.StateDir = state })
	vol := thin(t, v, pool, "volume-held", 16*mib)
	raw(t, vol, pattern(1, 4*mib), 0)
	base := keep(t, v, vol)
	raw(t, vol, pattern(2, mib), mib)
	killed(t, "metadata", vol, state, 0)
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	wantSince(t, source, base, stowage.Extent{Offset: mib, Length: mib})
	if !log.has("dead process") {
		t.Error("nothing was given up")
	}
}
