package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

func TestAPasswordGivesATokenThatIsGoodElsewhere(t *testing.T) {
	g := newGate(t)
	c, until, err := g.Login(t.Context(), Login{Domain: "Default", User: "demo", Password: NewSecret("secret"), Project: "demo"})
	if err != nil || c.ProjectName != "demo" || c.UserName != "demo" || !c.HasRole("member") || !until.After(g.now()) {
		t.Fatalf("%+v until %v: %v", c, until, err)
	}
	asked := len(g.fake.questions)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Auth-Token", c.Token.Reveal())
	if again, err := g.Validate(t.Context(), r); err != nil || again.UserID != c.UserID {
		t.Errorf("%+v: %v", again, err)
	}
	if len(g.fake.questions) != asked {
		t.Error("Keystone was asked about a token it has just given")
	}
}

func TestWhoHasOneProjectOnlyNeedNotNameIt(t *testing.T) {
	g := newGate(t)
	c, _, err := g.Login(t.Context(), Login{Domain: "Default", User: "loner", Password: NewSecret("secret")})
	if err != nil || c.ProjectName != "alone" {
		t.Errorf("%+v: %v", c, err)
	}
	if _, _, err = g.Login(t.Context(), Login{Domain: "Default", User: "nomad", Password: NewSecret("secret")}); !errors.Is(err, errNoProject) {
		t.Errorf("without any project: %v", err)
	}
}

func TestALoginThatFailsTellsNotWhy(t *testing.T) {
	g := newGate(t)
	for what, l := range map[string]Login{
		"wrong password": {Domain: "Default", User: "demo", Password: NewSecret("guess")},
		"no such user":   {Domain: "Default", User: "nobody", Password: NewSecret("secret")},
		"not his":        {Domain: "Default", User: "demo", Password: NewSecret("secret"), Project: "alt"},
	} {
		_, _, err := g.Login(t.Context(), l)
		if !errors.Is(err, ErrCredentials) || stowage.MessageOf(err) != ErrCredentials.Message {
			t.Errorf("%s: %v", what, err)
		}
	}
	if strings.Contains(g.log.String(), "secret") {
		t.Error("the log holds a password")
	}
	g.fake.set(func() {
		g.fake.fault = func(w http.ResponseWriter, _ *http.Request) bool { fail(w, http.StatusBadGateway); return true }
	})
	_, _, err := g.Login(t.Context(), Login{Domain: "Default", User: "demo", Password: NewSecret("secret")})
	if !stowage.Is(err, stowage.Unavailable) || errors.Is(err, ErrCredentials) {
		t.Errorf("Keystone away: %v", err)
	}
}

func TestNoauthLogsInWithItsToken(t *testing.T) {
	c, until, err := Noauth{}.Login(t.Context(), Login{User: "demo", Project: "other"})
	if err != nil || c.UserID != "demo" || c.ProjectID != "other" || c.Token.Reveal() != "demo:other" || !until.IsZero() {
		t.Errorf("%+v until %v: %v", c, until, err)
	}
	if _, _, err := (Noauth{}).Login(t.Context(), Login{User: "no user"}); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
}
