package engine

import (
	"context"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/pack"
	"github.com/stowage/stowage/engine/seal"
)

// newPacker makes the packer of a job that holds a processor.
func (r *rig) newPacker(n byte) *packer {
	r.t.Helper()
	in := r.input(nil)
	keys := manifest.NewKeys(seal.Format{Hash: r.opts.Hash, ChunkBytes: r.opts.ChunkBytes}, nil)
	keys.AddAttempt(in.Attempt, seal.Salt{n})
	number := uint64(0)
	group, ctx := errgroup.WithContext(r.t.Context())
	p := &packer{
		e: r.Engine, store: r.store, volume: "vol-1", keys: keys, attempt: in.Attempt, next: func() uint64 { number++; return number },
		uploads: group, ctx: ctx, stored: func(int) {}, cpus: r.cpus(), done: map[manifest.Place]manifest.Pack{},
	}
	r.crowd.join(p)
	if err := p.cpus.acquire(ctx); err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) pack(p *packer, number uint64, n int) error {
	data := r.random(n)
	_, err := p.add(r.t.Context(), pack.Entry{Number: number, Codec: codec.Raw, Length: n, Hash: r.opts.Hash.Sum(data)}, data)
	return err
}

// A job that holds a pack and waits for something else lets it go as soon as
// another waits for the room, whichever of the two begins to wait first.
func TestAnIdleJobGivesItsPackUp(t *testing.T) {
	for _, idleFirst := range []bool{false, true} {
		r := newRig(t, Options{CPUs: 2, PackBudget: 8 * mib, PackBytes: 8 * mib, ChunkBytes: 4 * mib}, false)
		holder, other := r.newPacker(1), r.newPacker(2)
		holder.begin()
		for i := range 2 {
			if err := r.pack(holder, uint64(i), 3*mib); err != nil {
				t.Fatal(err)
			}
		}
		other.begin()
		if idleFirst {
			holder.end()
		}
		arrived := make(chan error)
		go func() { arrived <- r.pack(other, 0, 4*mib) }()
		if !idleFirst {
			for r.crowd.waiting.Load() == 0 {
				select {
				case err := <-arrived:
					t.Fatalf("there was room: %v", err)
				default:
				}
			}
			if holder.open == nil {
				t.Error("the pack of a busy job was taken away")
			}
			holder.end()
		}
		if err := <-arrived; err != nil {
			t.Fatal(err)
		}
		other.end()
		for _, p := range []*packer{holder, other} {
			p.finish(false)
			if err := p.uploads.Wait(); err != nil {
				t.Fatal(err)
			}
			p.cpus.release()
			if packs, err := p.arrived(); err != nil || len(packs) != 1 {
				t.Errorf("%d packs arrived, %v", len(packs), err)
			}
			p.abandon()
		}
		r.whole()
	}
}

// Who waits for room and is cancelled goes, and nothing is missing after it.
func TestAWaitForRoomCanBeCancelled(t *testing.T) {
	r := newRig(t, Options{PackBudget: 8 * mib}, false)
	p := r.newPacker(1)
	if err := r.Engine.packs.Acquire(t.Context(), 8*mib); err != nil {
		t.Fatal(err)
	}
	p.begin()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := p.add(ctx, pack.Entry{Codec: codec.Raw, Length: 1}, []byte{1})
		ended <- err
	}()
	for r.crowd.waiting.Load() == 0 {
		select {
		case err := <-ended:
			t.Fatalf("there was room: %v", err)
		default:
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("it got room")
	}
	p.end()
	p.cpus.release()
	p.finish(true)
	p.abandon()
	r.Engine.packs.Release(8 * mib)
	r.whole()
}
