// Package drivers says what the engine asks of storage: volumes it reads from
// snapshots and writes on restore, and object stores.
//
// The interfaces are small and grow by embedding: a driver that can do more
// (changed extents, thin clones) implements one more interface, and the engine
// asks for it with a type assertion. Every driver passes the suite in
// drivertest, and imports neither another driver nor anything above this
// package.
//
// Errors carry the codes of package stowage: NotFound for what is not there,
// Unavailable for what may work later, Forbidden for missing rights, Corrupt
// for data that is not what it should be. An error without a code is one
// nobody foresaw; the engine treats it as final.
package drivers

import (
	"context"
	"io"
	"time"

	"github.com/stowage/stowage"
)

// Volumes is one backend's volumes. All methods may be called at the same time,
// and give ctx's error when it has ended. Invalid: a name that is none
// ([A-Za-z0-9][A-Za-z0-9._-]*, at most 100 bytes), another backend's volume, or
// a snapshot without an ID where one is needed.
type Volumes interface {
	// Backend gives the key of the backend, as in stowage.VolumeLocation.
	Backend() string

	// CreateSnapshot freezes the volume under the name. A snapshot of this
	// name that is there already (an earlier attempt made it) is returned as
	// it is. Durable on return. NotFound: the volume is gone.
	CreateSnapshot(ctx context.Context, vol stowage.VolumeLocation, name string) (stowage.Snapshot, error)

	// OpenSnapshot opens a snapshot for reading. It checks that the snapshot
	// is the very one that was created, not a later one of the same name:
	// NotFound if it is gone or another.
	OpenSnapshot(ctx context.Context, snap stowage.Snapshot) (Source, error)

	// CheckSnapshot proves that the snapshot is still the very one that was
	// created, past any cache: a snapshot that was removed while it was read
	// may have given zeros. NotFound: what was read since must not be trusted.
	CheckSnapshot(ctx context.Context, snap stowage.Snapshot) error

	// RemoveSnapshot removes the snapshot, found by volume and name alone
	// (ID may be empty), also where the volume was deleted meanwhile and only
	// the snapshot held its data back: then what is left of it in a trash goes
	// as well, if it is the one the ID tells of. Gone already is no error.
	RemoveSnapshot(ctx context.Context, snap stowage.Snapshot) error

	// OpenTarget opens a volume for writing, exclusively where the backend
	// can: Conflict when somebody else writes to it. A writer that died may be
	// a Conflict for up to half a minute more. NotFound: no such volume.
	OpenTarget(ctx context.Context, vol stowage.VolumeLocation) (Target, error)

	// Close gives up connections. Nothing is called afterwards.
	Close() error
}

// Leftovers is what a driver can do whose CreateSnapshot may still finish when
// its caller is dead: list all snapshots that are ours, those in use and those
// that are kept as well.
type Leftovers interface {
	Volumes
	Leftovers(ctx context.Context) ([]stowage.Snapshot, error)
}

// Source is an open snapshot. ReadAt may be called from many goroutines.
// Reads that end beyond Size give io.EOF as io.ReaderAt says. A range outside
// [0, Size] is Invalid for Allocated.
type Source interface {
	io.ReaderAt
	io.Closer
	// Size is the length in bytes.
	Size() int64
	// Allocated calls fn, in ascending order without overlap, for each extent
	// within [offset, offset+length) that may hold data. What lies between
	// reads as zeros and need not be read. fn's error ends it and is returned.
	Allocated(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error
}

// ChangeSource is a Source that can tell what changed since an older snapshot
// of the same volume, without reading.
type ChangeSource interface {
	Source
	// Changed calls fn, in ascending order without overlap, for each extent
	// within [offset, offset+length) whose bytes may differ from those in base;
	// everything else is certainly the same in both. Extents that were
	// discarded since count as well. What lies behind the end of a shorter base
	// counts if it may hold data. NotFound: base is gone, is not the very
	// snapshot that was created, or is not of this volume's image, or what
	// changed since cannot be told this time; fn may have been called by then,
	// and what it was told must not be trusted. The caller compares the data.
	Changed(ctx context.Context, base stowage.Snapshot, offset, length int64, fn func(stowage.Extent) error) error
}

// Bases is what a driver can do whose snapshots may stay after a backup, so
// that the next one reads only what changed, without ever being in the way of
// a user who deletes the volume.
type Bases interface {
	Volumes
	// KeepSnapshot turns a snapshot that was read into one that stays: under a
	// name with which the volume can be deleted. It gives the snapshot as it is
	// called now. Called again (the first caller died) with the old or the new
	// name it gives the same. NotFound: the snapshot is gone, or another, or its
	// volume was deleted or is one of which no snapshot may stay; what is there
	// is to be removed by the name it had.
	KeepSnapshot(ctx context.Context, snap stowage.Snapshot, name string) (stowage.Snapshot, error)
}

// CinderSnapshots is what a driver can do that finds snapshots which Cinder took.
type CinderSnapshots interface {
	Volumes
	// CinderSnapshot gives the snapshot of the volume that Cinder knows by this id. It is
	// opened and checked like any other, and is for whoever asked Cinder for it to have
	// removed, when nobody has it open: KeepSnapshot and RemoveSnapshot may refuse it.
	// NotFound: there is none.
	CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (stowage.Snapshot, error)
}

// Orphans is what a driver can do whose kept snapshots do not go with their
// volume when a user deletes it: list those whose volume is gone for certain.
// They are of use to nobody, CheckSnapshot gives NotFound for them, and
// RemoveSnapshot removes them.
type Orphans interface {
	Bases
	Leftovers
	Orphans(ctx context.Context) ([]stowage.Snapshot, error)
}

// Target is a volume open for writing. WriteAt and WriteZeroes may be called
// from many goroutines, for ranges that do not overlap and lie within Size: a
// target never grows, anything else is Invalid. A target that was closed without Flush holds nobody knows what.
type Target interface {
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() int64
	// WriteZeroes makes the range read as zeros, for any offset and length
	// within Size, leaving a hole wherever the backend can.
	WriteZeroes(offset, length int64) error
	// Empty reports whether the volume is known to hold no data at all (fresh,
	// never written), so that zeros need not be written.
	Empty(ctx context.Context) (bool, error)
	// Flush makes everything written durable.
	Flush() error
}

// ReadableTarget is a Target that can be read, so that what it holds already
// need not be written again. ReadAt gives what was written last.
type ReadableTarget interface {
	Target
	io.ReaderAt
}

// ObjectInfo is what a store tells of an object without reading it.
type ObjectInfo struct {
	Name  string
	Bytes int64
	// ETag is the MD5 of the bytes in lower-case hex, empty where the store
	// does not keep it. List may lack it where Stat has it.
	ETag     string
	Modified time.Time
}

// Store is one container of one account. All methods may be called at the
// same time. Names are UTF-8 without NUL, 1 to 1024 bytes, with slashes.
type Store interface {
	// Put writes an object whole, checked with its MD5 on the way in. Durable
	// on return. On an error the object may be there or not. Transient faults
	// are tried again inside, always with the same bytes. A name that is
	// written over has one writer's bytes afterwards; what is found while that
	// goes on is not promised (Swift may find nothing), and nobody here writes
	// a name twice. etag is the MD5 of data in lower-case hex, made on the way.
	Put(ctx context.Context, name string, data []byte) (etag string, err error)

	// Get reads [offset, offset+len(buf)) of an object into buf and reports
	// how many bytes there were; fewer than len(buf) only at the object's end,
	// and none beyond it.
	// NotFound: no such object.
	Get(ctx context.Context, name string, buf []byte, offset int64) (int, error)

	// Stat looks at an object. NotFound: no such object.
	Stat(ctx context.Context, name string) (ObjectInfo, error)

	// Delete removes an object. Not there is no error.
	Delete(ctx context.Context, name string) error

	// List calls fn for each object whose name begins with prefix, in the
	// order of names in UTF-8. The list of an eventually consistent store may
	// lack what is there and name what is gone. NotFound: no such container.
	List(ctx context.Context, prefix string, fn func(ObjectInfo) error) error
}

// Stores opens containers. project is the Keystone project whose account it
// is; the service's own rights are used, never a tenant's token.
type Stores interface {
	// It need not notice that there is no such container.
	Open(ctx context.Context, project, container string) (Store, error)
}
