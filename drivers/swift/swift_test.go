package swift_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/swift"
)

func TestSuite(t *testing.T) {
	drivertest.Stores(t, func(t *testing.T) drivertest.StoresFixture {
		r := newRig(t)
		return drivertest.StoresFixture{
			Stores: r.stores, Project: "p", OtherProject: "q",
			NewContainer: func(_ *testing.T, project, prefix string) string {
				name := prefix + uuid.NewString()
				r.fake.mu.Lock()
				defer r.fake.mu.Unlock()
				r.containers["AUTH_"+project+"/"+name] = map[string][]byte{}
				return name
			},
		}
	})
}

// verbs are all there are, each one call that works on the rig.
var verbs = map[string]func(ctx context.Context, s drivers.Store) error{
	"put": func(ctx context.Context, s drivers.Store) error {
		got, err := s.Put(ctx, "y", []byte("hello"))
		if err == nil && got != etag([]byte("hello")) || err != nil && got != "" {
			return fmt.Errorf("put gave ETag %q: %w", got, err)
		}
		return err
	},
	"get": func(ctx context.Context, s drivers.Store) error {
		buf := make([]byte, 4)
		n, err := s.Get(ctx, "x", buf, 3)
		if err == nil && string(buf[:n]) != "3456" {
			return fmt.Errorf("read %q", buf[:n])
		}
		return err
	},
	"stat": func(ctx context.Context, s drivers.Store) error {
		info, err := s.Stat(ctx, "x")
		if err == nil && (info.Bytes != 10 || info.ETag != etag([]byte("0123456789"))) {
			return fmt.Errorf("stat gave %+v", info)
		}
		return err
	},
	"delete": func(ctx context.Context, s drivers.Store) error { return s.Delete(ctx, "x") },
	"list": func(ctx context.Context, s drivers.Store) error {
		return s.List(ctx, "", func(drivers.ObjectInfo) error { return nil })
	},
}

func wantCode(t *testing.T, what string, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Errorf("%s: %v (%s), want code %s", what, err, stowage.CodeOf(err), code)
	}
}

func TestTransientFaultsAreTriedAgain(t *testing.T) {
	faults := map[string]func(http.ResponseWriter, *http.Request) bool{
		"reset": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"cut":   cut,
	}
	for _, status := range []int{408, 409, 422, 429, 498, 500, 502, 503, 504, 507} {
		faults[fmt.Sprint(status)] = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
	}
	for verb, call := range verbs {
		for name, fault := range faults {
			t.Run(verb+" "+name, func(t *testing.T) {
				r := newRig(t)
				for range 4 {
					r.fault(fault)
				}
				if err := call(t.Context(), r.Store); err != nil {
					t.Error(err)
				}
				if len(r.pauses) != 4 || r.pauses[0] < time.Second/2 || r.pauses[3] < 4*time.Second || r.pauses[3] > 12*time.Second {
					t.Errorf("paused %v", r.pauses)
				}
			})
		}
	}
}

// cut ends the connection in the middle of the answer's head.
func cut(w http.ResponseWriter, _ *http.Request) bool {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = buf.WriteString("HTTP/1.1 20")
		_ = buf.Flush()
		_ = conn.Close()
	}
	return true
}

func TestGivingUp(t *testing.T) {
	for status, want := range map[int]struct {
		code stowage.Code
		n    int
	}{
		400: {stowage.Invalid, 1}, 403: {stowage.Forbidden, 1}, 404: {stowage.NotFound, 1}, 412: {stowage.Invalid, 1}, 413: {stowage.OverLimit, 1},
		301: {stowage.Internal, 1}, 307: {stowage.Internal, 1}, 418: {stowage.Internal, 1},
		401: {stowage.Forbidden, 3}, 422: {stowage.Corrupt, 5}, 500: {stowage.Unavailable, 5}, 503: {stowage.Unavailable, 5},
		429: {stowage.Unavailable, 5}, 507: {stowage.OverLimit, 5},
	} {
		for verb, call := range verbs {
			if verb == "delete" && status == 404 {
				continue
			}
			r := newRig(t)
			for range 10 {
				r.status(status)
			}
			wantCode(t, fmt.Sprintf("%s answered %d", verb, status), call(t.Context(), r.Store), want.code)
			if n := len(r.seen()); n != want.n {
				t.Errorf("%s answered %d: %d requests, want %d", verb, status, n, want.n)
			}
		}
	}
	r := newRig(t)
	r.status(403)
	if err := r.Delete(t.Context(), "x"); !strings.Contains(stowage.MessageOf(err), "the service may not access container c") {
		t.Errorf("the message is %q", stowage.MessageOf(err))
	}
	r.Close()
	wantCode(t, "nobody listens", r.Delete(t.Context(), "x"), stowage.Unavailable)
}

func TestExpiredTokenIsReplaced(t *testing.T) {
	for verb, call := range verbs {
		r := newRig(t)
		r.token = "token-2"
		r.tokens = []string{"token-1", "token-2"}
		if err := call(t.Context(), r.Store); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		if len(r.refused) != 1 || r.refused[0] != "token-1" || len(r.pauses) != 1 || r.pauses[0] != 0 {
			t.Errorf("%s: refused %v, paused %v", verb, r.refused, r.pauses)
		}
	}
}

func TestNoTokenToBeHad(t *testing.T) {
	r := newRig(t)
	r.source.err = errors.New("keystone is away")
	_, err := r.Put(t.Context(), "y", nil)
	wantCode(t, "Put", err, stowage.Unavailable)
	if len(r.pauses) != 4 {
		t.Errorf("paused %v", r.pauses)
	}
	r.source.err = stowage.Errorf(stowage.Unauthorized, "wrong password")
	_, err = r.Put(t.Context(), "y", nil)
	wantCode(t, "Put", err, stowage.Unauthorized)
	if n := len(r.seen()); n != 0 {
		t.Errorf("%d requests without a token", n)
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string][2]time.Duration{
		"17": {17 * time.Second, 17 * time.Second}, "99999999": {2 * time.Minute, 2 * time.Minute}, "-5": {0, 2 * time.Second}, "soon": {0, 2 * time.Second},
	} {
		r := newRig(t)
		r.fault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		if err := r.Delete(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if len(r.pauses) != 1 || r.pauses[0] < want[0] || r.pauses[0] > want[1] {
			t.Errorf("Retry-After %s: paused %v", header, r.pauses)
		}
	}
}

// A PUT whose answer got lost is made again with the same bytes, whatever the
// caller does with the buffer afterwards.
func TestPutThatWorksAndFails(t *testing.T) {
	r := newRig(t)
	r.after = []http.HandlerFunc{
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", etag([]byte("other")))
			w.WriteHeader(http.StatusCreated)
		},
	}
	data := bytes.Repeat([]byte("x"), 3<<20)
	if _, err := r.Put(t.Context(), "y", data); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if got := r.containers["AUTH_p/c"]["y"]; !bytes.Equal(got, bytes.Repeat([]byte("x"), 3<<20)) || len(r.pauses) != 3 {
		t.Errorf("stored %d bytes after %d pauses", len(got), len(r.pauses))
	}
}

func TestAttemptThatHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang) // before the servers wait for their requests
	for verb, call := range verbs {
		r := newRig(t, func(o *swift.Options) { o.Timeout = time.Second })
		var hung atomic.Bool
		inner := r.Config.Handler
		r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if hung.CompareAndSwap(false, true) {
				<-hang
				return
			}
			inner.ServeHTTP(w, req)
		})
		if err := call(t.Context(), r.Store); err != nil || len(r.pauses) != 1 {
			t.Errorf("%s: %v after %v", verb, err, r.pauses)
		}
	}
}

func TestRedirectsAndTokensStayHere(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("followed to another host with %v", r.Header)
	}))
	defer thief.Close()
	var log bytes.Buffer
	for verb, call := range verbs {
		r := newRig(t, func(o *swift.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		r.status(503)
		r.fault(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, thief.URL, http.StatusFound)
			return true
		})
		err := call(t.Context(), r.Store)
		wantCode(t, verb, err, stowage.Internal)
		if strings.Contains(err.Error(), "token-1") {
			t.Errorf("%s: the error tells the token: %v", verb, err)
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), "token-1") {
		t.Errorf("the log: %s", log.String())
	}
}

func TestOptions(t *testing.T) {
	_, err := swift.Open(swift.Options{})
	wantCode(t, "Open without anything", err, stowage.Invalid)
	for _, account := range []string{"", "nonsense", "ftp://h/x", "http://u:p@h/v1/a", "http://h/v1?x=y", "http://h/#f", "://"} {
		r := newRig(t, func(o *swift.Options) {
			url := o.AccountURL
			o.AccountURL = func(ctx context.Context, project string) (string, error) {
				if project == "p" {
					return url(ctx, project)
				}
				return account, nil
			}
		})
		_, err := r.stores.Open(t.Context(), "other", "c")
		wantCode(t, "account at "+account, err, stowage.Internal)
	}
}
