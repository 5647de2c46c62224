package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/pack"
	"github.com/stowage/stowage/engine/seal"
)

// What thinning out costs and gains: see "Increments" in doc/design.md.
const (
	deadTenths   = 1       // of all packs' bytes, before anything is stored anew
	aliveHalf    = 2       // packs with less than one in so many bytes alive are thinned out
	anewTenth    = 10      // of what the increment looks at, at most
	anewAtLeast  = 8 << 20 // bytes, or it would never come to anything
	readAtLeast  = 64 << 20
	indexesAtOne = 64 // packs looked into by one increment
)

// thin picks the chunks that live in packs that are mostly dead, so that they
// are stored anew and the packs can go.
func (b *backup) thin(ctx context.Context) error {
	if b.plan.parent == nil {
		return nil
	}
	var all, dead int64
	var thin []*manifest.Pack
	for _, p := range b.alive {
		all, dead = all+p.Bytes, dead+p.Bytes-inUse(p)
		if inUse(p)*aliveHalf < p.Bytes {
			thin = append(thin, p)
		}
	}
	if dead*10 < all*deadTenths {
		return nil
	}
	slices.SortFunc(thin, func(a, c *manifest.Pack) int {
		return cmp.Or(cmp.Compare(a.AliveBytes*c.Bytes, c.AliveBytes*a.Bytes), a.Place.Compare(c.Place))
	})
	unit := int64(b.format.ChunkBytes)
	tenth := int64(b.plan.chunks.GetCardinality()) * unit / anewTenth
	room, reads := max(tenth, anewAtLeast), max(tenth, readAtLeast)
	wanted := roaring.New()
	from := map[manifest.Place]bool{}
	for _, p := range thin[:min(len(thin), indexesAtOne)] {
		// What compresses well is little to store and much to read.
		room, reads = room-p.AliveBytes, reads-int64(p.Alive)*unit
		if room < 0 || reads < 0 {
			break
		}
		entries, err := b.index(ctx, p)
		if stowage.CodeOf(err) == stowage.Corrupt {
			continue // a verification will tell; chunks of it that did not change are still read by their place
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Number < uint64((b.plan.size+unit-1)/unit) {
				wanted.Add(uint32(e.Number))
			}
		}
		from[p.Place] = true
	}
	alive, err := b.living(ctx, wanted, from)
	if err != nil {
		return err
	}
	b.plan.storeAnew(alive)
	return nil
}

// inUse is how much of a pack is for the sake of what is alive: where chunks
// compress to next to nothing, much of a pack is its index.
func inUse(p *manifest.Pack) int64 {
	return min(p.Bytes, p.AliveBytes+int64(p.Alive)*entryRoom+seal.HeaderBytes+seal.TrailerBytes)
}

// index reads what a pack says it holds.
func (b *backup) index(ctx context.Context, p *manifest.Pack) ([]pack.Entry, error) {
	name := manifest.PackName(b.in.Info.Volume.ID, p.Place)
	tail := make([]byte, min(seal.TrailerBytes, p.Bytes))
	if err := getExactly(ctx, b.in.Store, name, tail, p.Bytes-int64(len(tail))); err != nil {
		return nil, err
	}
	t, err := seal.ParseTrailer(seal.Pack, tail, p.Bytes)
	if err != nil {
		return nil, err
	}
	box := make([]byte, t.IndexStored)
	if err := getExactly(ctx, b.in.Store, name, box, t.IndexOffset); err != nil {
		return nil, err
	}
	boxes, err := b.keys.Boxes(seal.Pack, p.Place)
	if err != nil {
		return nil, err
	}
	c, err := b.codecs.get()
	if err != nil {
		return nil, err
	}
	defer b.codecs.put(c)
	return pack.ParseIndex(t, boxes, box, b.format.ChunkBytes, c)
}

// living gives those of the chunks that the parent reads from one of the packs.
func (b *backup) living(ctx context.Context, chunks *roaring.Bitmap, from map[manifest.Place]bool) (*roaring.Bitmap, error) {
	alive := roaring.New()
	parent := b.parentMap()
	defer parent.Close()
	for it := chunks.Iterator(); it.HasNext(); {
		c := uint64(it.Next())
		if err := parent.seek(ctx, c); err != nil {
			return nil, err
		}
		if err := parent.each(ctx, c+1, func(e entry) error {
			if from[e.Pack] {
				alive.Add(uint32(e.Chunk))
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return alive, nil
}
