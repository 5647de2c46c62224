//go:build stack

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage/internal/contract"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/internal/stacktest"
)

// user is somebody with a token for a project.
type user struct {
	t         testing.TB
	name      string
	projectID string
	token     string
}

// tokens of the run by user and project; none of them may ever be in a log.
var tokens struct {
	sync.Mutex
	users map[string]user
	all   []string
}

// client is without the environment's proxies.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: patience}

// logIn gives a user with a token for the project, by name.
func logIn(t testing.TB, name, project string) *user {
	t.Helper()
	tokens.Lock()
	defer tokens.Unlock()
	u, ok := tokens.users[name+"/"+project]
	if !ok {
		u = authenticate(t, name, project)
		if tokens.users == nil {
			tokens.users = map[string]user{}
		}
		tokens.users[name+"/"+project] = u
		tokens.all = append(tokens.all, u.token)
	}
	u.t = t
	return &u
}

func authenticate(t testing.TB, name, project string) user {
	t.Helper()
	domain := map[string]any{"id": "default"}
	body := map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
			"name": name, "domain": domain, "password": stacktest.Env(t, strings.ToUpper(name)+"_PASSWORD"),
		}}},
		"scope": map[string]any{"project": map[string]any{"name": project, "domain": domain}},
	}}
	a := send(t, "", http.MethodPost, stacktest.Env(t, "KEYSTONE_URL")+"/auth/tokens", body, nil)
	a.want(t, http.StatusCreated)
	var got struct {
		Token struct{ Project struct{ ID string } }
	}
	a.into(t, &got)
	return user{name: name, projectID: got.Token.Project.ID, token: a.header.Get("X-Subject-Token")}
}

// answer is what a service said.
type answer struct {
	what   string
	status int
	header http.Header
	sent   []byte
	body   string
	after  time.Duration
}

// send sends a request; a body that is not a string or bytes goes as JSON.
func send(t testing.TB, token, method, url string, body any, header map[string]string) answer {
	t.Helper()
	a, err := try(token, method, url, body, header)
	fatal(t, err)
	held(t, a)
	return a
}

// held holds an answer of the API's against what it says of itself. Neighbours'
// have other paths.
func held(t testing.TB, a answer) {
	t.Helper()
	method, at, _ := strings.Cut(a.what, " ")
	u, err := url.Parse(at)
	fatal(t, err)
	if !strings.HasPrefix(u.Path, "/api/") && !(strings.HasPrefix(u.Path, "/v1.1/") && strings.Contains(u.Path, "/hp-volume-backups")) {
		return
	}
	c, err := harness.Contract()
	fatal(t, err)
	if err := c.Check(contract.Exchange{
		Method: method, Path: u.EscapedPath(), Query: slices.Sorted(maps.Keys(u.Query())), Sent: a.sent,
		Status: a.status, Header: a.header, Answer: []byte(a.body),
	}); err != nil {
		t.Errorf("%s: not as the document says: %v", a.what, err)
	}
}

// try is send for those that may fail.
func try(token, method, url string, body any, header map[string]string) (answer, error) {
	a := answer{what: method + " " + url}
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	case []byte:
		data = b
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			return a, err
		}
	}
	a.sent = data
	r, err := http.NewRequest(method, url, bytes.NewReader(data)) //nolint:noctx // the client bounds it
	if err != nil {
		return a, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	begun := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a.status, a.header, a.body, a.after = resp.StatusCode, resp.Header, strings.TrimSpace(string(text)), time.Since(begun)
	return a, err
}

// want ends the test if the status is none of these.
func (a answer) want(t testing.TB, statuses ...int) answer {
	t.Helper()
	for _, s := range statuses {
		if a.status == s {
			return a
		}
	}
	t.Fatalf("%s: %d %s, want %v", a.what, a.status, a.body, statuses)
	return a
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%s: %q: %v", a.what, a.body, err)
	}
}

func (u *user) call(method, url string, body any, header map[string]string) answer {
	u.t.Helper()
	return send(u.t, u.token, method, url, body, header)
}
