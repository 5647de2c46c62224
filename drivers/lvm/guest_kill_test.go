//go:build lvmguest

package lvm

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// childMain is what the tests below kill: this program, with something to do.
// It ends only when it is killed.
func childMain(what string, args []string) {
	ctx := context.Background()
	v, err := Open(ctx, options(args[1]))
	fatal(err)
	vol := named(v, args[0])
	switch what {
	case "read":
		source := childSource(ctx, v, vol)
		fmt.Println("ready")
		for buf := make([]byte, mib); ; {
			_, err := source.ReadAt(buf, 0)
			fatal(err)
		}
	case "metadata":
		childSource(ctx, v, vol)
		fatal(v.withMetadata(ctx, pool, func(string) error {
			fmt.Println("ready")
			select {}
		}))
	case "take":
		fmt.Println("ready")
		for {
			snap, err := v.CreateSnapshot(ctx, vol, "stowage-inflight.1")
			fatal(err)
			fatal(v.RemoveSnapshot(ctx, snap))
		}
	case "keep":
		fmt.Println("ready")
		for {
			snap, err := v.CreateSnapshot(ctx, vol, "stowage-inflight.1")
			fatal(err)
			kept, err := v.KeepSnapshot(ctx, snap, keptName)
			fatal(err)
			fatal(v.RemoveSnapshot(ctx, kept))
		}
	}
	fatal(fmt.Errorf("no such child: %s", what))
}

func childSource(ctx context.Context, v *Volumes, vol stowage.VolumeLocation) drivers.Source {
	snap, err := v.CreateSnapshot(ctx, vol, "stowage-inflight.1")
	fatal(err)
	s, err := v.OpenSnapshot(ctx, snap)
	fatal(err)
	return s
}

func fatal(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// killed runs a child, and kills it when it is ready and some time has passed.
func killed(t *testing.T, what string, vol stowage.VolumeLocation, state string, after time.Duration) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", vol.Name, state)
	cmd.Env = append(os.Environ(), "STOWAGE_LVM_CHILD="+what)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Errorf("the child %s said %q", what, lines.Text())
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// Killed while it reads: its successor knows the name and no more.
func TestGuestKilledReader(t *testing.T) {
	v := driver(t)
	for _, vol := range []stowage.VolumeLocation{classic(t, v, "volume-thick", 8*mib), thin(t, v, pool, "volume-slim", 8*mib)} {
		killed(t, "read", vol, t.TempDir(), 0)
		if !there(t, lvName(group, vol.Name, "stowage-inflight.1")) {
			t.Errorf("no snapshot of %s to remove", vol.Name)
		}
		must(t, v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.1", Volume: vol}))
		if there(t, lvName(group, vol.Name, "stowage-inflight.1")) {
			t.Errorf("the snapshot of %s is still there", vol.Name)
		}
		// Cinder's own way to see whether a volume can go, and to let it go.
		if attr := run(t, "lvs --noheadings -o lv_attr %s/%s", group, vol.Name); strings.ContainsAny(attr[:1], "oO") {
			t.Errorf("volume %s still has a snapshot: %s", vol.Name, attr)
		}
		run(t, "lvremove -f -y %s/%s", group, vol.Name)
	}
}

// Killed while it holds the pool's metadata: the next one finds the note.
func TestGuestKilledHolder(t *testing.T) {
	var log records
	state := t.TempDir()
	v := driver(t, log.options, func(o *Options) { o.StateDir = state })
	vol := thin(t, v, pool, "volume-held", 16*mib)
	raw(t, vol, pattern(1, mib), 0)
	killed(t, "metadata", vol, state, 0)
	if status := strings.Fields(run(t, "dmsetup status %s-tpool", deviceName(group, pool))); status[6] == "-" {
		t.Errorf("nothing is held: %q", status)
	}
	_, source := snapshot(t, v, vol, "stowage-inflight.1")
	if sum := allocated(t, source); sum != mib || !log.has("dead process") {
		t.Errorf("%d bytes are allocated", sum)
	}
}

// Killed at any moment of taking and removing: the volume is never left
// suspended, and nothing stays that cannot be removed by name.
func TestGuestKilledTaker(t *testing.T) {
	v := driver(t)
	for i, vol := range []stowage.VolumeLocation{classic(t, v, "volume-thick", 8*mib), thin(t, v, pool, "volume-slim", 8*mib)} {
		for after := range 6 {
			killed(t, "take", vol, t.TempDir(), time.Duration(after*137+i*61)*time.Millisecond)
			// What lvm2 was doing it does to its end.
			wait(t, "the tools to end", func() bool { out, _ := tooled("pgrep -x lvm"); return out == "" })
			must(t, v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "stowage-inflight.1", Volume: vol}))
			if info := run(t, "dmsetup info -c --noheadings -o suspended %s", deviceName(group, vol.Name)); info != "Active" {
				t.Fatalf("volume %s is %s", vol.Name, info)
			}
			raw(t, vol, pattern(byte(after), mib), 0)
			if found, err := v.Leftovers(t.Context()); len(found) != 0 || err != nil {
				t.Fatalf("left: %+v, %v", found, err)
			}
		}
		run(t, "lvremove -y %s/%s", group, vol.Name)
	}
}
