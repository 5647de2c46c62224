package embedded

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

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
	if vol.Status != stowage.VolumeAvailable && vol.Status != stowage.VolumeInUse {
		return "", stowage.Errorf(stowage.Invalid, "Volume %s status must be available or in-use, but current status is: %s.", vol.ID, vol.Status)
	}
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
