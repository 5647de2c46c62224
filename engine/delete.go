package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
)

// Delete removes every object of a backup: those its manifest names, and those
// a listing of root finds (what earlier attempts left). prefix is the one the
// backup was committed under, empty if it never was; it begins with root. The
// manifest goes last, so that a delete that was cut short can be run again. A
// container that is gone has nothing left to delete.
func (e *Engine) Delete(ctx context.Context, store drivers.Store, root, prefix, digest string, progress *Progress) error {
	var names []string
	last := ""
	if prefix != "" {
		last = manifest.Name(prefix)
		m, err := ReadManifest(ctx, store, prefix, digest)
		_, missing := errors.AsType[*Missing](err)
		switch {
		case missing, stowage.CodeOf(err) == stowage.Corrupt:
			// Gone or overwritten: the listing has to do.
		case err != nil:
			return err
		default:
			for _, p := range m.Packs {
				names = append(names, manifest.PackName(prefix, p.Region))
			}
		}
	}
	progress.all.Store(int64(len(names)))
	if err := deleteAll(ctx, store, names, progress); err != nil {
		return err
	}
	if err := deleteUnder(ctx, store, root, func(name string) bool { return name != last }, progress); err != nil {
		return err
	}
	if last == "" {
		return nil
	}
	if err := store.Delete(ctx, last); err != nil {
		return fmt.Errorf("delete %s: %w", last, err)
	}
	return nil
}

// DeleteListed removes those of the objects that a listing of root finds for
// which says so.
func (e *Engine) DeleteListed(ctx context.Context, store drivers.Store, root string, which func(name string) bool) error {
	return deleteUnder(ctx, store, root, which, &Progress{})
}

// batch is how many names are kept at once: the container is the tenant's, and
// so is how many there are.
const batch = 1000

// deleteUnder removes what a listing finds, batch by batch.
func deleteUnder(ctx context.Context, store drivers.Store, root string, which func(string) bool, progress *Progress) error {
	var names []string
	remove := func() error {
		progress.all.Add(int64(len(names)))
		err := deleteAll(ctx, store, names, progress)
		names = names[:0]
		return err
	}
	err := store.List(ctx, root, func(o drivers.ObjectInfo) error {
		// The list is the store's word; what we delete is what we may.
		if strings.HasPrefix(o.Name, root) && which(o.Name) {
			names = append(names, o.Name)
		}
		if len(names) < batch {
			return nil
		}
		return remove()
	})
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil // no container, nothing in it
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", root, err)
	}
	return remove()
}

func deleteAll(ctx context.Context, store drivers.Store, names []string, progress *Progress) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, name := range names {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := store.Delete(gctx, name); err != nil {
				return fmt.Errorf("delete %s: %w", name, err)
			}
			progress.done.Add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
