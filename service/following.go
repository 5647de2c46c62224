package service

import (
	"context"
	"errors"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

const (
	runsAtOnce = 4    // runs that one manager follows at once, each in a goroutine of its own
	runsRead   = 1000 // of those under way, in one look
)

// FollowRuns asks for the backups of entities that wait, holds policies to their
// thresholds, and ends runs that have nothing more to wait for. It goes round the runs, a
// part of each at a time, so that none waits until a long one is through. While it waits
// for a neighbour because of one, it goes on with the others, and looks for runs that have
// come every FollowAgain. It returns when nothing more can be done now.
func (s *Service) FollowRuns(ctx context.Context) error {
	if err := s.checkClock(ctx); err != nil {
		return err
	}
	f := follower{Service: s, known: map[int64]bool{}, done: make(chan followed)}
	errs := []error{f.look(ctx)}
	again := time.NewTicker(s.FollowAgain)
	defer again.Stop()
	for f.begin(ctx); f.busy > 0; f.begin(ctx) {
		select {
		case one := <-f.done:
			f.busy--
			errs = append(errs, one.err)
			if one.more {
				f.waiting = append(f.waiting, one.run)
			} else {
				delete(f.known, one.run.ID)
			}
		case <-again.C:
			errs = append(errs, f.look(ctx))
		}
	}
	return errors.Join(errs...)
}

// follower goes round the runs that are under way.
type follower struct {
	*Service
	known   map[int64]bool // that wait for their turn, or have it
	waiting []stowage.Run
	busy    int
	done    chan followed
}

type followed struct {
	run  stowage.Run
	more bool // entities wait that can be asked for now
	err  error
}

// look finds the runs under way that it does not know, and lines them up.
func (f *follower) look(ctx context.Context) error {
	for after := int64(0); ; {
		runs, err := f.DB.RunsUnderWay(ctx, after, runsRead)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if after = r.ID; !f.known[r.ID] {
				f.known[r.ID], f.waiting = true, append(f.waiting, r)
			}
		}
		if len(runs) < runsRead {
			return nil
		}
	}
}

// begin gives those whose turn it is to free hands.
func (f *follower) begin(ctx context.Context) {
	for ; len(f.waiting) > 0 && f.busy < runsAtOnce && ctx.Err() == nil; f.busy++ {
		run := f.waiting[0]
		f.waiting = f.waiting[1:]
		go func() {
			more, err := f.follow(ctx, run)
			f.done <- followed{run, more, err}
		}()
	}
}

// follow does a part of what is to be done for a run, and tells whether there is more.
func (s *Service) follow(ctx context.Context, r stowage.Run) (more bool, err error) {
	// Before each part: what failed meanwhile counts for those that wait.
	over, err := s.checkRun(ctx, r)
	if err != nil || over {
		return false, err
	}
	entries, err := s.DB.TakeEntries(ctx, r.ID, s.Now().Add(-tryAgain), s.Now(), entriesAtOnce)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if err := s.begin(ctx, r, e); err != nil {
			return false, err
		}
	}
	return len(entries) > 0, nil
}

// begin asks for the backup of one entity, and writes what became of that. What may
// work later waits, as long as the window is open.
func (s *Service) begin(ctx context.Context, r stowage.Run, e stowage.Entry) error {
	skip, err := s.ask(ctx, r, &e)
	switch code := stowage.CodeOf(err); {
	case errors.Is(err, errElsewhere):
		return nil
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
	return s.DB.SetEntry(ctx, e)
}

// errElsewhere: somebody else has the entity in hand.
var errElsewhere = errors.New("somebody else asks for it")

// ask asks for the backup of one entity, unless that was done. It is asked for under the
// id that stands in the entry, and a job is written once under an id: so two who ask
// beside one another begin one backup. A job that was given up before anybody could do it
// will not come back. Then the entry gets another id, which one of those who see that can
// give it.
func (s *Service) ask(ctx context.Context, r stowage.Run, e *stowage.Entry) (skip string, err error) {
	fate, j, err := s.asked(ctx, e.JobID)
	switch {
	case err != nil:
		return "", err
	case fate == jobThere:
		return "", nil
	case fate == jobHeld:
		return "", errElsewhere
	case fate == jobGivenUp && !s.Now().Before(lastCall(r)):
		return "", stowage.Errorf(stowage.Invalid, "%s", orReason(j.Error, "It could not be begun."))
	case fate == jobGivenUp:
		id := s.NewID()
		if err := s.DB.RenewEntry(ctx, *e, id); stowage.CodeOf(err) == stowage.Conflict {
			return "", errElsewhere
		} else if err != nil {
			return "", err
		}
		e.JobID = id
	}
	req, skip, err := s.scheduled(ctx, r, *e)
	if err != nil || skip != "" {
		return skip, err
	}
	if err = s.backup(ctx, req); err == nil {
		return "", nil
	}
	// Another may have asked beside us, or we got further than we saw.
	switch fate, j, look := s.asked(ctx, e.JobID); {
	case look != nil:
		return "", look
	case fate == jobThere:
		return "", nil
	case fate == jobHeld:
		return "", errElsewhere
	case fate == jobGivenUp && j.Error != stowage.MessageOf(err):
		// Not by us, or nobody knows why: whoever looks next tries again.
		return "", stowage.Wrap(stowage.Unavailable, err, "%s", j.Error)
	}
	if stowage.CodeOf(err) == stowage.Invalid {
		// Another job of ours has it; or the lock of a try that was given up has come
		// after all, and a sweep frees it.
		if left, look := s.DB.Held(ctx, e.EntityID, e.JobID); look != nil {
			return "", look
		} else if left {
			return "", stowage.Wrap(stowage.Unavailable, err, "Volume %s is being backed up or restored.", e.EntityID)
		}
	}
	return "", err
}

// jobFate is what became of the job of an entity's backup.
type jobFate int

const (
	jobUnknown jobFate = iota // there is none
	jobHeld                   // whoever asks for it is not done yet, or died
	jobThere
	jobGivenUp // before anybody could do it
)

func (s *Service) asked(ctx context.Context, id string) (jobFate, stowage.Job, error) {
	j, err := s.DB.Job(ctx, id)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return jobUnknown, j, nil
	case err != nil:
		return jobUnknown, j, err
	case j.State == stowage.JobFailed && j.Attempt == 0:
		return jobGivenUp, j, nil
	case j.State == stowage.JobQueued && j.Attempt == 0 && j.ReadyAt.After(s.Now()):
		return jobHeld, j, nil
	}
	return jobThere, j, nil
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
