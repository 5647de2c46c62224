// Package dir keeps objects as files in a directory, for a standalone Stowage
// and for stores that are mounted:
//
//	<root>/<project>/<container>/<the parts of the object's name>.object
//
// The slashes of a name become directories, and ordinary names stay readable;
// encode.go has the rules, which give every name a place of its own and no
// name a place outside its container. All calls are relative to the open root.
//
// An object is written to a file .new-* in its container, synced, renamed and
// its directories synced: what can be seen is whole and durable. A crash may
// leave a .new-* file; it belongs to no object and may be removed whenever
// nothing writes. The MD5 of an object is kept in the extended attribute
// user.stowage.md5; Stat gives it where the file system has such, List never.
// Directories are made 0700 and files 0600.
package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Options say where the objects are.
type Options struct {
	// Root is the directory of all projects. It must exist: one that is made
	// where a file system is not mounted would hide it later.
	Root string
	// NewID gives a name for a temporary file, of letters and digits, that
	// nothing else has. Nil: a random one.
	NewID func() string
}

// Stores implements drivers.Stores.
type Stores struct {
	root  *os.Root
	newID func() string
}

var _ drivers.Stores = (*Stores)(nil)

// Open opens the directory.
func Open(opts Options) (*Stores, error) {
	root, err := os.OpenRoot(opts.Root)
	if err != nil {
		return nil, stowage.Wrap(stowage.Unavailable, err, "open the directory of objects")
	}
	s := &Stores{root: root, newID: opts.NewID}
	if s.newID == nil {
		s.newID = rand.Text
	}
	return s, nil
}

// Close gives up the directory. Nothing is called afterwards.
func (s *Stores) Close() error { return s.root.Close() }

// Open opens a container, which need not be there before it is used.
func (s *Stores) Open(ctx context.Context, project, container string) (drivers.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open container %s: %w", container, err)
	}
	top, err := containerPath(project, container)
	if err != nil {
		return nil, err
	}
	return &store{root: s.root, newID: s.newID, container: container, top: path.Join(top...)}, nil
}

// CreateContainer makes a container, durable on return. There already is no error.
func (s *Stores) CreateContainer(ctx context.Context, project, container string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("create container %s: %w", container, err)
	}
	top, err := containerPath(project, container)
	if err != nil {
		return err
	}
	parent := "."
	for _, part := range top {
		made := path.Join(parent, part)
		if err := s.root.Mkdir(made, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return coded(err, "create container %s", container)
		}
		if err := syncDir(s.root, parent); err != nil {
			return coded(err, "create container %s", container)
		}
		parent = made
	}
	return nil
}

func containerPath(project, container string) ([]string, error) {
	if !validProject(project) {
		return nil, stowage.Errorf(stowage.Invalid, "%q is no id of a project", project)
	}
	if !validText(container, 256) || strings.Contains(container, "/") || container == "." || container == ".." {
		return nil, stowage.Errorf(stowage.Invalid, "%q is no name of a container", container)
	}
	return append([]string{project}, encodeDir(container)...), nil
}

// validProject allows Keystone's ids, and nothing that is more than a name.
func validProject(project string) bool {
	if project == "" || len(project) > 64 || project[0] == '.' || project[0] == '-' {
		return false
	}
	return strings.IndexFunc(project, func(r rune) bool { return r >= 0x80 || r == '%' || !plain(byte(r)) }) < 0
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// coded says what we were doing and gives the cause the code it deserves.
func coded(err error, doing string, args ...any) error {
	code := stowage.Internal
	var known *stowage.Error
	switch {
	case errors.As(err, &known):
		code = known.Code
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ESTALE):
		code = stowage.NotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = stowage.Forbidden
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = stowage.OverLimit
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		code = stowage.Unavailable
	default:
		return fmt.Errorf(doing+": %w", append(args, err)...)
	}
	return stowage.Wrap(code, err, doing, args...)
}
