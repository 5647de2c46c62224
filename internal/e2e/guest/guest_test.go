package guest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Everything that can be asked for, over a pipe.
func TestAgent(t *testing.T) {
	here, there := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- (&Agent{}).Serve(there) }()
	c, dir := NewClient(here), t.TempDir()

	out, err := c.Run("/bin/sh", "-c", `echo "$1"; echo two >&2`, "sh", "a  b")
	if err != nil || out != "a  b\ntwo\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := c.Run("/bin/sh", "-c", "echo why; exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3: why") {
		t.Errorf("a command that fails: %v", err)
	}
	if _, err := c.Run("/no/such/command"); err == nil {
		t.Error("a command that is not there has run")
	}
	file := filepath.Join(dir, "file")
	if err := c.Write(file, []byte("text")); err != nil {
		t.Error(err)
	}
	if text, err := c.Read(file); string(text) != "text" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}

	log := filepath.Join(dir, "log")
	pid, err := c.Start(log, []string{"WORD=here"}, "/bin/sh", "-c", "echo $WORD; exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	for text := []byte(nil); string(text) != "here\n"; {
		if text, err = c.Read(log); err != nil {
			t.Fatal(err)
		}
	}
	if lives, err := c.Lives(pid); !lives || err != nil {
		t.Errorf("lives: %v, %v", lives, err)
	}
	if err := c.Signal(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	for lives := true; lives; {
		if lives, err = c.Lives(pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Signal(pid, syscall.SIGKILL); err != nil {
		t.Errorf("a signal for one that has ended: %v", err)
	}

	if pid, err = c.Start(log, nil, "sleep", "600"); err != nil {
		t.Fatal(err)
	}
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Errorf("hung up: %v", err)
	}
	for syscall.Kill(pid, 0) == nil { // until it has been waited for
	}
}
