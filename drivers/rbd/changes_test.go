//go:build stack && ceph

package rbd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// life is one volume with whatever may happen to it, and the snapshots of ours
// and others that were left on the way.
type life struct {
	*rig
	vol   stowage.VolumeLocation
	rnd   *rand.Rand
	unit  int64
	snaps []stowage.Snapshot
	made  int
	log   []string
}

func (l *life) note(format string, args ...any) { l.log = append(l.log, fmt.Sprintf(format, args...)) }

// place picks a range: at any byte, whole objects, or the tail of one.
func (l *life) place(size int64) (offset, length int64) {
	offset = l.rnd.Int64N(size)
	switch l.rnd.IntN(3) {
	case 0:
		offset = offset / l.unit * l.unit
		length = l.unit * (1 + l.rnd.Int64N(2))
	case 1:
		length = l.unit - offset%l.unit
	default:
		length = 1 + l.rnd.Int64N(l.unit*3/2)
	}
	return offset, min(length, size-offset)
}

// step does one thing to the image, as a guest, Cinder or an operator may.
func (l *life) step(t *testing.T, image *ceph.Image) {
	size, err := image.GetSize()
	must(t, err)
	offset, length := l.place(int64(size))
	switch what := l.rnd.IntN(14); {
	case what < 4:
		l.note("write %d+%d", offset, length)
		_, err = image.WriteAt(bytes.Repeat([]byte{byte(1 + l.rnd.IntN(255))}, int(length)), offset)
	case what < 6:
		l.note("discard %d+%d", offset, length)
		_, err = image.Discard(uint64(offset), uint64(length))
	case what < 8:
		l.note("zero %d+%d", offset, length)
		_, err = image.WriteSame(uint64(offset), uint64(length), make([]byte, length), 0)
	case what == 8:
		grown := size + uint64(1+l.rnd.Int64N(2*l.unit))
		l.note("grow to %d", grown)
		err = image.Resize(grown)
	case what == 9 && size > uint64(2*l.unit):
		less := uint64(1 + l.rnd.Int64N(int64(size)))
		l.note("shrink to %d", less)
		err = image.Resize(less)
	case what == 10 && len(l.snaps) > 0:
		snap := l.snaps[l.rnd.IntN(len(l.snaps))]
		l.note("roll back to %s", snap.Name)
		err = image.GetSnapshot(snap.Name).Rollback()
	case what == 11 && len(l.snaps) > 2:
		i := l.rnd.IntN(len(l.snaps))
		l.note("remove %s", l.snaps[i].Name)
		err = image.GetSnapshot(l.snaps[i].Name).Remove()
		l.snaps = append(l.snaps[:i:i], l.snaps[i+1:]...)
	case what == 12 && l.rnd.IntN(3) == 0:
		l.note("flatten")
		_ = image.Flatten() // it may have no parent
	default:
		l.freeze(t)
	}
	if err != nil {
		t.Fatalf("%v: %v", l.log, err)
	}
}

func (l *life) freeze(t *testing.T) {
	l.made++
	snap, err := l.CreateSnapshot(t.Context(), l.vol, fmt.Sprintf("stowage-inflight.%d", l.made))
	must(t, err)
	l.snaps = append(l.snaps, snap)
	l.note("snapshot %d", l.made)
}

// compare takes each two snapshots and looks for a byte that differs and is
// not among the changes.
func (l *life) compare(t *testing.T) {
	var sources []drivers.Source
	var states [][]byte
	for _, snap := range l.snaps {
		source, err := l.OpenSnapshot(t.Context(), snap)
		must(t, err)
		defer source.Close()
		state := make([]byte, source.Size())
		if _, err := source.ReadAt(state, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		sources, states = append(sources, source), append(states, state)
	}
	for i, base := range l.snaps {
		for j := i + 1; j < len(l.snaps); j++ {
			got := make([]byte, len(states[j]))
			copy(got, states[i])
			must(t, sources[j].(drivers.ChangeSource).Changed(t.Context(), base, 0, sources[j].Size(), func(e stowage.Extent) error {
				copy(got[e.Offset:e.End()], states[j][e.Offset:e.End()])
				return nil
			}))
			if !bytes.Equal(got, states[j]) {
				t.Errorf("from %s to %s a change is missing: %q", base.Name, l.snaps[j].Name, l.log)
			}
		}
	}
}

// clone makes the volume of a life a clone of a parent with data in places.
func (l *life) clone(t *testing.T, shape layout) {
	parent := l.volume(t, 4*l.unit-1000, shape)
	image := l.image(t, parent.Name)
	for range l.rnd.IntN(4) {
		offset, length := l.place(4*l.unit - 1000)
		l.note("parent %d+%d", offset, length)
		_, err := image.WriteAt(bytes.Repeat([]byte{byte(1 + l.rnd.IntN(255))}, int(length)), offset)
		must(t, err)
	}
	snap, err := image.CreateSnapshot("snap")
	must(t, err)
	must(t, snap.Protect())
	must(t, image.Close())
	options := ceph.NewRbdImageOptions()
	defer options.Destroy()
	must(t, options.SetUint64(ceph.ImageOptionFeatures, shape.features))
	must(t, options.SetUint64(ceph.ImageOptionOrder, uint64(shape.order)))
	l.vol = stowage.VolumeLocation{Backend: l.Backend(), Name: parent.Name + "-clone"}
	must(t, ceph.CloneImage(l.ioctx, parent.Name, "snap", l.ioctx, l.vol.Name, options))
	name := l.vol.Name
	t.Cleanup(func() { l.wipe(t, name) })
}

// Whatever happens to a volume between two snapshots: no change is missing.
func TestStackChangesOfManyLives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	shapes := []layout{
		{name: "as Cinder makes them", features: allFeatures, order: 16},
		{name: "no deep flatten", features: allFeatures &^ ceph.FeatureDeepFlatten, order: 16},
		{name: "no object map", features: ceph.FeatureLayering | ceph.FeatureExclusiveLock, order: 16},
		{name: "striped", features: allFeatures, order: 16, stripeUnit: 16 << 10, stripeCount: 3},
	}
	seed, n, lasts := uint64(time.Now().UnixNano()), uint64(0), 30*time.Second
	if longer, err := time.ParseDuration(os.Getenv("STOWAGE_TEST_LIVES")); err == nil {
		lasts = longer
	}
	defer func() { t.Logf("%d lives from seed %d", n, seed) }()
	for deadline := time.Now().Add(lasts); time.Now().Before(deadline) && !t.Failed(); n++ {
		shape := shapes[n%4]
		l := &life{rig: r, rnd: rand.New(rand.NewPCG(seed, n)), unit: 1 << shape.order}
		l.note("%s", shape.name)
		if n%8 < 3 {
			l.clone(t, shape)
		} else {
			l.vol = r.volume(t, 4*l.unit-1000, shape)
		}
		image := r.image(t, l.vol.Name)
		for range 6 + l.rnd.IntN(8) {
			l.step(t, image)
		}
		l.freeze(t)
		must(t, image.Close())
		l.compare(t)
		r.wipe(t, l.vol.Name)
	}
}

// What the object map gets wrong, or does not have. After a revert to a snapshot older than the
// base, and for a base that was longer than a later state, it knows of no change.
func TestStackChangesTheMapDoesNotKnow(t *testing.T) {
	t.Parallel()
	write := func(b byte, offset, length int64) func(*life, *ceph.Image) error {
		return func(_ *life, image *ceph.Image) error {
			_, err := image.WriteAt(bytes.Repeat([]byte{b}, int(length)), offset)
			return err
		}
	}
	size := func(bytes uint64) func(*life, *ceph.Image) error {
		return func(_ *life, image *ceph.Image) error { return image.Resize(bytes) }
	}
	freeze := func(l *life, _ *ceph.Image) error { l.freeze(t); return nil }
	revert := func(l *life, image *ceph.Image) error { return image.GetSnapshot(l.snaps[1].Name).Rollback() }
	// Invalid from then on, as nobody rebuilds it, and missing for the base.
	lateMap := func(_ *life, image *ceph.Image) error {
		return image.UpdateFeatures(ceph.FeatureObjectMap|ceph.FeatureFastDiff, true)
	}
	for name, steps := range map[string][]func(*life, *ceph.Image) error{
		"map made later":  {write(1, 0, 200_000), freeze, lateMap, write(2, 1000, 10), freeze, write(3, 220_000, 5), freeze},
		"revert":          {write(1, 0, 200_000), freeze, freeze, write(2, 1000, 100_000), freeze, revert, freeze},
		"shrink and grow": {write(1, 0, 250_000), freeze, size(70_000), freeze, size(260_000), freeze},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shape := layout{features: allFeatures, order: 16}
			if name == "map made later" {
				shape.features = ceph.FeatureLayering | ceph.FeatureExclusiveLock
			}
			l := &life{rig: newRig(t), unit: 1 << shape.order}
			l.vol = l.volume(t, 4*l.unit, shape)
			l.note("%s", name)
			image := l.image(t, l.vol.Name)
			for _, step := range steps {
				must(t, step(l, image))
			}
			must(t, image.Close())
			l.compare(t)
		})
	}
}

// changedBytes sums what is said to have changed.
func changedBytes(t *testing.T, source drivers.Source, base stowage.Snapshot) (sum int64) {
	t.Helper()
	must(t, source.(drivers.ChangeSource).Changed(t.Context(), base, 0, source.Size(), func(e stowage.Extent) error {
		sum += e.Length
		return nil
	}))
	return sum
}

// One in a hundred places of 64 KiB was written: that is what changed, and not
// the objects around them. It says how long the question took.
func TestStackChangesAreExact(t *testing.T) {
	const place, gib = 64 << 10, 1 << 30
	r := newRig(t)
	vol := r.volume(t, 4*gib, cinders)
	image := r.image(t, vol.Name)
	for at := 4*mib - place; at < 4*gib; at += 4 * mib { // every object is there, up to its end
		_, err := image.WriteAt(pattern(place), at)
		must(t, err)
	}
	base, err := r.CreateSnapshot(t.Context(), vol, "stowage-inflight.1")
	must(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	places := map[int64]bool{}
	for len(places) < 4*gib/place/100 {
		places[rnd.Int64N(4*gib/place)] = true
	}
	for p := range places {
		_, err := image.WriteAt(pattern(place), p*place)
		must(t, err)
	}
	must(t, image.Close())
	_, source := r.snapshot(t, vol, "stowage-inflight.2")

	start := time.Now()
	sum := changedBytes(t, source, base)
	t.Logf("%d places of %d bytes changed, %d bytes reported in %v", len(places), place, sum, time.Since(start))
	if written := int64(len(places)) * place; sum != written {
		t.Errorf("%d bytes were written, %d are said to have changed", written, sum)
	}
}
