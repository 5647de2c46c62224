package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
)

// imports fills a database.
type imports struct {
	*catalog.Catalog
	db *db.DB

	added, there, refused int
	volumes               map[string]bool // that were seen
	sets                  []uuid.UUID     // of servers, in the order in which they were seen
	known                 map[uuid.UUID]stowage.Backup
}

func newImports(c *catalog.Catalog, d *db.DB) *imports {
	return &imports{Catalog: c, db: d, volumes: map[string]bool{}, known: map[uuid.UUID]stowage.Backup{}}
}

func (i *imports) all(ctx context.Context, volume string, backup uuid.UUID) error {
	if backup != uuid.Nil {
		e, err := i.Find(ctx, volume, backup)
		if err != nil {
			return err
		}
		return i.one(ctx, e)
	}
	if i.Format == catalog.CinderBackup {
		return i.Scan(ctx, volume, func(e catalog.Entry) error { return i.one(ctx, e) })
	}
	var good []catalog.Entry
	err := i.Scan(ctx, volume, func(e catalog.Entry) error {
		if !e.Good() {
			return i.one(ctx, e)
		}
		e.Name, e.Description, e.VolumeName, e.ServerName = "", "", "", "" // Import reads them again, and here they would add up
		good = append(good, e)
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range inOrder(good) {
		if err := i.one(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// inOrder puts backups in the order in which they are imported: that of their
// snapshots, since the newest of a server, or of a volume, is the one with the highest
// id. But what is not sealed, and says that it is part of a set that sealed ones are
// of, comes last: the first to come says what the server was, and that must be one
// that cannot be made up.
func inOrder(all []catalog.Entry) []catalog.Entry {
	slices.SortStableFunc(all, func(a, b catalog.Entry) int { return a.SnapshotAt.Compare(b.SnapshotAt) })
	sealed := map[uuid.UUID]bool{}
	for _, e := range all {
		if e.Sealed && e.Set != uuid.Nil {
			sealed[e.Set] = true
		}
	}
	var first, last []catalog.Entry
	for _, e := range all {
		if !e.Sealed && sealed[e.Set] {
			last = append(last, e)
		} else {
			first = append(first, e)
		}
	}
	return append(first, last...)
}

func (i *imports) one(ctx context.Context, e catalog.Entry) error {
	i.volumes[e.VolumeID] = true
	done, err := false, error(nil)
	if e.Good() {
		done, err = i.Import(ctx, i.db, e, time.Now())
	} else {
		err = fmt.Errorf("it is %s: %s", e.State, e.Why)
	}
	note, apart := "", error(nil)
	if err == nil {
		note, apart = i.join(ctx, e)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case apart != nil: // which the next run makes good
		i.refused++
		fmt.Printf("%s of volume %s: not imported as part of %s: %s\n", e.Backup, e.VolumeID, e.Set, plain(apart.Error()))
	case err != nil:
		i.refused++
		fmt.Printf("%s of volume %s: not imported: %s\n", e.Backup, e.VolumeID, plain(err.Error()))
	case done:
		i.added++
		fmt.Printf("%s of volume %s: imported%s\n", e.Backup, e.VolumeID, note)
	default:
		i.there++
		fmt.Printf("%s of volume %s: there already%s\n", e.Backup, e.VolumeID, note)
	}
	return nil
}

// join makes an imported backup part of the backup of its server, and tells of that. One
// that cannot be is a backup of its volume alone.
func (i *imports) join(ctx context.Context, e catalog.Entry) (note string, err error) {
	if e.SetFault != "" {
		return "; WARNING: without its server, since what it says of that is not believed: " + plain(e.SetFault), nil
	}
	if e.Set == uuid.Nil {
		return "", nil
	}
	set, err := i.ImportSet(ctx, i.db, e, time.Now())
	if stowage.CodeOf(err) == stowage.Conflict {
		return fmt.Sprintf("; WARNING: not as part of %s: %s", e.Set, plain(err.Error())), nil
	}
	if err != nil {
		return "", err
	}
	if _, seen := i.known[e.Set]; !seen {
		i.sets = append(i.sets, e.Set)
	}
	set.Server = nil // what is told below needs little of it
	i.known[e.Set] = set
	return fmt.Sprintf(", part of %s", e.Set), nil
}

func (i *imports) end() error {
	for _, id := range i.sets {
		set, why := i.known[id], ""
		if set.FailReason != "" {
			why = ": " + plain(set.FailReason)
		}
		fmt.Printf("%s of server %s %q: %s%s\n", id, set.Volume.ID, plain(set.Volume.Name), set.Status, why)
	}
	fmt.Printf("%d imported, %d there already, %d refused.\n", i.added, i.there, i.refused)
	switch {
	case i.refused == 0:
		return nil
	case i.Format == catalog.CinderBackup:
		return fmt.Errorf("%d backups were not imported", i.refused)
	}
	return fmt.Errorf("%d backups were not imported: deleting others of their volumes takes what they share with those", i.refused)
}
