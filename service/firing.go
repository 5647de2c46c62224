package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/timetable"
)

// What is due is begun in two steps, each of which any number of managers may do
// beside one another:
//
//	the schedule's row moves from the due time to the next, with the run, its
//	entities, and the ids that their jobs will have
//	each entity that waits: the backup is asked for by the same verb as users' are
//
// Whoever dies in between leaves entities that wait; the next one goes on. A job
// whose id is there already is not written again.

const (
	dueAtOnce     = 100         // schedules that one look begins
	entriesAtOnce = 10          // entities that one manager takes on at once
	tryAgain      = time.Minute // before an entity is tried again, by anybody
	missedShown   = 20          // of the times that were missed, so many are written down
	runsKept      = 90 * timetable.Day
	backEvery     = time.Hour // between two looks for schedules to set back
	aheadRead     = 500
)

// FireDue begins the runs whose time has come. Those that nobody was there to begin
// inside their window are written down as missed. It asks no neighbour, so that none makes
// it late.
func (s *Service) FireDue(ctx context.Context) error {
	if err := s.checkClock(ctx); err != nil {
		return err
	}
	errs := []error{s.setBack(ctx)}
	_, err := s.DB.DropRuns(ctx, s.Now().Add(-runsKept), 100)
	errs = append(errs, err)
	list, err := s.DB.DueSchedules(ctx, s.Now(), dueAtOnce)
	errs = append(errs, err)
	for _, one := range list {
		if err := s.fire(ctx, one); err != nil && stowage.CodeOf(err) != stowage.Conflict { // another manager was quicker
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// setBack moves active schedules back that are next due later than their timetable says:
// some clock was ahead when that was written. It looks at the start, once an hour, and when
// the own clock went back.
func (s *Service) setBack(ctx context.Context) error {
	now := s.Now().Round(0) // as the clock shows it, which may go back
	s.clocks.mu.Lock()
	passed := now.Sub(s.clocks.back)
	s.clocks.mu.Unlock()
	if passed >= 0 && passed < backEvery {
		return nil
	}
	for after := ""; ; {
		list, err := s.DB.SchedulesDueAfter(ctx, now.Add(timetable.Day), after, aheadRead)
		if err != nil {
			return err
		}
		for _, one := range list {
			after = one.ID
			if err := s.setBackOne(ctx, one, now); err != nil {
				return err
			}
		}
		if len(list) < aheadRead {
			break
		}
	}
	s.clocks.mu.Lock()
	s.clocks.back = now
	s.clocks.mu.Unlock()
	return nil
}

func (s *Service) setBackOne(ctx context.Context, one stowage.Schedule, now time.Time) error {
	// A clock that was ahead by no more than clocks may be has begun the run that is
	// still to come by ours: that is not to be done again.
	latest, ok := timetable.Next(one.Is.Times, now.Add(clockOff))
	if !ok || !one.NextDue.After(latest) {
		return nil
	}
	next, _ := timetable.Next(one.Is.Times, now)
	err := s.DB.SetBack(ctx, one, next, now)
	if stowage.CodeOf(err) == stowage.Conflict {
		return nil // somebody saved it, or was quicker
	}
	if err == nil {
		s.Log.WarnContext(ctx, "a schedule was due too late and is set back: some clock was ahead", "schedule", one.ID, "was", one.NextDue, "next", next)
	}
	return err
}

func (s *Service) fire(ctx context.Context, one stowage.Schedule) error {
	now := s.Now()
	next, _ := timetable.Next(one.Is.Times, now)
	var runs []db.PlannedRun
	at, due := timetable.Previous(one.Is.Times, now)
	missed := 0
	for ; due && !at.Before(one.NextDue); at, due = timetable.Previous(one.Is.Times, at.Add(-1)) {
		run := db.PlannedRun{Run: stowage.Run{ScheduleID: one.ID, ProjectID: one.ProjectID, Due: at, Full: one.Is.Full, CreatedAt: now}}
		if one.Is.Window > 0 {
			run.WindowEnd = at.Add(one.Is.Window)
		}
		// Of several that were not begun the latest is: it holds what the others would.
		if len(runs) == 0 && missed == 0 && at.Add(window(one.Is)).After(now) {
			entries, err := s.plan(ctx, one)
			if err != nil {
				return err
			}
			run.State, run.Entries = stowage.RunRunning, entries
			runs = append(runs, run)
			continue
		}
		if missed++; missed > missedShown {
			break
		}
		run.State, run.EndedAt = stowage.RunMissed, now
		runs = append(runs, run)
	}
	if err := s.DB.BeginRuns(ctx, one, next, runs); err != nil {
		return err
	}
	for _, r := range runs {
		if r.State == stowage.RunMissed {
			s.Log.WarnContext(ctx, "a scheduled run was missed: nobody began it inside its window", "schedule", one.ID, "due", r.Due)
			continue
		}
		s.Log.InfoContext(ctx, "a scheduled run begins", "schedule", one.ID, "due", r.Due, "entities", len(r.Entries))
	}
	if missed > missedShown {
		s.Log.WarnContext(ctx, "and more runs before those were missed", "schedule", one.ID, "since", one.NextDue)
	}
	return nil
}

// plan gives the entities of a run: those of the policies of the active rules that
// name the schedule. One that several rules of its policy name is backed up by the
// first of them.
func (s *Service) plan(ctx context.Context, one stowage.Schedule) ([]stowage.Entry, error) {
	rules, err := s.rulesOf(ctx, one.ID)
	if err != nil {
		return nil, err
	}
	var entries []stowage.Entry
	seen := map[string]bool{}
	for _, r := range rules {
		if !r.Active || seen[r.PolicyID] {
			continue
		}
		seen[r.PolicyID] = true
		p, err := s.DB.Policy(ctx, db.Scope{}, r.PolicyID)
		if stowage.CodeOf(err) == stowage.NotFound || err == nil && !p.Active {
			continue
		}
		if err != nil {
			return nil, err
		}
		entities, err := s.DB.PolicyEntities(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		for _, e := range entities {
			entries = append(entries, stowage.Entry{EntityID: e, PolicyID: p.ID, RuleID: r.ID, JobID: s.NewID(), State: stowage.EntryWaiting})
		}
	}
	return entries, nil
}

const rulesRead = 1000

// rulesOf gives all rules that name a schedule, those of a policy in their order.
func (s *Service) rulesOf(ctx context.Context, schedule string) ([]stowage.Rule, error) {
	var rules []stowage.Rule
	for after := ""; ; {
		list, err := s.DB.ScheduleRules(ctx, schedule, after, rulesRead)
		if err != nil {
			return nil, err
		}
		rules = append(rules, list...)
		if len(list) < rulesRead {
			break
		}
		after = list[len(list)-1].ID
	}
	slices.SortFunc(rules, func(a, b stowage.Rule) int {
		return cmp.Or(cmp.Compare(a.PolicyID, b.PolicyID), cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
	})
	return rules, nil
}
