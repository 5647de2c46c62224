package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/drivers/lvm"
	"github.com/stowage/stowage/drivers/rbd"
	"github.com/stowage/stowage/drivers/swift"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/manager"
)

// session logs in with the credentials of a section, when it is first used.
func session(section string, c config.Credentials, s config.Session, region, iface string, log *slog.Logger) (*auth.Session, error) {
	out, err := auth.NewSession(auth.Credentials{
		AuthType: c.AuthType, AuthURL: c.AuthURL, Username: c.Username, UserID: c.UserID,
		Password: auth.NewSecret(string(c.Password)), UserDomainName: c.UserDomainName, UserDomainID: c.UserDomainID,
		ProjectName: c.ProjectName, ProjectID: c.ProjectID, ProjectDomainName: c.ProjectDomainName, ProjectDomainID: c.ProjectDomainID,
		ApplicationCredentialID: c.AppCredentialID, ApplicationCredentialName: c.AppCredentialName,
		ApplicationCredentialSecret: auth.NewSecret(string(c.AppCredentialSecret)),
		RegionName:                  region, Interface: iface, CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile, Insecure: s.Insecure,
	}, auth.WithLogger(log), auth.WithProxy(http.ProxyFromEnvironment))
	if err != nil {
		return nil, fmt.Errorf("[%s]: %w", section, err)
	}
	return out, nil
}

// neighbourOptions are those of a service that is used from inside projects, too.
func neighbourOptions(s *auth.Session, e config.Endpoint, log *slog.Logger) openstack.Options {
	return openstack.Options{
		Session: s, EndpointOverride: e.Override, Log: log,
		InProject: func(project string) (openstack.Session, error) { return s.InProject(project) },
	}
}

// cinder gives Cinder as configured.
func cinder(c *config.Config, log *slog.Logger) (*openstack.Volumes, error) {
	o := c.Cinder
	s, err := session("cinder", o.Credentials, o.Session, o.RegionName, o.Interfaces(o.CatalogInfo)[0], log)
	if err != nil {
		return nil, err
	}
	return openstack.NewVolumes(openstack.VolumesOptions{
		Options:      neighbourOptions(s, o.Endpoint, log),
		NameTemplate: o.VolumeNameTemplate,
	})
}

// inventory gives what lists servers and volumes; nil where nobody asks for it.
func inventory(c *config.Config, volumes *openstack.Volumes, log *slog.Logger) (cloud.Inventory, error) {
	if !c.Vendor.Enabled {
		return nil, nil
	}
	o := c.Nova
	s, err := session("nova", o.Credentials, o.Session, o.RegionName, o.Interfaces(o.CatalogInfo)[0], log)
	if err != nil {
		return nil, err
	}
	return openstack.NewInventory(openstack.InventoryOptions{
		Options: openstack.Options{Session: s, EndpointOverride: o.Override, Log: log}, Volumes: volumes,
	})
}

// servers gives Nova and Neutron for whole servers; nil where nobody asks for any.
func servers(c *config.Config, volumes *openstack.Volumes, log *slog.Logger) (cloud.Servers, error) {
	if !c.Vendor.Enabled {
		return nil, nil
	}
	o := c.Nova
	s, err := session("nova", o.Credentials, o.Session, o.RegionName, o.Interfaces(o.CatalogInfo)[0], log)
	if err != nil {
		return nil, err
	}
	return openstack.NewServers(openstack.ServersOptions{Options: neighbourOptions(s, o.Endpoint, log), Volumes: volumes})
}

// containers gives Swift as the API needs it.
func containers(c *config.Config, log *slog.Logger) (*openstack.Containers, error) {
	o := c.Swift
	s, err := session("swift", o.Credentials, o.Session, o.RegionName, o.Interfaces(o.CatalogInfo)[0], log)
	if err != nil {
		return nil, err
	}
	return openstack.NewContainers(openstack.ContainersOptions{
		Options: openstack.Options{Session: s, EndpointOverride: o.Override, Log: log},
		Mode:    openstack.AccessMode(o.AccessMode), CreateStoragePolicy: o.StoragePolicy, NewID: uuid.NewString,
	})
}

// stores gives Swift as the managers need it.
func stores(c *config.Config, log *slog.Logger) (drivers.Stores, error) {
	o := c.Swift
	s, err := session("swift", o.Credentials, o.Session, o.RegionName, o.Interfaces(o.CatalogInfo)[0], log)
	if err != nil {
		return nil, err
	}
	transport, err := swiftTransport(o)
	if err != nil {
		return nil, err
	}
	return swift.Open(swift.Options{
		TokenSource: s, Transport: transport, RetryAttempts: o.RetryAttempts + 1, Backoff: o.RetryBackoff,
		UserAgent: "stowage/" + version, Logger: log,
		AccountURL: func(ctx context.Context, project string) (string, error) {
			return openstack.AccountURL(ctx, s, o.Override, project)
		},
	})
}

// backends says how to open the backends of the configuration.
func backends(c *config.Config, log *slog.Logger) ([]manager.Backend, error) {
	var list []manager.Backend
	for _, b := range c.Backends {
		out := manager.Backend{Name: b.Name, Driver: b.VolumeDriver, CinderHosts: b.CinderHosts}
		switch b.VolumeDriver {
		case "rbd":
			out.Open = func(ctx context.Context) (drivers.Volumes, error) {
				return rbd.Open(ctx, rbd.Options{
					Pool: b.RBDPool, User: b.RBDUser, CephConf: b.CephConf, Keyring: b.Keyring, ConnectTimeout: max(b.ConnectTimeout, 0),
				})
			}
		case "lvm":
			out.Open = func(ctx context.Context) (drivers.Volumes, error) {
				return lvm.Open(ctx, lvm.Options{
					VolumeGroup: b.VolumeGroup, Host: b.LVMHost, SnapshotPercent: b.SnapshotPercent,
					SnapshotMinBytes: int64(b.SnapshotMin) * stowage.GiB, SnapshotMaxBytes: int64(b.SnapshotMax) * stowage.GiB,
					StateDir: filepath.Join(c.Default.StatePath, "lvm"), Log: log,
				})
			}
		case "file":
			if info, err := os.Stat(b.VolumesDir); err != nil || !info.IsDir() {
				return nil, fmt.Errorf("[%s] volumes_dir: %s is no directory", b.Name, b.VolumesDir)
			}
			out.Open = func(context.Context) (drivers.Volumes, error) {
				return file.Open(file.Options{Key: "file:" + b.Name, Dir: b.VolumesDir, NewID: uuid.NewString})
			}
		default:
			return nil, fmt.Errorf("[%s] volume_driver: %s is not supported by this version", b.Name, b.VolumeDriver)
		}
		list = append(list, out)
	}
	return list, nil
}

// policy gives the rules: the defaults, and over them what the operator wrote.
func policy(c *config.Config, log *slog.Logger) (*auth.Enforcer, error) {
	e, err := auth.NewEnforcer(auth.EnforcerOptions{Defaults: auth.Defaults(), Log: log})
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, d := range c.Policy.Dirs {
		dirs = append(dirs, beside(c, strings.TrimSpace(d)))
	}
	if err := e.Load(beside(c, c.Policy.File), dirs); err != nil {
		return nil, fmt.Errorf("[oslo_policy] policy_file: %w", err)
	}
	return e, nil
}

// swiftTransport trusts and proves what [swift] says.
func swiftTransport(o config.Swift) (http.RoundTripper, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("[swift] cafile: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("[swift] cafile: %s holds no certificate", o.CAFile)
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("[swift] certfile and keyfile: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return swift.NewTransport(t), nil
}
