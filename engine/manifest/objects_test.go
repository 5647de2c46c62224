package manifest

import (
	"bytes"
	"errors"
	"maps"
	"math/rand"
	"testing"

	"github.com/stowage/stowage/engine/seal"
)

type thing struct {
	kind seal.Kind
	Place
}

// someThings gives objects of a few attempts: runs, and single ones.
func someThings(seed int64, n int) map[thing]bool {
	r, all := rand.New(rand.NewSource(seed)), map[thing]bool{}
	for range n {
		a, kind, from := attempt(r.Intn(5)), kinds[r.Intn(2)], uint64(1+r.Intn(200_000))
		for i := range uint64(1 + r.Intn(30)) {
			all[thing{kind, Place{a, from + i}}] = true
		}
	}
	return all
}

func someObjects(seed int64, n int) *Objects {
	o := &Objects{}
	for x := range someThings(seed, n) {
		o.Add(x.kind, x.Place)
	}
	return o
}

// what gives a set's things, and sees to their order.
func what(t *testing.T, o *Objects) map[thing]bool {
	t.Helper()
	all, before := map[thing]bool{}, thing{}
	err := o.Each(func(k seal.Kind, p Place) error {
		now := thing{k, p}
		if before != (thing{}) {
			c := before.Attempt.Compare(p.Attempt)
			if c > 0 || c == 0 && (before.kind == seal.Map && k == seal.Pack || before.kind == k && before.Number >= p.Number) {
				t.Fatalf("%v comes after %v", now, before)
			}
		}
		all[now], before = true, now
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Len() != uint64(len(all)) {
		t.Fatalf("%d objects are said to be %d", len(all), o.Len())
	}
	return all
}

func TestSetsOfObjectsAddUp(t *testing.T) {
	for seed := range int64(20) {
		a, b := someThings(seed, 40), someThings(seed+100, 40)
		x, y := someObjects(seed, 40), someObjects(seed+100, 40)
		x.Union(y)
		union := maps.Clone(a)
		maps.Copy(union, b)
		if !maps.Equal(what(t, x), union) {
			t.Fatal("a union is wrong")
		}
		if !maps.Equal(what(t, y), b) {
			t.Fatal("a union changes what is added")
		}
		x.Minus(y)
		maps.DeleteFunc(union, func(k thing, _ bool) bool { return b[k] })
		if !maps.Equal(what(t, x), union) {
			t.Fatal("a difference is wrong")
		}
		for k := range b {
			if x.Has(k.kind, k.Place) || !y.Has(k.kind, k.Place) {
				t.Fatalf("Has is wrong about %v", k)
			}
		}
	}
}

func TestASetComesBackFromItsBytes(t *testing.T) {
	for seed := range int64(20) {
		o := someObjects(seed, int(seed)*20)
		data, err := o.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		got := &Objects{}
		got.Add(seal.Pack, Place{attempt(99), 1}) // and what was there is gone
		if err := got.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(what(t, got), what(t, o)) {
			t.Fatal("a set comes back as another")
		}
		again, err := got.MarshalBinary()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("the same set has other bytes: %v", err)
		}
	}
}

func TestASetWithAFlippedBitIsRefused(t *testing.T) {
	data, err := someObjects(1, 5).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		var o Objects
		mustBeCorrupt(t, o.UnmarshalBinary(data))
		data[bit/8] ^= 1 << (bit % 8)
	}
	for n := range data {
		var o Objects
		mustBeCorrupt(t, o.UnmarshalBinary(data[:n]))
	}
}

// 16 TiB are 2^18 packs. One backup of them is a run; what is left of it after
// years is any subset, and no more than a bit for each.
func TestTheSetOfALargeVolumeIsSmall(t *testing.T) {
	whole, holes := &Objects{}, &Objects{}
	r := rand.New(rand.NewSource(1))
	for n := range uint64(1 << 18) {
		whole.Add(seal.Pack, Place{attempt(0), n + 1})
		if r.Intn(2) == 0 {
			holes.Add(seal.Pack, Place{attempt(0), n + 1})
		}
	}
	for n := range 1000 { // increments, of a few packs each
		for i := range uint64(1 + r.Intn(5)) {
			holes.Add(seal.Pack, Place{attempt(1 + n), i + 1})
		}
		holes.Add(seal.Map, Place{attempt(1 + n), 1})
	}
	for name, c := range map[string]struct {
		set  *Objects
		most int
	}{"whole": {whole, 200}, "holes and a thousand increments": {holes, 110 << 10}} {
		data, err := c.set.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d objects, %d bytes", name, c.set.Len(), len(data))
		if len(data) > c.most {
			t.Errorf("%s: %d bytes", name, len(data))
		}
	}
}

func TestEachStopsWithTheFirstError(t *testing.T) {
	stop, calls := errors.New("stop"), 0
	err := someObjects(1, 5).Each(func(seal.Kind, Place) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestTheObjectsOfARoot(t *testing.T) {
	want := map[thing]bool{}
	for _, x := range []thing{
		{seal.Pack, Place{attempt(4), 1}}, {seal.Pack, Place{attempt(4), 2}}, {seal.Pack, Place{attempt(5), 1}},
		{seal.Map, Place{attempt(4), 1}}, {seal.Map, Place{attempt(4), 2}}, {seal.Map, Place{attempt(5), 1}},
	} {
		want[x] = true
	}
	if got := what(t, sample(open).Objects()); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
