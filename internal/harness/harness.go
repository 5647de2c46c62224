// Package harness puts a whole Stowage together for tests: API and managers on
// SQLite, file volumes and objects in a directory, with faults at every outside
// call and a clock that is stepped by hand.
package harness

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
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
		Log: h.log, Poll: time.Millisecond, CreateTimeout: 2 * time.Second, RingTimeout: time.Second, Files: &h.Files, MaxMounts: 2,
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
			v, err := file.Open(file.Options{Key: Backend, Dir: filepath.Join(h.Dir, "volumes"), NewID: uuid.NewString})
			return drivertest.FaultyVolumes(&mortal{v, h}, h.Disks), err
		}}},
		Host: host, Instance: uuid.NewString(), Version: "test", NewID: uuid.NewString, Now: h.Clock.Now, Log: h.log.With("host", host),
		SweepInterval: 200 * time.Millisecond, ReportInterval: 1000 * time.Millisecond, RetryDelay: time.Millisecond,
		Box: h.box(), Caller: webhook.NewCaller(webhook.Options{Guard: Here, Timeout: 2 * time.Second, TLS: h.Trust, Now: h.Clock.Now, Version: "test"}),
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

// Until waits for something to become true, at most half a minute.
func (h *Harness) Until(what string, true func() bool) {
	h.T.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !true() {
		if time.Now().After(deadline) {
			h.T.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Volume makes a volume of mixed bytes in the project, and gives its bytes.
func (h *Harness) Volume(id string, size int) []byte {
	h.T.Helper()
	random := rand.NewChaCha8(sha256.Sum256([]byte(id)))
	data := make([]byte, size)
	for at := 0; at < size; at += 300_000 {
		part := data[at:min(at+100_000, size)]
		if at%600_000 == 0 {
			random.Read(part)
		} else {
			copy(part, strings.Repeat("stowage ", len(part)/8+1))
		}
	}
	h.ok(os.WriteFile(h.VolumeFile(id), data, 0o600))
	return data
}

// VolumeFile is where a volume is.
func (h *Harness) VolumeFile(id string) string { return filepath.Join(h.Dir, "volumes", "volume-"+id) }

// Bytes reads a volume, or the first 16 MiB of a larger one.
func (h *Harness) Bytes(id string) []byte {
	h.T.Helper()
	f, err := os.Open(h.VolumeFile(id))
	h.ok(err)
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 16<<20))
	h.ok(err)
	return data
}

// VolumeStatus is what Cinder says of a volume.
func (h *Harness) VolumeStatus(id string) string {
	h.T.Helper()
	v, err := h.Cinder.Volumes.Volume(context.Background(), id)
	h.ok(err)
	return v.Status
}

// Answer is an answer of the API.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON reads the body.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatalf("the answer %q is no JSON: %v", a.Body, err)
	}
	return m
}

// Call sends a request with the token, such as demo:demo.
func (h *Harness) Call(token, method, path, body string) Answer {
	h.T.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	w := httptest.NewRecorder()
	h.API.ServeHTTP(w, r)
	return Answer{w.Code, w.Header(), strings.TrimSpace(w.Body.String())}
}

// Base is the path of a project's backups.
func Base(project string) string { return "/v1.1/" + project + "/hp-volume-backups" }

// Create begins a backup as demo:demo and gives its id.
func (h *Harness) Create(volume string) string {
	h.T.Helper()
	a := h.Call("demo:demo", http.MethodPost, Base("demo"), fmt.Sprintf(`{"backup": {"volume_id": %q}}`, volume))
	if a.Status != http.StatusOK {
		h.T.Fatalf("create: %d %s", a.Status, a.Body)
	}
	return a.JSON(h.T)["backup"].(map[string]any)["id"].(string)
}

// Show gives the details of demo's backup, nil if there is none.
func (h *Harness) Show(id string) map[string]any {
	h.T.Helper()
	a := h.Call("demo:demo", http.MethodGet, Base("demo")+"/"+id, "")
	if a.Status == http.StatusNotFound {
		return nil
	}
	return a.JSON(h.T)["backup"].(map[string]any)
}

// Await waits until demo's backup has the status, "" for gone, and gives the
// details.
func (h *Harness) Await(id string, status stowage.BackupStatus) (last map[string]any) {
	h.T.Helper()
	h.Until(fmt.Sprintf("backup %s is %q", id, status), func() bool {
		last = h.Show(id)
		return last == nil && status == "" || last != nil && last["status"] == string(status)
	})
	return last
}

// Objects lists the names of demo's objects.
func (h *Harness) Objects() []string { return h.ObjectsIn(stowage.DefaultContainer) }

// ObjectsIn lists the names in one of demo's containers.
func (h *Harness) ObjectsIn(container string) (names []string) {
	h.T.Helper()
	store, err := h.stores.Open(context.Background(), "demo", container)
	h.ok(err)
	err = store.List(context.Background(), "", func(o drivers.ObjectInfo) error { names = append(names, o.Name); return nil })
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		h.T.Fatal(err)
	}
	return names
}

// Snapshots lists what the file driver keeps as snapshots.
func (h *Harness) Snapshots() []string {
	h.T.Helper()
	found, err := filepath.Glob(filepath.Join(h.Dir, "volumes", ".snapshots", "*"))
	h.ok(err)
	return found
}

// ObjectStore opens demo's default container.
func (h *Harness) ObjectStore() drivers.Store {
	h.T.Helper()
	store, err := h.stores.Open(context.Background(), "demo", stowage.DefaultContainer)
	h.ok(err)
	return store
}

// Create2GiB makes an available backup of a sparse volume of 2 GiB.
func (h *Harness) Create2GiB(t testing.TB) string {
	t.Helper()
	h.Volume("2048", 1000)
	h.ok(os.Truncate(h.VolumeFile("2048"), 2*stowage.GiB))
	id := h.Create("2048")
	h.Await(id, stowage.BackupAvailable)
	return id
}

// LogContains reports whether anybody logged the text.
func (h *Harness) LogContains(text string) bool {
	h.LogMu.Lock()
	defer h.LogMu.Unlock()
	return bytes.Contains(h.Log.Bytes(), []byte(text))
}

// LogCount is how often anybody logged the text.
func (h *Harness) LogCount(text string) int {
	h.LogMu.Lock()
	defer h.LogMu.Unlock()
	return bytes.Count(h.Log.Bytes(), []byte(text))
}

// SetStatus writes a backup's status, as an operator does by hand.
func (h *Harness) SetStatus(id int64, status stowage.BackupStatus) error {
	return h.Exec("UPDATE backups SET status = ? WHERE id = ?", status, id)
}

// Exec changes the database behind everybody's back.
func (h *Harness) Exec(query string, args ...any) error {
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(h.Dir, "stowage.sqlite")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		return err
	}
	defer raw.Close()
	_, err = raw.Exec(query, args...)
	return err
}

// Dump gives all rows of a table, as they lie about.
func (h *Harness) Dump(table string) string {
	h.T.Helper()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(h.Dir, "stowage.sqlite")+"?_pragma=busy_timeout(15000)")
	h.ok(err)
	defer raw.Close()
	rows, err := raw.Query("SELECT * FROM " + table)
	h.ok(err)
	defer rows.Close()
	columns, err := rows.Columns()
	h.ok(err)
	out := ""
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		h.ok(rows.Scan(into...))
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			out += fmt.Sprint(v, "\n")
		}
	}
	h.ok(rows.Err())
	return out
}
