// Package rpc rings doorbells between the API and the managers: a message
// carries the id of a job and nothing else that matters. The job's database
// row decides what is to be done and by whom; a bell only saves the wait for
// the next look at the table.
//
// A bell may come twice, late or never. So a bell is confirmed by the broker
// before Ring returns, but whoever rings writes the row first, and whoever
// hears claims the row before he believes the bell.
//
// There are two transports, and both pass the suite in rpctest: NewAMQP for
// RabbitMQ, NewInProcess for an API and a manager that are one process. What
// work there is, how often it is tried and in which order is left to others.
package rpc

import (
	"context"
	"errors"
)

var (
	// ErrNoQueue means that nobody has ever listened to the queue. It is the
	// cause inside a coded error (stowage.Unavailable).
	ErrNoQueue = errors.New("no such queue")
	// ErrClosed means that the transport or the listener was closed.
	ErrClosed = errors.New("closed")
)

// Bell says: look at this job.
type Bell struct {
	JobID     string
	Queue     string // the queue it came through; set on delivery
	RequestID string // for the logs only; may be empty
}

// Transport carries bells. All methods may be called at the same time.
type Transport interface {
	// Ring puts a bell into the queue and returns once it is safe there; the
	// Queue field of the bell is not looked at. A broker that goes away in the
	// middle is tried again until ctx ends, so that the bell may ring twice:
	// give ctx a deadline. Errors are stowage.Unavailable: the bell may or may
	// not ring. With the cause ErrNoQueue it does not.
	Ring(ctx context.Context, queue string, b Bell) error

	// Listen declares the queues, which then outlive the listener and a
	// restart of the broker, and gives a listener for them. A broker that is
	// away is waited for until ctx ends; a broker that refuses the queues
	// (rights, or other properties than they have) is an error at once.
	// The listener lives until its Close or the transport's, not until ctx ends.
	Listen(ctx context.Context, queues []string) (Listener, error)

	// Healthy is nil while the broker is connected, stowage.Unavailable
	// otherwise. It looks, and does not wait.
	Healthy(ctx context.Context) error

	// Close ends all listeners and connections and waits for them: seconds at
	// most. It may be called twice.
	Close() error
}

// Listener hears the bells of some queues. It pulls: outside of Next it takes
// nothing from the broker, so a manager whose slots are all busy just does not
// call Next, and others hear the bells.
type Listener interface {
	// Next waits for one bell. While it waits the broker may push it one bell
	// per queue; the one that came first is given out, the others go back at
	// once. It outlives broken connections and deleted queues: the only errors
	// are ctx's and ErrClosed. Several Next may wait at the same time.
	Next(ctx context.Context) (Delivery, error)

	// Close gives back all bells that were not answered, and ends waiting
	// Nexts with ErrClosed. It may be called twice.
	Close() error
}

// Delivery is a bell that wants an answer, soon: a bell is held while a job is
// claimed, never while it runs. Of several answers only the first counts. A
// bell without an answer comes back when the listener closes, the connection
// breaks or the process dies.
type Delivery struct {
	Bell
	// Ack takes the bell out of the queue. An error means that it will ring
	// again, which is harmless.
	Ack func() error
	// Requeue lets the bell ring again, here or elsewhere.
	Requeue func() error
}
