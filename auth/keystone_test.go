package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

func fakeCloud(k *fakeKeystone) cloud {
	return cloud{url: k.URL, password: func(string) string { return "secret" }}
}

func TestFakeKeystone(t *testing.T) {
	runSuite(t, fakeCloud(newFakeKeystone(t, time.Now)))
}

// gate is a validator in front of a fake Keystone, with one clock for both.
type gate struct {
	*Keystone
	fake *fakeKeystone
	mu   sync.Mutex
	time time.Time
	log  syncBuffer
}

func newGate(t *testing.T, change ...func(*Options)) *gate {
	t.Helper()
	g := &gate{time: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}
	g.fake = newFakeKeystone(t, g.now)
	log := slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := Options{
		Session:     newSession(t, fakeCloud(g.fake).credentials("stowage"), WithClock(g.now), WithLogger(log), WithTimeout(2*time.Second)),
		ServiceType: "volume-backup", Now: g.now, Log: log,
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if g.Keystone, err = NewKeystone(o); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gate) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.time
}

func (g *gate) step(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.time = g.time.Add(d)
}

// onValidate has the fake answer validations in its own way.
func (g *gate) onValidate(answer http.HandlerFunc) {
	g.fake.set(func() {
		g.fake.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				return false
			}
			g.fake.questions = append(g.fake.questions, r)
			answer(w, r)
			return true
		}
	})
}

func (g *gate) asked() (n int) {
	g.fake.set(func() { n = len(g.fake.questions) })
	return n
}

func (g *gate) loggedIn() (n int) {
	g.fake.set(func() { n = g.fake.logins })
	return n
}

func TestWhatKeystoneAnswersDecides(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fail(w, code) }
	}
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   stowage.Code
	}{
		"404":                   {status(404), stowage.Unauthorized},
		"403":                   {status(403), stowage.Unauthorized},
		"401 for ever":          {status(401), stowage.Unavailable},
		"400":                   {status(400), stowage.Unavailable},
		"413":                   {status(413), stowage.Unavailable},
		"429":                   {status(429), stowage.Unavailable},
		"500":                   {status(500), stowage.Unavailable},
		"503":                   {status(503), stowage.Unavailable},
		"204":                   {status(204), stowage.Unavailable},
		"a page of a proxy":     {body("<html>login please</html>"), stowage.Unavailable},
		"nothing":               {body(""), stowage.Unavailable},
		"no token":              {body("{}"), stowage.Unavailable},
		"a token of nobody":     {body(`{"token":{"expires_at":"2030-01-01T00:00:00Z"}}`), stowage.Unavailable},
		"a token for ever":      {body(`{"token":{"user":{"id":"u"}}}`), stowage.Unavailable},
		"a token from long ago": {body(`{"token":{"user":{"id":"u"},"expires_at":"2020-01-01T00:00:00Z"}}`), stowage.Unauthorized},
		"more than it should": {body(`{"token":{"user":{"id":"u"},"expires_at":"2030-01-01T00:00:00Z","x":"` +
			strings.Repeat("x", maxAnswer) + `"}}`), stowage.Unavailable},
		"a broken connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, stowage.Unavailable},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example.org/", http.StatusFound)
		}, stowage.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			token := g.fake.issue("demo", time.Hour, nil)
			g.onValidate(c.answer)
			refuse(t, g, get("X-Auth-Token", token), c.want)
			refuse(t, g, get("X-Auth-Token", token), c.want)
			g.fake.set(func() { g.fake.fault = nil })
			accept(t, g, get("X-Auth-Token", token)) // nothing bad was remembered
			if log := g.log.String(); strings.Contains(log, token) {
				t.Errorf("the token is in the log: %s", log)
			}
		})
	}
}

func TestWrongAuthURLIsToldAtStart(t *testing.T) {
	g := newGate(t)
	g.onValidate(func(w http.ResponseWriter, _ *http.Request) { fail(w, 404) })
	err := g.CheckSelf(t.Context())
	if !stowage.Is(err, stowage.Unavailable) || !strings.Contains(err.Error(), "is auth_url right?") {
		t.Errorf("%v", err)
	}
}

func TestSlowKeystoneIsGivenUp(t *testing.T) {
	g := newGate(t)
	token := g.fake.issue("demo", time.Hour, nil)
	accept(t, g, get("X-Auth-Token", token)) // we are logged in now
	g.o.Session.login.timeout = 50 * time.Millisecond
	release := make(chan struct{})
	g.onValidate(func(http.ResponseWriter, *http.Request) { <-release })
	refuse(t, g, get("X-Auth-Token", "another"), stowage.Unavailable)
	close(release)
}

func TestCallerWhoLeavesSpoilsNothing(t *testing.T) {
	g := newGate(t)
	token := g.fake.issue("demo", time.Hour, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	g.onValidate(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		g.fake.describe(w, g.fake.tokens[r.Header.Get("X-Subject-Token")], false)
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := g.Validate(ctx, get("X-Auth-Token", token))
		first <- err
	}()
	<-entered
	cancel()
	if err := <-first; !stowage.Is(err, stowage.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(release)
	accept(t, g, get("X-Auth-Token", token))
	if n := g.asked(); n != 1 {
		t.Errorf("asked %d times: what was under way was lost", n)
	}
}

func TestOneNewTokenIsOneQuestion(t *testing.T) {
	g := newGate(t)
	token := g.fake.issue("demo", time.Hour, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := g.Validate(t.Context(), get("X-Auth-Token", token)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, l := g.asked(), g.loggedIn(); n != 1 || l != 1 {
		t.Errorf("%d questions, %d logins", n, l)
	}
}

func TestStaleOwnTokenIsReplacedOnce(t *testing.T) {
	g := newGate(t)
	accept(t, g, get("X-Auth-Token", g.fake.issue("demo", time.Hour, nil)))
	own := tokenOf(t, g.o.Session)
	g.fake.set(func() { g.fake.tokens[own].revoked = true })
	accept(t, g, get("X-Auth-Token", g.fake.issue("demo", time.Hour, nil)))
	if n := g.loggedIn(); n != 2 {
		t.Errorf("%d logins", n)
	}
}

func TestCacheIsBelievedForAWhile(t *testing.T) {
	g := newGate(t, func(o *Options) { o.TokenCacheTime = time.Minute })
	long, short := g.fake.issue("demo", time.Hour, nil), g.fake.issue("alt", 10*time.Second, nil)
	for range 3 {
		accept(t, g, get("X-Auth-Token", long))
		accept(t, g, get("X-Auth-Token", short))
	}
	if n := g.asked(); n != 2 {
		t.Errorf("%d questions", n)
	}
	g.step(10 * time.Second)
	accept(t, g, get("X-Auth-Token", long))
	refuse(t, g, get("X-Auth-Token", short), stowage.Unauthorized) // expired meanwhile
	g.step(50 * time.Second)
	accept(t, g, get("X-Auth-Token", long))
	if n := g.asked(); n != 4 {
		t.Errorf("%d questions", n)
	}
	for key := range g.cache.Keys() {
		if strings.Contains(fmt.Sprint(key), long) {
			t.Error("a token is a key of the cache")
		}
	}
}

func TestExpiredTokenPassesWithAServiceToken(t *testing.T) {
	g := newGate(t)
	user := g.fake.issue("demo", time.Minute, nil)
	service, other := g.fake.issue("stowage", time.Hour, nil), g.fake.issue("alt", time.Hour, nil)
	accept(t, g, get("X-Auth-Token", user))
	g.step(2 * time.Minute)
	refuse(t, g, get("X-Auth-Token", user), stowage.Unauthorized)
	got := accept(t, g, get("X-Auth-Token", user, "X-Service-Token", service))
	if got.UserName != "demo" || got.ServiceUserID != "id-of-stowage" {
		t.Errorf("%+v", got)
	}
	refuse(t, g, get("X-Auth-Token", user), stowage.Unauthorized) // alone it is still expired
	g.o.ServiceTokenRolesOptional = true
	refuse(t, g, get("X-Auth-Token", user, "X-Service-Token", other), stowage.Unauthorized)
	g.step(time.Hour) // now the service token has expired as well
	refuse(t, g, get("X-Auth-Token", user, "X-Service-Token", service), stowage.Unauthorized)
}

func TestKeystoneAwayForTheServiceTokenIsNotItsFault(t *testing.T) {
	g := newGate(t)
	token := g.fake.issue("demo", time.Hour, nil)
	accept(t, g, get("X-Auth-Token", token))
	g.onValidate(func(w http.ResponseWriter, _ *http.Request) { fail(w, 500) })
	refuse(t, g, get("X-Auth-Token", token, "X-Service-Token", "s"), stowage.Unavailable)
}

func TestExpiryOfAServiceTokenIsCheckedHereToo(t *testing.T) {
	g := newGate(t)
	user := g.fake.issue("demo", time.Hour, nil)
	accept(t, g, get("X-Auth-Token", user))
	g.onValidate(func(w http.ResponseWriter, _ *http.Request) { // Keystone's clock is behind ours
		answer(w, map[string]any{"token": map[string]any{"expires_at": g.time, "user": map[string]any{"id": "s"},
			"roles": []any{map[string]any{"name": "service"}}}})
	})
	refuse(t, g, get("X-Auth-Token", user, "X-Service-Token", "s"), stowage.Unauthorized)
}

func TestCatalogIsAskedForOnlyIfNeeded(t *testing.T) {
	g := newGate(t)
	rules := []any{map[string]any{"service": "volume-backup", "method": "GET", "path": "/v1.1/*/hp-volume-backups"}}
	credential := map[string]any{"id": "c", "access_rules": rules}
	accept(t, g, get("X-Auth-Token", g.fake.issue("demo", time.Hour, nil)))
	accept(t, g, get("X-Auth-Token", g.fake.issue("demo", time.Hour, map[string]any{"application_credential": credential})))
	var queries []string
	g.fake.set(func() {
		for _, q := range g.fake.questions {
			queries = append(queries, q.URL.RawQuery)
		}
	})
	if got := strings.Join(queries, "|"); got != "nocatalog|nocatalog|" {
		t.Errorf("asked %q", got)
	}
	none := map[string]any{"application_credential": map[string]any{"id": "c", "access_rules": []any{}}}
	refuse(t, g, get("X-Auth-Token", g.fake.issue("demo", time.Hour, none)), stowage.Unauthorized)
}

func TestScopesAndFlagsOfATokenReachTheCaller(t *testing.T) {
	g := newGate(t)
	of := func(extra map[string]any) Caller {
		return accept(t, g, get("X-Auth-Token", g.fake.issue("demo", time.Hour, extra)))
	}
	if c := of(map[string]any{"project": nil, "system": map[string]any{"all": true}}); c.SystemScope != "all" || c.ProjectID != "" {
		t.Errorf("system scope: %+v", c)
	}
	if c := of(map[string]any{"project": nil, "domain": map[string]any{"id": "d1", "name": "D"}}); c.DomainID != "d1" || c.ProjectID != "" {
		t.Errorf("domain scope: %+v", c)
	}
	if c := of(map[string]any{"project": nil, "roles": nil}); c.ProjectID != "" || len(c.Roles) != 0 {
		t.Errorf("no scope: %+v", c)
	}
	if of(map[string]any{"is_admin_project": false}).IsAdminProject || !of(map[string]any{"is_admin_project": true}).IsAdminProject {
		t.Error("is_admin_project is not taken over")
	}
	if c := of(map[string]any{"OS-TRUST:trust": map[string]any{"id": "t1", "impersonation": true}}); c.TrustID != "t1" {
		t.Errorf("trust: %+v", c)
	}
}

func TestBoundTokens(t *testing.T) {
	none, kerberos, x509 := map[string]any(nil), map[string]any{"kerberos": "demo"}, map[string]any{"x509": "demo"}
	for _, c := range []struct {
		mode string
		bind map[string]any
		ok   bool
	}{
		{"", none, true}, {"", kerberos, false}, {"", x509, true},
		{"permissive", x509, true}, {"disabled", kerberos, true},
		{"strict", none, true}, {"strict", x509, false}, {"required", none, false}, {"required", x509, false}, {"kerberos", kerberos, false},
	} {
		g := newGate(t, func(o *Options) { o.EnforceTokenBind = c.mode })
		token := g.fake.issue("demo", time.Hour, map[string]any{"bind": c.bind})
		if _, err := g.Validate(t.Context(), get("X-Auth-Token", token)); (err == nil) != c.ok {
			t.Errorf("mode %q, bind %v: %v", c.mode, c.bind, err)
		}
		if c.ok || c.mode == "required" || c.mode == "kerberos" {
			continue // the service's own token has no bind either
		}
		accept(t, g, get("X-Auth-Token", token, "X-Service-Token", g.fake.issue("stowage", time.Hour, nil)))
	}
}

func TestWWWAuthenticate(t *testing.T) {
	g := newGate(t, func(o *Options) { o.WWWAuthenticateURI = "https://keystone.example.org:5000" })
	if got := g.WWWAuthenticate(); got != `Keystone uri="https://keystone.example.org:5000"` {
		t.Error(got)
	}
	if got := newGate(t).WWWAuthenticate(); !strings.HasPrefix(got, `Keystone uri="http://127.0.0.1:`) {
		t.Error(got)
	}
	if _, err := NewKeystone(Options{Session: g.o.Session, WWWAuthenticateURI: "x\"\r\nSet-Cookie: y"}); err == nil {
		t.Error("a header could be injected")
	}
	if _, err := NewKeystone(Options{}); err == nil {
		t.Error("no session, and no error")
	}
}

func TestPathMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v1/x", "/v1/x", true}, {"/v1/x", "/v1/x/", false}, {"/v1/*", "/v1/x", true}, {"/v1/*", "/v1/x/y", false}, {"/v1/*", "/v1/", false},
		{"/v1/{id}/y", "/v1/x/y", true}, {"/v1/{id}/y", "/v1/a/b/y", false}, {"/v1/**", "/v1/a/b/c", true}, {"/v1/**/z", "/v1/a/b/z", true},
		{"**", "/anything/at/all", true}, {"/v1.1/x", "/v1a1/x", false}, {"/(a|b)", "/a", false}, {"/a+", "/aa", false},
		{"/v1/{id", "/v1/{id", true}, {"/v1/a*c", "/v1/abc", true}, {"", "/", false}, {"/**", "/a/../b", false}, {"/**", "/a//b", false}, {"/**", "/./a", false},
		{"/v1/*", "/v1/a\nb", true}, {"/v1/x", "/v1/x\n", false},
	} {
		if got := pathMatches(c.pattern, c.path); got != c.want {
			t.Errorf("%q %q: %v", c.pattern, c.path, got)
		}
	}
}
