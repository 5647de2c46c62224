package manager

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/mount"
)

// OpenImage opens the file systems of an image: a mount.Mounter's, or a test's.
type OpenImage func(ctx context.Context, log *slog.Logger, image mount.Image) (Session, []stowage.FileSystem, error)

// Session reads the file systems of one image.
type Session interface {
	List(ctx context.Context, volume, path string) (stowage.Listing, error)
	Download(ctx context.Context, volume string, paths []string) (*stowage.Download, error)
	// Ended is closed when nothing can be read any more.
	Ended() <-chan struct{}
	Close() error
}

// served is one backup whose files this manager serves. It is in the table from
// before its row says so until after the row says that it is over.
type served struct {
	Session
	reader  *engine.Reader
	volumes []string // of its file systems, in the order that their ids count
	waiting bool     // the row may not say so yet

	closing sync.Once
}

// close ends it, once; who comes second waits until that is done.
func (s *served) close(log *slog.Logger) {
	s.closing.Do(func() {
		if err := s.Session.Close(); err != nil {
			log.Warn("a mount was not closed in order", "error", err)
		}
		if err := s.reader.Close(); err != nil {
			log.Warn("a mounted backup was not closed in order", "error", err)
		}
	})
}

// serving is what this manager serves.
type serving struct {
	mu    sync.Mutex
	all   map[string]*served // by the id of the mount
	begun int                // that are being opened
}

func (s *serving) full(most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)+s.begun >= most
}

// begin takes room for one; false: there is none.
func (s *serving) begin(most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all)+s.begun >= most {
		return false
	}
	s.begun++
	return true
}

// opened puts what was begun in the table; nil: it did not come to be.
func (s *serving) opened(id string, one *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun--; one != nil {
		s.all[id] = one
	}
}

func (s *serving) get(id string) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[id]
}

func (s *serving) settled(one *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.waiting = false
}

func (s *serving) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// ids gives those that are in the table; settled: whose rows say so.
func (s *serving) ids(settled bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, one := range s.all {
		if !settled || !one.waiting {
			ids = append(ids, id)
		}
	}
	return ids
}

// doMount: open the backup, start what reads it, find its file systems, end. It
// goes on with the manager, not with the job. What is read is read on the
// service's own rights, as a restore does, so no token of a user's runs out.
func (t *task) doMount(ctx context.Context) error {
	row, err := t.DB.Mount(ctx, db.Scope{}, t.job.Params.Mount)
	if err != nil {
		return transient(err)
	}
	switch {
	case row.JobID != t.job.ID || row.State != stowage.MountWaiting:
		return stowage.Errorf(stowage.Conflict, "The backup is not to be mounted any more.")
	case !t.backup.Mountable():
		return stowage.Errorf(stowage.Invalid, "The backup cannot be mounted now.")
	case !t.Now().Before(row.UnmountAt):
		return stowage.Errorf(stowage.Unavailable, "The time to unmount came before the backup was mounted.")
	case t.OpenImage == nil || !t.serving.begin(t.MaxMounts):
		return &again{cause: stowage.Errorf(stowage.Unavailable, "The manager serves as many mounts as it may."), after: t.RingAgain, free: true}
	}
	one, found, err := t.openMount(ctx)
	if err == nil {
		row.Is.FileSystems, err = wanted(row.Is.Wanted, found)
	}
	if err != nil {
		if one != nil {
			one.close(t.log)
		}
		t.serving.opened(row.ID, nil)
		return transient(err)
	}
	for _, f := range row.Is.FileSystems {
		one.volumes = append(one.volumes, f.Volume)
	}
	one.waiting = true
	t.serving.opened(row.ID, one)
	row.Host, row.Owner, row.Endpoint, row.LeaseExpires = t.Host, t.owner, t.MountEndpoint, t.Now().Add(t.Lease)
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Mount: &row, Now: t.Now()}, nil) {
		one.close(t.log)
		t.serving.drop(row.ID)
		if wish := t.cancelWanted(ctx); wish != nil && t.stillOurs(ctx) {
			return wish
		}
		return errLost
	}
	t.serving.settled(one)
	t.log.InfoContext(ctx, "a backup is mounted", "mount", row.ID, "file_systems", len(one.volumes), "until", row.UnmountAt)
	return nil
}

// openMount opens the backup and its file systems.
func (t *task) openMount(ctx context.Context) (*served, []stowage.FileSystem, error) {
	store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
	if err != nil {
		return nil, nil, err
	}
	reader, err := t.Engine.OpenReader(ctx, engine.ReaderInput{
		Store: store, Root: t.backup.Manifest, Digest: t.backup.ManifestDigest, Keys: t.Keys.Of(t.backup.ProjectID), CacheBytes: t.MountCache,
	})
	if err != nil {
		return nil, nil, err
	}
	log := t.Log.With("mount", t.job.Params.Mount, "backup", t.backup.ID)
	session, found, err := t.OpenImage(ctx, log, reader)
	if err != nil {
		if closed := reader.Close(); closed != nil {
			t.log.WarnContext(ctx, "a backup was not closed in order", "error", closed)
		}
		return nil, nil, err
	}
	return &served{Session: session, reader: reader}, found, nil
}

// wanted gives those file systems that were asked for, called as they are to be.
func wanted(wishes []stowage.WantedFS, found []stowage.FileSystem) ([]stowage.FileSystem, error) {
	if len(wishes) == 0 {
		return found, nil
	}
	var out []stowage.FileSystem
	for _, w := range wishes {
		at := slices.IndexFunc(found, func(f stowage.FileSystem) bool { return f.Volume == w.Volume })
		if at < 0 {
			return nil, stowage.Errorf(stowage.NotFound, "The backup holds no file system %.100s that can be read.", w.Volume)
		}
		f := found[at]
		if w.Path != "" {
			f.Path = w.Path
		}
		out = append(out, f)
	}
	return out, nil
}

// doUnmount ends a mount.
func (t *task) doUnmount(ctx context.Context) error {
	row, err := t.DB.Mount(ctx, db.Scope{}, t.job.Params.Mount)
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		return transient(err)
	}
	if err == nil && row.State == stowage.MountServed {
		if row.Owner != t.owner {
			return &again{cause: stowage.Errorf(stowage.Unavailable, "Another manager serves the mount."), free: true}
		}
		if err := t.endMount(ctx, row.ID, stowage.MountEnded, "It was unmounted."); err != nil {
			return transient(err)
		}
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

// endMount ends what this manager serves, and then says so: when the row is over,
// nothing reads the backup any more.
func (m *Manager) endMount(ctx context.Context, id string, to stowage.MountState, why string) error {
	one := m.serving.get(id)
	if one != nil {
		one.close(m.Log)
	}
	err := m.DB.EndMount(ctx, id, m.owner, to, why, m.Now())
	if err != nil && stowage.CodeOf(err) != stowage.Conflict { // it may be over already
		return err // it is tried again with the next look
	}
	m.serving.drop(id)
	m.Log.InfoContext(ctx, "a backup is mounted no longer", "mount", id, "reason", why)
	return nil
}

// keepMounts holds what is served against the rows: it renews their leases, and
// ends what is over.
func (m *Manager) keepMounts(ctx context.Context) {
	if m.OpenImage == nil {
		return
	}
	mine := m.serving.ids(true) // before the rows: what comes meanwhile is in neither
	now := m.Now()
	rows, err := m.DB.OwnMounts(ctx, m.owner, now, m.Lease)
	if err != nil {
		m.Log.WarnContext(ctx, "mounts not renewed", "error", err)
		return
	}
	for _, row := range rows {
		mine = slices.DeleteFunc(mine, func(id string) bool { return id == row.ID })
		to, why := m.whetherOver(row, now)
		if why == "" {
			continue
		}
		if err := m.endMount(ctx, row.ID, to, why); err != nil {
			m.Log.WarnContext(ctx, "a mount that is over is not ended yet", "mount", row.ID, "error", err)
		}
	}
	for _, id := range mine { // somebody took us for dead
		if err := m.endMount(ctx, id, stowage.MountLost, "The manager could not renew it."); err != nil {
			m.Log.WarnContext(ctx, "a mount that is over is not ended yet", "mount", id, "error", err)
		}
	}
}

// whetherOver tells why a mount is over; "": it is not.
func (m *Manager) whetherOver(row stowage.Mount, now time.Time) (stowage.MountState, string) {
	one := m.serving.get(row.ID)
	if one == nil {
		return stowage.MountLost, "The manager does not serve it any more."
	}
	select {
	case <-one.Ended():
		return stowage.MountLost, "What served the backup has ended."
	default:
	}
	if !now.Before(row.UnmountAt) {
		return stowage.MountEnded, "Its time was over."
	}
	return "", ""
}

// endMounts ends all that this manager serves: it stops.
func (m *Manager) endMounts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.Lease)
	defer cancel()
	for _, id := range m.serving.ids(false) {
		if err := m.endMount(ctx, id, stowage.MountEnded, "The manager that served it was stopped."); err != nil {
			m.Log.WarnContext(ctx, "the end of a mount is not noted, its lease will run out", "mount", id, "error", err)
		}
	}
}

// loseMounts ends the mounts of the dead.
func (m *Manager) loseMounts(ctx context.Context) {
	ids, err := m.DB.LoseMounts(ctx, m.Host, m.owner, m.Now())
	if err != nil {
		m.Log.WarnContext(ctx, "mounts not looked at", "error", err)
	}
	for _, id := range ids {
		m.Log.WarnContext(ctx, "a mount ended with the manager that served it", "mount", id)
	}
}

// mountsKept is how long mounts that are over are shown.
const mountsKept = 30 * 24 * time.Hour

func (m *Manager) forgetMounts(ctx context.Context) {
	if err := m.DB.ForgetMounts(ctx, m.Now().Add(-mountsKept)); err != nil {
		m.Log.WarnContext(ctx, "mounts that are over not forgotten", "error", err)
	}
}

// List lists a directory of a file system that this manager serves.
func (m *Manager) List(ctx context.Context, row stowage.Mount, fileSystem int, path string) (stowage.Listing, error) {
	one, volume, err := m.fileSystem(row.ID, fileSystem)
	if err != nil {
		return stowage.Listing{}, err
	}
	return one.List(ctx, volume, path)
}

// Download prepares the download of files that this manager serves.
func (m *Manager) Download(ctx context.Context, row stowage.Mount, fileSystem int, paths []string) (*stowage.Download, error) {
	one, volume, err := m.fileSystem(row.ID, fileSystem)
	if err != nil {
		return nil, err
	}
	return one.Download(ctx, volume, paths)
}

func (m *Manager) fileSystem(id string, n int) (*served, string, error) {
	one := m.serving.get(id)
	if one == nil || n < 0 || n >= len(one.volumes) {
		return nil, "", stowage.Errorf(stowage.Conflict, "The backup is not mounted here.")
	}
	return one, one.volumes[n], nil
}
