package stowage

import "time"

// EntitySnapshot is a snapshot of an entity that Cinder keeps in the entity's project:
// of all volumes of a server, or of one volume. It is no backup: it goes with the storage
// that the volume is on.
type EntitySnapshot struct {
	ID        string // of the job that takes it, and the mark that finds what was taken
	ProjectID string
	EntityID  string
	By        Origin
	Status    SnapshotStatus
	Reason    string // why it failed, for the user
	TakenAt   time.Time
	Volumes   []VolumeSnapshot // once it is taken
	CreatedAt time.Time
	UpdatedAt time.Time
}

// VolumeSnapshot is a snapshot of one volume, by Cinder's ids.
type VolumeSnapshot struct {
	VolumeID   string `json:"volume_id"`
	SnapshotID string `json:"snapshot_id"`
}

// SnapshotStatus is where a snapshot of an entity is.
type SnapshotStatus string

// The statuses there are. One that is being taken is moved by the end of its job alone;
// one that is being removed has been decided about, and its row goes once Cinder has none
// of it.
const (
	SnapshotTaking   SnapshotStatus = "taking"
	SnapshotTaken    SnapshotStatus = "taken"
	SnapshotFailed   SnapshotStatus = "failed"
	SnapshotRemoving SnapshotStatus = "removing"
)
