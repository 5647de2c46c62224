package stowage

import "time"

// Schedule says when the rules that name it are carried out.
type Schedule struct {
	ID        string
	Kind      PolicyKind // of the policies it carries out; it stays of it
	ProjectID string     // empty: the operator's
	Name      string     // of no other schedule of the project
	Active    bool
	Is        ScheduleDetails
	NextDue   time.Time // zero: never, or not active
	LastRun   time.Time // the due time of the last run that began
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ScheduleDetails are kept as JSON.
type ScheduleDetails struct {
	Full  bool      `json:"full,omitempty"` // its backups look at everything
	Times Timetable `json:"times"`
	// Window is how long after the due time a backup may begin; 0: none was said.
	Window time.Duration `json:"window,omitempty"`
}

// Timetable is when a schedule is due; all of it in UTC. Package timetable tells
// what that means.
type Timetable struct {
	At          time.Duration  `json:"at,omitempty"` // after midnight; with an interval it means nothing, and is kept
	Interval    *Interval      `json:"interval,omitempty"`
	Days        []time.Weekday `json:"days,omitempty"`        // empty: any
	Months      []time.Month   `json:"months,omitempty"`      // empty: any
	Occurrences []int          `json:"occurrences,omitempty"` // of the weekday in its month, -1 the last; empty: any
}

// Interval is due again and again within a day.
type Interval struct {
	From  time.Duration `json:"from"` // after midnight
	To    time.Duration `json:"to"`   // still included
	Every time.Duration `json:"every"`
}

// RunState is where a schedule's run is.
type RunState string

// The states there are. A run that is running has backups that are not begun, or
// have not ended.
const (
	RunRunning  RunState = "running"
	RunFinished RunState = "finished"
	RunMissed   RunState = "missed" // nobody was there to begin it inside its window
)

// Run is what became of one due time of a schedule.
type Run struct {
	ID         int64
	ScheduleID string
	ProjectID  string
	Due        time.Time
	WindowEnd  time.Time // zero: no bound
	State      RunState
	Full       bool
	CreatedAt  time.Time
	EndedAt    time.Time
}

// EntryState is where one entity of a run is.
type EntryState string

// The states there are.
const (
	EntryWaiting EntryState = "waiting" // nobody has asked for its backup
	EntryBegun   EntryState = "begun"   // the job tells more
	EntryFailed  EntryState = "failed"  // it could not be asked for
	EntrySkipped EntryState = "skipped" // it is not to be
)

// Entry is one entity of a run. The job's id is known before there is a job, so
// that no two can be written.
type Entry struct {
	RunID    int64
	EntityID string
	PolicyID string
	RuleID   string
	JobID    string
	State    EntryState
	Reason   string
}
