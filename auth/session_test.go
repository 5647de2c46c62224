package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

func TestCredentialsAreChecked(t *testing.T) {
	good := Credentials{
		AuthURL: "https://k:5000/v3", Username: "u", UserDomainName: "Default", Password: NewSecret("p"),
		ProjectName: "service", ProjectDomainName: "Default",
	}
	if _, err := NewSession(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Credentials){
		"auth_url":            func(c *Credentials) { c.AuthURL = "" },
		"not an http":         func(c *Credentials) { c.AuthURL = "ftp://k" },
		"neither a user":      func(c *Credentials) { c.AuthURL = "http://u:p@k" },
		"auth_type":           func(c *Credentials) { c.AuthType = "v2password" },
		"username":            func(c *Credentials) { c.Username = "" },
		"user_domain_name":    func(c *Credentials) { c.UserDomainName = "" },
		"password is not":     func(c *Credentials) { c.Password = Secret{} },
		"project_name":        func(c *Credentials) { c.ProjectName = "" },
		"project_domain_name": func(c *Credentials) { c.ProjectDomainName = "" },
		"interface":           func(c *Credentials) { c.Interface = "private" },
		"certfile":            func(c *Credentials) { c.KeyFile = "k.pem" },
		"cafile":              func(c *Credentials) { c.CAFile = "/no/such/file" },
		"application_credential_secret": func(c *Credentials) {
			c.AuthType = "v3applicationcredential"
		},
		"application_credential_name": func(c *Credentials) {
			c.AuthType, c.ApplicationCredentialSecret = "v3applicationcredential", NewSecret("s")
		},
	} {
		bad := good
		change(&bad)
		_, err := NewSession(bad)
		if !stowage.Is(err, stowage.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := newSession(t, good).WithInterface("privateURL"); !stowage.Is(err, stowage.Invalid) {
		t.Error(err)
	}
}

func TestAuthURLForms(t *testing.T) {
	for url, want := range map[string]string{
		"http://k:5000": "http://k:5000", "http://k:5000/": "http://k:5000", "http://k:5000/v3": "http://k:5000", "http://k:5000/v3/": "http://k:5000",
		"https://k/identity": "https://k/identity", "https://k/identity/v3/": "https://k/identity", "https://k//": "https://k",
	} {
		if got, err := keystoneBase(url); got != want || err != nil {
			t.Errorf("%s: %s %v", url, got, err)
		}
	}
}

func TestWhatIsSentToLogIn(t *testing.T) {
	id := Credentials{UserID: "uid", Username: "u", UserDomainID: "d", Password: NewSecret("p"), ProjectID: "pid", ProjectName: "x"}.options()
	if id.UserID != "uid" || id.Username != "" || id.DomainID != "" || *id.Scope != (gophercloud.AuthScope{ProjectID: "pid"}) {
		t.Errorf("%+v %+v", id, id.Scope)
	}
	name := Credentials{Username: "u", UserDomainName: "D", Password: NewSecret("p"), ProjectName: "x", ProjectDomainName: "E"}.options()
	if name.Username != "u" || name.DomainName != "D" || *name.Scope != (gophercloud.AuthScope{ProjectName: "x", DomainName: "E"}) {
		t.Errorf("%+v %+v", name, name.Scope)
	}
	named := Credentials{AuthType: "v3applicationcredential", ApplicationCredentialName: "n", Username: "u", UserDomainID: "d",
		ApplicationCredentialSecret: NewSecret("s")}.options()
	if named.ApplicationCredentialName != "n" || named.Username != "u" || named.DomainID != "d" || named.Scope != nil {
		t.Errorf("%+v", named)
	}
	if _, err := named.ToTokenV3CreateMap(nil); err != nil {
		t.Error(err)
	}
}

func TestTokenIsRenewedAhead(t *testing.T) {
	g := newGate(t)
	s := g.o.Session
	first := tokenOf(t, s) // good for an hour
	g.step(54 * time.Minute)
	if tokenOf(t, s) != first {
		t.Error("renewed too early")
	}
	g.step(time.Minute)
	second := tokenOf(t, s)
	if second == first {
		t.Error("not renewed with five minutes left")
	}

	// Keystone is away when it is time again: the old one does, while it lasts.
	g.fake.set(func() {
		g.fake.fault = func(w http.ResponseWriter, r *http.Request) bool { g.fake.logins++; fail(w, 500); return true }
	})
	g.step(56 * time.Minute)
	before := g.loggedIn()
	for range 3 {
		if tokenOf(t, s) != second {
			t.Error("another token from nowhere")
		}
	}
	if n := g.loggedIn() - before; n != 1 {
		t.Errorf("asked %d times in a row", n)
	}
	g.step(2*time.Minute + time.Second) // less than two minutes left
	if _, err := s.Token(t.Context()); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("%v", err)
	}
	g.fake.set(func() { g.fake.fault = nil })
	if tokenOf(t, s) == second {
		t.Error("not renewed after Keystone came back")
	}
	s.Refused(tokenOf(t, s))
	g.fake.set(func() { g.fake.fault = func(w http.ResponseWriter, _ *http.Request) bool { fail(w, 500); return true } })
	if _, err := s.Token(t.Context()); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("a refused token is given again: %v", err)
	}
}

func TestShortLivedTokensAreNotRenewedAllTheTime(t *testing.T) {
	g := newGate(t)
	g.fake.set(func() { g.fake.life = time.Minute })
	first := tokenOf(t, g.o.Session)
	g.step(29 * time.Second)
	if tokenOf(t, g.o.Session) != first {
		t.Error("renewed at once")
	}
	g.step(time.Second)
	if tokenOf(t, g.o.Session) == first {
		t.Error("not renewed half way")
	}
}

func TestManyAskForOneToken(t *testing.T) {
	g := newGate(t)
	other, err := g.o.Session.WithInterface("publicURL")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 40 {
		s := []*Session{g.o.Session, other, g.o.Session.WithRegion("RegionTwo")}[i%3]
		wg.Go(func() {
			for range 20 {
				token, err := s.Token(t.Context())
				if err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					s.Refused(token)
				}
				if _, err := s.Endpoint(t.Context(), "volumev3"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := g.loggedIn(); n > 4*20+1 {
		t.Errorf("%d logins", n)
	}
}

func TestEndpointByRegionAndInterface(t *testing.T) {
	g := newGate(t)
	public, _ := g.o.Session.WithInterface("publicURL")
	for want, s := range map[string]*Session{
		"http://internal.RegionOne.cinder/v3/id-of-service": g.o.Session,
		"http://public.RegionOne.cinder/v3/id-of-service":   public,
		"http://public.RegionTwo.cinder/v3/id-of-service":   public.WithRegion("RegionTwo"),
	} {
		if got, err := s.Endpoint(t.Context(), "block-storage", "volumev3"); got != want || err != nil {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	if n := g.loggedIn(); n != 1 {
		t.Errorf("%d logins for one credential", n)
	}
}

func TestProviderFindsEndpoints(t *testing.T) {
	g := newGate(t)
	p, err := g.o.Session.Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.EndpointLocator(gophercloud.EndpointOpts{
		Type: "block-storage", Aliases: []string{"volumev3"}, Region: "RegionTwo", Availability: gophercloud.AvailabilityAdmin,
	})
	if want := "http://admin.RegionTwo.cinder/v3/id-of-service/"; got != want || err != nil {
		t.Errorf("%s %v", got, err)
	}
}

// Gophercloud's client logs in again by itself when a service says 401, and
// the session knows.
func TestProviderLogsInAgain(t *testing.T) {
	g := newGate(t)
	p, err := g.o.Session.Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := p.Token()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") == first {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			resp, err := p.Request(t.Context(), "GET", service.URL, &gophercloud.RequestOpts{OkCodes: []int{200}})
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
		wg.Go(func() { tokenOf(t, g.o.Session) })
	}
	wg.Wait()
	if got := tokenOf(t, g.o.Session); got == first || got != p.Token() {
		t.Error("the session still has the refused token")
	}
}

func TestConnectionsAreTriedAgain(t *testing.T) {
	var waits []time.Duration
	c := fakeCloud(newFakeKeystone(t, time.Now)).credentials("stowage")
	c.AuthURL, c.MaxRetries = "http://127.0.0.1:1", 0
	s := newSession(t, c, WithPause(func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }))
	if _, err := s.Token(t.Context()); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("%v", err)
	}
	if fmt.Sprint(waits) != "[500ms 1s 2s]" {
		t.Errorf("waited %v", waits)
	}
}
