package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// Options of a Keystone validator, named as in [keystone_authtoken].
type Options struct {
	// Session is the service's own login. Required.
	Session *Session
	// Log gets what the caller is not told; slog.Default otherwise.
	Log *slog.Logger
	// Now is the clock; time.Now otherwise.
	Now func() time.Time

	// ServiceType is our own type. Tokens of application credentials with
	// access rules are refused if it is empty.
	ServiceType string
	// ServiceTokenRoles: a service token must hold one of them; empty: service.
	ServiceTokenRoles []string
	// ServiceTokenRolesOptional lets any valid token pass as a service token;
	// it earns nothing by that. service_token_roles_required = false.
	ServiceTokenRolesOptional bool
	// TokenCacheTime is how long an answer of Keystone's is believed, and so
	// how long a revoked token goes on working; 0: 300 s, negative: not at all.
	TokenCacheTime time.Duration
	// CacheSize bounds the cache, in tokens of about 1 kB each; 0: 10000.
	CacheSize int
	// WWWAuthenticateURI is the Keystone that clients shall go to; empty:
	// the session's auth_url.
	WWWAuthenticateURI string
	// EnforceTokenBind is disabled, permissive, strict, required or the name
	// of a bind; empty: permissive.
	EnforceTokenBind string
}

const (
	defaultTokenCacheTime = 300 * time.Second
	defaultCacheSize      = 10000
	// maxToken bounds what is worth asking Keystone about: fernet tokens have
	// some 250 bytes, signed ones less than 2 kB.
	maxToken = 8 << 10
)

// Keystone validates tokens the way keystonemiddleware's auth_token does.
type Keystone struct {
	o      Options
	cache  *lru.Cache[tokenKey, cachedToken] // nil: none
	flight singleflight.Group
}

// tokenKey is the SHA-256 of a token, so that no memory dump has tokens of
// callers who are gone.
type tokenKey [sha256.Size]byte

type cachedToken struct {
	token token
	until time.Time
}

// NewKeystone makes a validator. It does not talk to Keystone; CheckSelf does.
func NewKeystone(o Options) (*Keystone, error) {
	if o.Session == nil {
		return nil, errors.New("keystone validator: no session")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.ServiceTokenRoles) == 0 {
		o.ServiceTokenRoles = []string{"service"}
	}
	if o.TokenCacheTime == 0 {
		o.TokenCacheTime = defaultTokenCacheTime
	}
	if o.CacheSize <= 0 {
		o.CacheSize = defaultCacheSize
	}
	if o.WWWAuthenticateURI == "" {
		o.WWWAuthenticateURI = o.Session.AuthURL()
	}
	if strings.ContainsAny(o.WWWAuthenticateURI, "\"\r\n") {
		return nil, errors.New("keystone validator: www_authenticate_uri holds a quote or a line break")
	}
	k := &Keystone{o: o}
	if o.TokenCacheTime > 0 {
		cache, err := lru.New[tokenKey, cachedToken](o.CacheSize)
		if err != nil {
			return nil, fmt.Errorf("keystone validator: %w", err)
		}
		k.cache = cache
	}
	return k, nil
}

// WWWAuthenticate is the header value that goes with every 401.
func (k *Keystone) WWWAuthenticate() string {
	return fmt.Sprintf("Keystone uri=%q", k.o.WWWAuthenticateURI)
}

// Validate implements Validator.
func (k *Keystone) Validate(ctx context.Context, r *http.Request) (Caller, error) {
	user := userToken(r)
	if user == "" {
		return Caller{}, unauthorized(errors.New("no token in the request"))
	}
	service, trusted, err := k.service(ctx, r)
	if err != nil {
		return Caller{}, err
	}
	user = strings.TrimSpace(user)
	t, err := k.fetch(ctx, user, trusted)
	if err != nil {
		return Caller{}, refused("user token", err)
	}
	if err := k.acceptUser(t, r, service != nil, trusted); err != nil {
		return Caller{}, refused("user token", err)
	}
	c := t.caller()
	c.Token = NewSecret(user)
	if service != nil {
		c.ServiceUserID, c.ServiceUserDomainID = service.User.ID, service.User.Domain.ID
		c.ServiceProjectID, c.ServiceProjectDomainID = service.Project.ID, service.Project.Domain.ID
		c.ServiceRoles = service.roleNames()
	}
	return c, nil
}

// service looks at the service token: nil if there is none. Trusted means that
// it holds a service role, so that the user's token may have expired on its
// way here and access rules do not count. One that is no good spoils the
// request, even if the user's token is fine.
func (k *Keystone) service(ctx context.Context, r *http.Request) (t *token, trusted bool, err error) {
	sent := r.Header.Get("X-Service-Token")
	if sent == "" {
		return nil, false, nil
	}
	got, err := k.fetch(ctx, strings.TrimSpace(sent), false)
	if err != nil {
		return nil, false, refused("service token", err)
	}
	if got.expired(k.o.Now()) {
		return nil, false, refused("service token", errExpired)
	}
	if err := checkBind(got.Bind, k.o.EnforceTokenBind); err != nil {
		return nil, false, refused("service token", err)
	}
	for _, role := range k.o.ServiceTokenRoles {
		trusted = trusted || got.hasRole(role)
	}
	if !trusted && !k.o.ServiceTokenRolesOptional {
		return nil, false, refused("service token", fmt.Errorf("%w: user %s has none of the roles %s",
			errInvalidToken, got.User.ID, strings.Join(k.o.ServiceTokenRoles, ", ")))
	}
	return &got, trusted, nil
}

// acceptUser is what is checked at every request, whatever the cache holds.
func (k *Keystone) acceptUser(t token, r *http.Request, service, trusted bool) error {
	if t.expired(k.o.Now()) && !trusted {
		return errExpired
	}
	if err := t.checkAccessRules(r, k.o.ServiceType, trusted); err != nil {
		return err
	}
	if service {
		return nil // a bind is between the user and the service he called
	}
	return checkBind(t.Bind, k.o.EnforceTokenBind)
}

// errInvalidToken is in the chain of every error that is the token's fault.
var (
	errInvalidToken = errors.New("invalid token")
	errExpired      = fmt.Errorf("%w: it has expired", errInvalidToken)
)

// refused turns an error of ours into what the API may tell.
func refused(what string, err error) error {
	if errors.Is(err, errInvalidToken) {
		return unauthorized(fmt.Errorf("%s: %w", what, err))
	}
	return unavailable(fmt.Errorf("validate %s: %w", what, err))
}
