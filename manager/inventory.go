package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// Marks that looks at the cloud leave for the next one.
const (
	markLook    = "look"          // the number of the last look
	markServers = "servers"       // when servers were last asked for, changes included
	markWhole   = "servers-whole" // and when last for all there are
)

const (
	// wholeEvery is how often all servers are listed, and not only those that
	// changed: Nova forgets deleted ones for good after a while.
	wholeEvery = 24 * time.Hour
	// overlap is how much of the time before the last look is looked at again:
	// clocks differ, and a change is not told before it is committed.
	overlap = 5 * time.Minute
	// inBatches of so many, what was found is written.
	inBatches = 500
	// looksKept is how long jobs that looked at the cloud are shown.
	looksKept = 24 * time.Hour
)

// doInventory looks at what the cloud holds, and writes down what changed.
func (t *task) doInventory(ctx context.Context) error {
	if t.Inventory == nil {
		return stowage.Errorf(stowage.Unavailable, "This manager cannot look at the cloud.")
	}
	last, err := t.DB.Mark(ctx, markLook)
	if err != nil {
		return transient(err)
	}
	look := last + 1
	if err := t.DB.SetMark(ctx, markLook, last, look); err != nil {
		return &again{cause: err, after: t.RetryDelay, free: true} // another look has begun
	}
	if err := t.findResources(ctx, look); err != nil {
		return transient(err)
	}
	var notes []string
	for _, part := range []func(context.Context, int64) (string, error){t.findServers, t.findVolumes} {
		note, err := part(ctx, look)
		if err != nil {
			return transient(err)
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	if t.Verbs != nil {
		if err := t.Verbs.AutoAssign(ctx); err != nil {
			return transient(err)
		}
	}
	if t.Verbs != nil {
		if err := t.Verbs.ForgetAllSnapshots(ctx); err != nil {
			return transient(err)
		}
	}
	if err := t.DB.DropInventoryJobs(ctx, t.Now().Add(-looksKept)); err != nil {
		t.log.WarnContext(ctx, "old looks at the cloud not forgotten", "error", err)
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Error: strings.Join(notes, " "), Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

func (t *task) findResources(ctx context.Context, look int64) error {
	for _, kind := range []stowage.ResourceKind{
		stowage.ResourceFlavor, stowage.ResourceNetwork, stowage.ResourceZone, stowage.ResourceVolumeType, stowage.ResourceProject,
	} {
		list, err := t.Inventory.Resources(ctx, kind)
		if stowage.CodeOf(err) == stowage.Forbidden {
			t.log.WarnContext(ctx, "resources may not be listed, what is known of them stays", "resource", kind, "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("look for resources of kind %s: %w", kind, err)
		}
		if err := t.DB.SetResources(ctx, look, kind, list); err != nil {
			return err
		}
	}
	return nil
}

// findServers lists the servers that changed, and now and then all of them: what
// is not among all may be gone.
func (t *task) findServers(ctx context.Context, look int64) (note string, err error) {
	now := t.Now()
	last, err := t.DB.Mark(ctx, markServers)
	if err != nil {
		return "", err
	}
	whole, err := t.DB.Mark(ctx, markWhole)
	if err != nil {
		return "", err
	}
	flavors, err := t.flavors(ctx)
	if err != nil {
		return "", err
	}
	since, all := time.UnixMicro(last).Add(-overlap), now.Sub(time.UnixMicro(whole)) >= wholeEvery
	if all {
		since = time.Time{}
	}
	found := batch{t: t, look: look}
	err = t.Inventory.EachServer(ctx, since, func(s cloud.Server) error {
		return found.add(ctx, serverEntity(s, flavors[s.FlavorID]))
	})
	if err == nil {
		err = found.flush(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("look for servers: %w", err)
	}
	if all {
		note, err = t.unseen(ctx, look, stowage.EntityServer, func(ctx context.Context, id string) (stowage.Entity, error) {
			s, err := t.Inventory.Server(ctx, id)
			return serverEntity(s, flavors[s.FlavorID]), err
		})
		if err != nil {
			return "", err
		}
		if err := t.moveMark(ctx, markWhole, whole, now); err != nil {
			return "", err
		}
	}
	return note, t.moveMark(ctx, markServers, last, now)
}

// moveMark notes until when this look knows of changes. Another look that ended beside
// it has noted the same of itself, which is as good.
func (t *task) moveMark(ctx context.Context, what string, from int64, to time.Time) error {
	err := t.DB.SetMark(ctx, what, from, to.UnixMicro())
	if stowage.CodeOf(err) == stowage.Conflict {
		return nil
	}
	return err
}

// flavors gives the names of flavors by id: a server tells the id alone.
func (t *task) flavors(ctx context.Context) (map[string]string, error) {
	list, err := t.DB.Resources(ctx, db.Scope{}, stowage.ResourceFlavor)
	names := make(map[string]string, len(list))
	for _, f := range list {
		names[f.ID] = f.Name
	}
	return names, err
}

func serverEntity(s cloud.Server, flavor string) stowage.Entity {
	slices.Sort(s.Volumes)
	return stowage.Entity{
		ID: s.ID, Kind: stowage.EntityServer, ProjectID: s.ProjectID, Name: named(s.Name, s.ID), Present: !s.Deleted, Listed: true,
		Is: stowage.EntityDetails{
			Status: s.Status, Zone: s.Zone, Host: s.Host, Tags: s.Tags, Metadata: s.Metadata, Created: s.CreatedAt,
			FlavorID: s.FlavorID, Flavor: flavor, Networks: s.Networks, Disks: s.Volumes,
		},
	}
}

// findVolumes lists all volumes. One that is part of a server is listed as its
// disk, and for itself only if it has backups of its own.
func (t *task) findVolumes(ctx context.Context, look int64) (note string, err error) {
	found := batch{t: t, look: look}
	err = t.Inventory.EachVolume(ctx, func(v cloud.Volume) error { return found.add(ctx, volumeEntity(v)) })
	if err == nil {
		err = found.flush(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("look for volumes: %w", err)
	}
	return t.unseen(ctx, look, stowage.EntityVolume, func(ctx context.Context, id string) (stowage.Entity, error) {
		v, err := t.Inventory.Volume(ctx, id)
		return volumeEntity(v), err
	})
}

func volumeEntity(v cloud.Volume) stowage.Entity {
	return stowage.Entity{
		ID: v.ID, Kind: stowage.EntityVolume, ProjectID: v.ProjectID, Name: named(v.Name, v.ID), Present: true, Listed: v.ServerID == "", ServerID: v.ServerID,
		Is: stowage.EntityDetails{
			Status: settledStatus(v.Status), Zone: v.AvailabilityZone, Metadata: v.Metadata, SizeGiB: v.SizeGiB, Type: v.Type, Device: v.Device,
			Bootable: v.Bootable, Encrypted: v.Encrypted, Multiattach: v.Multiattach, Created: v.CreatedAt,
		},
	}
}

// named gives what has no name its id: it is listed by it, and found.
func named(name, id string) string {
	if name == "" {
		return id
	}
	return name
}

// settledStatus leaves out what changes with every backup: it is no change of
// the volume that is worth a write.
func settledStatus(status string) string {
	switch status {
	case stowage.VolumeReserved, stowage.VolumeBackingUp:
		return stowage.VolumeAvailable
	}
	return status
}

// batch writes what was found, many at once.
type batch struct {
	t     *task
	look  int64
	found []stowage.Entity
}

func (b *batch) add(ctx context.Context, e stowage.Entity) error {
	b.found = append(b.found, e)
	if len(b.found) < inBatches {
		return nil
	}
	return b.flush(ctx)
}

func (b *batch) flush(ctx context.Context) error {
	var disks []string
	for _, e := range b.found {
		if e.Kind == stowage.EntityVolume && !e.Listed {
			disks = append(disks, e.ID)
		}
	}
	some, err := b.t.DB.BackedUp(ctx, disks)
	if err != nil {
		return err
	}
	for i, e := range b.found {
		b.found[i].Listed = e.Listed || some[e.ID]
	}
	err = b.t.DB.Found(ctx, b.look, b.found, b.t.Now())
	b.found = b.found[:0]
	return err
}

// askInventory has the cloud looked at when nobody did for InventoryInterval.
// Managers that ask at once ask once.
func (m *Manager) askInventory(ctx context.Context) {
	if m.Inventory == nil || m.InventoryInterval <= 0 {
		return
	}
	now := m.Now()
	j := stowage.NewInventoryJob(m.NewID(), now)
	err := m.DB.AskInventory(ctx, &j, now.Add(-m.InventoryInterval))
	if err != nil && stowage.CodeOf(err) != stowage.Conflict {
		m.Log.WarnContext(ctx, "inventory not asked for", "error", err)
	}
}
