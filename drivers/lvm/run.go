package lvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stowage/stowage"
)

// Command is one call of a tool.
type Command struct {
	Path string
	Args []string
	// Changes: it must not be killed, see the package's comment. Once started
	// it runs to its end, whatever becomes of the context; when its time is
	// over it is asked to stop, which lvm2 does between its steps.
	Changes bool
	// Timeout bounds it.
	Timeout time.Duration
}

func (c Command) String() string {
	return filepath.Base(c.Path) + " " + strings.Join(c.Args, " ")
}

// Runner runs tools. An error of type *ExitError is the tool's own verdict;
// what it says on stderr otherwise is none.
type Runner interface {
	Run(ctx context.Context, c Command, stdout io.Writer) error
}

// ExitError is a tool that said no.
type ExitError struct {
	Command string
	Code    int
	Stderr  string
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s: exit code %d: %s", e.Command, e.Code, e.Stderr)
}

// Times that commands may take, with a host in mind that is busy.
const (
	lookTimeout   = 2 * time.Minute
	changeTimeout = 5 * time.Minute
	dumpTimeout   = 15 * time.Minute
)

// processes is the Runner that is not a test's.
type processes struct{ env []string }

func (p processes) Run(ctx context.Context, c Command, stdout io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parent := ctx
	if c.Changes {
		parent = context.WithoutCancel(ctx)
	}
	bounded, cancel := context.WithTimeout(parent, c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, c.Path, c.Args...)
	// Nothing is inherited: a setting of the service must not change a format.
	cmd.Env = append([]string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LVM_SUPPRESS_FD_WARNINGS=1"}, p.env...)
	cmd.Dir = "/"
	// A group of its own: a signal for the service's group is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr tail
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	stop := syscall.SIGTERM
	if !c.Changes {
		stop, cmd.WaitDelay = syscall.SIGKILL, 5*time.Second
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, stop) }
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && !c.Changes {
		return ctx.Err()
	}
	if bounded.Err() != nil {
		return stowage.Wrap(stowage.Unavailable, err, "%s took longer than %s", filepath.Base(c.Path), c.Timeout)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return &ExitError{Command: c.String(), Code: exit.ExitCode(), Stderr: strings.TrimSpace(string(stderr.text))}
	}
	return fmt.Errorf("%s: %w", c, err)
}

// tail keeps the last of what a tool says.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - 4096; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

// lvm runs a command of lvm2.
func (v *Volumes) lvm(ctx context.Context, changes bool, args ...string) ([]byte, error) {
	return v.run(ctx, v.o.LVM, changes, args)
}

// dmsetup asks device-mapper, or with changes has it do something.
func (v *Volumes) dmsetup(ctx context.Context, changes bool, args ...string) ([]byte, error) {
	return v.run(ctx, v.o.Dmsetup, changes, args)
}

func (v *Volumes) run(ctx context.Context, path string, changes bool, args []string) ([]byte, error) {
	c := Command{Path: path, Args: args, Changes: changes, Timeout: lookTimeout}
	if changes {
		c.Timeout = changeTimeout
	}
	var out bytes.Buffer
	err := v.o.Runner.Run(ctx, c, &out)
	return out.Bytes(), err
}
