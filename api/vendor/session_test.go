package vendor_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage/internal/harness"
)

// answer is what a client of the vendor's API got.
type answer struct {
	harness.Answer
	cookies []*http.Cookie
}

// send sends a request as a client does.
func send(h *harness.Harness, method, path, body string, change ...func(*http.Request)) answer {
	h.T.Helper()
	r := httptest.NewRequest(method, "/api"+path, strings.NewReader(body))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.API.ServeHTTP(w, r)
	return answer{harness.Answer{Status: w.Code, Header: w.Header(), Body: strings.TrimSpace(w.Body.String())}, w.Result().Cookies()}
}

func token(t string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Auth-Token", t) }
}

func cookie(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }

// login logs a user in and gives the cookie.
func login(h *harness.Harness, user, password string, change ...func(*http.Request)) (answer, *http.Cookie) {
	h.T.Helper()
	body, err := json.Marshal(map[string]string{"login": user, "password": password})
	if err != nil {
		h.T.Fatal(err)
	}
	a := send(h, http.MethodPost, "/session/login", string(body), change...)
	if len(a.cookies) == 0 {
		return a, nil
	}
	return a, a.cookies[0]
}

// wantFault checks that an error has the one form that all clients read.
func wantFault(t *testing.T, a answer, status int, contains string) {
	t.Helper()
	var body struct {
		Message string
		Error   struct{ Message string }
	}
	err := json.Unmarshal([]byte(a.Body), &body)
	if a.Status != status || err != nil || body.Message == "" || body.Message != body.Error.Message || !strings.Contains(body.Message, contains) {
		t.Errorf("answered %d %s (%v), want %d with %q", a.Status, a.Body, err, status, contains)
	}
	if a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d is of type %s", a.Status, a.Header.Get("Content-Type"))
	}
}

func TestALoginGivesACookieThatScriptsCannotRead(t *testing.T) {
	h := harness.New(t)
	a, c := login(h, "demo", "secret")
	if a.Status != http.StatusOK || c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || len(c.Value) != 43 || c.Path != "/api" {
		t.Fatalf("%d %s, %+v", a.Status, a.Body, c)
	}
	info := a.JSON(t)
	if info["requester"].(map[string]any)["name"] != "demo" || len(info["privileges"].([]any)) != 2 || info["uiTimeZone"] != "UTC" {
		t.Errorf("session info %s", a.Body)
	}
	for _, path := range []string{"/session/user", "/session/user/", "/user-info"} {
		if u := send(h, http.MethodGet, path, "", cookie(c)); u.Status != http.StatusOK || u.JSON(t)["requester"] == nil {
			t.Errorf("%s: %d %s", path, u.Status, u.Body)
		}
	}
	if s := send(h, http.MethodGet, "/session", "", cookie(c)); s.Status != http.StatusNoContent || s.Body != "" {
		t.Errorf("%d %q", s.Status, s.Body)
	}
	_, c = login(h, "demo", "secret", func(r *http.Request) { r.TLS = &tls.ConnectionState{} })
	if !c.Secure {
		t.Error("over TLS the cookie may go without it")
	}
}

func TestBadCredentialsAre400AndNoSessionIs401(t *testing.T) {
	h := harness.New(t)
	a, c := login(h, "demo", "wrong")
	wantFault(t, a, http.StatusBadRequest, "login or the password")
	if c != nil {
		t.Error("it gave a cookie")
	}
	a, _ = login(h, "", "")
	wantFault(t, a, http.StatusBadRequest, "login")
	wantFault(t, send(h, http.MethodPost, "/session/login", "login=demo"), http.StatusBadRequest, "body")
	wantFault(t, send(h, http.MethodGet, "/session", ""), http.StatusUnauthorized, "log in")
	for _, forged := range []string{"", "x", strings.Repeat("A", 43)} {
		wantFault(t, send(h, http.MethodGet, "/session/user", "", cookie(&http.Cookie{Name: "stowage_session", Value: forged})), http.StatusUnauthorized, "log in")
	}
	if a := send(h, http.MethodGet, "/session/user", "", token("demo:demo")); a.Status != http.StatusOK {
		t.Errorf("a token in place of a session: %d %s", a.Status, a.Body)
	}
	wantFault(t, send(h, http.MethodGet, "/session/user", "", token("no token!")), http.StatusUnauthorized, "authentication")
}

func TestEveryErrorIsJSON(t *testing.T) {
	h := harness.New(t)
	wantFault(t, send(h, http.MethodGet, "/no/such/path", "", token("demo:demo")), http.StatusNotFound, "")
	wantFault(t, send(h, http.MethodGet, "", ""), http.StatusNotFound, "")
	a := send(h, http.MethodPut, "/session/login", "")
	wantFault(t, a, http.StatusMethodNotAllowed, "method")
	if a.Header.Get("Allow") != "POST" {
		t.Errorf("allowed: %s", a.Header.Get("Allow"))
	}
	wantFault(t, send(h, http.MethodPost, "/session/login", strings.Repeat(" ", 1<<20+1)), http.StatusRequestEntityTooLarge, "large")
	unknown := func(r *http.Request) { r.ContentLength = -1 }
	wantFault(t, send(h, http.MethodPost, "/session/login", strings.Repeat(" ", 1<<20+1), unknown), http.StatusRequestEntityTooLarge, "large")
}

func TestASessionEndsByLogoutByIdlenessAndByAge(t *testing.T) {
	h := harness.New(t)
	good := func(c *http.Cookie) bool {
		return send(h, http.MethodGet, "/session", "", cookie(c)).Status == http.StatusNoContent
	}
	_, out := login(h, "demo", "secret")
	if a := send(h, http.MethodPost, "/session/logout", "", cookie(out)); a.Status != http.StatusNoContent || a.cookies[0].MaxAge >= 0 {
		t.Errorf("logout: %d %+v", a.Status, a.cookies)
	}
	if good(out) {
		t.Error("it outlived its logout")
	}
	if a := send(h, http.MethodPost, "/session/logout", ""); a.Status != http.StatusNoContent {
		t.Errorf("logout without a session: %d %s", a.Status, a.Body)
	}
	_, idle := login(h, "demo", "secret")
	_, used := login(h, "demo", "secret")
	for range 2 {
		h.Clock.Step(10 * time.Minute)
		if !good(used) {
			t.Fatal("it ended while it was used")
		}
	}
	if good(idle) {
		t.Error("it outlived 20 idle minutes")
	}
	for range 100 {
		h.Clock.Step(10 * time.Minute)
		good(used)
	}
	if good(used) {
		t.Error("it outlived its day")
	}
	if n, err := h.DB.ReapLoginSessions(t.Context(), h.Clock.Now(), 100); err != nil || n != 2 {
		t.Errorf("%d reaped, %v", n, err)
	}
}

func TestManagersForgetSessionsThatAreOver(t *testing.T) {
	h := harness.New(t)
	for range 3 {
		login(h, "demo", "secret")
	}
	h.Start(h.Manager("m1"))
	h.Clock.Step(16 * time.Minute)
	login(h, "demo", "secret")
	h.Until("one session is left", func() bool { return strings.Count(h.Dump("login_sessions"), "\ndemo\n") == 1 })
}

// Clients log in anew before every call.
func TestARepeatedLoginAsksKeystoneOnce(t *testing.T) {
	h := harness.New(t)
	seen := map[string]bool{}
	for range 5 {
		_, c := login(h, "demo", "secret")
		if seen[c.Value] {
			t.Error("two logins got one session")
		}
		seen[c.Value] = true
	}
	if n := h.Keystone.Asked(); n != 1 {
		t.Errorf("Keystone was asked %d times", n)
	}
	a, _ := login(h, "demo", "other")
	wantFault(t, a, http.StatusBadRequest, "password")
	login(h, "demo@Other", "secret")
	login(h, "demo:alt", "secret")
	if n := h.Keystone.Asked(); n != 4 {
		t.Errorf("another password, domain or project did not count as another login: %d", n)
	}
	h.Clock.Step(6 * time.Minute)
	login(h, "demo", "secret")
	if n := h.Keystone.Asked(); n != 5 {
		t.Errorf("a login was remembered for more than five minutes: %d", n)
	}
}

func TestAChangedPasswordEndsWhatItGave(t *testing.T) {
	h := harness.New(t)
	_, c := login(h, "demo", "secret")
	h.Keystone.ChangePassword("new", "demo")
	wantFault(t, send(h, http.MethodGet, "/session", "", cookie(c)), http.StatusUnauthorized, "log in")
	a, _ := login(h, "demo", "secret")
	wantFault(t, a, http.StatusBadRequest, "password")
	if a, _ := login(h, "demo", "new"); a.Status != http.StatusOK {
		t.Errorf("the new one: %d %s", a.Status, a.Body)
	}
}

func TestGuessingIsBounded(t *testing.T) {
	h := harness.New(t)
	login(h, "demo", "secret")                                                                   // who is logged in is not locked out by others
	for _, spelling := range []string{"demo", "Demo", "DEMO ", "demo@default", "demo@Default"} { // one user for Keystone's database
		a, _ := login(h, spelling, "guess")
		wantFault(t, a, http.StatusBadRequest, "password")
	}
	a, _ := login(h, "demo", "guess")
	wantFault(t, a, http.StatusTooManyRequests, "failed logins")
	if a.Header.Get("Retry-After") == "" || h.Keystone.Asked() != 6 {
		t.Errorf("Keystone was asked %d times; %v", h.Keystone.Asked(), a.Header)
	}
	if a, _ := login(h, "demo", "secret"); a.Status != http.StatusOK {
		t.Errorf("the one who knows it: %d %s", a.Status, a.Body)
	}
	elsewhere := func(r *http.Request) { r.RemoteAddr = "192.0.2.99:1" }
	a, _ = login(h, "demo", "mistyped", elsewhere)
	wantFault(t, a, http.StatusBadRequest, "password")
	h.Clock.Step(31 * time.Second)
	a, _ = login(h, "demo", "guess")
	wantFault(t, a, http.StatusBadRequest, "password")
}

func TestTheDatabaseHoldsNeitherTicketsNorTokens(t *testing.T) {
	h := harness.New(t)
	_, c := login(h, "somebody:someproject", "secret")
	dump := h.Dump("login_sessions")
	for _, secret := range []string{c.Value, "somebody:someproject", "secret"} {
		if strings.Contains(dump, secret) {
			t.Errorf("%q is in %q", secret, dump)
		}
	}
	if h.LogContains(c.Value) {
		t.Error("the log holds a ticket")
	}
}
