// Package config reads Stowage's configuration: files in oslo.config's dialect
// of ini, environment variables over them, defaults below, all described by
// the tags of the structs in sections.go. The same tags make the sample file.
//
// A wrong value stops with one line that names file, section and option; an
// option that does not exist is a warning. Secrets are of type Secret and are
// not shown, neither in errors nor when printed.
//
// The package reads the files it is told to read. Environment, home directory
// and host name are handed in; what a value means is left to those who use it.
package config

import (
	"net/netip"
	"reflect"
	"slices"
)

// Config is the whole configuration.
type Config struct {
	Default    Default    `section:"DEFAULT"`
	Engine     Engine     `section:"engine" help:"How volumes become objects."`
	Encryption Encryption `section:"encryption" help:"How backups are sealed."`
	Database   Database   `section:"database"`
	Auth       Auth       `section:"keystone_authtoken" help:"How tokens are validated, and who Stowage itself is in Keystone."`
	Cinder     Cinder     `section:"cinder"`
	Swift      Swift      `section:"swift"`
	Nova       Nova       `section:"nova" help:"Where servers are listed, for the inventory of the vendor task API. A cloud may be without."`
	Rabbit     Rabbit     `section:"oslo_messaging_rabbit"`
	Policy     Policy     `section:"oslo_policy"`
	Middleware Middleware `section:"oslo_middleware"`
	Health     Health     `section:"healthcheck"`
	SSL        SSL        `section:"ssl" help:"TLS of the API itself; usually a proxy in front of it does that."`
	Vendor     Vendor     `section:"vendor_api" help:"The vendor task API, below /api."`
	Mail       Mail       `section:"mail" help:"Where reports are mailed from: by the API when somebody asks, by managers daily."`

	Webhooks Webhooks `section:"webhooks" help:"What managers tell addresses of tenants' choosing."`

	Mounts Mounts `section:"mounts" help:"Backups whose files are served without a restore. Managers need guestfish, nbdkit and qemu for it, and a kernel that they may read."`

	// Backends are those of [DEFAULT] enabled_backends, in that order.
	Backends []Backend
	// Warnings are for the log, a line each.
	Warnings []string
	// Files are those that were read, in order.
	Files []string
}

// Load reads the configuration.
func Load(s Source) (*Config, error) {
	v, err := s.read()
	if err != nil {
		return nil, err
	}
	c := &Config{Files: v.files}
	if err := v.decode(c); err != nil {
		return nil, err
	}
	if c.Default.Host == "" {
		c.Default.Host = s.Hostname
	}
	if err := c.lendCredentials(v); err != nil {
		return nil, err
	}
	if err := c.loadBackends(v); err != nil {
		return nil, err
	}
	for i := range c.Backends {
		if c.Backends[i].LVMHost == "" {
			c.Backends[i].LVMHost = s.Hostname
		}
	}
	if err := c.consistent(v); err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, s := range v.sections {
		ours[s.name] = true
	}
	for _, b := range c.Backends {
		ours[sectionName(b.Name)] = true
	}
	v.unknown(ours)
	c.Warnings = v.warnings
	return c, nil
}

// lendCredentials follows auth_section, and gives [cinder], [swift] and [nova]
// the credentials of [keystone_authtoken] when they have none of their own.
func (c *Config) lendCredentials(v *values) error {
	for _, s := range []struct {
		name string
		into *Credentials
	}{
		{"keystone_authtoken", &c.Auth.Credentials},
		{"cinder", &c.Cinder.Credentials},
		{"swift", &c.Swift.Credentials},
		{"nova", &c.Nova.Credentials},
	} {
		from := s.into.AuthSection
		switch {
		case from == "":
			if s.into.AuthURL == "" {
				*s.into = c.Auth.Credentials
			}
		case !v.hasSection(from):
			return v.blame(s.name, "auth_section", "there is no section [%s]", from)
		default:
			if err := v.decodeSection(sectionName(from), reflect.ValueOf(s.into).Elem()); err != nil {
				return err
			}
			s.into.AuthSection = from
		}
	}
	return nil
}

// loadBackends reads the sections of enabled_backends.
func (c *Config) loadBackends(v *values) error {
	blame := func(format string, args ...any) error {
		return v.blame("DEFAULT", "enabled_backends", format, args...)
	}
	for i, name := range c.Default.EnabledBackends {
		switch {
		case name == "":
			return blame("an empty name")
		case slices.Contains(c.Default.EnabledBackends[:i], name):
			return blame("%q is there twice", name)
		case slices.ContainsFunc(v.sections, func(s section) bool { return s.name == sectionName(name) }):
			return blame("%q is the name of another section", name)
		case !v.hasSection(name):
			return blame("there is no section [%s]", name)
		}
		b := Backend{Name: name}
		if err := v.decodeSection(sectionName(name), reflect.ValueOf(&b).Elem()); err != nil {
			return err
		}
		if missing := b.missing(); missing != "" {
			return v.blame(sectionName(name), missing, "must be set")
		}
		c.Backends = append(c.Backends, b)
	}
	return nil
}

// missing names an option that the driver cannot do without.
func (b Backend) missing() string {
	switch {
	case b.VolumeDriver == "":
		return "volume_driver"
	case b.VolumeDriver == "rbd" && b.RBDPool == "":
		return "rbd_pool"
	case b.VolumeDriver == "rbd" && b.RBDUser == "":
		return "rbd_user"
	case b.VolumeDriver == "lvm" && b.VolumeGroup == "":
		return "volume_group"
	case b.VolumeDriver == "file" && b.VolumesDir == "":
		return "volumes_dir"
	}
	return ""
}

// consistent checks what no option knows alone.
func (c *Config) consistent(v *values) error {
	if n := len(c.Mounts.SharedSecret); n > 0 && n < minSecret {
		return v.blame("mounts", "shared_secret", "must have at least %d characters", minSecret)
	}
	if c.Mounts.UnmountAfter > c.Mounts.MaxTime {
		return v.blame("mounts", "unmount_after", "must not be longer than max_mount_time")
	}
	d, m := c.Default, c.Auth
	if d.ServiceDownTime <= d.ReportInterval {
		return v.blame("DEFAULT", "service_down_time", "must be longer than report_interval, %v", d.ReportInterval)
	}
	if n := c.Engine.ChunkSizeKB; n&(n-1) != 0 {
		return v.blame("engine", "chunk_size_kb", "must be a power of two, not %d", n)
	}
	if url := c.Database.Connection; url != "" {
		if _, err := ParseDatabaseURL(string(url)); err != nil {
			return v.blame("database", "connection", "%v", err)
		}
	}
	for _, n := range c.Webhooks.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			return v.blame("webhooks", "allowed_networks", "must be networks such as 10.0.0.0/8, not %q", n)
		}
	}
	if m := c.Mail; m.Host != "" {
		switch {
		case m.From == "":
			return v.blame("mail", "from", "must be set, for smtp_host is")
		case m.User != "" && m.Security == "none":
			return v.blame("mail", "user", "must not be set where security is none: a password is not sent in clear")
		case m.Password != "" && m.PasswordFile != "":
			return v.blame("mail", "password_file", "must not be set, for password is")
		}
	}
	for _, s := range []struct{ section, cert, key, certName, keyName string }{
		{"ssl", c.SSL.CertFile, c.SSL.KeyFile, "cert_file", "key_file"},
		{"keystone_authtoken", m.CertFile, m.KeyFile, "certfile", "keyfile"},
		{"vendor_api", c.Vendor.CertFile, c.Vendor.KeyFile, "cert_file", "key_file"},
		{"mounts", c.Mounts.CertFile, c.Mounts.KeyFile, "cert_file", "key_file"},
		{"oslo_messaging_rabbit", c.Rabbit.CertFile, c.Rabbit.KeyFile, "ssl_cert_file", "ssl_key_file"},
	} {
		switch {
		case s.cert != "" && s.key == "":
			return v.blame(s.section, s.keyName, "must be set, for %s is", s.certName)
		case s.key != "" && s.cert == "":
			return v.blame(s.section, s.certName, "must be set, for %s is", s.keyName)
		}
	}
	return nil
}
