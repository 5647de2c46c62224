//go:build stack

package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/stacktest"
)

// Whoever comes from cinder-backup takes his backups with him: a full one and
// two increments that a real cinder-backup made with each of its compressions.
// Each is listed, imported, restored by a manager and to a file, and deleted.
func TestBackupsOfCinderBackupAreTakenOver(t *testing.T) {
	run.begin(t)
	all := t
	for algorithm, p := range map[string]newcomer{
		"zlib": {bytes: 270 * mib}, // its default
		"none": {bytes: 130 * mib, reseller: true, take: true},
		"bz2":  {bytes: 130 * mib, reseller: true},
		"zstd": {bytes: 130 * mib, reseller: true, take: true, records: true},
	} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			s := deploy(t, plan{reseller: p.reseller})
			p.site, p.algorithm, p.all = s, algorithm, all
			p.run()
		})
	}
}

// newcomer is one who comes from cinder-backup.
type newcomer struct {
	*site
	all       testing.TB // the test of all of them
	algorithm string
	bytes     int64 // of the image, which Cinder counts as 1 GiB: cinder-backup is slow
	reseller  bool
	take      bool
	records   bool // he has exported Cinder's records

	source  string
	backups []string  // Cinder's ids
	want    []string  // what the volume held
	found   []scanned // by the command
	ids     []string  // ours
}

func (n *newcomer) run() {
	n.cinderBackup()
	n.source = n.volume(1)
	n.move(n.source)
	fill(n, n.source, n.bytes, dots(n.algorithm, int(n.bytes/(8*mib)))) // and that is the image's length from now on
	for i := range 3 {
		if i > 0 {
			fill(n, n.source, n.bytes, dots(fmt.Sprint(n.algorithm, i), 3+i))
			fill(n, n.source, n.bytes, slices.Values([]piece{{int64(6+i) * 4 * mib, make([]byte, 4*mib)}}))
		}
		n.want = append(n.want, whole(n, n.source, n.bytes))
		n.backups = append(n.backups, n.backUp(i > 0))
	}
	if !n.reseller {
		entry := stacktest.Env(n, "SERVICE_PROJECT_ID") + ":" + stacktest.Env(n, "STOWAGE_USER_ID")
		n.demo.swift(http.MethodPost, "/"+n.container, nil, map[string]string{
			"X-Container-Read": entry, "X-Container-Write": entry,
		}).want(n, 204)
	}
	n.list()
	n.toFile()
	n.imported()
	m := n.manager("m1")
	n.restored()
	n.goesOn()
	n.deleted()
	if peak := m.peak(); peak >= 300*mib {
		n.Errorf("the manager took %d MiB", peak/mib)
	} else {
		n.Logf("the manager has had %d MiB", peak/mib)
	}
	for i := range n.backups { // the youngest first: Cinder keeps what has children
		n.forget(n.backups[len(n.backups)-1-i])
	}
}

// zone is the availability zone of the newcomer's cinder-backup, and its host.
func (n *newcomer) zone() string { return "e2e-" + strings.ReplaceAll(n.id, "_", "-") }

// cinderBackup starts a cinder-backup with the algorithm, in an availability
// zone of its own, by which it is chosen. It stays until all newcomers are done:
// whose backup is deleted by whom, Cinder leaves to chance.
func (n *newcomer) cinderBackup() {
	n.Helper()
	dir := filepath.Join(stacktest.Env(n, "STACK_DIR"), "cinder")
	// Cinder's user must reach it.
	more := filepath.Join(dir, "tmp", n.zone()+".conf")
	text := fmt.Appendf(nil, "[DEFAULT]\nhost = %s\nstorage_availability_zone = %s\nbackup_compression_algorithm = %s\n", n.zone(), n.zone(), n.algorithm)
	fatal(n, os.WriteFile(more, text, 0o600))
	fatal(n, exec.Command("chown", "cinder:", more).Run())
	as := []string{"--reuid", "cinder", "--regid", "cinder", "--init-groups", "--pdeathsig", "kill"}
	// os-brick, through which it opens images, looks for the keyring in /etc/ceph and
	// nowhere else: for this process alone, that is the stack's own.
	command := append([]string{
		"--mount", "sh", "-c", `mount --bind "$0" /etc/ceph && exec "$@"`, filepath.Dir(stacktest.Env(n, "CEPH_KEYRING")), "setpriv",
	}, as...)
	p := start(n.all, "cinder-backup", filepath.Join(run.dir, n.zone()+".log"), "unshare", append(command,
		"env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR="+filepath.Join(dir, "tmp"),
		"cinder-backup", "--config-file", filepath.Join(dir, "cinder.conf"), "--config-file", more)...)
	all, host := n.all, n.zone()
	all.Cleanup(func() {
		p.kill()
		inCinder(all, "DELETE FROM services WHERE host = ?", host)
		if all.Failed() {
			log, err := os.ReadFile(p.log)
			all.Logf("%s (%v):\n%s", host, err, fernet.ReplaceAll(log[max(0, len(log)-8000):], []byte("***")))
		}
		if err := os.Remove(more); err != nil {
			all.Error(err)
		}
	})
	until(n, "cinder-backup is up", func() bool {
		if !p.lives() {
			n.Fatalf("cinder-backup ended: %v", p.err)
		}
		var got struct {
			Services []struct{ Binary, Host, State string }
		}
		n.admin.cinder(http.MethodGet, "/os-services?binary=cinder-backup&host="+host, nil).want(n, 200).into(n, &got)
		return len(got.Services) == 1 && got.Services[0].State == "up"
	})
}

// move has Cinder believe that a volume is in the zone of the newcomer's
// cinder-backup: by that it chooses, whatever zone a request names, and there is
// no other way to be served by this one and not by one that the stack has.
func (n *newcomer) move(volume string) {
	n.Helper()
	inCinder(n, "UPDATE volumes SET availability_zone = ? WHERE id = ?", n.zone(), volume)
}

// inCinder changes Cinder's database.
func inCinder(t testing.TB, text string, args ...any) {
	t.Helper()
	env := func(key string) string { return stacktest.Env(t, key) }
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = "openstack", env("DB_OPENSTACK_PASSWORD"), "tcp", env("DB_HOST")+":"+env("DB_PORT"), "cinder"
	cinder, err := sql.Open("mysql", c.FormatDSN())
	fatal(t, err)
	defer cinder.Close()
	_, err = cinder.Exec(text, args...)
	fatal(t, err)
}

// backUp lets cinder-backup back up the source, and gives the backup's id.
func (n *newcomer) backUp(incremental bool) string {
	n.Helper()
	var got struct{ Backup struct{ ID, Status string } }
	n.demo.cinder(http.MethodPost, "/backups", fields{"backup": fields{
		"volume_id": n.source, "container": n.container, "incremental": incremental,
		"name": fmt.Sprintf("evening %d", len(n.backups)),
	}}).want(n, 202).into(n, &got)
	id := got.Backup.ID
	n.Cleanup(func() { n.forget(id) })
	until(n, "cinder-backup has made a backup", func() bool {
		n.demo.cinder(http.MethodGet, "/backups/"+id, nil).want(n, 200).into(n, &got)
		if got.Backup.Status == "error" {
			n.Fatal("cinder-backup has failed")
		}
		return got.Backup.Status == "available"
	})
	n.free(n.source)
	n.stored(id)
	return id
}

// stored makes sure that the backup is compressed as it should be.
func (n *newcomer) stored(id string) {
	n.Helper()
	for _, name := range n.demo.objects(n.container) {
		if strings.HasSuffix(name, id+"_metadata") {
			if text := n.demo.object(http.MethodGet, n.container, name, nil).want(n, 200).body; !strings.Contains(text, `"compression": "`+n.algorithm+`"`) {
				n.Errorf("nothing of the backup is compressed with %s", n.algorithm)
			}
			return
		}
	}
	n.Errorf("backup %s is not in the container", id)
}

// forget has Cinder delete a backup; gone is gone. It refuses while it counts
// children that it has just forgotten.
func (n *newcomer) forget(id string) {
	n.Helper()
	until(n, "Cinder has forgotten a backup", func() bool {
		a := n.demo.cinder(http.MethodGet, "/backups/"+id, nil).want(n, 200, 404)
		if a.status == http.StatusNotFound {
			return true
		}
		if !strings.Contains(a.body, `"deleting"`) {
			n.demo.cinder(http.MethodDelete, "/backups/"+id, nil).want(n, 202, 404, 400)
		}
		return false
	})
}

// scanned is a line of stowage catalog scan --json.
type scanned struct {
	Backup, Volume, State, Name string
	Incremental                 bool
	VolumeBytes                 int64 `json:"volume_bytes"`
	Objects                     int
}

// catalog runs a command on the container, and gives what it prints.
func (n *newcomer) catalog(command string, more ...string) string {
	n.Helper()
	args := append(strings.Fields(command), "--project", n.demo.projectID, "--container", n.container, "--format", "cinder-backup")
	return n.stowage(append(args, more...)...)
}

func (n *newcomer) list() {
	n.Helper()
	for line := range strings.Lines(n.catalog("catalog scan --json --verify deep", "--volume", n.source)) {
		var l scanned
		if !strings.HasPrefix(line, "{") { // how far it is
			continue
		}
		fatal(n, json.Unmarshal([]byte(line), &l))
		n.found = append(n.found, l)
	}
	if len(n.found) != len(n.backups) {
		n.Fatalf("of %d backups the scan finds %+v", len(n.backups), n.found)
	}
	for i, l := range n.found {
		if l.Backup != n.backups[i] || l.Volume != n.source || l.State != "sound" || l.Incremental != (i > 0) || l.VolumeBytes != n.bytes ||
			l.Name != fmt.Sprintf("evening %d", i) {
			n.Errorf("the scan says %+v", l)
		}
	}
}

func (n *newcomer) toFile() {
	n.Helper()
	for i, id := range n.backups {
		name := filepath.Join(n.dir, fmt.Sprintf("image-%d", i))
		n.catalog("restore", "--backup", id, "--to", name)
		f, err := os.Open(name)
		fatal(n, err)
		d := &digest{}
		_, err = f.WriteTo(d)
		fatal(n, err)
		info, err := f.Stat()
		fatal(n, err)
		fatal(n, f.Close())
		fatal(n, os.Remove(name))
		if d.String() != n.want[i] || info.Size() != n.bytes {
			n.Errorf("the file of backup %d is not what was backed up", i)
		}
	}
}

func (n *newcomer) imported() {
	n.Helper()
	more := []string{"--volume", n.source}
	if n.records {
		more = []string{"--record", n.exported()}
	}
	if n.take {
		more = append(more, "--take")
	}
	for _, want := range []string{"3 imported, 0 there already, 0 refused.", "0 imported, 3 there already, 0 refused."} {
		if out := n.catalog("catalog import", more...); !strings.Contains(out, want) {
			n.Fatalf("the import says %s", out)
		}
	}
	var list struct{ Backups []backup }
	n.call(n.demo, http.MethodGet, "/detail?volume_id="+n.source, nil).want(n, 200).into(n, &list)
	if len(list.Backups) != len(n.backups) {
		n.Fatalf("the API lists %+v", list.Backups)
	}
	for i, b := range list.Backups {
		if b.Name != fmt.Sprintf("evening %d", i) || b.Status != stowage.BackupAvailable || b.Size != 1 || b.Container != n.container || b.ObjectCount != n.found[i].Objects {
			n.Errorf("backup %d is shown as %+v", i, b)
		}
		n.ids = append(n.ids, b.ID)
	}
}

// exported gives a file with Cinder's records of the backups, as the command
// prints them.
func (n *newcomer) exported() string {
	n.Helper()
	var text strings.Builder
	for _, id := range n.backups {
		var got map[string]json.RawMessage
		n.admin.cinder(http.MethodGet, "/backups/"+id+"/export_record", nil).want(n, 200).into(n, &got)
		fmt.Fprintln(&text, string(got["backup-record"]))
	}
	name := filepath.Join(n.dir, "records")
	fatal(n, os.WriteFile(name, []byte(text.String()), 0o600))
	return name
}

// restored restores each to a new volume, and over another's data.
func (n *newcomer) restored() {
	n.Helper()
	dirty := n.volume(1)
	fill(n, dirty, gib, dots("dirt", 40))
	for i, id := range n.ids {
		target := dirty
		if i == 1 {
			target = ""
		}
		target = n.restore(id, target)
		n.await(id, stowage.BackupAvailable)
		n.free(target)
		if got := whole(n, target, n.bytes); got != n.want[i] {
			n.Errorf("volume %s does not hold what backup %d was of", target, i)
		}
	}
}

// goesOn makes a backup of ours beside theirs: a full one.
func (n *newcomer) goesOn() {
	n.Helper()
	id := n.create(n.source)
	n.await(id, stowage.BackupAvailable)
	n.free(n.source)
	if query[bool](n.site, "SELECT incremental FROM backups WHERE id = ?", id) {
		n.Error("a backup was compared with one of cinder-backup's")
	}
	n.gone(id)
}

// deleted deletes the full one first, then the rest.
func (n *newcomer) deleted() {
	n.Helper()
	before := n.demo.objects(n.container)
	n.gone(n.ids[0])
	target := n.restore(n.ids[2], "")
	n.await(n.ids[2], stowage.BackupAvailable)
	n.free(target)
	if got := whole(n, target, n.bytes); got != n.want[2] {
		n.Error("without the full one the increment does not come back")
	}
	n.gone(n.ids[2])
	n.gone(n.ids[1])
	after := n.demo.objects(n.container)
	switch {
	case n.take && len(after) != 0:
		n.Errorf("left in the container: %v", after)
	case !n.take && len(after) != len(before):
		n.Errorf("of %d objects that are cinder-backup's, %d are left", len(before), len(after))
	}
	if n.take {
		n.settled()
	}
}

// whole is what the first bytes of a volume hold.
func whole(t testing.TB, volume string, length int64) string {
	t.Helper()
	d := &digest{}
	read(t, volume, length, d)
	return d.String()
}
