package engine

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
)

// RestoreInput is what a restore needs.
type RestoreInput struct {
	Store drivers.Store
	// Root is the name of the backup's root, and Digest its SHA-256 in hex.
	// Empty: the root is believed as it is.
	Root, Digest string
	Keys         Keyring
	// Chain, if there is one, says that the backup is cinder-backup's: what is
	// read is the chain, Digest is the chain's, and Root and Keys are not asked.
	Chain  *cinderbackup.Chain
	Target drivers.Target
	// Compare reads what the target holds, if it can be read, and writes only
	// what differs.
	Compare bool
	// BeforeWrite is asked once, before the first byte is written. Its error
	// ends the restore.
	BeforeWrite func(context.Context) error
	Progress    *Progress // may be nil
}

// stored is a backup that was opened for a restore.
type stored interface {
	// bytes is the length of the volume.
	bytes() int64
	// lookAt looks at every object, without reading any.
	lookAt(ctx context.Context) ([]Damage, error)
	// write writes the volume.
	write(ctx context.Context, out *outlet) error
	// close gives up what it holds.
	close()
}

// Restore writes the backup to the beginning of the target; what a larger
// target has behind it stays. Every object is looked at before the first byte
// is written, and every chunk is checked before it is. Corrupt: an object is
// not what was stored. An object that is not there is Missing: the store may be
// wrong about that for a while.
func (e *Engine) Restore(ctx context.Context, in RestoreInput) error {
	if in.Progress == nil {
		in.Progress = &Progress{}
	}
	s, err := e.open(ctx, in)
	if err != nil {
		return err
	}
	defer s.close()
	if s.bytes() > in.Target.Size() {
		return stowage.Errorf(stowage.Invalid, "the volume has %d bytes, the backup %d", in.Target.Size(), s.bytes())
	}
	damages, err := s.lookAt(ctx)
	if err != nil {
		return err
	}
	if len(damages) > 0 {
		return damaged(damages)
	}
	in.Progress.all.Store(s.bytes())
	out := &outlet{target: in.Target, progress: in.Progress}
	if out.fresh, err = in.Target.Empty(ctx); err != nil {
		return fmt.Errorf("look at the volume: %w", err)
	}
	if readable, ok := in.Target.(drivers.ReadableTarget); ok && in.Compare && !out.fresh {
		out.holds = readable
	}
	if in.BeforeWrite != nil {
		if err := in.BeforeWrite(ctx); err != nil {
			return err
		}
	}
	if err := s.write(ctx, out); err != nil {
		return err
	}
	if err := in.Target.Flush(); err != nil {
		return fmt.Errorf("flush the volume: %w", err)
	}
	return nil
}

func (e *Engine) open(ctx context.Context, in RestoreInput) (stored, error) {
	if in.Chain != nil {
		return e.openChain(ctx, in.Store, in.Chain, in.Digest)
	}
	root, err := e.ReadRoot(ctx, in.Store, in.Root, in.Digest, in.Keys)
	if err != nil {
		return nil, err
	}
	return &rooted{e, in.Store, root}, nil
}

// rooted is a backup with a root.
type rooted struct {
	*Engine
	store drivers.Store
	root  *Opened
}

func (r *rooted) bytes() int64 { return r.root.Info.VolumeBytes }
func (r *rooted) close()       {}

func (r *rooted) lookAt(ctx context.Context) ([]Damage, error) {
	return r.LookAt(ctx, r.store, r.root.Root, nil)
}

func (r *rooted) write(ctx context.Context, out *outlet) error {
	w := &writer{fetcher: r.newFetcher(r.store, r.root), outlet: out}
	return w.run(ctx, w)
}

// damaged makes one error of many damages. If all that is wrong is that
// objects are not there, it is Missing.
func damaged(damages []Damage) error {
	what := Describe(damages)
	missing := true
	for _, d := range damages {
		missing = missing && d.Why == gone
	}
	if missing {
		return &Missing{stowage.Errorf(stowage.Unavailable, "%s", what)}
	}
	return stowage.Errorf(stowage.Corrupt, "%s", what)
}

// writer writes what a fetcher finds to a target.
type writer struct {
	*fetcher
	*outlet
}

// zeroPiece is how much is made zeros at a time, so that progress moves and a
// cancelled restore stops.
const zeroPiece = 256 << 20

// window makes zeros of what has no data, and leaves out what the target holds
// already.
func (w *writer) window(ctx context.Context, from, to uint64, entries []entry) ([]entry, error) {
	next := from
	for _, e := range entries {
		if err := w.gap(ctx, next, e.Chunk); err != nil {
			return nil, err
		}
		next = e.Chunk + 1
	}
	if err := w.gap(ctx, next, to); err != nil || w.holds == nil {
		return entries, err
	}
	return w.differing(ctx, entries)
}

// gap makes zeros of the chunks from one to before another.
func (w *writer) gap(ctx context.Context, from, to uint64) error {
	unit := int64(w.root.Format.ChunkBytes)
	at, end := int64(from)*unit, min(int64(to)*unit, w.root.Info.VolumeBytes)
	for at < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(end-at, zeroPiece)
		if err := w.zero(at, n); err != nil {
			return err
		}
		w.progress.done.Add(n)
		at += n
	}
	return nil
}

// differing gives the entries that the target does not hold.
func (w *writer) differing(ctx context.Context, entries []entry) ([]entry, error) {
	differs := make([]bool, len(entries))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(w.opts.Readers)
	per := max(readBytes/w.root.Format.ChunkBytes, 1)
	for begin := 0; begin < len(entries) && gctx.Err() == nil; begin += per {
		group.Go(func() error {
			buf, err := w.reads.get(gctx)
			if err != nil {
				return err
			}
			defer w.reads.put(buf)
			for i := begin; i < min(begin+per, len(entries)); i++ {
				if differs[i], err = w.differs(gctx, entries[i], buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	wanted := entries[:0]
	for i, e := range entries {
		if differs[i] {
			wanted = append(wanted, e)
		} else {
			w.progress.done.Add(int64(w.length(e.Chunk)))
		}
	}
	return wanted, ctx.Err()
}

func (w *writer) differs(ctx context.Context, e entry, buf []byte) (bool, error) {
	at := int64(e.Chunk) * int64(w.root.Format.ChunkBytes)
	buf = buf[:w.length(e.Chunk)]
	if err := readFully(w.holds, buf, at); err != nil {
		return false, fmt.Errorf("read the target: %w", err)
	}
	if err := w.cpus.acquire(ctx); err != nil {
		return false, err
	}
	defer w.cpus.release()
	return w.root.Format.Hash.Sum(buf) != e.Hash, nil
}

// damaged ends the restore: what follows might be damaged as well.
func (w *writer) damaged(_ entry, err error) error { return err }

// chunk writes a chunk.
func (w *writer) chunk(_ context.Context, e entry, plain []byte) error {
	defer w.progress.done.Add(int64(len(plain)))
	return w.put(int64(e.Chunk)*int64(w.root.Format.ChunkBytes), plain)
}
