// Package service has every verb once, whatever protocol asks: it checks,
// writes the row, takes the lock, and rings the bell. Protocols translate
// requests into its verbs and its coded errors into their faults; schedules
// call the same verbs.
//
// Who may call a verb at all (policy) is the caller's business; whose rows a
// verb sees is said with a db.Scope. What the tenant may do with his volumes
// and containers is decided by Cinder and Swift, asked with his own token.
//
// A verb writes what it is about to do before it does it, so that a crash
// between two steps leaves a row that a manager finishes or ends:
//
//	row and job, not to be claimed for HoldTime
//	lock wanted -> Reserve -> lock held
//	ready to be claimed -> bell
//
// Neither a volume's bytes nor an object is touched here.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/mail"
	"github.com/stowage/stowage/rpc"
	"github.com/stowage/stowage/webhook"
)

// Options are a Service's parts and knobs.
type Options struct {
	DB         *db.DB
	Transport  rpc.Transport
	Volumes    cloud.Volumes
	Containers cloud.Containers
	Servers    cloud.Servers    // nil: the cloud has none
	Capacities cloud.Capacities // nil: nobody tells how much fits where
	Directory  bool             // objects stand in a directory, not in Swift
	Mail       Mailer           // nil: nothing is mailed
	Guard      webhook.Guard    // where webhooks may call
	Now        func() time.Time
	NewID      func() string // UUIDs
	Log        *slog.Logger

	// Files is how managers are asked for files of mounted backups; nil: they
	// cannot be. MountTime is how long a backup is mounted unless somebody says
	// other, MaxMountTime how long at most, MaxMounts how many a project may have.
	Files                   Files
	MountTime, MaxMountTime time.Duration // 0: two hours; seven days
	MaxMounts               int           // 0: 4

	// DownTime is how long a manager may be silent and still count as alive.
	DownTime time.Duration
	// CreateTimeout is how long a restore waits for a new volume before it
	// answers; the manager waits on. Poll is the pause between two looks.
	CreateTimeout, Poll time.Duration
	// HoldTime is how long a job is left to the API that wrote it: longer than
	// any request takes.
	HoldTime time.Duration
	// RingTimeout bounds the wait for the broker.
	RingTimeout time.Duration
	// FollowAgain is how often it is looked for runs of schedules that have come, while
	// others are followed.
	FollowAgain time.Duration // 0: 10 s

	// ServerTime tells the time by the database server's clock, and whether that has
	// one; nil: it is not asked.
	ServerTime func(context.Context) (at time.Time, tells bool, err error)
}

// Mailer hands messages to a mail server. Invalid: that refuses one for good.
// Unavailable: it may take it later.
type Mailer interface {
	Send(ctx context.Context, m mail.Message) error
}

// Service has the verbs. All methods may be called at the same time.
type Service struct {
	Options
	spaces *lru.Cache[spaceKey, space]
	clocks *clocks
}

// New makes a service, with defaults for what is zero.
func New(o Options) *Service {
	for _, d := range []struct {
		have  *time.Duration
		other time.Duration
	}{
		{&o.DownTime, time.Minute}, {&o.CreateTimeout, time.Minute}, {&o.Poll, 500 * time.Millisecond},
		{&o.HoldTime, 5 * time.Minute}, {&o.RingTimeout, 5 * time.Second}, {&o.FollowAgain, 10 * time.Second},
		{&o.MountTime, 2 * time.Hour}, {&o.MaxMountTime, 7 * 24 * time.Hour},
	} {
		if *d.have == 0 {
			*d.have = d.other
		}
	}
	if o.MaxMounts == 0 {
		o.MaxMounts = 4
	}
	return &Service{Options: o, spaces: newSpaces(), clocks: &clocks{}}
}

// Backup gives one backup of the scope.
func (s *Service) Backup(ctx context.Context, scope db.Scope, id int64) (View, error) {
	b, err := s.volumeBackup(ctx, scope, id)
	if err != nil {
		return View{}, err
	}
	views, err := s.views(ctx, []stowage.Backup{b})
	if err != nil {
		return View{}, err
	}
	return views[0], nil
}

// volumeBackup gives one backup of the scope that is of a volume. A server's backup
// has an id, too, but those who know backups by their ids know none of servers.
func (s *Service) volumeBackup(ctx context.Context, scope db.Scope, id int64) (stowage.Backup, error) {
	b, err := s.DB.Backup(ctx, scope, id)
	if err == nil && b.Kind != stowage.OfVolume {
		return stowage.Backup{}, stowage.Errorf(stowage.NotFound, "Backup %d could not be found.", id)
	}
	return b, err
}

// Backups lists a page of the scope's backups, oldest first, behind the id after.
func (s *Service) Backups(ctx context.Context, scope db.Scope, f db.BackupFilter, after int64, limit int) ([]View, error) {
	list, err := s.DB.Backups(ctx, scope, f, after, limit)
	if err != nil {
		return nil, err
	}
	return s.views(ctx, list)
}

// View is a backup with what its latest job tells of it.
type View struct {
	stowage.Backup
	Percent int // of the job under way; 100 when none is
	// Speed is how the job under way gets on; nil when none does, or it counts
	// something else than bytes.
	Speed *Speed
}

// Speed is how a job gets on.
type Speed struct {
	Done, All      int64 // bytes
	BytesPerSecond int64 // on average, since the job began
	SecondsLeft    int64 // at that rate; -1: not to be told yet
}

func (s *Service) speed(j stowage.Job) *Speed {
	if j.State != stowage.JobRunning || j.Kind == stowage.JobDelete || j.BytesAll <= 0 {
		return nil
	}
	out := &Speed{Done: j.BytesDone, All: j.BytesAll, SecondsLeft: -1}
	// Progress is told with the lease's renewals, so it is as old as those.
	if took := j.UpdatedAt.Sub(j.StartedAt).Seconds(); took > 0 {
		out.BytesPerSecond = int64(float64(j.BytesDone) / took)
	}
	if out.BytesPerSecond > 0 {
		out.SecondsLeft = (j.BytesAll - j.BytesDone) / out.BytesPerSecond
	}
	return out
}

func (s *Service) views(ctx context.Context, list []stowage.Backup) ([]View, error) {
	var busy []int64
	for _, b := range list {
		if b.Status != stowage.BackupAvailable && b.Status != stowage.BackupError {
			busy = append(busy, b.ID)
		}
	}
	jobs, err := s.DB.LatestJobs(ctx, busy)
	if err != nil {
		return nil, err
	}
	views := make([]View, len(list))
	for i, b := range list {
		views[i] = View{Backup: b, Percent: 100}
		if j, ok := jobs[b.ID]; ok {
			views[i].Percent, views[i].Speed = j.Percent, s.speed(j)
		} else if b.Status == stowage.BackupError {
			views[i].Percent = 0
		}
	}
	return views, nil
}

// reach finds the manager's name for a volume's backend, and refuses with
// Unavailable when no live and enabled manager reaches it.
func (s *Service) reach(ctx context.Context, loc stowage.VolumeLocation) (stowage.VolumeLocation, error) {
	services, err := s.DB.Services(ctx)
	if err != nil {
		return loc, err
	}
	for _, svc := range services {
		if !s.alive(svc) {
			continue
		}
		for _, b := range svc.Backends {
			if b.Serves(loc.Backend) {
				loc.Backend = b.Key
				return loc, nil
			}
		}
	}
	return loc, stowage.Errorf(stowage.Unavailable, "No backup manager is available for backend %s.", loc.Backend)
}

func (s *Service) alive(svc stowage.Service) bool {
	return svc.Kind == stowage.ServiceManager && svc.Enabled && s.Now().Sub(svc.LastSeen) <= s.DownTime
}

// anyManager refuses with Unavailable when no manager lives at all.
func (s *Service) anyManager(ctx context.Context) error {
	services, err := s.DB.Services(ctx)
	if err != nil {
		return err
	}
	for _, svc := range services {
		if s.alive(svc) {
			return nil
		}
	}
	return stowage.Errorf(stowage.Unavailable, "No backup manager is available.")
}

// newJob fills in what all jobs have in common.
func (s *Service) newJob(kind stowage.JobKind, user cloud.User, readyAt time.Time) stowage.Job {
	now := s.Now()
	return stowage.Job{
		ID: s.NewID(), Kind: kind, State: stowage.JobQueued, ProjectID: user.ProjectID, UserID: user.UserID,
		RequestID: user.RequestID, Priority: stowage.PriorityDefault, ReadyAt: readyAt, CreatedAt: now, UpdatedAt: now,
	}
}

// hand gives a job to the managers. Whatever happens to the bell, the row is
// there: a lost bell costs the time until the next sweep.
func (s *Service) hand(ctx context.Context, j stowage.Job) error {
	err := s.DB.Ready(ctx, j, s.Now())
	if stowage.CodeOf(err) == stowage.Conflict {
		return nil // a manager was quicker
	}
	if err != nil {
		return err
	}
	queue := rpc.AnyQueue
	if j.Backend != "" {
		queue = rpc.BackendQueue(j.Backend)
	}
	ctx, cancel := context.WithTimeout(ctx, s.RingTimeout)
	defer cancel()
	if err := s.Transport.Ring(ctx, queue, rpc.Bell{JobID: j.ID, RequestID: j.RequestID}); err != nil {
		s.Log.WarnContext(ctx, "bell not rung, a sweep will", "job", j.ID, "queue", queue, "error", err)
	}
	return nil
}

// finish detaches what must not be cut short by a client who hangs up.
func finish(ctx context.Context, atMost time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), atMost)
}

// nothingTaken reports whether it is certain that an error left no lock and no
// new volume behind.
func nothingTaken(j stowage.Job, cause error) bool {
	if _, unknown := errors.AsType[*cloud.Unknown](cause); unknown {
		return false
	}
	if !j.Params.NewVolume {
		return true
	}
	code := stowage.CodeOf(cause)
	return j.VolumeID == "" && (code == stowage.Invalid || code == stowage.OverLimit || code == stowage.Forbidden)
}

// abandon ends a job that nobody has claimed, moves its backup, and then frees
// what it locked; what cannot be freed now, or may be locked later, a sweep
// frees. It gives the error that led here, or nil when it is too late: a
// manager has claimed the job, which goes its way.
func (s *Service) abandon(ctx context.Context, j stowage.Job, move db.BackupMove, cause error) error {
	if j.Lock == stowage.LockWanted && nothingTaken(j, cause) {
		j.Lock = stowage.LockNone
	}
	reason := stowage.MessageOf(cause)
	if reason == "" {
		reason = "An internal error; the API's log tells more."
	}
	move.Now = s.Now()
	end := db.JobEnd{State: stowage.JobFailed, Error: reason, Move: &move, Now: s.Now()}
	err := s.DB.End(ctx, j, end)
	if stowage.CodeOf(err) == stowage.Conflict {
		s.Log.WarnContext(ctx, "job goes on in spite of an error", "job", j.ID, "error", cause)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w (and ending job %s: %w)", cause, j.ID, err)
	}
	j.State = stowage.JobFailed
	if j.Lock != stowage.LockHeld {
		return cause
	}
	if _, err := cloud.FreeVolume(ctx, s.Volumes, j.VolumeID, j.ID, j.AttachmentID); err != nil {
		s.Log.WarnContext(ctx, "volume not freed, a sweep will", "job", j.ID, "volume", j.VolumeID, "error", err)
		return cause
	}
	if j.Params.NewVolume {
		return cause // a sweep shows on the volume that nothing was restored to it
	}
	j.Lock = stowage.LockReleased
	if err := s.DB.Tidied(ctx, j, s.Now()); err != nil {
		s.Log.WarnContext(ctx, "freed volume not noted", "job", j.ID, "error", err)
	}
	return cause
}
