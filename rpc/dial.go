package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stowage/stowage"
)

// dialTimeout bounds one broker's TCP, TLS and AMQP handshakes together.
const dialTimeout = 15 * time.Second

// TLS says how to trust the broker, and how it may trust us.
type TLS struct {
	Enabled  bool
	CAFile   string // empty: the system's
	CertFile string // our certificate, with KeyFile; empty: none
	KeyFile  string
	Insecure bool // believe any certificate
}

// load reads the files; nil when TLS is off.
func (t TLS) load() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, stowage.Wrap(stowage.Invalid, err, "CA file of the message broker")
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, stowage.Errorf(stowage.Invalid, "CA file of the message broker: no certificate in %s", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, stowage.Wrap(stowage.Invalid, err, "certificate for the message broker")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dialer opens connections, to one broker after the other.
type dialer struct {
	opts    Options
	tls     *tls.Config // nil: plain
	brokers []Broker

	mu   sync.Mutex
	next int // broker to begin with
}

// connection is an AMQP connection and the socket beneath, for an end by force.
type connection struct {
	*amqp.Connection
	socket net.Conn
	broker string
}

// end closes the connection; a broker that does not answer has closeGrace.
func (c *connection) end() {
	force := time.AfterFunc(closeGrace, func() { _ = c.socket.Close() })
	defer force.Stop()
	_ = c.Close() // it is gone either way
}

// dial tries each broker once and gives the first that answers.
func (d *dialer) dial(ctx context.Context) (*connection, error) {
	var all []error
	for range d.brokers {
		b := d.rotate()
		c, err := d.open(ctx, b)
		if err == nil {
			return c, nil
		}
		all = append(all, fmt.Errorf("connect to broker %s: %w", b.address(d.tls != nil), err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(all...)
}

// rotate gives the next broker, so that the one that failed has its turn last.
func (d *dialer) rotate() Broker {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.brokers[d.next%len(d.brokers)]
	d.next++
	return b
}

func (d *dialer) open(ctx context.Context, b Broker) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address := b.address(d.tls != nil)
	socket, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// The handshakes know no context: its end closes the socket beneath them.
	release := context.AfterFunc(ctx, func() { _ = socket.Close() })
	defer release()
	if d.tls != nil {
		c := d.tls.Clone()
		c.ServerName = b.Host
		secure := tls.Client(socket, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = socket.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		socket = secure
	}
	conn, err := amqp.Open(socket, d.config(b))
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("AMQP handshake: %w", err)
	}
	return &connection{Connection: conn, socket: socket, broker: address}, nil
}

func (d *dialer) config(b Broker) amqp.Config {
	properties := amqp.NewConnectionProperties()
	properties["product"] = "Stowage"
	properties.SetClientConnectionName(d.opts.Name)
	auth := &amqp.PlainAuth{Username: b.User, Password: b.Password}
	if b.User == "" {
		// What RabbitMQ itself, and oslo.messaging, take for no credentials.
		auth.Username, auth.Password = "guest", "guest"
	}
	return amqp.Config{
		SASL:       []amqp.Authentication{auth},
		Vhost:      d.opts.URL.VHost,
		Heartbeat:  d.opts.Heartbeat,
		Properties: properties,
		Locale:     "en_US",
	}
}
