package stowage

import (
	"strings"
	"time"
)

// BackupKind is what a backup is of.
type BackupKind string

// A backup of a volume has objects; one of a server is what its volumes' backups
// have in common.
const (
	OfVolume BackupKind = ""
	OfServer BackupKind = "server"
)

// DefaultContainer is where backups go when the caller names no container.
const DefaultContainer = "volumebackups"

// BackupStatus is what a tenant sees of a backup.
type BackupStatus string

// The statuses of the HP Volume Backup API.
const (
	BackupCreating  BackupStatus = "creating"
	BackupAvailable BackupStatus = "available"
	BackupRestoring BackupStatus = "restoring"
	BackupDeleting  BackupStatus = "deleting"
	BackupError     BackupStatus = "error"
)

// backupMoves is every status move there is. A row that is gone has no status:
// a deleted backup leaves the table.
var backupMoves = map[BackupStatus][]BackupStatus{
	BackupCreating:  {BackupAvailable, BackupError},
	BackupAvailable: {BackupRestoring, BackupDeleting, BackupError},
	BackupRestoring: {BackupAvailable, BackupError},
	BackupDeleting:  {BackupError},
	BackupError:     {BackupDeleting},
}

// May reports whether a backup may move from one status to the other.
func (s BackupStatus) May(to BackupStatus) bool {
	for _, t := range backupMoves[s] {
		if t == to {
			return true
		}
	}
	return false
}

// Known reports whether s is a status at all.
func (s BackupStatus) Known() bool { _, ok := backupMoves[s]; return ok }

// Backup is one restorable point in time of one volume, or of one server.
type Backup struct {
	ID        int64  // ascending, never used again; the id of the HP API
	UUID      string // the id of every protocol that wants UUIDs, and of objects
	ProjectID string // Keystone project that owns the backup and its container
	UserID    string // Keystone user who asked for it

	Kind   BackupKind
	SetID  int64         // of a volume's backup: that of the server it is part of; 0: none
	Server *ServerRecord // of a server's backup: the server as it was; else nil

	Name        string
	Description string
	Container   string
	Status      BackupStatus
	FailReason  string // empty when nothing failed

	Volume VolumeRecord // the volume as it was; of a server's backup: the server's id, name and zone

	SizeGiB     int64 // the volume's size as Cinder counts it
	VolumeBytes int64 // the exact length of what was read
	StoredBytes int64 // the sum of the objects' sizes
	ObjectCount int64 // objects that a restore of this backup reads
	Incremental bool  // the engine stored changes only

	// Manifest names the object a restore begins with, and ManifestDigest is
	// the SHA-256 of its bytes in hex: what a tenant writes over it is noticed.
	Manifest       string
	ManifestDigest string

	// Damaged is why a restore would not give back the volume as it was: what
	// the latest verification found missing or changed. Empty if nothing. Of a server's
	// backup its parts tell.
	Damaged    string
	VerifiedAt time.Time // when all its objects were last looked at, first when it was made

	By          Origin        // empty: a user asked for it
	Mark        RetentionMark // what somebody said of keeping it
	RetainUntil time.Time     // how long MarkArchive holds; zero: for ever

	SnapshotAt time.Time // when the snapshot was taken; zero before
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Mountable reports whether its files can be served: it is there, and one of our
// own. What cinder-backup made can only be read in objects as a whole; its list of
// them is named so.
func (b Backup) Mountable() bool {
	return (b.Status == BackupAvailable || b.Status == BackupRestoring) && !strings.HasSuffix(b.Manifest, "_metadata")
}

// VolumeRecord is what is worth remembering of a volume, so that a restore to
// a new volume can give it back.
type VolumeRecord struct {
	ID               string            `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Type             string            `json:"type,omitempty"`
	AvailabilityZone string            `json:"availability_zone,omitempty"`
	Bootable         bool              `json:"bootable,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	ImageMetadata    map[string]string `json:"image_metadata,omitempty"`
}
