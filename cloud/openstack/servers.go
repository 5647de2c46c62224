package openstack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// ServersOptions are the options of Servers.
type ServersOptions struct {
	Options // EndpointOverride is Nova's; InProject is needed
	// Volumes are those of the same cloud, with InProject.
	Volumes *Volumes
}

// Servers implements cloud.Servers with Nova, Neutron and Cinder. All methods may be
// called at the same time. It looks with the service's own token, and makes and
// removes with the service's token of the project, so that policies and quotas of
// that project decide.
//
// Nova of Queens (microversion 2.60) or later is enough; what older ones than Ussuri
// (2.85) lack, users are told in notes.
type Servers struct {
	nova, neutron, glance neighbour
	volumes               *Volumes

	mu    sync.Mutex
	minor int // of Nova's newest microversion, 2.minor; 0: not asked yet
}

var _ cloud.Servers = (*Servers)(nil)

// Microversions of Nova's, by what came with them.
const (
	serverTags    = 52 // in the request that makes a server; port by port since 2.37, tags of volumes since 2.42
	volumeTags    = 70 // shown
	changedDelete = 85 // delete_on_termination can be changed
)

// NewServers gives the servers of the cloud the session is logged in to. It calls
// nobody yet.
func NewServers(o ServersOptions) (*Servers, error) {
	if o.Session == nil || o.InProject == nil || o.Volumes == nil || o.Volumes.InProject == nil {
		return nil, errors.New("servers need a session, sessions in projects, and volumes that have them")
	}
	return &Servers{
		nova: computeService(o.Options), neutron: o.Options.beside("network service", "v2.0", "network"),
		glance: o.Options.beside("image service", "v2", "image"), volumes: o.Volumes,
	}, nil
}

// Server puts together what Nova and Neutron tell.
func (s *Servers) Server(ctx context.Context, id string) (stowage.ServerRecord, error) {
	body, err := s.look(ctx, id)
	if err != nil {
		return stowage.ServerRecord{}, err
	}
	r := body.record()
	if r.Flavor, err = s.flavor(ctx, r.FlavorID); err != nil {
		return stowage.ServerRecord{}, err
	}
	if r.Disks, err = s.disks(ctx, body); err != nil {
		return stowage.ServerRecord{}, err
	}
	if len(r.Disks) > 0 && r.Disks[0].Boot {
		if r.Agent, err = s.agent(ctx, r.Disks[0].VolumeID); err != nil {
			return stowage.ServerRecord{}, err
		}
	}
	r.Ports, err = s.portsOf(ctx, id)
	return r, err
}

// ServerState is for whoever waits for a server.
func (s *Servers) ServerState(ctx context.Context, id string) (cloud.ServerState, error) {
	body, err := s.look(ctx, id)
	if err != nil {
		return cloud.ServerState{}, err
	}
	return cloud.ServerState{ID: body.ID, Status: body.Status, Fault: bound(body.Fault.Message)}, nil
}

// look gives a server that was not deleted.
func (s *Servers) look(ctx context.Context, id string) (serverBody, error) {
	missing := fmt.Sprintf("Server %.64s could not be found.", id)
	if !plainID.MatchString(id) || s.nova.missingService(ctx) {
		return serverBody{}, stowage.Errorf(stowage.NotFound, "%s", bound(missing))
	}
	var body struct {
		Server serverBody `json:"server"`
	}
	if err := s.nova.fetch(ctx, call{what: "get server " + id, missing: missing}, &body, "servers", id); err != nil {
		return serverBody{}, err
	}
	switch {
	case !strings.EqualFold(body.Server.ID, id) || body.Server.Status == "":
		return serverBody{}, s.nova.away(fmt.Errorf("get server %s: %w", id, errRubbish))
	case body.Server.ProjectID == "":
		return serverBody{}, errNobodys
	case body.Server.deleted():
		return serverBody{}, stowage.Errorf(stowage.NotFound, "%s", missing)
	}
	return body.Server, nil
}

// flavor gives a flavor's name; that of one that is gone is not known.
func (s *Servers) flavor(ctx context.Context, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	var body struct {
		Flavor struct {
			Name string `json:"name"`
		} `json:"flavor"`
	}
	err := s.nova.fetch(ctx, call{what: "get flavor " + id, missing: "The flavor could not be found."}, &body, "flavors", segment(id))
	if stowage.CodeOf(err) == stowage.NotFound {
		return "", nil
	}
	return body.Flavor.Name, err
}

// disks gives a server's volumes. Nova keeps in what order they boot to itself, but
// tells the root device of a server without an image: that is the one it boots from.
func (s *Servers) disks(ctx context.Context, server serverBody) ([]stowage.ServerDisk, error) {
	minor, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	var body struct {
		Attachments *[]attachmentBody `json:"volumeAttachments"`
	}
	c := call{what: "list volumes of server " + server.ID, missing: fmt.Sprintf("Server %s could not be found.", server.ID)}
	nova := s.nova.at(version2(min(minor, volumeTags)))
	if err := nova.fetch(ctx, c, &body, "servers", server.ID, "os-volume_attachments"); err != nil {
		return nil, err
	}
	if body.Attachments == nil {
		return nil, s.nova.away(fmt.Errorf("%s: %w", c.what, errRubbish))
	}
	return server.disks(*body.Attachments), nil
}

// newest gives the minor of Nova's newest microversion, which it is asked for once.
func (s *Servers) newest(ctx context.Context) (int, error) {
	s.mu.Lock()
	minor := s.minor
	s.mu.Unlock()
	if minor > 0 {
		return minor, nil
	}
	var body struct {
		Version struct {
			Newest string `json:"version"`
		} `json:"version"`
	}
	c := call{what: "ask for Nova's version", missing: "The compute service does not tell its version.", again: true}
	err := s.nova.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Get(ctx, versionRoot.FindString(client.Endpoint), &body, nil)
		return err
	})
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(body.Version.Newest, "2.%d", &minor); err != nil || minor < serverTags {
		return 0, stowage.Errorf(stowage.Invalid, "The compute service is older than Queens: servers cannot be protected.")
	}
	s.mu.Lock()
	s.minor = minor
	s.mu.Unlock()
	return minor, nil
}

func version2(minor int) string { return fmt.Sprintf("2.%d", minor) }
