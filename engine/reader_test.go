package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stowage/stowage"
)

func (r *rig) reader(b made, cache int64) *Reader {
	r.t.Helper()
	out, err := r.OpenReader(r.t.Context(), ReaderInput{Store: r.store, Root: b.Root, Digest: b.RootDigest, Keys: r, CacheBytes: cache})
	if err != nil {
		r.t.Fatalf("open the backup: %v", err)
	}
	r.t.Cleanup(func() {
		if err := out.Close(); err != nil {
			r.t.Error(err)
		}
		r.whole()
	})
	return out
}

// readsAt checks one read, in the contract of io.ReaderAt.
func (r *rig) readsAt(from *Reader, want []byte, off, n int64) {
	r.t.Helper()
	got := bytes.Repeat([]byte{0xee}, int(n))
	have, err := from.ReadAt(got, off)
	end := min(max(off, 0)+n, int64(len(want)))
	if short := off+n > int64(len(want)); short != errors.Is(err, io.EOF) || !short && err != nil {
		r.t.Fatalf("read %d at %d: %v", n, off, err)
	}
	if int64(have) != max(0, end-off) || off < end && !bytes.Equal(got[:have], want[off:end]) {
		r.t.Fatalf("read %d at %d gives %d other bytes", n, off, have)
	}
}

func TestEveryPartOfABackupCanBeRead(t *testing.T) {
	for name, keyed := range map[string]bool{"plain": false, "sealed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{PackBytes: 512 * kib}, keyed)
			base := newSource(r.mixed(40*unitBytes + 77))
			first := r.backup(base)
			source := newChangeSource(r, base, first)
			second := r.increment(source, first, "s1")
			for _, b := range []made{first, second} {
				from := r.reader(b, 0)
				size := int64(len(b.data))
				if from.Size() != size {
					t.Fatalf("the size is %d instead of %d", from.Size(), size)
				}
				r.readsAt(from, b.data, 0, size)
				r.readsAt(from, b.data, 0, size+1)
				r.readsAt(from, b.data, size, 1)
				r.readsAt(from, b.data, size+100, 1)
				r.readsAt(from, b.data, 0, 0)
				for at := int64(0); at <= size; at += unitBytes { // around every boundary
					for _, d := range []int64{-1, 0, 1} {
						if at+d >= 0 {
							r.readsAt(from, b.data, at+d, 1)
							r.readsAt(from, b.data, at+d, 2)
							r.readsAt(from, b.data, at+d, unitBytes)
							r.readsAt(from, b.data, at+d, 3*unitBytes+5)
						}
					}
				}
				if _, err := from.ReadAt(make([]byte, 1), -1); stowage.CodeOf(err) != stowage.Invalid {
					t.Errorf("a read before the beginning: %v", err)
				}
			}
		})
	}
}

// newChangeSource is the source with some of its chunks changed since the backup.
func newChangeSource(r *rig, base *memSource, _ made) *changeSource {
	data := bytes.Clone(base.data)
	for _, c := range []int{0, 7, 8, 20, 39} {
		copy(data[c*unitBytes:(c+1)*unitBytes], r.random(unitBytes))
	}
	clear(data[12*unitBytes : 15*unitBytes])
	return &changeSource{memSource: newSource(data), bases: map[string][]byte{"s1": base.data}}
}

func TestManyReadAtOnce(t *testing.T) {
	r := newRig(t, Options{PackBytes: 256 * kib}, true)
	b := r.backup(newSource(r.mixed(100*unitBytes + 3)))
	from := r.reader(b, 1) // as little as it keeps
	var group sync.WaitGroup
	for seed := range uint64(8) {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for range 200 {
				off := rng.Int64N(from.Size())
				got := make([]byte, 1+rng.IntN(5*unitBytes))
				n, err := from.ReadAt(got, off)
				if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], b.data[off:off+int64(n)]) {
					t.Errorf("read %d at %d: %d other bytes, %v", len(got), off, n, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// counting counts the reads of packs.
type counting struct {
	*memStore
	packs atomic.Int64
	gate  chan struct{} // a read of a pack waits for it; nil: for nothing
}

func (c *counting) Get(ctx context.Context, name string, buf []byte, offset int64) (int, error) {
	if strings.Contains(name, "pack-") {
		c.packs.Add(1)
		if c.gate != nil {
			select {
			case <-c.gate:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	return c.memStore.Get(ctx, name, buf, offset)
}

func TestAChunkIsFetchedOnceAndZerosNever(t *testing.T) {
	r := newRig(t, Options{}, false)
	data := make([]byte, 30*unitBytes)
	copy(data[10*unitBytes:], r.random(4*unitBytes))
	b := r.backup(newSource(data))
	store := &counting{memStore: r.store, gate: make(chan struct{})}
	from, err := r.OpenReader(t.Context(), ReaderInput{Store: store, Root: b.Root, Digest: b.RootDigest, Keys: r})
	if err != nil {
		t.Fatal(err)
	}
	r.readsAt(from, data, 0, 10*unitBytes)
	r.readsAt(from, data, 14*unitBytes, 16*unitBytes)
	if n := store.packs.Load(); n != 0 {
		t.Fatalf("%d packs were read for zeros; the names are %v", n, r.store.names(""))
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { r.readsAt(from, data, 10*unitBytes+5, 100) })
	}
	close(store.gate)
	group.Wait()
	if n := store.packs.Load(); n != 1 {
		t.Fatalf("%d reads for one chunk", n)
	}
	r.readsAt(from, data, 10*unitBytes, 4*unitBytes)
	if n := store.packs.Load(); n != 2 { // the rest came together
		t.Fatalf("%d reads for four chunks", n)
	}
	if from.Fetched() != 4*unitBytes {
		t.Errorf("%d bytes were fetched", from.Fetched())
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := from.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("a reader that is closed reads")
	}
}

func TestAReaderThatIsClosedStopsWhoWaits(t *testing.T) {
	r := newRig(t, Options{}, false)
	b := r.backup(newSource(r.random(2 * unitBytes)))
	store := &counting{memStore: r.store, gate: make(chan struct{})}
	from, err := r.OpenReader(t.Context(), ReaderInput{Store: store, Root: b.Root, Digest: b.RootDigest, Keys: r})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	for range 2 {
		go func() { _, err := from.ReadAt(make([]byte, 10), 0); ended <- err }()
	}
	for store.packs.Load() == 0 {
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a read that was cut short gave no error")
		}
	}
	r.whole()
}

func TestWhatIsDamagedIsNeverGiven(t *testing.T) {
	r := newRig(t, Options{PackBytes: 256 * kib}, true)
	b := r.backup(newSource(r.mixed(60 * unitBytes)))
	for _, name := range r.store.names("") {
		if name == b.Root {
			continue
		}
		whole, err := r.store.get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for what, now := range map[string][]byte{"changed": flip(whole, len(whole)/2), "cut": whole[:len(whole)/2], "gone": nil} {
			r.store.set(name, now)
			from := r.reader(b, 0)
			failed := false
			for at := int64(0); at < from.Size(); at += unitBytes {
				got := make([]byte, unitBytes)
				n, err := from.ReadAt(got, at)
				if failed = failed || err != nil; !bytes.Equal(got[:n], b.data[at:at+int64(n)]) {
					t.Fatalf("%s is %s, and other bytes are given at %d", name, what, at)
				}
				if err == nil && n != unitBytes {
					t.Fatalf("%d bytes and no error", n)
				}
				if err != nil && stowage.CodeOf(err) != stowage.Corrupt && !isMissing(err) {
					t.Fatalf("%s is %s: %v", name, what, err)
				}
			}
			if !failed {
				t.Errorf("%s is %s, and nobody notices", name, what)
			}
			r.store.set(name, whole)
			r.readsAt(from, b.data, 0, from.Size()) // whole again, and read again
		}
	}
}

func TestAReaderNeedsTheRootAndItsKey(t *testing.T) {
	r := newRig(t, Options{}, true)
	b := r.backup(newSource(r.random(unitBytes)))
	in := ReaderInput{Store: r.store, Root: b.Root, Digest: b.RootDigest}
	if _, err := r.OpenReader(t.Context(), in); stowage.CodeOf(err) != stowage.Forbidden {
		t.Errorf("without a key: %v", err)
	}
	in.Keys, in.Digest = r, strings.Repeat("0", 64)
	if _, err := r.OpenReader(t.Context(), in); stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("with another digest: %v", err)
	}
	r.store.set(b.Root, nil)
	if _, err := r.OpenReader(t.Context(), in); !isMissing(err) {
		t.Errorf("without a root: %v", err)
	}
}
