package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var program string

// The program itself is tested, as a process that can be killed.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stowage-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "stowage")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Stderr = os.Stderr
	rc := 1
	if err := build.Run(); err == nil {
		rc = m.Run()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(rc)
}

// running is a stowage standalone.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string // http://127.0.0.1:port/v1.1/demo/hp-volume-backups
	out  *bytes.Buffer
	read chan struct{}
}

// start starts one on a free port and waits until it tells its address.
func start(t *testing.T, data string, flags ...string) *running {
	t.Helper()
	r := &running{t: t, out: &bytes.Buffer{}, read: make(chan struct{})}
	r.cmd = exec.Command(program, append([]string{"standalone", "--data-dir", data, "--listen", "127.0.0.1:0"}, flags...)...)
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	lines := bufio.NewReader(pipe)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, found := strings.Cut(strings.TrimSpace(first), "API at ")
	if !found {
		t.Fatalf("it says %q", first)
	}
	r.base = url + "/v1.1/demo/hp-volume-backups"
	go func() {
		defer close(r.read)
		if _, err := io.Copy(r.out, lines); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return r
}

// kill ends it as kill -9 does.
func (r *running) kill() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill() // gone already is fine
		<-r.read
		_ = r.cmd.Wait() // "signal: killed"
	}
}

// interrupt ends it as Ctrl-C does, and gives what it printed.
func (r *running) interrupt() string {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		r.t.Fatal(err)
	}
	<-r.read
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("it ended with %v", err)
	}
	return r.out.String()
}

func (r *running) call(method, path, body string) (int, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", "demo:demo")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	answer := map[string]any{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			r.t.Fatal(err)
		}
	}
	return res.StatusCode, answer
}

func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Minute) // a virtual machine may have to start without KVM
	for !true() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// await waits until the backup has the status, "" for gone.
func (r *running) await(id, status string) {
	r.t.Helper()
	until(r.t, "backup "+id+" is "+status, func() bool {
		code, answer := r.call(http.MethodGet, "/"+id, "")
		b, _ := answer["backup"].(map[string]any)
		if b["status"] == "error" && status != "error" {
			r.t.Fatalf("the backup failed: %v", b["fail_reason"])
		}
		return code == http.StatusNotFound && status == "" || b["status"] == status
	})
}

func sum(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestTheDemoShowsTheMainJobAndASecondStartFindsIt(t *testing.T) {
	data := t.TempDir()
	r := start(t, data, "--demo")
	until(t, "the demo is done", func() bool {
		code, answer := r.call(http.MethodGet, "/1", "")
		b, _ := answer["backup"].(map[string]any)
		volumes, err := filepath.Glob(filepath.Join(data, "volumes", "volume-*"))
		return code == 200 && b["status"] == "available" && err == nil && len(volumes) == 2
	})
	out := r.interrupt()
	for _, want := range []string{"$ curl -X POST", `"status":"creating"`, `"status":"available"`} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %s:\n%s", want, out)
		}
	}
	r = start(t, data)
	if code, answer := r.call(http.MethodGet, "/1", ""); code != 200 || answer["backup"].(map[string]any)["status"] != "available" {
		t.Errorf("the second start finds %d %v", code, answer)
	}
	if code, _ := r.call(http.MethodDelete, "/1", ""); code != 202 {
		t.Errorf("delete: %d", code)
	}
	r.await("1", "")
	r.interrupt()
}

func TestAKilledStandaloneGoesOnWhereItWas(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	source := filepath.Join(data, "volumes", "volume-9")
	noise := make([]byte, 300<<20)
	rand.NewChaCha8([32]byte{9}).Read(noise)
	if err := os.WriteFile(source, noise, 0o600); err != nil {
		t.Fatal(err)
	}
	packs := func(status string) func() bool {
		return func() bool {
			found, err := filepath.Glob(filepath.Join(data, "objects/demo/volumebackups/volume_9/backup_*/*/pack-*"))
			if err != nil {
				t.Fatal(err)
			}
			return len(found) > 0 == (status == "some")
		}
	}

	// In the middle of a backup.
	until(t, "the manager has reported itself, and takes it", func() bool {
		code, answer := r.call(http.MethodPost, "", `{"backup": {"volume_id": 9}}`)
		if code != 200 && code != 503 {
			t.Fatalf("create: %d %v", code, answer)
		}
		return code == 200
	})
	until(t, "the first pack is there", packs("some"))
	r.kill()
	r = start(t, data)
	r.await("1", "available")

	// In the middle of a restore.
	target := filepath.Join(data, "volumes", "volume-10")
	if err := os.WriteFile(target, make([]byte, len(noise)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, answer := r.call(http.MethodPost, "/1/restore", `{"restore": {"volume_id": 10}}`); code != 200 {
		t.Fatalf("restore: %d %v", code, answer)
	}
	until(t, "the first bytes are written", func() bool {
		f, err := os.Open(target)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		head := make([]byte, 1<<20)
		_, err = f.ReadAt(head, 0)
		return err == nil && bytes.Equal(head, noise[:1<<20])
	})
	r.kill()
	r = start(t, data)
	r.await("1", "available")
	if sum(t, target) != sum(t, source) {
		t.Error("the restored volume is not equal")
	}

	// In the middle of a delete.
	if code, _ := r.call(http.MethodDelete, "/1", ""); code != 202 {
		t.Fatalf("delete: %d", code)
	}
	r.kill()
	r = start(t, data)
	r.await("1", "")
	until(t, "nothing is left", packs("none"))
	if left, err := filepath.Glob(filepath.Join(data, "volumes", ".snapshots", "*")); err != nil || len(left) > 0 {
		t.Errorf("snapshots are left: %v %v", left, err)
	}
	r.interrupt()
}

func TestWhatIsWrongIsSaidInOneLine(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const db, broker = "[database]\nconnection = mysql://u:secret@127.0.0.1/s\n", "[DEFAULT]\ntransport_url = rabbit://u:secret@127.0.0.1/\n"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"not loopback":    {[]string{"standalone", "--listen", "0.0.0.0:1", "--data-dir", dir}, "loopback"},
		"no port":         {[]string{"standalone", "--listen", "127.0.0.1", "--data-dir", dir}, "--listen"},
		"no file":         {[]string{"api", "--config-file", dir + "/none"}, "none"},
		"no database":     {[]string{"api", "--config-file", file("a", broker)}, "[database] connection must be set"},
		"no broker":       {[]string{"api", "--config-file", file("b", db)}, "[DEFAULT] transport_url must be set"},
		"no keystone":     {[]string{"api", "--config-file", file("c", broker+db)}, "[keystone_authtoken] auth_url must be set"},
		"no backends":     {[]string{"manager", "--config-file", file("d", broker+db+"[keystone_authtoken]\nauth_url = http://k\n")}, "[DEFAULT] enabled_backends must be set"},
		"bad broker":      {[]string{"api", "--config-file", file("e", "[DEFAULT]\ntransport_url = kafka://u:secret@h/\n")}, "transport_url"},
		"bad database":    {[]string{"db", "sync", "--config-file", file("f", "[database]\nconnection = oracle://u:secret@h/x\n")}, "connection"},
		"bad number":      {[]string{"api", "--config-file", file("g", "[DEFAULT]\nbind_port = 99999\n")}, "bind_port"},
		"no such section": {[]string{"config", "check", "--config-file", file("h", "[DEFAULT]\nenabled_backends = x\n")}, "enabled_backends"},
		"no such command": {[]string{"backup"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(program, c.args...).CombinedOutput()
			text := strings.TrimSpace(string(out))
			if err == nil || !strings.Contains(text, c.want) || strings.Contains(text, "\n") && name != "no such command" || strings.Contains(text, "secret") {
				t.Errorf("it ended with %v and said\n%s", err, text)
			}
		})
	}
}

func TestTwoOnTheSameDataAreOneTooMany(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	out, err := exec.Command(program, "standalone", "--data-dir", data, "--listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another stowage") {
		t.Errorf("the second one ended with %v and said\n%s", err, out)
	}
	r.interrupt()
}
