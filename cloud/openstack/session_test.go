package openstack_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
)

// What the fakes know. Tokens say "token" so that a log can be searched for them.
const (
	serviceProject = "5e00000000000000000000000000cafe"
	serviceUser    = "5e00000000000000000000000000beef"
)

var (
	demo     = cloud.User{ProjectID: "d0000000000000000000000000000001", UserID: "demo", Token: "token-demo", RequestID: "req-1"}
	alt      = cloud.User{ProjectID: "a0000000000000000000000000000002", UserID: "alt", Token: "token-alt"}
	reader   = cloud.User{ProjectID: demo.ProjectID, UserID: "reader", Token: "token-reader"}
	intruder = cloud.User{ProjectID: demo.ProjectID, UserID: "intruder", Token: "token-of-nobody"}
)

// session is a login whose tokens are token-service-1, -2 and so on.
type session struct {
	endpoint  string
	endpoints map[string]string // by type; nil: endpoint for all
	err       error             // of Token

	mu      sync.Mutex
	number  int
	logins  int
	refused string
}

func (s *session) Token(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return "", s.err
	}
	current := "token-service-" + strconv.Itoa(s.number)
	if s.number == 0 || s.refused == current {
		s.number++
		s.logins++
	}
	return "token-service-" + strconv.Itoa(s.number), nil
}

func (s *session) Refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = token
}

func (s *session) Endpoint(_ context.Context, types ...string) (string, error) {
	if s.endpoints == nil {
		return s.endpoint, nil
	}
	for _, t := range types {
		if url := s.endpoints[t]; url != "" {
			return url, nil
		}
	}
	return "", stowage.Errorf(stowage.NotFound, "the catalog has no %v", types)
}

func (s *session) ProjectID(context.Context) (string, error) { return serviceProject, nil }
func (s *session) UserID(context.Context) (string, error)    { return serviceUser, nil }
func (s *session) HTTPClient() *http.Client                  { return &http.Client{} }

// journal keeps what is logged.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// rig is a server, and what is needed to talk to it. Time only passes in
// pauses, and no pause takes any.
type rig struct {
	session *session
	journal *journal

	mu    sync.Mutex
	now   time.Time
	seen  []string                                          // requests: method, path and query
	fault func(w http.ResponseWriter, r *http.Request) bool // answers instead
	lose  func(r *http.Request) bool                        // handled, but the answer is lost
}

func newRig(t *testing.T, path string, handler http.Handler) *rig {
	t.Helper()
	g := &rig{journal: &journal{}, now: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.seen = append(g.seen, r.Method+" "+r.URL.RequestURI())
		fault, lose := g.fault, g.lose
		g.mu.Unlock()
		if fault != nil && fault(w, r) {
			return
		}
		if lose != nil && lose(r) {
			handler.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.session = &session{endpoint: server.URL + path}
	t.Cleanup(func() {
		if strings.Contains(g.journal.String(), "token-") {
			t.Errorf("a token was logged:\n%s", g.journal.String())
		}
	})
	return g
}

func (g *rig) options() openstack.Options {
	return openstack.Options{
		Session: g.session,
		Timeout: 5 * time.Second,
		Log:     slog.New(slog.NewTextHandler(g.journal, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.now
		},
		Pause: func(ctx context.Context, d time.Duration) error {
			g.pass(d)
			return ctx.Err()
		},
	}
}

func (g *rig) pass(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// count tells how many requests began with this, and forgets all.
func (g *rig) count(prefix string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, s := range g.seen {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	g.seen = nil
	return n
}

// answer makes every request that begins with this be answered so.
func (g *rig) answer(prefix string, status int, body string) {
	g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.Method+" "+r.URL.RequestURI(), prefix) {
			return false
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	})
}

func (g *rig) breakWith(fault func(http.ResponseWriter, *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = fault
}
