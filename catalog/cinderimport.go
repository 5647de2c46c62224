package catalog

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/cinderbackup"
)

// importCinder is Import for a backup of cinder-backup's that is not there yet.
// Its objects stay cinder-backup's: see Take.
func (c *Catalog) importCinder(ctx context.Context, d *db.DB, e Entry, now time.Time) (bool, error) {
	if e.Chain == nil {
		return false, stowage.Errorf(stowage.Corrupt, "it was not read")
	}
	opened, err := c.Engine.OpenChain(ctx, c.Store, e.Chain, e.Digest)
	if err != nil {
		return false, fmt.Errorf("%s: %w", e.Root, err)
	}
	defer opened.Close()
	if opened.Encrypted() || e.Record != nil && e.Record.Encrypted {
		return false, errEncrypted
	}
	damages, own, err := opened.LookAtChain(ctx, nil)
	if err != nil {
		return false, err
	}
	if len(damages) > 0 {
		return false, stowage.Errorf(stowage.Corrupt, "%s", engine.Describe(damages))
	}
	objects, err := opened.Chain.MarshalBinary()
	if err != nil {
		return false, fmt.Errorf("%s: %w", e.Root, err)
	}
	volume := opened.Metadata[0].Volume
	row := &stowage.Backup{
		UUID: e.Backup.String(), ProjectID: c.Project, UserID: volume.UserID, Name: e.Name, Description: e.Description,
		Container: c.Container, Status: stowage.BackupAvailable, Volume: volume.VolumeRecord, SizeGiB: opened.SizeGiB(),
		VolumeBytes: opened.Bytes, StoredBytes: own, ObjectCount: e.Objects, Incremental: e.Incremental, Manifest: e.Root,
		ManifestDigest: opened.Digest, VerifiedAt: now, SnapshotAt: e.SnapshotAt, CreatedAt: e.CreatedAt, UpdatedAt: now,
	}
	if r := e.Record; r != nil {
		row.UserID, row.SizeGiB = cmp.Or(r.UserID, row.UserID), max(row.SizeGiB, r.SizeGiB)
	}
	err = d.ImportBackup(ctx, row, objects)
	if stowage.CodeOf(err) == stowage.Conflict {
		return false, nil // since we looked
	}
	return err == nil, err
}

// takes is how often a volume that changes meanwhile is taken anew.
const takes = 20

// Take makes the objects of a volume's backups that cinder-backup made ours:
// from now on, deleting one removes what no other backup in the database needs.
// So all that the container has of the volume must be in the database: Invalid
// otherwise, and nothing has changed. It gives how many backups became ours; to
// take what is ours already is no error.
func (c *Catalog) Take(ctx context.Context, d *db.DB, volume string) (int, error) {
	for try := 1; ; try++ {
		n, err := c.take(ctx, d, volume)
		if stowage.CodeOf(err) != stowage.Conflict || try == takes {
			return n, err
		}
	}
}

func (c *Catalog) take(ctx context.Context, d *db.DB, volume string) (int, error) {
	l, err := d.Lineage(ctx, c.Project, volume, c.Container)
	if err != nil {
		return 0, err
	}
	sets, err := d.Reaches(ctx, &l)
	if err != nil {
		return 0, err
	}
	known, change := map[cinderbackup.Prefix]bool{}, []db.Reach{}
	for _, s := range sets {
		if !cinderbackup.IsChain(s.Objects) {
			continue
		}
		var chain cinderbackup.Chain
		if err := chain.UnmarshalBinary(s.Objects); err != nil {
			return 0, fmt.Errorf("read what backup %d reaches: %w", s.BackupID, err)
		}
		known[chain.Members[0].Prefix] = true
		if chain.Taken { // and what it needs is ours with it, also where its row is gone
			for _, m := range chain.Members {
				known[m.Prefix] = true
			}
			continue
		}
		chain.Taken = true
		if s.Objects, err = chain.MarshalBinary(); err != nil {
			return 0, err
		}
		change = append(change, s)
	}
	there, err := (&Catalog{Store: c.Store, Project: c.Project, Container: c.Container}).listCinder(ctx, volume)
	if err != nil {
		return 0, err
	}
	for _, p := range there[volume] {
		if !known[p] {
			return 0, stowage.Errorf(stowage.Invalid, "backup %s is in the container and not in the database", p.BackupID)
		}
	}
	if len(change) == 0 {
		return 0, nil
	}
	return len(change), d.ReplaceReaches(ctx, l, change)
}
