package vendor

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// managerGUID is that of the one hypervisor manager there is: the cloud.
const managerGUID = "openstack"

type manager struct {
	GUID string `json:"guid"`
	URL  string `json:"url"`
	Name string `json:"name"`
	Type enum   `json:"type"`
	Mode enum   `json:"vmExportImportMode"`
}

func (a *API) manager() manager {
	name := a.KeystoneURL
	if u, err := url.Parse(a.KeystoneURL); err == nil && u.Host != "" {
		name = u.Hostname()
	}
	return manager{managerGUID, a.KeystoneURL, name, enumOf("OPENSTACK"), enumOf("DISK_ATTACHMENT")}
}

func (a *API) managerRef() *ref { m := a.manager(); return &ref{m.GUID, m.Name} }

func (a *API) managers(w http.ResponseWriter, _ request) error {
	respond(w, []manager{a.manager()}, 1)
	return nil
}

func (a *API) oneManager(w http.ResponseWriter, r request) error {
	if r.guid() != managerGUID {
		return errNothing
	}
	api.WriteJSON(w, http.StatusOK, a.manager())
	return nil
}

type node struct {
	GUID     string `json:"guid"`
	Name     string `json:"name"`
	LastSeen *int64 `json:"lastSeen,omitempty"`
	Version  string `json:"version,omitempty"`
	State    enum   `json:"state"`
	Info     string `json:"statusInfo,omitempty"`
}

func nodeView(m service.ManagerView) node {
	state := "RUNNING"
	switch {
	case !m.Alive:
		state = "OFFLINE"
	case !m.Enabled:
		state = "DISABLED"
	}
	return node{m.Host, m.Host, millis(m.LastSeen), m.Version, enumOf(state), m.DisabledReason}
}

// nodes are the managers. They are the operator's: tenants see none.
func (a *API) nodes(w http.ResponseWriter, r request) error {
	if !r.integration {
		respond(w, []node{}, 0)
		return nil
	}
	list, err := a.Service.Managers(r.Context())
	if err != nil {
		return err
	}
	shown, total, err := short(r, each(list, nodeView), func(n node) string { return n.Name }, nodeOrders)
	if err != nil {
		return err
	}
	respond(w, shown, total)
	return nil
}

type project struct {
	GUID string `json:"guid"`
	UUID string `json:"uuid"`
	Name string `json:"name"`
}

// projects are those the caller sees: he always sees his own.
func (a *API) projects(w http.ResponseWriter, r request) error {
	known, err := a.Service.Resources(r.Context(), r.scope, stowage.ResourceProject)
	if err != nil {
		return err
	}
	list := each(known, func(r stowage.Resource) project { return project{r.ID, r.ID, r.Name} })
	if len(list) == 0 && (r.scope.ProjectID == "" || r.scope.ProjectID == r.caller.ProjectID) {
		list = append(list, project{r.caller.ProjectID, r.caller.ProjectID, backupName(r.caller.ProjectName, r.caller.ProjectID)})
	}
	respond(w, list, len(list))
	return nil
}

type backupDestination struct {
	GUID    string `json:"guid"`
	Name    string `json:"name"`
	Type    enum   `json:"type"`
	Default bool   `json:"defaultBackupDestination"`
	Used    int64  `json:"totalUsedSpace"`
	// Used or not; 0: no bound is known.
	Available int64  `json:"totalAvailableSpace"`
	Policy    string `json:"storagePolicy,omitempty"`
	Backups   int    `json:"backupCount"`
	TenantID  string `json:"tenantId"`
}

// A destination is a container of a project's. Its guid names both.
func destinationRef(projectID, container string) *ref {
	return &ref{projectID + ":" + container, container}
}

func destination(guid string) (projectID, container string) {
	projectID, container, split := strings.Cut(guid, ":")
	if !split {
		return nobodys, guid
	}
	return projectID, container
}

func destinationView(d service.Destination) backupDestination {
	r := destinationRef(d.ProjectID, d.Name)
	return backupDestination{
		r.GUID, r.Name, destinationType(d.Directory), d.Name == stowage.DefaultContainer, d.Container.Bytes, d.Capacity.Bytes, d.Policy, d.Backups, d.ProjectID,
	}
}

func destinationType(directory bool) enum {
	if directory {
		return enumOf("FILESYSTEM")
	}
	return enumOf("SWIFT")
}

func (a *API) destinations(w http.ResponseWriter, r request) error {
	list, err := a.Service.Destinations(r.Context(), r.scope)
	if err != nil {
		return err
	}
	shown, total, err := short(r, list, func(c db.Container) string { return c.Name }, destinationOrders)
	if err != nil {
		return err
	}
	respond(w, each(a.Service.Spaces(r.Context(), api.User(r.Request, r.caller), shown), destinationView), total)
	return nil
}

// usable are the destinations that all the entities of the body can be backed up
// to: those of their project. Entities of several projects have none in common.
func (a *API) usable(w http.ResponseWriter, r request) error {
	body, err := api.ReadBody(r.Request)
	if err != nil {
		return err
	}
	var entities several[ref]
	if json.Unmarshal(body, &entities) != nil {
		return stowage.Errorf(stowage.Invalid, "The request body must be an array of objects with a guid.")
	}
	ids := guids(entities)
	owners, err := a.Service.Owners(r.Context(), r.scope, ids)
	if err != nil {
		return err
	}
	scope := r.scope
	for _, id := range ids {
		owner, known := owners[id]
		if !known {
			return stowage.Errorf(stowage.NotFound, "Entity %.64s could not be found.", id)
		}
		owner = orText(owner, r.project())
		if scope.ProjectID != "" && scope.ProjectID != owner {
			respond(w, []ref{}, 0)
			return nil
		}
		scope.ProjectID = owner
	}
	list, err := a.Service.Destinations(r.Context(), scope)
	if err != nil {
		return err
	}
	respond(w, each(list, func(c db.Container) ref { return *destinationRef(c.ProjectID, c.Name) }), len(list))
	return nil
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// resources answers with what may be chosen from.
func resources[V any](kind stowage.ResourceKind, view func(stowage.Resource) V) func(*API, http.ResponseWriter, request) error {
	return func(a *API, w http.ResponseWriter, r request) error {
		if m := value(r.URL.Query(), "hypervisor-manager"); m != "" && m != managerGUID {
			respond(w, []V{}, 0)
			return nil
		}
		list, err := a.Service.Resources(r.Context(), r.scope, kind)
		if err != nil {
			return err
		}
		respond(w, each(list, view), len(list))
		return nil
	}
}

func resourceRef(r stowage.Resource) ref { return ref{r.ID, r.Name} }

type zone struct {
	GUID string `json:"guid"`
	UUID string `json:"uuid"`
	Name string `json:"name"`
}

func zoneView(r stowage.Resource) zone { return zone{r.ID, r.ID, r.Name} }

// storage is a volume type. It is of no zone in particular, so of all that there are:
// user interfaces offer those of the zone that was chosen. How much room it has Cinder
// does not tell.
type storage struct {
	GUID      string `json:"guid"`
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	Clusters  []ref  `json:"clusters"`
	Available int64  `json:"totalAvailableSpace"`
	Used      int64  `json:"totalUsedSpace"`
}

func (a *API) storages(w http.ResponseWriter, r request) error {
	zones, err := a.Service.Resources(r.Context(), r.scope, stowage.ResourceZone)
	if err != nil {
		return err
	}
	view := func(t stowage.Resource) storage { return storage{t.ID, t.ID, t.Name, each(zones, resourceRef), 0, 0} }
	return resources(stowage.ResourceVolumeType, view)(a, w, r)
}

// shared networks are those that every project may use.
func (a *API) sharedNetworks(w http.ResponseWriter, r request) error {
	list, err := a.Service.Resources(r.Context(), r.scope, stowage.ResourceNetwork)
	if err != nil {
		return err
	}
	out := []ref{}
	for _, n := range list {
		if n.Shared {
			out = append(out, resourceRef(n))
		}
	}
	respond(w, out, len(out))
	return nil
}
