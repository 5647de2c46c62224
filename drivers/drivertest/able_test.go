package drivertest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
)

// able can do all there is, and does nothing.
type able struct {
	drivers.Volumes
}

func (able) KeepSnapshot(_ context.Context, snap stowage.Snapshot, name string) (stowage.Snapshot, error) {
	snap.Name = name
	return snap, nil
}

func (able) Leftovers(context.Context) ([]stowage.Snapshot, error) {
	return make([]stowage.Snapshot, 1), nil
}

func (able) Orphans(context.Context) ([]stowage.Snapshot, error) {
	return make([]stowage.Snapshot, 1), nil
}

func (able) OpenSnapshot(context.Context, stowage.Snapshot) (drivers.Source, error) {
	return ableSource{}, nil
}

func (able) OpenTarget(context.Context, stowage.VolumeLocation) (drivers.Target, error) {
	return ableTarget{}, nil
}

type ableTarget struct{ drivers.Target }

func (ableTarget) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

type ableSource struct{ drivers.Source }

func (ableSource) Changed(_ context.Context, _ stowage.Snapshot, offset, length int64, fn func(stowage.Extent) error) error {
	return fn(stowage.Extent{Offset: offset, Length: length})
}

// Wrapped, a driver can do what it could, with faults, and nothing more.
func TestFaultyKeepsWhatADriverCanDo(t *testing.T) {
	var faults drivertest.Faults
	v := drivertest.FaultyVolumes(able{}, &faults)
	bases, keeps := v.(drivers.Bases)
	left, lists := v.(drivers.Leftovers)
	orphans, knows := v.(drivers.Orphans)
	source, err := v.OpenSnapshot(t.Context(), stowage.Snapshot{Name: "s"})
	must(t, err)
	changes, tells := source.(drivers.ChangeSource)
	target, err := v.OpenTarget(t.Context(), stowage.VolumeLocation{Name: "v"})
	must(t, err)
	reads, readable := target.(drivers.ReadableTarget)
	if !keeps || !lists || !knows || !tells || !readable {
		t.Fatalf("keeps %v, lists %v, knows orphans %v, tells %v, reads %v", keeps, lists, knows, tells, readable)
	}
	told := 0
	calls := map[drivertest.Op]func() error{
		drivertest.OpKeepSnapshot: func() error { _, err := bases.KeepSnapshot(t.Context(), stowage.Snapshot{Name: "s"}, "k"); return err },
		drivertest.OpLeftovers:    func() error { _, err := left.Leftovers(t.Context()); return err },
		drivertest.OpOrphans:      func() error { _, err := orphans.Orphans(t.Context()); return err },
		drivertest.OpChanged: func() error {
			return changes.Changed(t.Context(), stowage.Snapshot{}, 0, 1, func(stowage.Extent) error { told++; return nil })
		},
		drivertest.OpReadAt: func() error { _, err := reads.ReadAt(make([]byte, 1), 0); return err },
	}
	for op, call := range calls {
		faults.On(op, "").Before(errAway)
		faults.On(op, "").After(errAway)
		for range 2 {
			if err := call(); !errors.Is(err, errAway) {
				t.Errorf("%s: %v", op, err)
			}
		}
		must(t, call())
	}
	if told != 2 {
		t.Errorf("Changed told %d times: once before it failed, once for good", told)
	}

	plain := drivertest.FaultyVolumes(struct{ drivers.Volumes }{}, &faults)
	_, keeps = plain.(drivers.Bases)
	_, lists = plain.(drivers.Leftovers)
	_, knows = plain.(drivers.Orphans)
	_, tells = drivertest.FaultySource(struct{ drivers.Source }{}, "s", &faults).(drivers.ChangeSource)
	_, readable = drivertest.FaultyTarget(struct{ drivers.Target }{}, "v", &faults).(drivers.ReadableTarget)
	if keeps || lists || knows || tells || readable {
		t.Errorf("what cannot do it: keeps %v, lists %v, knows orphans %v, tells %v, reads %v", keeps, lists, knows, tells, readable)
	}
}
