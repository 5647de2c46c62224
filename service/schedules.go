package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/timetable"
)

// ScheduleView is a schedule with the rules that name it.
type ScheduleView struct {
	stowage.Schedule
	Rules []Entity
}

// Schedules lists the scope's schedules by name, and how many there are.
func (s *Service) Schedules(ctx context.Context, scope db.Scope, f db.ScheduleFilter, p db.Page) ([]ScheduleView, int, error) {
	list, total, err := s.DB.Schedules(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	views := make([]ScheduleView, len(list))
	at := map[string]int{}
	ids := make([]string, len(list))
	for i, one := range list {
		views[i], ids[i], at[one.ID] = ScheduleView{Schedule: one}, one.ID, i
	}
	for part := range slices.Chunk(ids, 500) {
		rules, _, err := s.DB.Rules(ctx, scope, db.RuleFilter{Schedules: part}, db.Page{Limit: 10000})
		if err != nil {
			return nil, 0, err
		}
		for _, r := range rules {
			for _, id := range r.Schedules {
				if i, shown := at[id]; shown {
					views[i].Rules = append(views[i].Rules, Entity{r.ID, r.Name})
				}
			}
		}
	}
	return views, total, nil
}

// Schedule gives one schedule of the scope.
func (s *Service) Schedule(ctx context.Context, scope db.Scope, id string) (ScheduleView, error) {
	list, _, err := s.Schedules(ctx, scope, db.ScheduleFilter{IDs: []string{id}}, db.Page{Limit: 1})
	if err != nil {
		return ScheduleView{}, err
	}
	if len(list) == 0 {
		return ScheduleView{}, stowage.Errorf(stowage.NotFound, "Schedule %.64s could not be found.", id)
	}
	return list[0], nil
}

// SaveSchedule makes a schedule, or changes one of the scope, whose kind stays; the rules are those
// that are to name it, nil: they stay. What was due before it was saved is not
// made up for. Invalid: it makes no sense. Conflict: the project has one of that name.
func (s *Service) SaveSchedule(ctx context.Context, scope db.Scope, one stowage.Schedule, rules *[]string) (ScheduleView, error) {
	isNew, now := one.ID == "", s.Now()
	var had []Entity
	if isNew {
		one.ID, one.CreatedAt = s.NewID(), now
		if one.Kind == "" {
			one.Kind = stowage.PolicyBackup
		}
	} else {
		old, err := s.Schedule(ctx, scope, one.ID)
		if err != nil {
			return ScheduleView{}, err
		}
		if one.Kind != "" && one.Kind != old.Kind {
			return ScheduleView{}, stowage.Errorf(stowage.Invalid, "A schedule of %ss stays one.", old.Kind)
		}
		one.Kind, one.ProjectID, one.CreatedAt, had = old.Kind, old.ProjectID, old.CreatedAt, old.Rules
	}
	one.Name, one.UpdatedAt, one.NextDue = strings.TrimSpace(one.Name), now, time.Time{}
	if err := checkName("schedule", one.Name); err != nil {
		return ScheduleView{}, err
	}
	if one.Is.Window < 0 || one.Is.Window > 7*timetable.Day {
		return ScheduleView{}, stowage.Errorf(stowage.Invalid, "The start window must be from nothing to a week.")
	}
	if err := timetable.Check(one.Is.Times); err != nil {
		return ScheduleView{}, err
	}
	if one.Active {
		one.NextDue, _ = timetable.Next(one.Is.Times, now)
	}
	if rules != nil {
		checked, err := s.checkScheduleRules(ctx, scope, one, *rules, had)
		if err != nil {
			return ScheduleView{}, err
		}
		rules = &checked
	}
	if err := s.DB.SaveSchedule(ctx, one, isNew, rules); err != nil {
		return ScheduleView{}, err
	}
	s.Log.InfoContext(ctx, "schedule saved", "schedule", one.ID, "project", one.ProjectID, "next", one.NextDue)
	return s.Schedule(ctx, scope, one.ID)
}

// checkScheduleRules wants rules of the scope, of the schedule's project if it has one.
func (s *Service) checkScheduleRules(ctx context.Context, scope db.Scope, one stowage.Schedule, ids []string, had []Entity) ([]string, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		if slices.ContainsFunc(had, func(e Entity) bool { return e.ID == id }) {
			continue
		}
		r, err := s.Rule(ctx, scope, id)
		if err != nil {
			return nil, err
		}
		if r.Kind != one.Kind {
			return nil, stowage.Errorf(stowage.Invalid, "Rule %.64s is of a policy of %ss, and the schedule is one of %ss.", id, r.Kind, one.Kind)
		}
		if one.ProjectID != "" && one.ProjectID != r.ProjectID {
			return nil, stowage.Errorf(stowage.Invalid, "Rule %.64s is of another project than the schedule.", id)
		}
		if len(r.Rule.Schedules) >= maxSchedules {
			return nil, stowage.Errorf(stowage.Invalid, "A rule may have %d schedules at most.", maxSchedules)
		}
	}
	return ids, nil
}

// DeleteSchedule deletes a schedule of the scope.
func (s *Service) DeleteSchedule(ctx context.Context, scope db.Scope, id string) error {
	return s.DB.DeleteSchedule(ctx, scope, id)
}

// policiesOf gives the policy of each of the entities, and since when there should
// be a backup by it: the last due time whose window is over. A policy that no
// active schedule carries out has none.
func (s *Service) policiesOf(ctx context.Context, list []stowage.Entity) (map[string][2]string, map[string]time.Time, error) {
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	policies, err := s.DB.EntityPolicies(ctx, stowage.PolicyBackup, ids)
	if err != nil {
		return nil, nil, err
	}
	var used []string
	for _, p := range policies {
		used = append(used, p[0])
	}
	due, err := s.dueSince(ctx, compact(used))
	return policies, due, err
}

// dueSince gives, of those of the policies that schedules carry out, since when their
// entities should have a backup.
func (s *Service) dueSince(ctx context.Context, policies []string) (map[string]time.Time, error) {
	schedules, err := s.DB.PolicySchedules(ctx, policies)
	if err != nil {
		return nil, err
	}
	due := map[string]time.Time{}
	for policy, all := range schedules {
		due[policy] = time.Time{}
		for _, one := range all {
			at, _ := timetable.Previous(one.Is.Times, s.Now().Add(-window(one.Is)))
			if at.After(due[policy]) {
				due[policy] = at
			}
		}
	}
	return due, nil
}

// allDue are those of all policies of backups.
func (s *Service) allDue(ctx context.Context) (map[string]time.Time, error) {
	list, _, err := s.DB.Policies(ctx, db.Scope{}, db.PolicyFilter{Kind: stowage.PolicyBackup}, db.Page{Limit: maxDue})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	return s.dueSince(ctx, ids)
}

// maxDue bounds how many policies an order looks at; the entities of more are as if
// no schedule said anything of them.
const maxDue = 2000

// unsaidWindow is how long after its due time a run begins at most where no window
// was said: whoever wants it at ten does not want it at noon.
const unsaidWindow = time.Hour

// window is how long after a due time a run may begin: as was said, or an hour, but
// for intervals no longer than until the next time.
func window(d stowage.ScheduleDetails) time.Duration {
	switch {
	case d.Window > 0:
		return d.Window
	case d.Times.Interval != nil:
		return min(unsaidWindow, d.Times.Interval.Every)
	}
	return unsaidWindow
}
