package manager

import (
	"context"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/rpc"
)

// sweepLimit bounds what one sweep takes on; the next one goes on.
const sweepLimit = 200

// Sweep does the periodic clearing up once. Managers do it beside one another.
func (m *Manager) Sweep(ctx context.Context) {
	m.rescue(ctx)
	m.keepMounts(ctx)
	m.clearUp(ctx)
	m.removeGarbage(ctx)
	m.beginSchedules(ctx)
	m.followSchedules(ctx)
	m.mailReports(ctx)
	m.callWebhooks(ctx)
}

// rescue needs the database only, and must not wait for anybody else.
func (m *Manager) rescue(ctx context.Context) {
	m.takeOver(ctx)
	m.loseMounts(ctx)
	m.endOverdue(ctx)
}

// clearUp needs neighbours; slow ones make it late, and nothing else.
func (m *Manager) clearUp(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, m.Lease)
	defer cancel()
	for _, sweep := range []func(context.Context){
		m.ringAgain, m.dropHeld, m.tidyEnded, m.sweepSnapshots, m.removeLeftovers, m.removeBases, m.scrub, m.reapSessions, m.forgetMounts, m.askInventory,
	} {
		if within.Err() == nil {
			sweep(within)
		}
	}
}

// takeOver gives back the jobs of the dead and rings for them.
func (m *Manager) takeOver(ctx context.Context) {
	ids, err := m.DB.TakeOver(ctx, m.Host, m.owner, m.Now())
	if err != nil {
		m.Log.WarnContext(ctx, "leases not looked at", "error", err)
	}
	for _, id := range ids {
		m.Log.WarnContext(ctx, "job taken from a manager that stopped", "job", id)
	}
}

// ringAgain rings for queued jobs whose bell nobody heard: once a queue, since
// whoever hears it looks at the table.
func (m *Manager) ringAgain(ctx context.Context) {
	now := m.Now()
	jobs, err := m.DB.Unrung(ctx, now.Add(-m.RingAgain), now, sweepLimit)
	if err != nil {
		m.Log.WarnContext(ctx, "bells not looked at", "error", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.SweepInterval)
	defer cancel()
	rung := map[string]bool{}
	for _, j := range jobs {
		queue := rpc.AnyQueue
		if j.Backend != "" {
			queue = rpc.BackendQueue(j.Backend)
		}
		if rung[queue] {
			continue
		}
		rung[queue] = true
		if err := m.Transport.Ring(ctx, queue, rpc.Bell{JobID: j.ID, RequestID: j.RequestID}); err != nil {
			m.Log.DebugContext(ctx, "bell not rung", "job", j.ID, "queue", queue, "error", err)
		}
	}
}

// tidyEnded frees volumes and removes snapshots of jobs that have ended.
func (m *Manager) tidyEnded(ctx context.Context) {
	keys, _ := m.keys()
	locked, err := m.DB.Locked(ctx, sweepLimit)
	if err != nil {
		m.Log.WarnContext(ctx, "locks not looked at", "error", err)
	}
	left, err := m.DB.Leftovers(ctx, keys, sweepLimit)
	if err != nil {
		m.Log.WarnContext(ctx, "snapshots not looked at", "error", err)
	}
	for _, j := range append(locked, left...) {
		if ctx.Err() != nil {
			return
		}
		m.tidy(ctx, j)
	}
}

// reapSessions forgets logins that are over; they are refused before that, too.
// There may be one for every request of a client, so a sweep takes them all.
func (m *Manager) reapSessions(ctx context.Context) {
	const atOnce = 1000
	for {
		n, err := m.DB.ReapLoginSessions(ctx, m.Now(), atOnce)
		if err != nil {
			m.Log.WarnContext(ctx, "sessions that are over not forgotten", "error", err)
		}
		if err != nil || n < atOnce {
			return
		}
	}
}

// endOverdue ends jobs that waited too long, or missed their window. Those of many steps
// that have begun are somebody's to go on with.
func (m *Manager) endOverdue(ctx context.Context) {
	for range sweepLimit {
		now := m.Now()
		job, err := m.DB.ClaimOverdue(ctx, m.owner, now.Add(-m.QueueTimeout), now, m.Lease)
		if err != nil {
			if stowage.CodeOf(err) != stowage.NotFound {
				m.Log.WarnContext(ctx, "waiting jobs not looked at", "error", err)
			}
			return
		}
		if job.Stepwise() && (job.Attempt > 1 || job.ParentID != "") {
			// What it made, or what was made for it, must go: it ends by itself.
			m.task(job).giveBack(ctx, stowage.Errorf(stowage.Unavailable, "Nobody came for it."), 0, 0)
			continue
		}
		m.task(job).overdue(ctx)
	}
}

// overdue ends a job that nobody could do in time.
func (t *task) overdue(ctx context.Context) {
	why := "No manager for its backend did it in time."
	if t.job.Backend != "" {
		why = "No manager for backend " + t.job.Backend + " did it in time."
	}
	if !t.job.WindowEnd.IsZero() {
		why = "The job did not begin inside its window."
	}
	err := t.readBackup(ctx)
	for until := t.Now().Add(t.Lease / 2); err != nil && stowage.CodeOf(err) != stowage.NotFound; err = t.readBackup(ctx) {
		t.log.WarnContext(ctx, "its backup not read yet", "error", err)
		if ctx.Err() != nil || t.Now().After(until) {
			return // it waits again when this claim has run out
		}
		pause(ctx, time.Second)
	}
	if err != nil {
		t.log.WarnContext(ctx, "it has no backup", "error", err)
		t.end(ctx, db.JobEnd{State: stowage.JobFailed, Error: why, Now: t.Now()}, nil)
		return
	}
	t.settle(ctx, stowage.Errorf(stowage.Unavailable, "%s", why))
}
