package service

import (
	"context"
	"errors"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

var errNotAvailable = stowage.Errorf(stowage.Invalid, "Invalid volume: Volume to be backed up must be available")

// An encrypted volume's key goes with the volume: what we would store of it
// could never be read again.
var errEncrypted = stowage.Errorf(stowage.Invalid, "Invalid volume: Encrypted volumes cannot be backed up or restored to yet")

// BackupRequest asks for a backup of a volume.
type BackupRequest struct {
	VolumeID    string
	Name        string
	Description string
	Container   string // empty: stowage.DefaultContainer
	Full        bool   // look at everything, whatever was stored before
	When        When

	// OnBehalf is the project whose volume it is, where the user acts for another
	// project by the operator's word; empty: for his own. Then the service's own
	// rights must do: to see the volume, and to use the project's container.
	OnBehalf string

	// JobID is the id that the job is to have, so that to ask again finds it there;
	// empty: a new one.
	JobID string
	By    stowage.Origin // what asks, if it is no user
}

// BackupVolume begins a backup of a volume the user sees, into a container of
// his own account. NotFound: no such volume. Invalid: it is not available.
// Forbidden: Swift refuses. Unavailable: no manager reaches its backend.
func (s *Service) BackupVolume(ctx context.Context, user cloud.User, req BackupRequest) (stowage.Backup, error) {
	none := stowage.Backup{}
	if req.Container == "" {
		req.Container = stowage.DefaultContainer
	}
	if err := req.When.check(s.Now()); err != nil {
		return none, err
	}
	vol, loc, err := s.volumeFor(ctx, user, req.VolumeID, req.OnBehalf)
	if err != nil {
		return none, err
	}
	if vol.Status != stowage.VolumeAvailable && !req.When.later(s.Now()) {
		return none, errNotAvailable
	}
	if vol.Encrypted {
		return none, errEncrypted
	}
	if loc, err = s.reach(ctx, loc); err != nil {
		return none, err
	}
	if req.OnBehalf != "" {
		user.ProjectID = req.OnBehalf
		err = s.Containers.Serve(ctx, user.ProjectID, req.Container)
	} else {
		err = s.Containers.Prepare(ctx, user, req.Container)
	}
	if err != nil {
		return none, err
	}

	ctx, cancel := finish(ctx, s.HoldTime/2)
	defer cancel()
	now := s.Now()
	b := stowage.Backup{
		UUID: s.NewID(), ProjectID: user.ProjectID, UserID: user.UserID, Name: req.Name, Description: req.Description,
		Container: req.Container, Status: stowage.BackupCreating, Volume: record(vol), SizeGiB: vol.SizeGiB,
		CreatedAt: now, UpdatedAt: now, By: req.By,
	}
	j := s.newJob(stowage.JobBackup, user, now.Add(s.HoldTime))
	j.Backend, j.VolumeID, j.EntityID, j.Params.Volume, j.Lock = loc.Backend, vol.ID, vol.ID, loc, stowage.LockWanted
	j.Params.Full, j.By = req.Full, req.By
	ownedBy(&j, vol)
	if req.JobID != "" {
		j.ID = req.JobID
	}
	req.When.on(&j)
	if req.When.later(now) {
		j.Lock = stowage.LockNone
	}
	if err := s.DB.CreateBackup(ctx, &b, &j); err != nil {
		return none, err
	}
	if j.Lock == stowage.LockNone {
		s.Log.InfoContext(ctx, "backup waits for its window", "backup", b.ID, "job", j.ID, "volume", vol.ID, "start", j.WindowStart)
		return b, s.hand(ctx, j)
	}
	gone := db.BackupMove{ID: b.ID, From: stowage.BackupCreating, Remove: true}
	if err := s.lockAndHand(ctx, &j, stowage.VolumeBackingUp, errNotAvailable); err != nil {
		if err := s.abandon(ctx, j, gone, err); err != nil {
			return none, err
		}
	}
	s.Log.InfoContext(ctx, "backup begins", "backup", b.ID, "job", j.ID, "volume", vol.ID, "backend", loc.Backend)
	return b, nil
}

// volumeFor gives a volume that the user sees, or one of the project that he acts
// for, as the service sees it.
func (s *Service) volumeFor(ctx context.Context, user cloud.User, id, onBehalf string) (cloud.Volume, stowage.VolumeLocation, error) {
	if onBehalf == "" {
		return s.userVolume(ctx, user, id)
	}
	vol, err := s.Volumes.Volume(ctx, id)
	if err == nil && vol.ProjectID != "" && vol.ProjectID != onBehalf {
		err = stowage.Errorf(stowage.NotFound, "it is of another project")
	}
	if stowage.CodeOf(err) == stowage.NotFound {
		return vol, stowage.VolumeLocation{}, stowage.Wrap(stowage.NotFound, err, "Volume %s could not be found.", id)
	}
	if err != nil {
		return vol, stowage.VolumeLocation{}, err
	}
	loc, err := s.Volumes.Locate(ctx, vol)
	return vol, loc, err
}

// userVolume gives a volume that the user sees, as the service sees it, and
// where it is.
func (s *Service) userVolume(ctx context.Context, user cloud.User, id string) (cloud.Volume, stowage.VolumeLocation, error) {
	vol, err := s.Volumes.UserVolume(ctx, user, id)
	if stowage.CodeOf(err) == stowage.NotFound {
		return vol, stowage.VolumeLocation{}, stowage.Wrap(stowage.NotFound, err, "Volume %s could not be found.", id)
	}
	if err != nil {
		return vol, stowage.VolumeLocation{}, err
	}
	loc, err := s.locate(ctx, vol.ID)
	return vol, loc, err
}

func (s *Service) locate(ctx context.Context, volumeID string) (stowage.VolumeLocation, error) {
	full, err := s.Volumes.Volume(ctx, volumeID)
	if err != nil {
		return stowage.VolumeLocation{}, err
	}
	return s.Volumes.Locate(ctx, full)
}

// lockAndHand locks the job's volume, shows the status on it, and gives the job
// to the managers. The error for a volume that is not available is the verb's own.
func (s *Service) lockAndHand(ctx context.Context, j *stowage.Job, status string, notAvailable *stowage.Error) error {
	attachment, vol, err := cloud.TakeVolume(ctx, s.Volumes, j.VolumeID, j.ID, status)
	j.AttachmentID = attachment
	if _, unknown := errors.AsType[*cloud.Unknown](err); err != nil && !unknown && stowage.CodeOf(err) == stowage.Conflict {
		return stowage.Wrap(notAvailable.Code, err, "%s", notAvailable.Message)
	}
	if err != nil {
		return err
	}
	j.Lock = stowage.LockHeld
	if err := j.CheckOwner(vol.ProjectID); err != nil {
		// It is not the job's to mark either.
		if _, free := cloud.FreeVolume(ctx, s.Volumes, j.VolumeID, j.ID, attachment); free == nil {
			j.Lock, j.AttachmentID = stowage.LockReleased, ""
		}
		return err
	}
	// It may have moved since it was looked at.
	loc, err := s.Volumes.Locate(ctx, vol)
	if err == nil {
		loc, err = s.reach(ctx, loc)
	}
	if err != nil {
		return err
	}
	j.Backend, j.Params.Volume = loc.Backend, loc
	if err := s.DB.Note(ctx, *j, s.Now()); err != nil {
		return err
	}
	return s.hand(ctx, *j)
}

// ownedBy notes whose volume a job is about, if it is not of the project that asks.
func ownedBy(j *stowage.Job, vol cloud.Volume) {
	if vol.ProjectID != j.ProjectID {
		j.Params.Owner = vol.ProjectID
	}
}

// record keeps what is worth restoring of a volume.
func record(v cloud.Volume) stowage.VolumeRecord {
	return stowage.VolumeRecord{
		ID: v.ID, Name: v.Name, Description: v.Description, Type: v.Type, AvailabilityZone: v.AvailabilityZone,
		Bootable: v.Bootable, Metadata: v.Metadata, ImageMetadata: v.ImageMetadata,
	}
}
