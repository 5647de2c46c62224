package drivertest

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

func writesAnywhere(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 12*mib+99)
	var want []byte
	f.change(t, vol, func(target drivers.Target) {
		want = make([]byte, target.Size())
		for i, r := range []struct{ offset, length int64 }{
			{0, 1}, {511, 3}, {4095, 4097}, {64<<10 - 1, 2}, {4*mib - 5, 10}, {7*mib + 1, 4 * mib}, {target.Size() - 1, 1}, {100, 0},
		} {
			data := noise(uint64(i), r.length)
			writeAt(t, target, data, r.offset)
			copy(want[r.offset:], data)
		}
	})
	same(t, "volume", f.contents(t, vol), want)
}

func writesParallel(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 32*mib)
	want := noise(1, 32*mib)
	const hole = 11 // of every 16 pieces, this one is zeroed
	f.change(t, vol, func(target drivers.Target) {
		var g errgroup.Group
		piece := 2 * mib / 16
		for worker := range int64(16) {
			g.Go(func() error {
				for at := worker * piece; at < 32*mib; at += 16 * piece {
					if worker == hole {
						clear(want[at : at+piece])
						if err := target.WriteZeroes(at, piece); err != nil {
							return err
						}
						continue
					}
					if _, err := target.WriteAt(want[at:at+piece], at); err != nil {
						return err
					}
				}
				return nil
			})
		}
		must(t, g.Wait())
	})
	same(t, "volume", f.contents(t, vol)[:32*mib], want)
}

func writesInside(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 4*mib)
	var size int64
	f.change(t, vol, func(target drivers.Target) {
		size = target.Size()
		for _, offset := range []int64{size - 1, size, size + 5, -1} {
			_, err := target.WriteAt([]byte{1, 2}, offset)
			wantCode(t, fmt.Sprintf("WriteAt 2 bytes at %d of %d", offset, size), err, stowage.Invalid)
		}
		for _, r := range []stowage.Extent{{Offset: -1, Length: 2}, {Offset: 0, Length: -1}, {Offset: size - 1, Length: 2}, {Offset: 1 << 62, Length: 1 << 62}} {
			wantCode(t, fmt.Sprintf("WriteZeroes(%d, %d) of %d", r.Offset, r.Length, size), target.WriteZeroes(r.Offset, r.Length), stowage.Invalid)
		}
	})
	same(t, "volume", f.contents(t, vol), make([]byte, size))
}

func zeroesAnywhere(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 24*mib+333)
	var want []byte
	f.change(t, vol, func(target drivers.Target) {
		size := target.Size()
		want = noise(9, size)
		writeAt(t, target, want, 0)
		for _, r := range []struct{ offset, length int64 }{
			{1, 1}, {100, 511}, {4095, 2}, {8192, 4096}, {64<<10 - 1, 2}, {128<<10 + 1, 64 << 10}, {256 << 10, 64 << 10},
			{512<<10 - 9, 128<<10 + 17}, {4*mib - 1, 2}, {5*mib + 13, 8*mib + 1}, {16 * mib, 4 * mib}, {21*mib + 5, 3 * mib}, {0, 0},
			{size - 100, 100},
		} {
			must(t, target.WriteZeroes(r.offset, r.length))
			clear(want[r.offset : r.offset+r.length])
		}
	})
	same(t, "volume", f.contents(t, vol), want)
}

func zeroesHoles(t *testing.T, f VolumesFixture) {
	if f.AllocatedBytes == nil {
		t.Skip("this backend cannot tell what is allocated")
	}
	vol := f.volume(t, 32*mib)
	f.write(t, vol, noise(1, 32*mib), 0)
	if full := f.AllocatedBytes(t, vol); full < 32*mib {
		t.Fatalf("32 MiB written, %d allocated", full)
	}
	f.change(t, vol, func(target drivers.Target) { must(t, target.WriteZeroes(4*mib-1, 24*mib+2)) })

	left := f.AllocatedBytes(t, vol)
	if left > 8*mib+2*f.HoleUnit {
		t.Errorf("%d bytes are allocated with 8 MiB of data left", left)
	}
	want := noise(1, 32*mib)
	clear(want[4*mib-1 : 28*mib+1])
	same(t, "volume", f.contents(t, vol)[:32*mib], want)
}

func emptyUntilWritten(t *testing.T, f VolumesFixture) {
	if f.NeverEmpty {
		t.Skip("this backend never knows that a volume is empty")
	}
	vol := f.volume(t, 16*mib+1)
	empty := func() (empty bool) {
		f.change(t, vol, func(target drivers.Target) {
			var err error
			empty, err = target.Empty(t.Context())
			must(t, err)
		})
		return empty
	}
	if !empty() {
		t.Error("a fresh volume is not empty")
	}
	f.write(t, vol, []byte{1}, 16*mib)
	if empty() {
		t.Error("a volume with one byte written at its end is empty")
	}
	f.change(t, vol, func(target drivers.Target) {
		writeAt(t, target, noise(1, 100), 3)
		if is, err := target.Empty(t.Context()); is || err != nil {
			t.Errorf("Empty right after a write: %v, %v", is, err)
		}
	})
}

func targetExclusive(t *testing.T, f VolumesFixture) {
	if f.Shared {
		t.Skip("this backend cannot keep two writers apart")
	}
	vol := f.volume(t, 4*mib)
	one, err := f.Volumes.OpenTarget(t.Context(), vol)
	must(t, err)
	writeAt(t, one, []byte{1}, 0)
	_, err = f.Volumes.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget while it is open", err, stowage.Conflict)
	writeAt(t, one, []byte{2}, 1)
	must(t, one.Flush())
	must(t, one.Close())
	two, err := f.Volumes.OpenTarget(t.Context(), vol)
	must(t, err)
	must(t, two.Close())
}
