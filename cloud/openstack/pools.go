package openstack

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// poolRest is the shortest time between two questions for the pools: a volume
// on a host that Cinder does not name must not make us ask at every backup.
const poolRest = 10 * time.Second

// pools remembers which backend is behind which host of Cinder's. What was
// known once is known for ever: a volume service that is down is missing from
// Cinder's list, but its volumes are where they were.
type pools struct {
	life  time.Duration
	now   func() time.Time
	fetch func(context.Context) (map[string]string, error)
	turn  chan struct{} // holds one token: one asks, the others wait

	mu      sync.Mutex
	keys    map[string]string // backend key by host@backend#pool
	fetched time.Time         // last success
	asked   time.Time         // last try
	failure error             // of the last try
}

func newPools(life time.Duration, now func() time.Time, fetch func(context.Context) (map[string]string, error)) *pools {
	p := &pools{life: life, now: now, fetch: fetch, turn: make(chan struct{}, 1), keys: map[string]string{}}
	p.turn <- struct{}{}
	return p
}

// backend gives the key of the backend behind a host.
func (p *pools) backend(ctx context.Context, host string) (string, error) {
	if key, fresh := p.look(host); fresh {
		return key, nil
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { p.turn <- struct{}{} }()
	if key, fresh := p.look(host); fresh { // whoever went before us asked
		return key, nil
	}
	if p.mayAsk() {
		keys, err := p.fetch(ctx)
		if ctx.Err() != nil { // says nothing of Cinder: whoever waits may ask
			return "", ctx.Err()
		}
		p.keep(keys, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if key := p.keys[host]; key != "" {
		return key, nil
	}
	if p.failure != nil {
		return "", p.failure
	}
	return "", fmt.Errorf("the scheduler knows no pool %s", host)
}

// look gives what is known of a host, and whether that is good enough.
func (p *pools) look(host string) (key string, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key = p.keys[host]
	return key, key != "" && p.now().Sub(p.fetched) < p.life
}

func (p *pools) mayAsk() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.IsZero() || p.now().Sub(p.asked) >= poolRest
}

func (p *pools) keep(keys map[string]string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.failure = p.now(), err
	if err == nil {
		p.fetched = p.asked
		maps.Copy(p.keys, keys)
	}
}
