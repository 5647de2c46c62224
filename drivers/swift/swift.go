// Package swift keeps objects in OpenStack Swift, or in what speaks like it.
//
// The HTTP of Swift is ncw/swift's; what this package adds is what an
// unattended service needs. Tokens come from a TokenSource, and one that Swift
// refuses is reported and replaced. Every transient fault of every verb is
// tried again, a PUT with the very same bytes, with growing pauses, a bounded
// number of times. A PUT carries its MD5, so that Swift refuses what was
// damaged on the way; a GET is checked against the range it answers.
//
// What a container holds is its tenant's to change, so nothing in an answer is
// believed that can be checked: lengths, ranges, and that a listing goes
// forward. Redirects are not followed, for they would carry the token away,
// and content encodings are not undone.
package swift

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v5"
	ncw "github.com/ncw/swift/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// TokenSource gives the service's tokens. It is called from many goroutines.
type TokenSource interface {
	// Token gives a token that is valid as far as the source knows.
	Token(ctx context.Context) (string, error)
	// Refused tells the source that Swift did not accept the token, so that
	// it does not give it again.
	Refused(token string)
}

// Options say how to reach Swift. TokenSource and AccountURL are needed, the
// rest has a default.
type Options struct {
	TokenSource TokenSource
	// AccountURL gives the URL of a project's account, such as
	// https://swift.example/v1/AUTH_<project>.
	AccountURL func(ctx context.Context, project string) (string, error)
	// Transport carries the requests; it must speak HTTP/1.1. Nil: NewTransport(nil).
	Transport http.RoundTripper
	// RetryAttempts is how often a request is made in all. Zero: 8.
	RetryAttempts int
	// Backoff is the first pause, each next one is about twice as long, up to
	// 30 s. Zero: 500 ms.
	Backoff time.Duration
	// Timeout bounds one attempt, from connecting to the last byte. Zero: 5 min.
	Timeout time.Duration
	// PageSize is how many objects one request lists. Zero: 1000; Swift allows 10000.
	PageSize int
	// UserAgent is how we call ourselves. Empty: stowage.
	UserAgent string
	// Logger hears of what is tried again. Nil: nobody does.
	Logger *slog.Logger
	// Sleep waits between attempts. Nil: by the clock.
	Sleep func(ctx context.Context, pause time.Duration) error
}

const (
	maxPause      = 30 * time.Second
	maxRetryAfter = 2 * time.Minute
)

type stores struct {
	opts Options
}

var _ drivers.Stores = (*stores)(nil)

// Open makes the stores; it speaks to nobody yet.
func Open(opts Options) (drivers.Stores, error) {
	if opts.TokenSource == nil || opts.AccountURL == nil {
		return nil, stowage.Errorf(stowage.Invalid, "swift needs a source of tokens and the URL of accounts")
	}
	if opts.Transport == nil {
		opts.Transport = NewTransport(nil)
	}
	if opts.RetryAttempts <= 0 {
		opts.RetryAttempts = 8
	}
	if opts.Backoff <= 0 {
		opts.Backoff = 500 * time.Millisecond
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Minute
	}
	if opts.PageSize <= 0 {
		opts.PageSize = 1000
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "stowage"
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Sleep == nil {
		opts.Sleep = sleep
	}
	return &stores{opts}, nil
}

// NewTransport gives a transport as this package likes it: HTTP/1.1, no proxy,
// no compression, connections kept for many workers. Nil: Go's idea of TLS.
func NewTransport(config *tls.Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second, // a PUT that is refused at once need not carry its body
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       60 * time.Second,
		DisableCompression:    true,
		Protocols:             protocols,
	}
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Open opens a container of the project's account; whether it is there shows
// when it is used.
func (s *stores) Open(ctx context.Context, project, container string) (drivers.Store, error) {
	if !validProject(project) {
		return nil, stowage.Errorf(stowage.Invalid, "%q is no id of a project", project)
	}
	if !validText(container, 256) || strings.Contains(container, "/") || container == "." || container == ".." {
		return nil, stowage.Errorf(stowage.Invalid, "%q is no name of a container", container)
	}
	account, err := s.opts.AccountURL(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("find the account of project %s: %w", project, err)
	}
	u, err := url.Parse(account)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, stowage.Errorf(stowage.Internal, "the account of project %s has no usable URL", project)
	}
	account = strings.TrimRight(account, "/")
	auth := &authenticator{source: s.opts.TokenSource, account: account}
	return &store{
		opts: &s.opts, container: container, account: account,
		conn: &ncw.Connection{
			Auth: auth, Transport: &transport{s.opts.Transport}, UserAgent: s.opts.UserAgent,
			// Retries and time limits are ours. Its own reader of slow bodies
			// may write to a buffer it has given back, so it must never fire.
			Retries: -1, ConnectTimeout: never, Timeout: never,
		},
	}, nil
}

const never = 1000 * time.Hour

// pauses gives the pauses between the attempts of one call.
func (o *Options) pauses() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: o.Backoff, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: maxPause,
	}
}

// validText tells a name every store can keep from one it cannot.
func validText(name string, most int) bool {
	return name != "" && len(name) <= most && utf8.ValidString(name) && strings.IndexByte(name, 0) < 0
}

// validProject allows Keystone's ids, and nothing that means anything in a URL.
func validProject(project string) bool {
	if project == "" || len(project) > 64 || project[0] == '.' || project[0] == '-' {
		return false
	}
	return strings.IndexFunc(project, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	}) < 0
}
