package engine

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// Delete removes packs and map objects of a volume. That nothing reaches them
// is the caller's to know. What is gone already, also the container, is no
// error, so a delete that was cut short can be run again. progress may be nil;
// it counts objects.
func (e *Engine) Delete(ctx context.Context, store drivers.Store, volume string, objects *manifest.Objects, progress *Progress) error {
	if progress == nil {
		progress = &Progress{}
	}
	progress.all.Add(int64(objects.Len()))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(e.opts.Fetches)
	each := objects.Each(func(kind seal.Kind, p manifest.Place) error {
		name := manifest.PackName(volume, p)
		if kind == seal.Map {
			name = manifest.MapName(volume, p)
		}
		group.Go(func() error { return remove(gctx, store, name, progress) })
		return gctx.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return each
}

// DeleteMember removes all objects of one backup of cinder-backup's; else as
// Delete. Its _metadata goes first, so that what is left is taken for no backup.
func (e *Engine) DeleteMember(ctx context.Context, store drivers.Store, m cinderbackup.Member, progress *Progress) error {
	if progress == nil {
		progress = &Progress{}
	}
	progress.all.Add(int64(m.Objects) + 2)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(e.opts.Fetches)
	first := true
	each := m.Names(func(name string) error {
		if first {
			first = false
			return remove(gctx, store, name, progress)
		}
		group.Go(func() error { return remove(gctx, store, name, progress) })
		return gctx.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return each
}

// DeleteRoot removes a root: from now on the container knows no such backup.
func (e *Engine) DeleteRoot(ctx context.Context, store drivers.Store, name string) error {
	return remove(ctx, store, name, &Progress{})
}

// deleteBatch is how many names are kept at once: the container is the
// tenant's, and so is how many there are.
const deleteBatch = 1000

// DeletePrefix removes what a listing finds under prefix, but for the names
// that are to be kept. It is for what an attempt left that nothing
// leads to; since a listing may lag, it is run again after a while.
func (e *Engine) DeletePrefix(ctx context.Context, store drivers.Store, prefix string, keep func(name string) bool) error {
	var names []string
	removeAll := func() error {
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(e.opts.Fetches)
		for _, name := range names {
			group.Go(func() error { return remove(gctx, store, name, &Progress{}) })
		}
		names = names[:0]
		return group.Wait()
	}
	err := store.List(ctx, prefix, func(o drivers.ObjectInfo) error {
		// The list is the store's word; what is deleted is what may be.
		if strings.HasPrefix(o.Name, prefix) && !keep(o.Name) {
			names = append(names, o.Name)
		}
		if len(names) < deleteBatch {
			return nil
		}
		return removeAll()
	})
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil // no container, nothing in it
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	return removeAll()
}

func remove(ctx context.Context, store drivers.Store, name string, progress *Progress) error {
	if err := store.Delete(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	progress.done.Add(1)
	return nil
}
