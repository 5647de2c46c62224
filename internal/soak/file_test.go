package soak

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stowage/stowage/drivers/file"
)

// Thousands of short histories of small volumes, each from a seed of its own:
// whatever is written, discarded, grown, backed up, verified and deleted, in
// any order, any point in time that is left comes back byte for byte, and when
// all are deleted nothing is left.
func TestThousandsOfHistories(t *testing.T) {
	parts, each := 20, 100
	if testing.Short() {
		each = 5
	}
	var mu sync.Mutex
	total := map[string]int{}
	t.Run("all", func(t *testing.T) {
		for part := range parts {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				for i := range each {
					counts := small(t, uint64(part*100+i))
					mu.Lock()
					for what, n := range counts {
						total[what] += n
					}
					mu.Unlock()
				}
			})
		}
	})
	for _, what := range []string{"wrote", "grew", "full", "compared", "restored", "verified", "deleted"} {
		if total[what] < parts*each/10 {
			t.Errorf("%s: %d times only, of %v", what, total[what], slices.Collect(maps.Keys(total)))
		}
	}
	t.Logf("%d histories: %v", parts*each, total)
}

func small(t *testing.T, seed uint64) map[string]int {
	t.Helper()
	h := newHistory(t, seed, bounds{smallest: 16 << 10, largest: mib, grow: 256 << 10, write: 128 << 10, steps: 14})
	dir := t.TempDir()
	vols, err := file.Open(file.Options{Key: "file:soak", Dir: dir})
	h.ok(err)
	h.vols = vols
	at := func(image string) string { return filepath.Join(dir, image) }
	h.create = func(image string, size int) {
		h.ok(os.WriteFile(at(image), nil, 0o600))
		h.ok(os.Truncate(at(image), int64(size)))
	}
	h.resize = func(size int) { h.ok(os.Truncate(at(h.image), int64(size))) }
	h.play(t.Context(), func() bool { return false })
	h.ok(vols.Close())
	if t.Failed() {
		t.Fatalf("the history of seed %d", seed)
	}
	h.ok(os.RemoveAll(dir))
	return h.counts
}
