package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// Bounds of a recovery plan.
const (
	maxSteps     = 200 // rules of a plan, and servers of all of them
	maxCheckText = 1024
	maxCheckTime = 24 * time.Hour
)

// Plans lists the scope's recovery plans by name, and how many there are.
func (s *Service) Plans(ctx context.Context, scope db.Scope, p db.Page) ([]stowage.RecoveryPlan, int, error) {
	return s.DB.Plans(ctx, scope, p)
}

// Plan gives one recovery plan of the scope.
func (s *Service) Plan(ctx context.Context, scope db.Scope, id string) (stowage.RecoveryPlan, error) {
	return s.DB.Plan(ctx, scope, id)
}

// CreatePlan makes a recovery plan of the project.
func (s *Service) CreatePlan(ctx context.Context, p stowage.RecoveryPlan) (stowage.RecoveryPlan, error) {
	p.ID, p.CreatedAt, p.UpdatedAt = s.NewID(), s.Now(), s.Now()
	if err := s.checkPlan(ctx, &p); err != nil {
		return p, err
	}
	return p, s.DB.CreatePlan(ctx, p)
}

// ChangePlan lets fn change a recovery plan of the scope, and again if somebody else has
// changed it meanwhile. Conflict: there is one of that name.
func (s *Service) ChangePlan(ctx context.Context, scope db.Scope, id string, fn func(*stowage.RecoveryPlan) error) (stowage.RecoveryPlan, error) {
	return changed(ctx, "The recovery plan", func() (stowage.RecoveryPlan, time.Time, error) {
		p, err := s.DB.Plan(ctx, scope, id)
		return p, p.UpdatedAt, err
	}, func(p *stowage.RecoveryPlan, seen time.Time) error {
		if err := fn(p); err != nil {
			return err
		}
		if err := s.checkPlan(ctx, p); err != nil {
			return err
		}
		p.UpdatedAt = s.later(seen)
		return s.DB.SavePlan(ctx, *p, seen)
	})
}

// DeletePlan forgets a recovery plan of the scope. Runs of it go on.
func (s *Service) DeletePlan(ctx context.Context, scope db.Scope, id string) error {
	return s.DB.DeletePlan(ctx, scope, id)
}

func (s *Service) checkPlan(ctx context.Context, p *stowage.RecoveryPlan) error {
	p.Name = strings.TrimSpace(p.Name)
	switch {
	case p.Name == "" || len([]rune(p.Name)) > 255:
		return stowage.Errorf(stowage.Invalid, "A recovery plan needs a name of 255 characters at most.")
	case p.ProjectID == "":
		return stowage.Errorf(stowage.Invalid, "A recovery plan is a project's: name it.")
	case p.Priority < stowage.PriorityMin || p.Priority > stowage.PriorityMax:
		return stowage.Errorf(stowage.Invalid, "The priority must be from %d to %d.", stowage.PriorityMin, stowage.PriorityMax)
	}
	steps := len(p.Rules)
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.ID == "" || !strings.HasPrefix(r.ID, p.ID+".") {
			r.ID = p.ID + "." + s.NewID()[:8]
		}
		if steps += len(r.Servers); steps > maxSteps {
			return stowage.Errorf(stowage.Invalid, "A recovery plan may have %d rules and servers at most.", maxSteps)
		}
		if err := checkRecoveryRule(r); err != nil {
			return err
		}
		for _, id := range r.Servers {
			e, err := s.DB.Entity(ctx, db.Scope{ProjectID: p.ProjectID}, id)
			if err != nil {
				return err
			}
			if e.Kind != stowage.EntityServer {
				return stowage.Errorf(stowage.Invalid, "%s is no server: a recovery plan restores servers.", orReason(e.Name, e.ID))
			}
		}
	}
	return nil
}

func checkRecoveryRule(r *stowage.RecoveryRule) error {
	c := &r.Check
	switch {
	case len([]rune(r.Name)) > 255 || len([]rune(r.Prefix+r.Suffix)) > 128:
		return stowage.Errorf(stowage.Invalid, "A rule's name, prefix or suffix is too long.")
	case len(r.Networks) > 100:
		return stowage.Errorf(stowage.Invalid, "A rule may map 100 networks at most.")
	case c.Timeout < 0 || c.Timeout > maxCheckTime || c.Delay < 0 || c.Delay > maxCheckTime:
		return stowage.Errorf(stowage.Invalid, "A check may take a day at most.")
	}
	switch c.Kind {
	case "", stowage.CheckActive, stowage.CheckDelay:
	case stowage.CheckConsole:
		if c.Text == "" || len(c.Text) > maxCheckText {
			return stowage.Errorf(stowage.Invalid, "A check of the console needs a text of %d bytes at most.", maxCheckText)
		}
	default:
		return stowage.Errorf(stowage.Invalid, "There is no check %.64s: ACTIVE, DELAY or CONSOLE.", string(c.Kind))
	}
	return nil
}

// RunPlan begins a run of a recovery plan of the scope, from the newest whole backup that
// each server has now; until the run has ended, these are not deleted. A test builds the servers in networks of their own that lead
// nowhere, and removes everything when it has ended. Invalid: a server has no backup,
// or there is nothing to restore. Conflict: it is being run. Forbidden: the user may not
// read the container of a backup.
func (s *Service) RunPlan(ctx context.Context, user cloud.User, scope db.Scope, id string, test bool) (stowage.Job, error) {
	none := stowage.Job{}
	if s.Servers == nil {
		return none, errNoServers
	}
	p, err := s.DB.Plan(ctx, scope, id)
	if err != nil {
		return none, err
	}
	if !p.Active {
		return none, stowage.Errorf(stowage.Invalid, "The recovery plan is not active.")
	}
	if err := s.anyManager(ctx); err != nil {
		return none, err
	}
	run := &stowage.Recovery{PlanID: p.ID, Plan: p.Name, Test: test}
	may := map[string]bool{}
	for _, r := range p.Rules {
		if !r.Active {
			continue
		}
		latest, err := s.latestWhole(ctx, db.Scope{ProjectID: p.ProjectID}, r.Servers)
		if err != nil {
			return none, err
		}
		servers := r.Servers
		r.Servers = nil
		for _, server := range servers {
			b, some := latest[server]
			if !some || b.Kind != stowage.OfServer || b.Server == nil {
				return none, stowage.Errorf(stowage.Invalid, "Server %s has no backup that could be restored.", server)
			}
			if b.ProjectID == user.ProjectID && !may[b.Container] {
				if err := s.Containers.MayRead(ctx, user, b.Container); err != nil {
					return none, err
				}
				may[b.Container] = true
			}
			run.Steps = append(run.Steps, stowage.RecoveryStep{
				Rule: r, ServerID: server, Name: r.Prefix + b.Server.Name + r.Suffix, Backup: b.UUID, JobID: s.NewID(),
			})
		}
	}
	if len(run.Steps) == 0 {
		return none, stowage.Errorf(stowage.Invalid, "The recovery plan restores nothing.")
	}
	if twice(run.Steps) {
		return none, stowage.Errorf(stowage.Invalid, "The recovery plan restores a server twice.")
	}
	user.ProjectID = p.ProjectID
	j := s.newJob(stowage.JobRecovery, user, s.Now())
	j.Priority, j.EntityID, j.Params.Recovery = p.Priority, p.ID, run
	if err := s.DB.StartAlone(ctx, &j); err != nil {
		return none, err
	}
	s.Log.InfoContext(ctx, "recovery plan begins", "plan", p.ID, "job", j.ID, "test", test, "servers", len(run.Steps))
	return j, s.hand(ctx, j)
}

// latestWhole gives the newest backup of each server; of one whose newest lacks a part, or
// has a damaged one, the newest that is whole, if there is one.
func (s *Service) latestWhole(ctx context.Context, scope db.Scope, servers []string) (map[string]stowage.Backup, error) {
	const looked = 100
	latest, _, err := s.DB.LatestBackups(ctx, scope, servers)
	if err != nil {
		return nil, err
	}
	flaws, err := s.DB.Flaws(ctx, slices.Collect(maps.Values(latest)))
	if err != nil {
		return nil, err
	}
	for server, b := range latest {
		if flaws[b.ID] == "" {
			continue
		}
		older, err := s.DB.Restorable(ctx, scope, server, looked)
		if err == nil {
			err = s.addFlaws(ctx, older)
		}
		if err != nil {
			return nil, err
		}
		if at := slices.IndexFunc(older, func(o stowage.Backup) bool { return o.Kind == stowage.OfServer && o.Damaged == "" }); at >= 0 {
			s.Log.WarnContext(ctx, "a server's newest backup is not whole, an older one is restored", "server", server, "newest", b.ID, "backup", older[at].ID, "reason", flaws[b.ID])
			latest[server] = older[at]
		}
	}
	return latest, nil
}

func twice(steps []stowage.RecoveryStep) bool {
	var ids []string
	for _, st := range steps {
		ids = append(ids, st.ServerID)
	}
	slices.Sort(ids)
	return len(slices.Compact(ids)) < len(steps)
}

// RecoverServer begins the restore of one server of a run. To ask again finds the job
// there. ErrInRestore: somebody else restores the backup, or a part of it, at this time.
func (s *Service) RecoverServer(ctx context.Context, run stowage.Job, step stowage.RecoveryStep) error {
	_, err := s.DB.Job(ctx, step.JobID)
	if stowage.CodeOf(err) != stowage.NotFound {
		return err
	}
	r := step.Rule
	req := RebuildRequest{
		Name: step.Name, FlavorID: r.FlavorID, Zone: r.Zone, Type: r.Type, Priority: &run.Priority, JobID: step.JobID, ParentID: run.ID,
		NetworkMap: r.Networks, OnlyMapped: run.Params.Recovery.Test,
	}
	if run.Params.Recovery.Test {
		req.NetworkMap = run.Params.Recovery.Networks
	}
	user := cloud.User{ProjectID: run.ProjectID, UserID: run.UserID, RequestID: run.RequestID}
	if _, err = s.RestoreServer(ctx, user, db.Scope{ProjectID: run.ProjectID}, step.Backup, req); err != nil {
		if _, look := s.DB.Job(ctx, step.JobID); look == nil {
			return nil
		}
		return fmt.Errorf("restore server %s: %w", step.ServerID, err)
	}
	return nil
}
