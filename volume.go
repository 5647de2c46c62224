package stowage

import "time"

// Volume statuses of Cinder that matter here.
const (
	VolumeAvailable       = "available"
	VolumeInUse           = "in-use"
	VolumeCreating        = "creating"
	VolumeDownloading     = "downloading" // being created from an image
	VolumeReserved        = "reserved"
	VolumeBackingUp       = "backing-up"
	VolumeRestoringBackup = "restoring-backup"
	VolumeErrorRestoring  = "error_restoring"
	VolumeError           = "error"
	VolumeDeleting        = "deleting"
)

// VolumeLocation is where a volume's bytes are.
type VolumeLocation struct {
	// Backend is the key of the backend, such as rbd:<fsid>:<pool>,
	// lvm:<host>:<vg> or file:<name>.
	Backend string `json:"backend"`
	// VolumeID is Cinder's id of the volume.
	VolumeID string `json:"volume_id"`
	// Name is what the backend calls it: an RBD image, an LV, a file name.
	Name string `json:"name"`
}

// Snapshot is a frozen state of a volume, made by a volume driver. It is data
// only and is kept in the job, so that another manager can find it again.
type Snapshot struct {
	// Name is ours to choose, and tells whose snapshot it is.
	Name string `json:"name"`
	// Volume is what it is a snapshot of.
	Volume VolumeLocation `json:"volume"`
	// ID tells this snapshot from a later one of the same name; what it is, is
	// the driver's business (RBD: "<image id>/<snapshot id>").
	ID string `json:"id,omitempty"`
	// Bytes is the volume's length when it was taken.
	Bytes int64 `json:"bytes"`
	// At is when it was taken.
	At time.Time `json:"at,omitzero"`
}

// Extent is a run of bytes of a volume.
type Extent struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// End is the first byte behind the extent.
func (e Extent) End() int64 { return e.Offset + e.Length }

// GiB is Cinder's unit of volume size.
const GiB = int64(1) << 30

// SizeGiB is the size Cinder gives a volume of so many bytes: whole GiB, rounded up.
func SizeGiB(bytes int64) int64 { return (bytes + GiB - 1) / GiB }
