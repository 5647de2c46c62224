package mount

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/stowage/stowage"
)

// Image is a disk that can be read anywhere, by many at once.
type Image interface {
	io.ReaderAt
	Size() int64
}

// Disk serves an image by NBD, read-only, on a Unix socket.
type Disk struct {
	Socket string // of NBD, mode 0600

	server *http.Server
	served chan error
	nbdkit *process
}

// nbdStart is how long nbdkit may take to begin; it needs some milliseconds.
const nbdStart = 30 * time.Second

// ServeDisk serves an image on the socket of that name, until it is closed. What
// it needs besides lies in dir, which must be ours alone.
func ServeDisk(ctx context.Context, log *slog.Logger, image Image, dir, socket string) (_ *Disk, err error) {
	kit, err := program("nbdkit")
	if err != nil {
		return nil, err
	}
	own := filepath.Join(dir, "image.sock")
	l, err := net.Listen("unix", own)
	if err != nil {
		return nil, err
	}
	d := &Disk{Socket: socket, served: make(chan error, 1)}
	d.server = &http.Server{
		Handler: content(log, image), ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { d.served <- d.server.Serve(l) }()
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := os.Chmod(own, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(kit, "--foreground", "--exit-with-parent", "--readonly", "--unix", socket, "--log=stderr",
		"curl", "url=http://image/", "unix-socket-path="+own, "protocols=http", "timeout=600")
	cmd.Env = environment("HOME="+dir, "TMPDIR="+dir)
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if d.nbdkit, err = begin(cmd); err != nil {
		return nil, err
	}
	go hear(context.WithoutCancel(ctx), log, "nbdkit", said)
	return d, d.await(ctx)
}

// await waits until somebody answers on the socket.
func (d *Disk) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, nbdStart)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", d.Socket); err == nil {
			return errors.Join(c.Close(), os.Chmod(d.Socket, 0o600))
		}
		select {
		case <-d.nbdkit.done:
			return stowage.Wrap(stowage.Unavailable, d.nbdkit.err, "The backup could not be served: nbdkit ended.")
		case <-ctx.Done():
			return stowage.Wrap(stowage.Unavailable, ctx.Err(), "The backup could not be served: nbdkit did not begin.")
		case <-tick.C:
		}
	}
}

// Ended is closed when nobody serves the disk any more.
func (d *Disk) Ended() <-chan struct{} { return d.nbdkit.done }

// Close stops serving.
func (d *Disk) Close() error {
	if d.nbdkit != nil {
		d.nbdkit.end()
	}
	err := d.server.Close()
	if served := <-d.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	d.served <- http.ErrServerClosed // for who closes again
	return err
}

// content answers with the image, or ranges of it. A range that cannot be read is
// cut off, which its reader notices by the length.
func content(log *slog.Logger, image Image) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream") // or it is guessed, which reads
		told := &telling{ctx: r.Context(), log: log, image: image}
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(told, 0, image.Size()))
	})
}

// telling logs what cannot be read: who asked is only told that it cannot.
type telling struct {
	ctx   context.Context
	log   *slog.Logger
	image Image
}

// ReadAt implements io.ReaderAt.
func (t *telling) ReadAt(p []byte, off int64) (int, error) {
	n, err := t.image.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) && t.ctx.Err() == nil {
		t.log.WarnContext(t.ctx, "a part of a mounted backup cannot be read", "offset", off, "length", len(p), "error", err)
	}
	return n, err
}
