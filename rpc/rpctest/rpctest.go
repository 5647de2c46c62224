// Package rpctest is the suite that every rpc.Transport passes. It tells what
// a caller may rely on, as little stories of listeners and bells.
package rpctest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/rpc"
)

const (
	// patience is how long a thing that must happen may take.
	patience = 2 * time.Minute
	// silence is how long we listen to believe that nothing comes.
	silence = 300 * time.Millisecond
)

// Run runs the suite; open gives a new transport and cleans up behind it. The
// suite uses queue names that were never used before.
func Run(t *testing.T, open func(t *testing.T) rpc.Transport) {
	for name, story := range map[string]func(*testing.T, rpc.Transport){
		"a bell reaches who waits":                         reachesWaiting,
		"a bell waits for its listener":                    waitsForListener,
		"a bell without a queue is refused":                refusedWithoutQueue,
		"a bell without a job is refused":                  refusedWithoutJob,
		"two listeners share a queue":                      shared,
		"a requeued bell rings again":                      requeued,
		"only the first answer counts":                     firstAnswer,
		"a listener that dies gives its bell back":         diesUnanswered,
		"outside of Next a listener takes nothing":         takesNothing,
		"a Next that is given up takes nothing":            givenUp,
		"of bells in two queues one is held":               oneHeld,
		"closing a listener ends its Next":                 closeListener,
		"closing the transport ends everything":            closeTransport,
		"a cancelled Next ends":                            cancelledNext,
		"a ring without time does not ring":                noTime,
		"a hundred rings at once":                          hundred,
		"refused and safe bells are told apart":            toldApart,
		"an open transport is healthy, a closed one isn't": healthy,
	} {
		t.Run(name, func(t *testing.T) { story(t, open(t)) })
	}
}

// queue gives a name nobody used before.
func queue() string { return "stowage.test." + rand.Text() }

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func listen(t *testing.T, tr rpc.Transport, queues ...string) rpc.Listener {
	t.Helper()
	l, err := tr.Listen(within(t, patience), queues)
	if err != nil {
		t.Fatalf("listen to %v: %v", queues, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func ring(t *testing.T, tr rpc.Transport, queue, job string) {
	t.Helper()
	if err := tr.Ring(within(t, patience), queue, rpc.Bell{JobID: job, RequestID: "req-" + job}); err != nil {
		t.Fatalf("ring %s: %v", job, err)
	}
}

func hear(t *testing.T, l rpc.Listener) rpc.Delivery {
	t.Helper()
	d, err := l.Next(within(t, patience))
	if err != nil {
		t.Fatalf("next bell: %v", err)
	}
	return d
}

func ack(t *testing.T, d rpc.Delivery) {
	t.Helper()
	if err := d.Ack(); err != nil {
		t.Fatalf("ack %s: %v", d.JobID, err)
	}
}

func quiet(t *testing.T, l rpc.Listener) {
	t.Helper()
	d, err := l.Next(within(t, silence))
	if err == nil {
		t.Fatalf("heard the bell of %s, want silence", d.JobID)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("next bell: %v, want the end of our patience", err)
	}
}

func wantUnavailable(t *testing.T, err, cause error) {
	t.Helper()
	if !stowage.Is(err, stowage.Unavailable) || !errors.Is(err, cause) {
		t.Fatalf("got %v, want stowage.Unavailable for %v", err, cause)
	}
}

func reachesWaiting(t *testing.T, tr rpc.Transport) {
	q := queue()
	l := listen(t, tr, q)
	heard := make(chan rpc.Delivery, 1)
	go func() {
		d, err := l.Next(within(t, patience))
		if err != nil {
			t.Errorf("next bell: %v", err)
		}
		heard <- d
	}()
	ring(t, tr, q, "job-1")
	d := <-heard
	if want := (rpc.Bell{JobID: "job-1", Queue: q, RequestID: "req-job-1"}); d.Bell != want {
		t.Fatalf("heard %+v, want %+v", d.Bell, want)
	}
	ack(t, d)
	quiet(t, l)
}

func waitsForListener(t *testing.T, tr rpc.Transport) {
	q := queue()
	early := listen(t, tr, q) // declares the queue
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	ring(t, tr, q, "job-1")
	late := listen(t, tr, q)
	d := hear(t, late)
	if d.JobID != "job-1" {
		t.Fatalf("heard %s", d.JobID)
	}
	ack(t, d)
}

func refusedWithoutQueue(t *testing.T, tr rpc.Transport) {
	err := tr.Ring(within(t, patience), queue(), rpc.Bell{JobID: "job-1"})
	wantUnavailable(t, err, rpc.ErrNoQueue)
	// It spoils nothing for the bells behind it.
	q := queue()
	l := listen(t, tr, q)
	ring(t, tr, q, "job-2")
	ack(t, hear(t, l))
}

func refusedWithoutJob(t *testing.T, tr rpc.Transport) {
	q := queue()
	listen(t, tr, q)
	if err := tr.Ring(within(t, patience), q, rpc.Bell{}); !stowage.Is(err, stowage.Invalid) {
		t.Fatalf("got %v, want stowage.Invalid", err)
	}
}

func noTime(t *testing.T, tr rpc.Transport) {
	q := queue()
	listen(t, tr, q)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantUnavailable(t, tr.Ring(ctx, q, rpc.Bell{JobID: "job-1"}), context.Canceled)
}

func healthy(t *testing.T, tr rpc.Transport) {
	// Connecting for rings goes on behind New, so a ring proves it.
	q := queue()
	listen(t, tr, q)
	ring(t, tr, q, "job-1")
	if err := tr.Healthy(t.Context()); err != nil {
		t.Fatalf("not healthy: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, tr.Healthy(t.Context()), rpc.ErrClosed)
}

func names(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}
