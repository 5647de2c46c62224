// Package file drives volumes that are raw files in a directory: those of
// Cinder's NFS and generic file drivers, and those of a standalone Stowage.
//
// A volume is a regular file, named as Cinder names it (volume-<id>). A
// snapshot is a copy of it in the directory .snapshots beside: a reflink where
// the file system can (XFS, Btrfs, NFS 4.2 on such), else a sparse copy that
// takes its time and room. Snapshots are made under a temporary name, synced
// and then renamed, so one that can be seen is whole and durable.
//
// What it cannot promise: a copy is consistent only if nobody writes to the
// file meanwhile. Reflinks take an instant, but bytes a guest holds in its own
// cache are missing as after a power cut; a plain copy of a file in use mixes
// moments. That nobody writes is Cinder's part: the volume's status is ours
// while we read.
//
// Nothing outside the directory is ever opened, whatever the names: they are
// checked, all calls are relative to the open directory, symbolic links are not
// followed and only regular files are taken.
package file

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Options say where the volumes are.
type Options struct {
	// Key is the backend's key, file:<name>.
	Key string
	// Dir is the directory with the volumes. It must exist.
	Dir string
	// NewID gives a fresh id, of letters and digits, for every snapshot. Nil:
	// a random one.
	NewID func() string
}

// volumes implements drivers.Volumes.
type volumes struct {
	key   string
	root  *os.Root
	newID func() string
}

var _ drivers.Volumes = (*volumes)(nil)

// Open opens the directory. It need not be writable until something is written.
func Open(opts Options) (drivers.Volumes, error) {
	if opts.Key == "" {
		return nil, stowage.Errorf(stowage.Invalid, "file backend on %s has no key", opts.Dir)
	}
	root, err := os.OpenRoot(opts.Dir)
	if err != nil {
		return nil, stowage.Wrap(stowage.Unavailable, err, "open the directory of volumes of %s", opts.Key)
	}
	v := &volumes{key: opts.Key, root: root, newID: opts.NewID}
	if v.newID == nil {
		v.newID = rand.Text
	}
	return v, nil
}

func (v *volumes) Backend() string { return v.key }

func (v *volumes) Close() error { return v.root.Close() }

// OpenTarget opens the volume for writing under a lock on the whole file.
func (v *volumes) OpenTarget(ctx context.Context, vol stowage.VolumeLocation) (drivers.Target, error) {
	f, err := v.openVolume(ctx, vol, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := lockWhole(f); err != nil {
		err = coded(err, "lock volume %s", vol.Name)
		return nil, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(coded(err, "open volume %s", vol.Name), f.Close())
	}
	return &target{f: f, name: vol.Name, size: info.Size()}, nil
}

// openVolume opens the file of a volume that is ours and a plain one.
func (v *volumes) openVolume(ctx context.Context, vol stowage.VolumeLocation, flag int) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open volume %s: %w", vol.Name, err)
	}
	if err := v.checkVolume(vol); err != nil {
		return nil, err
	}
	if err := v.checkOverlay(vol.Name); err != nil {
		return nil, err
	}
	return openRegular(v.root, vol.Name, flag)
}

func (v *volumes) checkVolume(vol stowage.VolumeLocation) error {
	if vol.Backend != v.key {
		return stowage.Errorf(stowage.Invalid, "volume %q is on backend %q, not on %q", vol.Name, vol.Backend, v.key)
	}
	if !validName(vol.Name) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of a volume", vol.Name)
	}
	return nil
}

// checkOverlay refuses a volume whose contents are not in its file: once a
// volume has Cinder snapshots, the NFS driver writes to an overlay that the
// file volume-<id>.info names, and volume-<id> is an old state.
func (v *volumes) checkOverlay(name string) error {
	f, err := openRegular(v.root, name+".info", os.O_RDONLY)
	if stowage.Is(err, stowage.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var info struct {
		Active string `json:"active"`
	}
	if err := json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&info); err != nil {
		return stowage.Wrap(stowage.Invalid, err, "volume %s has an .info file that cannot be read", name)
	}
	if info.Active != "" && info.Active != name {
		return stowage.Errorf(stowage.Invalid, "volume %s has Cinder snapshots and lives in the overlay %q", name, info.Active)
	}
	return nil
}

// openRegular opens a regular file, and nothing else, even where somebody puts
// another thing in its place between the look and the opening.
func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	seen, err := root.Lstat(name)
	if err != nil {
		return nil, coded(err, "open %s", name)
	}
	if !seen.Mode().IsRegular() {
		return nil, stowage.Errorf(stowage.Invalid, "%s is no regular file", name)
	}
	f, err := root.OpenFile(name, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, coded(err, "open %s", name)
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(seen, opened) {
		err = stowage.Errorf(stowage.Conflict, "%s was replaced while it was opened", name)
	}
	if err != nil {
		return nil, errors.Join(coded(err, "open %s", name), f.Close())
	}
	return f, nil
}

// maxName keeps two names, an id and what is between them under the 255 bytes
// of a file name.
const maxName = 100

// validName allows what Cinder and we make names of, and nothing that means
// anything to a file system or to us.
func validName(name string) bool {
	if name == "" || len(name) > maxName || !alnum(name[0]) {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return r >= 0x80 || !alnum(byte(r)) && !strings.ContainsRune("._-", r)
	}) < 0
}

func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// coded says what we were doing and gives the cause the code it deserves.
func coded(err error, doing string, args ...any) error {
	code := stowage.Internal
	var known *stowage.Error
	switch {
	case errors.As(err, &known):
		code = known.Code
	case errors.Is(err, fs.ErrNotExist):
		code = stowage.NotFound
	case errors.Is(err, syscall.ESTALE): // removed on the NFS server
		code = stowage.NotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = stowage.Forbidden
	case errors.Is(err, syscall.ELOOP):
		code = stowage.Invalid
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = stowage.OverLimit
	case errors.Is(err, syscall.EAGAIN):
		code = stowage.Conflict
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		code = stowage.Unavailable
	default:
		return fmt.Errorf(doing+": %w", append(args, err)...)
	}
	return stowage.Wrap(code, err, doing, args...)
}
