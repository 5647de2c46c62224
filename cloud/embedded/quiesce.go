package embedded

import (
	"context"

	"github.com/stowage/stowage"
)

// Snapshots is as much of a driver as Cinder's snapshots take.
type Snapshots interface {
	CreateSnapshot(ctx context.Context, vol stowage.VolumeLocation, name string) (stowage.Snapshot, error)
	RemoveSnapshot(ctx context.Context, snap stowage.Snapshot) error
}

// taken is a snapshot that Cinder would have.
type taken struct {
	id, project, mark, volume string
	snap                      stowage.Snapshot
}

// SnapshotServer takes a snapshot of each volume, under the name that Cinder gives.
func (s *Servers) SnapshotServer(ctx context.Context, projectID, id, mark string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.servers[id]
	if !ok || one.ProjectID != projectID {
		return nil, stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", id)
	}
	if one.ImageID != "" || s.Snapshots == nil {
		return nil, stowage.Errorf(stowage.Invalid, "Server %s does not boot from a volume.", id)
	}
	made := map[string]string{}
	for _, d := range one.Disks {
		vol, err := s.volumes.Volume(ctx, d.VolumeID)
		if err != nil {
			return nil, err
		}
		if made[vol.ID], err = s.take(ctx, projectID, vol, mark); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// RemoveServerSnapshots removes what was taken for the mark.
func (s *Servers) RemoveServerSnapshots(ctx context.Context, _, mark string, of func(string) bool) error {
	return s.removeTaken(ctx, func(t taken) bool { return t.mark == mark && of(t.volume) })
}
