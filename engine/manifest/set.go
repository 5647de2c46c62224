package manifest

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Set is the backup of a server that a volume's backup is part of: what it takes to
// build the server again when there is no database. Every part has all of it.
type Set struct {
	Backup      uuid.UUID            `json:"backup"` // of the server
	Name        string               `json:"name,omitempty"`
	Description string               `json:"description,omitempty"`
	CreatedAt   time.Time            `json:"created_at"`
	Server      stowage.ServerRecord `json:"server"` // its disks name the parts
}

// Bounds of a Set, far above what clouds allow a server.
const (
	MaxSetBytes = 256 << 10 // of JSON

	maxSetList = 1024 // ports, tags, pairs of metadata, addresses of a port
	maxSetText = 4096 // bytes
	infoSpare  = 4096 // of JSON, for what the engine adds to an Info
)

// AddSet says what server's backup this one is part of. It refuses, and leaves the
// Info as it is, what could not be read again: then the volume is stored without.
func (i *Info) AddSet(s *Set) error {
	if err := s.check(i); err != nil {
		return err
	}
	with := *i
	with.Set = s
	text, err := json.Marshal(with)
	if err != nil {
		return err
	}
	if len(text) > MaxInfoBytes-infoSpare {
		return corrupt("with it there are %d bytes of JSON", len(text))
	}
	i.Set = s
	return nil
}

// parseInfo reads the JSON of a root. A set that cannot be believed is left out, and
// why is noted: the volume can be restored without it.
func (r *Root) parseInfo(text []byte) error {
	var all struct {
		*Info
		Set json.RawMessage `json:"set"` // instead of Info's
	}
	all.Info = &r.Info
	if err := json.Unmarshal(text, &all); err != nil {
		return stowage.Wrap(stowage.Corrupt, err, "the JSON of the root is not of this form")
	}
	if len(all.Set) == 0 || bytes.Equal(all.Set, []byte("null")) {
		return nil
	}
	set, err := parseSet(all.Set, &r.Info)
	if err != nil {
		r.SetFault = stowage.MessageOf(err)
		return nil
	}
	r.Info.Set = set
	return nil
}

func parseSet(text []byte, i *Info) (*Set, error) {
	if len(text) > MaxSetBytes {
		return nil, corrupt("the server's backup has %d bytes of JSON", len(text))
	}
	s := &Set{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, stowage.Wrap(stowage.Corrupt, err, "the JSON of the server's backup is not of this form")
	}
	return s, s.check(i)
}

// check holds a set against its bounds, and against the backup that says it is part
// of it.
func (s *Set) check(i *Info) error {
	switch v := &s.Server; {
	case s.Backup == uuid.Nil || s.Backup == i.Backup:
		return corrupt("a server's backup cannot be %s", s.Backup)
	case !ValidVolumeID(v.ID):
		return corrupt("a server cannot have the id %.80q", v.ID)
	case len(v.Disks) > stowage.MaxServerDisks:
		return corrupt("the server has %d volumes", len(v.Disks))
	case len(v.Ports) > maxSetList:
		return corrupt("the server has %d ports", len(v.Ports))
	case len(v.Tags) > maxSetList || len(v.Metadata) > maxSetList:
		return corrupt("the server has %d tags and %d pairs of metadata", len(v.Tags), len(v.Metadata))
	}
	if n := longest(s); n > maxSetText {
		return corrupt("the server's backup has a text of %d bytes", n)
	}
	if err := s.checkParts(i); err != nil {
		return err
	}
	for _, p := range s.Server.Ports {
		if len(p.Addresses) > maxSetList || len(p.SecurityGroups) > maxSetList {
			return corrupt("a port has %d addresses and %d security groups", len(p.Addresses), len(p.SecurityGroups))
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return stowage.Wrap(stowage.Corrupt, err, "the server's backup cannot be written down")
	}
	if len(text) > MaxSetBytes {
		return corrupt("the server's backup has %d bytes of JSON", len(text))
	}
	return nil
}

// checkParts makes sure that a disk names this backup and its volume, and none names
// what another does.
func (s *Set) checkParts(i *Info) error {
	var parts, volumes []string
	named := false
	for _, d := range s.Server.Disks {
		if !ValidVolumeID(d.VolumeID) || slices.Contains(volumes, d.VolumeID) {
			return corrupt("the server cannot have the volume %.80q", d.VolumeID)
		}
		volumes = append(volumes, d.VolumeID)
		if d.Backup == "" {
			continue
		}
		// UUIDs can be written in more than one way; one is ours.
		if id, err := uuid.Parse(d.Backup); err != nil || id.String() != d.Backup || slices.Contains(parts, d.Backup) {
			return corrupt("volume %s of the server cannot have the backup %.80q", d.VolumeID, d.Backup)
		}
		parts = append(parts, d.Backup)
		named = named || d.Backup == i.Backup.String() && d.VolumeID == i.Volume.ID
	}
	if !named || slices.Contains(parts, s.Backup.String()) {
		return corrupt("the server's backup %s does not have this one of volume %.80q", s.Backup, i.Volume.ID)
	}
	return nil
}

// longest is how many bytes the longest text of a set has.
func longest(s *Set) (n int) {
	add := func(texts ...string) {
		for _, t := range texts {
			n = max(n, len(t))
		}
	}
	v := &s.Server
	add(s.Name, s.Description, v.ProjectID, v.Name, v.Status, v.FlavorID, v.Flavor, v.ImageID, v.Zone, v.KeyName)
	add(v.Tags...)
	for key, value := range v.Metadata {
		add(key, value)
	}
	for _, p := range v.Ports {
		add(p.ID, p.NetworkID, p.Network, p.MAC)
		add(p.Addresses...)
		add(p.SecurityGroups...)
	}
	for _, d := range v.Disks {
		add(d.Device, d.Tag, d.Left)
	}
	return n
}
