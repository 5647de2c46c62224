package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
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
)

// FireDue begins the runs whose time has come. Those that nobody was there to begin
// inside their window are written down as missed.
func (s *Service) FireDue(ctx context.Context) error {
	list, err := s.DB.DueSchedules(ctx, s.Now(), dueAtOnce)
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range list {
		if err := s.fire(ctx, one); err != nil && stowage.CodeOf(err) != stowage.Conflict { // another manager was quicker
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
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

// FollowRuns asks for the backups of entities that wait, holds policies to their
// thresholds, and ends runs that have nothing more to wait for.
func (s *Service) FollowRuns(ctx context.Context) error {
	runs, err := s.DB.RunsUnderWay(ctx, 1000)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range runs {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, s.follow(ctx, r))
	}
	_, err = s.DB.DropRuns(ctx, s.Now().Add(-runsKept), 100)
	return errors.Join(append(errs, err)...)
}

func (s *Service) follow(ctx context.Context, r stowage.Run) error {
	for ctx.Err() == nil {
		// Before each part: what failed meanwhile counts for those that wait.
		over, err := s.checkRun(ctx, r)
		if err != nil || over {
			return err
		}
		entries, err := s.DB.TakeEntries(ctx, r.ID, s.Now().Add(-tryAgain), s.Now(), entriesAtOnce)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			if err := s.DB.SetEntry(ctx, s.begin(ctx, r, e)); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin asks for the backup of one entity, and gives what became of that. What may
// work later waits, as long as the window is open.
func (s *Service) begin(ctx context.Context, r stowage.Run, e stowage.Entry) stowage.Entry {
	var skip string
	asked, err := s.asked(ctx, e.JobID)
	if err == nil && !asked {
		var req scheduledRequest
		if req, skip, err = s.scheduled(ctx, r, e); err == nil && skip == "" {
			err = s.backup(ctx, req)
		}
		if err != nil {
			// Another may have asked beside us, or we got further than we saw.
			if asked, fate := s.asked(ctx, e.JobID); asked || fate != nil {
				err = fate
			}
		}
	}
	switch code := stowage.CodeOf(err); {
	case skip != "":
		e.State, e.Reason = stowage.EntrySkipped, skip
	case err == nil:
		e.State, e.Reason = stowage.EntryBegun, ""
	case (code == stowage.Unavailable || code == stowage.Internal) && s.Now().Before(lastCall(r)):
		e.Reason = stowage.MessageOf(err) // and it waits
	default:
		e.State, e.Reason = stowage.EntryFailed, orReason(stowage.MessageOf(err), "An internal error; the log tells more.")
	}
	if e.State != stowage.EntryBegun {
		s.Log.WarnContext(ctx, "a scheduled backup is not begun", "schedule", r.ScheduleID, "entity", e.EntityID, "policy", e.PolicyID,
			"state", e.State, "reason", e.Reason, "error", err)
	}
	return e
}

// asked reports whether there is the job of an entity's backup. A job that was
// given up before anybody could do it is an error: it will not come back.
func (s *Service) asked(ctx context.Context, id string) (bool, error) {
	j, err := s.DB.Job(ctx, id)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return false, nil
	case err != nil:
		return false, err
	case j.State == stowage.JobFailed && j.Attempt == 0:
		return false, stowage.Errorf(stowage.Invalid, "%s", orReason(j.Error, "It could not be begun."))
	}
	return true, nil
}

// lastCall is when nothing of a run is begun any more.
func lastCall(r stowage.Run) time.Time {
	if r.WindowEnd.IsZero() {
		return r.Due.Add(unsaidWindow)
	}
	return r.WindowEnd
}

func orReason(reason, other string) string {
	if reason == "" {
		return other
	}
	return reason
}

// checkRun holds the policies of a run to their thresholds, and ends it if nothing
// is waited for any more: then its policies are cleaned up.
func (s *Service) checkRun(ctx context.Context, r stowage.Run) (over bool, err error) {
	tally, err := s.DB.RunTally(ctx, r.ID)
	if err != nil {
		return false, err
	}
	all, failed, open := map[string]int{}, map[string]int{}, 0
	for _, t := range tally {
		bad := t.State == stowage.EntryFailed || t.State == stowage.EntryBegun && t.Job == stowage.JobFailed
		if t.State != stowage.EntrySkipped {
			all[t.PolicyID] += t.N
		}
		if bad {
			failed[t.PolicyID] += t.N
		}
		if t.State == stowage.EntryWaiting || t.State == stowage.EntryBegun && t.Job != "" && !t.Job.Ended() {
			open += t.N
		}
	}
	if open == 0 {
		return true, s.endRun(ctx, r, tally)
	}
	for policy, n := range failed {
		p, err := s.DB.Policy(ctx, db.Scope{}, policy)
		if stowage.CodeOf(err) == stowage.NotFound {
			continue
		}
		if err != nil {
			return false, err
		}
		if limit := p.Is.Threshold(); limit > 0 && n*100 >= limit*all[policy] {
			if err := s.giveUp(ctx, r, p); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// giveUp lets nothing of a policy begin any more in a run.
func (s *Service) giveUp(ctx context.Context, r stowage.Run, p stowage.Policy) error {
	const why = "Too many of the policy's backups failed in this run."
	if err := s.DB.SkipEntries(ctx, r.ID, p.ID, why); err != nil {
		return err
	}
	jobs, err := s.DB.QueuedOfRun(ctx, r.ID, p.ID)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := s.cancel(ctx, j, why); err != nil && stowage.CodeOf(err) != stowage.Conflict {
			return err
		}
	}
	if len(jobs) > 0 {
		s.Log.WarnContext(ctx, "the rest of a run is not begun", "schedule", r.ScheduleID, "policy", p.ID, "cancelled", len(jobs))
	}
	return nil
}

func (s *Service) endRun(ctx context.Context, r stowage.Run, tally []db.Tally) error {
	var policies []string
	for _, t := range tally {
		policies = append(policies, t.PolicyID)
	}
	more, err := s.emptyPolicies(ctx, r, policies)
	if err != nil {
		return err
	}
	var jobs []stowage.Job
	for _, id := range compact(append(policies, more...)) {
		p, err := s.DB.Policy(ctx, db.Scope{}, id)
		if stowage.CodeOf(err) == stowage.NotFound || err == nil && p.Is.KeepAll {
			continue
		}
		if err != nil {
			return err
		}
		clean := s.cleanupJob
		if p.Kind == stowage.PolicySnapshot {
			clean = s.SnapshotCleanupJob
		}
		j := clean(cloud.User{ProjectID: p.ProjectID}, id)
		j.By.ScheduleID = r.ScheduleID
		jobs = append(jobs, j)
	}
	err = s.DB.EndRun(ctx, r.ID, jobs, s.Now())
	if stowage.CodeOf(err) == stowage.Conflict {
		return nil // another manager was quicker
	}
	if err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "a scheduled run has ended", "schedule", r.ScheduleID, "due", r.Due)
	for _, j := range jobs {
		if err := s.hand(ctx, j); err != nil {
			return err
		}
	}
	return nil
}
