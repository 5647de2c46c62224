package service

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// Point is a backup as one who browses history sees it.
type Point struct {
	View
	Entity       Entity
	Project      string       // its name; empty: nobody knows
	Acknowledged bool         // somebody has seen its warnings
	Schedule     Entity       // that asked for it; else empty
	Rule         Entity       // likewise
	Made         *stowage.Job // that makes or made it; nil: nobody knows any more
	Stored       *stowage.Job // of a server's: that stores it; nil: it has not come to that
	Directory    bool         // it stands in a directory, not in Swift
}

// History lists the scope's backups, the newest first, and how many there are.
func (s *Service) History(ctx context.Context, scope db.Scope, f db.HistoryFilter, p db.Page) ([]Point, int, error) {
	list, total, err := s.DB.History(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	points, err := s.points(ctx, list)
	return points, total, err
}

// points adds to backups what is known of them: a few questions, however many
// there are.
func (s *Service) points(ctx context.Context, list []stowage.Backup) ([]Point, error) {
	if err := s.addFlaws(ctx, list); err != nil {
		return nil, err
	}
	views, err := s.views(ctx, list)
	if err != nil {
		return nil, err
	}
	var ids []int64
	var volumes, projects []string
	for _, b := range list {
		ids, volumes, projects = append(ids, b.ID), append(volumes, b.Volume.ID), append(projects, b.ProjectID)
	}
	seen, err := s.DB.Acknowledged(ctx, ids)
	if err != nil {
		return nil, err
	}
	making, storing, err := s.DB.MakingJobs(ctx, ids)
	if err != nil {
		return nil, err
	}
	names, err := s.DB.EntityNames(ctx, volumes)
	if err != nil {
		return nil, err
	}
	owners, err := s.DB.ResourceNames(ctx, stowage.ResourceProject, projects)
	if err != nil {
		return nil, err
	}
	schedules, rules, err := s.origins(ctx, list)
	if err != nil {
		return nil, err
	}
	points := make([]Point, len(views))
	for i, v := range views {
		points[i] = Point{View: v, Entity: Entity{v.Volume.ID, names[v.Volume.ID]}, Project: owners[v.ProjectID], Acknowledged: seen[v.ID], Directory: s.Directory}
		points[i].Schedule, points[i].Rule = Entity{v.By.ScheduleID, schedules[v.By.ScheduleID]}, Entity{v.By.RuleID, rules[v.By.RuleID]}
		if points[i].Entity.Name == "" {
			points[i].Entity.Name = v.Volume.Name
		}
		if j, ok := making[v.ID]; ok {
			points[i].Made = &j
		}
		if j, ok := storing[v.ID]; ok {
			points[i].Stored = &j
		}
	}
	return points, nil
}

// origins gives the names of the schedules and the rules that made backups, as far
// as they are known.
func (s *Service) origins(ctx context.Context, list []stowage.Backup) (schedules, rules map[string]string, err error) {
	var of, by []string
	for _, b := range list {
		if b.By.RuleID != "" {
			of, by = append(of, b.By.ScheduleID), append(by, b.By.RuleID)
		}
	}
	if schedules, err = s.DB.ScheduleNames(ctx, of); err != nil {
		return nil, nil, err
	}
	rules, err = s.ruleNames(ctx, by)
	return schedules, rules, err
}

// ruleNames gives the names of those of the rules that are known.
func (s *Service) ruleNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	for part := range slices.Chunk(compact(ids), 500) {
		found, _, err := s.DB.Rules(ctx, db.Scope{}, db.RuleFilter{IDs: part}, db.Page{Limit: len(part)})
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			names[r.ID] = r.Name
		}
	}
	return names, nil
}

// Point gives one backup of the scope by its UUID.
func (s *Service) Point(ctx context.Context, scope db.Scope, uuid string) (Point, error) {
	missing := stowage.Errorf(stowage.NotFound, "Backup %.64s could not be found.", uuid)
	if uuid == "" {
		return Point{}, missing
	}
	list, _, err := s.History(ctx, scope, db.HistoryFilter{UUID: uuid}, db.Page{Limit: 1})
	if err != nil {
		return Point{}, err
	}
	if len(list) == 0 {
		return Point{}, missing
	}
	return list[0], nil
}

// Describe writes another description on a backup of the scope.
func (s *Service) Describe(ctx context.Context, scope db.Scope, uuid, text string) error {
	return s.DB.Describe(ctx, scope, uuid, text, s.Now())
}

// Acknowledge notes whether somebody has seen the warnings of a backup.
func (s *Service) Acknowledge(ctx context.Context, scope db.Scope, uuid string, seen bool) error {
	return s.DB.Acknowledge(ctx, scope, uuid, seen)
}

// Destinations lists the containers of the scope that hold backups, and the
// default one of its project, where the first backup would go.
func (s *Service) Destinations(ctx context.Context, scope db.Scope) ([]db.Container, error) {
	list, err := s.DB.Containers(ctx, scope)
	if err != nil || scope.ProjectID == "" {
		return list, err
	}
	for _, c := range list {
		if c.Name == stowage.DefaultContainer {
			return list, nil
		}
	}
	return append(list, db.Container{ProjectID: scope.ProjectID, Name: stowage.DefaultContainer}), nil
}

// ManagerView is a manager, and whether it is heard of.
type ManagerView struct {
	stowage.Service
	Alive bool
}

// ComputeHosts lists the hosts that the scope's servers were found on.
func (s *Service) ComputeHosts(ctx context.Context, scope db.Scope) ([]db.ComputeHost, error) {
	return s.DB.ComputeHosts(ctx, scope)
}

// Managers lists those that do the work.
func (s *Service) Managers(ctx context.Context) ([]ManagerView, error) {
	services, err := s.DB.Services(ctx)
	if err != nil {
		return nil, err
	}
	var list []ManagerView
	for _, svc := range services {
		if svc.Kind == stowage.ServiceManager {
			list = append(list, ManagerView{svc, s.Now().Sub(svc.LastSeen) <= s.DownTime})
		}
	}
	return list, nil
}

// Protected is an entity with what is known of its backups.
type Protected struct {
	stowage.Entity
	Project            string          // its name; empty: nobody knows
	Latest, LatestFull *stowage.Backup // nil: none
	Policy             Entity          // of backups; empty: none
	SnapshotPolicy     Entity          // empty: none
	UpToDate           *bool           // nil: no schedule says when there should be a backup
}

// Entities lists the scope's protected entities by name, and how many there are.
func (s *Service) Entities(ctx context.Context, scope db.Scope, f db.EntityFilter, p db.Page) ([]Protected, int, error) {
	if p.Order == "fresh" {
		var err error
		if f.Due, err = s.allDue(ctx); err != nil {
			return nil, 0, err
		}
	}
	list, total, err := s.DB.Entities(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	out, err := s.protected(ctx, scope, list)
	return out, total, err
}

// Entity gives one of the scope's, a disk of a server, too.
func (s *Service) Entity(ctx context.Context, scope db.Scope, id string) (Protected, error) {
	e, err := s.DB.Entity(ctx, scope, id)
	if err != nil {
		return Protected{}, err
	}
	out, err := s.protected(ctx, scope, []stowage.Entity{e})
	if err != nil {
		return Protected{}, err
	}
	return out[0], nil
}

func (s *Service) protected(ctx context.Context, scope db.Scope, list []stowage.Entity) ([]Protected, error) {
	var ids, projects []string
	for _, e := range list {
		ids, projects = append(ids, e.ID), append(projects, e.ProjectID)
	}
	latest, full, err := s.DB.LatestBackups(ctx, scope, ids)
	if err != nil {
		return nil, err
	}
	newest := slices.Collect(maps.Values(latest))
	if err := s.addFlaws(ctx, newest); err != nil {
		return nil, err
	}
	for _, b := range newest {
		latest[b.Volume.ID] = b
	}
	owners, err := s.DB.ResourceNames(ctx, stowage.ResourceProject, projects)
	if err != nil {
		return nil, err
	}
	policies, due, err := s.policiesOf(ctx, list)
	if err != nil {
		return nil, err
	}
	snaps, err := s.DB.EntityPolicies(ctx, stowage.PolicySnapshot, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Protected, len(list))
	for i, e := range list {
		p, snap := policies[e.ID], snaps[e.ID]
		out[i] = Protected{Entity: e, Project: owners[e.ProjectID], Policy: Entity{p[0], p[1]}, SnapshotPolicy: Entity{snap[0], snap[1]}}
		if since, scheduled := due[p[0]]; scheduled {
			b, some := latest[e.ID]
			fresh := some && !(b.SnapshotAt.Before(since) && b.CreatedAt.Before(since))
			out[i].UpToDate = &fresh
		}
		if b, ok := latest[e.ID]; ok {
			out[i].Latest = &b
		}
		if b, ok := full[e.ID]; ok {
			out[i].LatestFull = &b
		}
	}
	return out, nil
}

// Disks gives the volumes of an entity of the scope: those of a server, or the
// volume itself.
func (s *Service) Disks(ctx context.Context, scope db.Scope, id string) ([]stowage.Entity, error) {
	e, err := s.DB.Entity(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	if e.Kind == stowage.EntityVolume {
		return []stowage.Entity{e}, nil
	}
	return s.DB.Disks(ctx, id)
}

// Resources lists what the scope may choose from.
func (s *Service) Resources(ctx context.Context, scope db.Scope, kind stowage.ResourceKind) ([]stowage.Resource, error) {
	return s.DB.Resources(ctx, scope, kind)
}

// ForgetGone forgets the scope's entities that are gone and have no backups.
func (s *Service) ForgetGone(ctx context.Context, scope db.Scope) error {
	_, err := s.DB.ForgetGone(ctx, scope)
	return err
}

// AskInventory has the cloud looked at, now or as soon as a manager can, and
// gives the task. One that is waiting already is as good as another.
func (s *Service) AskInventory(ctx context.Context, user cloud.User) (Task, error) {
	if err := s.anyManager(ctx); err != nil {
		return Task{}, err
	}
	j := stowage.NewInventoryJob(s.NewID(), s.Now())
	j.UserID, j.RequestID = user.UserID, user.RequestID
	for tries := 1; ; tries++ {
		// Whatever was asked for before now does not count.
		err := s.DB.AskInventory(ctx, &j, s.Now().Add(24*time.Hour))
		if err == nil {
			break
		}
		// Somebody asked at the same moment: his task is waiting now, or has begun.
		if stowage.CodeOf(err) != stowage.Conflict || tries == 10 {
			return Task{}, err
		}
	}
	if err := s.hand(ctx, j); err != nil {
		return Task{}, err
	}
	return Task{Job: j}, nil
}
