package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// maxAnswer bounds what is read of an answer of Keystone's. A token with the
// catalog of a large cloud is some 100 kB.
const maxAnswer = 1 << 20

// httpClient makes a client that trusts and proves what the credentials say.
// It bounds connecting and waiting for an answer's headers, not the transfer:
// objects are large. It follows no redirects: they would carry the token to
// wherever they lead.
func httpClient(c Credentials, proxy func(*http.Request) (*url.URL, error)) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // the operator's choice
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read cafile: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cafile %s holds no certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		key := c.KeyFile
		if key == "" {
			key = c.CertFile
		}
		cert, err := tls.LoadX509KeyPair(c.CertFile, key)
		if err != nil {
			return nil, fmt.Errorf("load certfile and keyfile: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 proxy,
			DialContext:           (&net.Dialer{Timeout: c.ConnectTimeout}).DialContext,
			TLSClientConfig:       conf,
			TLSHandshakeTimeout:   c.ConnectTimeout,
			ResponseHeaderTimeout: 2 * time.Minute,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   32,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// errTooLong means an answer went past maxAnswer.
var errTooLong = errors.New("the answer is too long")

// bounded cuts off answers that are too long, with an error.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than allowed tells a full answer from a longer one
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	return n, err
}

// retryConnect runs do, and again while no connection could be made: such a
// request was never sent, so sending it again is safe. It waits 0.5 s, then
// twice as long each time, as keystoneauth does.
func retryConnect(ctx context.Context, retries int, pause Pause, do func() error) error {
	wait := 500 * time.Millisecond
	for i := 0; ; i++ {
		err := do()
		if err == nil || i >= retries || !neverConnected(err) {
			return err
		}
		if perr := pause(ctx, wait); perr != nil {
			return err
		}
		wait *= 2
	}
}

func neverConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Pause waits for d or until the context is done, whose error it returns then.
type Pause func(ctx context.Context, d time.Duration) error

func realPause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
