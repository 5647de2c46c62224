package swift_test

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/swift"
)

// fake is enough of a Swift for this driver, with faults to order.
type fake struct {
	*httptest.Server
	mu         sync.Mutex
	token      string
	containers map[string]map[string][]byte // by account/container
	requests   []string
	// faults answer the next requests instead; one that returns false lets
	// the request through.
	faults []func(w http.ResponseWriter, r *http.Request) bool
	// after are run instead of the answer, once the work is done.
	after []http.HandlerFunc
}

func newFake(t *testing.T) *fake {
	f := &fake{token: "token-1", containers: map[string]map[string][]byte{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.RequestURI)
	if len(f.faults) > 0 {
		fault := f.faults[0]
		f.faults = f.faults[1:]
		if fault(w, r) {
			return
		}
	}
	if r.Header.Get("X-Auth-Token") != f.token {
		http.Error(w, "token", http.StatusUnauthorized)
		return
	}
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/v1/"), "/", 3)
	container, found := f.containers[parts[0]+"/"+parts[1]]
	switch {
	case !found:
		http.Error(w, "no container", http.StatusNotFound)
	case len(parts) == 2:
		list(w, r, container)
	default:
		f.object(w, r, container, parts[2])
	}
}

func (f *fake) object(w http.ResponseWriter, r *http.Request, container map[string][]byte, name string) {
	data, found := container[name]
	if !found && r.Method != http.MethodPut {
		http.Error(w, "no object", http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodPut:
		data, _ = io.ReadAll(r.Body)
		if r.Header.Get("Etag") != etag(data) {
			http.Error(w, "damaged", http.StatusUnprocessableEntity)
			return
		}
		container[name] = data
		if len(f.after) > 0 {
			after := f.after[0]
			f.after = f.after[1:]
			after(w, r)
			return
		}
		w.Header().Set("Etag", etag(data))
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		delete(container, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Etag", `"`+etag(data)+`"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		serve(w, r, data)
	}
}

// serve answers ranges as Swift does.
func serve(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
	var first, last int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(data)
		}
		return
	}
	if first >= len(data) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(data)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	last = min(last, len(data)-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(data)))
	w.Header().Set("Content-Length", strconv.Itoa(last-first+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(data[first : last+1])
}

func list(w http.ResponseWriter, r *http.Request, container map[string][]byte) {
	type object struct {
		Name     string `json:"name"`
		Bytes    int    `json:"bytes"`
		Hash     string `json:"hash"`
		Modified string `json:"last_modified"`
	}
	page := []object{}
	for name, data := range container {
		if strings.HasPrefix(name, r.FormValue("prefix")) && name > r.FormValue("marker") {
			page = append(page, object{name, len(data), etag(data), "2026-01-02T03:04:05.678900"})
		}
	}
	slices.SortFunc(page, func(a, b object) int { return cmp.Compare(a.Name, b.Name) })
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page[:min(limit, len(page))])
}

func etag(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// fault orders one for the next request that has none yet.
func (f *fake) fault(fault func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fault)
}

func (f *fake) status(codes ...int) {
	for _, code := range codes {
		f.fault(func(w http.ResponseWriter, _ *http.Request) bool { http.Error(w, "ordered", code); return true })
	}
}

// seen gives the requests since the last look.
func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.requests
	f.requests = nil
	return seen
}

// source gives tokens one after the other, the next when one is refused.
type source struct {
	mu      sync.Mutex
	tokens  []string
	refused []string
	err     error
}

func (s *source) Token(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[0], s.err
}

func (s *source) Refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, token)
	if token == s.tokens[0] && len(s.tokens) > 1 {
		s.tokens = s.tokens[1:]
	}
}

// rig is a store on a fake, and the pauses it made.
type rig struct {
	*fake
	*source
	drivers.Store
	opts   swift.Options
	stores drivers.Stores
	mu     sync.Mutex
	pauses []time.Duration
}

func newRig(t *testing.T, change ...func(*swift.Options)) *rig {
	r := &rig{fake: newFake(t), source: &source{tokens: []string{"token-1"}}}
	r.opts = swift.Options{
		TokenSource: r.source, RetryAttempts: 5, Backoff: time.Second, PageSize: 10,
		AccountURL: func(_ context.Context, project string) (string, error) { return r.URL + "/v1/AUTH_" + project, nil },
		Sleep: func(ctx context.Context, pause time.Duration) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.pauses = append(r.pauses, pause)
			return ctx.Err()
		},
	}
	for _, c := range change {
		c(&r.opts)
	}
	r.fake.containers["AUTH_p/c"] = map[string][]byte{"x": []byte("0123456789")}
	var err error
	if r.stores, err = swift.Open(r.opts); err != nil {
		t.Fatal(err)
	}
	if r.Store, err = r.stores.Open(t.Context(), "p", "c"); err != nil {
		t.Fatal(err)
	}
	return r
}
