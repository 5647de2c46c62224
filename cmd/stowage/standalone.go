package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/api/hp"
	"github.com/stowage/stowage/api/vendor"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/embedded"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/mount"
	"github.com/stowage/stowage/rpc"
	"github.com/stowage/stowage/service"
	"github.com/stowage/stowage/webhook"
)

// standaloneBackend is the key of the one backend of standalone mode.
const standaloneBackend = "file:volumes"

type standaloneFlags struct {
	dataDir, listen string
	demo, verbose   bool
}

func standaloneCommand() *cobra.Command {
	var f standaloneFlags
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "API and manager in one process on a directory, to try Stowage out",
		Long: `API and manager in one process: volumes are files <data-dir>/volumes/volume-<id>,
objects stand under <data-dir>/objects, sealed with <data-dir>/master.key; state
is in <data-dir>/stowage.sqlite.

Anybody who can reach the port is believed to be who he says he is
(X-Auth-Token: user:project; with the vendor task API, that as the login and any
password), so it listens on loopback only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStandalone(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "./var", "where volumes, objects and state are kept")
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8785", "loopback address and port to listen on")
	cmd.Flags().BoolVar(&f.demo, "demo", false, "make a sample volume, back it up and restore it, and show how")
	cmd.Flags().BoolVar(&f.verbose, "verbose", false, "log what happens to standard error")
	return cmd
}

func runStandalone(ctx context.Context, f standaloneFlags) error {
	if err := onlyLoopback(f.listen); err != nil {
		return err
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	s, err := openStandalone(ctx, f.dataDir, log)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", f.listen, err), s.close())
	}
	fmt.Printf("Stowage %s: data in %s, API at http://%s\n", version, f.dataDir, l.Addr())

	group, run := errgroup.WithContext(ctx)
	group.Go(func() error { return s.server.Serve(run, l) })
	group.Go(func() error { return s.manager.Run(run) })
	if f.demo {
		group.Go(func() error { return demo(run, os.Stdout, "http://"+l.Addr().String(), f.dataDir) })
	}
	err = group.Wait()
	if ctx.Err() != nil {
		if errors.Is(err, context.Canceled) {
			err = nil // the demo was not done yet
		}
		fmt.Println("\nStopped. Everything is kept; start again to go on.")
	}
	return errors.Join(err, s.close())
}

// onlyLoopback refuses every address that others can reach.
func onlyLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", listen, err)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--listen %s: standalone mode believes every caller, so it listens on loopback only: 127.0.0.1 or [::1]", listen)
	}
	return nil
}

// standalone is everything in one process.
type standalone struct {
	server  *api.Server
	manager *manager.Manager
	closers []func() error
}

func (s *standalone) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

func openStandalone(ctx context.Context, data string, log *slog.Logger) (*standalone, error) {
	s := &standalone{}
	fail := func(err error) (*standalone, error) { return nil, errors.Join(err, s.close()) }
	volumesDir, objectsDir := filepath.Join(data, "volumes"), filepath.Join(data, "objects")
	for _, d := range []string{data, volumesDir, objectsDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	unlock, err := lockFile(filepath.Join(data, "lock"))
	if err != nil {
		return fail(fmt.Errorf("data directory %s: %w", data, err))
	}
	s.closers = append(s.closers, unlock)
	base, err := db.Open(db.Options{Dialect: db.SQLite, Path: filepath.Join(data, "stowage.sqlite")})
	if err != nil {
		return fail(err)
	}
	s.closers = append(s.closers, base.Close)
	if _, err := base.Sync(ctx); err != nil {
		return fail(err)
	}
	volumes, err := embedded.OpenVolumes(embedded.Options{Dir: volumesDir, Backend: standaloneBackend, NewID: uuid.NewString})
	if err != nil {
		return fail(err)
	}
	stores, err := dir.Open(dir.Options{Root: objectsDir, NewID: uuid.NewString})
	if err != nil {
		return fail(err)
	}
	s.closers = append(s.closers, stores.Close)
	master, err := standaloneMaster(filepath.Join(data, "master.key"))
	if err != nil {
		return fail(err)
	}
	transport := rpc.NewInProcess()
	s.closers = append(s.closers, transport.Close)
	policy, err := auth.NewEnforcer(auth.EnforcerOptions{Defaults: auth.Defaults(), Now: time.Now, Log: log})
	if err != nil {
		return fail(err)
	}

	options := api.Options{
		Log: log, NewID: uuid.NewString, Now: time.Now, GraceTime: 10 * time.Second,
		Health: map[string]func(context.Context) error{"database": base.Ping},
	}
	files := &own{}
	// Whoever uses this mode is at the machine, and may call himself.
	here := webhook.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	verbs := service.New(service.Options{
		Files: files,
		DB:    base, Transport: transport, Volumes: volumes, Containers: embedded.NewContainers(dirObjects{stores}),
		Capacities: dirObjects{stores}, Directory: true, Guard: here, Now: time.Now, NewID: uuid.NewString, Log: log, Poll: 20 * time.Millisecond,
	})
	gate := &api.Gate{Validator: auth.Noauth{}, Policy: policy, Challenge: auth.Noauth{}.WWWAuthenticate()}
	sessions, err := service.NewSessions(service.SessionOptions{
		DB: base, Passwords: auth.Noauth{}, Validator: auth.Noauth{}, Random: rand.Reader, Now: time.Now, Log: log,
		Domain: "Default", Qualified: true,
	})
	if err != nil {
		return fail(err)
	}
	options.Protocols = []api.Protocol{
		&hp.API{Gate: gate, Service: verbs, Server: &options},
		&vendor.API{Gate: gate, Service: verbs, Sessions: sessions, Server: &options, KeystoneURL: "standalone"},
	}
	s.server = api.New(options)
	box, err := secretBox(master)
	if err != nil {
		return fail(err)
	}
	files.Manager = manager.New(manager.Options{
		DB: base, Transport: transport, Volumes: volumes, Inventory: volumes, Verbs: verbs, InventoryInterval: time.Minute, Stores: stores, Engine: engine.New(engine.Options{}),
		Backends: []manager.Backend{{Name: "volumes", Driver: "file", Open: func(context.Context) (drivers.Volumes, error) {
			return file.Open(file.Options{Key: standaloneBackend, Dir: volumesDir, NewID: uuid.NewString})
		}}},
		Keys: &manager.Keys{DB: base, Master: master, Seal: true, Now: time.Now},
		Host: "standalone", Instance: uuid.NewString(), Version: version, Now: time.Now, NewID: uuid.NewString, Log: log,
		Box: box, Caller: caller(here, 10*time.Second),
		VerifyInterval: 7 * 24 * time.Hour,
		Lease:          30 * time.Second, GraceTime: 10 * time.Second, ReportInterval: 5 * time.Second,
		OpenImage: openImage(mount.Options{Dir: filepath.Join(data, "mounts"), Log: log}),
	})
	s.manager = files.Manager
	return s, nil
}

// standaloneMaster reads the master key, and makes it the first time.
func standaloneMaster(name string) (*seal.Master, error) {
	master, err := loadMaster(name)
	if master != nil || err != nil {
		return master, err
	}
	if err := createMaster(name); err != nil {
		return nil, err
	}
	return loadMaster(name)
}

// lockFile holds a file so that no other process works on the same state.
func lockFile(name string) (unlock func() error, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another stowage is running on it"), f.Close())
	}
	return f.Close, nil
}

// dirObjects tells the embedded cloud about containers of the directory store.
type dirObjects struct{ *dir.Stores }

func (d dirObjects) ContainerExists(ctx context.Context, project, container string) (bool, error) {
	store, err := d.Open(ctx, project, container)
	if err != nil {
		return false, err
	}
	first := errors.New("one is enough")
	err = store.List(ctx, "", func(drivers.ObjectInfo) error { return first })
	if stowage.CodeOf(err) == stowage.NotFound {
		return false, nil
	}
	if errors.Is(err, first) {
		err = nil
	}
	return true, err
}

// Capacity is that of the directory's file system.
func (d dirObjects) Capacity(context.Context, cloud.User, string) (cloud.Capacity, error) {
	bytes, err := d.Space()
	return cloud.Capacity{Bytes: bytes}, err
}
