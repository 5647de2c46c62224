package stowage

import "time"

// EntityKind is what a protected entity is in the cloud.
type EntityKind string

// The kinds there are.
const (
	EntityServer EntityKind = "server"
	EntityVolume EntityKind = "volume"
)

// Entity is something in the cloud that can be protected, as the inventory found
// it: a server, or a volume. Volumes that are part of a server are its disks.
type Entity struct {
	ID        string // the cloud's own
	Kind      EntityKind
	ProjectID string // empty: whoever asks (volumes of standalone mode)
	Name      string
	Present   bool // false: it is gone from the cloud
	// Listed entities stand for themselves: servers, and volumes that are no
	// disk of one or that have backups of their own.
	Listed    bool
	ServerID  string // of a disk: the server it is part of
	Excluded  bool   // of a disk: left out of backups of its server
	Is        EntityDetails
	UpdatedAt time.Time // when the inventory last found it changed
}

// EntityDetails are what is shown of an entity, and never asked for. They are
// kept as JSON.
type EntityDetails struct {
	Status   string            `json:"status,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Host     string            `json:"host,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Created  time.Time         `json:"created,omitzero"`

	// Of servers.
	FlavorID string          `json:"flavor_id,omitempty"`
	Flavor   string          `json:"flavor,omitempty"`
	Networks []EntityNetwork `json:"networks,omitempty"`
	Disks    []string        `json:"disks,omitempty"` // volumes, as the server tells

	// Of volumes.
	SizeGiB     int64  `json:"size_gib,omitempty"`
	Type        string `json:"type,omitempty"`
	Device      string `json:"device,omitempty"`
	Bootable    bool   `json:"bootable,omitempty"`
	Encrypted   bool   `json:"encrypted,omitempty"`
	Multiattach bool   `json:"multiattach,omitempty"`
}

// EntityNetwork is a network that a server is in, by name, and how.
type EntityNetwork struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"`
	MAC       string   `json:"mac,omitempty"`
}

// Resource is something of the cloud that is chosen from: a flavor, a network,
// an availability zone, a volume type, a project.
type Resource struct {
	Kind      ResourceKind
	ID, Name  string
	ProjectID string // whose it is; empty: the cloud's
	Shared    bool   // and everybody's to use
}

// ResourceKind is what a resource is.
type ResourceKind string

// The kinds there are.
const (
	ResourceFlavor     ResourceKind = "flavor"
	ResourceNetwork    ResourceKind = "network"
	ResourceZone       ResourceKind = "zone"
	ResourceVolumeType ResourceKind = "volume-type"
	ResourceProject    ResourceKind = "project"
)

// Unsupported tells why a volume cannot be backed up; empty: it can.
func (e Entity) Unsupported() string {
	switch {
	case e.Is.Encrypted:
		return "Encrypted volumes cannot be backed up yet."
	case e.Is.Multiattach && e.ServerID != "":
		return "Volumes attached to several servers cannot be backed up yet."
	}
	return ""
}
