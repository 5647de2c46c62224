package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// load loads one file of the given text.
func load(t *testing.T, text string, change ...func(*Source)) (*Config, error) {
	t.Helper()
	s := Source{Files: []string{write(t, filepath.Join(t.TempDir(), "stowage.conf"), text)}, Hostname: "host-1"}
	for _, f := range change {
		f(&s)
	}
	return Load(s)
}

func mustLoad(t *testing.T, text string, change ...func(*Source)) *Config {
	t.Helper()
	c, err := load(t, text, change...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingConfiguredGivesTheDefaults(t *testing.T) {
	c := mustLoad(t, "")
	d := c.Default
	if d.BindHost != "0.0.0.0" || d.BindPort != 8785 || d.Host != "host-1" || d.LeaseTime != time.Minute ||
		d.QueueTimeout != 24*time.Hour || d.MaxAttempts != 3 || d.MaxJobs != 4 || len(d.EnabledBackends) != 0 {
		t.Errorf("%+v", d)
	}
	if c.Engine != (Engine{ChunkSizeKB: 256, ChunkHash: "blake3", ObjectSizeMB: 64, Readers: 8, Fetches: 16, PackMemoryMB: 128, ReadMemoryMB: 64}) ||
		c.Encryption != (Encryption{Enabled: true, MasterKeyFile: "/etc/stowage/master.key"}) {
		t.Errorf("%+v %+v", c.Engine, c.Encryption)
	}
	if !c.Rabbit.Quorum || c.Database.WsrepWait != nil || c.Middleware.MaxRequestBody != 114688 || !c.Auth.RolesRequired {
		t.Errorf("%+v %+v", c.Rabbit, c.Database)
	}
	if !slices.Equal(c.Policy.Dirs, []string{"policy.d"}) || len(c.Warnings) > 0 {
		t.Errorf("%+v %v", c.Policy, c.Warnings)
	}
}

func TestConfigurationInTheStyleOfKolla(t *testing.T) {
	c, err := Load(Source{Files: []string{"testdata/kolla.conf"}, Hostname: "host-1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Default.BindHost != "10.0.0.11" || c.Default.Host != "ctl-01" || c.Database.MaxRetries != -1 {
		t.Errorf("%+v", c.Default)
	}
	if c.Cinder.Username != "stowage" || c.Swift.Username != "stowage-reseller" || c.Swift.AccessMode != "reseller" {
		t.Errorf("%+v %+v", c.Cinder, c.Swift)
	}
	if len(c.Backends) != 2 || c.Backends[0].Name != "rbd-1" ||
		!slices.Equal(c.Backends[1].CinderHosts, []string{"ctl-01@lvm-1"}) ||
		c.Backends[0].ConnectTimeout != 5*time.Second {
		t.Errorf("%+v", c.Backends)
	}
	want := []string{
		"kolla.conf: [oslo_messaging_rabbit] amqp_durable_queues: has no effect: queues are always durable",
		"kolla.conf: [keystone_authtoken] memcached_servers: has no effect: tokens are cached in the process",
		"kolla.conf: [keystone_authtoken] memcache_security_strategy: has no effect: tokens are cached in the process",
		"kolla.conf: [keystone_authtoken] memcache_secret_key: has no effect: tokens are cached in the process",
		"kolla.conf: [DEFAULT] use_forwarded_for: no such option, ignored",
		"kolla.conf: [oslo_messaging_rabbit] use_queue_manager: no such option, ignored",
		"kolla.conf: [oslo_messaging_rabbit] heartbeat_in_pthread: no such option, ignored",
		"kolla.conf: [rbd-1] report_discard_supported: no such option, ignored",
	}
	got := slices.Clone(c.Warnings)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConfigurationInTheStyleOfDevStack(t *testing.T) {
	c, err := Load(Source{Files: []string{"testdata/devstack.conf"}, Hostname: "devstack"})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Default.Debug || c.Default.ShutdownTimeout != 5*time.Second || c.Auth.Interface != "public" ||
		c.Cinder.AuthURL != "http://192.168.122.7/identity" || string(c.Cinder.Password) != "secretservice" ||
		c.Backends[0].VolumeGroup != "stack-volumes-lvmdriver-1" {
		t.Errorf("%+v", c)
	}
	if got := ServiceType(c.Cinder.CatalogInfo); got != "block-storage" {
		t.Error(got)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	for _, file := range []string{"testdata/kolla.conf", "testdata/devstack.conf"} {
		c, err := Load(Source{Files: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c, "connection", c.Database.Connection)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c)
		encoded, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		url, err := ParseDatabaseURL(string(c.Database.Connection))
		if err != nil {
			t.Fatal(err)
		}
		all := fmt.Sprintf("%v %+v %#v %s %s %v %+v %#v", c, c, *c, &log, encoded, url, url, url)
		for _, secret := range []string{"Xk3", "pAss", "fXq9Lx", "mEmC4cheS3cret", "resellerS3cret", "secretrabbit", "secretdatabase", "secretservice"} {
			if i := strings.Index(all, secret); i >= 0 {
				t.Errorf("%s shows %s: ...%s...", file, secret, all[max(0, i-60):i+20])
			}
		}
	}
}

func TestAWrongValueIsOneClearLine(t *testing.T) {
	sekret := errors.New("no scheme")
	check := func(s *Source) {
		s.Checks = map[string]func(string) error{"DEFAULT.transport_url": func(string) error { return sekret }}
	}
	for text, want := range map[string]string{
		"[DEFAULT]\nbind_port = x":                  `stowage.conf: [DEFAULT] bind_port: must be a whole number, not "x"`,
		"[DEFAULT]\nbind_port = 70000":              `stowage.conf: [DEFAULT] bind_port: must be a whole number of at most 65535, not "70000"`,
		"[DEFAULT]\nlease_time = 1":                 `stowage.conf: [DEFAULT] lease_time: must be a number of seconds of at least 5, not "1"`,
		"[DEFAULT]\nlease_time = inf":               `stowage.conf: [DEFAULT] lease_time: must be a number of seconds, not "inf"`,
		"[DEFAULT]\ndebug = maybe":                  `stowage.conf: [DEFAULT] debug: must be true or false, not "maybe"`,
		"[engine]\nchunk_hash = md5":                `stowage.conf: [engine] chunk_hash: must be one of blake3, sha256, not "md5"`,
		"[engine]\nchunk_size_kb = 257":             `stowage.conf: [engine] chunk_size_kb: must be a power of two, not 257`,
		"[DEFAULT]\npublic_endpoint = h1/x":         `stowage.conf: [DEFAULT] public_endpoint: must be a URL with http:// or https://, not "h1/x"`,
		"[ssl]\ncert_file = /none":                  `stowage.conf: [ssl] cert_file: must be a file that can be read: open /none: no such file or directory, not "/none"`,
		"[ssl]\ncert_file = /dev/null":              `stowage.conf: [ssl] key_file: must be set, for cert_file is`,
		"[DEFAULT]\ntransport_url = sekret":         `stowage.conf: [DEFAULT] transport_url: no scheme`,
		"[database]\nconnection = mysql:sekret":     `stowage.conf: [database] connection: must be a URL like mysql+pymysql://user:password@host/name`,
		"[database]\nconnection = mysql://sekret$x": `stowage.conf: [database] connection: refers with $ to an option that does not exist (a $ itself is written $$)`,
		"[DEFAULT]\nreport_interval = 60":           `stowage.conf: [DEFAULT] service_down_time: must be longer than report_interval, 1m0s`,
		"[DEFAULT]\nenabled_backends = x":           `stowage.conf: [DEFAULT] enabled_backends: there is no section [x]`,
		"[DEFAULT]\nenabled_backends = swift":       `stowage.conf: [DEFAULT] enabled_backends: "swift" is the name of another section`,
		"[DEFAULT]\nenabled_backends = x,x\n[x]\nvolume_driver=rbd\nrbd_pool=y\nrbd_user=z": `stowage.conf: [DEFAULT] enabled_backends: "x" is there twice`,
		"[DEFAULT]\nenabled_backends = x\n[x]\nvolume_driver=rbd":                           `stowage.conf: [x] rbd_pool: must be set`,
		"[DEFAULT]\nenabled_backends = x\n[x]\nrbd_pool=y":                                  `stowage.conf: [x] volume_driver: must be set`,
		"[cinder]\nauth_section = x":                                                        `stowage.conf: [cinder] auth_section: there is no section [x]`,
		"[DEFAULT]\nsekret":                                                                 `stowage.conf: line 2: neither a section nor name = value`,
	} {
		_, err := load(t, text, check)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestAWrongValueInTheEnvironmentNamesTheVariable(t *testing.T) {
	_, err := load(t, "", func(s *Source) { s.Env = mapEnv(map[string]string{"OS_DEFAULT__BIND_PORT": "x"}) })
	want := `environment OS_DEFAULT__BIND_PORT: [DEFAULT] bind_port: must be a whole number, not "x"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCredentialsOfAnotherSection(t *testing.T) {
	c := mustLoad(t, "[keystone_authtoken]\nauth_url=http://k\nusername=a\n[swift]\nauth_section=other\n[other]\nauth_url=http://o\nusername=b\n")
	if c.Cinder.Username != "a" || c.Swift.Username != "b" || c.Swift.AuthURL != "http://o" {
		t.Errorf("%+v %+v", c.Cinder.Credentials, c.Swift.Credentials)
	}
}

func TestInterfacesInOrderOfPreference(t *testing.T) {
	for want, e := range map[string]Endpoint{
		"public":          {},
		"internal":        {Interface: "internalURL"},
		"internal public": {Interface: "admin", ValidInterfaces: []string{"internal", "publicURL"}},
	} {
		if got := strings.Join(e.Interfaces("volumev3:cinderv3:publicURL"), " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFilesAreFoundInTheirOrder(t *testing.T) {
	root := t.TempDir()
	home, etc := filepath.Join(root, "home"), filepath.Join(root, "etc")
	main := write(t, filepath.Join(etc, "stowage.conf"), "[DEFAULT]\nbind_host=a\nhost=a\nstate_path=a\n")
	api := write(t, filepath.Join(home, "stowage-api.conf"), "[DEFAULT]\nhost=b\nstate_path=b\n")
	late := write(t, filepath.Join(etc, "stowage.conf.d", "20.conf"), "[DEFAULT]\nstate_path=d\n")
	early := write(t, filepath.Join(etc, "stowage.conf.d", "10.conf"), "[DEFAULT]\nstate_path=c\n")
	write(t, filepath.Join(etc, "stowage.conf.d", "30.conf.bak"), "nonsense")
	write(t, filepath.Join(etc, "stowage-api.conf"), "[DEFAULT]\nhost=not read\n")
	c, err := Load(Source{Search: []string{home, etc}, Prog: "stowage-api"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{main, api, early, late}; !slices.Equal(c.Files, want) {
		t.Errorf("got %v, want %v", c.Files, want)
	}
	if d := c.Default; d.BindHost != "a" || d.Host != "b" || d.StatePath != "d" {
		t.Errorf("%+v", d)
	}
	if _, err := Load(Source{Files: []string{filepath.Join(root, "none.conf")}}); err == nil {
		t.Error("a file that is named and missing is no error")
	}
	if _, err := Load(Source{Dirs: []string{filepath.Join(root, "none")}}); err == nil {
		t.Error("a directory that is named and missing is no error")
	}
	if got := SearchDirs("/root"); !slices.Equal(got, []string{"/root/.stowage", "/root", "/etc/stowage", "/etc"}) {
		t.Error(got)
	}
}

func TestEveryOptionIsDescribed(t *testing.T) {
	sections := append(schema(reflect.TypeFor[Config]()), section{name: "backend", options: options(reflect.TypeFor[Backend]())})
	for _, s := range sections {
		seen := map[string]bool{}
		for _, o := range s.options {
			if seen[o.name] || !strings.HasSuffix(o.help, ".") {
				t.Errorf("[%s] %s: described twice, or without a sentence", s.name, o.name)
			}
			seen[o.name] = true
		}
	}
}
