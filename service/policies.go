package service

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// PolicyView is a policy with what it consists of.
type PolicyView struct {
	stowage.Policy
	Rules    []RuleView
	Facts    db.PolicyFacts
	Entities []Entity // nil in lists
}

// RuleView is a rule with the names of what it names.
type RuleView struct {
	stowage.Rule
	Kind      stowage.PolicyKind // of its policy
	Policy    string
	Schedules []Entity // as far as they are known
}

// PolicyWish is a policy as somebody wants it. What is nil stays as it is.
type PolicyWish struct {
	Policy   stowage.Policy
	Rules    *[]stowage.Rule
	Entities *[]string
	// AssignNow brings the entities that come by themselves at once.
	AssignNow bool
}

// Policies lists the scope's policies by name, and how many there are.
func (s *Service) Policies(ctx context.Context, scope db.Scope, f db.PolicyFilter, p db.Page) ([]PolicyView, int, error) {
	list, total, err := s.DB.Policies(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	views, err := s.policyViews(ctx, list)
	return views, total, err
}

func (s *Service) policyViews(ctx context.Context, list []stowage.Policy) ([]PolicyView, error) {
	ids, of := make([]string, len(list)), map[string]stowage.Policy{}
	for i, p := range list {
		ids[i], of[p.ID] = p.ID, p
	}
	facts, err := s.DB.PolicyFacts(ctx, ids)
	if err != nil {
		return nil, err
	}
	rules := map[string][]RuleView{}
	for part := range slices.Chunk(ids, 200) {
		some, _, err := s.DB.Rules(ctx, db.Scope{}, db.RuleFilter{Policies: part}, db.Page{Limit: len(part) * maxRules})
		if err != nil {
			return nil, err
		}
		views, err := s.ruleViews(ctx, some, of)
		if err != nil {
			return nil, err
		}
		for _, r := range views {
			rules[r.PolicyID] = append(rules[r.PolicyID], r)
		}
	}
	views := make([]PolicyView, len(list))
	for i, p := range list {
		views[i] = PolicyView{Policy: p, Rules: rules[p.ID], Facts: facts[p.ID]}
	}
	return views, nil
}

// PolicyOf gives one policy of the scope and of the kind, with its entities.
func (s *Service) PolicyOf(ctx context.Context, scope db.Scope, kind stowage.PolicyKind, id string) (PolicyView, error) {
	p, err := s.Policy(ctx, scope, id)
	if err == nil && p.Kind != kind {
		return PolicyView{}, stowage.Errorf(stowage.NotFound, "Policy %.64s could not be found.", id)
	}
	return p, err
}

// Policy gives one policy of the scope, of whatever kind, with its entities.
func (s *Service) Policy(ctx context.Context, scope db.Scope, id string) (PolicyView, error) {
	p, err := s.DB.Policy(ctx, scope, id)
	if err != nil {
		return PolicyView{}, err
	}
	views, err := s.policyViews(ctx, []stowage.Policy{p})
	if err != nil {
		return PolicyView{}, err
	}
	ids, err := s.DB.PolicyEntities(ctx, id)
	if err != nil {
		return PolicyView{}, err
	}
	names, err := s.DB.EntityNames(ctx, ids)
	if err != nil {
		return PolicyView{}, err
	}
	views[0].Entities = make([]Entity, len(ids))
	for i, e := range ids {
		views[0].Entities[i] = Entity{e, names[e]}
	}
	return views[0], nil
}

// CreatePolicy makes a policy. Invalid: it makes no sense. Conflict: the project
// has one of that name.
func (s *Service) CreatePolicy(ctx context.Context, scope db.Scope, wish PolicyWish) (PolicyView, error) {
	wish.Policy.ID, wish.Policy.CreatedAt = s.NewID(), s.Now()
	return s.savePolicy(ctx, scope, wish, nil)
}

// UpdatePolicy changes a policy of the scope and of the kind: all of it that the wish names.
func (s *Service) UpdatePolicy(ctx context.Context, scope db.Scope, wish PolicyWish) (PolicyView, error) {
	old, err := s.PolicyOf(ctx, scope, wish.Policy.Kind, wish.Policy.ID)
	if err != nil {
		return PolicyView{}, err
	}
	wish.Policy.ProjectID, wish.Policy.CreatedAt = old.ProjectID, old.CreatedAt
	return s.savePolicy(ctx, scope, wish, &old)
}

func (s *Service) savePolicy(ctx context.Context, scope db.Scope, wish PolicyWish, old *PolicyView) (PolicyView, error) {
	p := &wish.Policy
	p.Name, p.UpdatedAt = strings.TrimSpace(p.Name), s.Now()
	if p.Kind == stowage.PolicySnapshot && s.Servers == nil {
		return PolicyView{}, errNoSnapshots
	}
	if err := checkPolicy(*p); err != nil {
		return PolicyView{}, err
	}
	if err := s.checkList(ctx, *p, old); err != nil {
		return PolicyView{}, err
	}
	if wish.Rules != nil {
		rules, err := s.checkRules(ctx, scope, *p, *wish.Rules, old)
		if err != nil {
			return PolicyView{}, err
		}
		wish.Rules = &rules
	}
	if wish.Entities != nil {
		entities, err := s.checkEntities(ctx, scope, *p, *wish.Entities, old)
		if err != nil {
			return PolicyView{}, err
		}
		wish.Entities = &entities
	}
	if err := s.DB.SavePolicy(ctx, db.PolicyChange{Policy: *p, New: old == nil, Rules: wish.Rules, Entities: wish.Entities}); err != nil {
		return PolicyView{}, err
	}
	s.Log.InfoContext(ctx, "policy saved", "policy", p.ID, "project", p.ProjectID)
	if wish.AssignNow && p.Is.Assign.On() {
		if err := s.assignTo(ctx, *p); err != nil {
			return PolicyView{}, err
		}
	}
	return s.Policy(ctx, scope, p.ID)
}

// Bounds of what one policy may be.
const (
	maxRules          = 50
	maxPolicyEntities = 10000
	maxSchedules      = 50 // of one rule
)

func checkName(what, name string) error {
	if n := len([]rune(name)); n < 1 || n > 255 {
		return stowage.Errorf(stowage.Invalid, "The name of a %s must have from 1 to 255 characters.", what)
	}
	return nil
}

func checkPolicy(p stowage.Policy) error {
	if err := checkName("policy", p.Name); err != nil {
		return err
	}
	switch {
	case p.Priority < stowage.PriorityMin || p.Priority > stowage.PriorityMax:
		return stowage.Errorf(stowage.Invalid, "The priority must be from %d to %d.", stowage.PriorityMin, stowage.PriorityMax)
	case min(p.Is.ExportThreshold, p.Is.StoreThreshold) < 0 || max(p.Is.ExportThreshold, p.Is.StoreThreshold) > 100:
		return stowage.Errorf(stowage.Invalid, "A threshold must be from 0 to 100 percent.")
	case p.Is.RetryCount < 0 || p.Is.RetryCount > maxRetries:
		return stowage.Errorf(stowage.Invalid, "The retry count must not be negative.")
	}
	_, err := newMatcher(p)
	return err
}

// checkEntities gives the entities, each once. Those that are in the policy may
// stay, whatever became of them; others must be the scope's and of its project.
func (s *Service) checkEntities(ctx context.Context, scope db.Scope, p stowage.Policy, ids []string, old *PolicyView) ([]string, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > maxPolicyEntities {
		return nil, stowage.Errorf(stowage.Invalid, "A policy may have %d entities at most.", maxPolicyEntities)
	}
	known := map[string]bool{}
	if old != nil {
		for _, e := range old.Entities {
			known[e.ID] = true
		}
	}
	fresh := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return known[id] })
	for part := range slices.Chunk(fresh, 500) {
		list, _, err := s.DB.Entities(ctx, scope, db.EntityFilter{IDs: part}, db.Page{Limit: len(part)})
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if err := mayProtect(p, e); err != nil {
				return nil, err
			}
			known[e.ID] = true
		}
	}
	for _, id := range ids {
		if !known[id] {
			return nil, stowage.Errorf(stowage.NotFound, "Entity %.64s could not be found.", id)
		}
	}
	return ids, s.mayTake(ctx, scope, p.Kind, fresh)
}

// Owners tells whose each of the entities is that the scope has, listed or not: the id of
// its project, empty for what is nobody's.
func (s *Service) Owners(ctx context.Context, scope db.Scope, entities []string) (map[string]string, error) {
	return s.DB.EntityProjects(ctx, scope, entities)
}

// mayProtect refuses entities of other projects than the policy's.
func mayProtect(p stowage.Policy, e stowage.Entity) error {
	if p.ProjectID == "" || e.ProjectID == "" || e.ProjectID == p.ProjectID {
		return nil
	}
	return stowage.Errorf(stowage.Invalid, "Entity %.64s is of another project than the policy.", e.ID)
}

// mayTake refuses entities that are in policies outside the scope: what the operator
// protects is not for a tenant to leave without.
func (s *Service) mayTake(ctx context.Context, scope db.Scope, kind stowage.PolicyKind, entities []string) error {
	if scope.ProjectID == "" {
		return nil
	}
	in, err := s.DB.EntityPolicies(ctx, kind, entities)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(in)), 200) {
		ids := make([]string, len(part))
		for i, e := range part {
			ids[i] = in[e][0]
		}
		own, _, err := s.DB.Policies(ctx, scope, db.PolicyFilter{IDs: ids}, db.Page{Limit: len(ids)})
		if err != nil {
			return err
		}
		for _, e := range part {
			if !slices.ContainsFunc(own, func(p stowage.Policy) bool { return p.ID == in[e][0] }) {
				return stowage.Errorf(stowage.Forbidden, "Entity %.64s is in a policy of the operator's, which only he takes it out of.", e)
			}
		}
	}
	return nil
}

// SettlePolicy makes a policy of the operator's a project's, if it has entities of
// that project alone, none that come by themselves, and no rules; else it is as it was.
// Conflict: the project has one of that name.
func (s *Service) SettlePolicy(ctx context.Context, id, projectID string) (stowage.Policy, error) {
	settled, err := s.DB.SettlePolicy(ctx, id, projectID, s.Now())
	if err != nil {
		return stowage.Policy{}, err
	}
	if settled {
		s.Log.InfoContext(ctx, "policy is a project's now", "policy", id, "project", projectID)
	}
	return s.DB.Policy(ctx, db.Scope{}, id)
}

// DeletePolicy deletes a policy of the scope and of the kind with its rules. Its backups
// stay, and so do its snapshots.
func (s *Service) DeletePolicy(ctx context.Context, scope db.Scope, kind stowage.PolicyKind, id string) error {
	if _, err := s.PolicyOf(ctx, scope, kind, id); err != nil {
		return err
	}
	if err := s.DB.DeletePolicy(ctx, scope, id); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "policy deleted", "policy", id)
	return nil
}

// AssignEntity puts an entity of the scope into a policy of the scope and of the kind, out
// of the other of the scope it may be in; an empty policy: into none.
func (s *Service) AssignEntity(ctx context.Context, scope db.Scope, kind stowage.PolicyKind, entity, policy string) error {
	e, err := s.DB.Entity(ctx, scope, entity)
	if err != nil {
		return err
	}
	now, err := s.DB.EntityPolicies(ctx, kind, []string{entity})
	if err != nil || now[entity][0] == policy {
		return err // a client that sends the whole object back changes nothing
	}
	if err := s.mayTake(ctx, scope, kind, []string{entity}); err != nil {
		return err
	}
	if policy != "" {
		p, err := s.DB.Policy(ctx, scope, policy)
		if err != nil {
			return err
		}
		if p.Kind != kind {
			return stowage.Errorf(stowage.NotFound, "Policy %.64s could not be found.", policy)
		}
		if err := mayProtect(p, e); err != nil {
			return err
		}
	}
	return s.DB.Assign(ctx, kind, entity, policy)
}
