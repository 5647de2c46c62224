package openstack

import (
	"context"
	"net/url"
	"slices"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

// portBody is a port in Neutron's answers.
type portBody struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	About     string    `json:"description"`
	NetworkID string    `json:"network_id"`
	ProjectID string    `json:"project_id"`
	Device    string    `json:"device_id"`
	MAC       string    `json:"mac_address"`
	Groups    []string  `json:"security_groups"`
	Created   looseTime `json:"created_at"`
	Fixed     []struct {
		Address string `json:"ip_address"`
	} `json:"fixed_ips"`
}

func (p portBody) port() stowage.ServerPort {
	return stowage.ServerPort{ID: p.ID, NetworkID: p.NetworkID, MAC: p.MAC, Addresses: p.addresses(), SecurityGroups: p.Groups}
}

func (p portBody) addresses() []string {
	var list []string
	for _, f := range p.Fixed {
		list = append(list, f.Address)
	}
	return list
}

// listPorts gives ports as this neighbour sees them, the oldest first. There are never
// many: they are all of one server, or of one network and project.
func listPorts(ctx context.Context, neutron *neighbour, query url.Values) ([]portBody, error) {
	list, err := pageOf[portBody](ctx, neutron, "ports", "ports", query)
	slices.SortStableFunc(list, func(a, b portBody) int { return a.Created.Compare(b.Created.Time) })
	return list, err
}

// portsOf gives a server's ports, none in a cloud without Neutron.
func (s *Servers) portsOf(ctx context.Context, server string) ([]stowage.ServerPort, error) {
	if s.neutron.missingService(ctx) {
		return nil, nil
	}
	list, err := listPorts(ctx, &s.neutron, url.Values{"device_id": {server}})
	if err != nil {
		return nil, err
	}
	var ports []stowage.ServerPort
	names := map[string]string{}
	for _, body := range list {
		p := body.port()
		if _, known := names[p.NetworkID]; !known {
			if names[p.NetworkID], err = s.network(ctx, p.NetworkID); err != nil {
				return nil, err
			}
		}
		p.Network = names[p.NetworkID]
		ports = append(ports, p)
	}
	return ports, nil
}

// network gives a network's name.
func (s *Servers) network(ctx context.Context, id string) (string, error) {
	var body struct {
		Network struct {
			Name string `json:"name"`
		} `json:"network"`
	}
	c := call{what: "get network " + id, missing: "The network could not be found."}
	err := s.neutron.fetch(ctx, c, &body, "networks", segment(id))
	if stowage.CodeOf(err) == stowage.NotFound {
		return "", nil
	}
	return body.Network.Name, err
}

// refusal is why Neutron made no port.
type refusal struct {
	status int
	said
}

// postPort asks for a port once. Whether it was made in spite of an error, the list
// tells at the next attempt.
func (t *tenant) postPort(ctx context.Context, name, about string, wish stowage.ServerPort) (portBody, refusal, error) {
	ask := map[string]any{"network_id": wish.NetworkID, "name": name, "description": about}
	if wish.MAC != "" {
		ask["mac_address"] = wish.MAC
	}
	var fixed []map[string]string
	for _, a := range wish.Addresses {
		fixed = append(fixed, map[string]string{"ip_address": a})
	}
	if fixed != nil {
		ask["fixed_ips"] = fixed
	}
	if wish.SecurityGroups != nil {
		ask["security_groups"] = wish.SecurityGroups
	}
	var body struct {
		Port portBody `json:"port"`
	}
	var no refusal
	c := call{what: "make a port in network " + wish.NetworkID, creates: true}
	err := t.neutron.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL("ports"), map[string]any{"port": ask}, &body, nil)
		no = refused(err)
		if err == nil && body.Port.ID == "" {
			return errRubbish
		}
		return err
	})
	return body.Port, no, err
}
