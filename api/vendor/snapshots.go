package vendor

import (
	"context"
	"net/http"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// snapshot is one that Cinder keeps in the project.
type snapshot struct {
	GUID       string         `json:"guid"`
	UUID       string         `json:"uuid"` // Cinder's id of the one there is of a volume
	Time       *int64         `json:"snapshotTime,omitempty"`
	Status     string         `json:"status"` // this and the policy are shown as they are
	State      enum           `json:"state"`
	StatusInfo string         `json:"statusInfo,omitempty"`
	Entity     *entityRef     `json:"protectedEntity"`
	Policy     string         `json:"policy,omitempty"`
	PolicyRef  *ref           `json:"snapshotMgmtPolicy,omitempty"`
	Rule       *ref           `json:"rule,omitempty"`
	Disks      []snapshotDisk `json:"disks"`
	TenantID   string         `json:"tenantId,omitempty"`
}

type snapshotDisk struct {
	Disk ref    `json:"vmDisk"`
	UUID string `json:"uuid"`
}

// snapshotStatuses are the words of backups, as far as there are such.
var snapshotStatuses = map[stowage.SnapshotStatus]string{
	stowage.SnapshotTaking: "INPROGRESS", stowage.SnapshotTaken: "SUCCESS", stowage.SnapshotFailed: "FAILED", stowage.SnapshotRemoving: "REMOVING",
}

func viewOfSnapshot(s service.SnapshotView) snapshot {
	v := snapshot{
		GUID: s.ID, UUID: s.ID, Time: millis(s.TakenAt), Status: snapshotStatuses[s.Status], State: enumOf(snapshotStatuses[s.Status]), StatusInfo: s.Reason,
		Entity: entityTo(s.Entity), Disks: []snapshotDisk{}, TenantID: s.ProjectID,
	}
	for _, d := range s.Volumes {
		v.Disks = append(v.Disks, snapshotDisk{ref{d.VolumeID, d.VolumeID}, d.SnapshotID})
	}
	if len(v.Disks) == 1 {
		v.UUID = v.Disks[0].UUID
	}
	if s.Policy.Name != "" {
		v.Policy, v.PolicyRef = s.Policy.Name, refTo(s.Policy.ID, s.Policy.Name)
	}
	if s.Rule.Name != "" {
		v.Rule = refTo(s.Rule.ID, s.Rule.Name)
	}
	return v
}

var snapshotColumns = map[string]string{"snapshotTime": "time", "status": "status"}

// snapshots lists them. All of them stand alone: those that the next backup begins from
// are not told of.
func (a *API) snapshots(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := page(q, snapshotColumns)
	if err != nil {
		return err
	}
	f := db.SnapshotFilter{Entities: values(q, "protected-entity", "virtual-machine"), Policies: values(q, "snapshot-policy", "policy")}
	if strings.EqualFold(value(q, "stand-alone"), "false") {
		f.IDs = []string{nobodys}
	}
	list, total, err := a.Service.Snapshots(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(list, viewOfSnapshot), total)
	return nil
}

// snapshotsBody asks for snapshots.
type snapshotsBody struct {
	Priority number       `json:"priority"`
	Entities several[ref] `json:"protectedEntities"`
	Rule     ref          `json:"rule"`
	TenantID text         `json:"tenantId"`
}

// takeSnapshots begins a snapshot of each entity, and gives a task for each. Everything
// that can be told before is checked before any of them begins.
func (a *API) takeSnapshots(w http.ResponseWriter, r request) error {
	var body snapshotsBody
	if err := r.read(&body); err != nil {
		return err
	}
	r, err := r.of(string(body.TenantID))
	if err != nil {
		return err
	}
	entities := once(guids(body.Entities))
	if len(entities) == 0 || len(entities) > maxEntities {
		return stowage.Errorf(stowage.Invalid, "protectedEntities must name from 1 to %d entities.", maxEntities)
	}
	var begins []func(context.Context) (stowage.Job, error)
	for _, e := range entities {
		begin, err := a.Service.PlanSnapshot(r.Context(), api.User(r.Request, r.caller), r.scope, service.SnapshotRequest{
			EntityID: e, RuleID: body.Rule.GUID, When: service.When{Priority: priority(body.Priority)}, OnBehalf: r.project(),
		})
		if err != nil {
			return err
		}
		begins = append(begins, begin)
	}
	var tasks []service.Task
	for _, begin := range begins {
		j, err := begin(r.Context())
		if err != nil {
			return some(err, len(tasks), len(begins))
		}
		t, err := a.Service.Task(r.Context(), db.Scope{ProjectID: j.ProjectID}, j.ID)
		if err != nil {
			return some(err, len(tasks), len(begins))
		}
		tasks = append(tasks, t)
	}
	a.single(w, r, tasks...)
	return nil
}
