package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeKeystone answers as Keystone 22 does, as far as this package asks, and
// fails on demand. Everybody's password is "secret".
type fakeKeystone struct {
	*httptest.Server
	now func() time.Time

	mu          sync.Mutex
	tokens      map[string]*fakeToken
	credentials map[string]fakeCredential
	life        time.Duration // of tokens given out from now on
	logins      int
	guests      []string        // projects that the user stowage may log in to, too
	questions   []*http.Request // validations, in order
	// fault answers in Keystone's place if it returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

type fakeToken struct {
	user, project string
	expires       time.Time
	revoked       bool
	extra         map[string]any // more keys of the token's body
}

type fakeCredential struct {
	user, project string
	rules         any
}

var fakeUsers = map[string]struct{ project, roles string }{
	"admin":       {"admin", "admin,member,reader"},
	"demo":        {"demo", "member,reader"},
	"alt":         {"alt", "member,reader"},
	"demo_reader": {"demo", "reader"},
	"stowage":     {"service", "admin,member,reader,service"},
	"loner":       {"alone", "member,reader"}, // has no default project
	"nomad":       {"", ""},                   // has none at all
}

func newFakeKeystone(t *testing.T, now func() time.Time) *fakeKeystone {
	t.Helper()
	k := &fakeKeystone{now: now, life: time.Hour, tokens: map[string]*fakeToken{}, credentials: map[string]fakeCredential{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", k.login)
	mux.HandleFunc("GET /v3/auth/tokens", k.validate)
	mux.HandleFunc("DELETE /v3/auth/tokens", k.revoke)
	mux.HandleFunc("GET /v3/auth/projects", k.projects)
	mux.HandleFunc("POST /v3/users/{user}/application_credentials", k.createCredential)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.fault != nil && k.fault(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(k.Close)
	return k
}

// set changes the fake while it runs.
func (k *fakeKeystone) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// issue gives a token to a user, needs no password, and lets it be odd.
func (k *fakeKeystone) issue(user string, life time.Duration, extra map[string]any) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.issueLocked(user, life, extra)
}

func (k *fakeKeystone) issueLocked(user string, life time.Duration, extra map[string]any) string {
	id := fmt.Sprintf("token-of-%s-%d", user, len(k.tokens))
	k.tokens[id] = &fakeToken{user: user, project: fakeUsers[user].project, expires: k.now().Add(life), extra: extra}
	return id
}

func (k *fakeKeystone) login(w http.ResponseWriter, r *http.Request) {
	k.logins++
	var req struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct {
						Name, ID, Password string
						Domain             struct{ Name string }
					}
				}
				Credential struct{ ID, Secret string } `json:"application_credential"`
				Token      struct{ ID string }
			}
			Scope struct {
				Project struct{ Name, ID string }
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		fail(w, http.StatusBadRequest)
		return
	}
	user, extra := req.Auth.Identity.Password.User.Name, map[string]any{"methods": []string{"password"}}
	secret := req.Auth.Identity.Password.User.Password
	if id := req.Auth.Identity.Credential.ID; id != "" {
		c := k.credentials[id]
		user, secret = c.user, req.Auth.Identity.Credential.Secret
		credential := map[string]any{"id": id, "name": id, "restricted": true}
		if c.rules != nil {
			credential["access_rules"] = c.rules
		}
		extra = map[string]any{"methods": []string{"application_credential"}, "application_credential": credential}
	}
	if old := k.tokens[req.Auth.Identity.Token.ID]; old != nil && !old.revoked {
		user, secret, extra = old.user, "secret", map[string]any{"methods": []string{"token"}}
	}
	if d := req.Auth.Identity.Password.User.Domain.Name; d != "" && d != "Default" {
		secret = ""
	}
	scope := req.Auth.Scope.Project
	home := fakeUsers[user].project
	if there := strings.TrimPrefix(scope.ID, "id-of-"); user == "stowage" && slices.Contains(k.guests, there) {
		home = there
	}
	if _, ok := fakeUsers[user]; !ok || secret != "secret" || scope.Name != "" && scope.Name != home || scope.ID != "" && scope.ID != "id-of-"+home {
		fail(w, http.StatusUnauthorized)
		return
	}
	if scope.Name+scope.ID == "" && (user == "loner" || user == "nomad") {
		extra["project"], extra["roles"] = nil, nil
	}
	id := k.issueLocked(user, k.life, extra)
	k.tokens[id].project = home
	w.Header().Set("X-Subject-Token", id)
	w.WriteHeader(http.StatusCreated)
	k.describe(w, k.tokens[id], true)
}

// asker is who asks, nil if his token is no good.
func (k *fakeKeystone) asker(r *http.Request) *fakeToken {
	t := k.tokens[r.Header.Get("X-Auth-Token")]
	if t == nil || t.revoked || !k.now().Before(t.expires) {
		return nil
	}
	return t
}

func (k *fakeKeystone) validate(w http.ResponseWriter, r *http.Request) {
	k.questions = append(k.questions, r)
	asker := k.asker(r)
	subject := k.tokens[r.Header.Get("X-Subject-Token")]
	q := r.URL.Query()
	switch {
	case asker == nil:
		fail(w, http.StatusUnauthorized)
	case subject == nil || subject.revoked:
		fail(w, http.StatusNotFound)
	case !k.now().Before(subject.expires) && q.Get("allow_expired") != "1":
		fail(w, http.StatusNotFound)
	case subject.restricted() && r.Header.Get("OpenStack-Identity-Access-Rules") == "":
		fail(w, http.StatusNotFound)
	case subject != asker && asker.user != "stowage" && asker.user != "admin":
		fail(w, http.StatusForbidden)
	default:
		k.describe(w, subject, !q.Has("nocatalog"))
	}
}

func (t *fakeToken) restricted() bool {
	c, _ := t.extra["application_credential"].(map[string]any)
	return c["access_rules"] != nil
}

func (k *fakeKeystone) revoke(w http.ResponseWriter, r *http.Request) {
	if t := k.tokens[r.Header.Get("X-Subject-Token")]; t != nil && k.asker(r) != nil {
		t.revoked = true
	}
	w.WriteHeader(http.StatusNoContent)
}

func (k *fakeKeystone) projects(w http.ResponseWriter, r *http.Request) {
	asker, list := k.asker(r), []map[string]any{}
	if asker == nil {
		fail(w, http.StatusUnauthorized)
		return
	}
	if asker.project != "" {
		list = append(list, map[string]any{"id": "id-of-" + asker.project, "name": asker.project})
	}
	answer(w, map[string]any{"projects": list})
}

func (k *fakeKeystone) createCredential(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Credential struct {
			Secret string
			Rules  any `json:"access_rules"`
		} `json:"application_credential"`
	}
	asker := k.asker(r)
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || asker == nil {
		fail(w, http.StatusBadRequest)
		return
	}
	id := fmt.Sprintf("credential-%d", len(k.credentials))
	k.credentials[id] = fakeCredential{user: asker.user, project: asker.project, rules: req.Credential.Rules}
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]any{"application_credential": map[string]any{"id": id, "secret": "secret"}})
}

func (k *fakeKeystone) describe(w http.ResponseWriter, t *fakeToken, catalog bool) {
	domain := map[string]any{"id": "default", "name": "Default"}
	var roles []map[string]any
	for _, name := range strings.Split(fakeUsers[t.user].roles, ",") {
		roles = append(roles, map[string]any{"id": "id-of-" + name, "name": name})
	}
	body := map[string]any{
		"methods":    []string{"password"},
		"user":       map[string]any{"id": "id-of-" + t.user, "name": t.user, "domain": domain},
		"project":    map[string]any{"id": "id-of-" + t.project, "name": t.project, "domain": domain},
		"roles":      roles,
		"expires_at": t.expires.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"issued_at":  k.now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	if catalog {
		body["catalog"] = []any{
			service("identity", "http://keystone/v3"),
			service("volume-backup", "http://stowage/v1.1/id-of-"+t.project),
			service("volumev3", "http://cinder/v3/id-of-"+t.project+"/"),
		}
	}
	for key, value := range t.extra {
		if body[key] = value; value == nil {
			delete(body, key)
		}
	}
	answer(w, map[string]any{"token": body})
}

func service(kind, url string) map[string]any {
	var endpoints []any
	for _, region := range []string{"RegionOne", "RegionTwo"} {
		for _, iface := range []string{"public", "internal", "admin"} {
			endpoints = append(endpoints, map[string]any{
				"interface": iface, "region": region, "region_id": region,
				"url": strings.Replace(url, "http://", "http://"+iface+"."+region+".", 1),
			})
		}
	}
	return map[string]any{"type": kind, "name": kind, "endpoints": endpoints}
}

func answer(w http.ResponseWriter, body any) { _ = json.NewEncoder(w).Encode(body) }

func fail(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	answer(w, map[string]any{"error": map[string]any{"code": status, "title": http.StatusText(status)}})
}
