package mount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stowage/stowage"
)

// Options are a Mounter's knobs.
type Options struct {
	Dir        string        // for run-time files; made if it is not there, and ours alone
	MemoryMB   int           // of each virtual machine; 0: 768
	LaunchTime time.Duration // of each step until the file systems are found; 0: five minutes
	CallTime   time.Duration // of each call after that; 0: one minute
	Log        *slog.Logger
}

// Mounter opens disks. Its methods may be called at the same time.
type Mounter struct {
	Options
	slow atomic.Bool // KVM does not work here
}

// maxDir is how long Dir may be: the name of a socket has 107 bytes at most.
const maxDir = 80

// New makes a Mounter, and removes what an earlier process left in Dir; there must
// be no other on it. Unavailable: a program that it needs is not installed.
func New(o Options) (*Mounter, error) {
	if o.MemoryMB == 0 {
		o.MemoryMB = 768
	}
	if o.LaunchTime == 0 {
		o.LaunchTime = 5 * time.Minute
	}
	if o.CallTime == 0 {
		o.CallTime = time.Minute
	}
	for _, name := range []string{"guestfish", "nbdkit", "supermin"} {
		if _, err := program(name); err != nil {
			return nil, stowage.Wrap(stowage.Unavailable, err, "%s is not installed", name)
		}
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if len(o.Dir) > maxDir {
		return nil, stowage.Errorf(stowage.Invalid, "%s is longer than %d bytes: there is no room for the names of sockets", o.Dir, maxDir)
	}
	m := &Mounter{Options: o}
	if err := os.MkdirAll(m.cache(), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(o.Dir, "m-*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// cache is where libguestfs keeps the appliance, which it makes once, of programs
// and the kernel of this host: some 400 MB.
func (m *Mounter) cache() string { return filepath.Join(m.Dir, "appliance") }

// maxCopies is how many downloads of a mount run at once, each with a piece of a
// file in memory: 64 MiB in all.
const maxCopies = 8

// launches is how often the virtual machine of a mount is started, at most.
const launches = 5

// Session is one open disk. Its methods may be called at the same time.
type Session struct {
	m    *Mounter
	log  *slog.Logger
	dir  string
	disk *Disk
	turn turn

	guest    *guest // under turn; nil: none
	launched int    // under turn

	copies chan struct{} // downloads under way

	stop sync.Once
	ctx  context.Context // ends with the session
	end  context.CancelCauseFunc
}

// errOver is what calls get of a session that is closed.
var errOver = stowage.Errorf(stowage.Conflict, "The backup is not mounted any more.")

// Open serves an image and finds the file systems that can be read. NotFound:
// there are none. The image may be closed once the session is.
func (m *Mounter) Open(ctx context.Context, log *slog.Logger, image Image) (_ *Session, _ []stowage.FileSystem, err error) {
	dir, err := os.MkdirTemp(m.Dir, "m-")
	if err != nil {
		return nil, nil, err
	}
	s := &Session{m: m, log: log, dir: dir, turn: newTurn(), copies: make(chan struct{}, maxCopies)}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// Who does not want it any more does not wait for a virtual machine.
	defer context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })()
	if s.disk, err = ServeDisk(ctx, log, image, dir, filepath.Join(dir, "nbd.sock")); err != nil {
		return nil, nil, err
	}
	begun := time.Now()
	var found []stowage.FileSystem
	err = s.with(ctx, func(g *guest) error {
		log.InfoContext(ctx, "the virtual machine of a mount runs", "took", time.Since(begun).Round(time.Millisecond))
		g.limit = m.LaunchTime // many volumes take long to look at where there is no KVM
		found, err = g.fileSystems(log)
		g.limit = m.CallTime
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 {
		return nil, nil, stowage.Errorf(stowage.NotFound, "The backup holds no file system that can be read.")
	}
	return s, found, nil
}

// Socket is where the disk is served by NBD.
func (s *Session) Socket() string { return s.disk.Socket }

// Ended is closed when the disk is not served any more, whoever ended it.
func (s *Session) Ended() <-chan struct{} { return s.disk.Ended() }

// with has fn use the virtual machine, which is started if there is none.
func (s *Session) with(ctx context.Context, fn func(*guest) error) error {
	if err := s.turn.take(ctx); err != nil {
		return err
	}
	defer s.turn.give()
	if s.ctx.Err() != nil {
		return errOver
	}
	if s.guest == nil {
		if s.launched == launches {
			return stowage.Errorf(stowage.Unavailable, "The backup's file systems broke their virtual machine %d times.", launches)
		}
		s.launched++
		g, err := s.m.launch(s.ctx, s.dir, s.disk.Socket)
		if s.ctx.Err() != nil {
			return errOver
		}
		if err != nil {
			return stowage.Wrap(stowage.Unavailable, err, "The virtual machine that reads file systems did not start.")
		}
		s.guest = g
	}
	err := fn(s.guest)
	if errors.Is(err, errDead) {
		s.log.WarnContext(ctx, "the virtual machine of a mount ended", "error", err)
		s.guest.end()
		s.guest = nil
		if s.ctx.Err() != nil {
			return errOver
		}
		if stowage.MessageOf(err) == "" {
			err = stowage.Wrap(stowage.Unavailable, err, "The virtual machine that reads file systems ended.")
		}
	}
	return err
}

// Close ends the session and all of its processes. It may be called again.
func (s *Session) Close() (err error) {
	s.stop.Do(func() {
		s.end(errOver)
		_ = s.turn.take(context.Background()) // whoever has it finds that all has ended
		if s.guest != nil {
			s.guest.end()
		}
		s.turn.give()
		if s.disk != nil {
			err = s.disk.Close()
		}
		if gone := os.RemoveAll(s.dir); gone != nil {
			err = errors.Join(err, fmt.Errorf("remove what a mount left: %w", gone))
		}
	})
	return err
}
