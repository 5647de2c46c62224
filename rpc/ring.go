package rpc

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stowage/stowage"
)

// publisher is a channel in confirm mode. It carries one message at a time,
// which makes a return and a confirm tell of the same message.
type publisher struct {
	conn     *connection
	ch       *amqp.Channel
	returned chan amqp.Return
}

// Ring implements Transport.
func (t *AMQP) Ring(ctx context.Context, queue string, b Bell) error {
	body, err := encode(queue, b)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	for attempt := 0; ; attempt++ {
		err = t.tryRing(ctx, queue, body)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrNoQueue):
			return stowage.Wrap(stowage.Unavailable, err, "no manager has ever listened to %s", queue)
		case t.ctx.Err() != nil:
			return stowage.Wrap(stowage.Unavailable, ErrClosed, "the message transport is closed")
		case ctx.Err() == nil:
			t.log.Debug("bell not confirmed, ringing again", "job", b.JobID, "queue", queue, "error", err)
		}
		if !t.retry.wait(ctx, attempt) {
			return stowage.Wrap(stowage.Unavailable, errors.Join(ctx.Err(), err),
				"the message broker did not take the bell of job %s", b.JobID)
		}
	}
}

// tryRing rings once. The attempt may outlive ctx, and then cleans up behind itself.
func (t *AMQP) tryRing(ctx context.Context, queue string, body []byte) error {
	conn, err := t.pub.get(ctx)
	if err != nil {
		return err
	}
	select {
	case t.rings <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	return t.do(ctx, func() error {
		defer func() { <-t.rings }()
		p, err := t.publisher(conn)
		if err != nil {
			return err
		}
		err = p.publish(ctx, queue, body)
		if err == nil || errors.Is(err, ErrNoQueue) {
			t.putBack(p)
			return err
		}
		// Whatever still comes for this message must not be taken for the
		// next one's.
		_ = p.ch.Close()
		return err
	})
}

// publisher gives an idle channel of the connection, or a new one.
func (t *AMQP) publisher(conn *connection) (*publisher, error) {
	t.mu.Lock()
	for len(t.idle) > 0 {
		p := t.idle[len(t.idle)-1]
		t.idle = t.idle[:len(t.idle)-1]
		if p.conn == conn && !p.ch.IsClosed() {
			t.mu.Unlock()
			return p, nil
		}
	}
	t.mu.Unlock()
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, fmt.Errorf("ask for confirms: %w", err)
	}
	return &publisher{conn: conn, ch: ch, returned: ch.NotifyReturn(make(chan amqp.Return, 1))}, nil
}

// putBack keeps the channel for the next bell; there are never more than maxRings.
func (t *AMQP) putBack(p *publisher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, p)
}

// publish sends one message and waits until the broker has it on disk, or says
// that it has no such queue.
func (p *publisher) publish(ctx context.Context, queue string, body []byte) error {
	confirm, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		Body:         body,
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	taken, err := confirm.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("wait for the broker's confirm: %w", err)
	}
	if !taken {
		return errors.New("the broker did not confirm")
	}
	// The broker sends the return before the confirm, and the library hands
	// both on in order: what was returned is here by now.
	select {
	case r := <-p.returned:
		return fmt.Errorf("%w: %s (%s)", ErrNoQueue, queue, r.ReplyText)
	default:
		return nil
	}
}
