package mount

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// maxListed is how many entries a listing has at most.
const maxListed = 10000

// List lists a directory of a file system, by name.
func (s *Session) List(ctx context.Context, volume, told string) (stowage.Listing, error) {
	dir, err := inside(told)
	if err != nil {
		return stowage.Listing{}, err
	}
	var names []string
	err = s.on(ctx, volume, func(g *guest) error { names, err = g.names(dir); return err })
	if err != nil {
		return stowage.Listing{}, err
	}
	l := stowage.Listing{Total: len(names), Files: []stowage.File{}}
	for part := range slices.Chunk(names[:min(len(names), maxListed)], statsAtOnce) {
		files, err := s.stats(ctx, volume, dir, part)
		if err != nil {
			return l, err
		}
		l.Total -= len(part) - len(files)
		l.Files = append(l.Files, files...)
	}
	for i, f := range l.Files {
		l.Files[i].Name = text(f.Name)
	}
	return l, nil
}

// on has fn use the virtual machine with a file system mounted. Between two
// calls another's may have been.
func (s *Session) on(ctx context.Context, volume string, fn func(*guest) error) error {
	return s.with(ctx, func(g *guest) error {
		if err := g.mount(volume); err != nil {
			return err
		}
		return fn(g)
	})
}

// names gives the names in a directory, in order, as bytes.
func (g *guest) names(dir string) ([]string, error) {
	data, err := g.output(maxNames, "ls0", remote(dir), "%s")
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	names = slices.DeleteFunc(names, func(n string) bool { return !sound(n) })
	slices.Sort(names)
	return slices.Compact(names), nil
}

// statsAtOnce is how many entries are looked at in one turn.
const statsAtOnce = 500

// stats looks at entries of a directory. Those that are none of the kinds that are
// shown, or gone, are left out. Names stay bytes.
func (s *Session) stats(ctx context.Context, volume, dir string, names []string) (files []stowage.File, err error) {
	err = s.on(ctx, volume, func(g *guest) error {
		files, err = g.stats(dir, names)
		return err
	})
	return files, err
}

func (g *guest) stats(dir string, names []string) ([]stowage.File, error) {
	var files []stowage.File
	var list []string
	flush := func() error {
		found, err := g.statList(dir, list)
		files, list = append(files, found...), nil
		return err
	}
	room := maxLine - len(quote(remote(dir))) - 100
	size := 0
	for _, name := range names {
		n := len(quote(name)) + 3
		if !listable(name) {
			f, ok, err := g.stat(path.Join(dir, name))
			if stowage.CodeOf(err) == stowage.NotFound {
				continue
			}
			if err != nil {
				return nil, err
			}
			if ok {
				files = append(files, f)
			}
			continue
		}
		if size += n; size > room {
			if err := flush(); err != nil {
				return nil, err
			}
			size = n
		}
		list = append(list, name)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b stowage.File) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range files {
		if f.Kind == stowage.FileLink {
			_, err := g.call("statns", remote(path.Join(dir, f.Name)))
			if err != nil && g.gone() {
				return nil, err
			}
			if err != nil {
				files[i].Kind = stowage.FileBrokenLink
			}
		}
	}
	return files, nil
}

// statList looks at names that can be listed.
func (g *guest) statList(dir string, names []string) ([]stowage.File, error) {
	if len(names) == 0 {
		return nil, nil
	}
	told, err := g.call("lstatnslist", remote(dir), listOf(names))
	if err != nil {
		return nil, err
	}
	records := strings.Split(string(told), "] = {\n")[1:]
	if len(records) != len(names) {
		return nil, fmt.Errorf("%d of %d entries of a directory were told", len(records), len(names))
	}
	var files []stowage.File
	for i, r := range records {
		if f, ok := entry(names[i], r); ok {
			files = append(files, f)
		}
	}
	return files, nil
}

// stat looks at what a path names, not at what that leads to; false: it is none
// of the kinds that are shown.
func (g *guest) stat(p string) (stowage.File, bool, error) { return g.statAs("lstatns", p) }

func (g *guest) statAs(command, p string) (stowage.File, bool, error) {
	told, err := g.call(command, remote(p))
	if err != nil {
		return stowage.File{}, false, err
	}
	f, ok := entry(path.Base(p), string(told))
	return f, ok, nil
}

// Kinds of files, as Linux has them in a mode.
const (
	modeKind      = 0o170000
	modeRegular   = 0o100000
	modeDirectory = 0o040000
	modeLink      = 0o120000
)

// entry reads a record of numbers.
func entry(name, record string) (stowage.File, bool) {
	n := map[string]int64{}
	for line := range strings.Lines(record) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if number, err := strconv.ParseInt(value, 10, 64); err == nil {
			n[key] = number
		}
	}
	f := stowage.File{
		Name: name, Size: max(n["st_size"], 0), Modified: time.Unix(n["st_mtime_sec"], n["st_mtime_nsec"]).UTC(),
		Owner: n["st_uid"], Group: n["st_gid"], Mode: uint32(n["st_mode"] & 0o777),
	}
	if n["st_ino"] < 0 { // it cannot be looked at
		return f, false
	}
	switch n["st_mode"] & modeKind {
	case modeRegular:
		f.Kind = stowage.FileRegular
	case modeDirectory:
		f.Kind = stowage.FileDirectory
	case modeLink:
		f.Kind = stowage.FileLink
	default:
		return f, false
	}
	return f, true
}
