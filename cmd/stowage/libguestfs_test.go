//go:build libguestfs

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stowage/stowage/mount/mounttest"
)

// vendor sends a request to the vendor task API as demo:demo.
func (r *running) vendor(method, path, body string, into any) (int, []byte) {
	r.t.Helper()
	q, err := http.NewRequest(method, strings.TrimSuffix(r.base, "/v1.1/demo/hp-volume-backups")+"/api"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("X-Auth-Token", "demo:demo")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			r.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, data)
		}
	}
	return res.StatusCode, data
}

type guid struct {
	GUID    string
	State   struct{ Name string }
	Mounted struct{ GUID string } `json:"mountedBackup"`
	Info    string                `json:"statusInfo"`
}

// processes gives the processes whose command line holds a text.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		line, _ := os.ReadFile(name) // it may have ended since
		if env, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "environ")); len(line) > 0 && bytes.Contains(append(line, env...), []byte(text)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// Without a database, the container and the master key are enough to look into a
// backup.
func TestABackupIsServedByNBDAsTheMountOfAnOperator(t *testing.T) {
	data := t.TempDir()
	r := start(t, data)
	noise := mounttest.Noise("disk", 9<<20)
	if err := os.WriteFile(filepath.Join(data, "volumes", "volume-9"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	r.backUp("1")
	r.interrupt()
	list, _ := scanned(t, data)
	dir, err := os.MkdirTemp("", "so")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, out := filepath.Join(dir, "nbd"), filepath.Join(dir, "out")
	cmd := exec.Command(program, "mount", "--project", "demo", "--container", "night", "--data-dir", data, "--backup", list[0].Backup.String(), "--socket", socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	until(t, "it is served", func() bool {
		return exec.Command("qemu-img", "convert", "-f", "raw", "-O", "raw", "nbd+unix:///?socket="+socket, out).Run() == nil
	})
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, noise) {
		t.Errorf("%d other bytes, %v", len(got), err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if err := exec.Command("qemu-io", "-f", "raw", "-c", "write 0 512", "nbd+unix:///?socket="+socket).Run(); err == nil {
		t.Error("it can be written to")
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if left := processes(t, socket); len(left) > 0 {
		t.Errorf("these run: %q", left)
	}
}

// A process that is killed while a backup is mounted takes the virtual machine
// with it, and the next one tells the truth.
func TestNothingOfAMountOutlivesAKill(t *testing.T) {
	data, err := os.MkdirTemp("", "sw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	for _, dir := range []string{"volumes", "mounts"} {
		if err := os.Mkdir(filepath.Join(data, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(mounttest.Cache(t), filepath.Join(data, "mounts", "appliance")); err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "hello"), []byte("hello, world"), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(data, "volumes", "volume-1")
	mounttest.Empty(t, disk, 1<<30)
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-d", tree, disk).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	r := start(t, data)
	var task guid
	until(t, "the manager has reported itself", func() bool {
		code, _ := r.call(http.MethodPost, "", `{"backup": {"volume_id": "1"}}`)
		return code < 300
	})
	r.await("1", "available")
	var backups []guid
	if r.vendor(http.MethodGet, "/backups?only-mountable=true", "", &backups); len(backups) != 1 {
		t.Fatalf("%d backups", len(backups))
	}
	mountIt := func() {
		t.Helper()
		r.vendor(http.MethodPost, "/tasks/restore-and-mount", fmt.Sprintf(`{"backup": %q}`, backups[0].GUID), &task)
		until(t, "it is mounted", func() bool {
			var now guid
			if r.vendor(http.MethodGet, "/tasks/"+task.GUID, "", &now); now.State.Name == "FAILED" {
				t.Fatalf("not mounted: %+v", now)
			}
			return now.State.Name == "FINISHED"
		})
		if status, body := r.vendor(http.MethodPost, "/mounted-file-systems/"+task.Mounted.GUID+".0/download", `{"paths": ["/hello"]}`, nil); status != 200 || string(body) != "hello, world" {
			t.Fatalf("%d %q", status, body)
		}
	}
	mountIt()
	// The virtual machine, its guardian, guestfish, nbdkit and the program itself.
	runs := filepath.Join(data, "mounts", "m-")
	if found := processes(t, runs); len(found) < 4 {
		t.Fatalf("these run: %q", found)
	}
	r.kill()
	until(t, "everything has ended", func() bool { return len(processes(t, runs)) == 0 })

	r = start(t, data)
	until(t, "the mount is over", func() bool {
		var m guid
		r.vendor(http.MethodGet, "/mounted-backups/"+task.Mounted.GUID, "", &m)
		return m.State.Name == "UNMOUNTED" && strings.Contains(m.Info, "stopped")
	})
	if left, err := filepath.Glob(runs + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	mountIt()
	r.interrupt()
	if found := processes(t, runs); len(found) > 0 {
		t.Errorf("after an orderly stop these run: %q", found)
	}
}
