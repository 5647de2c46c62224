package vendor

import (
	"net/http"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

type restoreSettings struct {
	Network networkSection `json:"networkSection"`
}

type networkSection struct {
	Groups  []namedRef `json:"securityGroupsFromHypervisorManager"`
	Sources []source   `json:"sourceNetworkWithSecurityGroups"`
	Targets []namedRef `json:"targetNetworks"`
}

type namedRef struct {
	GUID string `json:"guid"`
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

// source is a network interface as it was. Clients make of it what they send back as
// a restored network.
type source struct {
	namedRef
	Network string     `json:"defaultNetworkInternalId"`
	MAC     string     `json:"defaultMacAddress"`
	Groups  []namedRef `json:"securityGroupsFromBackup"`
}

// restoreSettings tells what a restore of a backup can choose for its network
// interfaces.
func (a *API) restoreSettings(w http.ResponseWriter, r request) error {
	p, err := a.Service.Point(r.Context(), r.scope, value(r.URL.Query(), "backup-guid"))
	if err != nil {
		return err
	}
	list, err := a.Service.Resources(r.Context(), db.Scope{ProjectID: p.ProjectID}, stowage.ResourceNetwork)
	if err != nil {
		return err
	}
	out := networkSection{Sources: []source{}, Targets: each(list, func(n stowage.Resource) namedRef { return namedRef{n.ID, n.Name, n.ID} })}
	var ports []stowage.ServerPort
	if p.Server != nil {
		ports = p.Server.Ports
	}
	out.Groups = a.securityGroups(r, p.ProjectID, ports)
	for _, port := range ports {
		name := orText(port.MAC, port.ID)
		out.Sources = append(out.Sources, source{namedRef{port.ID, name, port.ID}, port.NetworkID, port.MAC, each(port.SecurityGroups, func(id string) namedRef {
			for _, g := range out.Groups {
				if g.GUID == id {
					return g
				}
			}
			return namedRef{id, id, id}
		})})
	}
	api.WriteJSON(w, http.StatusOK, restoreSettings{out})
	return nil
}

// securityGroups are those of the project. Where Neutron does not tell, there are those
// that the ports had to choose from.
func (a *API) securityGroups(r request, projectID string, ports []stowage.ServerPort) []namedRef {
	there, err := a.Service.SecurityGroups(r.Context(), projectID)
	if err == nil {
		return each(there, func(g service.Entity) namedRef { return namedRef{g.ID, g.Name, g.ID} })
	}
	a.Server.Log.WarnContext(r.Context(), "security groups are not known", "project", projectID, "request_id", api.RequestID(r.Context()), "error", err)
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.SecurityGroups...)
	}
	slices.Sort(ids)
	return each(slices.Compact(ids), func(id string) namedRef { return namedRef{id, id, id} })
}
