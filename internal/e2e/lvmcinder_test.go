//go:build stack

package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/stowage/stowage/internal/stacktest"
)

// volumeHost is a guest that is a volume host: Cinder's own cinder-volume runs
// in it with its LVM driver, on a volume group of thin volumes and on one of
// thick ones, beside the Cinder of the stack.
type volumeHost struct {
	*machine
	admin   *user
	name    string // of the host, for Cinder and for the kernel
	cinder  int    // cinder-volume's pid
	types   map[string]string
	volumes []string
}

// hostName is the name of the host of a site, or what those of a run begin with.
func hostName(id string) string { return "lvm-" + strings.ReplaceAll(id, "_", "-") }

// kinds are the backends of a volume host, and the types of volumes on them.
var kinds = []string{"thin", "thick"}

func groupOf(kind string) string { return "stowage-" + kind + "-vg" }

const cinderLog = "/tmp/cinder.log"

// hostVolumes makes a guest a volume host. Whatever is made there is taken
// away before it ends.
func hostVolumes(t testing.TB, admin *user, name string) *volumeHost {
	t.Helper()
	h := &volumeHost{machine: boot(t, "8G", "8G"), admin: admin, name: name, types: map[string]string{}}
	// As on any host, LVM is configured in /etc, for every program.
	h.sh("mount --bind /tmp/lvm /etc/lvm")
	h.sh("busybox hostname %s", h.name)
	for i, kind := range kinds {
		disk := fmt.Sprintf("/dev/ubd%c", 'a'+i)
		h.sh("pvcreate -q -y %s", disk)
		h.sh("vgcreate -q %s %s", groupOf(kind), disk)
	}
	h.sh("mkdir -p /tmp/cinder/volumes /tmp/cinder/lock")
	fatal(t, h.Write("/tmp/cinder/cinder.conf", []byte(h.cinderConf())))
	t.Cleanup(h.takeAway)
	h.cinder = h.daemon(cinderLog, []string{"TMPDIR=/tmp/cinder"}, "cinder-volume", "--config-file", "/tmp/cinder/cinder.conf")
	for _, kind := range kinds {
		h.types[kind] = h.makeType(kind)
	}
	// Many small files are dear in the guest, and Cinder is made of them.
	if !within(4*patience, func() bool {
		if lives, err := h.Lives(h.cinder); err != nil || !lives {
			t.Fatalf("cinder-volume ended: %v\n%s", err, h.text(cinderLog))
		}
		pools := admin.cinder(http.MethodGet, "/scheduler-stats/get_pools?detail=True", nil).want(t, 200).body
		return strings.Contains(pools, h.pool("thin")) && strings.Contains(pools, h.pool("thick"))
	}) {
		t.Fatal("waited in vain until Cinder knows of the volume host")
	}
	return h
}

// pool is Cinder's name for a backend's one pool.
func (h *volumeHost) pool(kind string) string { return h.name + "@" + kind + "#" + h.backendName(kind) }

func (h *volumeHost) backendName(kind string) string { return h.name + "-" + kind }

// key is the key of the backend.
func (h *volumeHost) key(kind string) string { return "lvm:" + h.name + ":" + groupOf(kind) }

func (h *volumeHost) cinderConf() string {
	env := func(key string) string { return stacktest.Env(h, key) }
	var text strings.Builder
	fmt.Fprintf(&text, `[DEFAULT]
host = %s
my_ip = 127.0.0.1
use_stderr = true
state_path = /tmp/cinder
transport_url = %s
glance_api_servers = %s
enabled_backends = %s

[database]
connection = mysql+pymysql://openstack:%s@127.0.0.1:%s/cinder

[oslo_concurrency]
lock_path = /tmp/cinder/lock

[cinder_sys_admin]
helper_command = privsep-helper --config-file /tmp/cinder/cinder.conf
`, h.name, env("TRANSPORT_URL"), env("GLANCE_URL"), strings.Join(kinds, ","), env("DB_OPENSTACK_PASSWORD"), env("DB_PORT"))
	for _, kind := range kinds {
		lvmType := map[string]string{"thin": "thin", "thick": "default"}[kind]
		fmt.Fprintf(&text, `
[%s]
volume_driver = cinder.volume.drivers.lvm.LVMVolumeDriver
volume_backend_name = %s
volume_group = %s
lvm_type = %s
volume_clear = none
target_helper = fake
volumes_dir = /tmp/cinder/volumes
`, kind, h.backendName(kind), groupOf(kind), lvmType)
	}
	return text.String()
}

// makeType makes a type of volumes that only this host has.
func (h *volumeHost) makeType(kind string) string {
	h.Helper()
	var got struct {
		Type struct{ ID string } `json:"volume_type"`
	}
	h.admin.cinder(http.MethodPost, "/types", fields{"volume_type": fields{
		"name": h.backendName(kind), "extra_specs": fields{"volume_backend_name": h.backendName(kind)},
	}}).want(h, 200).into(h, &got)
	return got.Type.ID
}

// takeAway deletes the volumes while there is somebody to do it.
func (h *volumeHost) takeAway() {
	if h.Failed() {
		if text, err := h.Read(cinderLog); err == nil {
			lines := strings.SplitAfter(string(text), "\n")
			h.Logf("cinder-volume:\n%s", strings.Join(lines[max(0, len(lines)-40):], ""))
		}
	}
	for _, v := range h.volumes {
		if !h.admin.dispose(v) {
			h.Errorf("volume %s could not be taken away", v)
		}
	}
	for _, id := range h.types {
		h.admin.cinder(http.MethodDelete, "/types/"+id, nil).want(h, 202, 404)
	}
	if h.cinder != 0 {
		if lives, err := h.Lives(h.cinder); lives && err == nil {
			h.kill(h.cinder, syscall.SIGKILL)
		}
	}
	for _, kind := range kinds {
		if err := removeService(h, h.name+"@"+kind); err != nil {
			h.Error(err)
		}
	}
	dropQueues(h, h.name)
}

// dropQueues removes the queues that Cinder made for a host and would keep.
func dropQueues(t testing.TB, host string) {
	t.Helper()
	for name := range strings.Lines(must(t)(run.rabbit("list_queues", "--no-table-headers", "name"))) {
		if name = strings.TrimSpace(name); strings.HasPrefix(name, "cinder-volume."+host+"@") {
			if _, err := run.rabbit("delete_queue", name); err != nil {
				t.Logf("queue %s, which may have gone by itself: %v", name, err)
			}
		}
	}
}

// removeService has Cinder forget a volume service, for which its API has no
// request. One that it never knew is no error.
func removeService(t testing.TB, host string) error {
	t.Helper()
	conf := filepath.Join(stacktest.Env(t, "STACK_DIR"), "cinder", "cinder.conf")
	out, err := exec.Command("cinder-manage", "--config-file", conf, "service", "remove", "cinder-volume", host).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "Host not found") {
		return fmt.Errorf("cinder-manage service remove %s: %w: %s", host, err, out)
	}
	return nil
}

// buryGuests takes away what guests of a dead run left in Cinder; the guest,
// and so whoever would do it, is gone.
func buryGuests(t testing.TB, admin *user, id string) {
	t.Helper()
	dirs, err := filepath.Glob(guestDirs + id + "-*")
	fatal(t, err)
	if len(dirs) == 0 {
		return
	}
	mark := hostName(id) + "-"
	var services struct{ Services []struct{ Host string } }
	admin.cinder(http.MethodGet, "/os-services?binary=cinder-volume", nil).want(t, 200).into(t, &services)
	for _, s := range services.Services {
		if strings.HasPrefix(s.Host, mark) {
			fatal(t, removeService(t, s.Host))
			host, _, _ := strings.Cut(s.Host, "@")
			dropQueues(t, host)
		}
	}
	var got struct {
		Volumes []struct {
			ID   string
			Host string `json:"os-vol-host-attr:host"`
		}
	}
	admin.cinder(http.MethodGet, "/volumes/detail?all_tenants=1", nil).want(t, 200).into(t, &got)
	for _, v := range got.Volumes {
		if strings.HasPrefix(v.Host, mark) {
			t.Logf("volume %s was on a guest that is gone", v.ID)
			// Nobody is there to delete it: without a host, the API does.
			disown(t, v.ID)
			admin.cinder(http.MethodDelete, "/volumes/"+v.ID, nil).want(t, 202, 404)
		}
	}
	var types struct {
		Types []struct{ ID, Name string } `json:"volume_types"`
	}
	admin.cinder(http.MethodGet, "/types", nil).want(t, 200).into(t, &types)
	for _, v := range types.Types {
		if strings.HasPrefix(v.Name, mark) {
			admin.cinder(http.MethodDelete, "/types/"+v.ID, nil).want(t, 202, 404)
		}
	}
	for _, dir := range dirs {
		fatal(t, os.RemoveAll(dir))
	}
}

// disown makes a volume one that was never placed.
func disown(t testing.TB, id string) {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.DBName = "openstack", stacktest.Env(t, "DB_OPENSTACK_PASSWORD"), "tcp", "cinder"
	c.Addr = "127.0.0.1:" + stacktest.Env(t, "DB_PORT")
	db, err := sql.Open("mysql", c.FormatDSN())
	fatal(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "UPDATE volumes SET host = NULL, status = 'error', attach_status = 'detached' WHERE id = ?", id)
	fatal(t, err)
}
