package harness

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
)

// Keystone believes noauth's tokens. reader:<project> is a reader only, and
// portal:<project> has the role of the integration account. Everybody's password
// is "secret" until it is changed, which revokes the tokens it gave.
type Keystone struct {
	auth.Noauth
	mu       sync.Mutex
	asked    int
	password string
	revoked  map[string]bool
}

// Validate believes a token that was not revoked.
func (k *Keystone) Validate(ctx context.Context, r *http.Request) (auth.Caller, error) {
	c, err := k.Noauth.Validate(ctx, r)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && k.revoked[c.Token.Reveal()] {
		return auth.Caller{}, stowage.Wrap(stowage.Unauthorized, errors.New("revoked"), "The request you have made requires authentication.")
	}
	switch c.UserID {
	case "reader":
		c.Roles = []string{"reader"}
	case "portal":
		c.Roles = []string{"stowage_integration"}
	}
	return c, err
}

// Login checks the password, and counts.
func (k *Keystone) Login(ctx context.Context, l auth.Login) (auth.Caller, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	want := k.password
	if want == "" {
		want = "secret"
	}
	if l.Password.Reveal() != want {
		return auth.Caller{}, time.Time{}, auth.ErrCredentials
	}
	c, until, err := k.Noauth.Login(ctx, l)
	delete(k.revoked, c.Token.Reveal())
	return c, until, err
}

// Asked is how often a password was checked.
func (k *Keystone) Asked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// ChangePassword gives everybody another password; the tokens are revoked.
func (k *Keystone) ChangePassword(to string, tokens ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.password, k.revoked = to, map[string]bool{}
	for _, t := range tokens {
		k.revoked[t] = true
	}
}
