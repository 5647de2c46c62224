package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stowage/stowage"
)

// deliveryLimit is how often a quorum queue gives out a bell before it drops
// it. RabbitMQ 4 would say 20, and going back to the queue is a normal thing
// for a bell to do.
const deliveryLimit = 1_000_000

// Listen implements Transport.
func (t *AMQP) Listen(ctx context.Context, queues []string) (Listener, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrClosed
	}
	if !t.listening {
		t.listening = true
		t.work.Go(func() { t.sub.run(t.ctx) })
	}
	t.mu.Unlock()
	for _, q := range queues {
		if err := t.declareWithin(ctx, q); err != nil {
			return nil, err
		}
	}
	l := &listener{t: t, queues: slices.Clone(queues), open: map[*held]bool{}}
	l.ctx, l.stop = context.WithCancel(t.ctx)
	return l, nil
}

// declareWithin declares the queue, patient with a broker that is away, but
// not with one that says no.
func (t *AMQP) declareWithin(ctx context.Context, queue string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	for attempt := 0; ; attempt++ {
		conn, err := t.sub.get(ctx)
		if err == nil {
			err = t.do(ctx, func() error {
				ch, err := conn.Channel()
				if err != nil {
					return err
				}
				defer func() { _ = ch.Close() }()
				return t.declare(ch, queue)
			})
		}
		var no *amqp.Error
		switch {
		case err == nil:
			return nil
		case t.ctx.Err() != nil:
			return ErrClosed
		case errors.As(err, &no) && refusal(no.Code):
			return stowage.Wrap(stowage.Invalid, err, "the broker refuses queue %s", queue)
		}
		if !t.retry.wait(ctx, attempt) {
			return stowage.Wrap(stowage.Unavailable, errors.Join(ctx.Err(), err), "declare queue %s", queue)
		}
	}
}

// refusal tells answers that no waiting changes.
func refusal(code int) bool {
	switch code {
	case amqp.AccessRefused, amqp.PreconditionFailed, amqp.ResourceLocked, amqp.NotAllowed:
		return true
	}
	return false
}

// declare makes the queue unless it is there.
func (t *AMQP) declare(ch *amqp.Channel, queue string) error {
	args := amqp.Table{}
	if !t.opts.Classic {
		args["x-queue-type"] = "quorum"
		args["x-delivery-limit"] = int32(deliveryLimit)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
		return fmt.Errorf("declare queue %s: %w", queue, err)
	}
	return nil
}

// listener is a Listener over AMQP. Every Next consumes on channels of its
// own, one per queue: closing a channel gives back all that came through it.
type listener struct {
	t      *AMQP
	queues []string
	ctx    context.Context // ends with Close
	stop   context.CancelFunc

	mu   sync.Mutex
	open map[*held]bool
}

// Next implements Listener.
func (l *listener) Next(ctx context.Context) (Delivery, error) {
	hearing, stop := context.WithCancel(ctx)
	defer stop() // the queues that did not win let go
	defer context.AfterFunc(l.ctx, stop)()
	first := make(chan *held)
	for _, q := range l.queues {
		l.t.spawn(func() { l.hear(hearing, q, first) })
	}
	select {
	case h := <-first:
		return Delivery{Bell: h.bell, Ack: h.ack, Requeue: h.requeue}, nil
	case <-hearing.Done():
		if l.ctx.Err() != nil {
			return Delivery{}, ErrClosed
		}
		return Delivery{}, ctx.Err()
	}
}

// hear brings one bell of the queue, or nothing when ctx ends before.
func (l *listener) hear(ctx context.Context, queue string, first chan<- *held) {
	for failures := 0; ctx.Err() == nil; {
		conn, err := l.t.sub.get(ctx)
		if err != nil {
			return
		}
		h, err := l.consume(ctx, conn, queue)
		switch {
		case err == nil:
			select {
			case first <- h:
			case <-ctx.Done():
				_ = h.requeue()
			}
			return
		case ctx.Err() != nil:
			return
		case conn.IsClosed():
			failures = 0 // the link has its own patience, and its own log lines
			continue
		}
		l.t.log.Warn("listening interrupted", "queue", queue, "error", err)
		l.t.retry.wait(ctx, failures)
		failures++
	}
}

// consume waits for one bell on a new channel. On any error nothing is held.
func (l *listener) consume(ctx context.Context, conn *connection, queue string) (*held, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	h, err := l.firstBell(ctx, ch, queue)
	if err != nil {
		_ = ch.Close()
		return nil, err
	}
	l.mu.Lock()
	l.open[h] = true
	l.mu.Unlock()
	if l.ctx.Err() != nil {
		// Close may have looked at open before this bell was in it.
		_ = h.requeue()
		return nil, ErrClosed
	}
	return h, nil
}

// firstBell declares, consumes and gives the first message that is a bell.
// Declaring every time costs a round trip and heals a deleted queue.
func (l *listener) firstBell(ctx context.Context, ch *amqp.Channel, queue string) (*held, error) {
	if err := l.t.declare(ch, queue); err != nil {
		return nil, err
	}
	// One message per consumer; quorum queues know no other kind of limit.
	if err := ch.Qos(1, 0, false); err != nil {
		return nil, fmt.Errorf("set prefetch: %w", err)
	}
	lost := ch.NotifyClose(make(chan *amqp.Error, 1))
	const tag = "stowage" // unique within the channel is enough
	messages, err := ch.Consume(queue, tag, false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("consume from %s: %w", queue, err)
	}
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return nil, fmt.Errorf("consume from %s: cancelled: %w", queue, closeReason(lost))
			}
			b, err := decode(queue, m.Body)
			if err == nil {
				return &held{l: l, ch: ch, tag: tag, message: m, bell: b}, nil
			}
			// Nobody will ever understand it: let it go, or it comes for ever.
			l.t.log.Warn("message dropped", "queue", queue, "error", err)
			if err := m.Ack(false); err != nil {
				return nil, fmt.Errorf("drop message: %w", err)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// closeReason is why the channel was closed, as far as the broker told.
func closeReason(lost <-chan *amqp.Error) error {
	select {
	case err := <-lost:
		if err != nil {
			return err
		}
	default:
	}
	return errors.New("the queue is gone")
}

// Close implements Listener.
func (l *listener) Close() error {
	l.stop()
	l.mu.Lock()
	open := make([]*held, 0, len(l.open))
	for h := range l.open {
		open = append(open, h)
	}
	l.mu.Unlock()
	for _, h := range open {
		_ = h.requeue()
	}
	return nil
}
