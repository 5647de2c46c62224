package service

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// ServerRequest asks for a backup of a server: of all its volumes, as they are at one
// moment.
type ServerRequest struct {
	ServerID    string
	Name        string
	Description string
	Container   string // empty: stowage.DefaultContainer
	Full        bool
	When        When
	OnBehalf    string // as in BackupRequest
	JobID       string // likewise
	By          stowage.Origin
}

var errNoServers = stowage.Errorf(stowage.Invalid, "There are no servers here, only volumes.")

// BackupServer begins a backup of a server: the backups of its volumes, and the one
// that stands for all of them, which it gives. Its volumes stay as they are: nothing
// is locked, they may be attached and in use.
func (s *Service) BackupServer(ctx context.Context, user cloud.User, req ServerRequest) (stowage.Backup, error) {
	begin, err := s.PlanServer(ctx, user, req)
	if err != nil {
		return stowage.Backup{}, err
	}
	return begin(ctx)
}

// PlanServer checks all that can be told before a backup of a server begins, and gives
// what begins it. NotFound: no such server of the project. Invalid: one of its volumes
// cannot be backed up, or it has none. Unavailable: one of them no manager reaches.
func (s *Service) PlanServer(ctx context.Context, user cloud.User, req ServerRequest) (begin func(context.Context) (stowage.Backup, error), err error) {
	if s.Servers == nil {
		return nil, errNoServers
	}
	if req.Container == "" {
		req.Container = stowage.DefaultContainer
	}
	if err := req.When.check(s.Now()); err != nil {
		return nil, err
	}
	owner := orReason(req.OnBehalf, user.ProjectID)
	server, err := s.server(ctx, owner, req.ServerID)
	if err != nil {
		return nil, err
	}
	disks, err := s.disks(ctx, owner, &server)
	if err != nil {
		return nil, err
	}
	if err := s.reachAll(ctx, disks); err != nil {
		return nil, err
	}
	if req.OnBehalf != "" {
		user.ProjectID = req.OnBehalf
		err = s.Containers.Serve(ctx, user.ProjectID, req.Container)
	} else {
		err = s.Containers.Prepare(ctx, user, req.Container)
	}
	if err != nil {
		return nil, err
	}

	return func(ctx context.Context) (stowage.Backup, error) { return s.beginSet(ctx, user, req, server, disks) }, nil
}

// beginSet writes down the backup of a server and its parts, and hands the export on.
func (s *Service) beginSet(ctx context.Context, user cloud.User, req ServerRequest, server stowage.ServerRecord, disks []disk) (stowage.Backup, error) {
	now := s.Now()
	set := stowage.Backup{
		UUID: s.NewID(), Kind: stowage.OfServer, ProjectID: user.ProjectID, UserID: user.UserID, Name: req.Name, Description: req.Description,
		Container: req.Container, Status: stowage.BackupCreating, Server: &server, CreatedAt: now, UpdatedAt: now, By: req.By,
		Volume: stowage.VolumeRecord{ID: server.ID, Name: server.Name, AvailabilityZone: server.Zone},
	}
	export := s.newJob(stowage.JobExport, user, now)
	export.EntityID, export.Backend, export.Params.Full, export.By = server.ID, disks[0].at.Backend, req.Full, req.By
	if req.JobID != "" {
		export.ID = req.JobID
	}
	req.When.on(&export)
	parts := make([]db.Part, len(disks))
	for i, d := range disks {
		b := stowage.Backup{
			UUID: s.NewID(), ProjectID: user.ProjectID, UserID: user.UserID, Name: req.Name, Container: req.Container, Status: stowage.BackupCreating,
			Description: "Part of the backup of server " + server.ID, Volume: record(d.vol), SizeGiB: d.vol.SizeGiB, CreatedAt: now, UpdatedAt: now,
		}
		j := s.newJob(stowage.JobBackup, user, now)
		j.Priority, j.Params.Retries = export.Priority, req.When.Retries
		j.Backend, j.VolumeID, j.EntityID, j.Params.Volume, j.Params.Full = d.at.Backend, d.vol.ID, d.vol.ID, d.at, req.Full
		parts[i] = db.Part{Backup: b, Job: j}
		server.Disks[d.index].Backup = b.UUID
		set.SizeGiB += d.vol.SizeGiB
	}
	ctx, cancel := finish(ctx, s.HoldTime/2)
	defer cancel()
	if err := s.DB.CreateSet(ctx, &set, &export, parts); err != nil {
		return stowage.Backup{}, err
	}
	s.Log.InfoContext(ctx, "backup of a server begins", "backup", set.ID, "job", export.ID, "server", server.ID, "volumes", len(parts))
	return set, s.hand(ctx, export)
}

// server gives a server of the project.
func (s *Service) server(ctx context.Context, projectID, id string) (stowage.ServerRecord, error) {
	server, err := s.Servers.Server(ctx, id)
	if err == nil && server.ProjectID != projectID {
		err = stowage.Errorf(stowage.NotFound, "it is of another project")
	}
	if stowage.CodeOf(err) == stowage.NotFound {
		return server, stowage.Wrap(stowage.NotFound, err, "Server %.64s could not be found.", id)
	}
	return server, err
}

// disk is a volume of a server that is to be backed up.
type disk struct {
	index int // in the server's record
	vol   cloud.Volume
	at    stowage.VolumeLocation
}

// disks looks at the volumes of a server, and notes those that are left out. One that
// cannot be backed up must be left out by the user: a server that comes back without
// one of its disks is worse than an error now.
func (s *Service) disks(ctx context.Context, projectID string, server *stowage.ServerRecord) ([]disk, error) {
	if len(server.Disks) > stowage.MaxServerDisks {
		return nil, stowage.Errorf(stowage.Invalid, "Server %s has more than %d volumes.", server.ID, stowage.MaxServerDisks)
	}
	var list []disk
	for i, d := range server.Disks {
		e, err := s.DB.Entity(ctx, db.Scope{}, d.VolumeID)
		if err != nil && stowage.CodeOf(err) != stowage.NotFound {
			return nil, err
		}
		if e.Excluded {
			server.Disks[i].Left = "It is left out of backups."
			continue
		}
		vol, err := s.Volumes.Volume(ctx, d.VolumeID)
		if err != nil {
			return nil, err
		}
		switch {
		case vol.ProjectID != "" && vol.ProjectID != projectID:
			err = stowage.Errorf(stowage.Invalid, "it is of another project")
		case vol.Encrypted:
			err = errEncrypted
		case vol.Multiattach && vol.Attachments > 1:
			err = stowage.Errorf(stowage.Invalid, "it is attached to several servers")
		}
		if err != nil {
			return nil, stowage.Wrap(stowage.Invalid, err,
				"Volume %s of the server cannot be backed up: %s. Leave it out of backups to back up the others.", vol.ID, stowage.MessageOf(err))
		}
		loc, err := s.Volumes.Locate(ctx, vol)
		if err != nil {
			return nil, err
		}
		list = append(list, disk{i, vol, loc})
	}
	if len(list) == 0 {
		return nil, stowage.Errorf(stowage.Invalid, "Server %s has no volume that is to be backed up.", server.ID)
	}
	return list, nil
}

// Together reports whether one living manager reaches all of the backends. Unavailable: one
// of them is reached by none.
func (s *Service) Together(ctx context.Context, backends []string) (bool, error) {
	disks := make([]disk, len(backends))
	for i, b := range backends {
		disks[i].at.Backend = b
	}
	return s.together(ctx, disks)
}

// reachAll notes what the managers that reach the disks call their backends: one that
// reaches all of them, if there is one, for it is best placed to take snapshots of one moment.
func (s *Service) reachAll(ctx context.Context, disks []disk) error {
	_, err := s.together(ctx, disks)
	return err
}

func (s *Service) together(ctx context.Context, disks []disk) (bool, error) {
	services, err := s.DB.Services(ctx)
	if err != nil {
		return false, err
	}
	for _, svc := range services {
		if s.alive(svc) && serves(svc, disks) {
			return true, nil
		}
	}
	for i := range disks {
		if disks[i].at, err = s.reach(ctx, disks[i].at); err != nil {
			return false, err
		}
	}
	return false, nil
}

// serves reports whether a manager reaches all disks, and notes its names for their backends.
func serves(svc stowage.Service, disks []disk) bool {
	keys := make([]string, len(disks))
	for i, d := range disks {
		for _, b := range svc.Backends {
			if b.Serves(d.at.Backend) {
				keys[i] = b.Key
			}
		}
		if keys[i] == "" {
			return false
		}
	}
	for i := range disks {
		disks[i].at.Backend = keys[i]
	}
	return true
}

// Parts gives the backups that are part of a server's, in the order of its disks.
func (s *Service) Parts(ctx context.Context, set stowage.Backup) ([]Point, error) {
	list, err := s.DB.SetBackups(ctx, set.ID)
	if err != nil {
		return nil, err
	}
	if set.Server != nil { // imported parts may have come in any order
		at := func(b stowage.Backup) int {
			return slices.IndexFunc(set.Server.Disks, func(d stowage.ServerDisk) bool { return d.Backup == b.UUID })
		}
		slices.SortStableFunc(list, func(a, b stowage.Backup) int { return cmp.Compare(at(a), at(b)) })
	}
	points := make([]Point, 0, len(list))
	for _, b := range list {
		p, err := s.Point(ctx, db.Scope{}, b.UUID)
		if stowage.CodeOf(err) == stowage.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

// ExcludeDisk says whether a disk is left out of backups of its server.
func (s *Service) ExcludeDisk(ctx context.Context, scope db.Scope, id string, out bool) error {
	return s.DB.Exclude(ctx, scope, id, out)
}

// endSet is the move of a server's backup whose export did not come to its end.
func endSet(id int64, reason string, now time.Time) *db.BackupMove {
	return &db.BackupMove{ID: id, From: stowage.BackupCreating, To: stowage.BackupError, FailReason: reason, Now: now}
}
