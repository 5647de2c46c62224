package engine

import (
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// Mode is how a backup knows what to look at.
type Mode string

// The modes there are.
const (
	Full     Mode = "full"     // nothing to compare with: all that is allocated
	Changed  Mode = "changed"  // the storage told what changed since the parent
	Compared Mode = "compared" // it could not: all that is allocated, held against the parent's hashes
)

// plan is what a backup looks at. It is made before anything is read, so that
// progress can be honest.
type plan struct {
	mode   Mode
	parent *manifest.Root // nil: full
	chunks *roaring.Bitmap
	// anew are chunks among those that are stored again even if nothing
	// changed: the packs they are in now are mostly dead.
	anew *roaring.Bitmap
	size int64
	unit int // bytes of a chunk
}

// makePlan decides. A bitmap of the chunks of 16 TiB has 8 MiB at worst, and
// next to nothing where there are runs.
func makePlan(ctx context.Context, in BackupInput, parent *manifest.Root, chunkBytes int) (*plan, error) {
	p := &plan{mode: Full, parent: parent, chunks: roaring.New(), anew: roaring.New(), size: in.Source.Size(), unit: chunkBytes}
	if p.size/int64(chunkBytes) >= 1<<32-1 {
		return nil, stowage.Errorf(stowage.Invalid, "a volume of %d bytes has too many chunks of %d", p.size, chunkBytes)
	}
	if parent != nil {
		p.mode = Compared
		done, err := p.changed(ctx, in)
		if err != nil || done {
			return p, err
		}
	}
	if err := in.Source.Allocated(ctx, 0, p.size, p.mark); err != nil {
		return nil, fmt.Errorf("list what the volume holds: %w", err)
	}
	return p, nil
}

// changed asks the storage what changed since the base. False: it cannot say.
func (p *plan) changed(ctx context.Context, in BackupInput) (bool, error) {
	source, can := in.Source.(drivers.ChangeSource)
	if !can || in.Base == nil {
		return false, nil
	}
	err := source.Changed(ctx, *in.Base, 0, p.size, p.mark)
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		p.chunks.Clear() // what was told before is not to be trusted
		return false, nil
	case err != nil:
		return false, fmt.Errorf("list what changed since snapshot %s: %w", in.Base.Name, err)
	}
	for _, e := range in.Doubt {
		if err := p.mark(e); err != nil {
			return false, err
		}
	}
	p.mode = Changed
	// The last chunk of a volume that has grown is longer now.
	if tail := p.parent.Info.VolumeBytes; tail%int64(p.unit) != 0 && tail < p.size {
		p.chunks.Add(uint32(tail / int64(p.unit)))
	}
	return true, nil
}

// mark adds the chunks an extent touches.
func (p *plan) mark(e stowage.Extent) error {
	if e.Offset < 0 || e.Length < 0 || e.Length > p.size-e.Offset {
		return fmt.Errorf("the storage tells of %d bytes at %d of a volume of %d", e.Length, e.Offset, p.size)
	}
	if e.Length > 0 {
		p.chunks.AddRange(uint64(e.Offset/int64(p.unit)), uint64((e.End()-1)/int64(p.unit))+1)
	}
	return nil
}

// storeAnew has chunks stored again.
func (p *plan) storeAnew(chunks *roaring.Bitmap) {
	p.anew.Or(chunks)
	p.chunks.Or(chunks)
}

// length is the plain length of a chunk.
func (p *plan) length(c uint64) int {
	return int(min(int64(p.unit), p.size-int64(c)*int64(p.unit)))
}

// unit is a run of at most readBytes of the volume with something to look at.
type unit struct {
	seq    int
	before []entry     // the parent's, before this run: zeros now
	first  uint64      // chunk the run begins with
	chunks []candidate // the chunks from there
}

// candidate is what is known of a chunk before it is read.
type candidate struct {
	look bool   // it may have changed
	anew bool   // it is stored again whatever it holds
	old  *entry // the parent's; without look: it is zeros now
}

type entry = manifest.Entry

// goneBatch bounds how many chunks that became zeros go with one unit.
const goneBatch = 4096

// units cuts the plan into units, in order, each with the parent's entries for
// it. A chunk the parent has, and of which the storage says that nothing is
// allocated any more, comes as one that is zeros now.
func (p *plan) units(ctx context.Context, parent *peeker, fn func(*unit) error) error {
	per := uint64(max(readBytes/p.unit, 1))
	it := p.chunks.Iterator()
	for it.HasNext() {
		first := uint64(it.PeekNext()) / per * per
		before, err := p.gone(ctx, parent, first, fn)
		if err != nil {
			return err
		}
		u := &unit{before: before, first: first, chunks: make([]candidate, per)}
		for it.HasNext() && uint64(it.PeekNext()) < first+per {
			c := it.Next()
			u.chunks[uint64(c)-first] = candidate{look: true, anew: p.anew.Contains(c)}
		}
		if err := p.compare(ctx, parent, u); err != nil {
			return err
		}
		if err := fn(u); err != nil {
			return err
		}
	}
	before, err := p.gone(ctx, parent, 1<<63, fn)
	if err != nil || len(before) == 0 {
		return err
	}
	return fn(&unit{before: before})
}

// compare gives the candidates of a unit their old entries.
func (p *plan) compare(ctx context.Context, parent *peeker, u *unit) error {
	if parent == nil {
		return nil
	}
	return parent.each(ctx, u.first+uint64(len(u.chunks)), func(e entry) error {
		if c := &u.chunks[e.Chunk-u.first]; c.look || p.mode == Compared {
			c.old = &e
		}
		return nil
	})
}

// gone brings the parent's cursor to a chunk. Where everything is compared,
// what the parent had on the way is zeros now: full batches go to fn as units
// of their own, the rest is returned.
func (p *plan) gone(ctx context.Context, parent *peeker, chunk uint64, fn func(*unit) error) (rest []entry, err error) {
	switch {
	case parent == nil:
		return nil, nil
	case p.mode != Compared:
		return nil, parent.seek(ctx, chunk)
	}
	err = parent.each(ctx, chunk, func(e entry) error {
		if rest = append(rest, e); len(rest) < goneBatch {
			return nil
		}
		full := rest
		rest = nil
		return fn(&unit{before: full})
	})
	return rest, err
}

// peeker is a cursor that can be asked for what comes before a chunk. Zeros
// are as if they were not there.
type peeker struct {
	*manifest.Cursor
	packs *manifest.Objects // that the root lists
	held  *entry
}

// parentMap reads the parent's map from the beginning.
func (b *backup) parentMap() *peeker {
	p := b.plan.parent
	return &peeker{Cursor: manifest.NewCursor(b.keys, b.maps.fetch, p.Layers), packs: p.Objects()}
}

func (p *peeker) seek(ctx context.Context, chunk uint64) error {
	if chunk >= 1<<63 || p.held != nil && p.held.Chunk >= chunk {
		return nil
	}
	p.held = nil
	return p.Seek(ctx, chunk)
}

// each calls fn for the entries with data before end.
func (p *peeker) each(ctx context.Context, end uint64, fn func(entry) error) error {
	for {
		e := p.held
		if e == nil {
			next, ok, err := p.Next(ctx)
			if err != nil {
				return fmt.Errorf("read the parent's map: %w", err)
			}
			if !ok {
				return nil
			}
			e = &next
		}
		if e.Chunk >= end {
			p.held = e
			return nil
		}
		p.held = nil
		if e.Codec == codec.Zeros {
			continue
		}
		if !p.packs.Has(seal.Pack, e.Pack) {
			return unlisted(e.Pack)
		}
		if err := fn(*e); err != nil {
			return err
		}
	}
}

// unlisted is the error for a map that leads to a pack its root does not list:
// whoever deletes by that root deletes what is needed.
func unlisted(p manifest.Place) error {
	return stowage.Errorf(stowage.Corrupt, "the map leads to pack %d of backup %s, which the root does not list", p.Number, p.Backup)
}
