package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/drivertest"
)

var errAway = stowage.Errorf(stowage.Unavailable, "the cloud is away")

// settled checks that no goroutine is left of what was run since the count was
// taken; those that have done their work may still be on their way out.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("there are %d goroutines instead of %d", runtime.NumGoroutine(), before)
}

// faultyInput is an increment of the parent over a store with faults.
func (r *rig) faultyInput(v state, bases map[string]state, parent made, faults *drivertest.Faults) BackupInput {
	in := r.input(drivertest.FaultySource(v.since(bases), "disk", faults))
	in.Store = drivertest.FaultyStore(r.store, faults)
	in.Parent, in.Base = r.open(parent).Root, &stowage.Snapshot{ID: "base"}
	return in
}

// Whichever call fails, whether it did its work or not, the backup fails, and
// leaves neither a root nor anything of the engine's.
func TestEveryFailureEndsABackup(t *testing.T) {
	r := newRig(t, Options{PackBytes: 300 * kib, Readers: 3}, true)
	old := &bytesState{r: r, data: r.random(mib)}
	parent := r.backup(old.source())
	v := &bytesState{r: r, data: append(r.random(mib+mib/2), old.data[:mib/2]...)}
	bases := map[string]state{"base": old}

	counts := &drivertest.Faults{}
	if _, err := r.Backup(t.Context(), r.faultyInput(v, bases, parent, counts)); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for _, op := range []drivertest.Op{drivertest.OpPut, drivertest.OpGet, drivertest.OpReadAt, drivertest.OpChanged} {
		calls := counts.Count(op, "")
		if calls == 0 {
			t.Errorf("%s is never called", op)
		}
		for skip := range calls {
			for _, after := range []bool{false, true} {
				if after && op == drivertest.OpReadAt {
					continue // the last read gives io.EOF, and no other error then
				}
				faults := &drivertest.Faults{}
				in := r.faultyInput(v, bases, parent, faults)
				if fault := faults.On(op, "").Skip(skip); after {
					fault.After(errAway)
				} else {
					fault.Before(errAway)
				}
				_, err := r.Backup(t.Context(), in)
				if !errors.Is(err, errAway) {
					t.Errorf("%s fails for the %d. time: %v", op, skip+1, err)
				}
				r.whole()
				root := fmt.Sprintf("%s/%08d/root", in.Attempt.Backup, in.Attempt.Fence)
				lastPut := op == drivertest.OpPut && skip == calls-1 && after // the root itself, which was stored
				if n := len(r.store.names(root)); n > 0 && !lastPut {
					t.Errorf("%s fails for the %d. time, and there is a root", op, skip+1)
				}
			}
		}
	}
	settled(t, before)
	r.restore(parent)
}

// readAnswer is a reader that always answers the same.
type readAnswer struct {
	n   int
	err error
}

func (a readAnswer) ReadAt([]byte, int64) (int, error) { return a.n, a.err }

func TestAReadIsWholeOrAnError(t *testing.T) {
	for answer, good := range map[readAnswer]bool{
		{4, nil}: true, {4, io.EOF}: true, {4, errAway}: false, {3, nil}: false, {3, io.EOF}: false, {0, errAway}: false,
	} {
		if err := readFully(answer, make([]byte, 4), 0); (err == nil) != good {
			t.Errorf("%+v: %v", answer, err)
		}
	}
}

func TestEveryFailureEndsARestore(t *testing.T) {
	r := newRig(t, Options{PackBytes: 300 * kib, Fetches: 3}, true)
	b := r.backup(newSource(r.mixed(mib)))
	run := func(faults *drivertest.Faults) error {
		target := &memTarget{t: t, data: r.random(len(b.data))}
		in := r.restoreInput(b, drivertest.FaultyTarget(readableTarget{target}, "disk", faults))
		in.Store, in.Compare = drivertest.FaultyStore(r.store, faults), true
		return r.Restore(t.Context(), in)
	}
	counts := &drivertest.Faults{}
	if err := run(counts); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for _, op := range []drivertest.Op{
		drivertest.OpStat, drivertest.OpGet, drivertest.OpWriteAt, drivertest.OpWriteZeroes, drivertest.OpReadAt, drivertest.OpEmpty, drivertest.OpFlush,
	} {
		calls := counts.Count(op, "")
		if calls == 0 {
			t.Errorf("%s is never called", op)
		}
		for skip := range min(calls, 12) {
			faults := &drivertest.Faults{}
			faults.On(op, "").Skip(skip).Before(errAway)
			if err := run(faults); !errors.Is(err, errAway) {
				t.Errorf("%s fails for the %d. time: %v", op, skip+1, err)
			}
			r.whole()
		}
	}
	settled(t, before)
}

// Cancelled at any moment, a job ends with the context's error and leaves
// nothing behind in the engine.
func TestAJobThatIsCancelledEnds(t *testing.T) {
	r := newRig(t, Options{PackBytes: 300 * kib, PackBudget: 8 * mib, ReadBudget: 4 * mib, Readers: 3}, false)
	source := newSource(r.random(3*mib + 5))
	b := r.backup(source)
	before := runtime.NumGoroutine()
	jobs := map[string]func(context.Context, *drivertest.Faults) error{
		"backup": func(ctx context.Context, faults *drivertest.Faults) error {
			in := r.input(drivertest.FaultySource(source, "disk", faults))
			in.Store = drivertest.FaultyStore(r.store, faults)
			in.Parent = r.open(b).Root
			in.Parent.Packs = nil // read all of it, and compare
			in.Parent.Layers = nil
			_, err := r.Backup(ctx, in)
			return err
		},
		"restore": func(ctx context.Context, faults *drivertest.Faults) error {
			in := r.restoreInput(b, drivertest.FaultyTarget(&memTarget{t: t, data: make([]byte, len(b.data))}, "disk", faults))
			in.Store = drivertest.FaultyStore(r.store, faults)
			return r.Restore(ctx, in)
		},
		"verify": func(ctx context.Context, faults *drivertest.Faults) error {
			_, err := r.Verify(ctx, VerifyInput{Store: drivertest.FaultyStore(r.store, faults), Root: b.Root, Keys: r, Deep: true})
			return err
		},
	}
	for what, job := range jobs {
		for _, op := range []drivertest.Op{drivertest.OpPut, drivertest.OpGet, drivertest.OpStat, drivertest.OpReadAt, drivertest.OpWriteAt} {
			counts := &drivertest.Faults{}
			if err := job(t.Context(), counts); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for skip := range counts.Count(op, "") {
				ctx, cancel := context.WithCancel(t.Context())
				faults := &drivertest.Faults{}
				faults.On(op, "").Skip(skip).Run(cancel)
				// The last write may be the end of it.
				if err := job(ctx, faults); !errors.Is(err, context.Canceled) && !(err == nil && op == drivertest.OpWriteAt) {
					t.Errorf("%s, cancelled in %s %d: %v", what, op, skip+1, err)
				}
				cancel()
				r.whole()
			}
		}
	}
	settled(t, before)
}

// A snapshot that proves to be another one leaves no backup.
func TestACheckThatFailsLeavesNoRoot(t *testing.T) {
	r := newRig(t, Options{}, false)
	in := r.input(newSource(r.random(mib)))
	in.Check = func(context.Context) error {
		if len(r.store.names("pack-")) == 0 || len(r.store.names("map-")) == 0 {
			t.Error("it is asked before everything is stored")
		}
		return errAway
	}
	if _, err := r.Backup(t.Context(), in); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	r.whole()
	if roots := r.store.names("/root"); len(roots) > 0 {
		t.Errorf("there is %s", roots)
	}
}

// What could not be written down at the end is refused at the beginning.
func TestWhatNoRootCanSayIsRefused(t *testing.T) {
	r := newRig(t, Options{}, false)
	for what, change := range map[string]func(*BackupInput){
		"no volume":   func(in *BackupInput) { in.Info.Volume.ID = "" },
		"a path":      func(in *BackupInput) { in.Info.Volume.ID = "../x" },
		"a far fence": func(in *BackupInput) { in.Attempt.Fence = 1 << 63 },
	} {
		in := r.input(newSource(r.random(mib)))
		change(&in)
		if _, err := r.Backup(t.Context(), in); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.whole()
	if left := r.store.names(""); len(left) > 0 {
		t.Errorf("there is %s", left)
	}
}

// A job that nobody watches needs no Progress.
func TestProgressMayBeNil(t *testing.T) {
	r := newRig(t, Options{}, false)
	in := r.input(newSource(r.random(mib)))
	in.Progress = nil
	res, err := r.Backup(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	b := made{BackupResult: res, data: bytesOf(in.Source)}
	restore := r.restoreInput(b, &memTarget{t: t, data: make([]byte, mib)})
	restore.Progress = nil
	if err := r.Restore(t.Context(), restore); err != nil {
		t.Error(err)
	}
	for _, deep := range []bool{false, true} {
		if found, err := r.Verify(t.Context(), VerifyInput{Store: r.store, Root: b.Root, Deep: deep}); len(found) > 0 || err != nil {
			t.Errorf("%v, %v", found, err)
		}
	}
}
