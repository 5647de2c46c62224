package catalog

import (
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
)

// State is what is known of a backup.
type State string

// The states of a backup in a container.
const (
	Readable State = "readable" // its root is; the rest was not looked at
	Sound    State = "sound"    // verified, and nothing is wrong
	Damaged  State = "damaged"  // it is not what was stored
	Locked   State = "locked"   // it is sealed, or its volume was, and the key is not here
	Unknown  State = "unknown"  // it could not be found out
)

// Entry is a backup that was found.
type Entry struct {
	manifest.Attempt
	VolumeID string
	Root     string // the name of its root
	Digest   string // SHA-256 of the root in hex; empty: it was not read
	State    State
	Why      string // of a state that is not good

	// Of the root, if it is readable.
	Sealed                bool
	Incremental           bool
	VolumeBytes           int64
	StoredBytes           int64 // what the backup added to the container
	Objects               int64 // that a restore reads, the root included
	Name, Description     string
	VolumeName            string
	SnapshotAt, CreatedAt time.Time

	// Of a backup that is part of a server's: that one, and the server. SetFault
	// is why what the root says of it is not believed.
	Set                            uuid.UUID
	ServerID, ServerName, SetFault string

	// Of a backup that cinder-backup made. Attempt has no fence then, Root is
	// the name of its _metadata, Digest the chain's, and StoredBytes is not
	// known.
	Chain  *cinderbackup.Chain  // nil: it is one of our own, or cannot be read
	Record *cinderbackup.Record // what Cinder's database says of it; nil: it was not asked
}

// Good tells that nothing is known to be wrong with the backup.
func (e Entry) Good() bool { return e.State == Readable || e.State == Sound }

// blame notes why a root could not be read.
func (e *Entry) blame(err error) {
	_, locked := errors.AsType[*noKey](err)
	why, bad := engine.DamageOf(err)
	switch {
	case locked:
		e.State, e.Why = Locked, stowage.MessageOf(err)
	case stowage.Is(err, stowage.NotFound):
		e.State, e.Why = Unknown, "the listing has it, and the store does not: it was deleted of late, or lost"
	case bad:
		e.State, e.Why = Damaged, why
	default:
		e.State, e.Why = Unknown, err.Error()
	}
}

// tell notes what a root says. It may say much; what is kept is bounded.
func (e *Entry) tell(root *engine.Opened) {
	i := root.Info
	e.State, e.Sealed = Readable, root.Key != nil
	e.Incremental, e.VolumeBytes = i.Incremental, i.VolumeBytes
	e.Name, e.Description, e.VolumeName = clip(i.Name, maxText), clip(i.Description, maxText), clip(i.Volume.Name, maxText)
	e.SnapshotAt, e.CreatedAt = i.SnapshotAt, i.CreatedAt
	e.Set, e.ServerID, e.ServerName, e.SetFault = uuid.Nil, "", "", root.SetFault
	if s := i.Set; s != nil {
		e.Set, e.ServerID, e.ServerName = s.Backup, strings.Clone(s.Server.ID), clip(s.Server.Name, maxText)
	}
	e.Objects = int64(root.Objects().Len()) + 1
	for _, p := range root.Packs {
		if p.Backup == e.Backup {
			e.StoredBytes += p.Bytes
		}
	}
	for _, l := range root.Layers {
		for _, o := range l {
			if o.Backup == e.Backup {
				e.StoredBytes += o.Bytes
			}
		}
	}
}

// maxText is how many characters of names and descriptions are kept, as in the
// database.
const maxText = 255

// clip gives the first n characters, in memory of their own.
func clip(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			s = s[:i]
			break
		}
	}
	return strings.Clone(s)
}
