package engine

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// atOnce runs so many backups at the same time.
func (r *rig) atOnce(inputs []BackupInput) []made {
	r.t.Helper()
	all := make([]made, len(inputs))
	group, ctx := errgroup.WithContext(r.t.Context())
	for i, in := range inputs {
		group.Go(func() error {
			res, err := r.Backup(ctx, in)
			if err != nil {
				return fmt.Errorf("job %d: %w", i, err)
			}
			all[i] = made{BackupResult: res, attempt: in.Attempt, data: bytesOf(in.Source)}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		r.t.Fatal(err)
	}
	r.whole()
	return all
}

// However tight the budgets are, jobs do not wait for one another in a circle.
func TestCrowdedJobsFinish(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{PackBudget: 8 * mib, ReadBudget: 4 * mib},
		{PackBudget: 16 * mib, ReadBudget: 8 * mib},
		{PackBudget: 24 * mib, ReadBudget: 64 * mib, PackBytes: 4 * mib},
		{PackBudget: 40 * mib, ReadBudget: 16 * mib, PackBytes: mib, Readers: 2},
	} {
		t.Run(fmt.Sprintf("packs=%d/reads=%d", o.PackBudget, o.ReadBudget), func(t *testing.T) {
			r := newRig(t, o, false)
			r.store.slow = func(string) { time.Sleep(time.Millisecond) } // so that jobs meet
			var inputs []BackupInput
			for range 10 {
				inputs = append(inputs, r.input(newSource(r.random(r.rng.IntN(8*mib)))))
			}
			for _, b := range r.atOnce(inputs) {
				r.restore(b)
			}
			if most := r.store.most.Load(); most > o.PackBudget {
				t.Errorf("%d bytes of packs were uploaded at once", most)
			}
		})
	}
}

// While uploads hang, what is read and packed stays within the budgets; when
// they go on, everything ends well.
func TestABlockedStoreHoldsNoMoreThanTheBudget(t *testing.T) {
	r := newRig(t, Options{PackBudget: 16 * mib, ReadBudget: 8 * mib, PackBytes: 2 * mib}, false)
	open := make(chan struct{})
	r.store.slow = func(string) { <-open }
	source := newSource(r.random(80 * mib))
	done := make(chan made)
	in := r.input(source)
	go func() {
		res, err := r.Backup(context.Background(), in)
		if err != nil {
			t.Error(err)
		}
		done <- made{BackupResult: res, attempt: in.Attempt, data: source.data}
	}()
	// It stands still when the packs have all the room there is.
	for !stands(r) {
		time.Sleep(time.Millisecond)
	}
	if read := source.read.Load(); read > 16*mib+8*mib {
		t.Errorf("%d bytes were read", read)
	}
	if most := r.store.inFlight.Load(); most > 16*mib {
		t.Errorf("%d bytes of packs are being uploaded", most)
	}
	close(open)
	b := <-done
	r.whole()
	r.restore(b)
}

// stands reports whether a job waits for room and every read buffer is out.
func stands(r *rig) bool {
	if r.reads.room.TryAcquire(1) {
		r.reads.room.Release(1)
		return false
	}
	if r.Engine.packs.TryAcquire(packStep) {
		r.Engine.packs.Release(packStep)
		return false
	}
	return true
}

// A job whose store hangs does not keep another from its work as long as there
// is room.
func TestASmallJobPassesABlockedOne(t *testing.T) {
	r := newRig(t, Options{PackBudget: 64 * mib, ReadBudget: 64 * mib, PackBytes: 4 * mib}, false)
	open := make(chan struct{})
	blocked := r.input(newSource(r.random(30 * mib)))
	prefix := fmt.Sprint(blocked.Attempt.Backup)
	r.store.slow = func(name string) {
		if bytes.Contains([]byte(name), []byte(prefix)) {
			<-open
		}
	}
	done := make(chan error)
	go func() {
		_, err := r.Backup(context.Background(), blocked)
		done <- err
	}()
	for r.store.inFlight.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	small := r.input(newSource(r.random(3 * mib)))
	res, err := r.Backup(t.Context(), small)
	if err != nil {
		t.Fatal(err)
	}
	close(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.whole()
	r.restore(made{BackupResult: res, data: bytesOf(small.Source)})
}
