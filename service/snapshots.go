package service

import (
	"context"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

var errNoSnapshots = stowage.Errorf(stowage.Invalid, "No snapshots are taken here: there is no Cinder to keep them.")

// SnapshotRequest asks for a snapshot of an entity that stays in its project.
type SnapshotRequest struct {
	EntityID string
	RuleID   string // of a policy of snapshots, which removes it one day; empty: nobody does
	When     When
	OnBehalf string // the project whose entity it is, where it tells none itself
	JobID    string // as in BackupRequest
	Schedule string // that asks for it, if it is no user
}

// SnapshotEntity begins to take a snapshot of an entity of the scope.
func (s *Service) SnapshotEntity(ctx context.Context, user cloud.User, scope db.Scope, req SnapshotRequest) (stowage.Job, error) {
	begin, err := s.PlanSnapshot(ctx, user, scope, req)
	if err != nil {
		return stowage.Job{}, err
	}
	return begin(ctx)
}

// PlanSnapshot checks all that can be told before a snapshot is begun, and gives what
// begins it. It is taken by the service's own rights in the project. NotFound: no such
// entity or rule of the scope. Invalid: it is gone, or the rule is none for it.
func (s *Service) PlanSnapshot(ctx context.Context, user cloud.User, scope db.Scope, req SnapshotRequest) (begin func(context.Context) (stowage.Job, error), err error) {
	if s.Servers == nil {
		return nil, errNoSnapshots
	}
	if err := req.When.check(s.Now()); err != nil {
		return nil, err
	}
	e, err := s.DB.Entity(ctx, scope, req.EntityID)
	if err != nil {
		return nil, err
	}
	if !e.Present {
		return nil, stowage.Errorf(stowage.Invalid, "%s is gone.", orReason(e.Name, e.ID))
	}
	j := s.newJob(stowage.JobSnapshot, user, s.Now())
	j.EntityID, j.By.ScheduleID = e.ID, req.Schedule
	if j.ProjectID = orReason(e.ProjectID, req.OnBehalf); j.ProjectID == "" {
		j.ProjectID = user.ProjectID
	}
	if req.JobID != "" {
		j.ID = req.JobID
	}
	if req.RuleID != "" {
		r, err := s.RuleOf(ctx, scope, stowage.PolicySnapshot, req.RuleID)
		if err != nil {
			return nil, err
		}
		if err := mayProtect(stowage.Policy{ProjectID: r.ProjectID}, e); err != nil {
			return nil, err
		}
		j.By.PolicyID, j.By.RuleID = r.PolicyID, r.ID
	}
	if err := s.anyManager(ctx); err != nil {
		return nil, err
	}
	req.When.on(&j)
	return func(ctx context.Context) (stowage.Job, error) {
		ctx, cancel := finish(ctx, s.HoldTime/2)
		defer cancel()
		if err := s.DB.AddSnapshot(ctx, &j); err != nil {
			return j, err
		}
		s.Log.InfoContext(ctx, "snapshot begins", "job", j.ID, "entity", j.EntityID, "policy", j.By.PolicyID)
		return j, s.hand(ctx, j)
	}, nil
}

// SnapshotView is a snapshot with the names of what it names.
type SnapshotView struct {
	stowage.EntitySnapshot
	Entity, Policy, Rule Entity // without a name: it is gone
}

// Snapshots lists the scope's snapshots, the newest first, and how many there are.
func (s *Service) Snapshots(ctx context.Context, scope db.Scope, f db.SnapshotFilter, p db.Page) ([]SnapshotView, int, error) {
	list, total, err := s.DB.Snapshots(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	var entities, policies, by []string
	for _, one := range list {
		entities = append(entities, one.EntityID)
		if one.By.PolicyID != "" {
			policies, by = append(policies, one.By.PolicyID), append(by, one.By.RuleID)
		}
	}
	names, err := s.DB.EntityNames(ctx, entities)
	if err != nil {
		return nil, 0, err
	}
	policyNames, err := s.DB.PolicyNames(ctx, compact(policies))
	if err != nil {
		return nil, 0, err
	}
	rules, err := s.ruleNames(ctx, by)
	if err != nil {
		return nil, 0, err
	}
	views := make([]SnapshotView, len(list))
	for i, one := range list {
		views[i] = SnapshotView{
			EntitySnapshot: one, Entity: Entity{one.EntityID, names[one.EntityID]},
			Policy: Entity{one.By.PolicyID, policyNames[one.By.PolicyID]}, Rule: Entity{one.By.RuleID, rules[one.By.RuleID]},
		}
	}
	return views, total, nil
}

// compact gives each once, in order.
func compact(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// ForgetSnapshots forgets snapshots of a project of which Cinder has none any more: its
// users may remove them. It gives the ids of those that Cinder has, if any are known at
// all. First it is read what is known, then what is there: what comes in between is not
// missed.
func (s *Service) ForgetSnapshots(ctx context.Context, projectID string) (there map[string]bool, err error) {
	const atOnce = 500
	var known []stowage.EntitySnapshot
	for after := ""; ; {
		list, err := s.DB.KeptSnapshots(ctx, projectID, after, atOnce)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			known, after = append(known, one), one.ID
		}
		if len(list) < atOnce {
			break
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	found, err := s.Servers.ListSnapshots(ctx, projectID)
	if err != nil {
		return nil, err
	}
	there = map[string]bool{}
	for _, f := range found {
		there[f.ID] = true
	}
	for _, one := range known {
		if slices.ContainsFunc(one.Volumes, func(v stowage.VolumeSnapshot) bool { return there[v.SnapshotID] }) {
			continue
		}
		if err := s.DB.ForgetSnapshot(ctx, one.ID); err != nil {
			return nil, err
		}
		s.Log.InfoContext(ctx, "a snapshot is forgotten: Cinder has it no longer", "snapshot", one.ID, "entity", one.EntityID, "project", projectID)
	}
	return there, nil
}

// ForgetAllSnapshots does that for all projects. One that cannot be looked at holds up no
// other.
func (s *Service) ForgetAllSnapshots(ctx context.Context) error {
	if s.Servers == nil {
		return nil
	}
	const atOnce = 500
	for after := ""; ; {
		projects, err := s.DB.SnapshotProjects(ctx, after, atOnce)
		if err != nil {
			return err
		}
		for _, p := range projects {
			after = p
			if _, err := s.ForgetSnapshots(ctx, p); err != nil {
				s.Log.WarnContext(ctx, "snapshots of a project not looked at", "project", p, "error", err)
			}
		}
		if len(projects) < atOnce || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
