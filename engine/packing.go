package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/pack"
	"github.com/stowage/stowage/engine/seal"
)

const (
	// packSlack is room for a pack's header, index and trailer, and for the
	// chunk that brings it over its size.
	packSlack = 8 << 20
	// packStep is how much of the budget a pack takes at a time while it fills.
	packStep = 1 << 20
	// smallestPack is what packs shrink to when many jobs share the budget.
	smallestPack = 8 << 20
)

// packer collects chunks in packs and uploads them. One pack is open at a time.
type packer struct {
	e       *Engine
	store   drivers.Store
	volume  string
	keys    *manifest.Keys
	attempt manifest.Attempt
	next    func() uint64
	uploads *errgroup.Group
	ctx     context.Context // of the uploads
	stored  func(int)
	cpus    *cpus

	mu    sync.Mutex
	busy  int  // workers that hold what they read, and do not wait for room
	ended bool // no pack is closed any more
	open  *openPack
	done  map[manifest.Place]manifest.Pack
	made  int
}

// openPack is a pack being filled; later, being uploaded.
type openPack struct {
	*pack.Builder
	place   manifest.Place
	boxes   *seal.Boxes
	buf     []byte
	granted int64
	filling sync.WaitGroup // rooms that are reserved and not filled yet
}

// entryRoom and endRoom are more than an entry of the index, and what else comes
// with a pack's end, take.
const (
	entryRoom = 54
	endRoom   = 2048
)

// length is more than the pack gets with one more chunk of n bytes.
func (o *openPack) length(n int) int64 {
	return int64(o.Bytes() + n + o.boxes.Overhead() + (o.Chunks()+1)*entryRoom + endRoom)
}

// target is how large a pack may get now.
func (p *packer) target() int64 {
	share := p.e.opts.PackBudget / (2 * max(p.e.jobs.Load(), 1))
	return min(int64(p.e.opts.PackBytes), max(share, smallestPack))
}

// add stores one chunk, given in the form it is stored in. It may be called by
// many goroutines.
func (p *packer) add(ctx context.Context, e pack.Entry, stored []byte) (manifest.Entry, error) {
	for {
		p.mu.Lock()
		o, err := p.openLocked(ctx)
		if err != nil {
			p.mu.Unlock()
			return manifest.Entry{}, err
		}
		length := o.length(len(stored))
		if length <= o.granted {
			placed, room, ok := o.Reserve(e, len(stored))
			if ok {
				o.filling.Add(1)
				if int64(o.Bytes()) >= p.target() {
					p.closeLocked()
				}
				p.mu.Unlock()
				o.boxes.Seal(room[:0], stored, e.Number)
				o.filling.Done()
				return manifest.Entry{
					Chunk: e.Number, Codec: e.Codec, Pack: o.place, Offset: placed.Offset, Stored: placed.Stored, Hash: e.Hash,
				}, nil
			}
			if o.Chunks() == 0 {
				p.mu.Unlock()
				return manifest.Entry{}, fmt.Errorf("a chunk of %d bytes does not fit into an empty pack", len(stored))
			}
			p.closeLocked()
			p.mu.Unlock()
			continue
		}
		step := max(packStep, length-o.granted)
		if p.e.packs.TryAcquire(step) {
			o.granted += step
			p.mu.Unlock()
			continue
		}
		// Nobody waits for room while he holds a pack: its bytes are the room
		// somebody else waits for.
		p.closeLocked()
		p.busy--
		p.mu.Unlock()
		if err := p.wait(ctx, len(stored)); err != nil {
			return manifest.Entry{}, err
		}
	}
}

// wait waits for room for a chunk of n bytes in the budget, without a
// processor, and opens a pack with it. The worker does not count as busy
// meanwhile.
func (p *packer) wait(ctx context.Context, n int) error {
	// Less than a pack, or crowded jobs would make crumbs.
	step := max(int64(n)+packStep, min(smallestPack, p.target()))
	p.cpus.release()
	err := p.e.crowd.wait(ctx, p.e.packs, step)
	if again := p.cpus.acquire(context.WithoutCancel(ctx)); again != nil && err == nil {
		err = again // never: that context does not end
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy++
	if err != nil {
		return err
	}
	o, err := p.openLocked(ctx)
	if err != nil || o.length(n) <= o.granted { // another worker came with room before
		p.e.packs.Release(step)
		return err
	}
	o.granted += step
	return nil
}

// begin tells that a worker holds what it read. Until its end it needs nothing
// but room for packs.
func (p *packer) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy++
}

// end tells that it holds it no more. Who is to begin next may have to wait for
// those who wait for room; so nobody keeps a pack for him.
func (p *packer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy--; p.busy == 0 && p.e.crowd.waiting.Load() > 0 {
		p.closeLocked()
	}
}

// yield closes the open pack if nobody is about to fill it: others wait for the
// room.
func (p *packer) yield() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == 0 && !p.ended {
		p.closeLocked()
	}
}

// openLocked gives the open pack, a new one if there is none.
func (p *packer) openLocked(ctx context.Context) (*openPack, error) {
	if p.open != nil {
		return p.open, nil
	}
	o := &openPack{place: manifest.Place{Attempt: p.attempt, Number: p.next()}}
	h, err := p.keys.Header(seal.Pack, o.place)
	if err != nil {
		return nil, err
	}
	if o.boxes, err = p.keys.Boxes(seal.Pack, o.place); err != nil {
		return nil, err
	}
	if o.buf, err = p.e.rooms.get(ctx); err != nil {
		return nil, err
	}
	o.Builder = pack.NewBuilder(h, o.boxes, o.buf)
	p.open = o
	return o, nil
}

// closeLocked ends the open pack and has it uploaded. An empty one is given
// back.
func (p *packer) closeLocked() {
	o := p.open
	p.open = nil
	switch {
	case o == nil:
	case o.Chunks() == 0:
		p.free(o)
	default:
		if more := o.granted - o.length(0); more > 0 {
			p.e.packs.Release(more)
			o.granted -= more
		}
		p.made++
		p.uploads.Go(func() error {
			defer p.free(o)
			return p.upload(o)
		})
	}
}

func (p *packer) free(o *openPack) {
	p.e.rooms.put(o.buf)
	p.e.packs.Release(o.granted)
}

func (p *packer) upload(o *openPack) error {
	o.filling.Wait()
	c, err := p.e.codecs.get()
	if err != nil {
		return err
	}
	data, err := o.Finish(c)
	p.e.codecs.put(c)
	if err != nil {
		return err
	}
	name := manifest.PackName(p.volume, o.place)
	etag, err := p.store.Put(p.ctx, name, data)
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	sum, err := md5Of(etag)
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	p.stored(len(data))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[o.place] = manifest.Pack{Place: o.place, Bytes: int64(len(data)), MD5: sum}
	return nil
}

// finish uploads what is left, unless the job has failed. After it, and once
// the uploads' group has ended without an error, every pack that was begun has
// arrived.
func (p *packer) finish(failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true // the group may end from now on, and nothing may be added to it
	if !failed {
		p.closeLocked()
	}
}

// abandon gives back a pack that was never closed, after everybody has stopped.
func (p *packer) abandon() {
	p.e.crowd.leave(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != nil {
		p.free(p.open)
		p.open = nil
	}
}

// arrived gives the packs that were uploaded, if those are all.
func (p *packer) arrived() (map[manifest.Place]manifest.Pack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.done) != p.made || p.open != nil {
		return nil, fmt.Errorf("%d packs were begun and %d have arrived", p.made, len(p.done))
	}
	return p.done, nil
}

func md5Of(etag string) (sum [16]byte, err error) {
	b, err := hex.DecodeString(etag)
	if err != nil || len(b) != len(sum) {
		return sum, stowage.Errorf(stowage.Corrupt, "an ETag %.40q is no MD5", etag)
	}
	return [16]byte(b), nil
}
