package stowage

import "time"

// JobKind is what a job does.
type JobKind string

// The kinds there are so far. A protocol that needs another kind adds it here
// and a runner for it in the manager.
const (
	JobBackup  JobKind = "backup"
	JobRestore JobKind = "restore"
	JobDelete  JobKind = "delete"
	JobVerify  JobKind = "verify" // looks at what is stored; the backup's status stays

	JobExport JobKind = "export" // takes snapshots of all volumes of a server
	JobStore  JobKind = "store"  // sees to it that they are stored, each by a job of its own
	JobImport JobKind = "import" // builds a server from its volumes

	JobMount   JobKind = "mount"   // serves a backup's files; it has ended once they are served
	JobUnmount JobKind = "unmount" // ends that

	JobInventory JobKind = "inventory" // looks at what the cloud holds; it is about no backup
	JobRecovery  JobKind = "recovery"  // restores servers in the order of a recovery plan; it is about no one backup
	JobCleanup   JobKind = "cleanup"   // deletes what a policy keeps no longer; it is about no one backup

	JobSnapshot        JobKind = "snapshot"         // takes a snapshot of an entity that stays in its project; it is about no backup
	JobSnapshotCleanup JobKind = "snapshot-cleanup" // removes those that a policy keeps no longer
)

// JobState is where a job is in its life.
type JobState string

// A job that is finished, failed or cancelled never moves again.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobFinished  JobState = "finished"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// jobMoves is every state move there is. running -> queued is a job given
// back: its manager died, drained, or wants to try again later.
var jobMoves = map[JobState][]JobState{
	JobQueued:    {JobRunning, JobFailed, JobCancelled},
	JobRunning:   {JobFinished, JobFailed, JobCancelled, JobQueued},
	JobFinished:  {},
	JobFailed:    {},
	JobCancelled: {},
}

// May reports whether a job may move from one state to the other.
func (s JobState) May(to JobState) bool {
	for _, t := range jobMoves[s] {
		if t == to {
			return true
		}
	}
	return false
}

// Ended reports whether the job will never move again.
func (s JobState) Ended() bool { return len(jobMoves[s]) == 0 }

// LockState says what we know of the lock a job takes on a Cinder volume.
type LockState string

// The intent is written before the lock is asked for, so that whatever happens
// in between, somebody knows that there may be a lock to give back.
const (
	LockNone     LockState = ""         // this job takes no lock, or has not begun to
	LockWanted   LockState = "wanted"   // asked for; Cinder's answer is not on record
	LockHeld     LockState = "held"     // ours
	LockReleased LockState = "released" // given back, or found to be gone
)

// Priorities run from PriorityMin to PriorityMax, higher first.
const (
	PriorityMin     = 0
	PriorityDefault = 50
	PriorityMax     = 100
)

// Job is one piece of manager work, whatever protocol asked for it.
type Job struct {
	ID    string // a UUID; also the instance id of the lock on the volume
	Kind  JobKind
	State JobState

	ProjectID string
	UserID    string
	RequestID string // the request that asked for it, for the logs of all services

	// ParentID is the job that this one is a part of, or follows.
	ParentID string

	Backend  string // key of the backend it must run beside; empty: any manager
	BackupID int64
	VolumeID string // backup: the volume read; restore: the volume written
	EntityID string // what it is about, whatever it does: the volume that is or was backed up

	Priority    int
	ReadyAt     time.Time // not to be claimed before
	WindowStart time.Time // zero: no bound
	WindowEnd   time.Time // zero: no bound; not begun by then, it fails

	Attempt      int   // how often it was claimed
	Failures     int   // how often it failed, or its manager died; being given back in order does not count
	Fence        int64 // grows with every claim and every take-over
	LeaseOwner   string
	LeaseExpires time.Time
	Host         string // of the manager that works on it, or did last

	Percent   int   // 0 to 100
	BytesDone int64 // of BytesAll, as the engine counts work
	BytesAll  int64

	Lock         LockState
	AttachmentID string // of the lock, once Cinder told us

	// Leftover is true while a snapshot of this job may be on the backend.
	Leftover bool

	By     Origin // empty: a user asked for it
	Params JobParams
	Error  string // why it failed, for the user

	CreatedAt  time.Time
	StartedAt  time.Time // first claim; zero before
	FinishedAt time.Time // zero before
	UpdatedAt  time.Time
}

// JobParams is what only some kinds need; it is kept as JSON, so that a new
// kind does not need a new column.
type JobParams struct {
	// Restore to a volume that was made for this restore.
	NewVolume bool `json:"new_volume,omitempty"`
	// The volume as the backend knows it, found by the API.
	Volume VolumeLocation `json:"volume,omitzero"`
	// The project whose volume it was, where that is not the job's: an administrator asked.
	Owner string `json:"owner,omitempty"`
	// The snapshot a backup reads, once taken.
	Snapshot Snapshot `json:"snapshot,omitzero"`
	// The snapshot that Cinder took while the server's guest was quiesced. If there is
	// one it is read, and the other, which is older, is only for the next to begin from.
	Quiesced Snapshot `json:"quiesced,omitzero"`
	// The id that Cinder gave to the snapshot that is read, of a server whose volumes no one
	// manager reaches: the one beside the volume finds it.
	Cinder string `json:"cinder,omitempty"`
	// Where the two may differ, until that is noted with the base. Nil: nobody can tell,
	// and the next cannot begin from the other.
	Between []Extent `json:"between,omitzero"`
	// Nova or Cinder was asked to take snapshots, and its answer is not on record: they may
	// come when the job has ended.
	Late bool `json:"late,omitempty"`
	// A restore has begun to write: the volume is not what it was.
	Touched bool `json:"touched,omitempty"`
	// How often the work is tried again after a failure; nil: as the operator says.
	Retries *int `json:"retries,omitempty"`
	// A backup that is to look at everything, whatever was stored before.
	Full bool `json:"full,omitempty"`
	// A verification that reads every byte that a restore reads.
	Deep bool `json:"deep,omitempty"`
	// How a server is restored and built.
	Rebuild *Rebuild `json:"rebuild,omitempty"`
	// A run of a recovery plan.
	Recovery *Recovery `json:"recovery,omitempty"`
	// A restore or a deletion of a server's backup, which goes by parts.
	Whole bool `json:"whole,omitempty"`
	// An export: how far apart its first and its last snapshot are.
	Spread time.Duration `json:"spread,omitempty"`
	// What a job mounts or unmounts.
	Mount string `json:"mount,omitempty"`
	// The prefix of the objects of the attempt under way.
	Prefix string `json:"prefix,omitempty"`
}

// Read is the snapshot that a backup reads.
func (p JobParams) Read() Snapshot {
	if p.Quiesced.ID != "" {
		return p.Quiesced
	}
	return p.Snapshot
}

// OfCinder reports whether it is Cinder's snapshot that a backup reads.
func (p JobParams) OfCinder() bool { return p.Cinder != "" || p.Quiesced.ID != "" }

// CheckOwner tells whether the job may still touch its volume, which is of this project
// now: users give volumes away, and a job may begin long after it was asked for.
func (j Job) CheckOwner(project string) error {
	owner := j.ProjectID
	if j.Params.Owner != "" {
		owner = j.Params.Owner
	}
	if project == "" || owner == "" || project == owner {
		return nil
	}
	return Errorf(Conflict, "Volume %s is of another project now.", j.VolumeID)
}

// Waits reports whether the job is one that waits for its parts, and does nothing else.
func (j Job) Waits() bool { return j.Params.Whole || j.Kind == JobStore }

// Stepwise reports whether the job is given back between its steps, and ends by itself
// when it is cancelled or takes too long: it has to remove what it made.
func (j Job) Stepwise() bool { return j.Waits() || j.Kind == JobImport || j.Kind == JobRecovery }

// Part reports whether the job is about a volume as a part of another, which is shown
// in its place.
func (j Job) Part() bool {
	return j.ParentID != "" && !j.Params.Whole && (j.Kind == JobBackup || j.Kind == JobRestore || j.Kind == JobDelete)
}

// RestoreMark is the key of the metadata that a volume made for a restore
// carries until the restore has ended: the id of its job.
const RestoreMark = "stowage_restore"

// Cancelled is what users read of a job that was cancelled, and why.
func Cancelled(why string) string {
	if why == "" {
		return "Cancelled."
	}
	return "Cancelled: " + why
}

// NewInventoryJob is a job that looks at what the cloud holds, for any manager.
func NewInventoryJob(id string, now time.Time) Job {
	return Job{ID: id, Kind: JobInventory, State: JobQueued, Priority: PriorityDefault, ReadyAt: now, CreatedAt: now, UpdatedAt: now}
}
