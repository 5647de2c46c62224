package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// Rules lists the scope's rules, and how many there are.
func (s *Service) Rules(ctx context.Context, scope db.Scope, f db.RuleFilter, p db.Page) ([]RuleView, int, error) {
	list, total, err := s.DB.Rules(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.PolicyID)
	}
	slices.Sort(ids)
	of := map[string]stowage.Policy{}
	for part := range slices.Chunk(slices.Compact(ids), 500) {
		policies, _, err := s.DB.Policies(ctx, db.Scope{}, db.PolicyFilter{IDs: part}, db.Page{Limit: len(part)})
		if err != nil {
			return nil, 0, err
		}
		for _, p := range policies {
			of[p.ID] = p
		}
	}
	views, err := s.ruleViews(ctx, list, of)
	return views, total, err
}

func (s *Service) ruleViews(ctx context.Context, list []stowage.Rule, policies map[string]stowage.Policy) ([]RuleView, error) {
	var ids []string
	for _, r := range list {
		ids = append(ids, r.Schedules...)
	}
	names, err := s.DB.ScheduleNames(ctx, ids)
	if err != nil {
		return nil, err
	}
	views := make([]RuleView, len(list))
	for i, r := range list {
		views[i] = RuleView{Rule: r, Kind: policies[r.PolicyID].Kind, Policy: policies[r.PolicyID].Name, Schedules: []Entity{}}
		for _, id := range r.Schedules {
			if name, known := names[id]; known {
				views[i].Schedules = append(views[i].Schedules, Entity{id, name})
			}
		}
	}
	return views, nil
}

// Rule gives one rule of the scope.
func (s *Service) Rule(ctx context.Context, scope db.Scope, id string) (RuleView, error) {
	if id == "" {
		id = "-"
	}
	list, _, err := s.Rules(ctx, scope, db.RuleFilter{IDs: []string{id}}, db.Page{Limit: 1})
	if err != nil {
		return RuleView{}, err
	}
	if len(list) == 0 {
		return RuleView{}, stowage.Errorf(stowage.NotFound, "Rule %.64s could not be found.", id)
	}
	return list[0], nil
}

// RuleOf gives one rule of the scope that is of a policy of the kind.
func (s *Service) RuleOf(ctx context.Context, scope db.Scope, kind stowage.PolicyKind, id string) (RuleView, error) {
	r, err := s.Rule(ctx, scope, id)
	if err == nil && r.Kind != kind {
		return RuleView{}, stowage.Errorf(stowage.NotFound, "Rule %.64s could not be found.", id)
	}
	return r, err
}

// CreateRule adds a rule to a policy of the scope.
func (s *Service) CreateRule(ctx context.Context, scope db.Scope, r stowage.Rule) (RuleView, error) {
	p, err := s.Policy(ctx, scope, r.PolicyID)
	if err != nil {
		return RuleView{}, err
	}
	if len(p.Rules) >= maxRules {
		return RuleView{}, stowage.Errorf(stowage.Invalid, "A policy may have %d rules at most.", maxRules)
	}
	r.ID = ""
	rules, err := s.checkRules(ctx, scope, p.Policy, []stowage.Rule{r}, &p)
	if err != nil {
		return RuleView{}, err
	}
	if err := s.DB.AddRule(ctx, rules[0]); err != nil {
		return RuleView{}, err
	}
	return s.Rule(ctx, scope, rules[0].ID)
}

// UpdateRule changes a rule of the scope. It stays its policy's, in its place.
func (s *Service) UpdateRule(ctx context.Context, scope db.Scope, r stowage.Rule) (RuleView, error) {
	old, err := s.Rule(ctx, scope, r.ID)
	if err != nil {
		return RuleView{}, err
	}
	p, err := s.Policy(ctx, scope, old.PolicyID)
	if err != nil {
		return RuleView{}, err
	}
	rules, err := s.checkRules(ctx, scope, p.Policy, []stowage.Rule{r}, &p)
	if err != nil {
		return RuleView{}, err
	}
	rules[0].Position = old.Position
	if err := s.DB.SaveRule(ctx, rules[0]); err != nil {
		return RuleView{}, err
	}
	return s.Rule(ctx, scope, r.ID)
}

// DeleteRule deletes a rule of the scope. Its backups stay, and are then the
// other rules' to keep.
func (s *Service) DeleteRule(ctx context.Context, scope db.Scope, id string) error {
	r, err := s.Rule(ctx, scope, id)
	if err != nil {
		return err
	}
	return s.DB.DeleteRule(ctx, r.ID)
}

// checkRules gives rules as they are to be written. Those that the policy has
// keep their ids and the schedules they have; every other id is made here.
func (s *Service) checkRules(ctx context.Context, scope db.Scope, p stowage.Policy, rules []stowage.Rule, old *PolicyView) ([]stowage.Rule, error) {
	if len(rules) > maxRules {
		return nil, stowage.Errorf(stowage.Invalid, "A policy may have %d rules at most.", maxRules)
	}
	had := map[string]RuleView{}
	if old != nil {
		for _, r := range old.Rules {
			had[r.ID] = r
		}
	}
	out := slices.Clone(rules)
	for i := range out {
		r := &out[i]
		before, known := had[r.ID]
		delete(had, r.ID) // one of them at most is that one
		if !known {
			r.ID, r.CreatedAt = s.NewID(), s.Now()
		} else {
			r.CreatedAt = before.CreatedAt
		}
		r.PolicyID, r.ProjectID, r.Name = p.ID, p.ProjectID, strings.TrimSpace(r.Name)
		if r.Name == "" {
			r.Name = "Default"
		}
		if err := checkRule(*r); err != nil {
			return nil, err
		}
		slices.Sort(r.Schedules)
		r.Schedules = slices.Compact(r.Schedules)
		if err := s.checkRuleSchedules(ctx, scope, p, r.Schedules, before.Rule.Schedules); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func checkRule(r stowage.Rule) error {
	if err := checkName("rule", r.Name); err != nil {
		return err
	}
	for _, k := range []stowage.Keep{r.Is.Retention.Full, r.Is.Retention.Incremental} {
		if k.Last < 0 || k.Last > 1_000_000 || k.Newer < 0 || k.Newer > 200*365*24*time.Hour {
			return stowage.Errorf(stowage.Invalid, "The retention of rule %.64s makes no sense.", r.Name)
		}
	}
	if len(r.Is.Container) > 256 || strings.ContainsAny(r.Is.Container, "/\x00") {
		return stowage.Errorf(stowage.Invalid, "The backup destination %.64s is not valid.", r.Is.Container)
	}
	return nil
}

// checkRuleSchedules wants schedules that the rule has, or of the scope: of the
// policy's project, or the operator's.
func (s *Service) checkRuleSchedules(ctx context.Context, scope db.Scope, p stowage.Policy, ids, had []string) error {
	if len(ids) > maxSchedules {
		return stowage.Errorf(stowage.Invalid, "A rule may have %d schedules at most.", maxSchedules)
	}
	for _, id := range ids {
		if slices.Contains(had, id) {
			continue
		}
		one, err := s.DB.Schedule(ctx, scope, id)
		if err != nil {
			return err
		}
		if one.Kind != p.Kind {
			return stowage.Errorf(stowage.Invalid, "Schedule %.64s is one of %ss, and the policy is one of %ss.", id, one.Kind, p.Kind)
		}
		if one.ProjectID != "" && one.ProjectID != p.ProjectID {
			return stowage.Errorf(stowage.Invalid, "Schedule %.64s is of another project than the policy.", id)
		}
	}
	return nil
}
