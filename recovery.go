package stowage

import "time"

// RecoveryPlan says in what order servers are restored from their backups, and how
// one is known to be up before the next is begun.
type RecoveryPlan struct {
	ID        string
	ProjectID string
	Name      string // of no other plan of the project
	Active    bool   // one that is not is not run
	Priority  int    // of the restores
	Rules     []RecoveryRule
	CreatedAt time.Time
	UpdatedAt time.Time
}

// RecoveryRule is a step of a plan: servers that are restored one after another, and
// alike. Its id is the plan's, with what tells it from the plan's others.
type RecoveryRule struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Active   bool              `json:"active"`
	Servers  []string          `json:"servers"`
	Prefix   string            `json:"prefix,omitempty"` // of the names of the servers that are built
	Suffix   string            `json:"suffix,omitempty"`
	FlavorID string            `json:"flavor_id,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Type     string            `json:"type,omitempty"`     // of the volumes
	Networks map[string]string `json:"networks,omitempty"` // network ids: as it was, and as it is to be
	Check    RecoveryCheck     `json:"check,omitzero"`
}

// RecoveryCheck tells when a server that was built is up.
type RecoveryCheck struct {
	Kind    CheckKind     `json:"kind,omitempty"`
	Delay   time.Duration `json:"delay,omitempty"`   // CheckDelay: so long after it is active
	Text    string        `json:"text,omitempty"`    // CheckConsole: once its console has shown this
	Timeout time.Duration `json:"timeout,omitempty"` // when to give up; 0: CheckTimeout
}

// CheckKind is how a server is found to be up. Nothing connects to it: managers need
// not reach the tenants' networks, and must not reach others on a tenant's word.
type CheckKind string

// The kinds there are; the empty one is CheckActive.
const (
	CheckActive  CheckKind = "ACTIVE"
	CheckDelay   CheckKind = "DELAY"
	CheckConsole CheckKind = "CONSOLE"
)

// CheckTimeout is how long a server may take to be up, unless its rule says otherwise.
const CheckTimeout = 10 * time.Minute

// Recovery is a run of a plan, kept with the job that does it.
type Recovery struct {
	PlanID   string            `json:"plan_id"`
	Plan     string            `json:"plan"` // its name
	Test     bool              `json:"test,omitempty"`
	Steps    []RecoveryStep    `json:"steps"`
	Networks map[string]string `json:"networks,omitempty"` // of a test: those that were made in place of others
	Cleaned  time.Time         `json:"cleaned,omitzero"`   // of a test: when all was gone again
	Failure  string            `json:"failure,omitempty"`  // of a test: why it goes, while it is being removed
}

// RecoveryStep is the restore of one server.
type RecoveryStep struct {
	Rule       RecoveryRule `json:"rule"`
	ServerID   string       `json:"server_id"` // that was backed up
	Name       string       `json:"name"`
	Backup     string       `json:"backup"` // UUID
	JobID      string       `json:"job_id"` // that restores its volumes
	ImportID   string       `json:"import_id,omitempty"`
	MadeID     string       `json:"made_id,omitempty"` // the server that was built
	BegunAt    time.Time    `json:"begun_at,omitzero"`
	RestoredAt time.Time    `json:"restored_at,omitzero"` // volumes are there
	ActiveAt   time.Time    `json:"active_at,omitzero"`   // Nova says so
	UpAt       time.Time    `json:"up_at,omitzero"`       // the check says so
	Error      string       `json:"error,omitempty"`
}
