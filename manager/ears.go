package manager

import (
	"context"
	"time"

	"github.com/stowage/stowage/rpc"
)

// ears listen to the queues of the backends that are open. Without a broker
// they are deaf, and wait returns every SweepInterval so that the table is
// looked at all the same.
type ears struct {
	m        *Manager
	listener rpc.Listener
	changed  <-chan struct{} // the set of backends the listener knows is old
}

func newEars(m *Manager) *ears { return &ears{m: m} }

// wait waits for a bell, for a change of the backends, or for SweepInterval.
// What it gives answers the bell, once the table was looked at.
func (e *ears) wait(ctx context.Context) (answer func()) {
	nothing := func() {}
	if _, enabled := e.m.keys(); !enabled {
		pause(ctx, e.m.SweepInterval)
		return nothing
	}
	ctx, cancel := context.WithTimeout(ctx, e.m.SweepInterval)
	defer cancel()
	if !e.listen(ctx) {
		<-ctx.Done()
		return nothing
	}
	go func(changed <-chan struct{}) {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}(e.changed)
	d, err := e.listener.Next(ctx)
	if err != nil {
		return nothing
	}
	return func() {
		if err := d.Ack(); err != nil {
			e.m.Log.Debug("bell not answered, it rings again", "job", d.JobID, "error", err)
		}
	}
}

// listen makes sure that there is a listener for the backends there are now.
func (e *ears) listen(ctx context.Context) bool {
	if e.listener != nil {
		select {
		case <-e.changed:
			e.close()
		default:
			return true
		}
	}
	e.m.mu.Lock()
	e.changed = e.m.changed
	e.m.mu.Unlock()
	keys, _ := e.m.keys()
	queues := []string{rpc.AnyQueue}
	for _, k := range keys {
		queues = append(queues, rpc.BackendQueue(k))
	}
	l, err := e.m.Transport.Listen(ctx, queues)
	if err != nil {
		if ctx.Err() == nil {
			e.m.Log.Warn("queues not listened to, will be tried again", "error", err)
		}
		return false
	}
	e.listener = l
	return true
}

func (e *ears) close() {
	if e.listener == nil {
		return
	}
	if err := e.listener.Close(); err != nil {
		e.m.Log.Debug("listener closed", "error", err)
	}
	e.listener = nil
}

// pause waits, or returns when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
