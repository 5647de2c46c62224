package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/engine/manifest"
)

// What dies is deleted again: though each increment has a chunk that lives on,
// with one backup kept the store never holds much more than the volume.
func TestDeadBytesStayWithinABound(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{PackBytes: 512 * kib}, true)
	data := r.random(6 * mib)
	last := r.backup(newSource(data))
	spare := &manifest.Objects{}
	for round := range 60 {
		old := slices.Clone(data)
		data[(20+round)*unitBytes]++ // never again, and keeps its pack
		for hot := range 6 {
			data[hot*unitBytes]++
		}
		next := r.increment(young(data, old), last, "base")
		spare.Union(next.Spare)
		going := last.Reach
		going.Minus(next.Reach)
		if err := errors.Join(r.DeleteRoot(t.Context(), r.store, last.Root), r.Delete(t.Context(), r.store, "vol-1", going, nil)); err != nil {
			t.Fatal(err)
		}
		last = next
		stored := 0
		for _, object := range r.store.objects {
			stored += len(object)
		}
		if stored > 2*len(data) {
			t.Fatalf("%d bytes are stored for a volume of %d", stored, len(data))
		}
	}
	r.restore(last)
	r.clean(last)
	if n := spare.Len(); n > 0 {
		t.Errorf("%d objects were stored in vain", n)
	}
}

// A pack whose index was changed is not thinned out; what lives in it stays
// where it is, and the increment is as good as its parent.
func TestADamagedIndexOnlyKeepsItsPack(t *testing.T) {
	r := newRig(t, Options{PackBytes: 512 * kib}, false)
	old := r.random(16 * unitBytes)
	first := r.backup(newSource(old))
	data := r.random(len(old))
	copy(data[3*unitBytes:], old[3*unitBytes:4*unitBytes])
	copy(data[12*unitBytes:], old[12*unitBytes:13*unitBytes])
	second := r.increment(young(data, old), first, "base")
	if n := r.open(second).Packs; len(n) != 4 {
		t.Fatalf("%d packs are in use", len(n))
	}
	for i, name := range r.store.names(first.attempt.Backup.String()) {
		if i == 1 && strings.Contains(name, "/pack-") {
			object := r.store.objects[name]
			r.store.set(name, flip(object, len(object)-40))
		}
	}
	r.store.noETags = true
	third := r.increment(young(data, data), second, "base")
	if third.ReadBytes != unitBytes { // the chunk of the other pack
		t.Errorf("%d bytes are read", third.ReadBytes)
	}
	r.restore(third)
	r.clean(third)
}

func TestADeleteCanBeRunAgain(t *testing.T) {
	r := newRig(t, Options{PackBytes: 200 * kib}, false)
	b := r.backup(newSource(r.random(20 * unitBytes)))
	other := r.backup(newSource(r.random(mib)))
	faults := &drivertest.Faults{}
	store := drivertest.FaultyStore(r.store, faults)
	faults.On(drivertest.OpDelete, "").Skip(3).After(errAway)
	if err := r.Delete(t.Context(), store, "vol-1", b.Reach, nil); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Delete(ctx, r.store, "vol-1", b.Reach, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := errors.Join(r.DeleteRoot(t.Context(), store, b.Root), r.Delete(t.Context(), store, "vol-1", b.Reach, nil)); err != nil {
			t.Error(err)
		}
	}
	if left := r.store.names(b.attempt.Backup.String()); len(left) > 0 {
		t.Errorf("there is left: %s", left)
	}
	r.clean(other)
}

// What an attempt left is found by its names, and nothing else is touched.
func TestAPrefixIsDeleted(t *testing.T) {
	r := newRig(t, Options{PackBytes: 200 * kib}, false)
	b := r.backup(newSource(r.random(20 * unitBytes)))
	other := r.backup(newSource(r.random(mib)))
	prefix := manifest.Prefix("vol-1", b.attempt)
	if err := r.DeletePrefix(t.Context(), r.store, strings.TrimSuffix(prefix, "00000001/"), func(name string) bool { return strings.HasPrefix(name, prefix) }); err != nil {
		t.Fatal(err)
	}
	r.clean(b) // it was to be kept
	if err := r.DeletePrefix(t.Context(), lying{r.store}, prefix, nothing); err != nil {
		t.Fatal(err)
	}
	if left := r.store.names(prefix); len(left) > 0 {
		t.Errorf("there is left: %s", left)
	}
	r.clean(other)
	if err := r.DeletePrefix(t.Context(), nowhere{r.store}, prefix, nothing); err != nil {
		t.Errorf("without a container: %v", err)
	}
}

// nothing is to be kept.
func nothing(string) bool { return false }

// lying lists what it was not asked for as well.
type lying struct{ *memStore }

func (l lying) List(ctx context.Context, _ string, fn func(drivers.ObjectInfo) error) error {
	return l.memStore.List(ctx, "", fn)
}

// nowhere is a container that is not there.
type nowhere struct{ *memStore }

func (nowhere) List(context.Context, string, func(drivers.ObjectInfo) error) error {
	return stowage.Errorf(stowage.NotFound, "no container")
}
