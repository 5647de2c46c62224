package vendor

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

type machine struct {
	GUID           string         `json:"guid"`
	UUID           string         `json:"uuid"`
	Name           string         `json:"name"`
	Present        bool           `json:"present"`
	LastSize       int64          `json:"lastSuccessfulBackupSize"`
	LastFullSize   int64          `json:"lastSuccessfulFullBackupSize"`
	LastBackup     *int64         `json:"lastBackup,omitempty"`
	LastFullBackup *ref           `json:"lastSuccessfulFullBackup,omitempty"`
	Type           enum           `json:"type"`
	HvmType        enum           `json:"hvmType"`
	HvType         enum           `json:"hvType"`
	Manager        manager        `json:"hvManager"`
	Hypervisor     *ref           `json:"hypervisor,omitempty"`
	Cluster        *ref           `json:"hvCluster,omitempty"`
	Flavor         *ref           `json:"vmFlavor,omitempty"`
	Project        *ref           `json:"project,omitempty"`
	TenantID       string         `json:"tenantId,omitempty"`
	Tags           []string       `json:"tags"`
	Networks       []machineInNet `json:"networks"`
	Warned         bool           `json:"warningsPresent"`
	Restorable     bool           `json:"restorable"`
	Actions        []enum         `json:"possibleActions"`
	Quiesce        bool           `json:"supportsQuiesceSnapshot"`
	Status         string         `json:"status,omitempty"`
	StandAlone     bool           `json:"standAloneVolume"`
	Policy         *ref           `json:"vmBackupPolicy,omitempty"`
	SnapshotPolicy *ref           `json:"snapshotMgmtPolicy,omitempty"`
	UpToDate       *bool          `json:"backupUpToDate,omitempty"`
}

type machineInNet struct {
	GUID      string   `json:"guid"`
	Name      string   `json:"name"`
	MAC       string   `json:"macAddress,omitempty"`
	Addresses []string `json:"ipAddresses"`
}

func (a *API) machineView(p service.Protected, integration bool) machine {
	m := machine{
		GUID: p.ID, UUID: p.ID, Name: orText(p.Name, p.ID), Present: p.Present, Type: enumOf("VM"), HvmType: enumOf("OPENSTACK"),
		HvType: enumOf("KVM"), Manager: a.manager(), Cluster: refTo(p.Is.Zone, ""), Flavor: refTo(orText(p.Is.FlavorID, p.Is.Flavor), p.Is.Flavor),
		Project: refTo(p.ProjectID, p.Project), TenantID: p.ProjectID, Tags: list(p.Is.Tags), Networks: []machineInNet{}, Actions: []enum{},
		Status: p.Is.Status, StandAlone: p.Kind == stowage.EntityVolume,
		Policy: refTo(p.Policy.ID, p.Policy.Name), SnapshotPolicy: refTo(p.SnapshotPolicy.ID, p.SnapshotPolicy.Name), UpToDate: p.UpToDate,
	}
	if integration && p.Present { // the operator's business
		m.Hypervisor = refTo(p.Is.Host, "")
	}
	for _, n := range p.Is.Networks {
		m.Networks = append(m.Networks, machineInNet{n.Name, n.Name, n.MAC, list(n.Addresses)})
	}
	if b := p.Latest; b != nil {
		m.LastSize, m.LastBackup, m.Restorable = b.StoredBytes, millis(b.SnapshotAt), true
		m.Warned = b.Damaged != ""
		m.Actions = append(m.Actions, enumOf("RESTORE"))
	}
	if b := p.LatestFull; b != nil {
		m.LastFullSize = b.StoredBytes
		m.LastFullBackup = refTo(b.UUID, m.Name+" - "+b.SnapshotAt.UTC().Format("2006-01-02 15:04:05"))
	}
	if p.Present && p.Unsupported() == "" {
		m.Actions = append(m.Actions, enumOf("BACKUP"))
	}
	return m
}

var protections = map[string]db.Protection{
	"NO_SCHEDULE": db.Unscheduled, "IS_PROTECTED": db.Secured, "NOT_PROTECTED": db.Unsecured,
}

// entityFilter reads what a list of machines is narrowed by.
func entityFilter(q url.Values) db.EntityFilter {
	f := db.EntityFilter{IDs: values(q, "uuid", "guid", "virtual-machine", "protected-entity")}
	switch strings.ToLower(value(q, "present")) {
	case "true":
		yes := true
		f.Present = &yes
	case "false":
		no := false
		f.Present = &no
	}
	if t := enums(q, "hypervisor-manager-type"); len(t) > 0 && t[0] != "OPENSTACK" {
		f.IDs = []string{nobodys}
	}
	if m := value(q, "hypervisor-manager"); m != "" && m != managerGUID {
		f.IDs = []string{nobodys}
	}
	f.Policies = values(q, "backup-policy", "vmBackupPolicy")
	if s := enums(q, "backupStatus", "backup-status"); len(s) > 0 {
		if f.Protection = protections[s[0]]; f.Protection == "" {
			f.IDs = []string{nobodys}
		}
	}
	return f
}

var machineColumns = map[string]string{"name": "name", "present": "present", "guid": "id", "uuid": "id",
	"vmBackupPolicy": "policy", "vmBackupPolicy.name": "policy", "backupUpToDate": "fresh", "lastBackup": "latest", "lastSuccessfulBackupSize": "size",
}

func (a *API) machines(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := page(q, machineColumns)
	if err != nil {
		return err
	}
	f := entityFilter(q)
	f.Hosts = r.integration
	found, total, err := a.Service.Entities(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(found, func(p service.Protected) machine { return a.machineView(p, r.integration) }), total)
	return nil
}

func (a *API) machine(w http.ResponseWriter, r request) error {
	p, err := a.Service.Entity(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, a.machineView(p, r.integration))
	return nil
}

func (a *API) forgetGone(w http.ResponseWriter, r request) error {
	return done(w, a.Service.ForgetGone(r.Context(), r.scope))
}

type disk struct {
	GUID      string `json:"guid"`
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	Present   bool   `json:"present"`
	Excluded  bool   `json:"excludedFromBackup"`
	Supported bool   `json:"supported"`
	Why       string `json:"notSupportedReason,omitempty"`
	Type      *enum  `json:"type,omitempty"`
	Device    string `json:"device,omitempty"`
	Bootable  bool   `json:"bootable"`
}

func diskView(e stowage.Entity) disk {
	why := e.Unsupported()
	return disk{
		GUID: e.ID, UUID: e.ID, Name: orText(e.Name, e.ID), Size: e.Is.SizeGiB * stowage.GiB, Present: e.Present, Excluded: e.Excluded,
		Supported: why == "", Why: why, Type: maybeEnum(e.Is.Type), Device: e.Is.Device, Bootable: e.Is.Bootable,
	}
}

// disks are the volumes of a machine.
func (a *API) disks(w http.ResponseWriter, r request) error {
	id := value(r.URL.Query(), "virtual-machine", "protected-entity")
	if id == "" {
		return stowage.Errorf(stowage.Invalid, "virtual-machine must be set.")
	}
	found, err := a.Service.Disks(r.Context(), r.scope, id)
	if err != nil {
		return err
	}
	respond(w, each(found, diskView), len(found))
	return nil
}

type diskBody struct {
	Excluded *truth `json:"excludedFromBackup"`
}

// setDisk takes the whole disk back; what can be changed is whether it is left out.
func (a *API) setDisk(w http.ResponseWriter, r request) error {
	var body diskBody
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Excluded != nil {
		if err := a.Service.ExcludeDisk(r.Context(), r.scope, r.guid(), bool(*body.Excluded)); err != nil {
			return err
		}
	}
	p, err := a.Service.Entity(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, diskView(p.Entity))
	return nil
}

// sync has the inventory looked at.
func (a *API) sync(w http.ResponseWriter, r request) error {
	t, err := a.Service.AskInventory(r.Context(), api.User(r.Request, r.caller))
	if err != nil {
		return err
	}
	a.single(w, r, t)
	return nil
}

type machineBody struct {
	GUID           text       `json:"guid"`
	UUID           text       `json:"uuid"`
	Policy         maybe[ref] `json:"vmBackupPolicy"`
	SnapshotPolicy maybe[ref] `json:"snapshotMgmtPolicy"`
}

// machineSettings takes a whole machine back. What changes here is its policies. A machine
// that names no policy of backups has none; clients that know nothing of snapshots leave
// that policy where it is, and what names nothing but that one leaves the other.
func (a *API) machineSettings(w http.ResponseWriter, r request) error {
	var body machineBody
	if err := r.read(&body); err != nil {
		return err
	}
	change := map[stowage.PolicyKind]string{}
	if body.Policy.set || !body.SnapshotPolicy.set || body.GUID != "" || body.UUID != "" {
		change[stowage.PolicyBackup] = body.Policy.value.GUID
	}
	if body.SnapshotPolicy.set {
		change[stowage.PolicySnapshot] = body.SnapshotPolicy.value.GUID
	}
	for _, kind := range []stowage.PolicyKind{stowage.PolicyBackup, stowage.PolicySnapshot} {
		policy, named := change[kind]
		if !named {
			continue
		}
		if err := a.Service.AssignEntity(r.Context(), r.scope, kind, r.guid(), policy); err != nil {
			return err
		}
	}
	return a.machine(w, r)
}
