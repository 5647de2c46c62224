//go:build stack

package rpc_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/rpc"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func newQueue() string { return "stowage.test." + rand.Text() }

func listen(t *testing.T, tr rpc.Transport, q string) rpc.Listener {
	t.Helper()
	l, err := tr.Listen(within(t, 20*time.Second), []string{q})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ring(t *testing.T, tr rpc.Transport, q, job string) {
	t.Helper()
	if err := tr.Ring(within(t, 20*time.Second), q, rpc.Bell{JobID: job}); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, l rpc.Listener) rpc.Delivery {
	t.Helper()
	d, err := l.Next(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAMQPLosesNoConfirmedBellWhenTheLineBreaks(t *testing.T) {
	p := newProxy(t, nil)
	tr, _ := open(t, p.through)
	q := newQueue()
	l := listen(t, tr, q)
	heard := make(chan string)
	ctx, stop := context.WithCancel(t.Context())
	var listening, ringing sync.WaitGroup
	listening.Go(func() {
		for {
			d, err := l.Next(ctx)
			if err != nil {
				return
			}
			_ = d.Ack() // may fail in the middle of a cut: the bell comes again
			select {
			case heard <- d.JobID:
			case <-ctx.Done():
			}
		}
	})
	const bells = 60
	for i := range bells {
		ringing.Go(func() { ring(t, tr, q, fmt.Sprintf("job-%d", i)) })
	}
	missing := map[string]bool{}
	for i := range bells {
		missing[fmt.Sprintf("job-%d", i)] = true
	}
	for cuts := 0; len(missing) > 0; {
		select {
		case job := <-heard:
			delete(missing, job)
			if len(missing)%15 == 0 && cuts < 3 {
				cuts++
				p.cut()
				time.AfterFunc(100*time.Millisecond, p.restore)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("never heard %v", missing)
		}
	}
	ringing.Wait()
	stop()
	listening.Wait()
}

func TestAMQPRingWaitsForTheBroker(t *testing.T) {
	p := newProxy(t, nil)
	tr, lines := open(t, p.through)
	q := newQueue()
	l := listen(t, tr, q)
	ring(t, tr, q, "job-1")
	if d := hear(t, l); d.Ack() != nil {
		t.Fatal("not acked")
	}

	p.cut()
	err := tr.Ring(within(t, 300*time.Millisecond), q, rpc.Bell{JobID: "job-2"})
	if !stowage.Is(err, stowage.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("ring while away: %v", err)
	}
	if !stowage.Is(tr.Healthy(t.Context()), stowage.Unavailable) {
		t.Error("healthy without a broker")
	}

	time.AfterFunc(300*time.Millisecond, p.restore)
	ring(t, tr, q, "job-3")
	for d := hear(t, l); d.JobID != "job-3"; d = hear(t, l) {
		// The answer to job-1 may have been cut off, too.
		_ = d.Ack()
	}
	if err := tr.Healthy(t.Context()); err != nil {
		t.Errorf("after the broker came back: %v", err)
	}
	if !strings.Contains(lines.String(), "message broker lost") {
		t.Errorf("no word of the lost broker in the log:\n%s", lines)
	}
}

func TestAMQPBellComesAgainWhenTheLineBreaksBeforeTheAnswer(t *testing.T) {
	p := newProxy(t, nil)
	tr, _ := open(t, p.through)
	q := newQueue()
	l := listen(t, tr, q)
	ring(t, tr, q, "job-1")
	d := hear(t, l)
	p.cut()
	p.restore()
	again := hear(t, l)
	if again.JobID != "job-1" {
		t.Fatalf("heard %s", again.JobID)
	}
	if err := d.Ack(); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("ack over a broken line: %v", err)
	}
	if err := again.Ack(); err != nil {
		t.Error(err)
	}
}

func TestAMQPKeepsItsTimeWhenTheBrokerFallsSilent(t *testing.T) {
	p := newProxy(t, nil)
	tr, _ := open(t, p.through)
	q := newQueue()
	l := listen(t, tr, q)
	ring(t, tr, q, "job-1")
	p.silence(true)
	start := time.Now()
	if err := tr.Ring(within(t, 300*time.Millisecond), q, rpc.Bell{JobID: "job-2"}); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("ring: %v", err)
	}
	if _, err := l.Next(within(t, 300*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("close took %v", took)
	}
}

func TestAMQPGoesOnToTheSecondBroker(t *testing.T) {
	for range 4 { // the start is shuffled
		tr, _ := open(t, func(o *rpc.Options) {
			dead := o.URL.Brokers[0]
			dead.Host, dead.Port = "127.0.0.1", deadPort(t)
			o.URL.Brokers = []rpc.Broker{dead, o.URL.Brokers[0]}
		})
		q := newQueue()
		l := listen(t, tr, q)
		ring(t, tr, q, "job-1")
		if d := hear(t, l); d.JobID != "job-1" || d.Ack() != nil {
			t.Fatal("not heard, or not acked")
		}
	}
}

func TestAMQPOverTLSBelievesOnlyItsCA(t *testing.T) {
	conf, ca := certificate(t)
	_, otherCA := certificate(t)
	p := newProxy(t, conf)
	tr, _ := open(t, p.through, func(o *rpc.Options) { o.TLS = rpc.TLS{Enabled: true, CAFile: ca} })
	q := newQueue()
	listen(t, tr, q)
	ring(t, tr, q, "job-1")

	mistrusting, lines := open(t, p.through, func(o *rpc.Options) { o.TLS = rpc.TLS{Enabled: true, CAFile: otherCA} })
	for begun := time.Now(); ; {
		err := mistrusting.Ring(within(t, 300*time.Millisecond), q, rpc.Bell{JobID: "job-2"})
		if !stowage.Is(err, stowage.Unavailable) {
			t.Fatalf("ring: %v, log:\n%s", err, lines)
		}
		if strings.Contains(lines.String(), "TLS handshake") {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("the log does not tell:\n%s", lines)
		}
	}
	careless, _ := open(t, p.through, func(o *rpc.Options) {
		o.URL.Query = map[string]string{"ssl": "1"}
		o.TLS = rpc.TLS{Insecure: true}
	})
	ring(t, careless, q, "job-3")
}

func TestAMQPWrongPasswordIsToldAndNotShown(t *testing.T) {
	tr, lines := open(t, func(o *rpc.Options) { o.URL.Brokers[0].Password = "not-the-right-one" })
	// RabbitMQ takes three seconds to say no.
	err := tr.Ring(within(t, 8*time.Second), "stowage.any", rpc.Bell{JobID: "job-1"})
	if !stowage.Is(err, stowage.Unavailable) {
		t.Fatalf("ring: %v", err)
	}
	if !strings.Contains(lines.String(), "username or password not allowed") &&
		!strings.Contains(lines.String(), "ACCESS_REFUSED") {
		t.Errorf("the log does not tell the reason:\n%s", lines)
	}
}

func TestAMQPDropsWhatIsNoBell(t *testing.T) {
	tr, lines := open(t)
	q := newQueue()
	l := listen(t, tr, q)
	ch := rawChannel(t)
	for _, body := range []string{"", "{", "[]", `{"job_id":""}`, `{"job_id":1}`, `{"job_id":"` + strings.Repeat("x", 5000) + `"}`} {
		if err := ch.PublishWithContext(t.Context(), "", q, true, false, amqp.Publishing{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	ring(t, tr, q, "job-1")
	if d := hear(t, l); d.JobID != "job-1" || d.Ack() != nil {
		t.Fatalf("heard %s", d.JobID)
	}
	if n := strings.Count(lines.String(), "message dropped"); n != 6 {
		t.Errorf("%d messages dropped:\n%s", n, lines)
	}
}

func TestAMQPSurvivesADeletedQueue(t *testing.T) {
	tr, lines := open(t)
	q := newQueue()
	l := listen(t, tr, q)
	heard := make(chan rpc.Delivery)
	go func() { heard <- hear(t, l) }()
	ch := rawChannel(t)
	for consumers := 0; consumers == 0; {
		state, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		consumers = state.Consumers
	}
	if _, err := ch.QueueDelete(q, false, false, false); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; {
		err := tr.Ring(within(t, time.Second), q, rpc.Bell{JobID: "job-1"})
		if err == nil {
			break
		}
		// The new queue may take its time to elect its leader.
		if !errors.Is(err, rpc.ErrNoQueue) && !stowage.Is(err, stowage.Unavailable) && !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Minute {
			t.Fatal(err)
		}
	}
	if d := <-heard; d.JobID != "job-1" || d.Ack() != nil {
		t.Fatalf("heard %s", d.JobID)
	}
	if !strings.Contains(lines.String(), "listening interrupted") {
		t.Errorf("no word of it in the log:\n%s", lines)
	}
}

func TestAMQPTellsAQueueOfOtherProperties(t *testing.T) {
	classic, _ := open(t, func(o *rpc.Options) { o.Classic = true })
	q := newQueue()
	listen(t, classic, q)
	quorum, _ := open(t)
	if _, err := quorum.AMQP.Listen(within(t, 20*time.Second), []string{q}); !stowage.Is(err, stowage.Invalid) {
		t.Fatalf("listen: %v", err)
	}
}
