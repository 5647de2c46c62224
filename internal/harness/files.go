package harness

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/mount"
)

// Files stands in for libguestfs, and for the way from the API to the managers. An
// image holds two file systems; on each there is a directory with the one file
// /dir/image, which is the whole image.
type Files struct {
	mu       sync.Mutex
	managers map[string]*manager.Manager
	sessions map[*session]bool

	// Open replaces what opens images, where it is set.
	Open manager.OpenImage
}

func (f *Files) serve(host string, m *manager.Manager) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.managers == nil {
		f.managers, f.sessions = map[string]*manager.Manager{}, map[*session]bool{}
	}
	f.managers[host] = m
}

// Sessions is how many images are open.
func (f *Files) Sessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sessions)
}

// Break ends all sessions, as when the process that serves them dies.
func (f *Files) Break() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.sessions {
		close(s.ended)
	}
}

// List implements service.Files.
func (f *Files) List(ctx context.Context, m stowage.Mount, n int, path string) (stowage.Listing, error) {
	return f.of(m.Host).List(ctx, m, n, path)
}

// Download implements service.Files.
func (f *Files) Download(ctx context.Context, m stowage.Mount, n int, paths []string) (*stowage.Download, error) {
	return f.of(m.Host).Download(ctx, m, n, paths)
}

func (f *Files) of(host string) *manager.Manager {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.managers[host]
}

func (f *Files) open(ctx context.Context, log *slog.Logger, image mount.Image) (manager.Session, []stowage.FileSystem, error) {
	f.mu.Lock()
	other := f.Open
	f.mu.Unlock()
	if other != nil {
		return other(ctx, log, image)
	}
	s := &session{f: f, image: image, ended: make(chan struct{})}
	f.mu.Lock()
	f.sessions[s] = true
	f.mu.Unlock()
	return s, []stowage.FileSystem{
		{Volume: "/dev/sda1", Type: "ext4", Label: "ROOT", Size: image.Size(), Path: "/sda1"},
		{Volume: "/dev/sda2", Type: "xfs", Size: image.Size(), Path: "/sda2"},
	}, nil
}

// SetOpen replaces what opens images; nil: what the harness has.
func (f *Files) SetOpen(open manager.OpenImage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Open = open
}

type session struct {
	f     *Files
	image mount.Image
	ended chan struct{}
}

func (s *session) Ended() <-chan struct{} { return s.ended }

func (s *session) Close() error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	delete(s.f.sessions, s)
	return nil
}

func (s *session) List(_ context.Context, volume, path string) (stowage.Listing, error) {
	f := stowage.File{Name: "dir", Kind: stowage.FileDirectory, Mode: 0o750, Owner: 1000, Group: 100}
	switch path {
	case "/":
	case "/dir":
		f = stowage.File{Name: "ünd \n" + volume, Kind: stowage.FileRegular, Size: s.image.Size(), Mode: 0o644}
	default:
		return stowage.Listing{}, stowage.Errorf(stowage.NotFound, "There is no such file or directory.")
	}
	return stowage.Listing{Files: []stowage.File{f}, Total: 1}, nil
}

func (s *session) Download(_ context.Context, _ string, paths []string) (*stowage.Download, error) {
	if len(paths) != 1 || paths[0] != "/dir/image" {
		return nil, stowage.Errorf(stowage.NotFound, "There is no such file or directory.")
	}
	return &stowage.Download{Name: "ünd \"image\"", Size: s.image.Size(), Close: func() error { return nil }, Copy: func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(s.image, 0, s.image.Size()))
		return err
	}}, nil
}
