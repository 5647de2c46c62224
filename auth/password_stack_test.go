//go:build stack

package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// What sessions rely on: a password that is changed revokes the tokens it gave.
func TestAChangedPasswordRevokesItsTokens(t *testing.T) {
	path := os.Getenv("STOWAGE_STACK_ENV")
	if path == "" {
		t.Skip("STOWAGE_STACK_ENV names no env file of a stack")
	}
	env := readEnv(t, path)
	c := cloud{url: env["KEYSTONE_URL"], password: func(user string) string { return env[strings.ToUpper(user)+"_PASSWORD"] }}
	k := c.validator(t, func(o *Options) { o.TokenCacheTime = -1 })
	admin := c.session(t, "admin")
	ask := func(token, method, path string, body any, into any) {
		t.Helper()
		var data []byte
		if body != nil {
			var err error
			if data, err = json.Marshal(body); err != nil {
				t.Fatal(err)
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), method, admin.AuthURL()+path, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := admin.HTTPClient().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s", method, path, resp.Status)
		}
		if into != nil {
			if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
				t.Fatal(err)
			}
		}
	}
	own := tokenOf(t, admin)
	var made struct{ User struct{ ID string } }
	name := "stowage-test-" + time.Now().Format("150405.000000000")
	ask(own, http.MethodPost, "/v3/users", map[string]any{"user": map[string]any{"name": name, "domain_id": "default", "password": "first"}}, &made)
	t.Cleanup(func() {
		r, err := http.NewRequest(http.MethodDelete, admin.AuthURL()+"/v3/users/"+made.User.ID, nil) //nolint:noctx // at the end
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", own)
		if resp, err := admin.HTTPClient().Do(r); err != nil {
			t.Error(err)
		} else {
			resp.Body.Close()
		}
	})
	var roles struct{ Roles []struct{ ID string } }
	ask(own, http.MethodGet, "/v3/roles?name=member", nil, &roles)
	ask(own, http.MethodPut, "/v3/projects/"+env["DEMO_PROJECT_ID"]+"/users/"+made.User.ID+"/roles/"+roles.Roles[0].ID, nil, nil)

	// He has one project, and need not name it.
	login := Login{Domain: "Default", User: name, Password: NewSecret("first")}
	before, _, err := k.Login(t.Context(), login)
	if err != nil || before.ProjectName != "demo" {
		t.Fatalf("%+v: %v", before, err)
	}
	accept(t, k, get("X-Auth-Token", before.Token.Reveal()))
	ask(before.Token.Reveal(), http.MethodPost, "/v3/users/"+made.User.ID+"/password",
		map[string]any{"user": map[string]string{"original_password": "first", "password": "second"}}, nil)
	refuse(t, k, get("X-Auth-Token", before.Token.Reveal()), stowage.Unauthorized)
	if _, _, err := k.Login(t.Context(), login); !errors.Is(err, ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	// Keystone counts seconds: what is given in the second of a change is revoked
	// with it.
	login.Password = NewSecret("second")
	for try := 0; ; try++ {
		after, _, err := k.Login(t.Context(), login)
		if err == nil {
			r := get("X-Auth-Token", after.Token.Reveal())
			if _, err = k.Validate(t.Context(), r); err == nil {
				return
			}
		}
		if try == 20 {
			t.Fatalf("the new password: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
