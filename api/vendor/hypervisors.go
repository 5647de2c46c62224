package vendor

import (
	"net/http"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
)

// hypervisor is a compute host. Its guid is its name: what the hosts are is Nova's
// business, and nobody logs in to them.
type hypervisor struct {
	GUID    string `json:"guid"`
	Host    string `json:"host"`
	Type    enum   `json:"type"`
	VMCount int    `json:"vmCount"`
	Covered bool   `json:"licenseCovered"` // always: there are no licences
	Cluster *ref   `json:"cluster,omitempty"`
	Manager *ref   `json:"hypervisorManager"`
}

func (a *API) hypervisorView(h db.ComputeHost) hypervisor {
	return hypervisor{GUID: h.Name, Host: h.Name, Type: enumOf("KVM"), VMCount: h.Servers, Covered: true, Cluster: refTo(h.Zone, h.Zone), Manager: a.managerRef()}
}

// hypervisors are the compute hosts that servers were found on. They are the
// operator's: tenants see none.
func (a *API) hypervisors(w http.ResponseWriter, r request) error {
	list, err := a.hosts(r)
	if err != nil {
		return err
	}
	shown, total, err := short(r, list, func(h db.ComputeHost) string { return h.Name }, hypervisorOrders)
	if err != nil {
		return err
	}
	respond(w, each(shown, a.hypervisorView), total)
	return nil
}

func (a *API) hosts(r request) ([]db.ComputeHost, error) {
	if !r.integration {
		return nil, nil
	}
	return a.Service.ComputeHosts(r.Context(), r.scope)
}

func (a *API) hypervisor(w http.ResponseWriter, r request) error {
	list, err := a.hosts(r)
	if err != nil {
		return err
	}
	for _, h := range list {
		if h.Name == r.guid() {
			api.WriteJSON(w, http.StatusOK, a.hypervisorView(h))
			return nil
		}
	}
	return stowage.Errorf(stowage.NotFound, "Hypervisor %.255s could not be found.", r.guid())
}
