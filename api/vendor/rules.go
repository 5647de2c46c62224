package vendor

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// ruleBody is a rule as clients send it. The older panel names bare destinations,
// everybody else has them in objects with the role they play.
type ruleBody struct {
	GUID         text            `json:"guid"`
	Name         text            `json:"name"`
	Active       *truth          `json:"active"`
	Policy       ref             `json:"policy"`
	Schedules    *refs           `json:"schedules"`
	Destinations several[toBody] `json:"ruleBackupDestinations"`
	Bare         several[ref]    `json:"backupDestinations"`
	Versions     number          `json:"retentionVersions"` // of snapshots
	Days         number          `json:"retentionDays"`
	Lock         number          `json:"daysToKeepRetentionLock"`
}

type toBody struct {
	Active      *truth        `json:"active"`
	Role        enum          `json:"roleType"`
	Destination ref           `json:"backupDestination"`
	Retention   retentionBody `json:"backupRetentionSettings"`
	Lock        number        `json:"daysToKeepRetentionLock"`
}

type retentionBody struct {
	LastFull         number `json:"retentionKeepLastNFull"`
	NewerFull        number `json:"retentionKeepFullNewerThan"`
	LastIncremental  number `json:"retentionKeepLastNIncremental"`
	NewerIncremental number `json:"retentionKeepIncrementalNewerThan"`
	KeepLast         truth  `json:"keepLastBackupWhenSourceStillExists"`
}

func (b retentionBody) settings() stowage.Retention {
	keep := func(last, newer number) stowage.Keep {
		// Beyond what a duration holds, so long as to be refused.
		return stowage.Keep{Last: whole(last), Newer: time.Duration(max(min(newer.n, maxMillis/8), -1)) * time.Millisecond}
	}
	return stowage.Retention{Full: keep(b.LastFull, b.NewerFull), Incremental: keep(b.LastIncremental, b.NewerIncremental), KeepLast: bool(b.KeepLast)}
}

const day = 24 * time.Hour

// maxDays is more than any retention may say, and less than what no duration holds.
const maxDays = 100_000

// rule is what the body says, of a policy of the kind and the project. A secondary destination
// that names none is what user interfaces send for none.
func (b ruleBody) rule(kind stowage.PolicyKind, projectID string) (stowage.Rule, error) {
	r := stowage.Rule{ID: string(b.GUID), PolicyID: b.Policy.GUID, Name: string(b.Name), Active: b.Active == nil || bool(*b.Active)}
	if b.Schedules != nil {
		r.Schedules = guids(*b.Schedules)
	}
	if kind == stowage.PolicySnapshot { // which stay where the volume is
		r.Is.Retention.Full = stowage.Keep{Last: whole(b.Versions), Newer: time.Duration(max(min(b.Days.n, maxDays), -1)) * day}
		return r, nil
	}
	to := b.Destinations
	for _, bare := range b.Bare {
		to = append(to, toBody{Role: enum{Name: "PRIMARY"}, Destination: bare})
	}
	lock, primary := b.Lock.n, false
	for _, d := range to {
		lock = max(lock, d.Lock.n)
		if d.Role.Name == "" {
			d.Role.Name = "PRIMARY"
		}
		switch {
		case d.Role.Name == "PRIMARY":
			container, err := containerOf(d.Destination.GUID, projectID)
			if err != nil {
				return r, err
			}
			is := stowage.RuleDetails{Container: container, Retention: d.Retention.settings()}
			if primary && is != r.Is {
				return r, stowage.Errorf(stowage.Invalid, "A backup is in one place: a rule has one destination.")
			}
			r.Is, primary = is, true
		case d.Destination.GUID == "" || d.Active != nil && !bool(*d.Active):
		default:
			return r, stowage.Errorf(stowage.Invalid, "A backup is in one place: a rule has no %s destination.", strings.ToLower(d.Role.Name))
		}
	}
	if lock > 0 {
		return r, stowage.Errorf(stowage.Invalid, "daysToKeepRetentionLock must be 0: backups are in the project's own container, which nobody can lock.")
	}
	return r, nil
}

// over is a rule of a policy of the kind as the body changes it: what is not there stays.
func (b ruleBody) over(old stowage.Rule, kind stowage.PolicyKind) (stowage.Rule, error) {
	if b.GUID = text(old.ID); b.Name == "" {
		b.Name = text(old.Name)
	}
	r, err := b.rule(kind, old.ProjectID)
	if err != nil {
		return r, err
	}
	if b.Active == nil {
		r.Active = old.Active
	}
	if b.Schedules == nil {
		r.Schedules = old.Schedules
	}
	says := len(b.Destinations)+len(b.Bare) > 0
	if kind == stowage.PolicySnapshot {
		says = b.Versions.set || b.Days.set
	}
	if !says {
		r.Is = old.Is
	}
	return r, nil
}

// containerOf is the container of a destination. The operator's policies are for
// the containers of that name of whatever project.
func containerOf(guid, projectID string) (string, error) {
	owner, name, named := strings.Cut(guid, ":")
	if !named {
		owner, name = projectID, guid
	}
	if projectID != "" && owner != projectID {
		return "", stowage.Errorf(stowage.Invalid, "The backup destination %.64s is of another project.", guid)
	}
	return name, nil
}

func ruleContainer(r service.RuleView) *ref {
	name := orText(r.Is.Container, stowage.DefaultContainer)
	if r.ProjectID == "" {
		return &ref{name, name}
	}
	return destinationRef(r.ProjectID, name)
}

type ruleView struct {
	GUID         string    `json:"guid"`
	Name         string    `json:"name"`
	Active       bool      `json:"active"`
	Position     int       `json:"position"`
	Policy       ref       `json:"policy"`
	Schedules    []ref     `json:"schedules"`
	Destinations []destRow `json:"ruleBackupDestinations"`
	Versions     *int      `json:"retentionVersions,omitempty"`
	Days         *int      `json:"retentionDays,omitempty"`
	Lock         int       `json:"daysToKeepRetentionLock"` // none
	VMCount      int       `json:"vmCount"`
	Count        int       `json:"schedulesCount"`
	Removable    bool      `json:"removable"`
	Marked       bool      `json:"markedForDeletion"`
}

type destRow struct {
	GUID        string        `json:"guid"`
	Active      bool          `json:"active"`
	Role        enum          `json:"roleType"`
	Destination *ref          `json:"backupDestination"`
	Retention   retentionView `json:"backupRetentionSettings"`
	Lock        int           `json:"daysToKeepRetentionLock"` // none
}

type retentionView struct {
	LastFull         int   `json:"retentionKeepLastNFull"`
	NewerFull        int64 `json:"retentionKeepFullNewerThan"`
	LastIncremental  int   `json:"retentionKeepLastNIncremental"`
	NewerIncremental int64 `json:"retentionKeepIncrementalNewerThan"`
	KeepLast         bool  `json:"keepLastBackupWhenSourceStillExists"`
}

func viewOfRule(r service.RuleView, entities int) ruleView {
	k := r.Is.Retention
	v := ruleView{
		GUID: r.ID, Name: r.Name, Active: r.Active, Position: r.Position, Policy: *refTo(r.PolicyID, r.Policy), Removable: true,
		Schedules: each(r.Schedules, func(e service.Entity) ref { return ref{e.ID, e.Name} }), Count: len(r.Schedules), VMCount: entities,
		Destinations: []destRow{},
	}
	if r.Kind == stowage.PolicySnapshot {
		days := int(k.Full.Newer / day)
		v.Versions, v.Days = &k.Full.Last, &days
		return v
	}
	v.Destinations = append(v.Destinations, destRow{GUID: r.ID, Active: true, Role: enumOf("PRIMARY"), Destination: ruleContainer(r), Retention: retentionView{
		k.Full.Last, k.Full.Newer.Milliseconds(), k.Incremental.Last, k.Incremental.Newer.Milliseconds(), k.KeepLast,
	}})
	return v
}

func (a *API) answerRule(w http.ResponseWriter, r request, rule service.RuleView, err error) error {
	if err != nil {
		return err
	}
	p, err := a.Service.Policy(r.Context(), db.Scope{}, rule.PolicyID)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, viewOfRule(rule, p.Facts.Entities))
	return nil
}

func (a *API) createRule(w http.ResponseWriter, r request) error {
	var body ruleBody
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Policy.GUID == "" {
		return stowage.Errorf(stowage.Invalid, "policy must be set.")
	}
	p, err := a.Service.PolicyOf(r.Context(), r.scope, r.kind, body.Policy.GUID)
	if err != nil {
		return err
	}
	if p.ProjectID == "" {
		if p.Policy, err = a.settled(r, p.Policy, body); err != nil {
			return err
		}
	}
	rule, err := body.rule(r.kind, p.ProjectID)
	if err != nil {
		return err
	}
	made, err := a.Service.CreateRule(r.Context(), r.scope, rule)
	return a.answerRule(w, r, made, err)
}

// settled is a policy of the operator's as its first rule finds it. A panel that makes a
// policy and its rule in two steps names the tenant in the rule only, by a destination or
// a schedule of his: then the policy is his too, if it can be.
func (a *API) settled(r request, p stowage.Policy, body ruleBody) (stowage.Policy, error) {
	var owners []string
	for _, to := range append(each(body.Destinations, func(b toBody) ref { return b.Destination }), body.Bare...) {
		if owner, _, named := strings.Cut(to.GUID, ":"); named {
			owners = append(owners, owner)
		}
	}
	if body.Schedules != nil {
		for _, id := range guids(*body.Schedules) {
			s, err := a.Service.Schedule(r.Context(), r.scope, id)
			if err != nil {
				return p, err
			}
			if s.ProjectID != "" {
				owners = append(owners, s.ProjectID)
			}
		}
	}
	if slices.Sort(owners); len(slices.Compact(owners)) != 1 {
		return p, nil
	}
	return a.Service.SettlePolicy(r.Context(), p.ID, owners[0])
}

// updateRule leaves alone what the body does not name. It takes rules of snapshots on the
// path of the others as well: one user interface sends them there.
func (a *API) updateRule(w http.ResponseWriter, r request) error {
	var body ruleBody
	if err := r.read(&body); err != nil {
		return err
	}
	old, err := a.Service.Rule(r.Context(), r.scope, r.guid())
	if err == nil && r.kind == stowage.PolicySnapshot && old.Kind != r.kind {
		err = stowage.Errorf(stowage.NotFound, "Rule %.64s could not be found.", r.guid())
	}
	if err != nil {
		return err
	}
	rule, err := body.over(old.Rule, old.Kind)
	if err != nil {
		return err
	}
	made, err := a.Service.UpdateRule(r.Context(), r.scope, rule)
	return a.answerRule(w, r, made, err)
}

func (a *API) oneRule(w http.ResponseWriter, r request) error {
	rule, err := a.Service.RuleOf(r.Context(), r.scope, r.kind, r.guid())
	return a.answerRule(w, r, rule, err)
}

func (a *API) deleteRule(w http.ResponseWriter, r request) error {
	if _, err := a.Service.RuleOf(r.Context(), r.scope, r.kind, r.guid()); err != nil {
		return err
	}
	return done(w, a.Service.DeleteRule(r.Context(), r.scope, r.guid()))
}

// rules lists them. The older panel asks for those of a policy by the name rule.
func (a *API) rules(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := page(q, nil)
	if err != nil {
		return err
	}
	f := db.RuleFilter{Kind: r.kind, Policies: values(q, "policy", "rule"), Schedules: values(q, "schedule")}
	list, total, err := a.Service.Rules(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(list, func(v service.RuleView) ref { return ref{v.ID, v.Name} }), total)
	return nil
}
