// Package harness puts a whole Stowage together for tests: API and managers on
// SQLite, file volumes and objects in a directory, with faults at every outside
// call and a clock that is stepped by hand.
package harness

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/api/hp"
	"github.com/stowage/stowage/api/vendor"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/cloud/embedded"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/rpc"
	"github.com/stowage/stowage/service"
	"github.com/stowage/stowage/webhook"
)

// Backend is the key of the backend of file volumes.
const Backend = "file:test"

// Origin is one whose scripts may read answers of the vendor task API.
const Origin = "https://ui.test"

// Here lets webhooks call this machine, by one of its addresses.
var Here = webhook.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}

// Harness is a whole Stowage. Managers are started by the test.
type Harness struct {
	T          testing.TB
	Dir        string
	DB         *db.DB
	Transport  rpc.Transport
	Cinder     *Cinder            // with faults by the name of the method
	Containers *Containers        // likewise
	Stores     *drivertest.Faults // of the object store
	Disks      *drivertest.Faults // of the volumes
	Clock      *Clock
	Master     *seal.Master
	Keystone   *Keystone
	Nova       *Nova
	Servers    *Servers
	Post       *Post
	Trust      *tls.Config  // what webhooks are trusted by, if it is set before managers are made
	API        http.Handler // its answers are held against the protocols' documents
	Verbs      *service.Service
	Log        *bytes.Buffer // what everybody logged, under LogMu
	LogMu      sync.Mutex

	Files Files // of mounted backups; managers put themselves in

	stores drivers.Stores
	log    *slog.Logger
	openMu sync.Mutex
	open   []drivers.Target
}

// Clock tells the time that the test says, plus what really passes.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Step puts the clock forward.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// Write is the log.
func (h *Harness) Write(p []byte) (int, error) {
	h.LogMu.Lock()
	defer h.LogMu.Unlock()
	return h.Log.Write(p)
}

// New puts one together; it ends with the test. The log is shown if it fails.
func New(t testing.TB) *Harness {
	t.Helper()
	return On(t, db.Options{Dialect: db.SQLite})
}

// On puts one together on a database: an empty one, or SQLite without a path,
// which gets one of its own.
func On(t testing.TB, base db.Options) *Harness {
	t.Helper()
	h := &Harness{T: t, Dir: t.TempDir(), Stores: &drivertest.Faults{}, Disks: &drivertest.Faults{}, Clock: &Clock{}, Log: &bytes.Buffer{}, Keystone: &Keystone{}, Post: &Post{}}
	h.log = slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		if t.Failed() {
			h.LogMu.Lock()
			t.Log(h.Log.String())
			h.LogMu.Unlock()
		}
	})
	for _, d := range []string{"volumes", "objects"} {
		h.ok(os.Mkdir(filepath.Join(h.Dir, d), 0o700))
	}
	var err error
	if base.Dialect == db.SQLite && base.Path == "" {
		base.Path = filepath.Join(h.Dir, "stowage.sqlite")
		empty, err := emptied()
		h.ok(err)
		h.ok(os.WriteFile(base.Path, empty, 0o600))
	}
	h.DB, err = db.Open(base)
	h.ok(err)
	t.Cleanup(func() { h.ok(h.DB.Close()) })
	_, err = h.DB.Sync(context.Background())
	h.ok(err)
	volumes, err := embedded.OpenVolumes(embedded.Options{Dir: filepath.Join(h.Dir, "volumes"), Backend: Backend, NewID: uuid.NewString})
	h.ok(err)
	h.Cinder = &Cinder{Volumes: volumes}
	h.Nova = &Nova{Volumes: volumes}
	h.Servers = &Servers{Servers: embedded.NewServers(volumes)}
	cinders, err := h.files()
	h.ok(err)
	t.Cleanup(func() { h.ok(cinders.Close()) })
	h.Servers.Snapshots = cinders
	stores, err := dir.Open(dir.Options{Root: filepath.Join(h.Dir, "objects")})
	h.ok(err)
	t.Cleanup(func() { h.ok(stores.Close()) })
	h.stores = drivertest.FaultyStores(stores, h.Stores)
	h.Containers = &Containers{Containers: embedded.NewContainers(Objects{stores})}
	h.Master, err = seal.ParseMaster(seal.NewMaster())
	h.ok(err)
	transport := rpc.NewInProcess()
	h.Transport = transport
	t.Cleanup(func() { h.ok(transport.Close()) })
	h.API = held{h, h.api()}
	return h
}

// emptied is the file of an empty database whose tables are made: to make them anew for
// each test takes longer than most tests.
var emptied = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "stowage-harness-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "stowage.sqlite")
	d, err := db.Open(db.Options{Dialect: db.SQLite, Path: path})
	if err != nil {
		return nil, err
	}
	_, err = d.Sync(context.Background())
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func (h *Harness) ok(err error) {
	h.T.Helper()
	if err != nil {
		h.T.Fatal(err)
	}
}

func (h *Harness) api() *api.Server {
	policy, err := auth.NewEnforcer(auth.EnforcerOptions{Defaults: auth.Defaults(), Now: h.Clock.Now, Log: h.log})
	h.ok(err)
	options := api.Options{
		Log: h.log, NewID: uuid.NewString, Now: h.Clock.Now,
		Health: map[string]func(context.Context) error{"database": h.DB.Ping},
	}
	h.Verbs = service.New(service.Options{
		DB: h.DB, Transport: h.Transport, Volumes: h.Cinder, Containers: h.Containers, Servers: h.Servers, Capacities: h.Containers, Mail: h.Post, Guard: Here, Now: h.Clock.Now, NewID: uuid.NewString,
		Log: h.log, Poll: time.Millisecond, CreateTimeout: 2 * time.Second, RingTimeout: time.Second, FollowAgain: 200 * time.Millisecond, Files: &h.Files, MaxMounts: 2,
	})
	sessions, err := service.NewSessions(service.SessionOptions{
		DB: h.DB, Passwords: h.Keystone, Validator: h.Keystone, Random: crand.Reader, Now: h.Clock.Now, Log: h.log,
		Domain: "Default", Qualified: true,
	})
	h.ok(err)
	gate := &api.Gate{Validator: h.Keystone, Policy: policy, Challenge: auth.Noauth{}.WWWAuthenticate()}
	options.Protocols = []api.Protocol{
		&hp.API{Gate: gate, Service: h.Verbs, Server: &options},
		&vendor.API{Gate: gate, Service: h.Verbs, Sessions: sessions, Server: &options, KeystoneURL: "http://keystone.test:5000", Origins: []string{Origin}},
	}
	return api.New(options)
}

// files drives the volumes.
func (h *Harness) files() (drivers.Volumes, error) {
	return file.Open(file.Options{Key: Backend, Dir: filepath.Join(h.Dir, "volumes"), NewID: uuid.NewString})
}

func (h *Harness) box() *webhook.Box {
	seeds, err := h.Master.Derive("webhook secrets")
	h.ok(err)
	b, err := webhook.NewBox(seeds...)
	h.ok(err)
	return b
}

// Manager makes a manager of the host, and tells the database that it is alive.
func (h *Harness) Manager(host string) *manager.Manager {
	m := manager.New(manager.Options{
		DB: h.DB, Transport: h.Transport, Volumes: h.Cinder, Inventory: h.Nova, Verbs: h.Verbs, Stores: h.stores,
		Engine: engine.New(engine.Options{ChunkBytes: 64 << 10, PackBytes: 64 << 10, Readers: 2}),
		Keys:   &manager.Keys{DB: h.DB, Master: h.Master, Seal: true, Now: h.Clock.Now}, KeepBases: true,
		Backends: []manager.Backend{{Name: "test", Driver: "file", Open: func(context.Context) (drivers.Volumes, error) {
			v, err := h.files()
			return drivertest.FaultyVolumes(&mortal{v, h}, h.Disks), err
		}}},
		Host: host, Instance: uuid.NewString(), Version: "test", NewID: uuid.NewString, Now: h.Clock.Now, Log: h.log.With("host", host),
		SweepInterval: 200 * time.Millisecond, ReportInterval: 1000 * time.Millisecond, RetryDelay: time.Millisecond,
		Box: h.box(), Caller: webhook.NewCaller(webhook.Options{Guard: Here, Timeout: 20 * time.Second, TLS: h.Trust, Now: h.Clock.Now, Version: "test"}),
		Jitter:    func() float64 { return 0.5 },
		RingAgain: 100 * time.Millisecond, GraceTime: 5 * time.Second, OpenImage: h.Files.open, MaxMounts: 2, DailyReportHour: 6 * time.Hour,
	})
	h.Files.serve(host, m)
	return m
}

// Start runs a manager until the test ends or stop is called, and waits until
// it has reported itself.
func (h *Harness) Start(m *manager.Manager) (stop func()) {
	h.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				h.T.Error(err)
			}
		})
	}
	h.T.Cleanup(stop)
	h.Until("a manager has reported itself", func() bool {
		list, err := h.DB.Services(context.Background())
		h.ok(err)
		return len(list) > 0 && len(list[0].Backends) > 0 && h.Clock.Now().Sub(list[len(list)-1].LastSeen) < time.Minute
	})
	return stop
}

// Until waits for something to become true, at most two minutes: a loaded machine may
// take its time.
func (h *Harness) Until(what string, true func() bool) {
	h.T.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !true() {
		if time.Now().After(deadline) {
			h.T.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
