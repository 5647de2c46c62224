// Package catalog tells what backups a container holds, from the container
// alone: it lists them, verifies and restores them, and writes them into a
// database that has lost them. Of the operator it takes the master key. It does
// the same with backups that Cinder's own service made, for those who come from
// there.
//
// A tenant can write to his container, so nothing in it is believed before the
// engine has checked it: of a listing only names that a root can have are
// taken, what a root says of itself is held against its name and the project,
// and what is kept of it is bounded. What is sealed cannot be made up; what is
// not, anybody who can write to the container may have made, so a root that is
// sealed goes before one of the same backup that is not.
package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// Catalog reads one container of a project.
type Catalog struct {
	Store              drivers.Store
	Engine             *engine.Engine
	Master             *seal.Master // nil: what is sealed cannot be read
	Project, Container string
	// Unsealed lets Import take what is not sealed, too.
	Unsealed bool
	// Format is whose backups are looked for.
	Format Format
	// Records, if there are any, are those of Cinder's backups to look at; of
	// others only what their chains need.
	Records []cinderbackup.Record
}

// Format tells whose backups are meant.
type Format string

// The formats there are.
const (
	Stowage      Format = "stowage"
	CinderBackup Format = "cinder-backup"
)

// maxRoots bounds what is kept of a listing.
const maxRoots = 100_000

// Scan calls fn for every backup in the container, or for those of one volume:
// by volume, each volume's by the time of its snapshot, and last those whose
// roots cannot be read. Of the roots of one backup the newest that can be read
// is taken; newer ones that cannot are told besides. Only a listing that fails,
// a cancelled context, and fn end the scan early.
func (c *Catalog) Scan(ctx context.Context, volume string, fn func(Entry) error) error {
	if c.Format == CinderBackup {
		return c.scanCinder(ctx, volume, fn)
	}
	found, err := c.list(ctx, volume, uuid.Nil)
	if err != nil {
		return err
	}
	for _, volume := range slices.Sorted(maps.Keys(found)) {
		entries, err := c.volume(ctx, volume, found[volume])
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Find gives one backup whose root can be read. volume may be empty.
func (c *Catalog) Find(ctx context.Context, volume string, backup uuid.UUID) (Entry, error) {
	if c.Format == CinderBackup {
		return c.findCinder(ctx, volume, backup)
	}
	found, err := c.list(ctx, volume, backup)
	if err != nil {
		return Entry{}, err
	}
	var good, bad []Entry
	for volume, attempts := range found {
		entries, err := c.volume(ctx, volume, attempts)
		if err != nil {
			return Entry{}, err
		}
		for _, e := range entries {
			if e.Good() {
				good = append(good, e)
			} else {
				bad = append(bad, e)
			}
		}
	}
	return c.only(backup, good, bad)
}

// only gives the one good backup of those that were found by a UUID.
func (c *Catalog) only(backup uuid.UUID, good, bad []Entry) (Entry, error) {
	if slices.ContainsFunc(good, func(e Entry) bool { return e.Sealed }) {
		good = slices.DeleteFunc(good, func(e Entry) bool { return !e.Sealed })
	}
	switch {
	case len(good) == 1:
		return good[0], nil
	case len(good) > 1:
		return Entry{}, stowage.Errorf(stowage.Conflict, "backup %s is there of %d volumes: say which", backup, len(good))
	case len(bad) > 0:
		return Entry{}, stowage.Errorf(stowage.Corrupt, "backup %s is %s: %s: %s", backup, bad[0].State, bad[0].Root, bad[0].Why)
	}
	return Entry{}, stowage.Errorf(stowage.NotFound, "there is no backup %s in container %q of project %q", backup, c.Container, c.Project)
}

// list gives the attempts that have a root, by volume: of all volumes or one,
// of all backups or one.
func (c *Catalog) list(ctx context.Context, volume string, backup uuid.UUID) (map[string][]manifest.Attempt, error) {
	prefix := "volume_"
	if volume != "" {
		if !manifest.ValidVolumeID(volume) {
			return nil, stowage.Errorf(stowage.Invalid, "%q is no id of a volume", volume)
		}
		prefix += volume + "/"
		if backup != uuid.Nil {
			prefix += "backup_" + backup.String() + "/"
		}
	}
	found, count := map[string][]manifest.Attempt{}, 0
	err := c.Store.List(ctx, prefix, func(o drivers.ObjectInfo) error {
		id, a, ok := manifest.ParseRootName(o.Name)
		if !ok || volume != "" && id != volume || backup != uuid.Nil && a.Backup != backup {
			return nil
		}
		if count++; count > maxRoots {
			return stowage.Errorf(stowage.OverLimit, "there are more than %d backups: name a volume", maxRoots)
		}
		id = strings.Clone(id) // the name may be part of a long answer
		found[id] = append(found[id], a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list container %q of project %q: %w", c.Container, c.Project, err)
	}
	return found, nil
}

// volume reads the roots of one volume.
func (c *Catalog) volume(ctx context.Context, volume string, attempts []manifest.Attempt) ([]Entry, error) {
	slices.SortFunc(attempts, func(a, b manifest.Attempt) int { return b.Compare(a) }) // of a backup, the newest first
	attempts = slices.Compact(attempts)
	var all []Entry
	for len(attempts) > 0 {
		n := 1
		for n < len(attempts) && attempts[n].Backup == attempts[0].Backup {
			n++
		}
		entries, err := c.backup(ctx, volume, attempts[:n])
		if err != nil {
			return nil, err
		}
		all, attempts = append(all, entries...), attempts[n:]
	}
	slices.SortFunc(all, func(a, b Entry) int {
		if a.Good() != b.Good() {
			if a.Good() {
				return -1
			}
			return 1
		}
		return cmp.Or(a.SnapshotAt.Compare(b.SnapshotAt), a.Attempt.Compare(b.Attempt))
	})
	return all, nil
}

// backup reads the roots of one backup, the newest first, until one is good.
func (c *Catalog) backup(ctx context.Context, volume string, attempts []manifest.Attempt) ([]Entry, error) {
	var bad []Entry
	var open *Entry
	for _, a := range attempts {
		e, _, err := c.read(ctx, volume, a)
		switch {
		case err != nil:
			return nil, err
		case !e.Good():
			bad = append(bad, e)
		case e.Sealed:
			return append(bad, e), nil
		case open == nil:
			open = &e
		}
	}
	if open != nil {
		return append(bad, *open), nil
	}
	return bad, nil
}

// read reads one root. An error says that the context is over.
func (c *Catalog) read(ctx context.Context, volume string, a manifest.Attempt) (Entry, *engine.Opened, error) {
	e := Entry{Attempt: a, VolumeID: volume, Root: manifest.RootName(volume, a)}
	root, err := c.open(ctx, &e)
	if err != nil {
		e.blame(err)
		return e, nil, ctx.Err()
	}
	e.tell(root)
	return e, root, nil
}

func (c *Catalog) open(ctx context.Context, e *Entry) (*engine.Opened, error) {
	var err error
	if e.Digest, e.StoredBytes, err = c.digest(ctx, e.Root); err != nil {
		return nil, err
	}
	root, err := c.Engine.ReadRoot(ctx, c.Store, e.Root, e.Digest, c.keys())
	if err != nil {
		return nil, err
	}
	if root.Info.Project != c.Project {
		return nil, stowage.Errorf(stowage.Corrupt, "it says it is of project %q", clip(root.Info.Project, 64))
	}
	return root, nil
}

// maxRootBytes is what a root may have, see doc/design.md.
const maxRootBytes = manifest.MaxBodyBytes + 4096

// digest reads an object for its SHA-256 and its length.
func (c *Catalog) digest(ctx context.Context, name string) (string, int64, error) {
	info, err := c.Store.Stat(ctx, name)
	if err != nil {
		return "", 0, err
	}
	if info.Bytes > maxRootBytes {
		return "", 0, stowage.Errorf(stowage.Corrupt, "the backup's root has %d bytes", info.Bytes)
	}
	h, buf := sha256.New(), make([]byte, min(info.Bytes, 4<<20))
	for at := int64(0); at < info.Bytes; {
		n, err := c.Store.Get(ctx, name, buf[:min(int64(len(buf)), info.Bytes-at)], at)
		if err != nil {
			return "", 0, err
		}
		if n == 0 {
			return "", 0, stowage.Errorf(stowage.Unavailable, "the backup's root became shorter while it was read")
		}
		h.Write(buf[:n])
		at += int64(n)
	}
	return hex.EncodeToString(h.Sum(nil)), info.Bytes, nil
}

// Verify looks whether a backup can be restored; deep reads every byte that a restore reads.
// Any state but Sound comes with the reason. An error says that the context is
// over. progress may be nil.
func (c *Catalog) Verify(ctx context.Context, e *Entry, deep bool, progress *engine.Progress) ([]engine.Damage, error) {
	found, err := c.Engine.Verify(ctx, engine.VerifyInput{
		Store: c.Store, Root: e.Root, Digest: e.Digest, Keys: c.keys(), Chain: e.Chain, Deep: deep, Progress: progress,
	})
	if err != nil {
		e.blame(err)
		return nil, ctx.Err()
	}
	if e.State = Sound; len(found) > 0 {
		e.State, e.Why = Damaged, engine.Describe(found)
	}
	return found, nil
}

// Restore writes a backup to the target.
func (c *Catalog) Restore(ctx context.Context, e Entry, target drivers.Target, progress *engine.Progress) error {
	return c.Engine.Restore(ctx, engine.RestoreInput{
		Store: c.Store, Root: e.Root, Digest: e.Digest, Keys: c.keys(), Chain: e.Chain, Target: target, Progress: progress,
	})
}

// Reader opens a backup to be read in any part, without restoring it. Invalid:
// cinder-backup made it, whose objects can only be read whole.
func (c *Catalog) Reader(ctx context.Context, e Entry) (*engine.Reader, error) {
	if e.Chain != nil {
		return nil, stowage.Errorf(stowage.Invalid, "a backup that cinder-backup made can be restored, not mounted")
	}
	return c.Engine.OpenReader(ctx, engine.ReaderInput{Store: c.Store, Root: e.Root, Digest: e.Digest, Keys: c.keys()})
}
