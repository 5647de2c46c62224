//go:build stack

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// process is a stowage that runs.
type process struct {
	t     testing.TB
	name  string
	log   string // file that standard error goes to, behind what is there
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended, once ended is closed
}

// starter starts processes from a thread that lives as long as the program:
// they are to die with it, even if it is killed, and the kernel looks at the
// thread.
var starter = func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for fn := range work {
			fn()
		}
	}()
	return work
}()

func start(t testing.TB, name, log, bin string, args ...string) *process {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	fatal(t, err)
	defer f.Close()
	p := &process{t: t, name: name, log: log, cmd: exec.Command(bin, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LANG=C.UTF-8"}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	starter <- func() { started <- p.cmd.Start() }
	fatal(t, <-started)
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	return p
}

func (p *process) lives() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("%s: %v: %v", p.name, s, err)
	}
}

// kill ends it as a power cut would, frozen or not.
func (p *process) kill() {
	p.t.Helper()
	if p.lives() {
		_ = p.cmd.Process.Kill() // it may end by itself just now
	}
	<-p.ended
}

// freeze stops it in the middle of whatever it does.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	until(p.t, p.name+" stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		fatal(p.t, err)
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		return fields[0] == "T"
	})
}

func (p *process) thaw() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}

// stop asks it to end, and wants it to do so without an error.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	until(p.t, p.name+" has ended", func() bool { return !p.lives() })
	if p.err != nil {
		p.t.Errorf("%s ended with %v", p.name, p.err)
	}
}

// peak is the most memory it ever had.
func (p *process) peak() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	fatal(p.t, err)
	var n int64
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			return n * kib
		}
	}
	p.t.Fatalf("%s tells nothing of its memory", p.name)
	return 0
}
