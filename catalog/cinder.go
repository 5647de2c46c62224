package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
)

// errEncrypted is why of a backup of an encrypted volume.
var errEncrypted = stowage.Errorf(stowage.Forbidden,
	"its volume was encrypted by Cinder: the key is in the key manager, and goes with the volume; restore it with cinder-backup")

// found is a backup of cinder-backup's to be looked at.
type found struct {
	prefix cinderbackup.Prefix
	record *cinderbackup.Record // nil: it was found in the container
}

func (f found) id() uuid.UUID {
	if f.record != nil {
		return f.record.ID
	}
	return f.prefix.BackupID
}

// kin is all backups of a volume that chains may lead to.
type kin struct {
	byID    map[uuid.UUID][]cinderbackup.Prefix
	parents map[cinderbackup.Prefix]uuid.UUID // of those that were read
}

// scanCinder is Scan for backups of cinder-backup's.
func (c *Catalog) scanCinder(ctx context.Context, volume string, fn func(Entry) error) error {
	volumes, err := c.listCinder(ctx, volume)
	if err != nil {
		return err
	}
	for _, volume := range slices.Sorted(maps.Keys(volumes)) {
		all := volumes[volume]
		k := c.kin(all)
		for _, f := range c.wanted(volume, all) {
			e, err := c.readCinder(ctx, k, f)
			if err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// findCinder is Find for backups of cinder-backup's.
func (c *Catalog) findCinder(ctx context.Context, volume string, backup uuid.UUID) (Entry, error) {
	volumes, err := c.listCinder(ctx, volume)
	if err != nil {
		return Entry{}, err
	}
	var good, bad []Entry
	for volume, all := range volumes {
		k := c.kin(all)
		for _, f := range c.wanted(volume, all) {
			if f.id() != backup {
				continue
			}
			e, err := c.readCinder(ctx, k, f)
			switch {
			case err != nil:
				return Entry{}, err
			case e.Good():
				good = append(good, e)
			default:
				bad = append(bad, e)
			}
		}
	}
	return c.only(backup, good, bad)
}

// listCinder gives the backups in the container by volume.
func (c *Catalog) listCinder(ctx context.Context, volume string) (map[string][]cinderbackup.Prefix, error) {
	under := []string{"volume_"}
	switch {
	case volume != "" && !cinderbackup.ValidVolumeID(volume):
		return nil, stowage.Errorf(stowage.Invalid, "%q is no id of a volume", volume)
	case volume != "":
		under = []string{cinderbackup.VolumePrefix(volume)}
	case len(c.Records) > 0:
		named := map[string]bool{}
		for _, r := range c.Records {
			named[cinderbackup.VolumePrefix(r.Prefix.VolumeID)] = true
		}
		under = slices.Sorted(maps.Keys(named))
	}
	all, count := map[string][]cinderbackup.Prefix{}, 0
	for _, prefix := range under {
		err := c.Store.List(ctx, prefix, func(o drivers.ObjectInfo) error {
			p, ok := cinderbackup.ParseMetadataName(o.Name)
			if !ok || !strings.HasPrefix(o.Name, prefix) {
				return nil
			}
			if count++; count > maxRoots {
				return stowage.Errorf(stowage.OverLimit, "there are more than %d backups: name a volume", maxRoots)
			}
			all[p.VolumeID] = append(all[p.VolumeID], p)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list container %q of project %q: %w", c.Container, c.Project, err)
		}
	}
	for id := range all {
		// An increment comes behind its parent.
		slices.SortFunc(all[id], func(a, b cinderbackup.Prefix) int { return strings.Compare(a.String(), b.String()) })
	}
	return all, nil
}

// wanted gives what is to be looked at of a volume: what the records name, or
// all there is.
func (c *Catalog) wanted(volume string, all []cinderbackup.Prefix) (list []found) {
	if len(c.Records) == 0 {
		for _, p := range all {
			list = append(list, found{prefix: p})
		}
		return list
	}
	for i, r := range c.Records {
		if r.Prefix.VolumeID == volume {
			list = append(list, found{r.Prefix, &c.Records[i]})
		}
	}
	slices.SortStableFunc(list, func(a, b found) int { return strings.Compare(a.prefix.String(), b.prefix.String()) })
	return list
}

// kin makes the backups of a volume known by their ids: those they were made
// under, and those that records give them.
func (c *Catalog) kin(all []cinderbackup.Prefix) *kin {
	k := &kin{byID: map[uuid.UUID][]cinderbackup.Prefix{}, parents: map[cinderbackup.Prefix]uuid.UUID{}}
	for _, p := range all {
		k.byID[p.BackupID] = append(k.byID[p.BackupID], p)
	}
	for _, r := range c.Records {
		if len(all) > 0 && r.Prefix.VolumeID == all[0].VolumeID && !slices.Contains(k.byID[r.ID], r.Prefix) {
			k.byID[r.ID] = append(k.byID[r.ID], r.Prefix)
		}
	}
	return k
}

// readCinder reads one backup, with its chain. An error says that the context
// is over.
func (c *Catalog) readCinder(ctx context.Context, k *kin, f found) (Entry, error) {
	e := Entry{
		Attempt: manifest.Attempt{Backup: f.id()}, VolumeID: f.prefix.VolumeID, Root: f.prefix.Metadata(),
		SnapshotAt: f.prefix.At, Record: f.record,
	}
	if err := c.openCinder(ctx, k, f, &e); err != nil {
		e.blame(err)
		if errors.Is(err, errEncrypted) {
			e.State, e.Why = Locked, errEncrypted.Message
		}
		return e, ctx.Err()
	}
	return e, nil
}

func (c *Catalog) openCinder(ctx context.Context, k *kin, f found, e *Entry) error {
	if err := c.fits(f.record); err != nil {
		return err
	}
	chain, err := c.chain(ctx, k, f.prefix)
	if err != nil {
		return err
	}
	opened, err := c.Engine.OpenChain(ctx, c.Store, chain, "")
	if err != nil {
		return err
	}
	defer opened.Close()
	m := opened.Metadata[0]
	e.State, e.Chain, e.Digest = Readable, opened.Chain, opened.Digest
	e.Incremental, e.VolumeBytes = m.Parent != uuid.Nil, opened.Bytes
	e.Objects = int64(opened.Len() + len(chain.Members))
	e.Name, e.Description, e.VolumeName = m.Name, m.Description, m.Volume.Name
	e.SnapshotAt, e.CreatedAt = m.CreatedAt, m.CreatedAt
	if r := f.record; r != nil {
		e.Name, e.Description = r.Name, r.Description
		if !r.CreatedAt.IsZero() {
			e.SnapshotAt, e.CreatedAt = r.CreatedAt, r.CreatedAt
		}
	}
	if opened.Encrypted() || f.record != nil && f.record.Encrypted {
		return errEncrypted
	}
	return nil
}

// fits makes sure that a record is of this container.
func (c *Catalog) fits(r *cinderbackup.Record) error {
	if r == nil {
		return nil
	}
	if r.ProjectID != c.Project || r.Container != c.Container {
		return stowage.Errorf(stowage.Invalid, "its record is of container %q of project %q", clip(r.Container, 256), clip(r.ProjectID, 64))
	}
	return nil
}

// chain follows a backup's parents down to the full one.
func (c *Catalog) chain(ctx context.Context, k *kin, p cinderbackup.Prefix) (*cinderbackup.Chain, error) {
	chain, seen := &cinderbackup.Chain{}, map[cinderbackup.Prefix]bool{}
	for {
		if seen[p] || len(chain.Members) == cinderbackup.MaxMembers {
			return nil, stowage.Errorf(stowage.Corrupt, "its parents lead to no full backup")
		}
		seen[p] = true
		chain.Members = append(chain.Members, cinderbackup.Member{Prefix: p})
		parent, known := k.parents[p]
		if !known {
			m, err := c.Engine.ReadMetadata(ctx, c.Store, p)
			if err != nil {
				return nil, err
			}
			parent, k.parents[p] = m.Parent, m.Parent
		}
		if parent == uuid.Nil {
			return chain, nil
		}
		switch next := k.byID[parent]; len(next) {
		case 0:
			return nil, stowage.Errorf(stowage.Corrupt, "backup %s, which it needs, is not in the container", parent)
		case 1:
			p = next[0]
		default:
			return nil, stowage.Errorf(stowage.Corrupt, "backup %s, which it needs, is there %d times", parent, len(next))
		}
	}
}
