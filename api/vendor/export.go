package vendor

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// exportBody is what the three generations of clients send: the guide's, with a
// window and a destination; the older panel's, with bare guids and names; and the
// user interface's, with whole objects, and the destination in their rule.
type exportBody struct {
	Entities    several[ref]  `json:"protectedEntities"`
	BackupType  enum          `json:"backupType"`
	Destination ref           `json:"backupDestination"`
	WindowStart number        `json:"windowStart"`
	WindowEnd   number        `json:"windowEnd"`
	Priority    number        `json:"priority"`
	Retries     number        `json:"retryCount"`
	TenantID    text          `json:"tenantId"`
	Rules       several[rule] `json:"rules"`
}

type rule struct {
	GUID         text `json:"guid"`
	Destinations several[struct {
		Role        enum `json:"roleType"`
		Destination ref  `json:"backupDestination"`
	}] `json:"ruleBackupDestinations"`
}

// exportTo is the destination that is named, or the primary one of the first rule.
func (a *API) exportTo(r request, b exportBody) (string, error) {
	if b.Destination.GUID != "" || len(b.Rules) == 0 {
		return b.Destination.GUID, nil
	}
	first := b.Rules[0]
	for _, d := range first.Destinations {
		if d.Role.Name == "PRIMARY" && d.Destination.GUID != "" {
			return d.Destination.GUID, nil
		}
	}
	if len(first.Destinations) > 0 || first.GUID == "" {
		return "", nil
	}
	known, err := a.Service.Rule(r.Context(), r.scope, string(first.GUID))
	if stowage.CodeOf(err) == stowage.NotFound {
		return "", nil
	}
	return known.Is.Container, err
}

// export begins a backup of each entity, and gives a task for each. Everything
// that can be told before is checked before any of them begins.
func (a *API) export(w http.ResponseWriter, r request) error {
	var body exportBody
	if err := r.read(&body); err != nil {
		return err
	}
	r, err := r.of(string(body.TenantID))
	if err != nil {
		return err
	}
	requests, err := a.exportRequests(r, body)
	if err != nil {
		return err
	}
	var begun []service.Task
	for _, req := range requests {
		b, err := req(r.Context())
		if err != nil {
			return some(err, len(begun), len(requests))
		}
		f := db.TaskFilter{Backup: b.UUID, Kinds: []stowage.JobKind{stowage.JobBackup, stowage.JobExport}}
		tasks, _, err := a.Service.Tasks(r.Context(), db.Scope{ProjectID: b.ProjectID}, f, db.Page{Limit: 1})
		if err != nil {
			return some(err, len(begun), len(requests))
		}
		begun = append(begun, tasks...)
	}
	a.single(w, r, begun...)
	return nil
}

// some is an error that came when part of the work had begun: that is told, too,
// or it would be asked for again.
func some(err error, begun, of int) error {
	if begun == 0 || stowage.MessageOf(err) == "" {
		return err
	}
	return stowage.Wrap(stowage.CodeOf(err), err, "%s (%d of %d had begun.)", stowage.MessageOf(err), begun, of)
}

// begin begins the backup of one entity.
type begin func(context.Context) (stowage.Backup, error)

// exportRequests checks what is asked for.
func (a *API) exportRequests(r request, body exportBody) ([]begin, error) {
	if len(body.Entities) == 0 {
		return nil, stowage.Errorf(stowage.Invalid, "protectedEntities must name one entity at least.")
	}
	if len(body.Entities) > maxEntities {
		return nil, stowage.Errorf(stowage.Invalid, "protectedEntities may name %d entities at most.", maxEntities)
	}
	when, err := body.when()
	if err != nil {
		return nil, err
	}
	full := false
	switch body.BackupType.Name {
	case "FULL":
		full = true
	case "", "INCREMENTAL":
	default:
		return nil, stowage.Errorf(stowage.Invalid, "backupType must be FULL or INCREMENTAL.")
	}
	to, err := a.exportTo(r, body)
	if err != nil {
		return nil, err
	}
	user := api.User(r.Request, r.caller)
	var list []begin
	for _, guid := range once(each(body.Entities, func(e ref) string { return e.GUID })) {
		p, err := a.Service.Entity(r.Context(), r.scope, guid)
		if err != nil {
			return nil, err
		}
		req := service.BackupRequest{VolumeID: p.ID, Name: p.Name, Full: full, When: when, OnBehalf: r.behalf(p.ProjectID)}
		if req.Container, err = r.container(to, orText(p.ProjectID, r.project())); err != nil {
			return nil, err
		}
		if err := mayExport(p.Entity); err != nil {
			return nil, err
		}
		if p.Kind == stowage.EntityServer {
			b, err := a.exportServer(r, req)
			if err != nil {
				return nil, err
			}
			list = append(list, b)
			continue
		}
		list = append(list, func(ctx context.Context) (stowage.Backup, error) { return a.Service.BackupVolume(ctx, user, req) })
	}
	return list, nil
}

// once gives the guids in their order, each where it is named first.
func once(guids []string) (out []string) {
	for _, guid := range guids {
		if !slices.Contains(out, guid) {
			out = append(out, guid)
		}
	}
	return out
}

func (a *API) exportServer(r request, req service.BackupRequest) (begin, error) {
	return a.Service.PlanServer(r.Context(), api.User(r.Request, r.caller), service.ServerRequest{
		ServerID: req.VolumeID, Name: req.Name, Container: req.Container, Full: req.Full, When: req.When, OnBehalf: req.OnBehalf,
	})
}

// maxEntities bounds one request: each of them is looked at before any begins.
const maxEntities = 200

func mayExport(e stowage.Entity) error {
	switch {
	case !e.Present:
		return stowage.Errorf(stowage.Invalid, "%s is gone.", orText(e.Name, e.ID))
	case e.Unsupported() != "":
		return stowage.Errorf(stowage.Invalid, "%s", e.Unsupported())
	}
	return nil
}

func (b exportBody) when() (service.When, error) {
	var w service.When
	for _, t := range []struct {
		sent number
		name string
		into *time.Time
	}{{b.WindowStart, "windowStart", &w.Start}, {b.WindowEnd, "windowEnd", &w.End}} {
		if t.sent.n < 0 || t.sent.n > maxMillis {
			return w, stowage.Errorf(stowage.Invalid, "%s must be a time in milliseconds.", t.name)
		}
		*t.into = fromMillis(t.sent)
	}
	w.Priority, w.Retries = priority(b.Priority), priority(b.Retries)
	return w, nil
}

// priority reads a small number: nil for none. What does not fit into an int is out of any bounds.
func priority(n number) *int {
	if !n.set {
		return nil
	}
	p := int(max(min(n.n, 1<<30), -1<<30))
	return &p
}

// of narrows the view of a request to the tenant that its body names.
func (r request) of(tenant string) (request, error) {
	if !given(tenant) || tenant == r.scope.ProjectID {
		return r, nil
	}
	if r.scope.ProjectID != "" {
		return r, errNothing
	}
	r.scope = db.Scope{ProjectID: tenant}
	return r, nil
}

// project is the one that a request is about, where nothing else tells it.
func (r request) project() string { return orText(r.scope.ProjectID, r.caller.ProjectID) }

// behalf is the project that the caller acts for, empty for his own. Things that
// are nobody's are those of the project that the request is about.
func (r request) behalf(owner string) string {
	if owner = orText(owner, r.project()); owner == r.caller.ProjectID {
		return ""
	}
	return owner
}

// container gives the container of a destination, which must be the project's.
func (r request) container(guid, projectID string) (string, error) {
	if guid == "" {
		return stowage.DefaultContainer, nil
	}
	owner, name, named := strings.Cut(guid, ":")
	if !named {
		owner, name = projectID, guid
	}
	switch {
	case owner != projectID:
		return "", stowage.Errorf(stowage.Invalid, "The backup destination %.64s is of another project.", guid)
	case name == "" || len(name) > 256 || strings.ContainsRune(name, 0):
		return "", stowage.Errorf(stowage.Invalid, "The backup destination %.64s is not valid.", guid)
	}
	return name, nil
}
