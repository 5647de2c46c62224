package rpc

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// link keeps one connection up, for ever.
type link struct {
	dialer *dialer
	retry  backoff
	log    *slog.Logger

	mu      sync.Mutex
	conn    *connection   // nil while the broker is away
	changed chan struct{} // closed and replaced when conn changes
}

func newLink(d *dialer, retry backoff, log *slog.Logger) *link {
	return &link{dialer: d, retry: retry, log: log, changed: make(chan struct{})}
}

// run connects, and connects again, until ctx ends.
func (l *link) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		conn, err := l.dialer.dial(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.log.Warn("message broker is away", "failures", failures+1, "error", err)
			}
			l.retry.wait(ctx, failures)
			failures++
			continue
		}
		failures = 0
		l.keep(ctx, conn)
		// After a loss too we wait a little: all clients lost it together.
		l.retry.wait(ctx, 0)
	}
}

// keep offers the connection until it breaks or ctx ends.
func (l *link) keep(ctx context.Context, conn *connection) {
	lost := conn.NotifyClose(make(chan *amqp.Error, 1))
	l.set(conn)
	l.log.Info("message broker connected", "broker", conn.broker)
	select {
	case err := <-lost:
		l.log.Warn("message broker lost", "broker", conn.broker, "error", err)
	case <-ctx.Done():
	}
	l.set(nil)
	conn.end()
}

func (l *link) set(conn *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	close(l.changed)
	l.changed = make(chan struct{})
}

// up reports whether there is a connection now.
func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil && !l.conn.IsClosed()
}

// get waits for a connection until ctx ends.
func (l *link) get(ctx context.Context) (*connection, error) {
	for {
		l.mu.Lock()
		conn, changed := l.conn, l.changed
		l.mu.Unlock()
		if conn != nil && !conn.IsClosed() {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(errors.New("wait for the message broker"), ctx.Err())
		}
	}
}
