package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// patchy is a volume with data in some places, and what it reads as.
func (f VolumesFixture) patchy(t *testing.T) (drivers.Source, []byte) {
	t.Helper()
	vol := f.volume(t, 40*mib+777)
	patches := []struct{ offset, length int64 }{
		{0, 1}, {64<<10 - 1, 2}, {5*mib + 3, 100}, {12 * mib, 4 * mib}, {23*mib - 7, 3 * mib}, {40 * mib, 777},
	}
	f.change(t, vol, func(target drivers.Target) {
		for i, p := range patches {
			writeAt(t, target, noise(uint64(i), p.length), p.offset)
		}
	})
	source := f.open(t, f.snapshot(t, vol, "suite-patchy"))
	want := make([]byte, source.Size())
	for i, p := range patches {
		copy(want[p.offset:], noise(uint64(i), p.length))
	}
	return source, want
}

func extents(t *testing.T, source drivers.Source, offset, length int64) []stowage.Extent {
	t.Helper()
	var found []stowage.Extent
	must(t, source.Allocated(t.Context(), offset, length, func(e stowage.Extent) error {
		found = append(found, e)
		return nil
	}))
	return found
}

func allocatedCovers(t *testing.T, f VolumesFixture) {
	source, want := f.patchy(t)
	// What is read from the extents alone must be the whole volume.
	got := make([]byte, source.Size())
	var sum int64
	for _, e := range extents(t, source, 0, source.Size()) {
		_, err := source.ReadAt(got[e.Offset:e.End()], e.Offset)
		if err != nil && (!errors.Is(err, io.EOF) || e.End() != source.Size()) {
			t.Fatalf("ReadAt %+v: %v", e, err)
		}
		sum += e.Length
	}
	same(t, "volume put together from its extents", got, want)
	same(t, "volume read whole", readAll(t, source), want)
	if !f.Full && sum > 20*mib+8*f.HoleUnit {
		t.Errorf("%d bytes are said to be allocated, of less than 8 MiB written", sum)
	}
}

func allocatedBounds(t *testing.T, f VolumesFixture) {
	source, want := f.patchy(t)
	size := source.Size()
	for _, r := range []struct{ offset, length int64 }{
		{0, size}, {0, 1}, {1, 1}, {0, 0}, {size, 0}, {size - 1, 1}, {65535, 1}, {65536, 70000}, {5 * mib, mib}, {5*mib + 50, 1},
		{12*mib + 5, 9}, {11 * mib, 8*mib + 1}, {24*mib + 1, 2*mib + 4097}, {17 * mib, 4 * mib}, {4*mib - 1, 20*mib + 2},
	} {
		at := r.offset
		for _, e := range extents(t, source, r.offset, r.length) {
			if e.Length <= 0 || e.Offset < at || e.End() > r.offset+r.length {
				t.Errorf("Allocated(%d, %d) gave %+v, behind %d", r.offset, r.length, e, at)
				break
			}
			if !zero(want[at:e.Offset]) {
				t.Errorf("Allocated(%d, %d) passed over data in [%d, %d)", r.offset, r.length, at, e.Offset)
			}
			at = e.End()
		}
		if !zero(want[at : r.offset+r.length]) {
			t.Errorf("Allocated(%d, %d) passed over data behind %d", r.offset, r.length, at)
		}
	}
	nothing := func(stowage.Extent) error { return nil }
	for _, r := range []struct{ offset, length int64 }{{-1, 2}, {0, -1}, {0, size + 1}, {size + 1, 0}} {
		wantCode(t, fmt.Sprintf("Allocated(%d, %d)", r.offset, r.length),
			source.Allocated(t.Context(), r.offset, r.length, nothing), stowage.Invalid)
	}
}

func zero(data []byte) bool { return len(bytes.Trim(data, "\x00")) == 0 }

func allocatedEnds(t *testing.T, f VolumesFixture) {
	source, _ := f.patchy(t)
	enough := errors.New("enough")
	calls := 0
	err := source.Allocated(t.Context(), 0, source.Size(), func(stowage.Extent) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("fn failed, Allocated gave %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = source.Allocated(ctx, 0, source.Size(), func(stowage.Extent) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Allocated when cancelled: %v", err)
	}
}

func readsAnywhere(t *testing.T, f VolumesFixture) {
	source, want := f.patchy(t)
	size := source.Size()
	for _, r := range []struct{ offset, length int64 }{
		{0, 1}, {1, 4096}, {511, 513}, {64<<10 - 3, 9}, {4*mib - 1, 2}, {12*mib - 1, 4*mib + 2}, {size - 1, 1}, {size - 777, 777}, {7, 0},
	} {
		buf := make([]byte, r.length)
		n, err := source.ReadAt(buf, r.offset)
		if int64(n) != r.length || err != nil && (!errors.Is(err, io.EOF) || r.offset+r.length != size) {
			t.Errorf("ReadAt %d bytes at %d: %d, %v", r.length, r.offset, n, err)
		}
		same(t, fmt.Sprintf("%d bytes at %d", r.length, r.offset), buf, want[r.offset:r.offset+r.length])
	}
	buf := make([]byte, 100)
	n, err := source.ReadAt(buf, size-10)
	if n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	same(t, "the last bytes", buf[:10], want[size-10:])
	for _, offset := range []int64{size, size + 1, size + 100*mib} {
		if n, err := source.ReadAt(buf, offset); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt behind the end at %d: %d, %v", offset, n, err)
		}
	}
	if _, err := source.ReadAt(buf, -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("ReadAt -1: %v", err)
	}
}

func readsParallel(t *testing.T, f VolumesFixture) {
	source, want := f.patchy(t)
	var g errgroup.Group
	for worker := range int64(16) {
		g.Go(func() error {
			buf := make([]byte, 100_003)
			for offset := worker * 100_003; offset < source.Size(); offset += 16 * 100_003 {
				n, err := source.ReadAt(buf, offset)
				if err != nil && !errors.Is(err, io.EOF) {
					return err
				}
				if diff := difference(buf[:n], want[offset:min(offset+100_003, source.Size())]); diff != "" {
					return fmt.Errorf("at %d: %s", offset, diff)
				}
			}
			return source.Allocated(t.Context(), 0, source.Size(), func(stowage.Extent) error { return nil })
		})
	}
	must(t, g.Wait())
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
