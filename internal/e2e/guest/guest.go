// Package guest is how a test on the host has something done in the guest of
// devstack/lvm-guest: there an agent dials the test, which asks it to run
// commands and to start and end processes. Whoever is connected may do
// anything in the guest; the test listens on loopback.
package guest

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// request is one thing to do.
type request struct {
	Op   string // run, start, signal, lives, read, write
	Args []string
	Env  []string // beside the agent's
	Path string   // of a file; of start: where its output goes
	Data []byte
	PID  int
	Sig  syscall.Signal
}

type answer struct {
	Out   []byte
	PID   int
	Lives bool
	Err   string
}

// Agent does what it is asked to.
type Agent struct {
	mu      sync.Mutex
	started map[int]*exec.Cmd
	ended   map[int]bool
}

// Serve answers until the other side hangs up; then what was started is ended.
func (a *Agent) Serve(conn io.ReadWriter) error {
	a.started, a.ended = map[int]*exec.Cmd{}, map[int]bool{}
	defer a.killAll()
	in, out := gob.NewDecoder(conn), gob.NewEncoder(conn)
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("hear what to do: %w", err)
		}
		var did answer
		if err := a.do(r, &did); err != nil {
			did.Err = err.Error()
		}
		if err := out.Encode(did); err != nil {
			return fmt.Errorf("tell what was done: %w", err)
		}
	}
}

func (a *Agent) do(r request, did *answer) (err error) {
	switch r.Op {
	case "run":
		did.Out, err = a.command(r).CombinedOutput()
	case "start":
		did.PID, err = a.start(r)
	case "signal":
		if did.Lives = a.lives(r.PID); did.Lives {
			err = syscall.Kill(r.PID, r.Sig)
		}
	case "lives":
		did.Lives = a.lives(r.PID)
	case "read":
		did.Out, err = os.ReadFile(r.Path)
	case "write":
		err = os.WriteFile(r.Path, r.Data, 0o600)
	default:
		err = fmt.Errorf("there is no %q to do", r.Op)
	}
	return err
}

func (a *Agent) command(r request) *exec.Cmd {
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	cmd.Env = append(os.Environ(), r.Env...)
	return cmd
}

func (a *Agent) start(r request) (int, error) {
	log, err := os.OpenFile(r.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := a.command(r)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	a.mu.Lock()
	a.started[pid] = cmd
	a.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		a.mu.Lock()
		a.ended[pid] = true
		a.mu.Unlock()
	}()
	return pid, nil
}

func (a *Agent) lives(pid int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.started[pid] != nil && !a.ended[pid]
}

func (a *Agent) killAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for pid, cmd := range a.started {
		if !a.ended[pid] {
			_ = cmd.Process.Kill()
		}
	}
}

// Client asks an agent. Its methods may be called at the same time; they wait
// for one another.
type Client struct {
	mu  sync.Mutex
	in  *gob.Decoder
	out *gob.Encoder
}

// NewClient is the other end of Serve.
func NewClient(conn io.ReadWriter) *Client {
	return &Client{in: gob.NewDecoder(conn), out: gob.NewEncoder(conn)}
}

func (c *Client) ask(r request) (answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var did answer
	if err := c.out.Encode(r); err != nil {
		return did, fmt.Errorf("ask the guest to %s: %w", r.Op, err)
	}
	if err := c.in.Decode(&did); err != nil {
		return did, fmt.Errorf("hear from the guest: %w", err)
	}
	if did.Err != "" {
		return did, fmt.Errorf("%s %v%s in the guest: %s: %s", r.Op, r.Args, r.Path, did.Err, did.Out)
	}
	return did, nil
}

// Run runs a command to its end and gives all that it says.
func (c *Client) Run(args ...string) (string, error) {
	did, err := c.ask(request{Op: "run", Args: args})
	return string(did.Out), err
}

// Start starts a process whose output goes behind what is in log.
func (c *Client) Start(log string, env []string, args ...string) (pid int, err error) {
	did, err := c.ask(request{Op: "start", Path: log, Env: env, Args: args})
	return did.PID, err
}

// Signal sends a signal to what was started; one that has ended gets none.
func (c *Client) Signal(pid int, sig syscall.Signal) error {
	_, err := c.ask(request{Op: "signal", PID: pid, Sig: sig})
	return err
}

// Lives reports whether what was started is still there.
func (c *Client) Lives(pid int) (bool, error) {
	did, err := c.ask(request{Op: "lives", PID: pid})
	return did.Lives, err
}

// Read gives a file of the guest.
func (c *Client) Read(path string) ([]byte, error) {
	did, err := c.ask(request{Op: "read", Path: path})
	return did.Out, err
}

// Write writes a file of the guest, for root alone.
func (c *Client) Write(path string, data []byte) error {
	_, err := c.ask(request{Op: "write", Path: path, Data: data})
	return err
}
