package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// A snapshot is the directory .snapshots/<volume>@<name> with one file in it,
// <id>.raw. A directory, because renaming one onto another that is not empty
// fails: of two who make the same snapshot one wins, and nobody's is lost.
const (
	snapshotsDir = ".snapshots"
	newPrefix    = ".new-"  // <volume>@<name>@<id>, being made
	gonePrefix   = ".gone-" // <id>, being removed
	suffix       = ".raw"
)

func snapshotDir(snap stowage.Snapshot) string {
	return path.Join(snapshotsDir, snap.Volume.Name+"@"+snap.Name)
}

// newName is what the directories of unfinished copies begin with.
func newName(snap stowage.Snapshot) string {
	return newPrefix + snap.Volume.Name + "@" + snap.Name + "@"
}

// CreateSnapshot copies the volume, if there is no snapshot of the name yet.
func (v *volumes) CreateSnapshot(ctx context.Context, vol stowage.VolumeLocation, name string) (stowage.Snapshot, error) {
	snap := stowage.Snapshot{Name: name, Volume: vol}
	if err := v.checkSnapshot(ctx, snap, "create"); err != nil {
		return snap, err
	}
	found, err := v.find(snap)
	if !stowage.Is(err, stowage.NotFound) {
		return found, err
	}
	src, err := v.openVolume(ctx, vol, os.O_RDONLY)
	if err != nil {
		return snap, err
	}
	defer src.Close()
	if err := v.make(ctx, snap, src); err != nil {
		return snap, coded(err, "create snapshot %s of volume %s", name, vol.Name)
	}
	return v.find(snap)
}

// make copies src and gives the copy the snapshot's name. Another's copy that
// got the name first is as good.
func (v *volumes) make(ctx context.Context, snap stowage.Snapshot, src *os.File) (err error) {
	if err := v.root.Mkdir(snapshotsDir, 0o700); err == nil {
		err = v.syncDir(".")
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	id := v.newID()
	dir := path.Join(snapshotsDir, newName(snap)+id)
	if err := v.root.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.root.RemoveAll(dir))
		}
	}()
	if err := v.copyTo(ctx, path.Join(dir, id+suffix), src); err != nil {
		return err
	}
	if err := v.syncDir(dir); err != nil {
		return err
	}
	err = v.root.Rename(dir, snapshotDir(snap))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return errors.Join(v.root.RemoveAll(dir), v.syncDir(snapshotsDir))
	}
	if err != nil {
		return err
	}
	return v.syncDir(snapshotsDir)
}

func (v *volumes) copyTo(ctx context.Context, name string, src *os.File) (err error) {
	dst, err := v.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := copySparse(ctx, dst, src); err != nil {
		return err
	}
	return dst.Sync()
}

func (v *volumes) syncDir(name string) error {
	d, err := v.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// find looks for the snapshot of the volume and the name. NotFound: none.
func (v *volumes) find(snap stowage.Snapshot) (stowage.Snapshot, error) {
	dir, err := v.root.Open(snapshotDir(snap))
	if err != nil {
		return snap, coded(err, "find snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return snap, coded(err, "read snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	if len(names) != 1 || path.Ext(names[0]) != suffix {
		return snap, stowage.Errorf(stowage.Corrupt, "snapshot %s of volume %s holds %q", snap.Name, snap.Volume.Name, names)
	}
	info, err := v.root.Lstat(path.Join(snapshotDir(snap), names[0]))
	if err != nil {
		return snap, coded(err, "look at snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	snap.ID = names[0][:len(names[0])-len(suffix)]
	snap.Bytes = info.Size()
	snap.At = info.ModTime().UTC()
	return snap, nil
}

// OpenSnapshot opens the copy with the very id.
func (v *volumes) OpenSnapshot(ctx context.Context, snap stowage.Snapshot) (drivers.Source, error) {
	if err := v.CheckSnapshot(ctx, snap); err != nil {
		return nil, err
	}
	f, err := openRegular(v.root, path.Join(snapshotDir(snap), snap.ID+suffix), os.O_RDONLY)
	if err != nil {
		return nil, coded(err, "open snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(coded(err, "open snapshot %s of volume %s", snap.Name, snap.Volume.Name), f.Close())
	}
	return &source{f: f, size: info.Size()}, nil
}

// CheckSnapshot reads the directory anew.
func (v *volumes) CheckSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	if err := v.checkSnapshot(ctx, snap, "open"); err != nil {
		return err
	}
	if snap.ID == "" {
		return stowage.Errorf(stowage.Invalid, "snapshot %s of volume %s has no id to know it by", snap.Name, snap.Volume.Name)
	}
	found, err := v.find(snap)
	if err != nil {
		return err
	}
	if found.ID != snap.ID {
		return stowage.Errorf(stowage.NotFound, "snapshot %s of volume %s is not the one that was created, but a later one", snap.Name, snap.Volume.Name)
	}
	return nil
}

// RemoveSnapshot takes the name away in one step, then the data, then what
// crashes left behind: unfinished copies for this snapshot, and data whose
// name was taken away.
func (v *volumes) RemoveSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	if err := v.checkSnapshot(ctx, snap, "remove"); err != nil {
		return err
	}
	found, err := v.find(snap)
	if err != nil && !stowage.Is(err, stowage.NotFound) && !stowage.Is(err, stowage.Corrupt) {
		return err
	}
	if err == nil && snap.ID != "" && snap.ID != found.ID {
		return nil // ours is gone, this one is another's
	}
	err = v.root.Rename(snapshotDir(snap), path.Join(snapshotsDir, gonePrefix+v.newID()))
	if err == nil {
		err = v.syncDir(snapshotsDir)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, v.sweep(snap)); err != nil {
		return coded(err, "remove snapshot %s of volume %s", snap.Name, snap.Volume.Name)
	}
	return nil
}

func (v *volumes) sweep(snap stowage.Snapshot) error {
	dir, err := v.root.Open(snapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, gonePrefix) || strings.HasPrefix(name, newName(snap)) {
			err = errors.Join(err, v.root.RemoveAll(path.Join(snapshotsDir, name)))
		}
	}
	return err
}

// checkSnapshot refuses what has no business with this backend.
func (v *volumes) checkSnapshot(ctx context.Context, snap stowage.Snapshot, verb string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s snapshot %s of volume %s: %w", verb, snap.Name, snap.Volume.Name, err)
	}
	if err := v.checkVolume(snap.Volume); err != nil {
		return err
	}
	if !validName(snap.Name) {
		return stowage.Errorf(stowage.Invalid, "%q is no name of a snapshot", snap.Name)
	}
	return nil
}
