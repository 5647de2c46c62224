package rpc

import (
	"context"
	"slices"
	"sync"

	"github.com/stowage/stowage"
)

// maxWaiting bounds an in-process queue. Jobs whose bells find no room are
// found by the sweep, as those whose bells were lost are.
const maxWaiting = 10000

// InProcess is a Transport inside one process. Bells are lost when it ends.
type InProcess struct {
	mu      sync.Mutex
	queues  map[string][]Bell // an entry, even an empty one, is a declared queue
	changed chan struct{}     // closed and replaced when a bell may be heard or something was closed
	closed  bool
}

// NewInProcess gives a transport without queues.
func NewInProcess() *InProcess {
	return &InProcess{queues: map[string][]Bell{}, changed: make(chan struct{})}
}

// Ring implements Transport.
func (p *InProcess) Ring(ctx context.Context, queue string, b Bell) error {
	if _, err := encode(queue, b); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return stowage.Wrap(stowage.Unavailable, err, "the bell of job %s was not rung", b.JobID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting, declared := p.queues[queue]
	switch {
	case p.closed:
		return stowage.Wrap(stowage.Unavailable, ErrClosed, "the message transport is closed")
	case !declared:
		return stowage.Wrap(stowage.Unavailable, ErrNoQueue, "no manager has ever listened to %s", queue)
	case len(waiting) >= maxWaiting:
		return stowage.Errorf(stowage.Unavailable, "%d bells wait in %s already", len(waiting), queue)
	}
	b.Queue = queue
	p.queues[queue] = append(waiting, b)
	p.wake()
	return nil
}

// wake lets every waiting Next look again. The caller holds mu.
func (p *InProcess) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Listen implements Transport.
func (p *InProcess) Listen(_ context.Context, queues []string) (Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	for _, q := range queues {
		if q == "" || len(q) > maxQueueName {
			return nil, stowage.Errorf(stowage.Invalid, "a queue has a name of 1 to %d bytes", maxQueueName)
		}
		if _, declared := p.queues[q]; !declared {
			p.queues[q] = nil
		}
	}
	return &localListener{p: p, queues: slices.Clone(queues), held: map[*Bell]bool{}}, nil
}

// Healthy implements Transport.
func (p *InProcess) Healthy(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return stowage.Wrap(stowage.Unavailable, ErrClosed, "the message transport is closed")
	}
	return nil
}

// Close implements Transport.
func (p *InProcess) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wake()
	return nil
}

// localListener is a Listener of an InProcess; everything in it is guarded by p.mu.
type localListener struct {
	p      *InProcess
	queues []string
	held   map[*Bell]bool // given out and not answered
	first  int            // queue to look at first, so that none starves
	closed bool
}

// Next implements Listener.
func (l *localListener) Next(ctx context.Context) (Delivery, error) {
	for {
		l.p.mu.Lock()
		if l.closed || l.p.closed {
			l.p.mu.Unlock()
			return Delivery{}, ErrClosed
		}
		if ctx.Err() == nil {
			if b := l.take(); b != nil {
				l.p.mu.Unlock()
				return l.delivery(b), nil
			}
		}
		changed := l.p.changed
		l.p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Delivery{}, ctx.Err()
		}
	}
}

// take moves a bell from its queue to held.
func (l *localListener) take() *Bell {
	for i := range l.queues {
		at := (l.first + i) % len(l.queues)
		q := l.queues[at]
		if waiting := l.p.queues[q]; len(waiting) > 0 {
			b := waiting[0]
			l.p.queues[q] = waiting[1:]
			l.first = at + 1
			l.held[&b] = true
			return &b
		}
	}
	return nil
}

func (l *localListener) delivery(b *Bell) Delivery {
	answer := func(again bool) error {
		l.p.mu.Lock()
		defer l.p.mu.Unlock()
		l.settle(b, again)
		return nil
	}
	return Delivery{
		Bell:    *b,
		Ack:     func() error { return answer(false) },
		Requeue: func() error { return answer(true) },
	}
}

// settle answers a held bell, once. A bell that goes back is the next to be heard.
func (l *localListener) settle(b *Bell, again bool) {
	if !l.held[b] {
		return
	}
	delete(l.held, b)
	if again {
		l.p.queues[b.Queue] = append([]Bell{*b}, l.p.queues[b.Queue]...)
		l.p.wake()
	}
}

// Close implements Listener.
func (l *localListener) Close() error {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.closed = true
	for b := range l.held {
		l.settle(b, true)
	}
	l.p.wake()
	return nil
}
