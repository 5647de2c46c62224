package manager

import (
	"context"
	"errors"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// doRecovery runs a recovery plan: one server after another, each when the one before
// it is up. What fails ends it; the servers that are up stay. A test ends with all
// that it made removed, however it went.
func (t *task) doRecovery(ctx context.Context) error {
	run := t.job.Params.Recovery
	if run == nil || t.Verbs == nil || t.Verbs.Servers == nil {
		return stowage.Errorf(stowage.Invalid, "This manager cannot restore servers.")
	}
	if run.Failure != "" { // it is being removed already
		return t.cleanUpTest(ctx, stowage.Errorf(stowage.Conflict, "%s", run.Failure))
	}
	err := t.later(t.recoverAll(ctx))
	if _, wait := errors.AsType[*again](err); wait || context.Cause(ctx) != nil {
		return err
	}
	if run.Test {
		return t.cleanUpTest(ctx, err)
	}
	return t.recovered(ctx, err)
}

// recovered gives the end of a run.
func (t *task) recovered(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

func (t *task) recoverAll(ctx context.Context) error {
	if err := t.testNetworks(ctx); err != nil {
		return err
	}
	steps := t.job.Params.Recovery.Steps
	for i := range steps {
		st := &steps[i]
		if !st.UpAt.IsZero() {
			continue
		}
		err := t.recoverOne(ctx, st)
		if _, wait := errors.AsType[*again](t.later(err)); err != nil && !wait {
			st.Error = reason(err)
		}
		t.job.Percent = 100 * i / len(steps)
		if noted := t.DB.Note(ctx, t.job, t.Now()); noted != nil {
			return noted
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recoverOne takes one server as far as it goes now, and gives nil when it is up.
func (t *task) recoverOne(ctx context.Context, st *stowage.RecoveryStep) error {
	wish := t.cancelWanted(ctx)
	if st.BegunAt.IsZero() {
		if wish != nil {
			return wish
		}
		st.BegunAt = t.Now()
	}
	if st.MadeID == "" {
		if err := t.recoverServer(ctx, st, wish); err != nil {
			return err
		}
	}
	if wish != nil {
		return wish
	}
	return t.checkUp(ctx, st)
}

// recoverServer waits for the two jobs that restore a server, and before for whoever
// restores its backup at this time.
func (t *task) recoverServer(ctx context.Context, st *stowage.RecoveryStep, wish error) error {
	if wish != nil {
		if _, err := t.DB.Job(ctx, st.JobID); stowage.CodeOf(err) == stowage.NotFound {
			return wish // what has not begun does not begin
		}
	}
	err := t.Verbs.RecoverServer(ctx, t.job, *st)
	if errors.Is(err, service.ErrInRestore) && t.Now().Sub(st.BegunAt) <= t.QueueTimeout {
		return t.waitFor("The backup of server %s is being restored by another.", st.Name)
	}
	if err != nil {
		return err
	}
	restore, err := t.DB.Job(ctx, st.JobID)
	if err != nil {
		return err
	}
	if err := t.follows(ctx, restore, wish); err != nil {
		return err
	}
	if st.RestoredAt.IsZero() {
		st.RestoredAt = restore.FinishedAt
	}
	followers, err := t.DB.Followers(ctx, []string{st.JobID})
	if err != nil {
		return err
	}
	if len(followers) == 0 {
		return stowage.Errorf(stowage.Conflict, "No server was built from the volumes.")
	}
	st.ImportID = followers[0].ID
	if err := t.follows(ctx, followers[0], wish); err != nil {
		return err
	}
	st.ActiveAt = followers[0].FinishedAt
	if plan := followers[0].Params.Rebuild; plan != nil {
		st.MadeID = plan.ServerID
	}
	return nil
}

// follows gives nil when the job has finished, and hands it a wish to stop.
func (t *task) follows(ctx context.Context, j stowage.Job, wish error) error {
	switch {
	case j.State == stowage.JobFinished:
		return nil
	case j.State.Ended() && wish != nil:
		return wish
	case j.State.Ended():
		return stowage.Errorf(stowage.Conflict, "%s", j.Error)
	case wish != nil:
		if err := t.DB.WantCancel(ctx, j, wish.Error()); err != nil && stowage.CodeOf(err) != stowage.Conflict {
			return err
		}
	}
	return t.waitFor("A server is being restored.")
}

// checkUp looks whether a server that was built is up, by the check of its rule.
func (t *task) checkUp(ctx context.Context, st *stowage.RecoveryStep) error {
	check := st.Rule.Check
	limit := check.Timeout
	if limit == 0 {
		limit = stowage.CheckTimeout
	}
	up, err := false, error(nil)
	switch check.Kind {
	case stowage.CheckDelay:
		up, limit = !t.Now().Before(st.ActiveAt.Add(check.Delay)), check.Delay+limit
	case stowage.CheckConsole:
		var text string
		text, err = t.Verbs.Servers.Console(ctx, st.MadeID)
		up = strings.Contains(text, check.Text)
	default:
		var state cloud.ServerState
		state, err = t.Verbs.Servers.ServerState(ctx, st.MadeID)
		up = state.Status == cloud.ServerActive
	}
	switch {
	case err != nil && stowage.CodeOf(err) != stowage.Unavailable:
		return err
	case err == nil && up:
		st.UpAt = t.Now()
		t.log.InfoContext(ctx, "a server of a recovery plan is up", "server", st.MadeID, "took", st.UpAt.Sub(st.BegunAt))
		return nil
	case t.Now().Sub(st.ActiveAt) > limit:
		return stowage.Errorf(stowage.Conflict, "Server %s was not up %s after it was built.", st.Name, limit)
	}
	return t.waitFor("Server %s is not up yet.", st.Name)
}

// testNetworks makes, for each network that a server of a test was in, one that leads
// nowhere.
func (t *task) testNetworks(ctx context.Context) error {
	run := t.job.Params.Recovery
	if !run.Test {
		return nil
	}
	for _, st := range run.Steps {
		b, err := t.DB.BackupByUUID(ctx, db.Scope{ProjectID: t.job.ProjectID}, st.Backup)
		if err != nil {
			return err
		}
		if b.Server == nil {
			continue
		}
		for _, p := range b.Server.Ports {
			if run.Networks[p.NetworkID] != "" {
				continue
			}
			id, err := t.Verbs.Servers.CreateTestNetwork(ctx, t.job.ProjectID, p.NetworkID, t.job.ID)
			if stowage.CodeOf(err) == stowage.NotFound {
				continue // it is gone; its port is left out
			}
			if err != nil {
				return err
			}
			if run.Networks == nil {
				run.Networks = map[string]string{}
			}
			run.Networks[p.NetworkID] = id
			if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanUpTest removes all that a test made, and then gives its end. It is tried for as
// long as a job may wait: what is left after that is told of.
func (t *task) cleanUpTest(ctx context.Context, outcome error) error {
	if !t.fresh() || !t.stillOurs(ctx) {
		return errLost
	}
	run := t.job.Params.Recovery
	err := t.removeTest(ctx)
	if err == nil {
		run.Cleaned = t.Now()
		if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
			return err
		}
		return t.recovered(ctx, outcome)
	}
	if t.Now().Sub(t.job.CreatedAt) > 2*t.QueueTimeout {
		return stowage.Wrap(stowage.Conflict, err, "What the test made could not be removed: %s", reason(err))
	}
	if outcome != nil && run.Failure == "" {
		run.Failure = reason(outcome)
		if err := t.DB.Note(ctx, t.job, t.Now()); err != nil {
			return err
		}
	}
	return &again{cause: stowage.Wrap(stowage.Unavailable, err, "What the test made is being removed."), after: t.RetryDelay, free: true}
}

func (t *task) removeTest(ctx context.Context) error {
	for _, st := range t.job.Params.Recovery.Steps {
		restore, err := t.DB.Job(ctx, st.JobID)
		if stowage.CodeOf(err) == stowage.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		jobs, err := t.DB.Followers(ctx, []string{st.JobID})
		if err != nil {
			return err
		}
		for _, j := range append(jobs, restore) {
			if err := t.stopped(ctx, j); err != nil {
				return err
			}
			if j.Kind != stowage.JobImport {
				continue
			}
			if err := t.Verbs.Servers.RemoveServer(ctx, t.job.ProjectID, j.ID); err != nil {
				return err
			}
		}
		if err := t.removeVolumes(ctx, st.JobID, "The test has ended."); err != nil {
			return err
		}
	}
	return t.Verbs.Servers.RemoveTestNetworks(ctx, t.job.ProjectID, t.job.ID)
}

// stopped gives nil when the job has ended, and wishes it to otherwise.
func (t *task) stopped(ctx context.Context, j stowage.Job) error {
	if j.State.Ended() {
		return nil
	}
	if err := t.DB.WantCancel(ctx, j, "The test has ended."); err != nil && stowage.CodeOf(err) != stowage.Conflict {
		return err
	}
	return stowage.Errorf(stowage.Unavailable, "A server of the test is being restored yet.")
}
