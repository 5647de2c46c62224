package openstack

import (
	"context"
	"net/url"
	"slices"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

// testPrefix begins the names of networks that lead nowhere.
const testPrefix = "stowage-test-"

type networkBody struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	About     string `json:"description"`
	ProjectID string `json:"project_id"`
}

// subnetBody is as much of a subnet as is copied. A gateway is not: nothing would
// answer there.
type subnetBody struct {
	NetworkID   string `json:"network_id"`
	Name        string `json:"name"`
	CIDR        string `json:"cidr"`
	Version     int    `json:"ip_version"`
	DHCP        bool   `json:"enable_dhcp"`
	RAMode      string `json:"ipv6_ra_mode,omitempty"`
	AddressMode string `json:"ipv6_address_mode,omitempty"`
	Pools       []pool `json:"allocation_pools"`
}

type pool struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// CreateTestNetwork finds what an earlier call made by the name, and goes on with it.
func (s *Servers) CreateTestNetwork(ctx context.Context, projectID, like, mark string) (string, error) {
	t, err := s.tenant(projectID, mark)
	if err != nil {
		return "", err
	}
	missing := stowage.Errorf(stowage.NotFound, "The network could not be found.")
	if s.neutron.missingService(ctx) || !plainID.MatchString(like) {
		return "", missing
	}
	var source struct {
		Network networkBody `json:"network"`
	}
	c := call{what: "get network " + like, missing: missing.Message}
	if err := s.neutron.fetch(ctx, c, &source, "networks", like); err != nil {
		return "", err
	}
	about := "Stands for network " + like + " while a recovery plan is tested."
	made, err := t.testNetworks(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(made, func(n networkBody) bool { return n.About == about })
	if at < 0 {
		var body struct {
			Network networkBody `json:"network"`
		}
		ask := map[string]any{"name": testPrefix + mark, "description": about}
		if err := t.ask(ctx, "make a test network", "networks", map[string]any{"network": ask}, &body); err != nil {
			return "", err
		}
		made, at = []networkBody{body.Network}, 0
	}
	return made[at].ID, t.copySubnets(ctx, like, made[at].ID)
}

// copySubnets gives a network the subnets of another that it does not have yet.
func (t *tenant) copySubnets(ctx context.Context, from, to string) error {
	have, err := pageOf[subnetBody](ctx, t.neutron, "subnets", "subnets", url.Values{"network_id": {to}})
	if err != nil {
		return err
	}
	want, err := pageOf[subnetBody](ctx, &t.Servers.neutron, "subnets", "subnets", url.Values{"network_id": {from}})
	if err != nil {
		return err
	}
	for _, sub := range want {
		if slices.ContainsFunc(have, func(h subnetBody) bool { return h.CIDR == sub.CIDR }) {
			continue
		}
		type asked struct {
			subnetBody
			Gateway *string `json:"gateway_ip"` // null: none
		}
		sub.NetworkID = to
		if err := t.ask(ctx, "make a subnet", "subnets", map[string]any{"subnet": asked{subnetBody: sub}}, nil); err != nil {
			return err
		}
	}
	return nil
}

// testNetworks gives the project's networks with the mark.
func (t *tenant) testNetworks(ctx context.Context) ([]networkBody, error) {
	name := testPrefix + t.mark
	list, err := pageOf[networkBody](ctx, t.neutron, "networks", "networks", url.Values{"name": {name}, "project_id": {t.project}})
	return slices.DeleteFunc(list, func(n networkBody) bool {
		return n.Name != name || n.ProjectID != t.project || !plainID.MatchString(n.ID)
	}), err
}

func (t *tenant) ask(ctx context.Context, what, path string, ask, into any) error {
	return t.neutron.do(ctx, call{what: what, creates: true}, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL(path), ask, into, nil)
		return err
	})
}

// RemoveTestNetworks removes networks with their subnets; Neutron refuses while a port
// is in one.
func (s *Servers) RemoveTestNetworks(ctx context.Context, projectID, mark string) error {
	t, err := s.tenant(projectID, mark)
	if err != nil || s.neutron.missingService(ctx) {
		return err
	}
	list, err := t.testNetworks(ctx)
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := t.neutron.remove(ctx, call{what: "remove network " + n.ID}, "networks", n.ID); err != nil {
			return err
		}
	}
	return nil
}

// consoleLines is how much of a console is asked for.
const consoleLines = 200

// Console asks Nova. A server that is not on a host yet has none.
func (s *Servers) Console(ctx context.Context, id string) (string, error) {
	missing := stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", id)
	if !plainID.MatchString(id) {
		return "", missing
	}
	var body struct {
		Output string `json:"output"`
	}
	c := call{what: "read the console of server " + id, missing: missing.Message, again: true}
	err := s.nova.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		ask := map[string]any{"os-getConsoleOutput": map[string]int{"length": consoleLines}}
		_, err := client.Post(ctx, client.ServiceURL("servers", id, "action"), ask, &body, &gophercloud.RequestOpts{OkCodes: []int{200}})
		return err
	})
	if stowage.CodeOf(err) == stowage.Conflict {
		return "", stowage.Wrap(stowage.Unavailable, err, "Server %s has no console yet.", id)
	}
	return body.Output, err
}
