package manifest

import (
	"context"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/seal"
)

// A volume's history: layers come, are merged, and are read with jumps; a plain
// map per layer says what must be seen.
func TestWhatTheCursorSeesIsWhatAMapWouldSay(t *testing.T) {
	for seed := range int64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			f := []seal.Format{open, sealed}[r.Intn(2)]
			c := newContainer(t, keys(f, 8))
			l := limits{entries: 1 + r.Intn(40), pages: 1 + r.Intn(6), bytes: 200 + r.Intn(20_000)}
			var layers []Layer
			var models [][]Entry
			for n := range 1 + r.Intn(10) {
				more := entries(r, 1+r.Intn(600), 8, 1+r.Intn(8))
				layers = slices.Insert(layers, 0, c.write(attempt(n%8), l, more))
				models = slices.Insert(models, 0, more)
				if take := r.Intn(len(layers) + 1); r.Intn(3) == 0 && take > 1 {
					merged, err := c.walk(layers[:take]...)
					if err != nil {
						t.Fatal(err)
					}
					mustEqual(t, merged, newest(models[:take]))
					layers = append([]Layer{c.write(attempt(n%8), l, merged)}, layers[take:]...)
					models = append([][]Entry{merged}, models[take:]...)
				}
			}
			want := newest(models)
			cur := NewCursor(c.keys, c.fetch, layers)
			defer cur.Close()
			for {
				if r.Intn(4) == 0 && len(want) > 0 {
					to := want[0].Chunk + uint64(r.Intn(1+r.Intn(500)))
					if err := cur.Seek(context.Background(), to); err != nil {
						t.Fatal(err)
					}
					want = slices.DeleteFunc(want, func(e Entry) bool { return e.Chunk < to })
				}
				e, ok, err := cur.Next(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if len(want) == 0 || e != want[0] {
					t.Fatalf("got %+v, of %d to come", e, len(want))
				}
				want = want[1:]
			}
			if len(want) > 0 {
				t.Fatalf("%d entries are not seen, the first is %+v", len(want), want[0])
			}
		})
	}
}

// newest is what counts of layers, newest first.
func newest(models [][]Entry) []Entry {
	all := map[uint64]Entry{}
	for _, l := range slices.Backward(models) {
		for _, e := range l {
			all[e.Chunk] = e
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Entry) int { return int(a.Chunk) - int(b.Chunk) })
}

// dense is n entries without a gap.
func dense(n int) []Entry { return entries(rand.New(rand.NewSource(7)), n, 1, 1) }

func TestAWalkReadsAheadMoreAndMore(t *testing.T) {
	c := newContainer(t, keys(open, 1))
	layer := c.write(attempt(0), limits{entries: 1024, pages: 4096, bytes: 4 << 20}, dense(200_000))
	if len(layer) != 2 {
		t.Fatalf("there are %d objects", len(layer))
	}
	if _, err := c.walk(layer); err != nil {
		t.Fatal(err)
	}
	longest, total := 0, 0
	for _, f := range c.fetched {
		var object, offset, n int
		if _, err := fmt.Sscanf(f, "%d:%d+%d", &object, &offset, &n); err != nil {
			t.Fatal(err)
		}
		longest, total = max(longest, n), total+n
	}
	t.Log(c.fetched)
	if whole := int(layer[0].Bytes + layer[1].Bytes); total > whole+4*wholeBytes {
		t.Errorf("%d bytes were fetched of objects of %d", total, whole)
	}
	if longest > mostAhead || longest < mostAhead-64<<10 {
		t.Errorf("up to %d bytes were fetched at a time", longest)
	}
	if len(c.fetched) > 18 {
		t.Errorf("it took %d fetches", len(c.fetched))
	}
}

func TestAJumpFetchesOnePage(t *testing.T) {
	c := newContainer(t, keys(open, 1))
	layer := c.write(attempt(0), limits{entries: 1024, pages: 4096, bytes: 4 << 20}, dense(300_000))
	cur := NewCursor(c.keys, c.fetch, []Layer{layer})
	defer cur.Close()
	for _, jump := range []struct {
		to    uint64
		looks int // at an index, and at a page
	}{{0, 2}, {5, 0}, {50_000, 1}, {50_001, 0}, {90_000, 1}, {layer[2].First + 2000, 2}, {layer[2].Last, 1}, {layer[2].Last + 1, 0}} {
		c.fetched = nil
		if err := cur.Seek(context.Background(), jump.to); err != nil {
			t.Fatal(err)
		}
		e, ok, err := cur.Next(context.Background())
		if err != nil || ok != (jump.to <= layer[2].Last) || ok && e.Chunk != jump.to {
			t.Fatalf("at %d: %+v %v %v", jump.to, e, ok, err)
		}
		if len(c.fetched) > jump.looks {
			t.Errorf("to get to %d it took %v", jump.to, c.fetched)
		}
	}
}

func TestWhatIsNotComeToIsNotOpened(t *testing.T) {
	c := newContainer(t, keys(open, 1))
	far := dense(3000)
	for i := range far {
		far[i].Chunk += 1 << 30
	}
	near, behind := c.write(attempt(0), limits{}, dense(10)), c.write(attempt(0), limits{}, far)
	cur := NewCursor(c.keys, c.fetch, []Layer{behind, near})
	defer cur.Close()
	for range 10 {
		if _, ok, err := cur.Next(context.Background()); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if len(c.fetched) != 1 { // a small object is fetched at once
		t.Errorf("it took %v", c.fetched)
	}
}

func TestTheCursorGoesForwardOnly(t *testing.T) {
	c := newContainer(t, keys(open, 1))
	cur := NewCursor(c.keys, c.fetch, []Layer{c.write(attempt(0), limits{}, dense(10))})
	if err := cur.Seek(context.Background(), 5); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cur.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := cur.Seek(context.Background(), 5); err == nil {
		t.Error("it went back")
	}
	cur.Close()
	if _, _, err := cur.Next(context.Background()); err == nil {
		t.Error("it goes on when it is closed")
	}
}

func TestAnErrorOfTheStoreComesThrough(t *testing.T) {
	c := newContainer(t, keys(open, 1))
	layer := c.write(attempt(0), limits{}, dense(5000))
	for fail := range 3 {
		n := 0
		cur := NewCursor(c.keys, func(ctx context.Context, o Object, offset int64, buf []byte) error {
			if n++; n > fail {
				return stowage.Errorf(stowage.Unavailable, "not now")
			}
			return c.fetch(ctx, o, offset, buf)
		}, []Layer{layer})
		var err error
		for ok := true; ok && err == nil; {
			_, ok, err = cur.Next(context.Background())
		}
		if stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("got %v", err)
		}
		cur.Close()
	}
}
