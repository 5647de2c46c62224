package mount

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/stowage/stowage"
)

const (
	// pieceBytes is how much of a file is read in one turn.
	pieceBytes = 4 << 20
	// maxPaths is how many paths one download names, and maxEntries how many
	// files and directories they may be in the end.
	maxPaths   = 1000
	maxEntries = 1_000_000
	// maxDepth is how deep directories are followed.
	maxDepth = 256
)

// Download prepares the download of one file, or of several and of directories as
// one archive. A path that is a link to a file is that file; links in directories
// stay links.
func (s *Session) Download(ctx context.Context, volume string, told []string) (*stowage.Download, error) {
	if len(told) == 0 || len(told) > maxPaths {
		return nil, stowage.Errorf(stowage.Invalid, "Between 1 and %d paths can be downloaded at once.", maxPaths)
	}
	var roots []root
	for _, t := range told {
		p, err := inside(t)
		if err != nil {
			return nil, err
		}
		r := root{path: p}
		err = s.on(ctx, volume, func(g *guest) error {
			var ok bool
			r.File, ok, err = g.statAs("statns", p)
			if err == nil && !ok {
				err = stowage.Errorf(stowage.Invalid, "%.100s is neither a file nor a directory.", text(p))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		roots = append(roots, r)
	}
	d := &stowage.Download{Name: archiveName(roots), Size: -1, Zip: true, Close: func() error { return nil }}
	defer func() { d.Copy = s.bounded(d.Copy) }()
	if one := roots[0]; len(roots) == 1 && one.Kind == stowage.FileRegular {
		d.Name, d.Size, d.Zip = text(one.Name), one.Size, false
		d.Copy = func(ctx context.Context, w io.Writer) error { return s.copy(ctx, volume, one.path, one.Size, w) }
		return d, nil
	}
	d.Copy = func(ctx context.Context, w io.Writer) error {
		a := &archive{s: s, volume: volume, zip: zip.NewWriter(w), names: map[string]bool{}}
		for _, r := range roots {
			if err := a.add(ctx, r.path, a.unused(r.Name), r.File, 0); err != nil {
				return err
			}
		}
		return a.zip.Close()
	}
	return d, nil
}

// bounded has only so many copies run at once.
func (s *Session) bounded(copy func(context.Context, io.Writer) error) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		select {
		case s.copies <- struct{}{}:
		default:
			return stowage.Errorf(stowage.Unavailable, "There are %d downloads from this mount under way.", maxCopies)
		}
		defer func() { <-s.copies }()
		return copy(ctx, w)
	}
}

// root is a path that a download names.
type root struct {
	stowage.File
	path string
}

func archiveName(roots []root) string {
	if name := roots[0].Name; len(roots) == 1 && name != "/" {
		return text(name) + ".zip"
	}
	return "files.zip"
}

// copy writes a file, piece by piece. It must have as many bytes as it says.
func (s *Session) copy(ctx context.Context, volume, p string, size int64, w io.Writer) error {
	for at := int64(0); at < size; at += pieceBytes {
		n := min(size-at, pieceBytes)
		var data []byte
		err := s.on(ctx, volume, func(g *guest) (err error) {
			data, err = g.output(int(n), "download-offset", remote(p), "%s", strconv.FormatInt(at, 10), strconv.FormatInt(n, 10))
			return err
		})
		if err != nil {
			return err
		}
		if int64(len(data)) != n {
			return stowage.Errorf(stowage.Unavailable, "%.100s could not be read to its end.", text(p))
		}
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("write to the client: %w", err)
		}
	}
	return ctx.Err()
}

// archive is a zip that is being written.
type archive struct {
	s       *Session
	volume  string
	zip     *zip.Writer
	names   map[string]bool // of what was asked for
	entries int
}

// unused gives a name that nothing at the top of the archive has.
func (a *archive) unused(name string) string {
	if name == "/" {
		return "" // what is in it stands at the top
	}
	name = text(name)
	free := name
	for n := 2; a.names[free]; n++ {
		free = fmt.Sprintf("%s (%d)", name, n)
	}
	a.names[free] = true
	return free
}

// add adds a file or directory as name, and what is below.
func (a *archive) add(ctx context.Context, p, name string, f stowage.File, depth int) error {
	if a.entries++; a.entries > maxEntries || depth > maxDepth {
		return stowage.Errorf(stowage.OverLimit, "There are more than %d files, or more than %d directories within one another.", maxEntries, maxDepth)
	}
	switch f.Kind {
	case stowage.FileDirectory:
		return a.directory(ctx, p, name, f, depth)
	case stowage.FileRegular:
		w, err := a.zip.CreateHeader(header(name, f, fs.FileMode(f.Mode)))
		if err != nil {
			return err
		}
		return a.s.copy(ctx, a.volume, p, f.Size, w)
	}
	w, err := a.zip.CreateHeader(header(name, f, fs.FileMode(f.Mode)|fs.ModeSymlink))
	if err != nil {
		return err
	}
	var to []byte
	err = a.s.on(ctx, a.volume, func(g *guest) error {
		to, err = g.call("readlink", remote(p))
		return err
	})
	if err == nil {
		_, err = io.WriteString(w, text(strings.TrimSuffix(string(to), "\n")))
	}
	return err
}

func (a *archive) directory(ctx context.Context, p, name string, f stowage.File, depth int) error {
	if name != "" {
		if _, err := a.zip.CreateHeader(header(name+"/", f, fs.FileMode(f.Mode)|fs.ModeDir)); err != nil {
			return err
		}
	}
	var names []string
	err := a.s.on(ctx, a.volume, func(g *guest) (err error) { names, err = g.names(p); return err })
	if err != nil {
		return err
	}
	for len(names) > 0 {
		n := min(len(names), statsAtOnce)
		files, err := a.s.stats(ctx, a.volume, p, names[:n])
		if err != nil {
			return err
		}
		names = names[n:]
		for _, f := range files {
			if err := a.add(ctx, path.Join(p, f.Name), path.Join(name, text(f.Name)), f, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func header(name string, f stowage.File, mode fs.FileMode) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: f.Modified}
	h.SetMode(mode)
	return h
}
