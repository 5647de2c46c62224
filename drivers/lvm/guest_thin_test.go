//go:build lvmguest

package lvm

import (
	"os"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

func allocated(t *testing.T, source drivers.Source) (sum int64) {
	t.Helper()
	must(t, source.Allocated(t.Context(), 0, source.Size(), func(e stowage.Extent) error { sum += e.Length; return nil }))
	return sum
}

func open(t *testing.T, v *Volumes, vol stowage.VolumeLocation) drivers.Target {
	t.Helper()
	target, err := v.OpenTarget(t.Context(), vol)
	must(t, err)
	t.Cleanup(func() { _ = target.Close() })
	return target
}

// A pool that has run full gives errors, and what it holds stays right.
func TestGuestFullPool(t *testing.T) {
	v := driver(t)
	run(t, "lvcreate -q -y --type thin-pool -L 32M -n pool-full %s", group)
	run(t, "lvchange -q -y --errorwhenfull y %s/pool-full", group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/pool-full") })
	vol := thin(t, v, "pool-full", "volume-full", 128*mib)
	raw(t, vol, pattern(1, 8*mib), 0)
	snap, source := snapshot(t, v, vol, "stowage-inflight.1")

	target := open(t, v, vol)
	var failed error
	for at := int64(0); at < 64*mib && failed == nil; at += mib {
		_, failed = target.WriteAt(pattern(2, mib), at)
	}
	if failed == nil {
		failed = target.Flush()
	}
	wantCode(t, "WriteAt to a full pool", failed, stowage.OverLimit)
	wantData(t, "the snapshot", source, 0, pattern(1, 8*mib))
	wantData(t, "the snapshot's hole", source, 8*mib, make([]byte, 8*mib))
	if sum := allocated(t, source); sum != 8*mib {
		t.Errorf("%d bytes are allocated in the snapshot", sum)
	}
	must(t, v.CheckSnapshot(t.Context(), snap))
	must(t, target.Close())
	_, err := v.CreateSnapshot(t.Context(), vol, "stowage-inflight.2")
	t.Logf("a snapshot in a full pool: %v", err)
	if err != nil {
		wantCode(t, "CreateSnapshot in a full pool", err, stowage.OverLimit)
	}
	must(t, v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.2", Volume: vol}))
	must(t, v.RemoveSnapshot(t.Context(), snap))
	run(t, "lvremove -f -y %s/%s", group, vol.Name)
}

// Zeros over what a snapshot holds are zeros in the volume only.
func TestGuestZeroesOverShared(t *testing.T) {
	v := driver(t)
	vol := thin(t, v, pool, "volume-shared", 32*mib)
	raw(t, vol, pattern(1, 32*mib), 0)
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	target := open(t, v, vol)
	must(t, target.WriteZeroes(mib+5, 20*mib))
	must(t, target.Flush())
	must(t, target.Close())
	wantData(t, "the snapshot", source, 0, pattern(1, 32*mib))
	if left := mapped(t, vol); left > 12*mib+2*chunk {
		t.Errorf("%d bytes are mapped with 12 MiB of data", left)
	}
	want := pattern(1, 32*mib)
	clear(want[mib+5 : 21*mib+5])
	_, again := snapshot(t, v, vol, "stowage-inflight.2")
	wantData(t, "the volume", again, 0, want)
	if sum := allocated(t, again); sum > 12*mib+2*chunk {
		t.Errorf("%d bytes are allocated", sum)
	}
}

// A pool that does not zero its chunks has old data in the rest of each that
// is written in part: nothing is taken for zeros there but what was written.
func TestGuestPoolWithoutZeroing(t *testing.T) {
	v := driver(t)
	run(t, "lvcreate -q -y --type thin-pool -L 32M -Z n -n pool-raw %s", group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/pool-raw") })
	old := thin(t, v, "pool-raw", "volume-old", 16*mib)
	raw(t, old, pattern(1, 16*mib), 0)
	run(t, "lvremove -f -y %s/%s", group, old.Name)

	vol := thin(t, v, "pool-raw", "volume-new", 16*mib)
	target := open(t, v, vol)
	if empty, err := target.Empty(t.Context()); empty || err != nil {
		t.Errorf("Empty: %v, %v", empty, err)
	}
	must(t, target.WriteZeroes(0, 16*mib))
	_, err := target.WriteAt([]byte{7}, 5*mib)
	must(t, err)
	must(t, target.Flush())
	must(t, target.Close())
	want := make([]byte, 16*mib)
	want[5*mib] = 7
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	wantData(t, "the volume", source, 0, want)
}

// A pool that ignores discards has zeros written to it.
func TestGuestPoolIgnoringDiscards(t *testing.T) {
	v := driver(t)
	run(t, "lvcreate -q -y --type thin-pool -L 32M --discards ignore -n pool-keep %s", group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/pool-keep") })
	vol := thin(t, v, "pool-keep", "volume-keep", 8*mib)
	raw(t, vol, pattern(1, 8*mib), 0)
	target := open(t, v, vol)
	must(t, target.WriteZeroes(100, 6*mib))
	must(t, target.Flush())
	must(t, target.Close())
	want := pattern(1, 8*mib)
	clear(want[100 : 6*mib+100])
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	wantData(t, "the volume", source, 0, want)
}

// What is not mapped shows an external origin, not zeros.
func TestGuestExternalOrigin(t *testing.T) {
	v := driver(t)
	image := classic(t, v, "image-1", 16*mib)
	raw(t, image, pattern(1, 16*mib), 0)
	run(t, "lvchange -q -a n -p r %s/image-1", group)
	run(t, "lvcreate -q -y -s --thinpool %s -n volume-of-image %s/image-1", pool, group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/volume-of-image") })
	vol := named(v, "volume-of-image")
	target := open(t, v, vol)
	if empty, err := target.Empty(t.Context()); empty || err != nil {
		t.Errorf("Empty: %v, %v", empty, err)
	}
	must(t, target.WriteZeroes(4*mib+1, 4*mib))
	must(t, target.Flush())
	must(t, target.Close())
	want := pattern(1, 16*mib)
	clear(want[4*mib+1 : 8*mib+1])
	snap, source := snapshot(t, v, vol, "stowage-inflight.1")
	wantData(t, "the volume", source, 0, want)
	if sum := allocated(t, source); sum != 16*mib {
		t.Errorf("%d bytes are allocated", sum)
	}
	must(t, v.RemoveSnapshot(t.Context(), snap))
}

// Somebody else holds the pool's metadata: the snapshot is read whole, and what
// he holds is left to him.
func TestGuestMetadataHeldByAnother(t *testing.T) {
	var log records
	v := driver(t, log.options)
	vol := thin(t, v, pool, "volume-held", 16*mib)
	raw(t, vol, pattern(1, mib), 0)
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	device := deviceName(group, pool) + "-tpool"
	run(t, "dmsetup message %s 0 reserve_metadata_snap", device)
	if sum := allocated(t, source); sum != 16*mib || !log.has("read whole") {
		t.Errorf("%d bytes are allocated", sum)
	}
	run(t, "dmsetup message %s 0 release_metadata_snap", device)
	_, other := snapshot(t, v, vol, "stowage-inflight.2")
	if sum := allocated(t, other); sum != mib {
		t.Errorf("%d bytes are allocated once it is free", sum)
	}
}

// Snapshots of several volumes of one pool take turns.
func TestGuestMetadataInTurn(t *testing.T) {
	state := t.TempDir()
	var sources []drivers.Source
	for _, name := range []string{"volume-1", "volume-2", "volume-3"} {
		// Each with a driver of its own, as if in other processes.
		v := driver(t, func(o *Options) { o.StateDir = state })
		vol := thin(t, v, pool, name, 16*mib)
		raw(t, vol, pattern(1, 2*mib), 4*mib)
		_, source := snapshot(t, v, vol, "stowage-inflight.1")
		sources = append(sources, source)
	}
	sums := make(chan int64)
	for _, s := range sources {
		go func() {
			var sum int64
			err := s.Allocated(t.Context(), 0, s.Size(), func(e stowage.Extent) error { sum += e.Length; return nil })
			if err != nil {
				sum = -1
			}
			sums <- sum
		}()
	}
	for range sources {
		if sum := <-sums; sum != 2*mib {
			t.Errorf("%d bytes are allocated", sum)
		}
	}
}

// A pool that passes discards down to its disk works on data it shares with
// snapshots in another way.
func TestGuestDiscardsPassedDown(t *testing.T) {
	v := driver(t)
	file := t.TempDir() + "/disk"
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, 160*mib))
	loop := run(t, "losetup -f --show %s", file)
	t.Cleanup(func() { _, _ = tooled("losetup -d " + loop) })
	run(t, "vgextend -q -y %s %s", group, loop)
	t.Cleanup(func() { run(t, "vgreduce -q -y %s %s", group, loop) })
	run(t, "lvcreate -q -y --type thin-pool -L 96M --poolmetadatasize 4M -n pool-loop %s %s", group, loop)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/pool-loop") })
	vol := thin(t, v, "pool-loop", "volume-passed", 32*mib)
	if status := run(t, "dmsetup status %s-tpool", deviceName(group, "pool-loop")); !strings.Contains(status, " discard_passdown ") {
		t.Fatalf("the pool is no test: %s", status)
	}
	raw(t, vol, pattern(1, 32*mib), 0)
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	target := open(t, v, vol)
	must(t, target.WriteZeroes(mib+5, 20*mib))
	_, err := target.WriteAt(pattern(9, 3*mib), 2*mib)
	must(t, err)
	must(t, target.WriteZeroes(3*mib, mib)) // no longer shared
	must(t, target.Flush())
	must(t, target.Close())
	wantData(t, "the snapshot", source, 0, pattern(1, 32*mib))
	want := pattern(1, 32*mib)
	clear(want[mib+5 : 21*mib+5])
	copy(want[2*mib:], pattern(9, 3*mib))
	clear(want[3*mib : 4*mib])
	_, again := snapshot(t, v, vol, "stowage-inflight.2")
	wantData(t, "the volume", again, 0, want)
	if left := mapped(t, vol); left > 14*mib+2*chunk {
		t.Errorf("%d bytes are mapped with 14 MiB of data", left)
	}
}
