//go:build stack

package rpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stowage/stowage/rpc"
	"github.com/stowage/stowage/rpc/rpctest"
)

// These tests need a RabbitMQ. STOWAGE_STACK_ENV names a file of KEY=VALUE
// lines with TEST_TRANSPORT_URL, or TRANSPORT_URL. Queues get unique names and
// are deleted afterwards.

func brokerURL(t *testing.T) rpc.TransportURL {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("STOWAGE_STACK_ENV"))
	if err != nil {
		t.Fatalf("STOWAGE_STACK_ENV must name the stack's environment file: %v", err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[key] = strings.Trim(value, `"'`)
	}
	raw := env["TEST_TRANSPORT_URL"]
	if raw == "" {
		raw = env["TRANSPORT_URL"]
	}
	u, err := rpc.ParseTransportURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// log keeps what was logged, to look for passwords in it.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open gives a transport whose queues are deleted after the test and whose log
// is searched for the password. It retries within milliseconds.
func open(t *testing.T, change ...func(*rpc.Options)) (*cleaning, *log) {
	t.Helper()
	lines := &log{}
	o := rpc.Options{
		URL: brokerURL(t), Name: "stowage-test:" + t.Name(),
		RetryInterval: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	tr, err := rpc.NewAMQP(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &cleaning{AMQP: tr}
	t.Cleanup(func() {
		_ = tr.Close()
		c.clean(t)
		for _, b := range o.URL.Brokers {
			if strings.Contains(lines.String(), b.Password) {
				t.Errorf("the log shows the password:\n%s", lines)
			}
		}
	})
	return c, lines
}

// cleaning remembers the queues it declared.
type cleaning struct {
	*rpc.AMQP
	mu     sync.Mutex
	queues []string
}

// Listen remembers, and listens.
func (c *cleaning) Listen(ctx context.Context, queues []string) (rpc.Listener, error) {
	c.mu.Lock()
	c.queues = append(c.queues, queues...)
	c.mu.Unlock()
	return c.AMQP.Listen(ctx, queues)
}

func (c *cleaning) clean(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := rawChannel(t)
	for _, q := range c.queues {
		if _, err := ch.QueueDelete(q, false, false, false); err != nil {
			t.Errorf("delete queue %s: %v", q, err)
		}
	}
}

// rawChannel talks to the broker past the transport.
func rawChannel(t *testing.T) *amqp.Channel {
	t.Helper()
	u := brokerURL(t)
	b := u.Brokers[0]
	conn, err := amqp.DialConfig(amqp.URI{
		Scheme: "amqp", Host: b.Host, Port: b.Port, Username: b.User, Password: b.Password, Vhost: u.VHost,
	}.String(), amqp.Config{Vhost: u.VHost})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestAMQPQuorumQueues(t *testing.T) {
	rpctest.Run(t, func(t *testing.T) rpc.Transport {
		c, _ := open(t)
		return c
	})
}

func TestAMQPClassicQueues(t *testing.T) {
	rpctest.Run(t, func(t *testing.T) rpc.Transport {
		c, _ := open(t, func(o *rpc.Options) { o.Classic = true })
		return c
	})
}
