//go:build stack

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage/internal/stacktest"
)

// plan is what a test may want otherwise of its deployment.
type plan struct {
	reseller   bool              // Swift by stowage_reseller, without ACLs
	smallPacks bool              // of 4 MiB
	slow       bool              // and it takes some seconds to store or fetch a volume
	vhost      string            // "": the run's
	options    map[string]string // of [DEFAULT]
	vendor     map[string]string // of [vendor_api]
	mounts     map[string]string // of [mounts]
}

// site is one deployment: a database, an API, and managers as the test starts
// them.
type site struct {
	testing.TB
	plan
	demo, alt, reader, admin *user

	id        string
	dir       string
	db        *sql.DB
	base      string // the API's URL
	api       *process
	container string // of the test, in demo's account

	processes  []*process
	elsewhere  map[string]string // logs of processes that ran in a guest
	volumes    []string
	containers []*bin
	projects   []string // ids of those the test made
}

// bin is a container that is to be gone at the end.
type bin struct {
	owner *user
	name  string
}

// deploy makes a site with its API running. It ends with the test.
func deploy(t testing.TB, p plan) *site {
	t.Helper()
	run.begin(t)
	s := &site{
		TB: t, plan: p, demo: logIn(t, "demo", "demo"), alt: logIn(t, "alt", "alt"),
		reader: logIn(t, "demo_reader", "demo"), admin: logIn(t, "admin", "admin"),
		id: fmt.Sprintf("%s_%d", run.id, run.sites.Add(1)),
	}
	if s.vhost == "" {
		s.vhost = run.vhost
	}
	s.container = s.bin(s.demo, "stowage-e2e-"+strings.ReplaceAll(s.id, "_", "-"))
	s.dir = filepath.Join(run.dir, s.id)
	fatal(t, os.Mkdir(s.dir, 0o700))
	t.Cleanup(s.takeAway)
	s.createDB()
	s.stowage("db", "sync")
	s.serve()
	return s
}

// bin notes a container that the test uses.
func (s *site) bin(owner *user, name string) string {
	s.containers = append(s.containers, &bin{owner, name})
	return name
}

func (s *site) dbName() string { return "stowage_test_" + s.id }

func (s *site) createDB() {
	s.Helper()
	_, err := run.db.Exec("CREATE DATABASE " + s.dbName())
	fatal(s, err)
	u, err := url.Parse(run.dbURL)
	fatal(s, err)
	s.db, err = sql.Open("mysql", dsn(u, s.dbName()))
	fatal(s, err)
}

// query gives the one number or text that the database answers.
func query[T any](s *site, text string, args ...any) (v T) {
	s.Helper()
	if err := s.db.QueryRowContext(context.Background(), text, args...).Scan(&v); err != nil {
		s.Fatalf("%s: %v", text, err)
	}
	return v
}

func (s *site) exec(text string, args ...any) {
	s.Helper()
	if _, err := s.db.ExecContext(context.Background(), text, args...); err != nil {
		s.Fatalf("%s: %v", text, err)
	}
}

// conf writes the configuration of the host and gives the file's name.
func (s *site) conf(host string) string {
	s.Helper()
	env := func(key string) string { return stacktest.Env(s, key) }
	return s.confOf(hostConf{
		host: host, dir: s.dir, state: filepath.Join(s.dir, "state-"+host), masterKey: s.masterKey(), enabled: "ceph",
		backends: fmt.Sprintf("[ceph]\nvolume_driver = rbd\nrbd_pool = %s\nrbd_user = %s\nrbd_ceph_conf = %s\nrbd_keyring = %s\n",
			env("CEPH_POOL"), env("CEPH_USER"), env("CEPH_CONF"), env("CEPH_KEYRING")),
	})
}

// hostConf is what one host's configuration has of its own.
type hostConf struct {
	host, dir, state, masterKey string
	enabled, backends           string // names, and their sections
}

func (s *site) confOf(h hostConf) string {
	s.Helper()
	env := func(key string) string { return stacktest.Env(s, key) }
	options := map[string]string{
		"debug": "true", "host": h.host, "state_path": h.state, "enabled_backends": h.enabled,
		"transport_url": strings.TrimSuffix(env("TRANSPORT_URL"), "/") + "/" + s.vhost,
		"bind_host":     "127.0.0.1", "bind_port": "1", "report_interval": "1", "service_down_time": "30",
		"periodic_interval": "1", "lease_time": "8", "graceful_shutdown_timeout": "60",
	}
	if s.base != "" {
		options["bind_port"] = s.base[strings.LastIndexByte(s.base, ':')+1:]
	}
	for k, v := range s.options {
		options[k] = v
	}
	var text strings.Builder
	fmt.Fprintln(&text, "[DEFAULT]")
	for k, v := range options {
		fmt.Fprintf(&text, "%s = %s\n", k, v)
	}
	fmt.Fprintf(&text, "\n[database]\nconnection = %s\n", run.dbURL+s.dbName())
	fmt.Fprintf(&text, "\n[keystone_authtoken]\n%sservice_type = volume-backup\n", s.credentials("stowage"))
	fmt.Fprintf(&text, "\n[cinder]\nregion_name = %s\ninterface = public\n", env("REGION"))
	fmt.Fprintf(&text, "\n[swift]\nregion_name = %s\ninterface = public\n", env("REGION"))
	if s.reseller {
		fmt.Fprintf(&text, "access_mode = reseller\n%s", s.credentials("stowage_reseller"))
	}
	fmt.Fprintf(&text, "\n[encryption]\nmaster_key_file = %s\n", h.masterKey)
	// Looks at the cloud are jobs, too, and come when a test asks for them.
	fmt.Fprintf(&text, "\n[vendor_api]\ninventory_interval = 0\n")
	for k, v := range s.vendor {
		fmt.Fprintf(&text, "%s = %s\n", k, v)
	}
	fmt.Fprintf(&text, "\n[mounts]\n")
	for k, v := range s.mounts {
		fmt.Fprintf(&text, "%s = %s\n", k, v)
	}
	fmt.Fprintf(&text, "\n[nova]\nregion_name = %s\ninterface = public\n", env("REGION"))
	fmt.Fprintf(&text, "\n[engine]\n")
	if s.smallPacks || s.slow {
		fmt.Fprintf(&text, "object_size_mb = 4\n")
	}
	if s.slow {
		fmt.Fprintf(&text, "job_bandwidth_mb = 2\nfetches = 1\n")
	}
	fmt.Fprintf(&text, "\n%s", h.backends)
	name := filepath.Join(h.dir, h.host+".conf")
	fatal(s, os.WriteFile(name, []byte(text.String()), 0o600))
	return name
}

// masterKey makes the site's master key the first time it is asked for.
func (s *site) masterKey() string {
	s.Helper()
	name := filepath.Join(s.dir, "master.key")
	if _, err := os.Stat(name); err == nil {
		return name
	}
	if out, err := exec.Command(run.bin, "keys", "create", name).CombinedOutput(); err != nil {
		s.Fatalf("stowage keys create: %v: %s", err, out)
	}
	return name
}

func (s *site) credentials(user string) string {
	s.Helper()
	return fmt.Sprintf("auth_type = password\nauth_url = %s\nusername = %s\npassword = %s\nproject_name = service\n"+
		"user_domain_name = Default\nproject_domain_name = Default\n",
		stacktest.Env(s, "KEYSTONE_URL"), user, stacktest.Env(s, strings.ToUpper(user)+"_PASSWORD"))
}

// stowage runs a command of the program to its end and gives what it prints.
func (s *site) stowage(args ...string) string {
	s.Helper()
	out, err := exec.Command(run.bin, append(args, "--config-file", s.conf("admin"))...).CombinedOutput()
	if err != nil {
		s.Fatalf("stowage %v: %v: %s", args, err, out)
	}
	return string(out)
}

// serve starts the API, at the same address as before.
func (s *site) serve() {
	s.Helper()
	if s.base == "" {
		s.base = "http://" + run.address(s)
	}
	s.api = s.start("api", "api")
	until(s, "the API serves", func() bool {
		if !s.api.lives() {
			s.Fatalf("the API ended: %v", s.api.err)
		}
		a, err := try("", http.MethodGet, s.base+"/healthcheck", nil, nil)
		return err == nil && a.status == http.StatusOK
	})
}

func (s *site) start(host, command string) *process {
	s.Helper()
	p := start(s, host, filepath.Join(s.dir, host+".log"), run.bin, command, "--config-file", s.conf(host))
	s.processes = append(s.processes, p)
	return p
}

// manager starts the manager of a host and waits until it has told that it
// reaches the backend.
func (s *site) manager(host string) *process {
	s.Helper()
	begun := time.Now().UnixMicro()
	p := s.start(host, "manager")
	until(s, "manager "+host+" has reported itself", func() bool {
		if !p.lives() {
			s.Fatalf("manager %s ended: %v", host, p.err)
		}
		return query[int](s, "SELECT COUNT(*) FROM services WHERE host = ? AND last_seen >= ? AND backends LIKE '%rbd:%'", host, begun) == 1
	})
	return p
}

// backend is the key of the pool.
func (s *site) backend() string {
	s.Helper()
	return "rbd:" + stacktest.Env(s, "CEPH_FSID") + ":" + stacktest.Env(s, "CEPH_POOL")
}

// source makes a volume of demo's with data in it.
func (s *site) source(n int) (id, want string) {
	s.Helper()
	id = s.volume(1)
	fill(s, id, gib, dots(id, n))
	want = contents(s, id)
	if want == "" {
		s.Fatalf("volume %s is empty", id)
	}
	return id, want
}

// volume makes an empty volume of demo's.
func (s *site) volume(size int) string {
	s.Helper()
	id := s.demo.make(size, nil)
	s.volumes = append(s.volumes, id)
	return id
}
