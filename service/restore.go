package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

var errTargetNotAvailable = stowage.Errorf(stowage.Invalid, "Invalid volume: Volume to be restored to must be available")

// RestoreRequest says where a backup is restored to.
type RestoreRequest struct {
	VolumeID string // empty: a new one
	Name     string // of a new one; empty: one that tells the backup
	Type     string // of a new one; empty: the source's, as far as it is to be had
	Priority *int   // nil: stowage.PriorityDefault

	// OnBehalf is the project whose volume it is, where the user acts for another
	// by the operator's word, or is not there any more. A new volume is then made by
	// the rights that the service has in the project.
	OnBehalf string

	JobID    string // as in BackupRequest
	ParentID string // the job that this is a part of
}

// RestoreBackup begins a restore of a backup of the scope, to a volume the
// user sees, or to a new one made with his token and quota. It gives the job,
// which tells the volume's id.
func (s *Service) RestoreBackup(ctx context.Context, user cloud.User, scope db.Scope, id int64, req RestoreRequest) (stowage.Job, error) {
	none := stowage.Job{}
	if err := (When{Priority: req.Priority}).check(s.Now()); err != nil {
		return none, err
	}
	b, err := s.volumeBackup(ctx, scope, id)
	if err != nil {
		return none, err
	}
	if b.Status != stowage.BackupAvailable {
		return none, errNotRestorable
	}
	if req.OnBehalf != "" && req.VolumeID == "" && s.Servers == nil {
		return none, stowage.Errorf(stowage.Invalid, "A new volume in project %s can only be made by its own users: restore over an existing one.", req.OnBehalf)
	}
	if b.ProjectID == user.ProjectID && req.ParentID == "" { // which was looked at with the whole
		if err := s.Containers.MayRead(ctx, user, b.Container); err != nil {
			return none, err
		}
	}
	j := s.newJob(stowage.JobRestore, user, time.Time{})
	j.BackupID, j.EntityID, j.Lock = b.ID, b.Volume.ID, stowage.LockWanted
	j.ParentID = req.ParentID
	if req.JobID != "" {
		j.ID = req.JobID
	}
	When{Priority: req.Priority}.on(&j)
	if req.VolumeID != "" {
		err = s.aimAt(ctx, user, b, req, &j)
	} else {
		if j.Params.NewVolume = true; req.OnBehalf != "" {
			j.ProjectID = req.OnBehalf
		}
		err = s.anyManager(ctx)
	}
	if err != nil {
		return none, err
	}

	ctx, cancel := finish(ctx, s.CreateTimeout+s.HoldTime/2)
	defer cancel()
	j.ReadyAt = s.Now().Add(s.CreateTimeout + s.HoldTime)
	move := db.BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupRestoring, Now: s.Now()}
	err = s.DB.StartJob(ctx, move, &j)
	if stowage.CodeOf(err) == stowage.Conflict {
		return none, errNotRestorable
	}
	if err != nil {
		return none, err
	}
	back := db.BackupMove{ID: b.ID, From: stowage.BackupRestoring, To: stowage.BackupAvailable}
	if err := s.prepareTarget(ctx, user, b, req, &j); err != nil {
		if req.ParentID != "" && j.Params.NewVolume && j.Lock != stowage.LockHeld && stowage.CodeOf(err) == stowage.Unavailable {
			// Cinder is away. Whoever restores it can do that, too, and has the time to try again.
			s.Log.WarnContext(ctx, "new volume left to the restore", "backup", b.ID, "job", j.ID, "volume", j.VolumeID, "error", err)
			if j.VolumeID != "" {
				return j, s.hand(ctx, j)
			}
			// What Cinder makes after all is found by its mark, so it gets the time for that.
			return j, s.DB.Requeue(ctx, j, stowage.MessageOf(err), 0, s.Now().Add(s.CreateTimeout/2), s.Now())
		}
		if err := s.abandon(ctx, j, back, err); err != nil {
			return none, err
		}
	}
	s.Log.InfoContext(ctx, "restore begins", "backup", b.ID, "job", j.ID, "volume", j.VolumeID, "backend", j.Backend)
	return j, nil
}

// aimAt checks an existing volume as the target.
func (s *Service) aimAt(ctx context.Context, user cloud.User, b stowage.Backup, req RestoreRequest, j *stowage.Job) error {
	if req.OnBehalf != "" {
		j.ProjectID = req.OnBehalf
	}
	vol, loc, err := s.volumeFor(ctx, user, req.VolumeID, req.OnBehalf)
	switch {
	case err != nil:
		return err
	case vol.Status != stowage.VolumeAvailable:
		return errTargetNotAvailable
	case vol.Encrypted:
		return errEncrypted
	case vol.SizeGiB < b.SizeGiB:
		return stowage.Errorf(stowage.Invalid,
			"Invalid volume: Volume to be restored to is smaller than the backup to be restored")
	}
	if loc, err = s.reach(ctx, loc); err != nil {
		return err
	}
	j.VolumeID, j.Backend, j.Params.Volume = vol.ID, loc.Backend, loc
	ownedBy(j, vol)
	return nil
}

// prepareTarget makes the new volume if there is to be one, locks the target,
// and hands the job on. A new volume that is slow to come is left to a manager.
func (s *Service) prepareTarget(ctx context.Context, user cloud.User, b stowage.Backup, req RestoreRequest, j *stowage.Job) error {
	if j.Params.NewVolume {
		vol, err := s.createLike(ctx, user, b, req, j.ID)
		if err != nil {
			return err
		}
		j.VolumeID = vol.ID
		if err := s.DB.Note(ctx, *j, s.Now()); err != nil {
			return err
		}
		there, err := s.awaitVolume(ctx, vol.ID)
		if err != nil {
			return err
		}
		if !there {
			return s.hand(ctx, *j)
		}
	}
	return s.lockAndHand(ctx, j, stowage.VolumeRestoringBackup, errTargetNotAvailable)
}

// MakeVolume makes the new volume that a part of a server's restore is to write, unless
// an earlier try did. Unavailable: not now.
func (s *Service) MakeVolume(ctx context.Context, j stowage.Job, b stowage.Backup, d stowage.RebuildDisk) (cloud.Volume, error) {
	made, err := s.Volumes.FindVolumes(ctx, j.ProjectID, stowage.RestoreMark, j.ID)
	if err != nil {
		return cloud.Volume{}, err
	}
	if len(made) > 0 {
		return made[0], nil
	}
	return s.createLike(ctx, cloud.User{}, b, RestoreRequest{Name: d.Name, Type: d.Type, OnBehalf: j.ProjectID}, j.ID)
}

// createLike asks for a volume of the source's size, and of its type and zone
// as far as they are still to be had. A type that was asked for is not given up.
func (s *Service) createLike(ctx context.Context, user cloud.User, b stowage.Backup, wish RestoreRequest, job string) (cloud.Volume, error) {
	meta := map[string]string{}
	maps.Copy(meta, b.Volume.Metadata)
	meta[stowage.RestoreMark] = job
	req := cloud.VolumeRequest{
		Name:        fmt.Sprintf("restore_backup_%d", b.ID),
		Description: fmt.Sprintf("Restored from backup %d of volume %s", b.ID, b.Volume.ID),
		SizeGiB:     b.SizeGiB, Metadata: meta,
	}
	if wish.Name != "" {
		req.Name = wish.Name
	}
	type choice struct{ kind, zone string }
	kind, others := b.Volume.Type, []choice{{b.Volume.Type, ""}, {"", b.Volume.AvailabilityZone}, {"", ""}}
	if wish.Type != "" {
		kind, others = wish.Type, []choice{{wish.Type, ""}}
	}
	choices := []choice{{kind, b.Volume.AvailabilityZone}}
	for _, c := range others {
		if !slices.Contains(choices, c) {
			choices = append(choices, c)
		}
	}
	var err error
	for _, c := range choices {
		req.Type, req.AvailabilityZone = c.kind, c.zone
		var vol cloud.Volume
		if wish.OnBehalf != "" {
			vol, err = s.Servers.CreateVolume(ctx, wish.OnBehalf, req)
		} else {
			vol, err = s.Volumes.CreateUserVolume(ctx, user, req)
		}
		switch stowage.CodeOf(err) {
		case stowage.OverLimit:
			return vol, stowage.Wrap(stowage.Invalid, err, "Volume quota exceeded. You cannot create a volume of size %dG", b.SizeGiB)
		case stowage.Invalid: // this type or zone is not to be had any more
			s.Log.InfoContext(ctx, "volume refused, trying another form", "backup", b.ID, "type", c.kind, "zone", c.zone, "error", err)
			continue
		}
		return vol, err
	}
	return cloud.Volume{}, err
}

// awaitVolume waits until a new volume is there, for CreateTimeout; false when
// it is still being made.
func (s *Service) awaitVolume(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.CreateTimeout)
	defer cancel()
	for {
		vol, err := s.Volumes.Volume(ctx, id)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil:
			return false, err
		case vol.Encrypted:
			return false, errEncrypted
		case vol.Status == stowage.VolumeAvailable:
			return true, nil
		case vol.Status != stowage.VolumeCreating && vol.Status != stowage.VolumeDownloading:
			return false, stowage.Errorf(stowage.Invalid, "Error while creating volume %s: its status is %s.", id, vol.Status)
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.Poll):
		}
	}
}
