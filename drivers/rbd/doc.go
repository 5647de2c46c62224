// Package rbd drives volumes that are images in a pool of a Ceph cluster.
//
// It is built with Ceph's libraries under the build tag ceph (and pacific for
// libraries of before Reef, as in Debian 12); without the tag, Open says so.
//
// A snapshot is an RBD snapshot: unprotected, under the name the caller
// chooses. Its ID is "<image id>/<snapshot id>". Cinder removes, without a
// word, snapshots whose names look like those of its own backups, and reads at
// a removed snapshot give zeros without an error; so the caller chooses another
// name while it reads, and asks CheckSnapshot in the end. With another name,
// Cinder moves the image of a deleted volume to the trash of the pool, where it
// can still be read; RemoveSnapshot purges it there once nothing else needs it.
//
// Images are found by name once and by id from then on, wherever they have
// been moved. Snapshots are read without the client's cache and without a watch
// on the image, so a reader is in nobody's way.
//
// What changed between two snapshots is asked of the storage daemons, object by
// object (list_snaps, some 50 us each with 20 in flight): about a second for
// 100 GiB, little beside reading what changed. The fast diff of the object map
// is not believed. On librbd 16.2.15 it says "unchanged" after a rollback to a
// snapshot older than the base, which Cinder's revert is, and after shrinking
// and growing with a snapshot in between; neither leaves a trace that could be
// looked for later. Of the maps only this is taken: an object that neither
// state has reads the same in both. Where a map is flagged invalid or is
// missing, librbd asks the daemons by itself; it has no way to tell us.
// Objects that were not written up to their ends are reported from their old
// end to what was written behind it.
//
// A snapshot that is kept (KeepSnapshot) is renamed to what Cinder removes.
// Should the volume be deleted in this very moment, its image may get to the
// trash with the new name; RemoveSnapshot, given the ID, ends that.
//
// A target is held under the exclusive lock where the image has that feature,
// in the mode that does not give it up when another client asks. Whoever else
// has the image open for writing is a Conflict; one that died counts for up to
// half a minute, until the cluster has forgotten it. Without the feature the
// look at who has it open, when a target is opened, is all there is.
//
// librbd cannot be interrupted: a call looks at its context before each step,
// and a cluster that does not answer ends it after OpTimeout.
package rbd

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// Options say which pool, and how to reach it.
type Options struct {
	// Key is what the backend's key must turn out to be, rbd:<fsid>:<pool>;
	// another cluster under the same address is found out. Empty: any.
	Key string
	// Pool is the RADOS pool of the images.
	Pool string
	// User is the Ceph user without "client.", such as cinder.
	User string
	// CephConf is the path of ceph.conf.
	CephConf string
	// Keyring is the path of the user's keyring. Empty: as ceph.conf says.
	Keyring string
	// ConnectTimeout bounds how long the monitors may take. Zero: 30 s.
	ConnectTimeout time.Duration
	// OpTimeout bounds how long a storage daemon may take for one operation,
	// before it counts as failed. Zero: 2 min.
	OpTimeout time.Duration
}

// defaults fills in what was left out.
func (o *Options) defaults() error {
	if o.Pool == "" || o.User == "" || o.CephConf == "" {
		return stowage.Errorf(stowage.Invalid, "an rbd backend needs a pool, a user and a ceph.conf")
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 30 * time.Second
	}
	if o.OpTimeout <= 0 {
		o.OpTimeout = 2 * time.Minute
	}
	return nil
}

// seconds is how Ceph wants its timeouts: whole, and at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// Key gives the key of the backend that a pool of a cluster is.
func Key(fsid, pool string) string { return "rbd:" + fsid + ":" + pool }

// snapID is what Snapshot.ID says.
type snapID struct {
	image string
	snap  uint64
}

func (id snapID) String() string { return id.image + "/" + strconv.FormatUint(id.snap, 10) }

// parseID reads an ID; only one that String writes is one.
func parseID(text string) (snapID, bool) {
	image, number, _ := strings.Cut(text, "/")
	snap, err := strconv.ParseUint(number, 10, 64)
	id := snapID{image, snap}
	return id, err == nil && image != "" && len(image) <= 64 && strings.IndexFunc(image, notAlnum) < 0 && id.String() == text
}

// validName allows what Cinder and we make names of, and nothing that means
// anything in the specification of an image.
func validName(name string) bool {
	return name != "" && len(name) <= 100 && !notAlnum(rune(name[0])) &&
		strings.IndexFunc(name, func(r rune) bool { return notAlnum(r) && !strings.ContainsRune("._-", r) }) < 0
}

// cinderNames are the snapshots that Cinder removes before it deletes an image,
// in all its releases: it takes them for its own backups'.
var cinderNames = regexp.MustCompile(`^backup\.[a-z0-9-]+\.snap\..+$`)

// cinders reports whether the volume of a snapshot of this name can be deleted.
func cinders(name string) bool { return validName(name) && cinderNames.MatchString(name) }

func notAlnum(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}
