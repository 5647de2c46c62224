package embedded

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
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

// SnapshotVolumes takes a snapshot of each volume that has none of the mark yet. A
// volume that is nobody's is whoever asks'.
func (s *Servers) SnapshotVolumes(ctx context.Context, projectID string, volumes []string, mark string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Snapshots == nil {
		return nil, stowage.Errorf(stowage.Invalid, "No snapshots are taken here.")
	}
	made := map[string]string{}
	for _, t := range s.taken {
		if t.mark == mark && t.project == projectID {
			made[t.volume] = t.id
		}
	}
	for _, id := range volumes {
		if made[id] != "" {
			continue
		}
		vol, err := s.volumes.Volume(ctx, id)
		if err == nil && vol.ProjectID != "" && vol.ProjectID != projectID {
			err = notFound(id)
		}
		if err != nil {
			return nil, err
		}
		if made[id], err = s.take(ctx, projectID, vol, mark); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (s *Servers) take(ctx context.Context, projectID string, vol cloud.Volume, mark string) (string, error) {
	at, err := s.volumes.Locate(ctx, vol)
	if err != nil {
		return "", err
	}
	t := taken{id: uuid.NewString(), project: projectID, mark: mark, volume: vol.ID}
	if t.snap, err = s.Snapshots.CreateSnapshot(ctx, at, "snapshot-"+t.id); err != nil {
		return "", err
	}
	s.taken = append(s.taken, t)
	return t.id, nil
}

// TakeSnapshot takes a snapshot as a user of the project does, under whatever name.
func (s *Servers) TakeSnapshot(ctx context.Context, projectID, volume string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	vol, err := s.volumes.Volume(ctx, volume)
	if err != nil {
		return "", err
	}
	return s.take(ctx, projectID, vol, "")
}

// ListSnapshots lists what was taken in the project.
func (s *Servers) ListSnapshots(_ context.Context, projectID string) ([]cloud.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []cloud.Snapshot
	for _, t := range s.taken {
		if t.project == projectID {
			out = append(out, cloud.Snapshot{ID: t.id, VolumeID: t.volume, Mark: t.mark})
		}
	}
	return out, nil
}

// RemoveSnapshots removes snapshots of the project.
func (s *Servers) RemoveSnapshots(ctx context.Context, projectID string, ids []string) error {
	return s.removeTaken(ctx, func(t taken) bool { return t.project == projectID && slices.Contains(ids, t.id) })
}

// RemoveServerSnapshots removes what was taken for the mark.
func (s *Servers) RemoveServerSnapshots(ctx context.Context, _, mark string, of func(string) bool) error {
	return s.removeTaken(ctx, func(t taken) bool { return t.mark == mark && of(t.volume) })
}

func (s *Servers) removeTaken(ctx context.Context, wanted func(taken) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range slices.Clone(s.taken) {
		if !wanted(t) {
			continue
		}
		if err := s.Snapshots.RemoveSnapshot(ctx, t.snap); err != nil {
			return err
		}
		s.taken = slices.DeleteFunc(s.taken, func(one taken) bool { return one.id == t.id })
	}
	return nil
}
