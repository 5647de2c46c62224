package vendor

import (
	"net/http"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/report"
	"github.com/stowage/stowage/service"
)

// chargeBody is how clients ask for sums. What names nothing does not narrow them.
type chargeBody struct {
	GroupBy      text `json:"groupBy"`
	Destinations refs `json:"backupDestinationGuids"`
	Policies     refs `json:"backupPolicyGuids"`
	Zones        refs `json:"hypervisorClusterGuids"`
	Managers     refs `json:"hypervisorManagerGuids"`
	Hosts        refs `json:"hypervisorGuids"`
	Machines     refs `json:"virtualMachineGuids"`
	Projects     refs `json:"projectGuids"`
}

// groupings are the values of groupBy.
var groupings = map[string]service.Grouping{
	"backup-destination": service.ByDestination, "backup-policy": service.ByPolicy, "virtual-machine": service.ByEntity,
	"hypervisor": service.ByHost, "hypervisor-cluster": service.ByZone, "hypervisor-manager": service.ByCloud, "project": service.ByProject,
}

func (a *API) chargeWish(r request, b chargeBody, span db.Span, moved bool) (service.ChargeWish, error) {
	by, known := groupings[string(b.GroupBy)]
	if !known {
		return service.ChargeWish{}, stowage.Errorf(stowage.Invalid, "groupBy has no value %.32q.", b.GroupBy)
	}
	wish := service.ChargeWish{
		Span: span, By: by, Moved: moved, Hosts: guids(b.Hosts), Zones: guids(b.Zones), AllHosts: r.integration, Cloud: a.manager().Name,
		ChargeFilter: db.ChargeFilter{Policies: guids(b.Policies), Entities: guids(b.Machines), Projects: guids(b.Projects)},
	}
	for _, d := range b.Destinations {
		project, container := destination(d.GUID)
		wish.Containers = append(wish.Containers, db.Container{ProjectID: project, Name: container})
	}
	if m := guids(b.Managers); len(m) > 0 && !slices.Contains(m, managerGUID) {
		wish.Entities = []string{nobodys}
	}
	return wish, nil
}

type bar struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// charges answers with sums: of what backups stored, or of the volumes of those that
// there are.
func charges(moved bool) func(*API, http.ResponseWriter, request) error {
	return func(a *API, w http.ResponseWriter, r request) error {
		span, err := spanOf(r)
		if err != nil {
			return err
		}
		var body chargeBody
		if err := r.read(&body); err != nil {
			return err
		}
		wish, err := a.chargeWish(r, body, span, moved)
		if err != nil {
			return err
		}
		bars, err := a.Service.Charge(r.Context(), r.scope, wish)
		if err != nil {
			return err
		}
		respond(w, each(bars, func(b report.Bar) bar { return bar{b.Name, b.Bytes} }), len(bars))
		return nil
	}
}
