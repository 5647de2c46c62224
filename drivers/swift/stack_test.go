//go:build stack

package swift_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/swift"
)

// stackEnv reads the file of a running stack.
func stackEnv(t *testing.T) map[string]string {
	t.Helper()
	name := os.Getenv("STOWAGE_STACK_ENV")
	if name == "" {
		t.Skip("STOWAGE_STACK_ENV names no stack")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			env[key] = strings.Trim(value, `"'`)
		}
	}
	return env
}

// login gets a token and the id of its project.
func login(t *testing.T, env map[string]string, user, password, project string) (token, projectID string) {
	t.Helper()
	domain := map[string]any{"id": "default"}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
			"user": map[string]any{"name": user, "domain": domain, "password": password}}},
		"scope": map[string]any{"project": map[string]any{"name": project, "domain": domain}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(env["KEYSTONE_URL"]+"/auth/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token struct {
			Project struct{ ID string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("log in as %s: %s, %v", user, resp.Status, err)
	}
	return resp.Header.Get("X-Subject-Token"), answer.Token.Project.ID
}

// container does what a tenant does with his own token.
func container(t *testing.T, env map[string]string, method, token, project, name string, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, env["SWIFT_URL"]+"/v1/AUTH_"+project+"/"+url.PathEscape(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s container %s: %s", method, name, resp.Status)
	}
}

func options(env map[string]string, tokens ...string) swift.Options {
	return swift.Options{
		TokenSource: &source{tokens: tokens}, PageSize: 10,
		AccountURL: func(_ context.Context, project string) (string, error) {
			return env["SWIFT_URL"] + "/v1/AUTH_" + project, nil
		},
	}
}

func TestStackSuite(t *testing.T) {
	env := stackEnv(t)
	reseller, _ := login(t, env, "stowage_reseller", env["STOWAGE_RESELLER_PASSWORD"], "service")
	demoToken, demo := login(t, env, "demo", env["DEMO_PASSWORD"], "demo")
	altToken, alt := login(t, env, "alt", env["ALT_PASSWORD"], "alt")
	owners := map[string]string{demo: demoToken, alt: altToken}
	drivertest.Stores(t, func(t *testing.T) drivertest.StoresFixture {
		stores, err := swift.Open(options(env, "expired-"+reseller, reseller))
		if err != nil {
			t.Fatal(err)
		}
		return drivertest.StoresFixture{
			Stores: stores, Project: demo, OtherProject: alt,
			NewContainer: func(t *testing.T, project, prefix string) string {
				name := prefix + uuid.NewString()
				container(t, env, http.MethodPut, owners[project], project, name)
				return name
			},
		}
	})
}

// Without rights in a tenant's account, the service may use the container the
// tenant opened to it and nothing else.
func TestStackAccessList(t *testing.T) {
	env := stackEnv(t)
	token, demo := login(t, env, "demo", env["DEMO_PASSWORD"], "demo")
	service, serviceProject := login(t, env, "stowage", env["STOWAGE_PASSWORD"], "service")
	opened, closed := "opened-"+uuid.NewString(), "closed-"+uuid.NewString()
	container(t, env, http.MethodPut, token, demo, closed)
	container(t, env, http.MethodPut, token, demo, opened, "X-Container-Read", serviceProject+":*", "X-Container-Write", serviceProject+":*")
	stores, err := swift.Open(options(env, service))
	if err != nil {
		t.Fatal(err)
	}
	s, err := stores.Open(t.Context(), demo, opened)
	if err != nil {
		t.Fatal(err)
	}
	for verb, call := range verbs {
		if _, err := s.Put(t.Context(), "x", []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		if err := call(t.Context(), s); err != nil {
			t.Errorf("%s in the opened container: %v", verb, err)
		}
	}
	if s, err = stores.Open(t.Context(), demo, closed); err != nil {
		t.Fatal(err)
	}
	for verb, call := range verbs {
		wantCode(t, verb+" in the closed container", call(t.Context(), s), stowage.Forbidden)
	}
}
