package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/api/hp"
	"github.com/stowage/stowage/api/vendor"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/service"
)

func apiCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use: "api", Short: "Serve the HTTP APIs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load()
			if err == nil {
				err = needs(c, map[string]bool{"[database] connection": true, "[DEFAULT] transport_url": true, "[keystone_authtoken] auth_url": true})
			}
			if err != nil {
				return err
			}
			return runAPI(cmd.Context(), c)
		},
	}
	s.flags(cmd)
	return cmd
}

func runAPI(ctx context.Context, c *config.Config) (err error) {
	var loaded atomic.Pointer[auth.Enforcer] // a SIGHUP may come before
	p, err := openParts(ctx, c, "stowage-api", func() error {
		if rules := loaded.Load(); rules != nil {
			return rules.Reload()
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	log := p.log
	rules, err := policy(c, log)
	if err != nil {
		return err
	}
	loaded.Store(rules)
	swift, err := containers(c, log)
	if err != nil {
		return err
	}
	tokens, err := validator(ctx, c, log)
	if err != nil {
		return err
	}
	encrypt, err := serverTLS(c.SSL, "ssl")
	if err != nil {
		return err
	}

	files, err := mountedFiles(c)
	if err != nil {
		return err
	}

	options := api.Options{
		Log: log, NewID: uuid.NewString, Now: time.Now, MaxBody: c.Middleware.MaxRequestBody,
		ProxyHeaders: c.Middleware.ProxyHeaders, PublicEndpoint: c.Default.PublicEndpoint,
		Health: map[string]func(context.Context) error{"database": p.base.Ping}, DisableFile: c.Health.DisableFile,
		GraceTime: grace(c), TLS: encrypt,
	}
	whole, err := servers(c, p.volumes, log)
	if err != nil {
		return err
	}
	post, err := mailer(c)
	if err != nil {
		return err
	}
	calls, err := guard(c)
	if err != nil {
		return err
	}
	verbs := service.New(service.Options{
		DB: p.base, Transport: p.transport, Volumes: p.volumes, Servers: whole, Containers: swift, Capacities: swift, Mail: post, Guard: calls, Now: time.Now, NewID: uuid.NewString, Log: log,
		DownTime: c.Default.ServiceDownTime, CreateTimeout: c.Cinder.CreateTimeout,
		Files: files, MountTime: c.Mounts.UnmountAfter, MaxMountTime: c.Mounts.MaxTime, MaxMounts: c.Mounts.PerProject,
	})
	gate := &api.Gate{Validator: tokens, Policy: rules, Challenge: tokens.WWWAuthenticate()}
	options.Protocols = []api.Protocol{&hp.API{Gate: gate, Service: verbs, Server: &options, MaxLimit: c.Default.MaxLimit}}
	own := options // of the vendor API's own port
	if c.Vendor.Enabled {
		v, err := vendorAPI(c, p, gate, verbs, tokens, &options)
		if err != nil {
			return err
		}
		options.Protocols = append(options.Protocols, v)
		own.Protocols = []api.Protocol{v}
	}
	l, err := listen("DEFAULT", c.Default.BindHost, c.Default.BindPort)
	if err != nil {
		return err
	}
	group, run := errgroup.WithContext(ctx)
	if c.Vendor.Enabled && c.Vendor.BindPort != 0 {
		own.TLS, err = serverTLS(config.SSL{CertFile: c.Vendor.CertFile, KeyFile: c.Vendor.KeyFile}, "vendor_api")
		if err != nil {
			return errors.Join(err, l.Close())
		}
		second, err := listen("vendor_api", c.Vendor.BindHost, c.Vendor.BindPort)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		log.Info("serving the vendor task API alone", "address", second.Addr().String(), "tls", own.TLS != nil)
		group.Go(func() error { return api.New(own).Serve(run, second) })
	}
	log.Info("serving", "address", l.Addr().String(), "version", version)
	group.Go(func() error { return api.New(options).Serve(run, l) })
	return group.Wait()
}

func listen(section, host string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen as [%s] bind_host and bind_port say: %w", section, err)
	}
	return l, nil
}

// vendorAPI gives the vendor task API as configured.
func vendorAPI(c *config.Config, p *parts, gate *api.Gate, verbs *service.Service, tokens *auth.Keystone, server *api.Options) (*vendor.API, error) {
	o := c.Vendor
	sessions, err := service.NewSessions(service.SessionOptions{
		DB: p.base, Passwords: tokens, Validator: tokens, Random: rand.Reader, Now: time.Now, Log: p.log,
		Domain: o.LoginDomain, Project: o.LoginProject, Qualified: o.LoginQualified,
		Idle: o.IdleTime, Life: o.LifeTime, Remember: o.LoginCacheTime,
	})
	if err != nil {
		return nil, err
	}
	keystone := c.Auth.WWWAuthenticateURI
	if keystone == "" {
		keystone = c.Auth.AuthURL
	}
	return &vendor.API{
		Gate: gate, Service: verbs, Sessions: sessions, Server: server, KeystoneURL: keystone, MaxRequestBody: o.MaxRequestBody,
		Origins: o.AllowedOrigins,
	}, nil
}

// grace is how long work may go on at shutdown; 0 in the configuration means
// for as long as it takes.
func grace(c *config.Config) time.Duration {
	if c.Default.ShutdownTimeout == 0 {
		return 365 * 24 * time.Hour
	}
	return c.Default.ShutdownTimeout
}

// validator gives Keystone, and refuses to go on when our own user lacks the
// right to validate tokens. A Keystone that is away is only a warning.
func validator(ctx context.Context, c *config.Config, log *slog.Logger) (*auth.Keystone, error) {
	a := c.Auth
	s, err := session("keystone_authtoken", a.Credentials, a.Session, a.RegionName, a.Interface, log)
	if err != nil {
		return nil, err
	}
	k, err := auth.NewKeystone(auth.Options{
		Session: s, Log: log, ServiceType: a.ServiceType, ServiceTokenRoles: a.ServiceRoles, ServiceTokenRolesOptional: !a.RolesRequired,
		TokenCacheTime: a.TokenCacheTime, WWWAuthenticateURI: a.WWWAuthenticateURI,
	})
	if err != nil {
		return nil, fmt.Errorf("[keystone_authtoken]: %w", err)
	}
	err = k.CheckSelf(ctx)
	if stowage.CodeOf(err) == stowage.Unavailable {
		log.Warn("Keystone is away; every request is answered 503 until it is back", "error", err)
		return k, nil
	}
	return k, err
}

// serverTLS is the API's own TLS, nil for plain HTTP.
func serverTLS(o config.SSL, section string) (*tls.Config, error) {
	if o.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("[%s] cert_file and key_file: %w", section, err)
	}
	t := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("[ssl] ca_file: %w", err)
		}
		t.ClientCAs, t.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !t.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("[ssl] ca_file: %s holds no certificate", o.CAFile)
		}
	}
	return t, nil
}
