package auth

import (
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// suiteSession is what must hold of our own login at any Keystone.
func suiteSession(t *testing.T, c cloud) {
	t.Run("whose it is", func(t *testing.T) {
		s := c.session(t, "stowage")
		user, err := s.UserID(t.Context())
		project, err2 := s.ProjectID(t.Context())
		if err != nil || err2 != nil || user == "" || project == "" || user == project {
			t.Errorf("user %q %v, project %q %v", user, err, project, err2)
		}
	})
	t.Run("with and without v3", func(t *testing.T) {
		base := strings.TrimSuffix(c.url, "/v3")
		for _, url := range []string{base, base + "/", base + "/v3", base + "/v3/"} {
			creds := c.credentials("demo")
			creds.AuthURL = url
			tokenOf(t, newSession(t, creds))
		}
	})
	t.Run("a refused token is replaced", func(t *testing.T) {
		s := c.session(t, "stowage")
		first := tokenOf(t, s)
		if tokenOf(t, s) != first {
			t.Error("a new token without a reason")
		}
		s.Refused("another one")
		if tokenOf(t, s) != first {
			t.Error("a new token because of somebody else's")
		}
		s.Refused(first)
		if tokenOf(t, s) == first {
			t.Error("a refused token is given again")
		}
		s.Refused(first) // late: it is replaced already
		if p, err := s.Provider(t.Context()); err != nil || p.Token() != tokenOf(t, s) {
			t.Errorf("the provider client has another token (%v)", err)
		}
	})
	t.Run("endpoints", func(t *testing.T) {
		s := c.session(t, "stowage")
		internal, err := s.Endpoint(t.Context(), "no-such-type", "volume-backup")
		if err != nil || !strings.HasPrefix(internal, "http") || strings.HasSuffix(internal, "/") {
			t.Errorf("%q %v", internal, err)
		}
		_, err = s.WithRegion("Atlantis").Endpoint(t.Context(), "volume-backup")
		if !stowage.Is(err, stowage.NotFound) || !strings.Contains(err.Error(), "Atlantis") {
			t.Errorf("%v", err)
		}
		if _, err = s.Endpoint(t.Context(), "no-such-type"); !stowage.Is(err, stowage.NotFound) {
			t.Errorf("%v", err)
		}
		if got, err := s.WithOverride("http://elsewhere/v1/").Endpoint(t.Context(), "any"); err != nil || got != "http://elsewhere/v1" {
			t.Errorf("%q %v", got, err)
		}
	})
}

// suiteSelf is what must hold of a validator's own credentials.
func suiteSelf(t *testing.T, c cloud) {
	t.Run("checks itself", func(t *testing.T) {
		if err := c.validator(t).CheckSelf(t.Context()); err != nil {
			t.Errorf("%v", err)
		}
		err := c.validator(t, func(o *Options) { o.Session = c.session(t, "demo") }).CheckSelf(t.Context())
		if !stowage.Is(err, stowage.Forbidden) || !strings.Contains(err.Error(), `lacks the role "service"`) ||
			!strings.Contains(err.Error(), "demo") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	})
	t.Run("who may not validate gets 401 for others", func(t *testing.T) {
		k := c.validator(t, func(o *Options) { o.Session = c.session(t, "alt") })
		refuse(t, k, get("X-Auth-Token", c.token(t, "demo")), stowage.Unauthorized)
	})
	t.Run("a wrong password is not the user's fault", func(t *testing.T) {
		creds := c.credentials("stowage")
		creds.Password = NewSecret("wrong")
		k := c.validator(t, func(o *Options) { o.Session = newSession(t, creds) })
		refuse(t, k, get("X-Auth-Token", c.token(t, "demo")), stowage.Unavailable)
		if err := k.CheckSelf(t.Context()); !stowage.Is(err, stowage.Unavailable) {
			t.Errorf("%v", err)
		}
	})
	t.Run("nobody at home", func(t *testing.T) {
		creds := c.credentials("stowage")
		creds.AuthURL = "http://127.0.0.1:1/v3"
		k := c.validator(t, func(o *Options) { o.Session = newSession(t, creds) })
		refuse(t, k, get("X-Auth-Token", c.token(t, "demo")), stowage.Unavailable)
	})
}
