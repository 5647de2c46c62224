package catalog

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// ImportSet makes a backup that is in the database, since Import, part of the backup of
// a server that its root tells of, and writes that if it is not there. It gives that
// one: in error while others of its parts are not there, available with the last of
// them. It may be run again at any time. Conflict: the database says otherwise, of the
// set or of the part; both stay as they are, and the part can be restored by itself.
//
// The project is the catalog's, whatever the object says.
func (c *Catalog) ImportSet(ctx context.Context, d *db.DB, e Entry, now time.Time) (stowage.Backup, error) {
	none := stowage.Backup{}
	if e.Set == uuid.Nil {
		return none, stowage.Errorf(stowage.Invalid, "backup %s is not part of a server's", e.Backup)
	}
	part, err := d.BackupByUUID(ctx, db.Scope{}, e.Backup.String())
	if err != nil {
		return none, err
	}
	// What is in the database must be what the root is of: a root that a stranger wrote
	// beside it says nothing of it.
	if part.ProjectID != c.Project || part.Container != c.Container || part.Manifest != e.Root || part.ManifestDigest != e.Digest {
		return none, stowage.Errorf(stowage.Conflict, "what the database has under its UUID is not this backup")
	}
	if part.SetID != 0 {
		set, err := d.Backup(ctx, db.Scope{ProjectID: c.Project}, part.SetID)
		if err == nil && set.UUID != e.Set.String() {
			err = stowage.Errorf(stowage.Conflict, "in the database it is part of %s", set.UUID)
		}
		return set, err
	}
	root, err := c.open(ctx, &e)
	if err == nil && (e.Digest != part.ManifestDigest || root.Info.Set == nil) {
		err = stowage.Errorf(stowage.Corrupt, "it was written over while it was looked at")
	}
	if err != nil {
		return none, fmt.Errorf("%s: %w", e.Root, err)
	}
	told := root.Info.Set
	server := told.Server
	server.ProjectID = c.Project
	set := stowage.Backup{
		UUID: told.Backup.String(), Kind: stowage.OfServer, ProjectID: c.Project, Name: clip(told.Name, maxText), Description: clip(told.Description, maxText),
		Container: c.Container, Server: &server, CreatedAt: told.CreatedAt, UpdatedAt: now,
		Volume: stowage.VolumeRecord{ID: server.ID, Name: server.Name, AvailabilityZone: server.Zone},
	}
	if err := d.ImportSet(ctx, &set, part.ID, entity(server), now); err != nil {
		return none, err
	}
	return set, nil
}

// entity is a server as the inventory would tell of it, when it was backed up.
func entity(r stowage.ServerRecord) stowage.Entity {
	e := stowage.Entity{
		ID: r.ID, Kind: stowage.EntityServer, ProjectID: r.ProjectID, Name: cmp.Or(r.Name, r.ID), Listed: true,
		Is: stowage.EntityDetails{
			Status: r.Status, Zone: r.Zone, Tags: r.Tags, Metadata: r.Metadata, Created: r.CreatedAt, FlavorID: r.FlavorID, Flavor: r.Flavor,
		},
	}
	for _, d := range r.Disks {
		e.Is.Disks = append(e.Is.Disks, d.VolumeID)
	}
	for _, p := range r.Ports {
		e.Is.Networks = append(e.Is.Networks, stowage.EntityNetwork{Name: p.Network, Addresses: p.Addresses, MAC: p.MAC})
	}
	return e
}
