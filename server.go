package stowage

import "time"

// ServerRecord is what is worth remembering of a server, so that it can be built
// again from its volumes.
type ServerRecord struct {
	ID        string            `json:"id"`
	ProjectID string            `json:"project_id,omitempty"`
	Name      string            `json:"name,omitempty"`
	Status    string            `json:"status,omitempty"` // as Nova says, when it was looked at
	FlavorID  string            `json:"flavor_id,omitempty"`
	Flavor    string            `json:"flavor,omitempty"`   // its name: the id may be another's by then
	ImageID   string            `json:"image_id,omitempty"` // it boots from; empty: from a volume
	Zone      string            `json:"zone,omitempty"`
	KeyName   string            `json:"key_name,omitempty"` // of its user's keypair
	Metadata  map[string]string `json:"metadata,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Config    bool              `json:"config_drive,omitempty"`
	Agent     bool              `json:"guest_agent,omitempty"` // what it boots from says that QEMU's guest agent is in it
	Ports     []ServerPort      `json:"ports,omitempty"`       // in Neutron's order of creation
	Disks     []ServerDisk      `json:"disks,omitempty"`       // by the name of their device, the boot disk first
	CreatedAt time.Time         `json:"created_at,omitzero"`
}

// MaxServerDisks bounds the volumes of one server, as clouds do.
const MaxServerDisks = 128

// Rebuild is the plan by which a server is restored, kept with the job that does it.
type Rebuild struct {
	Name        string        `json:"name"`
	FlavorID    string        `json:"flavor_id,omitempty"`
	Zone        string        `json:"zone,omitempty"`
	VolumesOnly bool          `json:"volumes_only,omitempty"`
	Overwrite   bool          `json:"overwrite,omitempty"` // the volumes that were backed up, not new ones
	Disks       []RebuildDisk `json:"disks"`
	Ports       []ServerPort  `json:"ports,omitempty"`
	ServerID    string        `json:"server_id,omitempty"` // once it is asked for
	Notes       []string      `json:"notes,omitempty"`     // what could not be given back
}

// RebuildDisk is a volume of a server that is restored.
type RebuildDisk struct {
	ServerDisk
	BackupID int64  `json:"backup_id"`
	JobID    string `json:"job_id"` // of the job that restores it
	Type     string `json:"type,omitempty"`
	Name     string `json:"name,omitempty"`
}

// ServerPort is how a server is in a network.
type ServerPort struct {
	ID             string   `json:"id,omitempty"`
	NetworkID      string   `json:"network_id"`
	Network        string   `json:"network,omitempty"` // its name
	MAC            string   `json:"mac,omitempty"`
	Addresses      []string `json:"addresses,omitempty"`
	SecurityGroups []string `json:"security_groups,omitempty"` // ids
}

// ServerDisk is a volume of a server.
type ServerDisk struct {
	VolumeID         string `json:"volume_id"`
	Device           string `json:"device,omitempty"` // as Nova calls it: /dev/vda
	Boot             bool   `json:"boot,omitempty"`
	DeleteWithServer bool   `json:"delete_with_server,omitempty"`
	Tag              string `json:"tag,omitempty"`

	// Of a server that was backed up: the backup of the volume, by its UUID;
	// empty: it was left out, and why.
	Backup string `json:"backup,omitempty"`
	Left   string `json:"left,omitempty"`
}
