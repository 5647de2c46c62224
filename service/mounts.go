package service

import (
	"context"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// Files is how a manager is asked for what it serves. Which file system it is, is
// told by its place among those of the mount.
type Files interface {
	// List lists a directory. NotFound: there is none.
	List(ctx context.Context, m stowage.Mount, fileSystem int, path string) (stowage.Listing, error)
	// Download prepares the download of files and directories.
	Download(ctx context.Context, m stowage.Mount, fileSystem int, paths []string) (*stowage.Download, error)
}

// MountRequest says how a backup is mounted.
type MountRequest struct {
	Mode      string             // as the user calls it
	Wanted    []stowage.WantedFS // empty: every file system
	Host      string             // of the manager; empty: any
	UnmountAt time.Time          // zero: after MountTime
}

// MountView is a mount with the backup, nil if that is gone.
type MountView struct {
	stowage.Mount
	Point *Point
}

// minMountTime is how long a mount is asked for at least: less than it takes to
// begin is a mistake.
const minMountTime = time.Minute

// MountBackup begins to serve the files of a backup of the scope. It gives the
// task. OverLimit: the project has as many mounts as it may have.
func (s *Service) MountBackup(ctx context.Context, user cloud.User, scope db.Scope, uuid string, req MountRequest) (Task, stowage.Mount, error) {
	now := s.Now()
	m := stowage.Mount{
		ID: s.NewID(), UserID: user.UserID, State: stowage.MountWaiting, Host: req.Host, UnmountAt: req.UnmountAt, CreatedAt: now, UpdatedAt: now,
		Is: stowage.MountDetails{Mode: req.Mode, Wanted: req.Wanted},
	}
	t, err := s.mount(ctx, user, scope, uuid, &m, func(ctx context.Context, j *stowage.Job) error {
		return s.DB.AddMount(ctx, m, j, s.MaxMounts)
	})
	return t, m, err
}

// MountAgain serves a mount of the scope that is over once more, for as long as is
// usual. Conflict: it is not over.
func (s *Service) MountAgain(ctx context.Context, user cloud.User, scope db.Scope, id string) (Task, error) {
	m, err := s.DB.Mount(ctx, scope, id)
	if err != nil {
		return Task{}, err
	}
	if !m.State.May(stowage.MountWaiting) {
		return Task{}, errMountedAlready
	}
	b, err := s.DB.Backup(ctx, scope, m.BackupID)
	if err != nil {
		return Task{}, err
	}
	m.Host, m.UnmountAt, m.UpdatedAt = "", time.Time{}, s.Now()
	return s.mount(ctx, user, scope, b.UUID, &m, func(ctx context.Context, j *stowage.Job) error {
		return s.DB.MountAgain(ctx, m, j, s.MaxMounts)
	})
}

func (s *Service) mount(ctx context.Context, user cloud.User, scope db.Scope, uuid string, m *stowage.Mount, write func(context.Context, *stowage.Job) error) (Task, error) {
	now := s.Now()
	if m.UnmountAt.IsZero() {
		m.UnmountAt = now.Add(s.MountTime)
	}
	switch left := m.UnmountAt.Sub(now); {
	case left < minMountTime:
		return Task{}, stowage.Errorf(stowage.Invalid, "The time to unmount must be at least a minute away.")
	case left > s.MaxMountTime:
		return Task{}, stowage.Errorf(stowage.Invalid, "A backup can be mounted for %s at most.", s.MaxMountTime)
	}
	p, err := s.mountPoint(ctx, scope, uuid)
	if err != nil {
		return Task{}, err
	}
	if !p.Mountable() {
		if p.Status == stowage.BackupAvailable || p.Status == stowage.BackupRestoring {
			return Task{}, stowage.Errorf(stowage.Invalid, "A backup that Cinder's own service made can be restored, not mounted.")
		}
		return Task{}, errNotThere
	}
	if p.ProjectID == user.ProjectID {
		if err := s.Containers.MayRead(ctx, user, p.Container); err != nil {
			return Task{}, err
		}
	}
	if err := s.mounts(ctx, m.Host); err != nil {
		return Task{}, err
	}
	ctx, cancel := finish(ctx, s.HoldTime/2)
	defer cancel()
	j := s.newJob(stowage.JobMount, user, now.Add(s.HoldTime))
	j.ProjectID, j.BackupID, j.EntityID = p.ProjectID, p.ID, p.Volume.ID
	j.Backend, j.Params.Mount, j.WindowEnd = stowage.MountsKey(m.Host), m.ID, m.UnmountAt
	m.ProjectID, m.BackupID, m.JobID = p.ProjectID, p.ID, j.ID
	err = write(ctx, &j)
	if stowage.CodeOf(err) == stowage.Conflict {
		if now, look := s.DB.Mount(ctx, scope, m.ID); look == nil && !now.State.May(stowage.MountWaiting) {
			return Task{}, errMountedAlready
		}
		return Task{}, stowage.Wrap(errNotThere.Code, err, "%s", errNotThere.Message)
	}
	if err != nil {
		return Task{}, err
	}
	s.Log.InfoContext(ctx, "mount begins", "backup", p.ID, "mount", m.ID, "job", j.ID)
	return Task{Job: j, Entity: p.Entity, Backup: &p.Backup}, s.hand(ctx, j)
}

// mountPoint gives the backup whose files are served: of a server's, that of the disk
// that it boots from. Another disk is mounted by its own backup.
func (s *Service) mountPoint(ctx context.Context, scope db.Scope, uuid string) (Point, error) {
	p, err := s.Point(ctx, scope, uuid)
	if err != nil || p.Kind != stowage.OfServer {
		return p, err
	}
	for _, d := range p.Server.Disks { // the boot disk first
		if d.Backup == "" {
			continue
		}
		part, err := s.Point(ctx, scope, d.Backup)
		if stowage.CodeOf(err) != stowage.NotFound {
			return part, err
		}
	}
	return p, errNotThere
}

var (
	errNotThere       = stowage.Errorf(stowage.Invalid, "Invalid backup: Backup status must be available")
	errMountedAlready = stowage.Errorf(stowage.Conflict, "The backup is mounted already.")
)

// mounts refuses with Unavailable when no live and enabled manager mounts.
func (s *Service) mounts(ctx context.Context, host string) error {
	services, err := s.DB.Services(ctx)
	if err != nil {
		return err
	}
	for _, svc := range services {
		if s.alive(svc) && slices.ContainsFunc(svc.Backends, func(b stowage.BackendReport) bool { return b.Key == stowage.MountsKey(host) }) {
			return nil
		}
	}
	if host != "" {
		return stowage.Errorf(stowage.Unavailable, "The backup manager on %.64s does not mount backups now.", host)
	}
	return stowage.Errorf(stowage.Unavailable, "No backup manager that mounts backups is available.")
}

// UnmountBackup ends a mount of the scope: the task that does it, or, while it
// waits yet, the one that was to mount it, cancelled. Conflict: it is over.
func (s *Service) UnmountBackup(ctx context.Context, user cloud.User, scope db.Scope, id string) (Task, error) {
	m, err := s.DB.Mount(ctx, scope, id)
	if err != nil {
		return Task{}, err
	}
	var j stowage.Job
	switch m.State {
	case stowage.MountWaiting:
		if j, err = s.DB.Job(ctx, m.JobID); err == nil {
			err = s.cancel(ctx, j, "It was unmounted.")
		}
		if stowage.CodeOf(err) == stowage.Conflict { // it has ended meanwhile, and is served perhaps
			if now, look := s.DB.Mount(ctx, scope, id); look == nil && now.State == stowage.MountServed {
				return s.UnmountBackup(ctx, user, scope, id)
			}
		}
		if err == nil {
			j, err = s.DB.Job(ctx, m.JobID)
		}
	case stowage.MountServed:
		b, look := s.DB.Backup(ctx, db.Scope{}, m.BackupID)
		if look != nil && stowage.CodeOf(look) != stowage.NotFound {
			return Task{}, look
		}
		ctx, cancel := finish(ctx, s.HoldTime/2)
		defer cancel()
		j = s.newJob(stowage.JobUnmount, user, s.Now().Add(s.HoldTime))
		j.ProjectID, j.BackupID, j.EntityID, j.Backend, j.Params.Mount = m.ProjectID, b.ID, b.Volume.ID, stowage.MountsKey(m.Host), m.ID
		if err = s.DB.AddUnmount(ctx, m, &j); err == nil {
			err = s.hand(ctx, j)
		}
	default:
		err = stowage.Errorf(stowage.Conflict, "The backup is not mounted any more.")
	}
	if stowage.CodeOf(err) == stowage.Conflict {
		err = stowage.Wrap(stowage.Conflict, err, "The backup is not mounted any more.")
	}
	if err != nil {
		return Task{}, err
	}
	tasks, err := s.tasks(ctx, []stowage.Job{j})
	if err != nil {
		return Task{}, err
	}
	return tasks[0], nil
}

// Mounts lists mounts of the scope, the newest first, and how many there are.
func (s *Service) Mounts(ctx context.Context, scope db.Scope, f db.MountFilter, p db.Page) ([]MountView, int, error) {
	list, total, err := s.DB.Mounts(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	var ids []int64
	for _, m := range list {
		ids = append(ids, m.BackupID)
	}
	backups, err := s.DB.BackupsByID(ctx, ids)
	if err != nil {
		return nil, 0, err
	}
	var rows []stowage.Backup
	for _, b := range backups {
		rows = append(rows, b)
	}
	points, err := s.points(ctx, rows)
	if err != nil {
		return nil, 0, err
	}
	views := make([]MountView, len(list))
	for i, m := range list {
		views[i] = MountView{Mount: m}
		if at := slices.IndexFunc(points, func(p Point) bool { return p.ID == m.BackupID }); at >= 0 {
			views[i].Point = &points[at]
		}
	}
	return views, total, nil
}

// Mount gives one mount of the scope.
func (s *Service) Mount(ctx context.Context, scope db.Scope, id string) (MountView, error) {
	list, _, err := s.Mounts(ctx, scope, db.MountFilter{ID: id}, db.Page{Limit: 1})
	if err != nil {
		return MountView{}, err
	}
	if len(list) == 0 || id == "" {
		return MountView{}, stowage.Errorf(stowage.NotFound, "Mounted backup %.64s could not be found.", id)
	}
	return list[0], nil
}

// FileSystems gives the file systems of a backup of the scope, as far as they are
// known: from when it was mounted last. Nothing is read for it.
func (s *Service) FileSystems(ctx context.Context, scope db.Scope, uuid string) (stowage.Mount, error) {
	p, err := s.mountPoint(ctx, scope, uuid)
	if err != nil {
		return stowage.Mount{}, err
	}
	m, err := s.DB.LatestMount(ctx, p.ID)
	if stowage.CodeOf(err) == stowage.NotFound {
		return stowage.Mount{}, nil
	}
	return m, err
}

// ListFiles lists a directory of a file system that is mounted in the scope.
func (s *Service) ListFiles(ctx context.Context, user cloud.User, scope db.Scope, fileSystem, path string) (stowage.Listing, error) {
	m, n, err := s.served(ctx, user, scope, fileSystem)
	if err != nil {
		return stowage.Listing{}, err
	}
	return s.Files.List(ctx, m, n, path)
}

// DownloadFiles prepares the download of files of a file system that is mounted in
// the scope.
func (s *Service) DownloadFiles(ctx context.Context, user cloud.User, scope db.Scope, fileSystem string, paths []string) (*stowage.Download, error) {
	m, n, err := s.served(ctx, user, scope, fileSystem)
	if err != nil {
		return nil, err
	}
	d, err := s.Files.Download(ctx, m, n, paths)
	if err == nil {
		s.Log.InfoContext(ctx, "files of a backup are downloaded", "mount", m.ID, "file_system", n, "paths", len(paths))
	}
	return d, err
}

// served finds a file system that the user may read now. Whoever mounted it may have had
// more rights on the container.
func (s *Service) served(ctx context.Context, user cloud.User, scope db.Scope, id string) (stowage.Mount, int, error) {
	gone := stowage.Errorf(stowage.NotFound, "Mounted file system %.80s could not be found.", id)
	mount, n, ok := stowage.ParseFileSystemID(id)
	if !ok {
		return stowage.Mount{}, 0, gone
	}
	m, err := s.DB.Mount(ctx, scope, mount)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound || err == nil && n >= len(m.Is.FileSystems):
		return m, 0, gone
	case err != nil:
		return m, 0, err
	case m.State != stowage.MountServed || s.Now().After(m.UnmountAt):
		return m, 0, stowage.Errorf(stowage.Conflict, "The backup is not mounted now.")
	case s.Files == nil:
		return m, 0, stowage.Errorf(stowage.Unavailable, "This API does not reach the managers that mount backups: [mounts] shared_secret is not set.")
	}
	if m.ProjectID == user.ProjectID {
		b, err := s.DB.Backup(ctx, scope, m.BackupID)
		if err == nil {
			err = s.Containers.MayRead(ctx, user, b.Container)
		}
		if err != nil {
			return m, 0, err
		}
	}
	return m, n, nil
}
