package mount

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stowage/stowage"
)

// guest is a running guestfish with its virtual machine. Its methods are called
// by one at a time.
type guest struct {
	*process
	dir   string
	in    io.WriteCloser
	out   *bufio.Reader
	errs  *bufio.Reader
	limit time.Duration // of a call
	on    string        // the file system that is mounted in it; empty: none
}

// maxOutput bounds what one command prints; maxNames what a directory's names take.
const (
	maxOutput = 4 << 20
	maxNames  = 16 << 20
)

// errDead means that the virtual machine is gone; another can be started.
var errDead = errors.New("the virtual machine ended")

// launch starts guestfish on a disk. It ends with ctx.
func (m *Mounter) launch(ctx context.Context, dir, nbd string) (*guest, error) {
	slow := m.slow.Load()
	g, err := m.launchAs(ctx, dir, nbd, slow)
	if err == nil || slow || ctx.Err() != nil || errors.Is(err, errNoAppliance) {
		return g, err
	}
	// A host may have a /dev/kvm that does not work.
	m.Log.Warn("libguestfs did not start, and is tried without KVM", "error", err)
	if g, again := m.launchAs(ctx, dir, nbd, true); again == nil {
		m.slow.Store(true)
		return g, nil
	}
	return nil, err
}

var errNoAppliance = errors.New("no appliance")

func (m *Mounter) launchAs(ctx context.Context, dir, nbd string, slow bool) (_ *guest, err error) {
	fish, err := program("guestfish")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoAppliance, err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(fish, "--ro")
	cmd.Dir = tmp
	settings := ""
	if slow {
		settings = "force_tcg"
	}
	cmd.Env = environment("HOME="+tmp, "TMPDIR="+tmp, "LIBGUESTFS_TMPDIR="+tmp, "XDG_RUNTIME_DIR="+tmp, "LIBGUESTFS_CACHEDIR="+m.cache(),
		"LIBGUESTFS_BACKEND=direct", "LIBGUESTFS_BACKEND_SETTINGS="+settings, fmt.Sprintf("LIBGUESTFS_MEMSIZE=%d", m.MemoryMB))
	g := &guest{dir: dir, limit: m.LaunchTime}
	if g.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, outs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errs, errsOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, out.Close(), outs.Close())
	}
	cmd.Stdout, cmd.Stderr = outs, errsOut
	g.process, err = begin(cmd)
	err = errors.Join(err, outs.Close(), errsOut.Close())
	if err != nil {
		return nil, errors.Join(err, out.Close(), errs.Close())
	}
	g.out, g.errs = bufio.NewReaderSize(out, 64<<10), bufio.NewReaderSize(errs, 64<<10)
	stop := context.AfterFunc(ctx, g.end)
	go func() {
		<-g.done
		stop()
		_, _ = out.Close(), errs.Close()
	}()
	defer func() {
		if err != nil {
			g.end()
		}
	}()
	for _, words := range [][]string{
		{"add-drive", "", "readonly:true", "format:raw", "protocol:nbd", "server:unix:" + nbd},
		{"run"},
	} {
		if _, err := g.call(words[0], words[1:]...); err != nil {
			return nil, fmt.Errorf("%s: %w", words[0], err)
		}
	}
	g.limit = m.CallTime
	return g, nil
}

// call has guestfish carry out one command, and gives what it prints. Where one
// command ends is marked by words that nobody who made the disk can know: one
// printed, and one that is no command, which guestfish complains about in the
// stream of its errors.
func (g *guest) call(command string, args ...string) ([]byte, error) {
	words, err := line(command, args...)
	if err != nil {
		return nil, err
	}
	mark := "mark-" + rand.Text()
	if _, err := fmt.Fprintf(g.in, "-%s\n-echo %s\n-%s\n", words, mark, mark); err != nil {
		g.end()
		return nil, fmt.Errorf("%w: %w", errDead, err)
	}
	late := time.AfterFunc(g.limit, g.end)
	complaints := make(chan part, 1)
	go func() { complaints <- until(g.errs, mark) }()
	printed := until(g.out, mark)
	complained := <-complaints
	if !late.Stop() {
		return nil, stowage.Wrap(stowage.Unavailable, errDead, "The backup did not answer within %s.", g.limit)
	}
	if err := errors.Join(printed.err, complained.err); err != nil {
		g.end()
		return nil, fmt.Errorf("%w: %w: %s", errDead, err, bytes.TrimSpace(complained.text))
	}
	if err := complaint(string(complained.text)); err != nil {
		return nil, err
	}
	if printed.over {
		return nil, stowage.Errorf(stowage.OverLimit, "There is too much to tell.")
	}
	return printed.text, nil
}

// part is what was said before a mark.
type part struct {
	text []byte
	over bool // there was more
	err  error
}

// until reads lines up to the one with the mark.
func until(from *bufio.Reader, mark string) (p part) {
	for {
		line, err := from.ReadSlice('\n')
		if bytes.Contains(line, []byte(mark)) {
			return p
		}
		if p.over = p.over || len(p.text)+len(line) > maxOutput; !p.over {
			p.text = append(p.text, line...)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			p.err = err
			return p
		}
	}
}

// complaint makes an error of what stands in the stream of errors; nil: there are
// warnings at most.
func complaint(stream string) error {
	_, said, failed := strings.Cut(stream, "libguestfs: error: ")
	if !failed {
		for line := range strings.Lines(stream) {
			if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "libguestfs: warning: ") {
				return fmt.Errorf("guestfish: %s", strings.TrimSpace(stream))
			}
		}
		return nil
	}
	said = strings.TrimSpace(said)
	cause := errors.New(said)
	switch {
	case strings.HasSuffix(said, ": No such file or directory"):
		return stowage.Wrap(stowage.NotFound, cause, "There is no such file or directory.")
	case strings.HasSuffix(said, ": Not a directory"):
		return stowage.Wrap(stowage.Invalid, cause, "That is no directory.")
	case strings.HasSuffix(said, ": Is a directory"):
		return stowage.Wrap(stowage.Invalid, cause, "That is a directory.")
	case strings.HasSuffix(said, ": Too many levels of symbolic links"), strings.HasSuffix(said, ": File name too long"):
		return stowage.Wrap(stowage.Invalid, cause, "The path leads nowhere.")
	}
	return stowage.Wrap(stowage.Unavailable, cause, "The file system could not be read.")
}

// output is call for a command that writes to a file of ours: %s among the
// arguments stands for it. It gives at most so many bytes; more are OverLimit.
func (g *guest) output(most int, command string, args ...string) ([]byte, error) {
	pipe := filepath.Join(g.dir, "data")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	// Ours as well, so that reading neither ends before guestfish opens its
	// end nor waits for ever if it does not.
	hold, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	from, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Join(err, hold.Close())
	}
	type read struct {
		data []byte
		err  error
	}
	got := make(chan read, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(from, int64(most)+1))
		if err == nil {
			_, err = io.Copy(io.Discard, from)
		}
		got <- read{data, err}
	}()
	for i, a := range args {
		if a == "%s" {
			args[i] = pipe
		}
	}
	_, err = g.call(command, args...)
	err = errors.Join(err, hold.Close())
	r := <-got
	if err := errors.Join(err, r.err, from.Close()); err != nil {
		return nil, err
	}
	if len(r.data) > most {
		return nil, stowage.Errorf(stowage.OverLimit, "There is too much to tell.")
	}
	return r.data, nil
}

// turn waits for one's turn.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }
