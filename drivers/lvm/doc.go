// Package lvm drives volumes that are logical volumes of one volume group on
// this very host, thick ("classic") or thin; which one it is, is seen for each
// volume. It works through lvm2's own commands, with lists of arguments and
// never a shell, and reads and writes the devices itself, past the page cache.
//
// A snapshot is an LV of its own, read-only, for as long as a transfer lasts:
// classic with a copy-on-write store of a configured size, thin in the pool of
// its volume. Its name is made of the snapshot's name and a hash of the
// volume's, see lvName; its tags say whose it is, so leftovers are found by
// name or by tag. Its ID is "<uuid of the volume's LV>/<uuid of its own>".
// A classic volume that has a snapshot cannot be deleted or extended, a thin
// one can; so a snapshot is removed as soon as nobody reads it any more.
//
// A classic snapshot whose store has run full is worth nothing, and the kernel
// says so: reads fail, CheckSnapshot fails, and both tell why (OverLimit). It
// is watched while it is open, so that the log warns before.
//
// Which parts of a thin snapshot hold data is taken from the pool's metadata,
// from a frozen copy of it that the kernel keeps for one user at a time.
// Wherever that cannot be had, all of the snapshot counts as data.
//
// A target is opened exclusively and must be nobody else's: not mounted, not
// exported, not a guest's. Zeros become discards only where a thin pool gives
// zeros for what it has not mapped, and are looked at afterwards, for the
// kernel may pass over a discard; all else is zeroed by writing.
//
// Commands that change something are never killed, not even when the caller
// has lost interest: lvm2 suspends the user's volume while it takes a snapshot.
//
// A thin snapshot may stay as the base of the next backup: inactive, under the
// name it is given and with the tag stowage.base. What changed since is taken
// from the same frozen metadata, by comparing what the pool has mapped for both
// (thin_delta). Wherever that cannot be had, whole and beyond doubt, the driver
// does not tell, and whoever asked compares the data.
//
// Snapshots that Cinder took are LVs too: "_snapshot-<id>", for LVM keeps names that
// begin with "snapshot" for itself. A name of ours never begins so, and that it is of
// the volume is seen by the uuid that lvm2 gives for its origin, not by tags. They are
// the user's: read, and neither kept nor removed nor listed. A thin one is activated for its
// readers, and is as it was when the last of them closes, for Cinder cannot
// remove what is open.
package lvm

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/stowage/stowage"
)

// Options say which volume group, and how to work with it.
type Options struct {
	// VolumeGroup is the volume group of the volumes.
	VolumeGroup string
	// Host is this host as Cinder's location_info
	// LVMVolumeDriver:<host>:<vg>:<type>:<mirrors> gives it.
	Host string

	// SnapshotPercent is the size of a classic snapshot's store, of the
	// volume's. Zero: 20. At 100 or more it never runs full.
	SnapshotPercent int
	// SnapshotMinBytes is the least size of a store. Zero: 1 GiB. No store is
	// larger than its volume can fill.
	SnapshotMinBytes int64
	// SnapshotMaxBytes is the greatest size of a store. Zero: no limit.
	SnapshotMaxBytes int64
	// WatchInterval is how often the store of an open classic snapshot is
	// looked at. Zero: 10 s.
	WatchInterval time.Duration

	// StateDir is a directory, made if need be, that outlives a reboot: notes
	// on metadata of pools that are held for a moment. Zero: /var/lib/stowage/lvm.
	StateDir string
	// LVM, Dmsetup, ThinDump and ThinDelta are the paths of the tools. Empty:
	// looked for where distributions put them.
	LVM, Dmsetup, ThinDump, ThinDelta string
	// Env is added to the environment of the tools, which is otherwise empty
	// but for LC_ALL and PATH.
	Env []string
	// Runner runs the tools. Nil: as processes.
	Runner Runner
	// DevDir and SysDir are where /dev and /sys are. Empty: there.
	DevDir, SysDir string
	// Log gets what nobody is told otherwise. Nil: nowhere.
	Log *slog.Logger
}

// defaults fills in what was left out.
func (o *Options) defaults() error {
	if !validGroup(o.VolumeGroup) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of a volume group", o.VolumeGroup)
	}
	if !validName(o.Host) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of the host of volume group %s", o.Host, o.VolumeGroup)
	}
	if o.SnapshotPercent < 0 || o.SnapshotMinBytes < 0 || o.SnapshotMaxBytes < 0 ||
		o.SnapshotMaxBytes > 0 && o.SnapshotMaxBytes < o.SnapshotMinBytes {
		return stowage.Errorf(stowage.Invalid, "snapshots in volume group %s cannot have %d %%, at least %d and at most %d bytes",
			o.VolumeGroup, o.SnapshotPercent, o.SnapshotMinBytes, o.SnapshotMaxBytes)
	}
	if o.SnapshotPercent == 0 {
		o.SnapshotPercent = 20
	}
	if o.SnapshotMinBytes == 0 {
		o.SnapshotMinBytes = stowage.GiB
		if o.SnapshotMaxBytes > 0 {
			o.SnapshotMinBytes = min(o.SnapshotMinBytes, o.SnapshotMaxBytes)
		}
	}
	if o.WatchInterval <= 0 {
		o.WatchInterval = 10 * time.Second
	}
	if o.Runner == nil {
		o.Runner = processes{env: o.Env}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	fill(&o.StateDir, "/var/lib/stowage/lvm")
	fill(&o.DevDir, "/dev")
	fill(&o.SysDir, "/sys")
	fill(&o.LVM, tool("lvm"))
	fill(&o.Dmsetup, tool("dmsetup"))
	fill(&o.ThinDump, tool("thin_dump"))
	fill(&o.ThinDelta, tool("thin_delta"))
	return nil
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// tool gives the path of a tool, and its usual one if it is not there.
func tool(name string) string {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return "/usr/sbin/" + name
}

// Key gives the key of the backend that a volume group on a host is.
func Key(host, group string) string { return "lvm:" + host + ":" + group }
