package auth

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// guest lets the service's user into more projects than its own.
func guest(k *fakeKeystone, projects ...string) {
	k.set(func() { k.guests = append(k.guests, projects...) })
}

func inProject(t *testing.T, s *Session, id string) *Session {
	t.Helper()
	there, err := s.InProject(id)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func TestSessionInAnotherProject(t *testing.T) {
	g := newGate(t)
	guest(g.fake, "demo")
	own := tokenOf(t, g.o.Session)
	there := inProject(t, g.o.Session, "id-of-demo")
	first := tokenOf(t, there)
	if project, err := there.ProjectID(t.Context()); err != nil || project != "id-of-demo" || first == own {
		t.Errorf("project %s, %v", project, err)
	}
	if url, err := there.Endpoint(t.Context(), "volumev3"); err != nil || !strings.HasSuffix(url, "/id-of-demo") {
		t.Errorf("endpoint %s, %v", url, err)
	}
	before := g.loggedIn()
	if again := inProject(t, there, "id-of-demo"); tokenOf(t, again) != first || g.loggedIn() != before {
		t.Error("logged in for a project whose token was there")
	}
	there.Refused(first)
	if tokenOf(t, there) == first {
		t.Error("a refused token was given again")
	}
	if tokenOf(t, g.o.Session) != own {
		t.Error("our own token went with it")
	}
}

func TestProjectWithoutARole(t *testing.T) {
	g := newGate(t)
	there := inProject(t, g.o.Session, "id-of-demo")
	_, err := there.Token(t.Context())
	if stowage.CodeOf(err) != stowage.Forbidden ||
		stowage.MessageOf(err) != "The backup service has no rights in project id-of-demo; the operator has to give it a role there." {
		t.Errorf("told %v", err)
	}
	guest(g.fake, "demo")
	tokenOf(t, there) // at once, when it was given one
}

func TestWrongPasswordIsNotAMissingRole(t *testing.T) {
	g := newGate(t)
	tokenOf(t, g.o.Session) // which is still good
	for _, status := range []int{http.StatusUnauthorized, http.StatusServiceUnavailable} {
		g.fake.set(func() {
			g.fake.fault = func(w http.ResponseWriter, _ *http.Request) bool { fail(w, status); return true }
		})
		_, err := inProject(t, g.o.Session, "id-of-demo").Token(t.Context())
		if stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("status %d: told %v", status, err)
		}
	}
}

func TestProjectsAreBoundedAndAskedForOnce(t *testing.T) {
	g := newGate(t)
	guest(g.fake, "demo")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			there, err := g.o.Session.InProject("id-of-demo")
			if err == nil {
				_, err = there.Token(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := g.loggedIn(); n != 1 {
		t.Errorf("%d logins", n)
	}
	for i := range maxProjects {
		inProject(t, g.o.Session, fmt.Sprint("other-", i))
	}
	if p := &g.o.Session.login.projects; len(p.logins) != maxProjects || len(p.order) != maxProjects || p.logins["id-of-demo"] != nil {
		t.Errorf("%d projects are kept, in an order of %d", len(p.logins), len(p.order))
	}
}

func TestApplicationCredentialsStayAtHome(t *testing.T) {
	g := newGate(t)
	g.fake.set(func() { g.fake.credentials["c1"] = fakeCredential{user: "stowage", project: "service"} })
	s, err := NewSession(Credentials{
		AuthType: "v3applicationcredential", AuthURL: g.fake.URL, ApplicationCredentialID: "c1",
		ApplicationCredentialSecret: NewSecret("secret"),
	}, WithClock(func() time.Time { return g.fake.now() }))
	if err != nil {
		t.Fatal(err)
	}
	tokenOf(t, inProject(t, s, "id-of-service"))
	_, err = inProject(t, s, "id-of-demo").Token(t.Context())
	if stowage.CodeOf(err) != stowage.Forbidden {
		t.Errorf("told %v", err)
	}
}
