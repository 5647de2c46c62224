package harness

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/embedded"
)

// Servers are the embedded ones with hooks.
type Servers struct {
	*embedded.Servers
	Hooks
}

// Server has a hook.
func (s *Servers) Server(ctx context.Context, id string) (r stowage.ServerRecord, err error) {
	err = s.call("Server", id, func() (err error) { r, err = s.Servers.Server(ctx, id); return err })
	return r, err
}

// BuildServer has a hook.
func (s *Servers) BuildServer(ctx context.Context, project string, req cloud.ServerRequest) (id string, notes []string, err error) {
	err = s.call("BuildServer", req.Name, func() (err error) { id, notes, err = s.Servers.BuildServer(ctx, project, req); return err })
	return id, notes, err
}

// ServerState has a hook.
func (s *Servers) ServerState(ctx context.Context, id string) (state cloud.ServerState, err error) {
	err = s.call("ServerState", id, func() (err error) { state, err = s.Servers.ServerState(ctx, id); return err })
	return state, err
}

// RemoveServer has a hook.
func (s *Servers) RemoveServer(ctx context.Context, project, mark string) error {
	return s.call("RemoveServer", mark, func() error { return s.Servers.RemoveServer(ctx, project, mark) })
}

// CreateVolume has a hook.
func (s *Servers) CreateVolume(ctx context.Context, project string, req cloud.VolumeRequest) (v cloud.Volume, err error) {
	err = s.call("CreateVolume", req.Name, func() (err error) { v, err = s.Servers.CreateVolume(ctx, project, req); return err })
	return v, err
}

// RemoveVolume has a hook.
func (s *Servers) RemoveVolume(ctx context.Context, project, id string) error {
	return s.call("RemoveVolume", id, func() error { return s.Servers.RemoveVolume(ctx, project, id) })
}

// SnapshotServer has a hook.
func (s *Servers) SnapshotServer(ctx context.Context, project, id, mark string) (taken map[string]string, err error) {
	err = s.call("SnapshotServer", id, func() (err error) { taken, err = s.Servers.SnapshotServer(ctx, project, id, mark); return err })
	return taken, err
}

// RemoveServerSnapshots has a hook.
func (s *Servers) RemoveServerSnapshots(ctx context.Context, project, mark string, of func(string) bool) error {
	return s.call("RemoveServerSnapshots", mark, func() error { return s.Servers.RemoveServerSnapshots(ctx, project, mark, of) })
}

// SnapshotVolumes has a hook.
func (s *Servers) SnapshotVolumes(ctx context.Context, project string, volumes []string, mark string) (taken map[string]string, err error) {
	err = s.call("SnapshotVolumes", mark, func() (err error) { taken, err = s.Servers.SnapshotVolumes(ctx, project, volumes, mark); return err })
	return taken, err
}

// SecurityGroups has a hook.
func (s *Servers) SecurityGroups(ctx context.Context, project string) (list []cloud.SecurityGroup, err error) {
	err = s.call("SecurityGroups", project, func() (err error) { list, err = s.Servers.SecurityGroups(ctx, project); return err })
	return list, err
}

// RemoveSnapshots has a hook.
func (s *Servers) RemoveSnapshots(ctx context.Context, project string, ids []string) error {
	return s.call("RemoveSnapshots", project, func() error { return s.Servers.RemoveSnapshots(ctx, project, ids) })
}

// ListSnapshots has a hook.
func (s *Servers) ListSnapshots(ctx context.Context, project string) (list []cloud.Snapshot, err error) {
	err = s.call("ListSnapshots", project, func() (err error) { list, err = s.Servers.ListSnapshots(ctx, project); return err })
	return list, err
}
