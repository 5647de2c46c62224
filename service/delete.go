package service

import (
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
	b, err := s.DB.Backup(ctx, scope, id)
	if err != nil {
		return err
	}
	notNow := stowage.Errorf(stowage.Invalid, "Invalid backup: Backup status must be available or error")
	if !b.Status.May(stowage.BackupDeleting) {
		return notNow
	}
	// Whose scope reaches other projects has the operator's word, not Swift's.
	if b.ProjectID == user.ProjectID {
		if err := s.Containers.MayDelete(ctx, user, b.Container); err != nil {
			return err
		}
	}
	if err := s.anyManager(ctx); err != nil {
		return err
	}

	ctx, cancel := finish(ctx, s.HoldTime/2)
	defer cancel()
	j := s.newJob(stowage.JobDelete, user, time.Time{})
	j.ProjectID, j.BackupID, j.EntityID = b.ProjectID, b.ID, b.Volume.ID
	j.Params.Volume = stowage.VolumeLocation{VolumeID: b.Volume.ID}
	move := db.BackupMove{ID: b.ID, From: b.Status, To: stowage.BackupDeleting, Now: s.Now()}
	err = s.DB.StartJob(ctx, move, &j)
	if stowage.CodeOf(err) == stowage.Conflict {
		return stowage.Wrap(notNow.Code, err, "%s", notNow.Message)
	}
	if err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "deletion begins", "backup", b.ID, "job", j.ID)
	return s.hand(ctx, j)
}
