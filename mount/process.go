package mount

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// searched is where programs are looked for.
var searched = []string{"/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// environment is what programs see; it holds nothing of ours.
func environment(more ...string) []string {
	return append([]string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}, more...)
}

// program finds a program.
func program(name string) (string, error) {
	for _, dir := range searched {
		if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// process is a program in a process group of its own, which dies with us.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended, once done is closed

	mu   sync.Mutex
	gone bool // its number may be another's
}

// maxFile bounds each file that a program writes: the appliance has 4 GiB, a
// journal that is replayed 2 at most.
const maxFile = 5 << 30

// begin starts a program.
func begin(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the signal when the thread that started it ends, so
		// that thread must stay, whatever it does meanwhile.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	limit := &unix.Rlimit{Cur: maxFile, Max: maxFile}
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_FSIZE, limit, nil); err != nil {
		p.end()
		return nil, fmt.Errorf("bound the files of %s: %w", cmd.Path, err)
	}
	return p, nil
}

// wait waits for the program, and ends what it started.
func (p *process) wait() {
	defer close(p.done)
	pid := p.cmd.Process.Pid
	for { // until it has ended, and still has its number
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Kill(-pid, unix.SIGKILL) // nothing may be left
	p.err = p.cmd.Wait()
	p.gone = true
}

// end kills the program and all it started, and waits for it. It may be called
// again.
func (p *process) end() {
	p.mu.Lock()
	if !p.gone {
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // it may have ended
	}
	p.mu.Unlock()
	<-p.done
}

// hear logs what a program says, line by line, until it ends.
func hear(ctx context.Context, log *slog.Logger, name string, from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		log.DebugContext(ctx, "a program of a mount speaks", "program", name, "line", lines.Text())
	}
	_, _ = io.Copy(io.Discard, from) // a line that is too long
}
