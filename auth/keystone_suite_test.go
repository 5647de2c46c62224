package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/stowage/stowage"
)

// cloud is a Keystone, fake or real, with the users of the development stack:
// demo, alt, demo_reader, admin and stowage.
type cloud struct {
	url      string
	password func(user string) string
}

var homes = map[string]string{"demo": "demo", "alt": "alt", "demo_reader": "demo", "admin": "admin", "stowage": "service"}

func (c cloud) credentials(user string) Credentials {
	return Credentials{
		AuthURL: c.url, Username: user, Password: NewSecret(c.password(user)), ProjectName: homes[user],
		UserDomainID: "default", ProjectDomainID: "default", RegionName: "RegionOne", MaxRetries: -1,
	}
}

func (c cloud) session(t *testing.T, user string) *Session {
	t.Helper()
	return newSession(t, c.credentials(user))
}

func newSession(t *testing.T, c Credentials, o ...SessionOption) *Session {
	t.Helper()
	o = append([]SessionOption{WithLogger(slog.New(slog.DiscardHandler))}, o...)
	s, err := NewSession(c, o...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c cloud) token(t *testing.T, user string) string {
	t.Helper()
	return tokenOf(t, c.session(t, user))
}

func tokenOf(t *testing.T, s *Session) string {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (c cloud) validator(t *testing.T, change ...func(*Options)) *Keystone {
	t.Helper()
	o := Options{Session: c.session(t, "stowage"), ServiceType: "volume-backup", Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	k, err := NewKeystone(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// identity is a client for the user's own affairs at Keystone.
func (c cloud) identity(t *testing.T, s *Session) *gophercloud.ServiceClient {
	t.Helper()
	p, err := s.Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &gophercloud.ServiceClient{ProviderClient: p, Type: "identity", Endpoint: s.AuthURL() + "/v3/"}
}

// applicationCredential makes one for demo and logs in with it.
func (c cloud) applicationCredential(t *testing.T, rules ...applicationcredentials.AccessRule) string {
	t.Helper()
	demo := c.session(t, "demo")
	id, err := demo.UserID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	identity := c.identity(t, demo)
	made, err := applicationcredentials.Create(t.Context(), identity, id, applicationcredentials.CreateOpts{
		Name: "stowage-test-" + time.Now().Format("150405.000000000"), Secret: "secret", AccessRules: rules,
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = applicationcredentials.Delete(context.Background(), identity, id, made.ID).ExtractErr()
	})
	return tokenOf(t, newSession(t, Credentials{
		AuthType: "v3applicationcredential", AuthURL: c.url,
		ApplicationCredentialID: made.ID, ApplicationCredentialSecret: NewSecret("secret"),
	}))
}

// request makes a request; headers are pairs.
func request(method, path string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

const backups = "/v1.1/p/hp-volume-backups"

func get(headers ...string) *http.Request { return request("GET", backups, headers...) }

// accept validates and must succeed.
func accept(t *testing.T, v Validator, r *http.Request) Caller {
	t.Helper()
	c, err := v.Validate(t.Context(), r)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return c
}

// refuse validates and must fail with the code.
func refuse(t *testing.T, v Validator, r *http.Request, code stowage.Code) {
	t.Helper()
	c, err := v.Validate(t.Context(), r)
	if err == nil {
		t.Fatalf("accepted as %s", c.UserName)
	}
	if stowage.CodeOf(err) != code {
		t.Fatalf("code %s, want %s: %v", stowage.CodeOf(err), code, err)
	}
	if c.UserID != "" || !c.Token.Empty() {
		t.Fatalf("refused, and yet a caller: %v", c)
	}
}

// runSuite is what must hold at any Keystone.
func runSuite(t *testing.T, c cloud) {
	t.Run("a user token", func(t *testing.T) { suiteUser(t, c) })
	t.Run("tokens that are no good", func(t *testing.T) { suiteBad(t, c) })
	t.Run("a revoked token", func(t *testing.T) { suiteRevoked(t, c) })
	t.Run("access rules", func(t *testing.T) { suiteAccessRules(t, c) })
	t.Run("service tokens", func(t *testing.T) { suiteServiceToken(t, c) })
	t.Run("logins by password", func(t *testing.T) { suiteLogin(t, c) })
	t.Run("our own login", func(t *testing.T) { suiteSession(t, c) })
	t.Run("our own rights", func(t *testing.T) { suiteSelf(t, c) })
}

func suiteUser(t *testing.T, c cloud) {
	k := c.validator(t)
	token := c.token(t, "demo")
	for _, r := range []*http.Request{
		get("X-Auth-Token", token), get("X-Storage-Token", token), get("X-Auth-Token", " "+token+"\t"),
	} {
		got := accept(t, k, r)
		if got.UserName != "demo" || got.UserID == "" || got.ProjectName != "demo" || got.ProjectID == "" ||
			got.UserDomainID != "default" || got.ProjectDomainID != "default" {
			t.Errorf("%+v", got)
		}
		if !got.HasRole("member") || !got.HasRole("Reader") || got.HasRole("admin") || got.HasRole("service") {
			t.Errorf("roles %v", got.Roles)
		}
		if !got.IsAdminProject || got.SystemScope != "" || got.DomainID != "" || got.TrustID != "" {
			t.Errorf("scope: %+v", got)
		}
		if !slices.Equal(got.Methods, []string{"password"}) || got.Token.Reveal() != token || got.ServiceRoles != nil {
			t.Errorf("methods %v, token or service wrong", got.Methods)
		}
	}
	if got := accept(t, k, get("X-Auth-Token", c.token(t, "demo_reader"))); !got.HasRole("reader") || got.HasRole("member") {
		t.Errorf("reader has the roles %v", got.Roles)
	}
	if got := accept(t, k, get("X-Auth-Token", c.token(t, "admin"))); !got.HasRole("admin") || !got.HasRole("member") {
		t.Errorf("admin has the roles %v", got.Roles)
	}
}

func suiteBad(t *testing.T, c cloud) {
	k := c.validator(t)
	forged := get("X-Project-Id", "p", "X-User-Id", "u", "X-Roles", "admin", "X-Identity-Status", "Confirmed")
	refuse(t, k, get(), stowage.Unauthorized)
	refuse(t, k, forged, stowage.Unauthorized)
	for _, token := range []string{"garbage", " ", "gAAAAABn" + c.token(t, "demo")[:8], "two words", "a\nb", "späť"} {
		refuse(t, k, get("X-Auth-Token", token), stowage.Unauthorized)
	}
	refuse(t, k, get("X-Auth-Token", string(make([]byte, maxToken+1))), stowage.Unauthorized)
}

func suiteRevoked(t *testing.T, c cloud) {
	now := time.Now()
	k := c.validator(t, func(o *Options) { o.TokenCacheTime = time.Minute; o.Now = func() time.Time { return now } })
	uncached := c.validator(t, func(o *Options) { o.TokenCacheTime = -1 })
	demo := c.session(t, "demo")
	token := tokenOf(t, demo)
	accept(t, k, get("X-Auth-Token", token))
	accept(t, uncached, get("X-Auth-Token", token))
	if err := tokens.Revoke(t.Context(), c.identity(t, demo), token).Err; err != nil {
		t.Fatal(err)
	}
	refuse(t, uncached, get("X-Auth-Token", token), stowage.Unauthorized)
	accept(t, k, get("X-Auth-Token", token)) // believed for a minute
	now = now.Add(time.Minute)
	refuse(t, k, get("X-Auth-Token", token), stowage.Unauthorized)
}

func suiteLogin(t *testing.T, c cloud) {
	k, uncached := c.validator(t), c.validator(t, func(o *Options) { o.TokenCacheTime = -1 })
	login := Login{Domain: "Default", User: "demo", Password: NewSecret(c.password("demo")), Project: "demo"}
	got, until, err := k.Login(t.Context(), login)
	if err != nil || got.UserName != "demo" || got.ProjectName != "demo" || !got.HasRole("member") || !until.After(time.Now()) {
		t.Fatalf("%+v until %v: %v", got, until, err)
	}
	again := accept(t, uncached, get("X-Auth-Token", got.Token.Reveal()))
	if again.UserID != got.UserID || again.ProjectID != got.ProjectID || again.UserDomainID != got.UserDomainID || !slices.Equal(again.Roles, got.Roles) {
		t.Errorf("logged in as %+v, validated as %+v", got, again)
	}
	for what, change := range map[string]func(*Login){
		"another password": func(l *Login) { l.Password = NewSecret("no") },
		"another domain":   func(l *Login) { l.Domain = "Nowhere" },
		"nobody":           func(l *Login) { l.User = "nobody-at-all" },
		"not his project":  func(l *Login) { l.Project = "alt" },
		"no project":       func(l *Login) { l.Project = "no-such-project" },
	} {
		bad := login
		change(&bad)
		if _, _, err := k.Login(t.Context(), bad); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", what, err)
		}
	}
	login.Project = "" // whatever Keystone makes of that: a project, or a word about it
	if got, _, err := k.Login(t.Context(), login); err != nil && !errors.Is(err, errNoProject) || err == nil && got.ProjectID == "" {
		t.Errorf("without a project: %+v, %v", got, err)
	}
}

func suiteAccessRules(t *testing.T, c cloud) {
	free := c.applicationCredential(t)
	bound := c.applicationCredential(t,
		applicationcredentials.AccessRule{Service: "volume-backup", Method: "GET", Path: "/v1.1/*/hp-volume-backups"},
		applicationcredentials.AccessRule{Service: "volume-backup", Method: "POST", Path: "/v1.1/{tenant}/hp-volume-backups/**"},
		applicationcredentials.AccessRule{Service: "volumev3", Method: "DELETE", Path: "/**"},
	)
	k := c.validator(t)
	got := accept(t, k, get("X-Auth-Token", free))
	if got.ApplicationCredentialID == "" || !slices.Contains(got.Methods, "application_credential") {
		t.Errorf("%+v", got)
	}
	for _, r := range []struct {
		method, path string
		ok           bool
	}{
		{"GET", backups, true}, {"GET", backups + "?limit=1", true}, {"POST", backups + "/7/restore", true},
		{"POST", backups, false}, {"GET", backups + "/7", false}, {"GET", "/v1.1/a/b/hp-volume-backups", false},
		{"DELETE", backups + "/7", false}, {"HEAD", backups, false}, {"GET", "/v1.1//hp-volume-backups", false},
		{"POST", backups + "/../../../os-services", false},
	} {
		if req := request(r.method, r.path, "X-Auth-Token", bound); r.ok {
			accept(t, k, req)
		} else {
			refuse(t, k, req, stowage.Unauthorized)
		}
	}
	untyped := c.validator(t, func(o *Options) { o.ServiceType = "" })
	accept(t, untyped, get("X-Auth-Token", free))
	refuse(t, untyped, get("X-Auth-Token", bound), stowage.Unauthorized)
	stranger := c.validator(t, func(o *Options) { o.ServiceType = "no-such-type" })
	refuse(t, stranger, get("X-Auth-Token", bound), stowage.Unauthorized)
	// What a service does on the user's behalf is not bound by his rules; what
	// he does with his own token as service token is.
	del := request("DELETE", backups+"/7", "X-Auth-Token", bound, "X-Service-Token", c.token(t, "stowage"))
	accept(t, k, del)
	refuse(t, stranger, del, stowage.Unauthorized)
	lax := c.validator(t, func(o *Options) { o.ServiceTokenRolesOptional = true })
	refuse(t, lax, request("DELETE", backups+"/7", "X-Auth-Token", bound, "X-Service-Token", c.token(t, "demo")), stowage.Unauthorized)
}

func suiteServiceToken(t *testing.T, c cloud) {
	k := c.validator(t)
	user, service := c.token(t, "demo"), c.token(t, "stowage")
	got := accept(t, k, get("X-Auth-Token", user, "X-Service-Token", service))
	if got.UserName != "demo" || got.ServiceUserID == "" || got.ServiceProjectID == "" || !slices.Contains(got.ServiceRoles, "service") {
		t.Errorf("%+v", got)
	}
	if got.HasRole("service") {
		t.Error("the user got the service's roles")
	}
	refuse(t, k, get("X-Auth-Token", user, "X-Service-Token", "garbage"), stowage.Unauthorized)
	refuse(t, k, get("X-Auth-Token", user, "X-Service-Token", c.token(t, "alt")), stowage.Unauthorized)
	refuse(t, k, get("X-Auth-Token", "garbage", "X-Service-Token", service), stowage.Unauthorized)
	refuse(t, k, get("X-Service-Token", service), stowage.Unauthorized)
	lax := c.validator(t, func(o *Options) { o.ServiceTokenRolesOptional = true })
	accept(t, lax, get("X-Auth-Token", user, "X-Service-Token", c.token(t, "alt")))
}
