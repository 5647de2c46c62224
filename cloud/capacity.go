package cloud

import "context"

// Capacity is what the object store tells of a place for backups.
type Capacity struct {
	Policy string // Swift's storage policy; empty: not told
	Bytes  int64  // that fit in, what is there included; 0: no bound, or not told
}

// Capacities tells how much fits where. A user with a token is asked for with that;
// one without, by the service's own rights. Forbidden: those do not do. NotFound:
// there is no such container yet.
type Capacities interface {
	Capacity(ctx context.Context, user User, container string) (Capacity, error)
}
