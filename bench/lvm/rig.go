package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/lvm"
)

const (
	group = "bench"
	pool  = "pool"
)

// rig is a volume group with a thin and a thick volume of the same content.
type rig struct {
	size int64
	vols drivers.Bases
}

func newRig(ctx context.Context, size int64) (*rig, error) {
	bytes := fmt.Sprintf("%db", size)
	for _, args := range [][]string{
		{"pvcreate", "-q", "-y", "/dev/ubda"}, {"vgcreate", "-q", group, "/dev/ubda"},
		{"lvcreate", "-q", "-y", "--type", "thin-pool", "-L", fmt.Sprintf("%db", 3*size), "-n", pool, group},
		{"lvcreate", "-q", "-y", "-V", bytes, "--thinpool", pool, "-n", "volume-thin", group},
		{"lvcreate", "-q", "-y", "-W", "n", "-L", bytes, "-n", "volume-thick", group},
		{"blkdiscard", "-z", "/dev/" + group + "/volume-thick"},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	for _, kind := range []string{"thin", "thick"} {
		if err := fill(device(kind), size); err != nil {
			return nil, fmt.Errorf("fill the %s volume: %w", kind, err)
		}
	}
	var env []string
	for _, name := range []string{"LVM_SYSTEM_DIR", "DM_DISABLE_UDEV"} {
		env = append(env, name+"="+os.Getenv(name))
	}
	vols, err := lvm.Open(ctx, lvm.Options{VolumeGroup: group, Host: "bench", SnapshotPercent: 100, StateDir: "/tmp/state", Env: env})
	return &rig{size: size, vols: vols}, err
}

func device(kind string) string { return "/dev/" + group + "/volume-" + kind }

// frozen is a snapshot that is open, under the name that stays.
type frozen struct {
	snap   stowage.Snapshot
	source drivers.Source
}

// freeze takes a snapshot and opens it.
func (r *rig) freeze(ctx context.Context, kind string) (*frozen, error) {
	vol := stowage.VolumeLocation{Backend: r.vols.Backend(), VolumeID: kind, Name: "volume-" + kind}
	snap, err := r.vols.CreateSnapshot(ctx, vol, "stowage-inflight."+uuid.NewString())
	if err != nil {
		return nil, err
	}
	source, err := r.vols.OpenSnapshot(ctx, snap)
	return &frozen{snap, source}, err
}

// keep ends reading it and keeps it, where that can be.
func (r *rig) keep(ctx context.Context, f *frozen) (*stowage.Snapshot, error) {
	if err := f.source.Close(); err != nil {
		return nil, err
	}
	kept, err := r.vols.KeepSnapshot(ctx, f.snap, "backup."+uuid.NewString()+".snap.1")
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil, r.vols.RemoveSnapshot(ctx, f.snap)
	}
	return &kept, err
}

func (r *rig) remove(ctx context.Context, snap *stowage.Snapshot) error {
	if snap == nil {
		return nil
	}
	return r.vols.RemoveSnapshot(ctx, *snap)
}

// path is the device of a snapshot of the volume, for programs that read one.
func (f *frozen) path(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "lvs", "--noheadings", "-o", "lv_dm_path", "-S", "lv_tags=stowage.snapshot="+f.snap.Name, group).Output()
	if err != nil || len(out) < 3 {
		return "", errors.Join(err, fmt.Errorf("no device of %s", f.snap.Name))
	}
	return string(out[2 : len(out)-1]), nil
}

// forgotten has the kernel forget what it holds of devices.
func forgotten() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) }
