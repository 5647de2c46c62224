package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
)

// Import looks at everything a backup leads to and writes the backup into the
// database, available, with its key if the project has none there: the next
// backup goes on from it. False: it is there already. Corrupt: it is damaged.
// Forbidden: it is not sealed, and the catalog does not take that. It may be run
// again at any time.
func (c *Catalog) Import(ctx context.Context, d *db.DB, e Entry, now time.Time) (bool, error) {
	_, err := d.BackupByUUID(ctx, db.Scope{}, e.Backup.String())
	if err == nil {
		return false, nil
	}
	if stowage.CodeOf(err) != stowage.NotFound {
		return false, err
	}
	if c.Format == CinderBackup {
		return c.importCinder(ctx, d, e, now)
	}
	seen := e.Digest
	root, err := c.open(ctx, &e)
	if err == nil && e.Digest != seen {
		err = stowage.Errorf(stowage.Corrupt, "it was written over while it was looked at")
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", e.Root, err)
	}
	if e.tell(root); !e.Sealed && !c.Unsealed {
		return false, stowage.Errorf(stowage.Forbidden, "it is not encrypted: anybody who can write to the container may have made it")
	}
	found, err := c.Engine.LookAt(ctx, c.Store, root.Root, nil)
	if err != nil {
		return false, err
	}
	if len(found) > 0 {
		return false, stowage.Errorf(stowage.Corrupt, "%s", engine.Describe(found))
	}
	objects, err := root.Objects().MarshalBinary()
	if err != nil {
		return false, fmt.Errorf("%s: %w", e.Root, err)
	}
	if k := root.Key; k != nil {
		if _, err := d.AddProjectKey(ctx, db.ProjectKey{ProjectID: c.Project, ID: k.ID, Wrapped: k.Wrapped, CreatedAt: now}); err != nil {
			return false, err
		}
	}
	volume := root.Info.Volume
	volume.ID = e.VolumeID
	err = d.ImportBackup(ctx, &stowage.Backup{
		UUID: e.Backup.String(), ProjectID: c.Project, Name: e.Name, Description: e.Description, Container: c.Container,
		Status: stowage.BackupAvailable, Volume: volume, SizeGiB: stowage.SizeGiB(e.VolumeBytes), VolumeBytes: e.VolumeBytes,
		StoredBytes: e.StoredBytes, ObjectCount: e.Objects, Incremental: e.Incremental, Manifest: e.Root, ManifestDigest: e.Digest,
		VerifiedAt: now, SnapshotAt: e.SnapshotAt, CreatedAt: e.CreatedAt, UpdatedAt: now,
	}, objects)
	if stowage.CodeOf(err) == stowage.Conflict {
		return false, nil // since we looked
	}
	return err == nil, err
}
