package manager

import (
	"context"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// beginSchedules begins what is due. It asks nobody but the database, and has a loop of
// its own: what takes long in one run must not make another one late, or missed.
func (m *Manager) beginSchedules(ctx context.Context) {
	if m.Verbs == nil {
		return
	}
	if err := m.Verbs.FireDue(ctx); err != nil && ctx.Err() == nil {
		m.Log.WarnContext(ctx, "not all that is due begins", "error", err)
	}
}

// followSchedules follows what was begun to its end. It asks neighbours for every backup.
func (m *Manager) followSchedules(ctx context.Context) {
	if m.Verbs == nil {
		return
	}
	if err := m.Verbs.FollowRuns(ctx); err != nil && ctx.Err() == nil {
		m.Log.WarnContext(ctx, "not all runs of schedules are followed", "error", err)
	}
}

// reportsEvery is how often it is looked whether a daily report is to be mailed: all
// policies are read for that.
const reportsEvery = time.Minute

// mailReports mails the daily reports that nobody has. It waits for a mail server, so
// it has a loop of its own.
func (m *Manager) mailReports(ctx context.Context) {
	if m.Verbs == nil || m.Now().Sub(m.reported) < reportsEvery {
		return
	}
	m.reported = m.Now()
	if err := m.Verbs.MailDailyReports(ctx, m.DailyReportHour); err != nil && ctx.Err() == nil {
		m.Log.WarnContext(ctx, "not all daily reports are looked at", "error", err)
	}
}

// doCleanup begins the deletion of what a policy keeps no longer; each is a job of
// its own.
func (t *task) doCleanup(ctx context.Context) error {
	if t.Verbs == nil {
		return stowage.Errorf(stowage.Unavailable, "This manager cannot clean up.")
	}
	n, err := t.Verbs.Cleanup(ctx, t.job)
	if n > 0 {
		t.log.InfoContext(ctx, "backups are deleted that their policy keeps no longer", "policy", t.job.By.PolicyID, "backups", n)
	}
	if err != nil {
		return transient(err)
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}
