package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// Servers stands in for Nova and Neutron: servers that hold volumes and addresses,
// and do nothing. They live in memory and go with it; standalone mode has none.
type Servers struct {
	// Snapshots takes snapshots of volumes, in Cinder's place. Nil: nothing does.
	Snapshots Snapshots

	volumes *Volumes

	mu       sync.Mutex
	servers  map[string]*server
	networks []string
	console  string
	taken    []taken
}

type server struct {
	stowage.ServerRecord
	mark  string
	fault string
}

var _ cloud.Servers = (*Servers)(nil)

// NewServers gives a cloud without servers, for the volumes.
func NewServers(volumes *Volumes) *Servers {
	return &Servers{volumes: volumes, servers: map[string]*server{}}
}

// Put makes a server as a user would, with volumes that are available. Those are in
// use from then on.
func (s *Servers) Put(ctx context.Context, r stowage.ServerRecord) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(ctx, r, "")
}

func (s *Servers) put(ctx context.Context, r stowage.ServerRecord, mark string) (string, error) {
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	for _, d := range r.Disks {
		err := s.volumes.change(ctx, d.VolumeID, func(side *sidecar) error {
			if side.Status != stowage.VolumeAvailable {
				return stowage.Errorf(stowage.Invalid, "Volume %s is not available.", d.VolumeID)
			}
			side.Status = stowage.VolumeInUse
			side.Locks = append(side.Locks, lock{ID: uuid.NewString(), Owner: r.ID})
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	for i := range r.Ports {
		r.Ports[i].ID = uuid.NewString()
	}
	r.Status = cloud.ServerActive
	s.servers[r.ID] = &server{ServerRecord: r, mark: mark}
	return r.ID, nil
}

// Spoil makes a server one in ERROR, with this fault.
func (s *Servers) Spoil(id, fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers[id].Status, s.servers[id].fault = cloud.ServerError, fault
}

// Delete deletes a server as its user would.
func (s *Servers) Delete(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(ctx, id, true)
}

func (s *Servers) remove(ctx context.Context, id string, asUser bool) error {
	for _, d := range s.servers[id].Disks {
		err := s.volumes.change(ctx, d.VolumeID, func(side *sidecar) error {
			side.Locks = slices.DeleteFunc(side.Locks, func(l lock) bool { return l.Owner == id })
			side.Status = stowage.VolumeAvailable
			return nil
		})
		if err == nil && asUser && d.DeleteWithServer {
			err = s.RemoveVolume(ctx, s.servers[id].ProjectID, d.VolumeID)
		}
		if err != nil && stowage.CodeOf(err) != stowage.NotFound {
			return err
		}
	}
	delete(s.servers, id)
	return nil
}

// List gives the servers there are, by name.
func (s *Servers) List() []stowage.ServerRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []stowage.ServerRecord
	for _, one := range s.servers {
		list = append(list, one.ServerRecord)
	}
	slices.SortFunc(list, func(a, b stowage.ServerRecord) int {
		if a.Name != b.Name {
			return map[bool]int{true: -1, false: 1}[a.Name < b.Name]
		}
		return map[bool]int{true: -1, false: 1}[a.ID < b.ID]
	})
	return list
}

// Server gives a server that was not deleted.
func (s *Servers) Server(ctx context.Context, id string) (stowage.ServerRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.servers[id]
	if !ok || ctx.Err() != nil {
		return stowage.ServerRecord{}, errors.Join(ctx.Err(), stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", id))
	}
	r := one.ServerRecord
	r.Disks, r.Ports, r.Metadata = slices.Clone(r.Disks), slices.Clone(r.Ports), maps.Clone(r.Metadata)
	if len(r.Disks) > 0 && r.Disks[0].Boot {
		vol, err := s.volumes.Volume(ctx, r.Disks[0].VolumeID)
		if err != nil && stowage.CodeOf(err) != stowage.NotFound {
			return stowage.ServerRecord{}, err
		}
		r.Agent = cloud.GuestAgent(vol.ImageMetadata)
	}
	return r, nil
}

// BuildServer makes the server at once. An address that another has is left out, with
// a note.
func (s *Servers) BuildServer(ctx context.Context, projectID string, req cloud.ServerRequest) (string, []string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := map[string]bool{}
	for id, one := range s.servers {
		if one.mark == req.Mark {
			return id, nil, nil
		}
		for _, p := range one.Ports {
			taken[p.MAC] = true
			for _, a := range p.Addresses {
				taken[p.NetworkID+" "+a] = true
			}
		}
	}
	if len(req.Volumes) == 0 && req.ImageID == "" {
		return "", nil, stowage.Errorf(stowage.Invalid, "A server needs a volume or an image to boot from.")
	}
	r := stowage.ServerRecord{
		ProjectID: projectID, Name: req.Name, FlavorID: req.FlavorID, ImageID: req.ImageID, Zone: req.Zone, KeyName: req.KeyName,
		Metadata: maps.Clone(req.Metadata), Tags: req.Tags, Config: req.Config, Disks: slices.Clone(req.Volumes),
	}
	var notes []string
	for _, p := range req.Ports {
		var free []string
		for _, a := range p.Addresses {
			if taken[p.NetworkID+" "+a] {
				notes = append(notes, fmt.Sprintf("The address %s is another's.", a))
				continue
			}
			free = append(free, a)
		}
		if taken[p.MAC] {
			p.MAC = ""
		}
		p.Addresses = free
		r.Ports = append(r.Ports, p)
	}
	id, err := s.put(ctx, r, req.Mark)
	return id, notes, err
}

// ServerState tells how a server is.
func (s *Servers) ServerState(_ context.Context, id string) (cloud.ServerState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.servers[id]
	if !ok {
		return cloud.ServerState{}, stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", id)
	}
	return cloud.ServerState{ID: id, Status: one.Status, Fault: one.fault}, nil
}

// RemoveServer removes what was made for the mark.
func (s *Servers) RemoveServer(ctx context.Context, _, mark string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.servers {
		if one.mark == mark {
			return s.remove(ctx, id, false)
		}
	}
	return nil
}

// SecurityGroups are those that ports of the project's servers have.
func (s *Servers) SecurityGroups(_ context.Context, projectID string) ([]cloud.SecurityGroup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, one := range s.servers {
		if one.ProjectID == projectID {
			for _, p := range one.Ports {
				ids = append(ids, p.SecurityGroups...)
			}
		}
	}
	slices.Sort(ids)
	var list []cloud.SecurityGroup
	for _, id := range slices.Compact(ids) {
		list = append(list, cloud.SecurityGroup{ID: id, Name: "name of " + id})
	}
	return list, nil
}

// Console tells what Say was told, of any server.
func (s *Servers) Console(_ context.Context, id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers[id] == nil {
		return "", stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", id)
	}
	return s.console, nil
}

// Say is what is on the consoles of all servers from now on.
func (s *Servers) Say(console string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.console = console
}

// CreateTestNetwork makes a network of a name that tells where it is from.
func (s *Servers) CreateTestNetwork(_ context.Context, _, like, mark string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := "test-" + like + "-" + mark
	if !slices.Contains(s.networks, id) {
		s.networks = append(s.networks, id)
	}
	return id, nil
}

// TestNetworks are those that there are.
func (s *Servers) TestNetworks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.networks)
}

// RemoveTestNetworks removes those of the mark.
func (s *Servers) RemoveTestNetworks(_ context.Context, _, mark string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.servers {
		for _, p := range one.Ports {
			if strings.HasSuffix(p.NetworkID, mark) {
				return stowage.Errorf(stowage.Conflict, "Server %s is in network %s.", one.ID, p.NetworkID)
			}
		}
	}
	s.networks = slices.DeleteFunc(s.networks, func(id string) bool { return strings.HasSuffix(id, mark) })
	return nil
}

// CreateVolume makes a volume of the project's.
func (s *Servers) CreateVolume(ctx context.Context, projectID string, req cloud.VolumeRequest) (cloud.Volume, error) {
	return s.volumes.CreateUserVolume(ctx, cloud.User{ProjectID: projectID}, req)
}

// RemoveVolume removes the file of a volume that nobody uses.
func (s *Servers) RemoveVolume(ctx context.Context, projectID, id string) error {
	err := s.volumes.change(ctx, id, func(side *sidecar) error {
		if side.ProjectID != projectID && side.ProjectID != "" {
			return stowage.Errorf(stowage.NotFound, "Volume %s could not be found.", id)
		}
		if len(side.Locks) > 0 {
			return stowage.Errorf(stowage.Conflict, "Volume %s is in use.", id)
		}
		return nil
	})
	if err == nil {
		err = os.Remove(s.volumes.path(id))
	}
	if stowage.CodeOf(err) == stowage.NotFound || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
