// Package manager does the work: it claims jobs, runs them, finishes them, and
// clears up behind those who died.
//
// A job is claimed from the table, best first; a bell only says that a look is
// worth while, and is answered as soon as the look is done. While a job runs,
// its lease is renewed; a manager that cannot renew stops working before
// anybody else may take the job over. What a runner does it can do again: each
// attempt begins by looking at what the one before it left.
//
// Ending a job and moving its backup is one step, guarded by the fencing token.
// What must be cleared up outside the database (the lock on a volume, a
// snapshot) is noted in the job before it is made and until it is gone, so the
// sweep of any manager finds it. Periodically each manager
//
//   - gives back the jobs whose lease ran out, and rings for them,
//   - rings again for queued jobs nobody came for,
//   - frees volumes and removes or keeps snapshots of jobs that have ended,
//   - deletes objects that nothing reaches any more,
//   - ends the mounts of the dead, and its own when their time is over,
//   - asks for looks at what the cloud holds,
//   - begins the runs of schedules that are due, and follows them to their end,
//   - mails the daily reports of policies,
//   - tells webhooks what happened,
//   - forgets logins that are over,
//   - asks for verifications of backups that nobody looked at for long,
//   - ends jobs that waited longer than the operator allows.
package manager

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/rpc"
	"github.com/stowage/stowage/service"
	"github.com/stowage/stowage/webhook"
)

// Backend is one backend this manager is to reach.
type Backend struct {
	Name        string // its section in the configuration
	Driver      string
	CinderHosts []string
	// Open connects to it; it is tried until it works.
	Open func(context.Context) (drivers.Volumes, error)
}

// Options are a Manager's parts and knobs.
type Options struct {
	DB        *db.DB
	Transport rpc.Transport
	Volumes   cloud.Volumes
	Inventory cloud.Inventory  // nil: this manager does not look at the cloud
	Verbs     *service.Service // what schedules and policies do by themselves; nil: this manager leaves them alone
	Stores    drivers.Stores
	Engine    *engine.Engine
	Keys      *Keys
	Backends  []Backend

	Host     string // unique among managers
	Instance string // a UUID, another at every start
	Version  string
	NewID    func() string // a UUID
	Now      func() time.Time
	Log      *slog.Logger

	MaxJobs           int             // at once; 0: 4
	MaxAttempts       int             // of a backup or restore; 0: 3
	Lease             time.Duration   // 0: one minute
	ReportInterval    time.Duration   // 0: 10 s
	SweepInterval     time.Duration   // 0: 10 s
	RingAgain         time.Duration   // how long a bell may go unheard; 0: 30 s
	QueueTimeout      time.Duration   // how long a job may wait; 0: a day
	RetryDelay        time.Duration   // before the second attempt, doubled after each; 0: 10 s
	VerifyInterval    time.Duration   // how often a backup is verified; 0: never by itself
	VerifyDeep        bool            // and then every byte is read
	KeepBases         bool            // snapshots stay after a backup, where the backend can, so that the next reads only what changed
	InventoryInterval time.Duration   // how often the cloud is looked at; 0: when asked
	DailyReportHour   time.Duration   // after midnight UTC, when reports of the day that is over are mailed
	Box               *webhook.Box    // opens webhooks' secrets; nil: this manager calls none
	Caller            *webhook.Caller // calls them
	DeliveryTime      time.Duration   // how long a delivery is tried; 0: a day
	DeliveryLog       time.Duration   // how long deliveries are remembered; 0: a week
	Jitter            func() float64  // from 0 to less than 1; nil: at random
	GraceTime         time.Duration   // how long running jobs may go on at shutdown; 0: one minute

	// OpenImage opens a backup's file systems; nil: this manager mounts nothing.
	OpenImage     OpenImage
	MaxMounts     int    // at once; 0: 4
	MountCache    int64  // bytes of chunks kept, a mount; 0: the engine's
	MountEndpoint string // where the API asks for files; empty: in this process
}

// Manager does the work of one host.
type Manager struct {
	Options
	owner string

	mu      sync.Mutex
	open    map[string]drivers.Volumes // by key
	reports []stowage.BackendReport
	enabled bool
	changed chan struct{} // closed when the set of backends changes

	reported time.Time       // daily reports were last looked for
	looked   time.Time       // for leftover snapshots, last
	doubtful map[string]bool // and found then

	serving serving
	telling telling
}

// New makes a manager, with defaults for what is zero.
func New(o Options) *Manager {
	for _, d := range []struct {
		have  *time.Duration
		other time.Duration
	}{
		{&o.Lease, time.Minute}, {&o.ReportInterval, 10 * time.Second}, {&o.SweepInterval, 10 * time.Second},
		{&o.RingAgain, 30 * time.Second}, {&o.QueueTimeout, 24 * time.Hour}, {&o.RetryDelay, 10 * time.Second},
		{&o.GraceTime, time.Minute}, {&o.DeliveryTime, 24 * time.Hour}, {&o.DeliveryLog, 7 * 24 * time.Hour},
	} {
		if *d.have == 0 {
			*d.have = d.other
		}
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.MaxJobs == 0 {
		o.MaxJobs = 4
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 3
	}
	if o.MaxMounts == 0 {
		o.MaxMounts = 4
	}
	m := &Manager{
		Options: o, owner: o.Host + "/" + o.Instance, open: map[string]drivers.Volumes{},
		enabled: true, changed: make(chan struct{}), serving: serving{all: map[string]*served{}},
	}
	if o.OpenImage != nil {
		for _, key := range []string{stowage.MountsKey(""), stowage.MountsKey(o.Host)} {
			m.reports = append(m.reports, stowage.BackendReport{Key: key, Driver: "mounts"})
		}
	}
	return m
}

// Run works until ctx ends; then running jobs may go on for GraceTime, and
// what is not done by then is given back to the queue.
func (m *Manager) Run(ctx context.Context) error {
	m.openBackends(ctx)
	m.publishKey(ctx)
	m.report(ctx)
	m.takeOver(ctx)
	m.loseMounts(ctx)
	m.askInventory(ctx) // at once, if it is time: a newcomer looks, too

	hard, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var loops, jobs sync.WaitGroup
	loops.Go(func() { m.every(ctx, m.ReportInterval, func() { m.report(ctx) }) })
	loops.Go(func() { m.every(ctx, m.ReportInterval, func() { m.openBackends(ctx) }) })
	loops.Go(func() { m.every(ctx, m.SweepInterval, func() { m.rescue(ctx) }) })
	loops.Go(func() { m.every(ctx, m.SweepInterval, func() { m.clearUp(ctx) }) })
	loops.Go(func() { m.every(ctx, m.SweepInterval, func() { m.removeGarbage(ctx) }) })
	loops.Go(func() { m.every(ctx, m.SweepInterval, func() { m.beginSchedules(ctx) }) })
	loops.Go(func() { m.every(ctx, m.SweepInterval, func() { m.followSchedules(ctx) }) })
	loops.Go(func() { m.every(ctx, min(m.SweepInterval, m.Lease/6), func() { m.keepMounts(ctx) }) })
	loops.Go(func() { m.every(ctx, m.SweepInterval, func() { m.mailReports(ctx) }) })
	loops.Go(func() {
		m.every(ctx, m.SweepInterval, func() { m.callWebhooks(ctx) })
		m.telling.calls.Wait()
	})
	loops.Go(func() { m.dispatch(ctx, hard, &jobs) })
	loops.Wait()

	m.Log.Info("no more new work, running jobs may end", "grace", m.GraceTime)
	done := make(chan struct{})
	go func() { jobs.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(m.GraceTime):
		stop(errDrained)
		<-done
	}
	m.endMounts(context.WithoutCancel(ctx))
	return m.closeBackends()
}

func (m *Manager) every(ctx context.Context, interval time.Duration, fn func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fn()
		}
	}
}

// dispatch claims jobs as long as there are slots, and runs each in its own
// goroutine under hard.
func (m *Manager) dispatch(ctx, hard context.Context, jobs *sync.WaitGroup) {
	ears := newEars(m)
	defer ears.close()
	slots := make(chan struct{}, m.MaxJobs)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		job, ok := m.next(ctx, ears)
		if !ok {
			return
		}
		jobs.Go(func() {
			defer func() { <-slots }()
			m.run(hard, job)
		})
	}
}

// next waits for a job this manager has claimed; false when ctx ended.
func (m *Manager) next(ctx context.Context, ears *ears) (stowage.Job, bool) {
	for ctx.Err() == nil {
		if job, ok := m.claim(ctx); ok {
			return job, true
		}
		answer := ears.wait(ctx)
		job, ok := m.claim(ctx)
		answer()
		if ok {
			return job, true
		}
	}
	return stowage.Job{}, false
}

func (m *Manager) claim(ctx context.Context) (stowage.Job, bool) {
	keys, enabled := m.keys()
	if !enabled || ctx.Err() != nil {
		return stowage.Job{}, false
	}
	job, err := m.DB.Claim(ctx, m.owner, append(keys, ""), m.Now(), m.Lease)
	if err != nil {
		if stowage.CodeOf(err) != stowage.NotFound && ctx.Err() == nil {
			m.Log.Warn("jobs not looked at", "error", err)
		}
		return job, false
	}
	return job, true
}

// keys gives the backends that are open, and whether new work may be taken.
func (m *Manager) keys() ([]string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.reports)+1)
	for _, r := range m.reports {
		if r.Key == stowage.MountsKey("") && m.serving.full(m.MaxMounts) {
			continue // others may have room
		}
		keys = append(keys, r.Key)
	}
	return keys, m.enabled
}

func (m *Manager) backend(key string) (drivers.Volumes, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.open[key]
	return v, ok
}

// openBackends connects to those backends that are not open yet.
func (m *Manager) openBackends(ctx context.Context) {
	for i, b := range m.Backends {
		if b.Open == nil {
			continue
		}
		vols, err := b.Open(ctx)
		if err != nil {
			m.Log.Warn("backend not reached, will be tried again", "backend", b.Name, "error", err)
			continue
		}
		m.Backends[i].Open = nil
		m.mu.Lock()
		m.open[vols.Backend()] = vols
		m.reports = append(m.reports, stowage.BackendReport{Key: vols.Backend(), Driver: b.Driver, CinderHosts: b.CinderHosts})
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
		m.Log.Info("backend reached", "backend", b.Name, "key", vols.Backend())
	}
}

func (m *Manager) closeBackends() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, v := range m.open {
		errs = append(errs, v.Close())
	}
	return errors.Join(errs...)
}

// report tells the API that we are alive, and hears whether we are enabled.
func (m *Manager) report(ctx context.Context) {
	m.mu.Lock()
	s := stowage.Service{
		Host: m.Host, Kind: stowage.ServiceManager, Instance: m.Instance, Version: m.Version,
		Backends: m.reports, StartedAt: m.Now(), LastSeen: m.Now(),
	}
	m.mu.Unlock()
	if err := m.DB.Report(ctx, s); err != nil {
		m.Log.Warn("not reported", "error", err)
		return
	}
	services, err := m.DB.Services(ctx)
	if err != nil {
		m.Log.Warn("services not listed", "error", err)
		return
	}
	for _, s := range services {
		if s.Host == m.Host && s.Kind == stowage.ServiceManager {
			m.mu.Lock()
			m.enabled = s.Enabled
			m.mu.Unlock()
		}
	}
}
