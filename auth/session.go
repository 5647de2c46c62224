package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

// Session is one login of the service at Keystone, and a choice of endpoints.
// It logs in when first asked, keeps its token fresh, and is safe for
// concurrent use. Sessions made of one another with WithInterface,
// WithRegion and WithOverride share the login.
//
// Every method that needs Keystone gives Unavailable if Keystone is away or
// refuses the service's credentials: neither is the user's fault.
type Session struct {
	login    *login
	region   string
	iface    string
	override string
}

// SessionOption hands in what a session would otherwise take from the world.
type SessionOption func(*login)

// WithClock sets the clock; time.Now otherwise.
func WithClock(now func() time.Time) SessionOption { return func(l *login) { l.now = now } }

// WithLogger sets the logger; slog.Default otherwise.
func WithLogger(log *slog.Logger) SessionOption { return func(l *login) { l.log = log } }

// WithPause sets how to wait between two tries to connect.
func WithPause(p Pause) SessionOption { return func(l *login) { l.pause = p } }

// WithTimeout bounds one login or validation as a whole; 30 s otherwise.
func WithTimeout(d time.Duration) SessionOption { return func(l *login) { l.timeout = d } }

// WithProxy sets the proxy for all connections; none otherwise.
func WithProxy(proxy func(*http.Request) (*url.URL, error)) SessionOption {
	return func(l *login) { l.proxy = proxy }
}

// NewSession checks the credentials and reads the certificates they name. It
// does not talk to Keystone. An error is Invalid, and for the operator.
func NewSession(c Credentials, opts ...SessionOption) (*Session, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "credentials for Keystone")
	}
	l := &login{
		credentials: c,
		now:         time.Now,
		log:         slog.Default(),
		pause:       realPause,
		timeout:     30 * time.Second,
	}
	for _, o := range opts {
		o(l)
	}
	if l.http, err = httpClient(c, l.proxy); err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "credentials for Keystone")
	}
	if err := l.prepare(); err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "credentials for Keystone")
	}
	return &Session{login: l, region: c.RegionName, iface: c.Interface, override: c.EndpointOverride}, nil
}

// WithInterface gives a session for another interface: public, internal or
// admin, also as publicURL and so on.
func (s *Session) WithInterface(name string) (*Session, error) {
	short, err := normalInterface(name)
	if err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "session")
	}
	other := *s
	other.iface = short
	return &other, nil
}

// WithRegion gives a session for another region; empty: any.
func (s *Session) WithRegion(name string) *Session {
	other := *s
	other.region = name
	return &other
}

// WithOverride gives a session whose endpoint is this URL; empty: as the
// catalog says.
func (s *Session) WithOverride(endpoint string) *Session {
	other := *s
	other.override = endpoint
	return &other
}

// AuthURL is Keystone's URL without /v3 and without a slash at the end.
func (s *Session) AuthURL() string { return s.login.credentials.AuthURL }

// HTTPClient is for calls with a token of one's own: it trusts and proves what
// the credentials say, bounds connecting but not the transfer, and follows no
// redirects.
func (s *Session) HTTPClient() *http.Client {
	client := *s.login.http
	return &client
}

// Provider is a client of gophercloud that is logged in, and logs in again by
// itself. It is the same one at every call: set nothing in it.
func (s *Session) Provider(ctx context.Context) (*gophercloud.ProviderClient, error) {
	if _, err := s.login.fresh(ctx); err != nil {
		return nil, err
	}
	return s.login.client, nil
}

// Token is good for at least two more minutes, if Keystone's tokens live for
// four or longer. Never log it.
func (s *Session) Token(ctx context.Context) (string, error) {
	t, err := s.login.fresh(ctx)
	return t.id, err
}

// Refused says that a service refused this token: the next call that needs one
// gets a new one. Another token than the current one is forgotten already.
func (s *Session) Refused(token string) { s.login.refuse(token) }

// ProjectID is the project the credentials are scoped to.
func (s *Session) ProjectID(ctx context.Context) (string, error) {
	t, err := s.login.fresh(ctx)
	return t.projectID, err
}

// UserID is the user of the credentials.
func (s *Session) UserID(ctx context.Context) (string, error) {
	t, err := s.login.fresh(ctx)
	return t.userID, err
}

// Endpoint gives the URL of the first of these service types that the catalog
// has in the session's region and interface, without a slash at the end. Pass
// the official type first, then its old names. NotFound: it has none.
func (s *Session) Endpoint(ctx context.Context, serviceTypes ...string) (string, error) {
	if s.override != "" {
		return strings.TrimRight(s.override, "/"), nil
	}
	t, err := s.login.fresh(ctx)
	if err != nil {
		return "", err
	}
	if found := t.endpoint(s.iface, s.region, serviceTypes); found != "" {
		return found, nil
	}
	return "", stowage.Errorf(stowage.NotFound, "the catalog has no %s endpoint of %s%s",
		s.iface, strings.Join(serviceTypes, ", "), inRegion(s.region))
}

func inRegion(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" in region %s", name)
}
