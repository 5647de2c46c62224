package harness

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/embedded"
)

// Nova is an inventory: the embedded volumes, and servers that the test makes.
type Nova struct {
	Volumes *embedded.Volumes
	mu      sync.Mutex
	servers []server
	volumes func(*cloud.Volume)
	kinds   map[stowage.ResourceKind][]stowage.Resource
	asked   []time.Time
	alone   []string
	out     map[string]error
	err     error
	awaited int
	crowd   chan struct{}
}

type server struct {
	cloud.Server
	changed time.Time
}

// Set makes a server, or changes it, at the time.
func (n *Nova) Set(s cloud.Server, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = slices.DeleteFunc(n.servers, func(o server) bool { return o.ID == s.ID })
	n.servers = append(n.servers, server{s, at})
}

// Purge forgets a server without a trace, as Nova does with deleted ones later.
func (n *Nova) Purge(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = slices.DeleteFunc(n.servers, func(o server) bool { return o.ID == id })
}

// LeaveOut makes lists lack these servers and volumes from now on, and no others, as
// Nova's lack the servers of a cell that is down. Whoever asks for one of them alone gets
// the error; nil: gets it.
func (n *Nova) LeaveOut(err error, ids ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.out = map[string]error{}
	for _, id := range ids {
		n.out[id] = err
	}
}

// Change makes the inventory tell something else of volumes.
func (n *Nova) Change(fn func(*cloud.Volume)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.volumes = fn
}

// Offer sets the resources of a kind.
func (n *Nova) Offer(kind stowage.ResourceKind, list ...stowage.Resource) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kinds == nil {
		n.kinds = map[stowage.ResourceKind][]stowage.Resource{}
	}
	n.kinds[kind] = list
}

// Fail makes questions about servers fail; nil: no longer.
func (n *Nova) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// Crowd makes questions for servers wait until so many are asked at once.
func (n *Nova) Crowd(size int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.awaited, n.crowd = size, make(chan struct{})
}

// Crowded tells that no crowd is waited for.
func (n *Nova) Crowded() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.crowd == nil
}

// join waits for the crowd, if there is to be one.
func (n *Nova) join(ctx context.Context) error {
	n.mu.Lock()
	crowd := n.crowd
	if n.awaited--; n.awaited == 0 {
		close(crowd)
		n.crowd = nil
	}
	n.mu.Unlock()
	if crowd == nil {
		return nil
	}
	select {
	case <-crowd:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Asked gives the times since which changes were asked for, zero for all.
func (n *Nova) Asked() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

// EachServer tells deleted servers only where changes are asked for.
func (n *Nova) EachServer(ctx context.Context, since time.Time, fn func(cloud.Server) error) error {
	if err := n.join(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	n.asked = append(n.asked, since)
	servers, out, err := slices.Clone(n.servers), n.out, n.err
	n.mu.Unlock()
	for _, s := range servers {
		if _, lacks := out[s.ID]; !lacks && err == nil && !s.changed.Before(since) && (!s.Deleted || !since.IsZero()) {
			err = fn(s.Server)
		}
	}
	return err
}

// EachVolume tells of the files.
func (n *Nova) EachVolume(ctx context.Context, fn func(cloud.Volume) error) error {
	n.mu.Lock()
	change, out := n.volumes, n.out
	n.mu.Unlock()
	return n.Volumes.EachVolume(ctx, func(v cloud.Volume) error {
		if _, lacks := out[v.ID]; lacks {
			return nil
		}
		if change != nil {
			change(&v)
		}
		return fn(v)
	})
}

// AskedFor gives the servers and volumes that were asked for alone.
func (n *Nova) AskedFor() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.alone)
}

// Server gives one that is not deleted.
func (n *Nova) Server(_ context.Context, id string) (cloud.Server, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alone = append(n.alone, id)
	if err := cmp.Or(n.err, n.out[id]); err != nil {
		return cloud.Server{}, err
	}
	at := slices.IndexFunc(n.servers, func(s server) bool { return s.ID == id && !s.Deleted })
	if at < 0 {
		return cloud.Server{}, stowage.Errorf(stowage.NotFound, "Server %s could not be found.", id)
	}
	return n.servers[at].Server, nil
}

// Volume gives that of a file.
func (n *Nova) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	n.mu.Lock()
	n.alone = append(n.alone, id)
	change, err := n.volumes, n.out[id]
	n.mu.Unlock()
	if err != nil {
		return cloud.Volume{}, err
	}
	v, err := n.Volumes.Volume(ctx, id)
	if err == nil && change != nil {
		change(&v)
	}
	return v, err
}

// Resources gives what was offered.
func (n *Nova) Resources(_ context.Context, kind stowage.ResourceKind) ([]stowage.Resource, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kinds[kind], nil
}
