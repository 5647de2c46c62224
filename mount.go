package stowage

import (
	"strconv"
	"strings"
	"time"
)

// MountState is where a mount is in its life.
type MountState string

// A mount that has ended can be asked for again: then it is waiting anew.
const (
	MountWaiting MountState = "waiting" // for a manager, or one is at it
	MountServed  MountState = "served"
	MountEnded   MountState = "ended"  // somebody wanted it to, or its time was over
	MountFailed  MountState = "failed" // it never came to be
	MountLost    MountState = "lost"   // the manager that served it stopped
)

// mountMoves is every state move there is.
var mountMoves = map[MountState][]MountState{
	MountWaiting: {MountServed, MountFailed},
	MountServed:  {MountEnded, MountLost},
	MountEnded:   {MountWaiting},
	MountFailed:  {MountWaiting},
	MountLost:    {MountWaiting},
}

// May reports whether a mount may move from one state to the other.
func (s MountState) May(to MountState) bool {
	for _, t := range mountMoves[s] {
		if t == to {
			return true
		}
	}
	return false
}

// Over reports whether nothing is served, and nobody is about to.
func (s MountState) Over() bool { return s != MountWaiting && s != MountServed }

// MountsKey routes the jobs that mount, as a backend's key routes others: to any
// manager that mounts, or to the one on a host.
func MountsKey(host string) string {
	if host == "" {
		return "mounts"
	}
	return "mounts:" + host
}

// Mount is a backup whose files a manager serves, without restoring it.
type Mount struct {
	ID        string // a UUID
	ProjectID string // of the backup
	UserID    string
	BackupID  int64
	JobID     string // the latest that mounts it
	State     MountState
	Reason    string // why it is over, for the user

	Host         string // of the manager that serves it, or is to; empty: any
	Owner        string // the manager's process
	Endpoint     string // where that manager is asked for files; empty: in this process
	LeaseExpires time.Time

	UnmountAt time.Time // when it ends by itself
	CreatedAt time.Time
	ServedAt  time.Time // zero before
	EndedAt   time.Time // zero before
	UpdatedAt time.Time

	Is MountDetails
}

// MountDetails is what is only shown; it is kept as JSON.
type MountDetails struct {
	Mode        string       `json:"mode"`             // as the user asked
	Wanted      []WantedFS   `json:"wanted,omitempty"` // empty: every file system
	FileSystems []FileSystem `json:"file_systems,omitempty"`
}

// WantedFS is a file system that a user asked for, and how he calls it.
type WantedFS struct {
	Volume string `json:"volume"`
	Path   string `json:"path,omitempty"`
}

// FileSystem is one that was found in a backup and can be read.
type FileSystem struct {
	Volume string `json:"volume"` // a disk, partition or logical volume, as libguestfs names it: /dev/sda1
	Label  string `json:"label,omitempty"`
	Type   string `json:"type"` // ext4
	Size   int64  `json:"size"` // of the volume, in bytes
	Path   string `json:"path"` // how it is called
}

// FileSystemID is the id of the nth file system of a mount.
func (m Mount) FileSystemID(n int) string { return m.ID + "." + strconv.Itoa(n) }

// ParseFileSystemID gives the id of the mount, and which of its file systems it is.
func ParseFileSystemID(id string) (mount string, n int, ok bool) {
	mount, text, found := strings.Cut(id, ".")
	n, err := strconv.Atoi(text)
	return mount, n, found && err == nil && n >= 0 && strconv.Itoa(n) == text
}
