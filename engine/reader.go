package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
)

const (
	// defaultCache is what a reader keeps of chunks.
	defaultCache = 32 << 20
	// mapWindow is how many chunks' entries are read at a time, and keptWindows
	// how many such windows stay: 16 times 1 GiB of volume with the default
	// chunk, some 6 MiB of memory if all of it holds data.
	mapWindow   = 4096
	keptWindows = 16
)

// ReaderInput is what reading out of a backup needs.
type ReaderInput struct {
	Store drivers.Store
	// Root is the name of the backup's root, and Digest its SHA-256 in hex.
	Root, Digest string
	Keys         Keyring
	// CacheBytes bounds the chunks that are kept; 0: 32 MiB. What is being
	// fetched comes on top, one buffer a call of ReadAt.
	CacheBytes int64
}

// Reader gives any part of the volume as the backup has it, fetched when it is
// asked for. Each chunk is checked against its hash before any of it is given,
// as in a restore; what has no data is zeros, and nothing is fetched for it. All
// methods may be called at the same time.
type Reader struct {
	f      *fetcher
	ctx    context.Context // ends with the reader
	stop   context.CancelFunc
	chunks *shelf[[]byte]
	maps   *shelf[[]entry]

	mu      sync.Mutex
	closed  bool
	reads   sync.WaitGroup
	fetched atomic.Int64
}

// OpenReader reads the root of a backup. Objects are not looked at: what is
// missing or damaged shows when it is read. Missing and Corrupt are as for a
// restore.
func (e *Engine) OpenReader(ctx context.Context, in ReaderInput) (*Reader, error) {
	root, err := e.ReadRoot(ctx, in.Store, in.Root, in.Digest, in.Keys)
	if err != nil {
		return nil, err
	}
	if in.CacheBytes == 0 {
		in.CacheBytes = defaultCache
	}
	r := &Reader{f: e.newFetcher(in.Store, root), maps: newShelf[[]entry](keptWindows)}
	// Less than a run of chunks that are fetched together would be thrown away
	// before it was used.
	r.chunks = newShelf[[]byte](max(int(in.CacheBytes), 2*readBytes) / root.Format.ChunkBytes)
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Size is the length of the volume.
func (r *Reader) Size() int64 { return r.f.root.Info.VolumeBytes }

// Fetched is how many bytes of chunks were fetched and checked so far.
func (r *Reader) Fetched() int64 { return r.fetched.Load() }

// Close ends reads under way, and waits for them.
func (r *Reader) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.reads.Wait()
	return nil
}

// ReadAt implements io.ReaderAt. What it gives before an error is right.
// Corrupt or Missing: a chunk is not what was stored; the next call tries anew.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "read at %d", off)
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	r.reads.Add(1)
	r.mu.Unlock()
	defer r.reads.Done()
	if off >= r.Size() {
		return 0, io.EOF
	}
	short := int64(len(p)) > r.Size()-off
	if short {
		p = p[:r.Size()-off]
	}
	unit := int64(r.f.root.Format.ChunkBytes)
	done := 0
	for done < len(p) {
		at := off + int64(done)
		number, skip := uint64(at/unit), int(at%unit)
		n := min(r.f.length(number)-skip, len(p)-done)
		plain, err := r.chunk(number)
		if err != nil {
			return done, err
		}
		if plain == nil {
			clear(p[done : done+n])
		} else {
			copy(p[done:done+n], plain[skip:])
		}
		done += n
	}
	if short {
		return done, io.EOF
	}
	return done, nil
}

// chunk gives a chunk, nil for zeros.
func (r *Reader) chunk(number uint64) ([]byte, error) {
	window, err := r.window(number / mapWindow)
	if err != nil {
		return nil, err
	}
	place, there := find(window, number)
	if !there {
		return nil, nil
	}
	c, mine := r.chunks.claim(number)
	if mine {
		r.fetchRun(c, window, place)
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-r.ctx.Done(): // somebody else makes it, and stops, too
		return nil, r.ctx.Err()
	}
}

// find finds a chunk's entry in a window.
func find(window []entry, number uint64) (int, bool) {
	low, high := 0, len(window)
	for low < high {
		if mid := (low + high) / 2; window[mid].Chunk < number {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(window) && window[low].Chunk == number
}

// window gives the entries of the chunks with data of one part of the volume.
func (r *Reader) window(n uint64) ([]entry, error) {
	c, mine := r.maps.claim(n)
	if mine {
		entries, err := r.readMap(n*mapWindow, (n+1)*mapWindow)
		r.maps.settle(c, entries, err)
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-r.ctx.Done():
		return nil, r.ctx.Err()
	}
}

func (r *Reader) readMap(from, to uint64) ([]entry, error) {
	cursor := manifest.NewCursor(r.f.keys, r.f.fetchMap, r.f.root.Layers)
	defer cursor.Close()
	if err := cursor.Seek(r.ctx, from); err != nil {
		return nil, err
	}
	entries := []entry{}
	for {
		e, ok, err := cursor.Next(r.ctx)
		if err != nil {
			return nil, fmt.Errorf("read the map: %w", err)
		}
		if !ok || e.Chunk >= to {
			return entries, nil
		}
		if e.Codec != codec.Zeros {
			entries = append(entries, e)
		}
	}
}

// run is a sink for the chunks of one fetch.
type run struct {
	r     *Reader
	mu    sync.Mutex
	cells map[uint64]*cell[[]byte] // that are not settled
}

// fetchRun makes the chunk at a place of a window, which is claimed. Whoever
// reads on where a read ended gets what follows with the same request, as far as
// it lies together.
func (r *Reader) fetchRun(first *cell[[]byte], window []entry, place int) {
	wanted := &run{r: r, cells: map[uint64]*cell[[]byte]{first.key: first}}
	before := first.key - 1
	if place > 0 {
		before = window[place-1].Chunk
	}
	entries, n := window[place:], 1
	if first.key == 0 || r.chunks.has(before) {
		n = r.ahead(wanted, entries)
	}
	err := r.fetch(wanted, entries[:n])
	if err == nil {
		err = stowage.Errorf(stowage.Internal, "a chunk was not given") // never: fetch gives or fails each
	}
	for _, c := range wanted.cells {
		r.chunks.settle(c, nil, err)
	}
}

// ahead claims the chunks that are fetched together with the first one.
func (r *Reader) ahead(wanted *run, entries []entry) int {
	begin, n := entries[0], 1
	for n < len(entries) {
		e, last := entries[n], entries[n-1]
		gap := e.Offset - last.Offset - int64(last.Stored)
		if e.Pack != begin.Pack || gap < 0 || gap > fetchGap || e.Offset+int64(e.Stored)-begin.Offset > readBytes ||
			(n+1)*r.f.root.Format.ChunkBytes > readBytes {
			break
		}
		c, mine := r.chunks.claim(e.Chunk)
		if !mine {
			break
		}
		wanted.cells[e.Chunk] = c
		n++
	}
	return n
}

func (r *Reader) fetch(wanted *run, entries []entry) error {
	c, err := r.f.codecs.get()
	if err != nil {
		return err
	}
	defer r.f.codecs.put(c)
	return r.f.fetch(r.ctx, wanted, entries, c, make([]byte, r.f.root.Format.ChunkBytes))
}

func (w *run) take(number uint64) *cell[[]byte] {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.cells[number]
	delete(w.cells, number)
	return c
}

func (w *run) window(context.Context, uint64, uint64, []entry) ([]entry, error) { return nil, nil }

// chunk keeps a chunk that was checked.
func (w *run) chunk(_ context.Context, e entry, plain []byte) error {
	w.r.fetched.Add(int64(len(plain)))
	w.r.chunks.settle(w.take(e.Chunk), bytes.Clone(plain), nil)
	return nil
}

// damaged fails the one chunk; the others of the run may be sound.
func (w *run) damaged(e entry, err error) error {
	w.r.chunks.settle(w.take(e.Chunk), nil, err)
	return nil
}
