package rpc

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

func TestBackendQueueNamesAreSafeAndDifferent(t *testing.T) {
	for key, want := range map[string]string{
		"rbd:2454cb0b-f051:volumes": "stowage.backend.rbd:2454cb0b-f051:volumes",
		"lvm:host-1:cinder vg":      "stowage.backend.lvm:host-1:cinder%20vg",
		"file:50%~#*":               "stowage.backend.file:50%25%7E%23%2A",
		"file:é":                    "stowage.backend.file:%C3%A9",
	} {
		if got := BackendQueue(key); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	seen := map[string]bool{}
	for _, key := range []string{strings.Repeat("a", 300), strings.Repeat("a", 301), strings.Repeat("a", 239), strings.Repeat("%", 100)} {
		name := BackendQueue(key)
		if len(name) > 255 || seen[name] {
			t.Errorf("%d bytes: %s", len(name), name)
		}
		seen[name] = true
	}
}

func TestBellsSurviveTheWire(t *testing.T) {
	for _, b := range []Bell{
		{JobID: "4f0f8d0c", Queue: "q", RequestID: "req-1"},
		{JobID: "\"é\n", Queue: "q"},
	} {
		body, err := encode("q", b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode("q", body); err != nil || got != b {
			t.Errorf("got %+v, %v, want %+v", got, err, b)
		}
	}
	// A newer version may say more.
	if b, err := decode("q", []byte(`{"job_id":"1","more":{"a":[1]}}`)); err != nil || b.JobID != "1" {
		t.Error(b, err)
	}
	if _, err := encode("q", Bell{JobID: strings.Repeat("x", maxBody)}); !stowage.Is(err, stowage.Invalid) {
		t.Error(err)
	}
	if _, err := encode(strings.Repeat("q", 256), Bell{JobID: "1"}); !stowage.Is(err, stowage.Invalid) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"job_id":"1","request_id":"req-1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if b, err := decode("q", body); err == nil && b.JobID == "" {
			t.Errorf("%q gave a bell without a job", body)
		}
	})
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	b := backoff{base: time.Second, max: 30 * time.Second, random: func() float64 { return 0.5 }}
	for attempt, want := range map[int]time.Duration{0: 500 * time.Millisecond, 1: time.Second, 4: 8 * time.Second, 5: 15 * time.Second, 1 << 20: 15 * time.Second} {
		if got := b.delay(attempt); got != want {
			t.Errorf("attempt %d: %v, want %v", attempt, got, want)
		}
	}
}

func TestAMQPWithoutABrokerKeepsToItsTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	tr, err := NewAMQP(Options{URL: TransportURL{Brokers: []Broker{{Host: "127.0.0.1", Port: port}}, VHost: "/"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tr.Ring(ctx, AnyQueue, Bell{JobID: "1"}); !stowage.Is(err, stowage.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ring: %v", err)
	}
	if _, err := tr.Listen(ctx, []string{AnyQueue}); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("listen: %v", err)
	}
	if err := tr.Healthy(t.Context()); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("healthy: %v", err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- tr.Ring(t.Context(), AnyQueue, Bell{JobID: "2"}) }()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("ring during close: %v", err)
	}
}

func TestNewAMQPTellsWrongOptions(t *testing.T) {
	u := TransportURL{Brokers: []Broker{{Host: "h1"}}}
	for name, o := range map[string]Options{
		"no host":    {},
		"no CA file": {URL: u, TLS: TLS{Enabled: true, CAFile: filepath.Join(t.TempDir(), "none")}},
		"no PEM":     {URL: u, TLS: TLS{Enabled: true, CAFile: "small_test.go"}},
		"no key":     {URL: u, TLS: TLS{Enabled: true, CertFile: "small_test.go"}},
	} {
		if _, err := NewAMQP(o); !stowage.Is(err, stowage.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
