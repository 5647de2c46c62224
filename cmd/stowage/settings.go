package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/internal/logging"
	"github.com/stowage/stowage/rpc"
)

// settings are the flags of every command that reads the configuration.
type settings struct {
	files, dirs []string
}

func (s *settings) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.files, "config-file", nil, "configuration file, can be given several times (default: stowage.conf in ~/.stowage, ~, /etc/stowage, /etc)")
	cmd.Flags().StringArrayVar(&s.dirs, "config-dir", nil, "directory of *.conf files, read after the files")
}

// load reads files, directories and environment.
func (s *settings) load() (*config.Config, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // a daemon has none
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("ask for the name of this host: %w", err)
	}
	return config.Load(config.Source{
		Files: s.files, Dirs: s.dirs, Search: config.SearchDirs(home), Prog: "stowage", Env: os.LookupEnv, Hostname: hostname,
		Checks: map[string]func(string) error{
			"DEFAULT.transport_url": func(url string) error { _, err := rpc.ParseTransportURL(url); return err },
			"database.connection":   func(url string) error { _, err := config.ParseDatabaseURL(url); return err },
		},
	})
}

// needs gives one line for the first option that this command cannot do without.
func needs(c *config.Config, options map[string]bool) error {
	for _, o := range []struct {
		name  string
		there bool
	}{
		{"[database] connection", c.Database.Connection != ""},
		{"[DEFAULT] transport_url", c.Default.TransportURL != ""},
		{"[keystone_authtoken] auth_url", c.Auth.AuthURL != ""},
		{"[DEFAULT] enabled_backends", len(c.Backends) > 0},
	} {
		if options[o.name] && !o.there {
			return fmt.Errorf("%s must be set (read: %v)", o.name, c.Files)
		}
	}
	return nil
}

// openLog makes the program's log; hup is run on SIGHUP as well as reopening it.
func openLog(ctx context.Context, c *config.Config, program string, hup func() error) (*slog.Logger, func() error, error) {
	log, out, err := logging.New(logging.Options{
		Program: program, PID: os.Getpid(), Debug: c.Default.Debug, JSON: c.Default.UseJSON,
		File: c.Default.LogFile, Dir: c.Default.LogDir, Stderr: os.Stderr, AlsoStderr: c.Default.UseStderr,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	for _, w := range c.Warnings {
		log.Warn("configuration", "warning", w)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if err := errors.Join(out.Reopen(), hup()); err != nil {
				log.Error("not reloaded", "error", err)
			} else {
				log.Info("reloaded")
			}
		}
	}()
	return log, func() error {
		signal.Stop(signals)
		stop()
		<-ended
		return out.Close()
	}, nil
}

// openDB opens the database as configured; nothing is reached yet.
func openDB(c *config.Config) (*db.DB, error) {
	u, err := config.ParseDatabaseURL(string(c.Database.Connection))
	if err != nil {
		return nil, fmt.Errorf("[database] connection: %w", err)
	}
	return db.Open(db.Options{
		Dialect: u.Dialect, Path: u.Path, Host: u.Host, Port: u.Port, Socket: u.Socket, User: u.User,
		Password: string(u.Password), Name: u.Name, CAFile: u.CA, CertFile: u.Cert, KeyFile: u.Key,
		WsrepSyncWait: c.Database.WsrepWait, MaxIdle: c.Database.MaxPoolSize,
		MaxOpen: c.Database.MaxPoolSize + c.Database.MaxOverflow, MaxLifetime: c.Database.RecycleTime,
	})
}

// awaitDB waits until the database answers, as often as configured, and then
// refuses a schema of another version.
func awaitDB(ctx context.Context, c *config.Config, d *db.DB, log *slog.Logger) error {
	for try := 0; ; try++ {
		err := d.CheckVersion(ctx)
		if err == nil || stowage.CodeOf(err) == stowage.Conflict || ctx.Err() != nil {
			return err
		}
		if c.Database.MaxRetries >= 0 && try >= c.Database.MaxRetries {
			return fmt.Errorf("the database does not answer: %w", err)
		}
		log.Warn("the database does not answer, waiting", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.Database.RetryDelay):
		}
	}
}

// openTransport gives the broker; it connects in the background, for ever.
func openTransport(c *config.Config, name string, log *slog.Logger) (rpc.Transport, error) {
	url, err := rpc.ParseTransportURL(string(c.Default.TransportURL))
	if err != nil {
		return nil, fmt.Errorf("[DEFAULT] transport_url: %w", err)
	}
	r := c.Rabbit
	return rpc.NewAMQP(rpc.Options{
		URL: url, Name: name, Heartbeat: r.Heartbeat, Classic: !r.Quorum, RetryInterval: r.RetryInterval, RetryMax: r.RetryMax,
		TLS:    rpc.TLS{Enabled: r.SSL, CAFile: r.CAFile, CertFile: r.CertFile, KeyFile: r.KeyFile},
		Logger: log,
	})
}

// beside resolves a name relative to the directory of the first configuration file.
func beside(c *config.Config, name string) string {
	if filepath.IsAbs(name) || len(c.Files) == 0 {
		return name
	}
	return filepath.Join(filepath.Dir(c.Files[0]), name)
}
