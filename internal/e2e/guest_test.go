//go:build stack

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stowage/stowage/internal/e2e/guest"
	"github.com/stowage/stowage/internal/stacktest"
)

// machine is a guest of devstack/lvm-guest that runs until the test ends, with
// the host's services at the addresses they have on the host, and a directory
// that it sees at the same path.
type machine struct {
	testing.TB
	*guest.Client
	dir  string
	cmd  *exec.Cmd
	out  strings.Builder
	logs []string // in the guest
}

// guestDirs is where guests' directories are: the guest hides /tmp behind one
// of its own.
const guestDirs = "/var/tmp/stowage-e2e-guest-"

// boot fails the test where no guest comes up: it must not look like a pass.
func boot(t testing.TB, disks ...string) *machine {
	t.Helper()
	m := &machine{TB: t}
	var err error
	m.dir, err = os.MkdirTemp("/var/tmp", filepath.Base(guestDirs)+run.id+"-")
	fatal(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(m.dir) })
	agent := filepath.Join(m.dir, "agent")
	compile(t, agent, "github.com/stowage/stowage/internal/e2e/guest/agent")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	fatal(t, err)

	args := []string{"--memory", "2G", "--timeout", "3000", "--relay", port}
	for _, key := range []string{"DB_PORT", "RABBIT_PORT", "KEYSTONE_PORT", "SWIFT_PORT", "CINDER_PORT", "NOVA_PORT", "NEUTRON_PORT", "GLANCE_PORT"} {
		args = append(args, "--relay", stacktest.Env(t, key))
	}
	for _, size := range disks {
		args = append(args, "--disk", size)
	}
	m.cmd = exec.Command(checkout(t)+"/devstack/lvm-guest/run", append(args, agent, "127.0.0.1:"+port)...)
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error), make(chan error, 1)
	starter <- func() { started <- m.cmd.Start() }
	fatal(t, <-started)
	go func() { ended <- m.cmd.Wait() }()
	t.Cleanup(func() { m.off(ended) })
	m.Client = guest.NewClient(m.agent(listener.(*net.TCPListener), ended))
	return m
}

// agent waits until the guest has called.
func (m *machine) agent(l *net.TCPListener, ended chan error) net.Conn {
	m.Helper()
	for range 2 * int(patience/time.Second) {
		select {
		case err := <-ended:
			ended <- err
			m.Fatalf("no guest came up (devstack/lvm-guest/install): %v\n%s", err, m.out.String())
		default:
		}
		fatal(m, l.SetDeadline(time.Now().Add(time.Second)))
		conn, err := l.Accept()
		if err == nil {
			m.Cleanup(func() { _ = conn.Close() }) // with which the guest ends
			return conn
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			m.Fatal(err)
		}
	}
	m.Fatal("waited in vain until the guest calls")
	return nil
}

// off runs when the agent was hung up on.
func (m *machine) off(ended chan error) {
	select {
	case err := <-ended:
		if err != nil {
			m.Errorf("the guest ended with %v\n%s", err, m.out.String())
		}
	case <-time.After(patience):
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		m.Errorf("the guest did not end: %v\n%s", <-ended, m.out.String())
	}
}

// checkout is the root of the source.
func checkout(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	fatal(t, err)
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// compile builds a program for a kernel without anything else.
func compile(t testing.TB, to, what string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", to, what)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", what, err, out)
	}
}

// sh runs a command in the guest, or ends the test. It is named for its looks;
// there is no shell.
func (m *machine) sh(format string, args ...any) string {
	m.Helper()
	out, err := m.Run(strings.Fields(fmt.Sprintf(format, args...))...)
	fatal(m, err)
	return strings.TrimSpace(out)
}

// daemon starts a process in the guest and gives its pid.
func (m *machine) daemon(log string, env []string, args ...string) int {
	m.Helper()
	pid, err := m.Start(log, env, args...)
	fatal(m, err)
	m.logs = append(m.logs, log)
	return pid
}

// kill ends a process of the guest as a power cut would.
func (m *machine) kill(pid int, sig syscall.Signal) {
	m.Helper()
	fatal(m, m.Signal(pid, sig))
	until(m, "a process of the guest has ended", func() bool {
		lives, err := m.Lives(pid)
		fatal(m, err)
		return !lives
	})
}

// text is a file of the guest.
func (m *machine) text(path string) string {
	m.Helper()
	text, err := m.Read(path)
	fatal(m, err)
	return string(text)
}
