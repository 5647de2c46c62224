package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// List walks the directories that can hold such names. One directory is in
// memory at a time on each level.
func (s *store) List(ctx context.Context, prefix string, fn func(drivers.ObjectInfo) error) error {
	if prefix != "" && !validText(prefix, 1024) {
		return stowage.Errorf(stowage.Invalid, "%.40q is no prefix of names", prefix)
	}
	w := walk{store: s, ctx: ctx, prefix: prefix, fn: fn}
	return w.dir(s.top, "")
}

type walk struct {
	*store
	ctx    context.Context
	prefix string
	fn     func(drivers.ObjectInfo) error
}

// dir lists a directory whose names all begin with base.
func (w *walk) dir(dir, base string) error {
	if err := w.ctx.Err(); err != nil {
		return fmt.Errorf("list container %s: %w", w.container, err)
	}
	entries, err := w.entries(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != w.top {
		return nil // emptied meanwhile
	}
	if err != nil {
		return coded(err, "list container %s", w.container)
	}
	for _, e := range entries {
		name := base + e.key
		switch {
		case e.file && strings.HasPrefix(name, w.prefix):
			err = w.object(path.Join(dir, e.disk), name)
		case !e.file && (strings.HasPrefix(name, w.prefix) || strings.HasPrefix(w.prefix, name)):
			err = w.dir(path.Join(dir, e.disk), name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries gives what is ours in a directory, in the order of names.
func (w *walk) entries(dir string) ([]entry, error) {
	d, err := w.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	found, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, f := range found {
		if !f.IsDir() && !f.Type().IsRegular() {
			continue
		}
		if e, ok := decode(f.Name(), !f.IsDir()); ok {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return entries, nil
}

func (w *walk) object(file, name string) error {
	if err := w.ctx.Err(); err != nil {
		return fmt.Errorf("list container %s: %w", w.container, err)
	}
	info, err := w.root.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return coded(err, "look at object %s of container %s", name, w.container)
	}
	return w.fn(drivers.ObjectInfo{Name: name, Bytes: info.Size(), Modified: info.ModTime().UTC()})
}
