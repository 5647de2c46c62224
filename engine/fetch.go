package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/pack"
	"github.com/stowage/stowage/engine/seal"
)

const (
	// windowEntries is how many chunks are put in the order of the packs at a
	// time: 8 GiB of volume with the default chunk, some 4 MiB of memory.
	windowEntries = 32 << 10
	// fetchGap is how much that nobody wants is read along rather than asked
	// around.
	fetchGap = 256 << 10
)

// fetcher reads the chunks of a backup in the order of its packs.
type fetcher struct {
	*Engine
	store drivers.Store
	root  *Opened
	keys  *manifest.Keys
	limit *rate.Limiter
	cpus  *cpus
}

func (e *Engine) newFetcher(store drivers.Store, root *Opened) *fetcher {
	return &fetcher{Engine: e, store: store, root: root, keys: root.Keys(), limit: limiter(e.opts.JobBytesPerSecond), cpus: e.cpus()}
}

func (f *fetcher) fetchMap(ctx context.Context, o manifest.Object, offset int64, buf []byte) error {
	if err := traffic(ctx, len(buf), f.rate, f.limit); err != nil {
		return err
	}
	return fetchMap(ctx, f.store, f.root.Info.Volume.ID, o, offset, buf)
}

// sink takes what a fetcher finds. All but window are called by many
// goroutines at once.
type sink interface {
	// window is shown the chunks with data of the part of the volume from one
	// chunk to before another, in order, and gives those that are wanted.
	window(ctx context.Context, from, to uint64, entries []entry) ([]entry, error)
	// chunk gets the bytes of a wanted chunk, checked.
	chunk(ctx context.Context, e entry, plain []byte) error
	// damaged is told of a chunk that cannot be had. Its error ends everything.
	damaged(e entry, err error) error
}

// run walks the map from begin to end.
func (f *fetcher) run(ctx context.Context, s sink) error {
	group, ctx := errgroup.WithContext(ctx)
	runs := make(chan []entry)
	for range f.opts.Fetches {
		group.Go(func() error { return f.work(ctx, s, runs) })
	}
	group.Go(func() error {
		defer close(runs)
		return f.walk(ctx, s, runs)
	})
	return group.Wait()
}

// walk reads the map, window by window.
func (f *fetcher) walk(ctx context.Context, s sink, runs chan<- []entry) error {
	cursor := manifest.NewCursor(f.keys, f.fetchMap, f.root.Layers)
	defer cursor.Close()
	from := uint64(0)
	var window []entry
	hand := func(to uint64) error {
		wanted, err := s.window(ctx, from, to, window)
		if err != nil {
			return err
		}
		if err := f.cut(ctx, wanted, runs); err != nil {
			return err
		}
		from, window = to, nil
		return nil
	}
	for {
		e, ok, err := cursor.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the map: %w", err)
		}
		if !ok {
			return hand(f.chunks())
		}
		if e.Codec == codec.Zeros {
			continue
		}
		if window = append(window, e); len(window) == windowEntries {
			if err := hand(e.Chunk + 1); err != nil {
				return err
			}
		}
	}
}

// chunks is how many chunks the volume has.
func (f *fetcher) chunks() uint64 {
	unit := int64(f.root.Format.ChunkBytes)
	return uint64((f.root.Info.VolumeBytes + unit - 1) / unit)
}

// length is the plain length of a chunk.
func (f *fetcher) length(c uint64) int {
	unit := int64(f.root.Format.ChunkBytes)
	return int(min(unit, f.root.Info.VolumeBytes-int64(c)*unit))
}

// cut puts entries in the order of the packs and hands out runs that lie close
// together, each no longer than a buffer.
func (f *fetcher) cut(ctx context.Context, entries []entry, runs chan<- []entry) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.Pack.Compare(b.Pack), cmp.Compare(a.Offset, b.Offset))
	})
	for len(entries) > 0 {
		first := entries[0]
		n := 1
		for n < len(entries) {
			e, last := entries[n], entries[n-1]
			if e.Pack != first.Pack || e.Offset-last.Offset-int64(last.Stored) > fetchGap ||
				e.Offset+int64(e.Stored)-first.Offset > readBytes+readSlack {
				break
			}
			n++
		}
		select {
		case runs <- entries[:n:n]:
		case <-ctx.Done():
			return ctx.Err()
		}
		entries = entries[n:]
	}
	return nil
}

func (f *fetcher) work(ctx context.Context, s sink, runs <-chan []entry) error {
	c, err := f.codecs.get()
	if err != nil {
		return err
	}
	defer f.codecs.put(c)
	room := make([]byte, f.root.Format.ChunkBytes)
	for run := range runs {
		if err := f.fetch(ctx, s, run, c, room); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// fetch gets one run with one request and gives its chunks to the sink. A run
// that is not what it was is asked for once more: disks and networks have their
// moods.
func (f *fetcher) fetch(ctx context.Context, s sink, run []entry, c *codec.Codec, room []byte) error {
	first, last := run[0], run[len(run)-1]
	length := last.Offset + int64(last.Stored) - first.Offset
	boxes, err := f.keys.Boxes(seal.Pack, first.Pack)
	if err != nil {
		return err
	}
	buf, err := f.reads.get(ctx)
	if err != nil {
		return err
	}
	defer f.reads.put(buf)
	if length > int64(len(buf)) {
		return stowage.Errorf(stowage.Corrupt, "a chunk has %d bytes stored", length)
	}
	for again := range 2 {
		if run, err = f.try(ctx, s, run, buf[:length], first.Offset, boxes, c, room, again == 1); len(run) == 0 || err != nil {
			return err
		}
	}
	return nil
}

// try gives the sink what it can of a run, and returns the rest. The last time
// the rest is told as damaged.
func (f *fetcher) try(ctx context.Context, s sink, run []entry, buf []byte, offset int64, boxes *seal.Boxes, c *codec.Codec, room []byte, last bool) ([]entry, error) {
	if err := traffic(ctx, len(buf), f.rate, f.limit); err != nil {
		return nil, err
	}
	name := manifest.PackName(f.root.Info.Volume.ID, run[0].Pack)
	n, err := f.store.Get(ctx, name, buf, offset)
	if stowage.CodeOf(err) == stowage.NotFound {
		err = lost(err, name)
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var rest []entry
	for _, e := range run {
		at := e.Offset - offset
		bad := err
		if bad == nil && at+int64(e.Stored) > int64(n) {
			bad = stowage.Errorf(stowage.Corrupt, "%s is shorter than it was", name)
		}
		if bad == nil {
			bad = f.give(ctx, s, e, buf[at:at+int64(e.Stored)], boxes, c, room)
		}
		if bad == nil {
			continue
		}
		if !isMissing(bad) && stowage.CodeOf(bad) != stowage.Corrupt {
			return nil, bad
		}
		if !last {
			rest = append(rest, e)
			continue
		}
		if err := s.damaged(e, fmt.Errorf("chunk %d in %s: %w", e.Chunk, name, bad)); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// give opens one chunk and gives it to the sink.
func (f *fetcher) give(ctx context.Context, s sink, e entry, box []byte, boxes *seal.Boxes, c *codec.Codec, room []byte) error {
	if err := f.cpus.acquire(ctx); err != nil {
		return err
	}
	plain, err := pack.Plain(c, boxes, f.root.Format.Hash, pack.Entry{
		Number: e.Chunk, Codec: e.Codec, Offset: e.Offset, Stored: e.Stored, Length: f.length(e.Chunk), Hash: e.Hash,
	}, box, room)
	f.cpus.release()
	if err != nil {
		return err
	}
	return s.chunk(ctx, e, plain)
}
