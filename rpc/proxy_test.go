//go:build stack

package rpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage/rpc"
)

// proxy stands between client and broker and can break the line between them.
type proxy struct {
	target string
	listen net.Listener
	tls    *tls.Config // what the client sees; nil: plain

	mu    sync.Mutex
	cond  *sync.Cond
	away  bool // refuse new connections
	still bool // let no byte through
	conns map[net.Conn]bool
	work  sync.WaitGroup
}

func newProxy(t *testing.T, conf *tls.Config) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := brokerURL(t).Brokers[0]
	p := &proxy{target: net.JoinHostPort(b.Host, strconv.Itoa(b.Port)), listen: l, tls: conf, conns: map[net.Conn]bool{}}
	p.cond = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.silence(false)
		p.cut()
		p.work.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.target)
		p.mu.Lock()
		if err != nil || p.away {
			_ = client.Close()
			if err == nil {
				_ = broker.Close()
			}
			p.mu.Unlock()
			continue
		}
		if p.tls != nil {
			client = tls.Server(client, p.tls)
		}
		p.conns[client], p.conns[broker] = true, true
		p.mu.Unlock()
		p.work.Go(func() { p.pump(client, broker) })
		p.work.Go(func() { p.pump(broker, client) })
	}
}

func (p *proxy) pump(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.still {
			p.cond.Wait()
		}
		p.mu.Unlock()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut breaks all connections and refuses new ones until restore.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

// silence keeps the connections and lets nothing through.
func (p *proxy) silence(still bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.still = still
	p.cond.Broadcast()
}

// through sends the client to the proxy instead of the broker.
func (p *proxy) through(o *rpc.Options) {
	a := p.listen.Addr().(*net.TCPAddr)
	o.URL.Brokers[0].Host, o.URL.Brokers[0].Port = "127.0.0.1", a.Port
}

// certificate makes a self-signed certificate for 127.0.0.1 and gives the
// server's configuration and the file a client trusts.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// deadPort gives a port of this host that nobody listens on.
func deadPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
