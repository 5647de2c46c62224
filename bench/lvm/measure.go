package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// The way of cinder-backup's chunked driver: all of the volume in pieces of
// 50 MiB, and of each the SHA-256 of every 32 KiB. A full backup also
// compresses each piece, and takes the MD5 of it before and after.
const (
	hashes = `
import hashlib, sys
shas = []
with open(sys.argv[1], "rb") as f:
    while data := f.read(52428800):
        view = memoryview(data)
        shas += [hashlib.sha256(view[i:i + 32768]).hexdigest() for i in range(0, len(data), 32768)]
`
	compresses = `
import hashlib, sys, zlib
shas = []
with open(sys.argv[1], "rb") as f:
    while data := f.read(52428800):
        view = memoryview(data)
        shas += [hashlib.sha256(view[i:i + 32768]).hexdigest() for i in range(0, len(data), 32768)]
        packed = zlib.compress(data)
        hashlib.md5(packed).hexdigest(), hashlib.md5(data).hexdigest()
`
)

// made is a backup and what it was made of.
type made struct {
	root, digest string
	base         *stowage.Snapshot
}

// backups makes backups of one volume.
type backups struct {
	*rig
	engine *engine.Engine
	store  *store
	key    seal.Key
	master *seal.Master
	kind   string
}

// measure prints the rows of one kind of volume.
func (r *rig) measure(ctx context.Context, t *table, kind string) error {
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		return err
	}
	key, err := master.NewKey("bench")
	if err != nil {
		return err
	}
	b := &backups{r, engine.New(engine.Options{}), newStore(), key, master, kind}
	f, err := r.freeze(ctx, kind)
	if err != nil {
		return err
	}
	if err := b.peers(ctx, t, f); err != nil {
		return err
	}
	last, err := b.fulls(ctx, t, f)
	if err != nil {
		return err
	}
	if last.base, err = r.keep(ctx, f); err != nil {
		return err
	}
	for _, mode := range []engine.Mode{engine.Changed, engine.Compared} {
		if mode == engine.Changed && kind == "thick" {
			continue // nobody tells what changed
		}
		for _, share := range []int64{1, 0} {
			if last, err = b.increments(ctx, t, mode, share, last); err != nil {
				return err
			}
		}
	}
	if err := r.remove(ctx, last.base); err != nil {
		return err
	}
	return b.around(ctx, t)
}

// peers are other ways to read the snapshot.
func (b *backups) peers(ctx context.Context, t *table, f *frozen) error {
	if t.quick {
		return nil
	}
	path, err := f.path(ctx)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		what string
		args []string
	}{
		{"dd, O_DIRECT", []string{"dd", "if=" + path, "of=/dev/null", "bs=4M", "iflag=direct"}},
		{"cinder-backup's way, increment: read, hash", []string{"python3", "-c", hashes, path}},
		{"cinder-backup's way, full: read, hash, zlib", []string{"python3", "-c", compresses, path}},
	} {
		if b.kind == "thick" && p.args[len(p.args)-2] == compresses {
			continue // it takes long, and would tell the same
		}
		err := t.row(b.kind+": "+p.what, forgotten, func() (int64, int64, error) {
			out, err := exec.CommandContext(ctx, p.args[0], p.args[1:]...).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return b.size, 0, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fulls measures full backups of one snapshot, opened anew for each.
func (b *backups) fulls(ctx context.Context, t *table, f *frozen) (last made, err error) {
	prepare := func() (err error) {
		if err = errors.Join(f.source.Close(), forgotten()); err == nil {
			f.source, err = b.vols.OpenSnapshot(ctx, f.snap)
		}
		return err
	}
	err = t.row(b.kind+": full backup", prepare, func() (int64, int64, error) {
		got, err := b.backup(ctx, f, made{})
		last = made{root: got.Root, digest: got.RootDigest}
		return got.ReadBytes, got.StoredBytes, err
	})
	return last, err
}

// increments measures backups after a share of the volume was changed, in
// percent.
func (b *backups) increments(ctx context.Context, t *table, mode engine.Mode, share int64, last made) (made, error) {
	what := fmt.Sprintf("increment of %d %%, %s", share, map[engine.Mode]string{engine.Changed: "by thin_delta", engine.Compared: "compared"}[mode])
	var f *frozen
	seed := uint64(time.Now().UnixNano())
	prepare := func() (err error) {
		if f != nil {
			// What a manager does after a backup.
			old := last.base
			if last.base, err = b.keep(ctx, f); err == nil {
				err = b.remove(ctx, old)
			}
		}
		seed++
		if err == nil {
			err = dirty(device(b.kind), b.size, share, seed)
		}
		if err == nil {
			f, err = b.freeze(ctx, b.kind)
		}
		return errors.Join(err, forgotten())
	}
	err := t.row(b.kind+": "+what, prepare, func() (int64, int64, error) {
		parent := last
		if mode == engine.Compared {
			parent.base = nil
		}
		got, err := b.backup(ctx, f, parent)
		if err == nil && got.Mode != mode {
			err = fmt.Errorf("it was %s", got.Mode)
		}
		last.root, last.digest = got.Root, got.RootDigest
		return got.ReadBytes, got.StoredBytes, err
	})
	if err != nil {
		return last, err
	}
	if err = b.remove(ctx, last.base); err == nil {
		last.base, err = b.keep(ctx, f)
	}
	return last, err
}

// around measures what comes before and after a transfer, which does not
// depend on the size of the volume.
func (b *backups) around(ctx context.Context, t *table) error {
	var base *stowage.Snapshot
	err := t.row(b.kind+": its snapshot taken, opened, kept or removed", nil, func() (int64, int64, error) {
		f, err := b.freeze(ctx, b.kind)
		if err != nil {
			return 0, 0, err
		}
		old := base
		if base, err = b.keep(ctx, f); err == nil {
			err = b.remove(ctx, old)
		}
		return 0, 0, err
	})
	return errors.Join(err, b.remove(ctx, base))
}

func (b *backups) backup(ctx context.Context, f *frozen, parent made) (engine.BackupResult, error) {
	id := uuid.New()
	in := engine.BackupInput{
		Source: f.source, Store: b.store, Attempt: manifest.Attempt{Backup: id, Fence: 1}, Key: &b.key, Progress: &engine.Progress{},
		Info: manifest.Info{
			Backup: id, Fence: 1, Project: "bench", Volume: stowage.VolumeRecord{ID: b.kind}, SnapshotAt: f.snap.At, CreatedAt: f.snap.At,
		},
		Check: func(ctx context.Context) error { return b.vols.CheckSnapshot(ctx, f.snap) },
	}
	if parent.root != "" {
		root, err := b.engine.ReadRoot(ctx, b.store, parent.root, parent.digest, b)
		if err != nil {
			return engine.BackupResult{}, err
		}
		in.Parent, in.Base = root.Root, parent.base
	}
	return b.engine.Backup(ctx, in)
}

// Key opens the one key there is.
func (b *backups) Key(_ context.Context, id seal.KeyID, wrapped []byte) (seal.Key, error) {
	return b.master.Unwrap(id, wrapped, "bench")
}
