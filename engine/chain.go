package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
)

// maxChain bounds the bytes of _metadata that are open at once, in all jobs of
// the process. An entry takes some 330 bytes there, and a third of that in
// memory; 128 MiB list some 400,000 objects, which is 20 TiB in objects of the
// usual length.
const maxChain = 128 << 20

// OpenedChain is a backup of cinder-backup's that was read. It takes of the
// process's bound until it is closed.
type OpenedChain struct {
	*cinderbackup.Image
	// Digest is the SHA-256 in hex of the SHA-256s of the chain's _metadata
	// objects, the newest first: it changes when any of them does.
	Digest string
	// MetadataBytes is what the _metadata objects have, all together.
	MetadataBytes int64

	e     *Engine
	store drivers.Store
	taken int64
}

// OpenChain reads the _metadata of each backup in the chain, and finds out what
// of the volume is in which object. The digest is checked unless it is empty.
// Corrupt: something is not of the format, or was written over. OverLimit: it is
// more than this engine's memory.
func (e *Engine) OpenChain(ctx context.Context, store drivers.Store, chain *cinderbackup.Chain, digest string) (_ *OpenedChain, err error) {
	c := &OpenedChain{e: e, store: store}
	sizes := make([]int64, len(chain.Members))
	for i, m := range chain.Members {
		info, err := store.Stat(ctx, m.Prefix.Metadata())
		if err != nil {
			return nil, lost(err, m.Prefix.Metadata())
		}
		sizes[i] = info.Bytes
		if c.MetadataBytes += info.Bytes; info.Bytes > maxChain || c.MetadataBytes > maxChain {
			return nil, stowage.Errorf(stowage.OverLimit, "the lists of the backup's objects have more than %d MiB", maxChain>>20)
		}
	}
	if err := e.chains.Acquire(ctx, c.MetadataBytes); err != nil {
		return nil, err
	}
	c.taken = c.MetadataBytes
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	var list []*cinderbackup.Metadata
	all := sha256.New()
	for i, m := range chain.Members {
		one, sum, err := e.readMetadata(ctx, store, m.Prefix, sizes[i])
		if err != nil {
			return nil, err
		}
		all.Write(sum[:])
		list = append(list, one)
	}
	if c.Digest = hex.EncodeToString(all.Sum(nil)); digest != "" && c.Digest != digest {
		return nil, stowage.Errorf(stowage.Corrupt, "the lists of the backup's objects were changed after it was imported")
	}
	if c.Image, err = cinderbackup.NewImage(list); err != nil {
		return nil, err
	}
	return c, c.fits()
}

// fits makes sure that every object has room.
func (c *OpenedChain) fits() error {
	for i := range c.Len() {
		if n := c.Part(i).Length; n > c.e.opts.PackBudget {
			return stowage.Errorf(stowage.OverLimit, "%s holds %d MiB, and [engine] pack_memory_mb is %d",
				c.Part(i).Name, (n+1<<20-1)>>20, c.e.opts.PackBudget>>20)
		}
	}
	return nil
}

// Close gives up what the chain takes of the bound.
func (c *OpenedChain) Close() {
	c.e.chains.Release(c.taken)
	c.taken = 0
}

// ReadMetadata reads the _metadata of one backup, for who looks for the others
// of its chain.
func (e *Engine) ReadMetadata(ctx context.Context, store drivers.Store, p cinderbackup.Prefix) (*cinderbackup.Metadata, error) {
	info, err := store.Stat(ctx, p.Metadata())
	if err != nil {
		return nil, lost(err, p.Metadata())
	}
	if info.Bytes > maxChain {
		return nil, stowage.Errorf(stowage.OverLimit, "%s has more than %d MiB", p.Metadata(), maxChain>>20)
	}
	m, _, err := e.readMetadata(ctx, store, p, info.Bytes)
	return m, err
}

func (e *Engine) readMetadata(ctx context.Context, store drivers.Store, p cinderbackup.Prefix, size int64) (*cinderbackup.Metadata, [32]byte, error) {
	var sum [32]byte
	buf, err := e.reads.get(ctx)
	if err != nil {
		return nil, sum, err
	}
	defer e.reads.put(buf)
	h := sha256.New()
	object := &reading{ctx: ctx, store: store, name: p.Metadata(), buf: buf, limits: []*rate.Limiter{e.rate}}
	m, err := cinderbackup.ReadMetadata(io.TeeReader(io.LimitReader(object, size), h), p)
	if err != nil {
		return nil, sum, err
	}
	return m, [32]byte(h.Sum(nil)), nil
}

// reading reads an object from its beginning, a buffer at a time.
type reading struct {
	ctx    context.Context
	store  drivers.Store
	name   string
	buf    []byte
	limits []*rate.Limiter
	cpus   *cpus // given back while the store is waited for; nil: none is held

	at   int64
	have []byte
	end  bool
}

// Read gives what comes next.
func (r *reading) Read(p []byte) (int, error) {
	if len(r.have) == 0 && !r.end {
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	if len(r.have) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.have)
	r.have = r.have[n:]
	return n, nil
}

func (r *reading) fetch() error {
	if r.cpus != nil {
		r.cpus.release()
	}
	n, err := r.store.Get(r.ctx, r.name, r.buf, r.at)
	if err != nil {
		err = lost(err, r.name)
	} else {
		err = traffic(r.ctx, n, r.limits...) // how much there is, is known only now
	}
	if r.cpus != nil {
		if again := r.cpus.acquire(context.WithoutCancel(r.ctx)); again != nil && err == nil {
			err = again // never: that context does not end
		}
	}
	if err != nil {
		return err
	}
	r.at += int64(n)
	r.have, r.end = r.buf[:n], n < len(r.buf)
	return nil
}

// LookAtChain looks at every object a restore reads, without reading any but the
// _metadata, and names those that are gone or cannot be what was stored. The
// second figure is what the objects that are the backup's own have.
func (c *OpenedChain) LookAtChain(ctx context.Context, progress *Progress) (found []Damage, own int64, err error) {
	if progress != nil {
		progress.all.Store(int64(c.Len()))
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(c.e.opts.Fetches)
	var mu sync.Mutex
	for i := range c.Len() {
		if gctx.Err() != nil {
			break
		}
		p := c.Part(i)
		group.Go(func() error {
			why, bytes, err := c.look(gctx, p)
			if err != nil {
				return err
			}
			if progress != nil {
				progress.done.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			if p.Own {
				own += bytes
			}
			if why != "" && len(found) < maxDamages {
				found = append(found, Damage{p.Name, why})
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	return found, own, ctx.Err()
}

// look tells what is wrong with an object, as far as its length and its MD5 say.
// An object that is not compressed has those of what is in it.
func (c *OpenedChain) look(ctx context.Context, p cinderbackup.Part) (why string, bytes int64, err error) {
	info, err := c.store.Stat(ctx, p.Name)
	plain := p.Compression == cinderbackup.None
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return gone, 0, nil
	case err != nil:
		return "", 0, fmt.Errorf("look at %s: %w", p.Name, err)
	case plain && info.Bytes != p.Length:
		why = fmt.Sprintf("it has %d bytes instead of %d", info.Bytes, p.Length)
	case info.Bytes > p.MaxStored() || info.Bytes == 0:
		why = fmt.Sprintf("it has %d bytes, which cannot be %d compressed", info.Bytes, p.Length)
	case plain && info.ETag != "" && info.ETag != hex.EncodeToString(p.MD5[:]):
		why = "it was changed after it was written"
	}
	return why, info.Bytes, nil
}
