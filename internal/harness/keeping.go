package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Keeping is the file driver as one that keeps snapshots and tells what changed since,
// by comparing.
type Keeping struct {
	drivers.Volumes
	Dir  string // of the snapshots
	Then func() // runs when one has been kept; may be nil
}

func (k *Keeping) CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (stowage.Snapshot, error) {
	return k.Volumes.(drivers.CinderSnapshots).CinderSnapshot(ctx, vol, id)
}

func (k *Keeping) KeepSnapshot(ctx context.Context, snap stowage.Snapshot, name string) (stowage.Snapshot, error) {
	kept := snap
	kept.Name = name
	if k.CheckSnapshot(ctx, kept) == nil {
		return kept, nil
	}
	if err := k.CheckSnapshot(ctx, snap); err != nil {
		return snap, err
	}
	path := func(s stowage.Snapshot) string { return filepath.Join(k.Dir, s.Volume.Name+"@"+s.Name) }
	if k.Then != nil {
		defer k.Then()
	}
	return kept, os.Rename(path(snap), path(kept))
}

func (k *Keeping) OpenSnapshot(ctx context.Context, snap stowage.Snapshot) (drivers.Source, error) {
	s, err := k.Volumes.OpenSnapshot(ctx, snap)
	if err != nil {
		return nil, err
	}
	return &comparing{s, k}, nil
}

type comparing struct {
	drivers.Source
	volumes *Keeping
}

func (c *comparing) Changed(ctx context.Context, base stowage.Snapshot, offset, length int64, fn func(stowage.Extent) error) error {
	old, err := c.volumes.Volumes.OpenSnapshot(ctx, base)
	if err != nil {
		return err
	}
	defer old.Close()
	const block = 4096
	for at := offset; at < offset+length; at += block {
		n := min(block, offset+length-at)
		was, is := make([]byte, n), make([]byte, n)
		for source, buf := range map[drivers.Source][]byte{old: was, c.Source: is} {
			if _, err := source.ReadAt(buf, at); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if !bytes.Equal(was, is) {
			if err := fn(stowage.Extent{Offset: at, Length: n}); err != nil {
				return err
			}
		}
	}
	return c.volumes.CheckSnapshot(ctx, base)
}
