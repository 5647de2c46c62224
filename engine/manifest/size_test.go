package manifest

import (
	"context"
	"math/rand"
	"testing"

	"github.com/stowage/stowage/engine/seal"
)

// 268,000 chunks of 256 KiB are 64 GiB that changed all over a volume.
func TestAnEntryCostsLittle(t *testing.T) {
	for name, gap := range map[string]int{"a full backup": 1, "an increment": 50} {
		c := newContainer(t, keys(sealed, 4))
		all := entries(rand.New(rand.NewSource(1)), 268_000, 4, gap)
		layer := c.write(attempt(0), limits{}, all)
		total := int64(0)
		for _, o := range layer {
			total += o.Bytes
		}
		each := float64(total) / float64(len(all))
		t.Logf("%s: %.1f bytes an entry in %d objects", name, each, len(layer))
		if each > 48 {
			t.Errorf("%s: %.1f bytes an entry", name, each)
		}
	}
}

// A million entries go through what a few pages and a read-ahead need.
func TestAWalkTakesNoMoreMemoryForALargeVolume(t *testing.T) {
	if testing.Short() {
		t.Skip("a million entries")
	}
	c := newContainer(t, keys(sealed, 1))
	layer := c.write(attempt(0), limits{}, dense(1_000_000))
	fetched := 0
	cur := NewCursor(c.keys, func(_ context.Context, o Object, offset int64, buf []byte) error {
		fetched += copy(buf, c.objects[o.Place][offset:])
		return nil
	}, []Layer{layer})
	defer cur.Close()
	before := allocated()
	n := 0
	for {
		_, ok, err := cur.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		n++
	}
	made := allocated() - before
	t.Logf("%d entries in %d objects, %d bytes fetched, %d bytes of memory taken, ever", n, len(layer), fetched, made)
	if n != 1_000_000 || made > 12<<20 {
		t.Errorf("%d entries took %d bytes", n, made)
	}
}

func BenchmarkWriter(b *testing.B) {
	all := dense(1_000_000)
	for name, f := range map[string]seal.Format{"open": open, "sealed": sealed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			k := keys(f, 1)
			number := uint64(0)
			next := func() uint64 { number++; return number }
			for b.Loop() {
				w, err := NewLayerWriter(k, attempt(0), next, func(Object, []byte) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
				for _, e := range all {
					if err := w.Add(e); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*1e6/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkCursor(b *testing.B) {
	c := newContainer(b, keys(sealed, 1))
	layers := []Layer{c.write(attempt(0), limits{}, dense(1_000_000))}
	for n := range 7 {
		layers = append([]Layer{c.write(attempt(0), limits{}, entries(rand.New(rand.NewSource(int64(n))), 10_000, 1, 190))}, layers...)
	}
	for name, l := range map[string][]Layer{"one layer": layers[7:], "eight layers": layers} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				all, err := c.count(l)
				if err != nil {
					b.Fatal(err)
				}
				n += all
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func (c *container) count(layers []Layer) (n int, err error) {
	cur := NewCursor(c.keys, c.fetch, layers)
	defer cur.Close()
	for {
		_, ok, err := cur.Next(context.Background())
		if err != nil || !ok {
			return n, err
		}
		n++
	}
}
