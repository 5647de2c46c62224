//go:build stack

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/stacktest"
	"github.com/stowage/stowage/mount/mounttest"
)

// Two volumes of a tenant's, one with ext4 and one with XFS, are backed up over /v1.1 and
// looked into over /api: their files are listed and come down byte by byte as they were.
// Then nothing of that is left.
func TestFilesAreReadOutOfBackupsOnTheRealCloud(t *testing.T) {
	t.Parallel()
	secret := rand.Text()
	address := run.address(t)
	s := deploy(t, plan{mounts: map[string]string{"shared_secret": secret, "bind_port": address[strings.LastIndexByte(address, ':')+1:]}})
	at := s.mountsIn()
	s.manager("m1")

	var disks []*disk
	for _, kind := range []string{"ext4", "xfs"} {
		d := s.disk(kind)
		id := s.create(d.volume)
		s.await(id, stowage.BackupAvailable)
		s.free(d.volume)
		fill(s, d.volume, gib, dots("what came later", 20)) // which no backup has
		disks = append(disks, d)
	}
	demo, a := s.enter("demo:demo", stacktest.Env(t, "DEMO_PASSWORD"))
	a.want(t, 200)
	alt, a := s.enter("alt:alt", stacktest.Env(t, "ALT_PASSWORD"))
	a.want(t, 200)
	for _, d := range disks {
		backups := demo.list("/backups?only-mountable=true&protected-entity=" + d.volume)
		if len(backups) != 1 {
			t.Fatalf("%s: there are the backups %v", d.kind, backups)
		}
		body := fields{"backupLocation": fields{"guid": backups[0].GUID}, "mode": fields{"name": "AUTO"}}
		alt.call(http.MethodPost, "/tasks/restore-and-mount", body).want(t, 404)
		demo.call(http.MethodPost, "/tasks/restore-and-mount", body).want(t, 200).into(t, &d.mounted)
	}
	for _, d := range disks {
		demo.finishSlowly(d.mounted.GUID)
		demo.readAll(d, alt)
	}
	if n := len(processesOf(t, at)); n < 2 {
		t.Errorf("two backups are mounted by %d processes", n)
	}
	if mine, others := demo.list("/mounted-backups"), alt.list("/mounted-backups"); len(mine) != 2 || len(others) != 0 {
		t.Errorf("demo's portal lists %v, alt's %v", mine, others)
	}

	for _, d := range disks {
		var begun thing
		demo.call(http.MethodPost, "/tasks/unmount", fields{"mountedBackup": fields{"guid": d.mounted.Backup.GUID}}).want(t, 200).into(t, &begun)
		demo.finishSlowly(begun.GUID)
	}
	if list := demo.list("/mounted-backups"); len(list) != 0 {
		t.Errorf("still mounted: %v", list)
	}
	until(t, "the processes of mounts have ended", func() bool { return len(processesOf(t, at)) == 0 })
	if left, err := filepath.Glob(filepath.Join(at, "m-*")); err != nil || len(left) > 0 {
		t.Errorf("left of the mounts: %v, %v", left, err)
	}
	for _, name := range s.logs() {
		if text, err := os.ReadFile(name); err != nil || bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the secret of mounts, or cannot be read: %v", name, err)
		}
	}
	s.settled()
}

// disk is a volume with one file system, and what is in its files.
type disk struct {
	kind, volume string
	files        map[string][]byte
	mounted      struct {
		GUID   string   // of the task
		Backup thingRef `json:"mountedBackup"`
	}
}

// disk makes a volume of demo's with a file system that no kernel of this host has
// written: ext4 is made by its own tool, XFS in a virtual machine.
func (s *site) disk(kind string) *disk {
	s.Helper()
	d := &disk{kind: kind, volume: s.volume(1), files: map[string][]byte{
		"readme.txt": mounttest.Readme(kind), "dir/big.bin": append(mounttest.Noise(kind, mounttest.BigBytes), "the end"...),
	}}
	dir := s.TempDir()
	tree, file := filepath.Join(dir, "tree"), filepath.Join(dir, "disk")
	fatal(s, os.MkdirAll(filepath.Join(tree, "dir"), 0o755))
	for name, data := range d.files {
		fatal(s, os.WriteFile(filepath.Join(tree, name), data, 0o600))
	}
	mounttest.Empty(s, file, gib)
	switch kind {
	case "ext4":
		if out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-L", "LABEL", "-d", tree, file).CombinedOutput(); err != nil {
			s.Fatalf("mke2fs: %v: %s", err, out)
		}
	case "xfs":
		mounttest.Guestfish(s, file, fmt.Sprintf("mkfs xfs /dev/sda label:LABEL\nmount /dev/sda /\ncopy-in %s/readme.txt %s/dir /\n", tree, tree))
	}
	f, err := os.Open(file)
	fatal(s, err)
	defer f.Close()
	fill(s, d.volume, gib, written(s, f))
	return d
}

// written are the pieces of a file that are not zeros.
func written(t testing.TB, f io.Reader) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for at := int64(0); ; {
			data := make([]byte, mib)
			n, err := io.ReadFull(f, data)
			if err == io.EOF {
				return
			}
			fatal(t, err)
			if bytes.Count(data, []byte{0}) < n && !yield(piece{at, data}) {
				return
			}
			at += int64(n)
		}
	}
}

// listed is as much of a file as is looked at.
type listed struct {
	Name string
	Size int
	Type struct{ Name string } `json:"fileType"`
}

// readAll finds the file system of a mounted disk, and reads all of its files. Another
// project's portal reads none.
func (p portal) readAll(d *disk, other portal) {
	p.s.Helper()
	var found []struct {
		GUID       string
		FileSystem struct{ Type, Label string } `json:"fileSystem"`
	}
	p.call(http.MethodGet, "/mounted-file-systems/detailed?mounted-backup="+d.mounted.Backup.GUID, nil).want(p.s, 200).into(p.s, &found)
	if len(found) != 1 || found[0].FileSystem.Type != d.kind || found[0].FileSystem.Label != "LABEL" {
		p.s.Fatalf("%s: found %+v", d.kind, found)
	}
	fs := "/mounted-file-systems/" + found[0].GUID
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		want := d.files[path]
		var list []listed
		p.call(http.MethodPost, fs+"/listing", fields{"path": filepath.Dir("/" + path)}).want(p.s, 200).into(p.s, &list)
		at := slices.IndexFunc(list, func(f listed) bool { return f.Name == filepath.Base(path) })
		if at < 0 || list[at].Size != len(want) || list[at].Type.Name != "REGULAR_FILE" {
			p.s.Errorf("%s: %s is not listed as it is: %+v", d.kind, path, list)
		}
		got := p.call(http.MethodPost, fs+"/download", fields{"paths": []string{"/" + path}}).want(p.s, 200)
		if sha256.Sum256([]byte(got.body)) != sha256.Sum256(bytes.TrimSpace(want)) { // an answer is trimmed
			p.s.Errorf("%s: %s came as %d other bytes, %v", d.kind, path, len(got.body), got.header)
		}
		other.call(http.MethodPost, fs+"/download", fields{"paths": []string{"/" + path}}).want(p.s, 404)
	}
	other.call(http.MethodPost, fs+"/listing", fields{"path": "/"}).want(p.s, 404)
}

// finishSlowly waits for a task that has a virtual machine started, where there may be no KVM.
func (p portal) finishSlowly(guid string) {
	p.s.Helper()
	over := within(5*time.Minute, func() bool {
		var t thing
		p.call(http.MethodGet, "/tasks/"+guid, nil).want(p.s, 200).into(p.s, &t)
		if t.State.Name == "FAILED" {
			p.s.Fatalf("task %s failed: %s", guid, t.StatusInfo)
		}
		return t.State.Name == "FINISHED"
	})
	if !over {
		p.s.Fatalf("waited in vain for task %s", guid)
	}
}

// mountsIn has the site's managers mount in a directory of their own, with the virtual
// machine's disk that other tests have made.
func (s *site) mountsIn() string {
	s.Helper()
	dir := filepath.Join(s.dir, "mounts")
	fatal(s, os.Mkdir(dir, 0o700))
	fatal(s, os.Symlink(mounttest.Cache(s), filepath.Join(dir, "appliance")))
	s.mounts["run_path"] = dir
	return dir
}

// processesOf are those that have a directory in their arguments or their environment. The
// manager has it in its configuration only.
func processesOf(t testing.TB, dir string) (list []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*")
	fatal(t, err)
	for _, name := range names {
		args, _ := os.ReadFile(name + "/cmdline") // it may just have ended
		env, _ := os.ReadFile(name + "/environ")
		if bytes.Contains(args, []byte(dir)) || bytes.Contains(env, []byte(dir)) {
			list = append(list, string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
		}
	}
	return list
}
