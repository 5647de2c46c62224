package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/stowage/stowage/engine/codec"
)

// buffers lends buffers of one size that lie outside the Go heap, so that the
// collector neither looks at them nor waits for as much again before it runs.
type buffers struct {
	size int
	room *semaphore.Weighted // nil: as many as are asked for
	keep int                 // how many are kept when they are not used

	mu   sync.Mutex
	free [][]byte
	lent int // and not given back yet
}

// newBuffers makes room for so many buffers at once; 0: as many as are asked for.
func newBuffers(size, room, keep int) *buffers {
	b := &buffers{size: size, keep: keep}
	if room > 0 {
		b.room = semaphore.NewWeighted(int64(room))
	}
	return b
}

// get waits for a buffer.
func (b *buffers) get(ctx context.Context) ([]byte, error) {
	if b.room != nil {
		if err := b.room.Acquire(ctx, 1); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		buf := b.free[n-1]
		b.free = b.free[:n-1]
		b.lent++
		return buf, nil
	}
	buf, err := mapped(b.size)
	if err != nil {
		if b.room != nil {
			b.room.Release(1)
		}
		return nil, err
	}
	b.lent++
	return buf, nil
}

// mapped gets memory that lies outside the Go heap.
func mapped(size int) ([]byte, error) {
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("get %d bytes of memory: %w", size, err)
	}
	return buf, nil
}

// unmap gives back what mapped got.
func unmap(buf []byte) {
	if err := unix.Munmap(buf); err != nil {
		panic(fmt.Sprintf("engine: give back a buffer: %v", err)) // not ours: memory is corrupt
	}
}

// put gives a buffer back.
func (b *buffers) put(buf []byte) {
	b.mu.Lock()
	b.lent--
	kept := len(b.free) < b.keep
	if kept {
		b.free = append(b.free, buf[:b.size])
	}
	b.mu.Unlock()
	if !kept {
		unmap(buf[:b.size])
	}
	if b.room != nil {
		b.room.Release(1)
	}
}

// codecs lends the state of compressors.
type codecs struct {
	mu   sync.Mutex
	free []*codec.Codec
}

func (c *codecs) get() (*codec.Codec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		one := c.free[n-1]
		c.free = c.free[:n-1]
		return one, nil
	}
	return codec.New()
}

func (c *codecs) put(one *codec.Codec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, one)
}

// cpus are the processors a job may use: its own share, and all there are.
type cpus struct{ job, all *semaphore.Weighted }

func (e *Engine) cpus() *cpus {
	return &cpus{job: semaphore.NewWeighted(int64(e.opts.JobCPUs)), all: e.cpu}
}

func (c *cpus) acquire(ctx context.Context) error {
	if err := c.job.Acquire(ctx, 1); err != nil {
		return err
	}
	if err := c.all.Acquire(ctx, 1); err != nil {
		c.job.Release(1)
		return err
	}
	return nil
}

func (c *cpus) release() {
	c.all.Release(1)
	c.job.Release(1)
}

// crowd is the jobs that store chunks, each with its packer.
type crowd struct {
	waiting atomic.Int64 // how many wait for room for packs

	mu  sync.Mutex
	all map[*packer]bool
}

func (c *crowd) join(p *packer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[p] = true
}

func (c *crowd) leave(p *packer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, p)
}

// wait waits for room for packs. Jobs that have a pack and nobody who fills it
// upload it: those now, and others when it comes to that, since they see that
// somebody waits.
func (c *crowd) wait(ctx context.Context, room *semaphore.Weighted, n int64) error {
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.all))
	c.mu.Unlock()
	for _, p := range all {
		p.yield()
	}
	return room.Acquire(ctx, n)
}

// burst is how many bytes may go at once under a limit.
const burst = 8 << 20

func limiter(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// traffic waits until n bytes may go, under the limits of the process and of
// the job.
func traffic(ctx context.Context, n int, limits ...*rate.Limiter) error {
	for _, l := range limits {
		for left := n; l != nil && left > 0; left -= burst {
			if err := l.WaitN(ctx, min(left, burst)); err != nil {
				return err
			}
		}
	}
	return nil
}
