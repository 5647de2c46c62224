package config

import "time"

// minSecret is how long a secret is at least that others could guess at.
const minSecret = 16

// Mounts is [mounts].
type Mounts struct {
	Enabled      bool   `name:"enabled" default:"true" help:"Mount backups on this host, if what is needed is installed and there is a shared_secret."`
	SharedSecret Secret `name:"shared_secret" sample:"MOUNTS_SHARED_SECRET" help:"What APIs sign their requests for files with: the same on all APIs and managers, of at least 16 characters. Empty: nothing is mounted."`

	BindHost string `name:"bind_host" default:"127.0.0.1" help:"Address on which a manager is asked for files. APIs on other hosts must reach it."`
	BindPort int    `name:"bind_port" default:"8786" min:"1" max:"65535" help:"Port on which it is asked."`
	Endpoint string `name:"endpoint" form:"url" help:"URL by which APIs reach that port. Empty: made of bind_host and bind_port."`
	CertFile string `name:"cert_file" form:"file" help:"Certificate of that port, and the chain behind it. Empty: plain HTTP; requests are signed, what is downloaded is not hidden."`
	KeyFile  string `name:"key_file" form:"file" help:"Key of the certificate."`
	CAFile   string `name:"ca_file" form:"file" help:"CA that managers' certificates must come from, for APIs. Empty: the system's."`

	UnmountAfter time.Duration `name:"unmount_after" default:"7200" min:"60" help:"Seconds after which a backup is unmounted, unless who mounts it says other."`
	MaxTime      time.Duration `name:"max_mount_time" default:"604800" min:"60" help:"Seconds for which a backup can be mounted at most."`
	MaxMounts    int           `name:"max_mounts" default:"4" min:"1" help:"Backups a manager mounts at once. Each has a virtual machine of memory_mb, and cache_mb besides."`
	PerProject   int           `name:"max_project_mounts" default:"4" min:"1" help:"Backups that a project may have mounted at once, on all managers."`
	MemoryMB     int           `name:"memory_mb" default:"768" min:"384" help:"MiB of memory of the virtual machine that reads a backup's file systems."`
	CacheMB      int           `name:"cache_mb" default:"32" min:"8" help:"MiB of what was read that are kept, a mount."`
	RunPath      string        `name:"run_path" help:"Directory for sockets, scratch files and the virtual machine's own disk, some 400 MB; at most 80 characters long. Empty: mounts below state_path."`
}
