package vendor

import (
	"maps"
	"net/http"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// policyBody is a policy as clients send it: with its rules, as the user
// interface does, or without, as the guide has it. What is not there stays.
type policyBody struct {
	Name       text          `json:"name"`
	Active     *truth        `json:"active"`
	Priority   number        `json:"priority"`
	RemoveGone maybe[truth]  `json:"autoRemoveNonPresent"`
	RetryCount maybe[number] `json:"backupRetryCount"`
	Assign     *assignBody   `json:"autoAssignSettings"`
	AssignNow  truth         `json:"executeAutoAssignmentAfterSavingPolicy"`
	VMs        *refs         `json:"vms"`
	Rules      *ruleBodies   `json:"rules"`
	Export     maybe[number] `json:"failRemainingBackupTasksExportThreshold"`
	Store      maybe[number] `json:"failRemainingBackupTasksStoreThreshold"`
	Report     maybe[truth]  `json:"dailyReportEnabled"`
	Mailing    maybe[ref]    `json:"mailingList"`
	KeepAll    maybe[truth]  `json:"disableCleanOldBackups"`
	Quiesce    maybe[truth]  `json:"quiesceBeforeSnapshot"`
	TenantID   text          `json:"tenantId"`
	Project    text          `json:"projectUuid"`
	Projects   several[ref]  `json:"projects"`
}

type (
	refs       = several[ref]
	ruleBodies = several[ruleBody]
)

type assignBody struct {
	Mode         enum          `json:"mode"`
	IncludeTags  several[text] `json:"includeTags"`
	ExcludeTags  several[text] `json:"excludeTags"`
	IncludeNames several[text] `json:"includeRegExps"`
	ExcludeNames several[text] `json:"excludeRegExps"`
	Clusters     several[ref]  `json:"hvClusters"`
	Projects     several[ref]  `json:"projects"`
}

func (b assignBody) settings() stowage.AutoAssign {
	texts := func(list several[text]) (out []string) {
		for _, t := range list {
			out = append(out, string(t))
		}
		return out
	}
	return stowage.AutoAssign{
		Mode: stowage.AssignMode(b.Mode.Name), IncludeTags: texts(b.IncludeTags), ExcludeTags: texts(b.ExcludeTags),
		IncludeNames: texts(b.IncludeNames), ExcludeNames: texts(b.ExcludeNames), Zones: guids(b.Clusters), Projects: guids(b.Projects),
	}
}

func guids(list several[ref]) (out []string) {
	for _, r := range list {
		if r.GUID != "" {
			out = append(out, r.GUID)
		}
	}
	return out
}

// blank is what a new policy of the kind and the project is unless more is said.
func blank(kind stowage.PolicyKind, projectID string) stowage.Policy {
	return stowage.Policy{Kind: kind, ProjectID: projectID, Active: true, Priority: stowage.PriorityDefault}
}

// policy is the one that was as the body changes it: what is not there stays.
func (b policyBody) policy(p stowage.Policy) stowage.Policy {
	if b.Name != "" {
		p.Name = string(b.Name)
	}
	if b.Active != nil {
		p.Active = bool(*b.Active)
	}
	if n := priority(b.Priority); n != nil {
		p.Priority = *n
	}
	if b.Assign != nil {
		p.Is.Assign = b.Assign.settings()
	}
	if b.Mailing.set {
		p.Is.MailingList = b.Mailing.value.GUID
	}
	for _, n := range []struct {
		said maybe[number]
		of   *int
	}{{b.Export, &p.Is.ExportThreshold}, {b.Store, &p.Is.StoreThreshold}, {b.RetryCount, &p.Is.RetryCount}} {
		if n.said.set {
			*n.of = whole(n.said.value)
		}
	}
	for _, f := range []struct {
		said maybe[truth]
		of   *bool
	}{{b.RemoveGone, &p.Is.RemoveGone}, {b.Report, &p.Is.DailyReport}, {b.KeepAll, &p.Is.KeepAll}, {b.Quiesce, &p.Is.Quiesce}} {
		if f.said.set {
			*f.of = bool(f.said.value)
		}
	}
	return p
}

// whole is a number as an int; what does not fit into one is out of any bounds.
func whole(n number) int { return int(max(min(n.n, 1<<30), -1<<30)) }

// owner is whose a new thing is: of the tenant that the body or the request names,
// or the caller's. What the integration account makes for nobody in particular is
// the operator's.
func (r request) owner(tenants ...string) (request, string, error) {
	for _, t := range tenants {
		var err error
		if r, err = r.of(t); err != nil {
			return r, "", err
		}
	}
	return r, r.scope.ProjectID, nil
}

func (a *API) createPolicy(w http.ResponseWriter, r request) error {
	var body policyBody
	if err := r.read(&body); err != nil {
		return err
	}
	r, owner, err := r.owner(string(body.TenantID), string(body.Project))
	if err != nil {
		return err
	}
	wish, err := body.wish(blank(r.kind, owner), nil)
	if err != nil {
		return err
	}
	p, err := a.Service.CreatePolicy(r.Context(), r.scope, wish)
	return a.answerPolicy(w, r, p, err)
}

// wish is the policy as the body changes it. Of its rules those stay that the body names,
// and of each of them what the body does not.
func (b policyBody) wish(old stowage.Policy, has []service.RuleView) (service.PolicyWish, error) {
	wish := service.PolicyWish{Policy: b.policy(old), AssignNow: bool(b.AssignNow)}
	if b.Rules != nil {
		rules := []stowage.Rule{}
		for _, one := range *b.Rules {
			before := stowage.Rule{Name: "Default", ProjectID: old.ProjectID, Active: true}
			if at := slices.IndexFunc(has, func(r service.RuleView) bool { return r.ID == string(one.GUID) }); at >= 0 {
				before = has[at].Rule
			}
			r, err := one.over(before, old.Kind)
			if err != nil {
				return wish, err
			}
			rules = append(rules, r)
		}
		wish.Rules = &rules
	}
	if b.VMs != nil {
		entities := guids(*b.VMs)
		wish.Entities = &entities
	}
	return wish, nil
}

// updatePolicy answers with the object: one generation of clients reads it. The
// policy stays whose it is, whatever the body says of that.
func (a *API) updatePolicy(w http.ResponseWriter, r request) error {
	var body policyBody
	if err := r.read(&body); err != nil {
		return err
	}
	old, err := a.Service.PolicyOf(r.Context(), r.scope, r.kind, r.guid())
	if err != nil {
		return err
	}
	wish, err := body.wish(old.Policy, old.Rules)
	if err != nil {
		return err
	}
	p, err := a.Service.UpdatePolicy(r.Context(), r.scope, wish)
	return a.answerPolicy(w, r, p, err)
}

func (a *API) answerPolicy(w http.ResponseWriter, r request, p service.PolicyView, err error) error {
	if err != nil {
		return err
	}
	view, err := a.policyDetails(r, p)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, view)
	return nil
}

func (a *API) policy(w http.ResponseWriter, r request) error {
	p, err := a.Service.PolicyOf(r.Context(), r.scope, r.kind, r.guid())
	return a.answerPolicy(w, r, p, err)
}

func (a *API) deletePolicy(w http.ResponseWriter, r request) error {
	return done(w, a.Service.DeletePolicy(r.Context(), r.scope, r.kind, r.guid()))
}

var policyColumns = map[string]string{"name": "name", "active": "active", "priority": "priority", "averageBackupSize": "average"}

func (a *API) policies(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := page(q, policyColumns)
	if err != nil {
		return err
	}
	scope := r.scope
	if project := value(q, "project"); project != "" {
		narrow, err := r.of(project)
		if err != nil {
			respond(w, []policyRow{}, 0)
			return nil
		}
		scope = narrow.scope
	}
	f := db.PolicyFilter{Kind: r.kind, IDs: values(q, "guid"), Entities: values(q, "virtual-machine", "protected-entity")}
	list, total, err := a.Service.Policies(r.Context(), scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(list, policyRowView), total)
	return nil
}

type entitiesBody struct {
	Entities several[ref] `json:"protectedEntities"`
}

// policiesOf gives the policies of the entities that the body names, with all that
// is in them: a user interface asks before it backs up. A tenant sees the operator's
// here as well, as far as they are about his entities.
func (a *API) policiesOf(w http.ResponseWriter, r request) error {
	var body entitiesBody
	if err := r.read(&body); err != nil {
		return err
	}
	entities := guids(body.Entities)
	if len(entities) == 0 || len(entities) > maxListed {
		return stowage.Errorf(stowage.Invalid, "protectedEntities must name from 1 to %d entities.", maxListed)
	}
	known, err := a.Service.Owners(r.Context(), r.scope, entities)
	if err != nil {
		return err
	}
	if entities = slices.Collect(maps.Keys(known)); len(entities) == 0 {
		respond(w, []policyDetails{}, 0)
		return nil
	}
	list, total, err := a.Service.Policies(r.Context(), db.Scope{}, db.PolicyFilter{Kind: r.kind, Entities: entities}, db.Page{Limit: maxListed})
	if err != nil {
		return err
	}
	views := make([]policyDetails, len(list))
	for i, one := range list {
		p, err := a.Service.Policy(r.Context(), db.Scope{}, one.ID)
		if err != nil {
			return err
		}
		if r.scope.ProjectID != "" && p.ProjectID != r.scope.ProjectID { // the operator's: of others in it nothing is told
			p.Entities = slices.DeleteFunc(p.Entities, func(e service.Entity) bool { return !slices.Contains(entities, e.ID) })
			p.Facts.Entities, p.Is.Assign = len(p.Entities), stowage.AutoAssign{}
		}
		if views[i], err = a.policyDetails(r, p); err != nil {
			return err
		}
	}
	respond(w, views, total)
	return nil
}

// maxListed bounds how many entities are asked about at once.
const maxListed = 1000

type assignment struct {
	Entity entityRef `json:"protectedEntity"`
	Change enum      `json:"changeType"`
	Reason enum      `json:"changeReason"`
}

// previewAssign tells what automatic assignment would do with the policy of the
// body, new or, with a guid in the path, instead of the one there is.
func (a *API) previewAssign(w http.ResponseWriter, r request) error {
	var body policyBody
	if err := r.read(&body); err != nil {
		return err
	}
	r, owner, err := r.owner(string(body.TenantID), string(body.Project))
	if err != nil {
		return err
	}
	old := blank(r.kind, owner)
	if guid := r.guid(); guid != nobodys {
		p, err := a.Service.PolicyOf(r.Context(), r.scope, r.kind, guid)
		if err != nil {
			return err
		}
		old = p.Policy
	}
	list, err := a.Service.PreviewAssign(r.Context(), body.policy(old))
	if err != nil {
		return err
	}
	respond(w, each(list, func(s service.Assignment) assignment {
		change := "REMOVE"
		if s.Comes {
			change = "ASSIGN"
		}
		return assignment{*entityTo(s.Entity), enumOf(change), enumOf(s.Reason)}
	}), len(list))
	return nil
}
