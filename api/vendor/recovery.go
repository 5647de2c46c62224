package vendor

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
)

// planBody is a recovery plan as clients send it. Rules are whole, or are those that
// it has, by their guids.
type planBody struct {
	Name     text                   `json:"name"`
	Active   *truth                 `json:"active"`
	Priority number                 `json:"priority"`
	Rules    *several[recoveryBody] `json:"rules"`
	Project  ref                    `json:"project"`
	TenantID text                   `json:"tenantId"`
}

// recoveryBody is a rule of a recovery plan. What the vendor's manual knows of it has
// no form on the wire that is public; this is ours.
type recoveryBody struct {
	GUID           text                `json:"guid"`
	Name           text                `json:"name"`
	Active         *truth              `json:"active"`
	Policy         ref                 `json:"policy"`
	Machines       several[ref]        `json:"vms"`
	Prefix         text                `json:"namePrefix"`
	Suffix         text                `json:"nameSuffix"`
	Flavor         ref                 `json:"restoreVmFlavor"`
	Zone           text                `json:"restoreClusterId"`
	StorageID      text                `json:"restoreStorageId"`
	Networks       several[networkRow] `json:"networkMapping"`
	Check          *checkBody          `json:"check"`
	DeleteExisting truth               `json:"deleteIfExists"`
}

// UnmarshalJSON takes a bare guid, too.
func (b *recoveryBody) UnmarshalJSON(data []byte) error {
	if data[0] == '{' {
		type whole recoveryBody
		return decode(data, (*whole)(b))
	}
	return b.GUID.UnmarshalJSON(data)
}

type networkRow struct {
	Source ref `json:"source"`
	Target ref `json:"target"`
}

type checkBody struct {
	Type    enum   `json:"type"`
	Delay   number `json:"delay"` // milliseconds
	Text    text   `json:"text"`
	Timeout number `json:"timeout"` // milliseconds
}

func (a *API) recoveryRule(r request, b recoveryBody) (stowage.RecoveryRule, error) {
	rule := stowage.RecoveryRule{
		ID: string(b.GUID), Name: string(b.Name), Active: b.Active == nil || bool(*b.Active), Servers: guids(b.Machines),
		Prefix: string(b.Prefix), Suffix: string(b.Suffix),
	}
	if bool(b.DeleteExisting) {
		return rule, stowage.Errorf(stowage.Invalid, "deleteIfExists is not supported: a server is never deleted to make room for its backup.")
	}
	var err error
	if rule.FlavorID, err = a.chosen(r, stowage.ResourceFlavor, b.Flavor.GUID, "flavor"); err != nil {
		return rule, err
	}
	if rule.Zone, err = a.chosen(r, stowage.ResourceZone, string(b.Zone), "availability zone"); err != nil {
		return rule, err
	}
	if rule.Type, err = a.volumeType(r, string(b.StorageID)); err != nil {
		return rule, err
	}
	for _, n := range b.Networks {
		to, err := a.chosen(r, stowage.ResourceNetwork, n.Target.GUID, "network")
		if err != nil {
			return rule, err
		}
		if n.Source.GUID == "" || to == "" {
			return rule, stowage.Errorf(stowage.Invalid, "networkMapping needs a source and a target.")
		}
		if rule.Networks == nil {
			rule.Networks = map[string]string{}
		}
		rule.Networks[n.Source.GUID] = to
	}
	if c := b.Check; c != nil {
		rule.Check = stowage.RecoveryCheck{Kind: stowage.CheckKind(c.Type.Name), Delay: span(c.Delay), Text: string(c.Text), Timeout: span(c.Timeout)}
	}
	return rule, nil
}

// planInto writes what the body says on a plan.
func (a *API) planInto(r request, b planBody, p *stowage.RecoveryPlan) error {
	if b.Name != "" {
		p.Name = string(b.Name)
	}
	if b.Active != nil {
		p.Active = bool(*b.Active)
	}
	if n := priority(b.Priority); n != nil {
		p.Priority = *n
	}
	if b.Rules == nil {
		return nil
	}
	had := p.Rules
	p.Rules = nil
	for _, one := range *b.Rules {
		at := slices.IndexFunc(had, func(r stowage.RecoveryRule) bool { return one.GUID != "" && r.ID == string(one.GUID) })
		if one.Machines == nil { // a reference
			if at < 0 {
				return stowage.Errorf(stowage.Invalid, "The plan has no rule %.64s.", string(one.GUID))
			}
			p.Rules = append(p.Rules, had[at])
			continue
		}
		rule, err := a.recoveryRule(r, one)
		if err != nil {
			return err
		}
		p.Rules = append(p.Rules, rule)
	}
	return nil
}

func (a *API) plans(w http.ResponseWriter, r request) error {
	p, err := page(r.URL.Query(), nil)
	if err != nil {
		return err
	}
	list, total, err := a.Service.Plans(r.Context(), r.scope, p)
	if err != nil {
		return err
	}
	respond(w, each(list, planView), total)
	return nil
}

func (a *API) plan(w http.ResponseWriter, r request) error {
	p, err := a.Service.Plan(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, planView(p))
	return nil
}

func (a *API) createPlan(w http.ResponseWriter, r request) error {
	var body planBody
	if err := r.read(&body); err != nil {
		return err
	}
	r, err := r.of(orText(string(body.TenantID), body.Project.GUID))
	if err != nil {
		return err
	}
	p := stowage.RecoveryPlan{ProjectID: r.project(), Active: true, Priority: stowage.PriorityDefault}
	if err := a.planInto(r, body, &p); err != nil {
		return err
	}
	if p, err = a.Service.CreatePlan(r.Context(), p); err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, planView(p))
	return nil
}

func (a *API) updatePlan(w http.ResponseWriter, r request) error {
	var body planBody
	if err := r.read(&body); err != nil {
		return err
	}
	return a.changePlan(w, r, r.guid(), func(p *stowage.RecoveryPlan) error { return a.planInto(r, body, p) })
}

func (a *API) changePlan(w http.ResponseWriter, r request, id string, fn func(*stowage.RecoveryPlan) error) error {
	p, err := a.Service.ChangePlan(r.Context(), r.scope, id, fn)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, planView(p))
	return nil
}

func (a *API) deletePlan(w http.ResponseWriter, r request) error {
	return done(w, a.Service.DeletePlan(r.Context(), r.scope, r.guid()))
}

// Rules are parts of their plan; their guids begin with its.

func (a *API) recoveryRules(w http.ResponseWriter, r request) error {
	id := value(r.URL.Query(), "policy", "rule")
	if id == "" {
		return stowage.Errorf(stowage.Invalid, "policy must be set.")
	}
	p, err := a.Service.Plan(r.Context(), r.scope, id)
	if err != nil {
		return err
	}
	rules := planView(p).Rules
	respond(w, rules, len(rules))
	return nil
}

func (a *API) oneRecoveryRule(w http.ResponseWriter, r request) error {
	plan, _, _ := strings.Cut(r.guid(), ".")
	p, err := a.Service.Plan(r.Context(), r.scope, plan)
	if err != nil {
		return err
	}
	return writeRule(w, p, r.guid())
}

func writeRule(w http.ResponseWriter, p stowage.RecoveryPlan, id string) error {
	for _, rule := range planView(p).Rules {
		if rule.GUID == id {
			api.WriteJSON(w, http.StatusOK, rule)
			return nil
		}
	}
	return errNoRule(id)
}

func errNoRule(id string) error {
	return stowage.Errorf(stowage.NotFound, "Rule %.128s could not be found.", id)
}

func (a *API) createRecoveryRule(w http.ResponseWriter, r request) error {
	var body recoveryBody
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Policy.GUID == "" {
		return stowage.Errorf(stowage.Invalid, "policy must be set.")
	}
	rule, err := a.recoveryRule(r, body)
	if err != nil {
		return err
	}
	rule.ID = ""
	p, err := a.Service.ChangePlan(r.Context(), r.scope, body.Policy.GUID, func(p *stowage.RecoveryPlan) error {
		p.Rules = append(slices.Clone(p.Rules), rule)
		return nil
	})
	if err != nil {
		return err
	}
	return writeRule(w, p, p.Rules[len(p.Rules)-1].ID)
}

func (a *API) updateRecoveryRule(w http.ResponseWriter, r request) error {
	var body recoveryBody
	if err := r.read(&body); err != nil {
		return err
	}
	rule, err := a.recoveryRule(r, body)
	if err != nil {
		return err
	}
	rule.ID = r.guid()
	plan, _, _ := strings.Cut(rule.ID, ".")
	p, err := a.Service.ChangePlan(r.Context(), r.scope, plan, func(p *stowage.RecoveryPlan) error {
		at := slices.IndexFunc(p.Rules, func(o stowage.RecoveryRule) bool { return o.ID == rule.ID })
		if at < 0 {
			return errNoRule(rule.ID)
		}
		p.Rules[at] = rule
		return nil
	})
	if err != nil {
		return err
	}
	return writeRule(w, p, rule.ID)
}

func (a *API) deleteRecoveryRule(w http.ResponseWriter, r request) error {
	plan, _, _ := strings.Cut(r.guid(), ".")
	_, err := a.Service.ChangePlan(r.Context(), r.scope, plan, func(p *stowage.RecoveryPlan) error {
		left := slices.DeleteFunc(slices.Clone(p.Rules), func(o stowage.RecoveryRule) bool { return o.ID == r.guid() })
		if len(left) == len(p.Rules) {
			return errNoRule(r.guid())
		}
		p.Rules = left
		return nil
	})
	return done(w, err)
}

type runBody struct {
	Test truth `json:"test"`
}

// runPlan begins a run; the path is our own.
func (a *API) runPlan(w http.ResponseWriter, r request) error {
	var body runBody
	if err := r.read(&body); err != nil {
		return err
	}
	j, err := a.Service.RunPlan(r.Context(), api.User(r.Request, r.caller), r.scope, r.guid(), bool(body.Test))
	if err != nil {
		return err
	}
	t, err := a.Service.Task(r.Context(), r.scope, j.ID)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, a.taskView(r, t))
	return nil
}

// planRuns tells how runs of a plan went, step by step, the newest first.
func (a *API) planRuns(w http.ResponseWriter, r request) error {
	if _, err := a.Service.Plan(r.Context(), r.scope, r.guid()); err != nil {
		return err
	}
	p, err := page(r.URL.Query(), nil)
	if err != nil {
		return err
	}
	f := db.TaskFilter{Entities: []string{r.guid()}, Kinds: []stowage.JobKind{stowage.JobRecovery}, TextStates: shown(p.Filter, taskStates)}
	tasks, total, err := a.Service.Tasks(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(tasks, planRunView), total)
	return nil
}
