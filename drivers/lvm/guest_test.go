//go:build lvmguest

package lvm

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
)

// These tests run as root in the guest of devstack/lvm-guest, with lvm2 and the
// device-mapper of a real kernel. The volume group and some volumes have names
// with dashes, which device-mapper doubles.
const (
	group = "guest-vg--1"
	pool  = "pool-a"
	mib   = int64(1) << 20
	// chunk is the default of thin pools of this size.
	chunk = 64 << 10
)

func TestMain(m *testing.M) {
	if child := os.Getenv("STOWAGE_LVM_CHILD"); child != "" {
		childMain(child, os.Args[1:])
	}
	disk := os.Getenv("STOWAGE_LVM_DISK")
	if disk == "" {
		fmt.Fprintln(os.Stderr, "STOWAGE_LVM_DISK names no disk: these tests run in the guest only, see devstack/lvm-guest/test")
		os.Exit(1)
	}
	for _, line := range []string{
		"pvcreate -q -y " + disk, "vgcreate -q " + group + " " + disk,
		"lvcreate -q -y --type thin-pool -L 400M -n " + pool + " " + group,
	} {
		if out, err := tooled(line); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", line, err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	left, err := tooled("lvs --noheadings -o lv_name " + group)
	if got := strings.Fields(left); err != nil || len(got) != 1 || got[0] != pool {
		fmt.Printf("left in the volume group: %q (%v), want the pool alone\n", got, err)
		code = 1
	}
	pools, err := tooled("dmsetup status --target thin-pool")
	if err != nil {
		fmt.Printf("dmsetup status: %v\n%s", err, pools)
		code = 1
	}
	for line := range strings.Lines(pools) {
		if fields := strings.Fields(line); len(fields) < 8 || fields[7] != "-" {
			fmt.Printf("a pool's metadata is still held: %s", line)
			code = 1
		}
	}
	os.Exit(code)
}

func tooled(line string) (string, error) {
	args := strings.Fields(line)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

// run runs a command line of words without blanks, or fails the test.
func run(t *testing.T, format string, args ...any) string {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	out, err := tooled(line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(out)
}

// options are those of the tests' drivers; a classic snapshot cannot overflow.
func options(stateDir string) Options {
	env := []string{}
	for _, name := range []string{"LVM_SYSTEM_DIR", "DM_DISABLE_UDEV"} {
		env = append(env, name+"="+os.Getenv(name))
	}
	return Options{VolumeGroup: group, Host: "guest", SnapshotPercent: 100, StateDir: stateDir, Env: env}
}

func driver(t *testing.T, change ...func(*Options)) *Volumes {
	t.Helper()
	o := options(t.TempDir())
	for _, c := range change {
		c(&o)
	}
	v, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func named(v *Volumes, name string) stowage.VolumeLocation {
	return stowage.VolumeLocation{Backend: v.Backend(), VolumeID: name, Name: name}
}

// classic makes a thick volume of zeros; its extents may have been another's.
func classic(t *testing.T, v *Volumes, name string, bytes int64) stowage.VolumeLocation {
	t.Helper()
	run(t, "lvcreate -q -y -W n -L %db -n %s %s", bytes, name, group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/" + name) })
	run(t, "blkdiscard -z /dev/%s/%s", group, name)
	return named(v, name)
}

func thin(t *testing.T, v *Volumes, in, name string, bytes int64) stowage.VolumeLocation {
	t.Helper()
	run(t, "lvcreate -q -y -V %db --thinpool %s -n %s %s", bytes, in, name, group)
	t.Cleanup(func() { _, _ = tooled("lvremove -f -y " + group + "/" + name) })
	return named(v, name)
}

func mapped(t *testing.T, vol stowage.VolumeLocation) int64 {
	t.Helper()
	fields := strings.Fields(run(t, "dmsetup status %s", deviceName(group, vol.Name)))
	sectors, err := strconv.ParseInt(fields[3], 10, 64)
	must(t, err)
	return sectors * 512
}

func TestGuestSuiteClassic(t *testing.T) {
	drivertest.Volumes(t, func(t *testing.T) drivertest.VolumesFixture {
		v := driver(t)
		return drivertest.VolumesFixture{
			Volumes: v, SizeUnit: 4 * mib, Full: true, NeverEmpty: true, KeepsNone: true,
			NewVolume: func(t *testing.T, bytes int64) stowage.VolumeLocation {
				return classic(t, v, "volume-"+uuid.NewString(), bytes)
			},
			CinderSnapshot: taken, RemoveCinderSnapshot: untake,
		}
	})
}

func TestGuestSuiteThin(t *testing.T) {
	drivertest.Volumes(t, func(t *testing.T) drivertest.VolumesFixture {
		v := driver(t)
		return drivertest.VolumesFixture{
			Volumes: v, SizeUnit: 4 * mib, HoleUnit: chunk,
			NewVolume: func(t *testing.T, bytes int64) stowage.VolumeLocation {
				return thin(t, v, pool, "volume-"+uuid.NewString(), bytes)
			},
			DeleteVolume: func(t *testing.T, vol stowage.VolumeLocation) {
				run(t, "lvremove -f -y %s/%s", group, vol.Name)
			},
			AllocatedBytes: mapped,
			Left: func(t *testing.T, vol stowage.VolumeLocation) bool {
				return run(t, `lvs --noheadings -o lv_name -S lv_tags={"stowage.volume=%s"} %s`, vol.Name, group) != ""
			},
			CinderSnapshot: taken, RemoveCinderSnapshot: untake,
		}
	})
}

// records keeps what was logged.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.text.String(), text)
}

func (r *records) options(o *Options) { o.Log = slog.New(slog.NewTextHandler(r, nil)) }

// wait is for what another process or the watch does in its own time.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 300 {
		if done() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("in vain: %s", what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Errorf("%s: got %v (%s), want an error of code %s", what, err, stowage.CodeOf(err), code)
	}
}

func pattern(seed byte, n int64) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = seed + byte(i>>9) | 1
	}
	return p
}

// raw writes past the driver, as a user's guest does.
func raw(t *testing.T, vol stowage.VolumeLocation, data []byte, offset int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join("/dev", group, vol.Name), os.O_WRONLY|os.O_SYNC, 0)
	must(t, err)
	_, err = f.WriteAt(data, offset)
	must(t, err)
	must(t, f.Close())
}

func snapshot(t *testing.T, v *Volumes, vol stowage.VolumeLocation, name string) (stowage.Snapshot, drivers.Source) {
	t.Helper()
	snap, err := v.CreateSnapshot(t.Context(), vol, name)
	must(t, err)
	t.Cleanup(func() { _ = v.RemoveSnapshot(context.Background(), snap) })
	source, err := v.OpenSnapshot(t.Context(), snap)
	must(t, err)
	return snap, source
}

func wantData(t *testing.T, what string, r interface {
	ReadAt([]byte, int64) (int, error)
}, offset int64, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := r.ReadAt(got, offset)
	if n != len(want) || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d of %d bytes, or not those (%v)", what, n, len(want), err)
	}
}

// there tells whether the volume group has an LV.
func there(t *testing.T, name string) bool {
	t.Helper()
	return run(t, `lvs --noheadings -o lv_name -S lv_name="%s" %s`, name, group) != ""
}
