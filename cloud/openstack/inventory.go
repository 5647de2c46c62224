package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// InventoryOptions are the options of Inventory.
type InventoryOptions struct {
	Options // EndpointOverride is Nova's
	// Volumes are those of the same cloud.
	Volumes *Volumes
}

// Inventory implements cloud.Inventory: servers and flavors from Nova, networks
// from Neutron, projects from Keystone, volumes and their types from Cinder. All
// calls are the service's own; it needs the right to list what is in all
// projects.
type Inventory struct {
	nova, neutron, keystone neighbour
	volumes                 *Volumes
}

var _ cloud.Inventory = (*Inventory)(nil)

// NewInventory gives the inventory of the cloud the session is logged in to. It
// calls nobody yet.
func NewInventory(o InventoryOptions) (*Inventory, error) {
	if o.Session == nil || o.Volumes == nil {
		return nil, errors.New("an inventory needs a session and volumes")
	}
	return &Inventory{
		nova: computeService(o.Options), neutron: o.Options.beside("network service", "v2.0", "network"),
		keystone: o.Options.beside("identity service", "v3", "identity"), volumes: o.Volumes,
	}, nil
}

// errNobodys: what is nobody's would be shown to everybody, so a policy that hides
// whose a thing is from the service must not pass for that.
var errNobodys = stowage.Errorf(stowage.Forbidden, "The backup service is not told whose the servers and volumes are.")

type serverBody struct {
	ID        string    `json:"id"`
	ProjectID string    `json:"tenant_id"`
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	Zone      string    `json:"OS-EXT-AZ:availability_zone"`
	Host      string    `json:"OS-EXT-SRV-ATTR:host"`
	Tags      []string  `json:"tags"`
	Metadata  looseMap  `json:"metadata"`
	Created   looseTime `json:"created"`
	Flavor    struct {
		ID string `json:"id"`
	} `json:"flavor"`
	KeyName string    `json:"key_name"`
	Image   imageRef  `json:"image"`
	Config  looseBool `json:"config_drive"`
	Root    string    `json:"OS-EXT-SRV-ATTR:root_device_name"`
	Fault   struct {
		Message string `json:"message"`
	} `json:"fault"`
	Addresses map[string][]struct {
		Address string `json:"addr"`
		MAC     string `json:"OS-EXT-IPS-MAC:mac_addr"`
	} `json:"addresses"`
	Volumes []struct {
		ID               string `json:"id"`
		DeleteWithServer bool   `json:"delete_on_termination"`
	} `json:"os-extended-volumes:volumes_attached"`
}

// EachServer pages through Nova's list. Nova filters by changes-since, and then
// tells deleted servers, too.
func (i *Inventory) EachServer(ctx context.Context, since time.Time, fn func(cloud.Server) error) error {
	if i.nova.missingService(ctx) {
		return nil
	}
	query := url.Values{"all_tenants": {"1"}}
	if !since.IsZero() {
		query.Set("changes-since", since.UTC().Format(time.RFC3339))
	}
	id := func(s serverBody) string { return s.ID }
	return each(ctx, &i.nova, "servers/detail", "servers", query, id, func(s serverBody) error {
		if s.ID == "" || s.ProjectID == "" {
			return errNobodys
		}
		return fn(s.server())
	})
}

func (s serverBody) server() cloud.Server {
	out := cloud.Server{
		ID: s.ID, ProjectID: s.ProjectID, Name: s.Name, Status: s.Status, Deleted: s.deleted(),
		Zone: s.Zone, Host: s.Host, FlavorID: s.Flavor.ID, Tags: s.Tags, Metadata: s.Metadata, CreatedAt: s.Created.Time,
	}
	for _, v := range s.Volumes {
		out.Volumes = append(out.Volumes, v.ID)
	}
	for _, name := range sortedKeys(s.Addresses) {
		n := stowage.EntityNetwork{Name: name}
		for _, a := range s.Addresses[name] {
			n.Addresses = append(n.Addresses, a.Address)
			n.MAC = a.MAC
		}
		out.Networks = append(out.Networks, n)
	}
	return out
}

// EachVolume pages through Cinder's list.
func (i *Inventory) EachVolume(ctx context.Context, fn func(cloud.Volume) error) error {
	id := func(b volumeBody) string { return b.ID }
	return each(ctx, &i.volumes.neighbour, "volumes/detail", "volumes", url.Values{"all_tenants": {"1"}}, id, func(b volumeBody) error {
		if err := b.check(""); err != nil {
			return err
		}
		if b.ProjectID == "" {
			return errNobodys
		}
		return fn(b.volume())
	})
}

// Server asks Nova once: who lists asks for many. A cloud whose catalog has lost its Nova
// has not lost its servers.
func (i *Inventory) Server(ctx context.Context, id string) (cloud.Server, error) {
	gone := fmt.Sprintf("Server %.64s could not be found.", id)
	if !plainID.MatchString(id) {
		return cloud.Server{}, stowage.Errorf(stowage.NotFound, "%s", bound(gone))
	}
	if i.nova.missingService(ctx) {
		return cloud.Server{}, i.nova.away(fmt.Errorf("get server %s: there is no such service", id))
	}
	var body struct {
		Server serverBody `json:"server"`
	}
	err := i.nova.do(ctx, call{what: "get server " + id, missing: gone, sure: true}, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Get(ctx, client.ServiceURL("servers", id), &body, nil)
		if err == nil && (!strings.EqualFold(body.Server.ID, id) || body.Server.Status == "") {
			err = errRubbish
		}
		return err
	})
	if err == nil && body.Server.ProjectID == "" {
		err = errNobodys
	}
	if err != nil {
		return cloud.Server{}, err
	}
	return body.Server.server(), nil
}

// Volume asks Cinder.
func (i *Inventory) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	vol, err := i.volumes.get(ctx, call{sure: true}, id)
	if err == nil && vol.ProjectID == "" {
		err = errNobodys
	}
	return vol, err
}

// each pages through a list, and calls fn for every item.
func each[T any](ctx context.Context, n *neighbour, at, key string, query url.Values, id func(T) string, fn func(T) error) error {
	query.Set("limit", strconv.Itoa(pageSize))
	for range maxPages {
		items, err := pageOf[T](ctx, n, at, key, query)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := fn(item); err != nil {
				return err
			}
		}
		// Whether there are more is told by an empty page: a service may give
		// less than was asked for.
		if len(items) == 0 || query.Get("marker") == id(items[len(items)-1]) {
			return nil
		}
		query.Set("marker", id(items[len(items)-1]))
	}
	return fmt.Errorf("list %s of the %s: the list does not end", key, n.name)
}

func pageOf[T any](ctx context.Context, n *neighbour, at, key string, query url.Values) ([]T, error) {
	var body map[string]*[]T
	c := call{what: "list " + key, missing: "The list could not be found.", again: true}
	err := n.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		body = nil
		_, err := client.Get(ctx, client.ServiceURL(at)+"?"+query.Encode(), &listBody[T]{key: key, into: &body}, nil)
		if err == nil && body[key] == nil {
			err = errRubbish
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return *body[key], nil
}
