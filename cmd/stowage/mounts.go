package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/mount"
	"github.com/stowage/stowage/mount/door"
	"github.com/stowage/stowage/service"
)

// own are the files that the manager of this process serves.
type own struct{ *manager.Manager }

// mountedFiles is how an API asks managers for files; nil without a secret.
func mountedFiles(c *config.Config) (service.Files, error) {
	if c.Mounts.SharedSecret == "" {
		return nil, nil
	}
	t := &http.Transport{
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute,
	}
	if c.Mounts.CAFile != "" {
		pem, err := os.ReadFile(c.Mounts.CAFile)
		if err != nil {
			return nil, fmt.Errorf("[mounts] ca_file: %w", err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("[mounts] ca_file: %s holds no certificate", c.Mounts.CAFile)
		}
	}
	return door.NewClient([]byte(c.Mounts.SharedSecret), t, time.Now), nil
}

// mounter is what opens backups for a manager; nil: this host mounts none, and the
// log tells why.
func mounter(c *config.Config, log *slog.Logger) (manager.OpenImage, error) {
	o := c.Mounts
	switch {
	case !o.Enabled:
		return nil, nil
	case o.SharedSecret == "":
		log.Info("no backups are mounted on this host", "reason", "[mounts] shared_secret is not set")
		return nil, nil
	}
	dir := o.RunPath
	if dir == "" {
		dir = filepath.Join(c.Default.StatePath, "mounts")
	}
	m, err := mount.New(mount.Options{Dir: dir, MemoryMB: o.MemoryMB, Log: log})
	if stowage.CodeOf(err) == stowage.Unavailable {
		log.Info("no backups are mounted on this host", "reason", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("[mounts] run_path: %w", err)
	}
	return opens(m), nil
}

// openImage is mounter for a process that needs no configuration.
func openImage(o mount.Options) manager.OpenImage {
	m, err := mount.New(o)
	if err != nil {
		o.Log.Info("no backups are mounted", "reason", err)
		return nil
	}
	return opens(m)
}

func opens(m *mount.Mounter) manager.OpenImage {
	return func(ctx context.Context, log *slog.Logger, image mount.Image) (manager.Session, []stowage.FileSystem, error) {
		s, found, err := m.Open(ctx, log, image)
		if err != nil {
			return nil, nil, err
		}
		return s, found, nil
	}
}

// endpoint is the URL of a manager's door.
func endpoint(o config.Mounts) string {
	if o.Endpoint != "" {
		return o.Endpoint
	}
	scheme := "http"
	if o.CertFile != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(o.BindHost, strconv.Itoa(o.BindPort))
}

// openDoor lets APIs ask for what the manager serves, until it is closed.
func openDoor(c *config.Config, files door.Files, log *slog.Logger) (func() error, error) {
	o := c.Mounts
	encrypt, err := serverTLS(config.SSL{CertFile: o.CertFile, KeyFile: o.KeyFile}, "mounts")
	if err != nil {
		return nil, err
	}
	l, err := listen("mounts", o.BindHost, o.BindPort)
	if err != nil {
		return nil, err
	}
	log.Info("mounted backups can be asked for", "address", l.Addr().String(), "tls", encrypt != nil)
	if encrypt != nil {
		l = tls.NewListener(l, encrypt)
	}
	server := &http.Server{
		Handler:           &door.Server{Secret: []byte(o.SharedSecret), Files: files, Now: time.Now, Log: log},
		ReadHeaderTimeout: 15 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return func() error {
		err := server.Close() // what is downloaded is over with the mounts
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
