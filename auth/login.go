package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"golang.org/x/sync/singleflight"
)

// login is what sessions share: the credentials, and one token at a time.
type login struct {
	credentials Credentials
	http        *http.Client
	now         func() time.Time
	log         *slog.Logger
	pause       Pause
	timeout     time.Duration
	proxy       func(*http.Request) (*url.URL, error)

	home     *login // in our own project; nil: this is it
	project  string // by id, of one in another project
	projects projects

	client *gophercloud.ProviderClient // the same for ever; it holds a copy of the token
	flight singleflight.Group

	mu      sync.Mutex
	token   ownToken  // zero before the first login
	refused bool      // token was refused by somebody
	failed  time.Time // when it could last not be replaced
}

// keystone is the HTTP client for Keystone itself, whose answers are bounded.
func (l *login) keystone() http.Client {
	return http.Client{
		Transport:     bounded{l.http.Transport},
		CheckRedirect: l.http.CheckRedirect,
	}
}

// prepare makes the client, without talking to anybody.
func (l *login) prepare() error {
	client, err := openstack.NewClient(l.credentials.AuthURL + "/v3/")
	if err != nil {
		return err
	}
	client.HTTPClient = *l.http
	client.UserAgent.Prepend("stowage")
	client.ReauthFunc = l.renew
	client.EndpointLocator = func(o gophercloud.EndpointOpts) (string, error) {
		l.mu.Lock()
		catalog := l.token.catalog
		l.mu.Unlock()
		if catalog == nil {
			return "", errors.New("not logged in yet")
		}
		// It may ask the endpoint for its versions, and is handed no context.
		ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
		defer cancel()
		return openstack.V3Endpoint(ctx, client, catalog, o)
	}
	l.client = client
	return nil
}

// fresh gives a token that is good for a while, logging in if need be.
func (l *login) fresh(ctx context.Context) (ownToken, error) {
	if t, ok := l.usable(); ok {
		return t, nil
	}
	// One login serves all who wait, so none of them may cut it short.
	flight := l.flight.DoChan("login", func() (any, error) {
		// Whoever comes when a flight has just landed needs no other one.
		if t, ok := l.usable(); ok {
			return t, nil
		}
		err := l.client.Reauthenticate(context.WithoutCancel(ctx), "")
		if err != nil {
			return l.outlived(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.token, nil
	})
	select {
	case <-ctx.Done():
		return ownToken{}, unavailable(fmt.Errorf("log in at Keystone: %w", ctx.Err()))
	case r := <-flight:
		if r.Err != nil {
			return ownToken{}, why(r.Err)
		}
		return r.Val.(ownToken), nil
	}
}

// usable gives the token if there is no reason to ask for another one now.
func (l *login) usable() (ownToken, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.refused || l.token.leftAt(now) <= 0 {
		return ownToken{}, false
	}
	resting := now.Sub(l.failed) < failedRest && l.token.leftAt(now) >= leastLife
	return l.token, resting || !l.token.dueBy(now)
}

// outlived gives the old token if a new one could not be had and the old one
// is good enough.
func (l *login) outlived(err error) (ownToken, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.failed = now
	if l.refused || l.token.leftAt(now) < leastLife {
		return ownToken{}, err
	}
	l.log.Warn("token not renewed, the old one is still good", "error", err)
	return l.token, nil
}

// renew logs in and keeps the token. Only gophercloud's Reauthenticate calls
// it, which lets one in at a time and reads the client's token without a lock.
func (l *login) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	result, t, err := l.authenticate(ctx)
	if err = l.admitted(ctx, t, err); err != nil {
		return err
	}
	if err := l.client.SetTokenAndAuthResult(result); err != nil {
		return err
	}
	l.mu.Lock()
	l.token, l.refused = t, false
	l.mu.Unlock()
	l.log.Debug("logged in at Keystone", "user", t.userID, "project", t.projectID, "expires", t.expires)
	return nil
}

// authenticate asks Keystone for a token.
func (l *login) authenticate(ctx context.Context) (result tokens.CreateResult, t ownToken, err error) {
	client, err := openstack.NewClient(l.credentials.AuthURL + "/v3/")
	if err != nil {
		return result, t, err
	}
	client.HTTPClient = l.keystone()
	client.UserAgent.Prepend("stowage")
	identity := &gophercloud.ServiceClient{
		ProviderClient: client, Type: "identity", Endpoint: l.credentials.AuthURL + "/v3/",
	}
	err = retryConnect(ctx, l.credentials.MaxRetries, l.pause, func() error {
		result = tokens.Create(ctx, identity, l.credentials.options())
		return result.Err
	})
	if err != nil {
		return result, t, err
	}
	t, err = readOwnToken(result, l.now())
	return result, t, err
}

func (l *login) refuse(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token == l.token.id {
		l.refused = true
	}
}
