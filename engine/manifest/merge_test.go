package manifest

import (
	"fmt"
	"testing"
)

// stack gives layers of so many entries, newest first.
func stack(entries ...uint64) (all []Layer) {
	for _, n := range entries {
		all = append(all, Layer{{Entries: n}})
	}
	return all
}

func TestWhatANewLayerTakesIn(t *testing.T) {
	for _, c := range []struct {
		what  string
		fresh uint64
		below []Layer
		want  int
	}{
		{"a full backup", 1e6, nil, 0},
		{"nothing new", 0, stack(100, 1e6), 0},
		{"a small change of a large volume", 5000, stack(1e6), 0},
		{"the lowest, four times as large", 5000, stack(20_000), 0},
		{"the lowest, a little less", 5000, stack(19_999), 1},
		{"one twice as large", 5000, stack(10_000, 1e6), 0},
		{"one a little less", 5000, stack(9_999, 1e6), 1},
		{"what was taken in counts", 5000, stack(9_000, 27_000, 1e6), 2},
		{"and makes the lowest fall", 5000, stack(9_000, 50_000), 2},
		{"a tiny layer", 1, stack(1023, 1e6), 1},
		{"one that is not tiny any more", 1, stack(1024, 1e6), 0},
		{"tiny ones all the way", 1, stack(10, 1000, 1023), 3},
		{"only those on top of it", 5000, stack(50_000, 100, 1e6), 0},
		{"seven below", 5000, stack(20e3, 50e3, 100e3, 200e3, 400e3, 800e3, 1600e4), 0},
		{"eight below", 5000, stack(20e3, 50e3, 100e3, 200e3, 400e3, 800e3, 1600e3, 3200e4), 1},
		{"ten below", 5000, stack(20e3, 60e3, 180e3, 200e6, 400e6, 800e6, 1600e6, 3200e6, 6400e6, 12e9*3), 3},
		{"ten below, and nothing new", 0, stack(2e3, 6e3, 18e3, 2e6, 4e6, 8e6, 16e6, 32e6, 64e6, 12e8), 3},
	} {
		if got := Merge(c.fresh, c.below); got != c.want {
			t.Errorf("%s: it takes in %d of %d layers, not %d", c.what, got, len(c.below), c.want)
		}
	}
}

// Increments for a year or so: what is written is a small multiple of what
// changed, and what a restore has to walk is little more than the volume.
func TestIncrementsCostALogarithm(t *testing.T) {
	for _, c := range []struct {
		base, each uint64
		count      int
		most       float64 // entries written for each that changed
		overlap    bool    // the same chunks change every time
	}{
		{1e6, 1000, 200, 8, false},
		{1e6, 1000, 2000, 12, false},
		{1e6, 100, 1000, 14, false},
		{1e6, 10_000, 200, 9, false},
		{1e8, 100_000, 1000, 12, false},
		{1e6, 1000, 1000, 5, true},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			layers, written, deepest := stack(c.base), uint64(0), 0
			for range c.count {
				take := Merge(c.each, layers)
				n := c.each
				for i, l := range layers[:take] {
					switch {
					case take == len(layers) && i == take-1:
						n = c.base // what the base has already is not there twice
					case !c.overlap:
						n += l.Entries()
					}
				}
				written += n
				layers = append(stack(n), layers[take:]...)
				if deepest = max(deepest, len(layers)); deepest > 8 {
					t.Fatalf("there are %d layers", len(layers))
				}
			}
			factor := float64(written) / float64(uint64(c.count)*c.each)
			t.Logf("%.1f entries written for each that changed; up to %d layers", factor, deepest)
			if factor > c.most {
				t.Errorf("%.1f entries are written for each that changed", factor)
			}
		})
	}
}
