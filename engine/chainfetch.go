package engine

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
)

// chainFetcher reads the objects of a chain in the order of the volume.
type chainFetcher struct {
	*Engine
	store drivers.Store
	chain *OpenedChain
	limit *rate.Limiter
	cpus  *cpus
}

func (e *Engine) newChainFetcher(store drivers.Store, c *OpenedChain) *chainFetcher {
	return &chainFetcher{Engine: e, store: store, chain: c, limit: limiter(e.opts.JobBytesPerSecond), cpus: e.cpus()}
}

// partSink takes what a chainFetcher finds. All but next are called by many
// goroutines at once.
type partSink interface {
	// next is told of an object before it is fetched, in the order of their
	// offsets, and gives the hashes its part is to be held against.
	next(p cinderbackup.Part) (sums, error)
	// part gets what is in an object, checked. spare is room for whatever.
	part(ctx context.Context, p cinderbackup.Part, s sums, plain, spare []byte) error
	// damaged is told of an object that cannot be had. Its error ends everything.
	damaged(p cinderbackup.Part, err error) error
}

// run reads every object once.
func (f *chainFetcher) run(ctx context.Context, s partSink) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(f.opts.Fetches)
	for i := range f.chain.Len() {
		if gctx.Err() != nil {
			break
		}
		p := f.chain.Part(i)
		hashes, err := s.next(p)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error { return f.fetch(gctx, s, p, hashes) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// fetch reads one object and gives it to the sink. It first gets a buffer and
// then room for what is in the object, as those do who make packs. An object
// that is not what it was is asked for once more.
func (f *chainFetcher) fetch(ctx context.Context, s partSink, p cinderbackup.Part, hashes sums) error {
	buf, err := f.reads.get(ctx)
	if err != nil {
		return err
	}
	defer f.reads.put(buf)
	if err := f.crowd.wait(ctx, f.packs, p.Length); err != nil {
		return err
	}
	defer f.packs.Release(p.Length)
	plain, err := mapped(int(p.Length))
	if err != nil {
		return err
	}
	defer unmap(plain)
	for range 2 {
		if err = f.read(ctx, p, plain, buf); err == nil {
			return s.part(ctx, p, hashes, plain, buf)
		}
		if !isMissing(err) && stowage.CodeOf(err) != stowage.Corrupt {
			return err
		}
	}
	return s.damaged(p, fmt.Errorf("%s: %w", p.Name, err))
}

// read fills plain with what is in an object, and checks it.
func (f *chainFetcher) read(ctx context.Context, p cinderbackup.Part, plain, buf []byte) error {
	if err := f.cpus.acquire(ctx); err != nil {
		return err
	}
	defer f.cpus.release()
	object := &reading{ctx: ctx, store: f.store, name: p.Name, buf: buf, limits: []*rate.Limiter{f.rate, f.limit}, cpus: f.cpus}
	if err := cinderbackup.Decompress(plain, object, p.Compression); err != nil {
		return err
	}
	if md5.Sum(plain) != p.MD5 {
		return stowage.Errorf(stowage.Corrupt, "its MD5 is not the one that was written down")
	}
	return nil
}

// chained is a chain that was opened for a restore.
type chained struct {
	*OpenedChain
	e     *Engine
	store drivers.Store
}

func (e *Engine) openChain(ctx context.Context, store drivers.Store, chain *cinderbackup.Chain, digest string) (*chained, error) {
	c, err := e.OpenChain(ctx, store, chain, digest)
	if err != nil {
		return nil, err
	}
	return &chained{c, e, store}, nil
}

func (c *chained) bytes() int64 { return c.Bytes }
func (c *chained) close()       { c.Close() }

func (c *chained) lookAt(ctx context.Context) ([]Damage, error) {
	found, _, err := c.LookAtChain(ctx, nil)
	return found, err
}

func (c *chained) write(ctx context.Context, out *outlet) error {
	return c.e.newChainFetcher(c.store, c.OpenedChain).run(ctx, &partWriter{out})
}

// partWriter writes what is wanted of objects.
type partWriter struct{ *outlet }

// comparePiece is the grain at which what the target holds is left alone.
const comparePiece = 256 << 10

func (w *partWriter) next(cinderbackup.Part) (sums, error) { return sums{}, nil }

func (w *partWriter) part(ctx context.Context, p cinderbackup.Part, _ sums, plain, spare []byte) error {
	for _, r := range p.Runs {
		for at := r.Offset; at < r.End(); {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(r.End()-at, comparePiece)
			if err := w.piece(at, plain[at-p.Offset:][:n], spare); err != nil {
				return err
			}
			w.progress.done.Add(n)
			at += n
		}
	}
	return nil
}

// piece writes a piece unless the target holds it already.
func (w *partWriter) piece(at int64, plain, spare []byte) error {
	if w.holds != nil {
		held := spare[:len(plain)]
		if err := readFully(w.holds, held, at); err != nil {
			return fmt.Errorf("read the target: %w", err)
		}
		if bytes.Equal(held, plain) {
			return nil
		}
	}
	return w.put(at, plain)
}

// damaged ends the restore: what follows might be damaged as well.
func (w *partWriter) damaged(_ cinderbackup.Part, err error) error { return err }
