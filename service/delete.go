package service

import (
	"cmp"
	"context"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// DeleteBackup begins the deletion of a backup of the scope. Invalid: it is
// neither available nor in error. Forbidden: the user may not delete objects
// of its container.
func (s *Service) DeleteBackup(ctx context.Context, user cloud.User, scope db.Scope, id int64) error {
	b, err := s.volumeBackup(ctx, scope, id)
	if err != nil {
		return err
	}
	if !b.Status.May(stowage.BackupDeleting) {
		return errNotNow
	}
	if err := s.mayDelete(ctx, user, b); err != nil {
		return err
	}
	if err := s.anyManager(ctx); err != nil {
		return err
	}
	_, err = s.deleteBackup(ctx, user, b)
	return err
}

var (
	errMounted  = stowage.Errorf(stowage.Invalid, "Invalid backup: The backup is mounted, unmount it first")
	errPartBusy = stowage.Errorf(stowage.Conflict, "A part of the backup is being made or restored.")
	errInRun    = stowage.Errorf(stowage.Conflict, "A recovery plan that is being run restores the backup.")
)

// heldBy tells why a backup cannot be deleted: nil if nothing holds it.
func heldBy(h db.Holds) *stowage.Error {
	switch {
	case h.Mounts > 0:
		return errMounted
	case h.Runs > 0:
		return errInRun
	case h.Busy > 0:
		return errPartBusy
	}
	return nil
}

var errNotNow = stowage.Errorf(stowage.Invalid, "Invalid backup: Backup status must be available or error")

// mayDelete asks Swift whether the user may, for what is his project's. Whose
// scope reaches other projects has the operator's word, not Swift's.
func (s *Service) mayDelete(ctx context.Context, user cloud.User, b stowage.Backup) error {
	if b.ProjectID != user.ProjectID {
		return nil
	}
	return s.Containers.MayDelete(ctx, user, b.Container)
}

// deleteBackup moves a backup to deleting, with the job that does it. A server's goes
// by its parts.
func (s *Service) deleteBackup(ctx context.Context, user cloud.User, b stowage.Backup) (stowage.Job, error) {
	return s.deletion(ctx, user, b, "", nil)
}

func (s *Service) deletion(ctx context.Context, user cloud.User, b stowage.Backup, parent string, marked *db.RetainMark) (stowage.Job, error) {
	ctx, cancel := finish(ctx, s.HoldTime/2)
	defer cancel()
	j := s.newJob(stowage.JobDelete, user, time.Time{})
	j.ProjectID, j.BackupID, j.EntityID = b.ProjectID, b.ID, b.Volume.ID
	j.ParentID, j.Params.Whole = parent, b.Kind == stowage.OfServer
	if !j.Params.Whole {
		j.Params.Volume = stowage.VolumeLocation{VolumeID: b.Volume.ID}
	}
	move := db.BackupMove{ID: b.ID, From: b.Status, To: stowage.BackupDeleting, Marked: marked, Now: s.Now()}
	err := s.DB.StartJob(ctx, move, &j)
	if stowage.CodeOf(err) == stowage.Conflict {
		why := errNotNow
		if h, look := s.DB.Holds(ctx, b.ID); look == nil && marked == nil {
			why = cmp.Or(heldBy(h), errNotNow)
		}
		return j, stowage.Wrap(why.Code, err, "%s", why.Message)
	}
	if err != nil {
		return j, err
	}
	s.Log.InfoContext(ctx, "deletion begins", "backup", b.ID, "job", j.ID)
	return j, s.hand(ctx, j)
}

// DeleteEntity deletes all backups of an entity of the scope, and forgets it if
// it is gone from the cloud and had none. It gives the tasks. Conflict: one of
// the backups, or a part of one, is being made, restored or mounted, or a recovery plan
// that is being run restores it; then nothing is deleted.
func (s *Service) DeleteEntity(ctx context.Context, user cloud.User, scope db.Scope, entity string) ([]Task, error) {
	if _, err := s.DB.Entity(ctx, scope, entity); err != nil {
		return nil, err
	}
	f := db.HistoryFilter{Entities: []string{entity}, Alone: true, Statuses: []stowage.BackupStatus{stowage.BackupCreating, stowage.BackupRestoring}}
	if _, busy, err := s.DB.History(ctx, scope, f, db.Page{Limit: 1}); err != nil {
		return nil, err
	} else if busy > 0 {
		return nil, stowage.Errorf(stowage.Conflict, "%d of its backups are being made or restored.", busy)
	}
	h, err := s.DB.EntityHolds(ctx, entity)
	switch {
	case err != nil:
		return nil, err
	case h.Mounts > 0:
		return nil, stowage.Errorf(stowage.Conflict, "%d of its backups are mounted: unmount them first.", h.Mounts)
	case h.Busy > 0:
		return nil, stowage.Errorf(stowage.Conflict, "%d parts of its backups are being made or restored.", h.Busy)
	case h.Runs > 0:
		return nil, stowage.Errorf(stowage.Conflict, "%d recovery plans that are being run restore its backups.", h.Runs)
	}
	f.Statuses = []stowage.BackupStatus{stowage.BackupAvailable, stowage.BackupError}
	const atOnce = 500
	may, tasks := map[string]bool{}, []Task{}
	for {
		list, _, err := s.DB.History(ctx, scope, f, db.Page{Limit: atOnce})
		if err != nil {
			return tasks, err
		}
		if len(list) == 0 {
			break
		}
		if err := s.anyManager(ctx); err != nil {
			return tasks, err
		}
		for _, b := range list {
			at := b.ProjectID + "/" + b.Container
			if !may[at] {
				if err := s.mayDelete(ctx, user, b); err != nil {
					return tasks, err
				}
				may[at] = true
			}
			j, err := s.deleteBackup(ctx, user, b)
			if err != nil {
				now, look := s.DB.Backup(ctx, db.Scope{}, b.ID)
				if stowage.CodeOf(look) == stowage.NotFound || look == nil && now.Status == stowage.BackupDeleting {
					continue // somebody else was quicker
				}
				return tasks, err
			}
			tasks = append(tasks, Task{Job: j, Entity: Entity{ID: entity}, Backup: &b})
		}
	}
	if len(tasks) == 0 {
		return tasks, s.DB.ForgetEntity(ctx, scope, entity)
	}
	return tasks, nil
}
