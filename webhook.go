package stowage

import "time"

// BackupDeleted is what events call a backup whose row is gone. No row has it.
const BackupDeleted BackupStatus = "deleted"

// Webhook is somebody's address that is told of what happens in a project.
type Webhook struct {
	ID        string
	ProjectID string // empty: the operator's, which is told of all projects
	Name      string
	URL       string
	Events    EventSet
	Active    bool
	Secret    []byte // sealed to the managers' key
	CreatedAt time.Time
	UpdatedAt time.Time
}

// EventSet is a set of kinds of events, as a sum of bits that rows keep: their order
// below stays as it is.
type EventSet int64

// EventTypes are the kinds of events there are, by their bits. The last word is the
// state that a task or a backup came to.
var EventTypes = []string{
	"io.stowage.task.queued", "io.stowage.task.running", "io.stowage.task.finished", "io.stowage.task.failed", "io.stowage.task.cancelled",
	"io.stowage.backup.creating", "io.stowage.backup.available", "io.stowage.backup.restoring", "io.stowage.backup.deleting",
	"io.stowage.backup.error", "io.stowage.backup.deleted",
	"io.stowage.webhook.test",
}

// EventOf gives the bit of a kind of event; 0: there is none.
func EventOf(kind string) EventSet {
	for i, k := range EventTypes {
		if k == kind {
			return 1 << i
		}
	}
	return 0
}

// Types gives the kinds of events in the set.
func (s EventSet) Types() (kinds []string) {
	for i, k := range EventTypes {
		if s&(1<<i) != 0 {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// DeliveryState is where a delivery is.
type DeliveryState string

// The states there are.
const (
	DeliveryWaiting   DeliveryState = "waiting" // to be tried, or tried again
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed" // given up
)

// Delivery is what a webhook is to be told, and what became of that.
type Delivery struct {
	ID        int64
	WebhookID string
	EventID   string // the same for everybody who is told, and each time
	Event     EventSet
	ProjectID string
	Subject   string // guid of the task or the backup
	At        time.Time

	// What is told of it, as it was then.
	Kind, EntityID, Backup, Container string
	VolumeBytes, StoredBytes          int64
	Reason                            string

	State    DeliveryState
	Attempts int
	NextAt   time.Time
	Status   int // of the latest answer; 0: there was none
	Took     time.Duration
	Answer   string // how it began
	Error    string // why the latest attempt failed
	TriedAt  time.Time
}

// Type is the kind of event.
func (d Delivery) Type() string {
	if kinds := d.Event.Types(); len(kinds) > 0 {
		return kinds[0]
	}
	return ""
}
