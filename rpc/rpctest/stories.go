package rpctest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stowage/stowage/rpc"
)

// collect lets listeners hear and answer until n bells were heard, and gives
// the jobs in order, those heard twice twice.
func collect(t *testing.T, n int, listeners ...rpc.Listener) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, patience))
	defer cancel()
	var mu sync.Mutex
	var jobs []string
	var all sync.WaitGroup
	for _, l := range listeners {
		all.Go(func() {
			for {
				d, err := l.Next(ctx)
				if err != nil {
					return
				}
				if err := d.Ack(); err != nil {
					t.Errorf("ack %s: %v", d.JobID, err)
				}
				mu.Lock()
				jobs = append(jobs, d.JobID)
				if len(jobs) == n {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(jobs)
	return jobs
}

func wantJobs(t *testing.T, got, want []string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("heard %v\nwant %v", got, want)
	}
}

func shared(t *testing.T, tr rpc.Transport) {
	q := queue()
	a, b := listen(t, tr, q), listen(t, tr, q)
	jobs := names("job", 20)
	for _, j := range jobs {
		ring(t, tr, q, j)
	}
	wantJobs(t, collect(t, len(jobs), a, b), jobs)
	quiet(t, a)
}

func requeued(t *testing.T, tr rpc.Transport) {
	q := queue()
	l := listen(t, tr, q)
	ring(t, tr, q, "job-1")
	for range 5 {
		d := hear(t, l)
		if err := d.Requeue(); err != nil {
			t.Fatal(err)
		}
	}
	d := hear(t, l)
	if d.JobID != "job-1" || d.RequestID != "req-job-1" {
		t.Fatalf("heard %+v", d.Bell)
	}
	ack(t, d)
	quiet(t, l)
}

func firstAnswer(t *testing.T, tr rpc.Transport) {
	q := queue()
	l := listen(t, tr, q)
	ring(t, tr, q, "job-1")
	d := hear(t, l)
	ack(t, d)
	ack(t, d)
	if err := d.Requeue(); err != nil {
		t.Fatal(err)
	}
	quiet(t, l)
	ring(t, tr, q, "job-2")
	d = hear(t, l)
	if err := d.Requeue(); err != nil {
		t.Fatal(err)
	}
	ack(t, d)
	if again := hear(t, l); again.JobID != "job-2" {
		t.Fatalf("heard %s", again.JobID)
	}
}

func diesUnanswered(t *testing.T, tr rpc.Transport) {
	q := queue()
	a, b := listen(t, tr, q), listen(t, tr, q)
	ring(t, tr, q, "job-1")
	dead := hear(t, a)
	quiet(t, b)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	d := hear(t, b)
	if d.JobID != "job-1" {
		t.Fatalf("heard %s", d.JobID)
	}
	_ = dead.Ack() // too late; must not answer b's
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ack(t, hear(t, listen(t, tr, q)))
}

func takesNothing(t *testing.T, tr rpc.Transport) {
	q := queue()
	busy, free := listen(t, tr, q), listen(t, tr, q)
	ring(t, tr, q, "job-0")
	working := hear(t, busy) // not answered yet
	jobs := names("first", 5)
	for _, j := range jobs {
		ring(t, tr, q, j)
	}
	wantJobs(t, collect(t, len(jobs), free), jobs)
	ack(t, working) // answered, and Next not called again
	jobs = names("second", 5)
	for _, j := range jobs {
		ring(t, tr, q, j)
	}
	wantJobs(t, collect(t, len(jobs), free), jobs)
	ring(t, tr, q, "job-9")
	if d := hear(t, busy); d.JobID != "job-9" {
		t.Fatalf("heard %s", d.JobID)
	}
}

func givenUp(t *testing.T, tr rpc.Transport) {
	q := queue()
	a, b := listen(t, tr, q), listen(t, tr, q)
	for range 3 {
		quiet(t, a)
	}
	jobs := names("job", 5)
	for _, j := range jobs {
		ring(t, tr, q, j)
	}
	wantJobs(t, collect(t, len(jobs), b), jobs)
}

func oneHeld(t *testing.T, tr rpc.Transport) {
	q1, q2 := queue(), queue()
	a, b := listen(t, tr, q1, q2), listen(t, tr, q1, q2)
	ring(t, tr, q1, "job-1")
	ring(t, tr, q2, "job-2")
	first := hear(t, a)
	second := hear(t, b)
	want := map[string]string{"job-1": q1, "job-2": q2}
	if first.JobID == second.JobID || want[first.JobID] != first.Queue || want[second.JobID] != second.Queue {
		t.Fatalf("heard %+v and %+v", first.Bell, second.Bell)
	}
	ack(t, first)
	ack(t, second)
	quiet(t, a)
}

func closeListener(t *testing.T, tr rpc.Transport) {
	l := listen(t, tr, queue())
	ended := make(chan error, 1)
	go func() {
		_, err := l.Next(within(t, patience))
		ended <- err
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, rpc.ErrClosed) {
		t.Fatalf("next bell: %v, want closed", err)
	}
	if _, err := l.Next(t.Context()); !errors.Is(err, rpc.ErrClosed) {
		t.Fatalf("next bell after close: %v, want closed", err)
	}
}

func closeTransport(t *testing.T, tr rpc.Transport) {
	q := queue()
	l := listen(t, tr, q)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Next(within(t, patience))
		ended <- err
	}()
	for range 2 {
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, rpc.ErrClosed) {
		t.Fatalf("next bell: %v, want closed", err)
	}
	wantUnavailable(t, tr.Ring(t.Context(), q, rpc.Bell{JobID: "job-1"}), rpc.ErrClosed)
	if _, err := tr.Listen(t.Context(), []string{q}); !errors.Is(err, rpc.ErrClosed) {
		t.Fatalf("listen: %v, want closed", err)
	}
}

func cancelledNext(t *testing.T, tr rpc.Transport) {
	q := queue()
	l := listen(t, tr, q)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := l.Next(ctx)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("next bell: %v, want cancelled", err)
	}
	ring(t, tr, q, "job-1")
	ack(t, hear(t, l))
}

func hundred(t *testing.T, tr rpc.Transport) {
	q := queue()
	a, b := listen(t, tr, q), listen(t, tr, q)
	jobs := names("job", 100)
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() {
			if err := tr.Ring(within(t, patience), q, rpc.Bell{JobID: j}); err != nil {
				t.Errorf("ring %s: %v", j, err)
			}
		})
	}
	got := collect(t, len(jobs), a, b)
	all.Wait()
	wantJobs(t, got, jobs)
}

func toldApart(t *testing.T, tr rpc.Transport) {
	there, nowhere := queue(), queue()
	l := listen(t, tr, there)
	jobs := names("job", 30)
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() {
			if err := tr.Ring(within(t, patience), there, rpc.Bell{JobID: j}); err != nil {
				t.Errorf("ring %s: %v", j, err)
			}
		})
		all.Go(func() {
			if err := tr.Ring(within(t, patience), nowhere, rpc.Bell{JobID: j}); !errors.Is(err, rpc.ErrNoQueue) {
				t.Errorf("ring %s nowhere: %v", j, err)
			}
		})
	}
	all.Wait()
	wantJobs(t, collect(t, len(jobs), l), jobs)
}
