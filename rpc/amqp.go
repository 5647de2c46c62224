package rpc

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/stowage/stowage"
)

// Options says how to reach RabbitMQ.
type Options struct {
	URL  TransportURL
	Name string // of the connection, for the operator's lists: "stowage-manager:host"

	TLS       TLS
	Heartbeat time.Duration // a broker silent for 1.5 times as long is away; 0: the broker's choice
	Classic   bool          // classic durable queues instead of quorum queues

	// A broker that is away is tried again after a random time up to
	// RetryInterval, doubled with each failure up to RetryMax. Zero: 1 s and 30 s.
	RetryInterval time.Duration
	RetryMax      time.Duration

	Logger *slog.Logger
	// Random gives numbers in [0,1) and is safe for concurrent use. nil:
	// math/rand/v2.
	Random func() float64
}

const (
	// maxRings bounds how many bells are on the way to the broker at a time;
	// each takes an AMQP channel.
	maxRings = 8
	// closeGrace is how long a broker may take to answer a close.
	closeGrace = 5 * time.Second
)

// AMQP is the Transport over RabbitMQ. It keeps one connection for ringing and
// one for listening: a broker short of memory stops reading from publishers,
// and must still hear the answers that make room.
type AMQP struct {
	opts  Options
	log   *slog.Logger
	retry backoff

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	pub *link // for Ring
	sub *link // for Listen; dialled by the first

	rings chan struct{} // a token per bell on the way

	mu        sync.Mutex
	idle      []*publisher
	listening bool
	closed    bool
	work      sync.WaitGroup // every goroutine there is; Add under mu, while not closed
}

// NewAMQP begins to connect and returns at once: a broker that is away is a
// matter of Ring's and Listen's patience. An error means the options are wrong
// (no host, a TLS file that cannot be read).
func NewAMQP(o Options) (*AMQP, error) {
	if len(o.URL.Brokers) == 0 {
		return nil, stowage.Errorf(stowage.Invalid, "transport URL: no host")
	}
	if on, decided := o.URL.TLS(); decided {
		o.TLS.Enabled = on
	}
	tlsConfig, err := o.TLS.load()
	if err != nil {
		return nil, err
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &AMQP{opts: o, log: o.Logger, rings: make(chan struct{}, maxRings)}
	t.retry = backoff{base: o.RetryInterval, max: o.RetryMax, random: o.Random}
	if t.retry.base <= 0 {
		t.retry.base = time.Second
	}
	if t.retry.max <= 0 {
		t.retry.max = 30 * time.Second
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	d := &dialer{opts: o, tls: tlsConfig, brokers: shuffled(o.URL.Brokers, o.Random)}
	t.pub = newLink(d, t.retry, t.log.With("link", "ring"))
	t.sub = newLink(d, t.retry, t.log.With("link", "listen"))
	t.spawn(func() { t.pub.run(t.ctx) })
	return t, nil
}

// shuffled spreads the clients over the brokers.
func shuffled(brokers []Broker, random func() float64) []Broker {
	brokers = slices.Clone(brokers)
	for i := len(brokers) - 1; i > 0; i-- {
		j := int(random() * float64(i+1))
		brokers[i], brokers[j] = brokers[j], brokers[i]
	}
	return brokers
}

// spawn runs f in a goroutine that Close waits for; false when closed.
func (t *AMQP) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.work.Go(f)
	return true
}

// do runs f, which knows no context, and does not wait for it beyond ctx. What
// f hangs on is a connection; it ends with that, by heartbeat or by Close.
func (t *AMQP) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	if !t.spawn(func() { done <- f() }) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-t.ctx.Done():
		return ErrClosed
	}
}

// Healthy implements Transport.
func (t *AMQP) Healthy(context.Context) error {
	t.mu.Lock()
	closed, listening := t.closed, t.listening
	t.mu.Unlock()
	if closed {
		return stowage.Wrap(stowage.Unavailable, ErrClosed, "the message transport is closed")
	}
	if !t.pub.up() || listening && !t.sub.up() {
		return stowage.Errorf(stowage.Unavailable, "the message broker is away")
	}
	return nil
}

// Close implements Transport.
func (t *AMQP) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.stop()
	t.work.Wait()
	return nil
}
