//go:build stack && ceph

package rbd_test

import (
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/rbd"
)

// A guest that has the volume open, or opens it later, does not write beside us.
func TestStackOthersWriteNot(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	guest := r.image(t, vol.Name)
	_, err := r.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget while it is open", err, stowage.Conflict)
	_, err = guest.WriteAt([]byte("guest"), 0)
	must(t, err)
	_, err = r.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget while it is written", err, stowage.Conflict)
	must(t, guest.Close())

	target, err := r.OpenTarget(t.Context(), vol)
	must(t, err)
	_, err = target.WriteAt([]byte("ours"), 0)
	must(t, err)
	guest = r.image(t, vol.Name)
	if _, err := guest.WriteAt([]byte("guest"), 0); err == nil {
		t.Error("another client wrote beside us")
	}
	must(t, guest.Close())
	_, err = target.WriteAt([]byte("ours too"), 0)
	must(t, err)
	must(t, target.Close())
	_, source := r.snapshot(t, vol, "stowage-inflight.1")
	wantData(t, "volume", source, 0, []byte("ours too"))
}

// A snapshot taken while a guest holds the lock and writes.
func TestStackSnapshotOfAVolumeInUse(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	guest := r.image(t, vol.Name)
	defer guest.Close()
	must(t, guest.LockAcquire(ceph.LockModeExclusive))
	_, err := guest.WriteAt(pattern(4096), 0)
	must(t, err)
	must(t, guest.Flush())
	snap, source := r.snapshot(t, vol, "stowage-inflight.1")
	_, err = guest.WriteAt(make([]byte, 4096), 0)
	must(t, err)
	wantData(t, "snapshot", source, 0, pattern(4096))
	kept, err := r.Volumes.(drivers.Bases).KeepSnapshot(t.Context(), snap, "backup.1.snap.1")
	must(t, err)
	must(t, r.CheckSnapshot(t.Context(), kept))
	must(t, r.RemoveSnapshot(t.Context(), kept))
	_, err = guest.WriteAt(make([]byte, 4096), 0)
	must(t, err)
}

// Settings of the image, which go before a client's, do not keep zeros from
// being written.
func TestStackZeroesWhateverTheSettings(t *testing.T) {
	for _, settings := range []map[string]string{
		{"conf_rbd_discard_granularity_bytes": "4194304"},
		{"conf_rbd_cache": "true"},
	} {
		r := newRig(t)
		vol := r.volume(t, 16*mib, cinders)
		image := r.image(t, vol.Name)
		for key, value := range settings {
			if err := image.SetMetadata(key, value); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
		}
		must(t, image.Close())
		want := pattern(16 * mib)
		r.write(t, vol.Name, want, 0)
		target, err := r.OpenTarget(t.Context(), vol)
		must(t, err)
		for _, e := range []stowage.Extent{{Offset: 1, Length: 3}, {Offset: 100_000, Length: 200_001}, {Offset: 3*mib + 7, Length: 6 * mib}, {Offset: 12 * mib, Length: 4 * mib}} {
			must(t, target.WriteZeroes(e.Offset, e.Length))
			clear(want[e.Offset:e.End()])
		}
		must(t, target.Flush())
		must(t, target.Close())
		snap, source := r.snapshot(t, vol, "stowage-inflight.1")
		wantData(t, "volume", source, 0, want)
		must(t, r.RemoveSnapshot(t.Context(), snap))
	}
}

const holderVolume = "STOWAGE_TEST_HOLDS"

// TestStackHolder is the process that the next test kills.
func TestStackHolder(t *testing.T) {
	name := os.Getenv(holderVolume)
	if name == "" {
		t.Skip("run by TestStackKilledHolder")
	}
	v, err := rbd.Open(t.Context(), options(stackEnv(t)))
	must(t, err)
	target, err := v.OpenTarget(t.Context(), stowage.VolumeLocation{Backend: v.Backend(), Name: name})
	must(t, err)
	_, err = target.WriteAt([]byte("half"), 0)
	must(t, err)
	_, err = os.Stdout.WriteString("held\n")
	must(t, err)
	select {}
}

// A killed writer stands in the way until the cluster has forgotten it, and
// not for ever.
func TestStackKilledHolder(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	holder := exec.Command(os.Args[0], "-test.run=^TestStackHolder$")
	holder.Env = append(os.Environ(), holderVolume+"="+vol.Name)
	out, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	defer func() { _ = holder.Wait() }()
	_, err = io.ReadFull(out, make([]byte, len("held\n")))
	must(t, err)
	_, err = r.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget while another process has it", err, stowage.Conflict)
	must(t, holder.Process.Kill())

	// The cluster's clock runs this one; there is nothing to step.
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		target, err := r.OpenTarget(t.Context(), vol)
		if err == nil {
			_, err = target.WriteAt([]byte("whole"), 0)
			must(t, err)
			must(t, target.Flush())
			must(t, target.Close())
			break
		}
		wantCode(t, "OpenTarget after its holder was killed", err, stowage.Conflict)
		if time.Now().After(deadline) {
			t.Fatal("the dead holder still counts")
		}
	}
	_, source := r.snapshot(t, vol, "stowage-inflight.1")
	wantData(t, "volume", source, 0, []byte("whole"))
}

// What is open when the backend is given up is closed, and says so.
func TestStackCloseWithOpenImages(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	env := stackEnv(t)
	v, err := rbd.Open(t.Context(), options(env))
	must(t, err)
	target, err := v.OpenTarget(t.Context(), vol)
	must(t, err)
	must(t, v.Close())
	if _, err := target.WriteAt([]byte("x"), 0); err == nil {
		t.Error("written after Close")
	}
	must(t, target.Close())
	must(t, v.Close())
}

// A client whose lock is broken is on the cluster's block list for good. The
// backend then goes on with a new connection.
func TestStackShutOut(t *testing.T) {
	r := newRig(t)
	vol := r.volume(t, 8*mib, cinders)
	v, err := rbd.Open(t.Context(), options(stackEnv(t)))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	target, err := v.OpenTarget(t.Context(), vol)
	must(t, err)
	_, err = target.WriteAt([]byte("half"), 0)
	must(t, err)

	image, err := ceph.OpenImage(r.ioctx, vol.Name, ceph.NoSnapshot)
	must(t, err)
	owners, err := image.LockGetOwners()
	must(t, err)
	must(t, image.LockBreak(ceph.LockModeExclusive, owners[0].Owner))
	must(t, image.Close())

	if _, err := target.WriteAt([]byte("lost"), 0); err == nil {
		t.Error("written without the lock")
	}
	_ = target.Close() // what it says is of no use any more
	// The broken one's watch takes a while to go; the cluster's clock runs it.
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		if target, err = v.OpenTarget(t.Context(), vol); err == nil {
			break
		}
		if code := stowage.CodeOf(err); code != stowage.Conflict && code != stowage.Unavailable || time.Now().After(deadline) {
			t.Fatalf("OpenTarget after the lock was broken: %v", err)
		}
	}
	_, err = target.WriteAt([]byte("whole"), 0)
	must(t, err)
	must(t, target.Flush())
	must(t, target.Close())
	_, source := r.snapshot(t, vol, "stowage-inflight.1")
	wantData(t, "volume", source, 0, []byte("whole"))
}
