package dir

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

const (
	newPrefix = ".new-"
	md5Attr   = "user.stowage.md5"
)

// store implements drivers.Store on one container.
type store struct {
	root      *os.Root
	newID     func() string
	container string // for messages
	top       string // the container's directory
}

// begin checks what every call checks, and gives the entries of the object's path.
func (s *store) begin(ctx context.Context, name string) ([]string, error) {
	if !validText(name, 1024) {
		return nil, stowage.Errorf(stowage.Invalid, "%.40q is no name of an object", name)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("object %s: %w", name, err)
	}
	return encode(name), nil
}

// Put writes to a temporary file and renames it.
func (s *store) Put(ctx context.Context, name string, data []byte) (string, error) {
	entries, err := s.begin(ctx, name)
	if err != nil {
		return "", err
	}
	sum := md5.Sum(data)
	etag := hex.EncodeToString(sum[:])
	temp := path.Join(s.top, newPrefix+s.newID())
	if err := s.write(temp, data, etag); err != nil {
		return "", coded(err, "put object %s into container %s", name, s.container)
	}
	if err := s.place(temp, entries); err != nil {
		err = coded(err, "put object %s into container %s", name, s.container)
		if gone := s.root.Remove(temp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return "", err
	}
	return etag, nil
}

func (s *store) write(temp string, data []byte, etag string) (err error) {
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, s.root.Remove(temp))
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	err = unix.Fsetxattr(int(f.Fd()), md5Attr, []byte(etag), 0)
	if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("note the MD5: %w", err)
	}
	return f.Sync()
}

// place moves the temporary file to its path. The directories on the way are
// made, and made again when a Delete beside us takes an empty one away.
func (s *store) place(temp string, entries []string) error {
	dirs := s.dirs(entries)
	final := path.Join(dirs[len(dirs)-1], entries[len(entries)-1])
	var err error
	for range 100 {
		if err = s.mkdirs(dirs); err == nil {
			err = s.root.Rename(temp, final)
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	// All of them, not only those we made: who made one may not have synced it yet.
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := syncDir(s.root, dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dirs are the directories of an object's path, from the container's down.
func (s *store) dirs(entries []string) []string {
	dirs := []string{s.top}
	for _, e := range entries[:len(entries)-1] {
		dirs = append(dirs, path.Join(dirs[len(dirs)-1], e))
	}
	return dirs
}

func (s *store) mkdirs(dirs []string) error {
	for _, d := range dirs[1:] { // never the container's own
		if err := s.root.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func (s *store) open(ctx context.Context, name string) (*os.File, fs.FileInfo, error) {
	entries, err := s.begin(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.root.OpenFile(path.Join(s.top, path.Join(entries...)), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, coded(err, "open object %s of container %s", name, s.container)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = stowage.Errorf(stowage.Corrupt, "it is no regular file")
	}
	if err != nil {
		return nil, nil, errors.Join(coded(err, "open object %s of container %s", name, s.container), f.Close())
	}
	return f, info, nil
}

// Get reads from one state of the object, whoever writes it meanwhile.
func (s *store) Get(ctx context.Context, name string, buf []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "get object %s from %d", name, offset)
	}
	f, _, err := s.open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, coded(err, "get object %s of container %s", name, s.container)
	}
	return n, nil
}

func (s *store) Stat(ctx context.Context, name string) (drivers.ObjectInfo, error) {
	f, info, err := s.open(ctx, name)
	if err != nil {
		return drivers.ObjectInfo{}, err
	}
	defer f.Close()
	object := drivers.ObjectInfo{Name: name, Bytes: info.Size(), Modified: info.ModTime().UTC()}
	var sum [2 * md5.Size]byte
	if n, err := unix.Fgetxattr(int(f.Fd()), md5Attr, sum[:]); err == nil && n == len(sum) {
		object.ETag = string(sum[:])
	}
	return object, nil
}

// Delete removes the file, then the directories it leaves empty.
func (s *store) Delete(ctx context.Context, name string) error {
	entries, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	dirs := s.dirs(entries)
	last := dirs[len(dirs)-1]
	err = s.root.Remove(path.Join(last, entries[len(entries)-1]))
	if err == nil {
		err = syncDir(s.root, last)
	}
	if err != nil && !stowage.Is(coded(err, "delete"), stowage.NotFound) {
		return coded(err, "delete object %s of container %s", name, s.container)
	}
	for i := len(dirs) - 1; i > 0; i-- {
		if s.root.Remove(dirs[i]) != nil {
			break // not empty, or not there
		}
	}
	return nil
}
