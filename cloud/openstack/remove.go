package openstack

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// How long RemoveServer looks after a server that goes before whoever asked is to
// come again: about a minute.
const (
	looks     = 30
	lookPause = 2 * time.Second
)

// RemoveServer removes the server first: a port of one that is there would be missed.
func (s *Servers) RemoveServer(ctx context.Context, projectID, mark string) error {
	t, err := s.tenant(projectID, mark)
	if err != nil {
		return err
	}
	if !s.nova.missingService(ctx) {
		found, err := t.marked(ctx)
		if err != nil {
			return err
		}
		for _, one := range found {
			if err := t.removeServer(ctx, one.ID); err != nil {
				return err
			}
		}
	}
	ports, err := t.markedPorts(ctx)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := t.removePort(ctx, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func (t *tenant) removeServer(ctx context.Context, id string) error {
	server, err := t.look(ctx, id)
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	// Before it is on a host, Nova does not tell its volumes, but would delete them.
	if server.Status == cloud.ServerBuild && server.Host == "" {
		return stowage.Errorf(stowage.Unavailable, "Server %s is not on a host yet.", id)
	}
	for _, v := range server.Volumes {
		if v.DeleteWithServer {
			if err := t.keep(ctx, id, v.ID); err != nil {
				return err
			}
		}
	}
	if err := t.delete(ctx, id); err != nil {
		return err
	}
	for range looks {
		gone, err := t.gone(ctx, server)
		if err != nil || gone {
			return err
		}
		if err := t.nova.Pause(ctx, lookPause); err != nil {
			return fmt.Errorf("wait until server %s is gone: %w", id, err)
		}
	}
	return stowage.Errorf(stowage.Unavailable, "Server %s is being deleted, and has its volumes yet.", id)
}

// keep makes a volume stay when its server is deleted.
func (t *tenant) keep(ctx context.Context, server, volume string) error {
	minor, err := t.newest(ctx)
	if err != nil {
		return err
	}
	if minor < changedDelete {
		return stowage.Errorf(stowage.Conflict, "Server %s cannot be deleted without its volume %s.", server, volume)
	}
	ask := map[string]any{"volumeAttachment": map[string]any{"volumeId": volume, "delete_on_termination": false}}
	c := call{what: "keep volume " + volume + " of server " + server, again: true}
	err = t.nova.at(version2(changedDelete)).do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Put(ctx, client.ServiceURL("servers", server, "os-volume_attachments", segment(volume)), ask, nil, nil)
		return err
	})
	if stowage.CodeOf(err) == stowage.NotFound { // detached meanwhile, or the server is gone
		return nil
	}
	return err
}

// delete deletes the server at once, even where Nova would keep deleted ones for a
// while, and their volumes with them.
func (t *tenant) delete(ctx context.Context, id string) error {
	c := call{what: "delete server " + id, again: true}
	err := t.nova.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL("servers", id, "action"), map[string]any{"forceDelete": nil}, nil,
			&gophercloud.RequestOpts{OkCodes: []int{202}})
		return err
	})
	switch stowage.CodeOf(err) {
	case stowage.NotFound:
		return nil
	case stowage.Forbidden, stowage.Conflict, stowage.Invalid:
		return t.nova.remove(ctx, c, "servers", id)
	}
	return err
}

// gone: neither is the server there, nor does a volume hang on it.
func (t *tenant) gone(ctx context.Context, server serverBody) (bool, error) {
	if _, err := t.look(ctx, server.ID); stowage.CodeOf(err) != stowage.NotFound {
		return false, err
	}
	taken := []string{stowage.VolumeInUse, stowage.VolumeReserved, "attaching", "detaching"}
	for _, v := range server.Volumes {
		vol, err := t.volumes.Volume(ctx, v.ID)
		if stowage.CodeOf(err) == stowage.NotFound {
			continue
		}
		elsewhere := vol.Multiattach && vol.Attachments > 0 && vol.ServerID != server.ID
		if err != nil || slices.Contains(taken, vol.Status) && !elsewhere {
			return false, err
		}
	}
	return true, nil
}

// CreateVolume asks once: a volume that was made although we were told otherwise is
// found by its metadata.
func (s *Servers) CreateVolume(ctx context.Context, projectID string, req cloud.VolumeRequest) (cloud.Volume, error) {
	cinder, err := s.volumes.in(projectID)
	if err != nil {
		return cloud.Volume{}, err
	}
	return cinder.create(ctx, call{}, projectID, req)
}

// RemoveVolume asks Cinder, and if it refuses looks why: Cinder says 400 to whatever
// state a volume is in that excludes deleting it.
func (s *Servers) RemoveVolume(ctx context.Context, projectID, id string) error {
	cinder, err := s.volumes.in(projectID)
	if err != nil || !plainID.MatchString(id) {
		return err
	}
	refused := cinder.remove(ctx, call{what: "delete volume " + id}, "volumes", id)
	if code := stowage.CodeOf(refused); refused == nil || code != stowage.Invalid && code != stowage.Conflict {
		return refused
	}
	vol, err := s.volumes.Volume(ctx, id)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound, err == nil && vol.Status == stowage.VolumeDeleting:
		return nil
	case err != nil:
		return err
	}
	return stowage.Wrap(stowage.Conflict, refused, "Volume %s cannot be deleted: it is %s.", id, vol.Status)
}
