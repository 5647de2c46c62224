package service

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// RebuildRequest says how a server is restored from its backup. What is empty is as
// it was.
type RebuildRequest struct {
	VolumesOnly bool // no server is built

	Name      string
	FlavorID  string
	Zone      string
	Type      string            // of the volumes; empty: each its own
	Types     map[string]string // of single volumes, by the UUID of their backup
	Names     map[string]string // likewise
	Left      []string          // backups of volumes that are left out
	Networks  []NetworkWish
	Overwrite bool // over the volumes that were backed up, which must be free, and not to new ones
	Priority  *int
	JobID     string // as in BackupRequest
	ParentID  string // the job that this is a part of

	// NetworkMap says in which network a port is that was in another. OnlyMapped
	// leaves out ports of networks that it does not name.
	NetworkMap map[string]string
	OnlyMapped bool
}

// NetworkWish says which network a port of the server is in.
type NetworkWish struct {
	Port           string // of the server as it was, by id or hardware address; empty: the next one
	NetworkID      string
	MAC            string   // empty: as it was
	SecurityGroups []string // ids; nil: as they were
}

var errNotRestorable = stowage.Errorf(stowage.Invalid, "Invalid backup: Backup status must be available")

// ErrInRestore means that a backup is being restored already: it can be when that has ended.
var ErrInRestore = errors.New("it is being restored already")

func inRestore(status stowage.BackupStatus) error {
	if status == stowage.BackupRestoring {
		return ErrInRestore
	}
	return nil
}

// RestoreServer begins a restore of a server from its backup: of its volumes, each by
// a job of its own, and then, in a job that follows, of the server. It gives the job
// that restores the volumes. All is made in the backup's project, by the rights that
// the service has there, and on its quota.
func (s *Service) RestoreServer(ctx context.Context, user cloud.User, scope db.Scope, uuid string, req RebuildRequest) (stowage.Job, error) {
	none := stowage.Job{}
	if s.Servers == nil {
		return none, errNoServers
	}
	if err := (When{Priority: req.Priority}).check(s.Now()); err != nil {
		return none, err
	}
	set, err := s.DB.BackupByUUID(ctx, scope, uuid)
	switch {
	case err != nil:
		return none, err
	case set.Kind != stowage.OfServer || set.Server == nil:
		return none, stowage.Errorf(stowage.Invalid, "Backup %s is not of a server.", uuid)
	case set.Status != stowage.BackupAvailable:
		return none, stowage.Wrap(errNotRestorable.Code, inRestore(set.Status), "%s", errNotRestorable.Message)
	}
	if set.ProjectID == user.ProjectID && user.Token != "" {
		if err := s.Containers.MayRead(ctx, user, set.Container); err != nil {
			return none, err
		}
	}
	if err := s.anyManager(ctx); err != nil {
		return none, err
	}
	members, err := s.DB.SetBackups(ctx, set.ID)
	if err != nil {
		return none, err
	}
	j := s.newJob(stowage.JobRestore, user, s.Now())
	if req.JobID != "" {
		j.ID = req.JobID
	}
	j.ParentID = req.ParentID
	j.ProjectID, j.BackupID, j.EntityID, j.Params.Whole = set.ProjectID, set.ID, set.Volume.ID, true
	When{Priority: req.Priority}.on(&j)
	if j.Params.Rebuild, err = s.rebuild(set, members, req); err != nil {
		return none, err
	}
	ctx, cancel := finish(ctx, s.HoldTime/2)
	defer cancel()
	move := db.BackupMove{ID: set.ID, From: stowage.BackupAvailable, To: stowage.BackupRestoring, Now: s.Now()}
	err = s.DB.StartJob(ctx, move, &j)
	if stowage.CodeOf(err) == stowage.Conflict {
		now, look := s.DB.Backup(ctx, db.Scope{}, set.ID) // it was available a moment ago
		if look == nil && now.Status != stowage.BackupDeleting && now.Status != stowage.BackupError {
			err = errors.Join(ErrInRestore, err)
		}
		return none, stowage.Wrap(errNotRestorable.Code, err, "%s", errNotRestorable.Message)
	}
	if err != nil {
		return none, err
	}
	s.Log.InfoContext(ctx, "restore of a server begins", "backup", set.ID, "job", j.ID, "server", set.Volume.ID, "volumes", len(j.Params.Rebuild.Disks))
	return j, s.hand(ctx, j)
}

// rebuild plans what is made of a server's backup.
func (s *Service) rebuild(set stowage.Backup, members []stowage.Backup, req RebuildRequest) (*stowage.Rebuild, error) {
	was := *set.Server
	plan := &stowage.Rebuild{
		Name: cmp.Or(req.Name, was.Name), FlavorID: cmp.Or(req.FlavorID, was.FlavorID), Zone: cmp.Or(req.Zone, was.Zone),
		VolumesOnly: req.VolumesOnly, Overwrite: req.Overwrite,
	}
	bootable := was.ImageID != ""
	for _, d := range was.Disks {
		if d.Backup == "" || slices.Contains(req.Left, d.Backup) {
			continue
		}
		at := slices.IndexFunc(members, func(b stowage.Backup) bool { return b.UUID == d.Backup })
		if at < 0 {
			return nil, stowage.Errorf(stowage.Invalid, "The backup of volume %s was deleted. Leave it out to restore the others.", d.VolumeID)
		}
		if members[at].Status != stowage.BackupAvailable {
			return nil, stowage.Wrap(stowage.Invalid, inRestore(members[at].Status), "The backup of volume %s is %s.", d.VolumeID, members[at].Status)
		}
		bootable = bootable || d.Boot
		plan.Disks = append(plan.Disks, stowage.RebuildDisk{
			ServerDisk: d, BackupID: members[at].ID, JobID: s.NewID(), Type: cmp.Or(req.Types[d.Backup], req.Type),
			Name: cmp.Or(req.Names[d.Backup], members[at].Volume.Name),
		})
	}
	switch {
	case len(plan.Disks) == 0:
		return nil, stowage.Errorf(stowage.Invalid, "No volume is left to restore.")
	case req.VolumesOnly:
		return plan, nil
	case !bootable:
		return nil, stowage.Errorf(stowage.Invalid, "The server cannot boot without the volume that it booted from.")
	}
	var err error
	if plan.Ports, err = ports(was.Ports, req.Networks); err == nil && (req.NetworkMap != nil || req.OnlyMapped) {
		plan.Ports = mapped(plan.Ports, req)
	}
	return plan, err
}

// mapped puts ports into other networks. A test's network has the same addresses as the
// one that it stands for, and nobody else in it: there a port keeps its own.
func mapped(ports []stowage.ServerPort, req RebuildRequest) []stowage.ServerPort {
	var out []stowage.ServerPort
	for _, p := range ports {
		to := req.NetworkMap[p.NetworkID]
		switch {
		case to == "" && req.OnlyMapped:
			continue
		case to != "" && to != p.NetworkID:
			p.NetworkID, p.Network = to, ""
			if !req.OnlyMapped {
				p.Addresses = nil
			}
		}
		if req.OnlyMapped {
			p.MAC, p.SecurityGroups = "", nil // the address of the one that is up, perhaps
		}
		out = append(out, p)
	}
	return out
}

// ports gives the ports of the server as they are wished. In another network, its old
// addresses are of no use.
func ports(was []stowage.ServerPort, wishes []NetworkWish) ([]stowage.ServerPort, error) {
	out := slices.Clone(was)
	next := 0
	for _, w := range wishes {
		at := next
		if w.Port != "" {
			at = slices.IndexFunc(was, func(p stowage.ServerPort) bool { return p.ID == w.Port || p.MAC != "" && p.MAC == w.Port })
			if at < 0 {
				return nil, stowage.Errorf(stowage.Invalid, "The server had no network interface %.64s.", w.Port)
			}
		}
		next = at + 1
		if at >= len(out) {
			out = append(out, stowage.ServerPort{})
			at = len(out) - 1
		}
		p := &out[at]
		if w.NetworkID != "" && w.NetworkID != p.NetworkID {
			p.NetworkID, p.Network, p.Addresses = w.NetworkID, "", nil
		}
		if p.NetworkID == "" {
			return nil, stowage.Errorf(stowage.Invalid, "A network interface is without a network.")
		}
		if w.MAC != "" {
			p.MAC = w.MAC
		}
		if w.SecurityGroups != nil {
			p.SecurityGroups = w.SecurityGroups
		}
	}
	return out, nil
}

// SecurityGroups lists those that a server of the project can be given.
func (s *Service) SecurityGroups(ctx context.Context, projectID string) ([]Entity, error) {
	if s.Servers == nil {
		return nil, nil
	}
	list, err := s.Servers.SecurityGroups(ctx, projectID)
	groups := make([]Entity, len(list))
	for i, g := range list {
		groups[i] = Entity{g.ID, cmp.Or(g.Name, g.ID)}
	}
	return groups, err
}

// RestoreDisk begins the restore of one volume of a server, as the plan says. To ask
// again finds the job there. Unavailable: somebody else restores its backup at this time.
func (s *Service) RestoreDisk(ctx context.Context, parent stowage.Job, d stowage.RebuildDisk) error {
	_, err := s.DB.Job(ctx, d.JobID)
	if stowage.CodeOf(err) != stowage.NotFound {
		return err
	}
	req := RestoreRequest{
		Name: d.Name, Type: d.Type, Priority: &parent.Priority, OnBehalf: parent.ProjectID, JobID: d.JobID, ParentID: parent.ID,
	}
	if parent.Params.Rebuild.Overwrite {
		req.VolumeID = d.VolumeID
	}
	user := cloud.User{ProjectID: parent.ProjectID, UserID: parent.UserID, RequestID: parent.RequestID}
	_, err = s.RestoreBackup(ctx, user, db.Scope{ProjectID: parent.ProjectID}, d.BackupID, req)
	if found, look := s.DB.Job(ctx, d.JobID); err != nil && look == nil && found.ID == d.JobID {
		return nil // it is there, and tells by itself how it ends
	}
	if errors.Is(err, errNotRestorable) { // or was, a moment ago
		if b, look := s.DB.Backup(ctx, db.Scope{}, d.BackupID); look == nil && (b.Status == stowage.BackupRestoring || b.Status == stowage.BackupAvailable) {
			return stowage.Wrap(stowage.Unavailable, err, "The backup of volume %s is being restored by another.", d.VolumeID)
		}
	}
	return err
}

// MayOverwrite tells whether all volumes that a plan overwrites are free, before the first
// of them is touched. Unavailable: another job has one, and gives it back.
func (s *Service) MayOverwrite(ctx context.Context, parent stowage.Job) error {
	for _, d := range parent.Params.Rebuild.Disks {
		vol, err := s.Volumes.Volume(ctx, d.VolumeID)
		if err != nil {
			return err
		}
		if vol.Status == stowage.VolumeAvailable {
			continue
		}
		held, err := s.DB.Held(ctx, vol.ID, "")
		if err != nil {
			return err
		}
		if held {
			return stowage.Errorf(stowage.Unavailable, "Volume %s is being backed up or restored.", vol.ID)
		}
		return errTargetNotAvailable
	}
	return nil
}

// DeletePart begins the deletion of a backup that is part of one being deleted.
func (s *Service) DeletePart(ctx context.Context, parent stowage.Job, b stowage.Backup) error {
	_, err := s.deletion(ctx, cloud.User{UserID: parent.UserID, RequestID: parent.RequestID}, b, parent.ID, nil)
	return err
}
