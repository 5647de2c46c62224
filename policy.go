package stowage

import "time"

// PolicyKind is what a policy, and a schedule that carries it out, makes.
type PolicyKind string

// The kinds there are. They do not mix: an entity has one policy of each at most.
const (
	PolicyBackup   PolicyKind = "backup"
	PolicySnapshot PolicyKind = "snapshot"
)

// Policy says how entities are protected: what is in its rules, for the entities
// that are assigned to it. An entity has one policy of a kind at most.
type Policy struct {
	ID        string
	Kind      PolicyKind // it stays of it
	ProjectID string     // whose it is; empty: the operator's, for entities of any project
	Name      string     // of no other policy of the project
	Active    bool
	Priority  int // of the backups it makes
	Is        PolicyDetails
	CreatedAt time.Time
	UpdatedAt time.Time
}

// PolicyDetails are kept as JSON: nothing is looked for by them.
type PolicyDetails struct {
	Assign AutoAssign `json:"assign,omitzero"`
	// RemoveGone takes entities that are gone from the cloud out of the policy.
	RemoveGone bool `json:"remove_gone,omitempty"`
	// When so many percent of a run's backups have failed, those that nobody has
	// begun are not begun; 0: they are, whatever happens. Storing is a part of
	// exporting here, so the lower one counts.
	ExportThreshold int `json:"export_threshold,omitempty"`
	StoreThreshold  int `json:"store_threshold,omitempty"`
	// KeepAll removes no backup, whatever the rules say.
	KeepAll bool `json:"keep_all,omitempty"`
	// RetryCount is how often a backup that failed is tried again; 0: as the operator says.
	RetryCount int `json:"retry_count,omitempty"`
	// What clients set and read again, and nothing here looks at.
	DailyReport bool   `json:"daily_report,omitempty"`
	MailingList string `json:"mailing_list,omitempty"`
	Quiesce     bool   `json:"quiesce,omitempty"`
}

// Threshold is how many percent of a run may fail; 0: all.
func (d PolicyDetails) Threshold() int {
	if d.ExportThreshold == 0 || d.StoreThreshold == 0 {
		return max(d.ExportThreshold, d.StoreThreshold)
	}
	return min(d.ExportThreshold, d.StoreThreshold)
}

// AssignMode is whether entities come to a policy by themselves.
type AssignMode string

// The modes there are; the empty one is AssignDisabled.
const (
	AssignDisabled  AssignMode = "DISABLED"
	AssignOnly      AssignMode = "ASSIGN_ONLY"
	AssignAndRemove AssignMode = "ASSIGN_AND_REMOVE"
)

// AutoAssign says which entities come to a policy by themselves.
type AutoAssign struct {
	Mode         AssignMode `json:"mode,omitempty"`
	IncludeTags  []string   `json:"include_tags,omitempty"`
	ExcludeTags  []string   `json:"exclude_tags,omitempty"`
	IncludeNames []string   `json:"include_names,omitempty"` // regular expressions
	ExcludeNames []string   `json:"exclude_names,omitempty"`
	Zones        []string   `json:"zones,omitempty"` // empty: any
	Projects     []string   `json:"projects,omitempty"`
}

// On reports whether entities come at all.
func (a AutoAssign) On() bool { return a.Mode == AssignOnly || a.Mode == AssignAndRemove }

// Rule is one of a policy's: at which schedules its entities are backed up, to
// where, and how long that is kept.
type Rule struct {
	ID        string
	PolicyID  string
	ProjectID string // the policy's
	Name      string
	Position  int // among the policy's, from 0
	Active    bool
	Is        RuleDetails
	Schedules []string // ids
	CreatedAt time.Time
}

// RuleDetails are kept as JSON.
type RuleDetails struct {
	Container string    `json:"container,omitempty"` // empty: DefaultContainer
	Retention Retention `json:"retention,omitzero"`
}

// Retention says what is kept. What a kind says nothing of is kept for ever. Snapshots
// count as full.
type Retention struct {
	Full        Keep `json:"full,omitzero"`
	Incremental Keep `json:"incremental,omitzero"`
	// KeepLast keeps the newest good backup of what is still there, whatever else
	// is said.
	KeepLast bool `json:"keep_last,omitempty"`
}

// Keep keeps what is one of the last so many, or newer than that. Zero says nothing.
type Keep struct {
	Last  int           `json:"last,omitempty"`
	Newer time.Duration `json:"newer,omitempty"`
}

// Says reports whether it says anything.
func (k Keep) Says() bool { return k.Last > 0 || k.Newer > 0 }

// Origin is what made a backup or a job without a user: empty ids otherwise.
type Origin struct{ ScheduleID, PolicyID, RuleID string }

// RetentionMark is what somebody said of one backup.
type RetentionMark string

// The marks there are; the empty one leaves the backup to its policy.
const (
	MarkStandard  RetentionMark = ""
	MarkDontTouch RetentionMark = "DONT_TOUCH" // it stays
	MarkArchive   RetentionMark = "ARCHIVE"    // it stays, until a time if one is said
	MarkRemove    RetentionMark = "TO_REMOVE"  // it goes at the next cleanup
)
