package drivertest

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// targetReads is for targets that can be read: after each change, and without
// a Flush, they give what was written last.
func targetReads(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 20*mib+321)
	f.write(t, vol, noise(1, 6*mib), 3*mib+5)
	f.change(t, vol, func(target drivers.Target) {
		readable, ok := target.(drivers.ReadableTarget)
		if !ok {
			t.Skip("this backend's targets cannot be read")
		}
		want := make([]byte, target.Size())
		copy(want[3*mib+5:], noise(1, 6*mib))
		same(t, "what was there before", readTarget(t, readable, 0, target.Size()), want)

		for i, r := range []struct{ offset, length int64 }{{0, 1}, {511, 3}, {4*mib - 5, 10}, {7*mib + 1, 4 * mib}, {target.Size() - 1, 1}} {
			data := noise(uint64(i)+2, r.length)
			writeAt(t, target, data, r.offset)
			copy(want[r.offset:], data)
			same(t, "just written", readTarget(t, readable, r.offset, r.length), data)
		}
		for _, r := range []struct{ offset, length int64 }{{5, 1}, {3*mib + 4, 8*mib + 3}, {4095, 2}} {
			must(t, target.WriteZeroes(r.offset, r.length))
			clear(want[r.offset : r.offset+r.length])
		}
		same(t, "all of it", readTarget(t, readable, 0, target.Size()), want)
		readsInside(t, readable, want)
		readsWhileWritten(t, readable, want)
	})
}

func readTarget(t *testing.T, target drivers.ReadableTarget, offset, length int64) []byte {
	t.Helper()
	data := make([]byte, length)
	n, err := target.ReadAt(data, offset)
	if int64(n) != length || err != nil && (!errors.Is(err, io.EOF) || offset+length != target.Size()) {
		t.Fatalf("ReadAt %d bytes at %d: %d, %v", length, offset, n, err)
	}
	return data
}

func readsInside(t *testing.T, target drivers.ReadableTarget, want []byte) {
	size := target.Size()
	buf := make([]byte, 100)
	n, err := target.ReadAt(buf, size-10)
	if n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	same(t, "the last bytes", buf[:10], want[size-10:])
	for _, offset := range []int64{size, size + 1, size + 100*mib} {
		if n, err := target.ReadAt(buf, offset); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt behind the end at %d: %d, %v", offset, n, err)
		}
	}
	_, err = target.ReadAt(buf, -1)
	wantCode(t, "ReadAt -1", err, stowage.Invalid)
}

// readsWhileWritten compares and writes as a restore does, in many places at
// once.
func readsWhileWritten(t *testing.T, target drivers.ReadableTarget, want []byte) {
	var g errgroup.Group
	const piece = 200_003 // parts of blocks at every border
	for worker := range int64(8) {
		g.Go(func() error {
			buf := make([]byte, piece)
			for at := worker * piece; at < target.Size(); at += 8 * piece {
				part := buf[:min(piece, target.Size()-at)]
				for _, expected := range [][]byte{want[at : at+int64(len(part))], noise(uint64(at), int64(len(part)))} {
					if _, err := target.WriteAt(expected, at); err != nil {
						return err
					}
					if n, err := target.ReadAt(part, at); n != len(part) {
						return fmt.Errorf("read %d of %d bytes at %d: %w", n, len(part), at, err)
					}
					if diff := difference(part, expected); diff != "" {
						return fmt.Errorf("at %d: %s", at, diff)
					}
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
}
