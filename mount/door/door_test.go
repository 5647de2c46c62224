package door

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// fake has one file on file system 1 of mount "m".
type fake struct {
	data []byte
	fail error // in the middle
	size int64
}

func (f *fake) check(m stowage.Mount, n int) error {
	if m.ID != "m" || n != 1 {
		return stowage.Errorf(stowage.Conflict, "not here")
	}
	return nil
}

func (f *fake) List(_ context.Context, m stowage.Mount, n int, path string) (stowage.Listing, error) {
	return stowage.Listing{Total: 2, Files: []stowage.File{{Name: path, Kind: stowage.FileLink, Size: 5, Mode: 0o644, Modified: time.Unix(7, 0).UTC()}}}, f.check(m, n)
}

func (f *fake) Download(_ context.Context, m stowage.Mount, n int, paths []string) (*stowage.Download, error) {
	return &stowage.Download{Name: strings.Join(paths, "+"), Zip: len(paths) > 1, Size: f.size, Close: func() error { return nil },
		Copy: func(_ context.Context, w io.Writer) error {
			if _, err := w.Write(f.data); err != nil {
				return err
			}
			return f.fail
		}}, f.check(m, n)
}

type rig struct {
	*Client
	server *Server
	mount  stowage.Mount
}

func newRig(t *testing.T, f *fake) *rig {
	t.Helper()
	now := func() time.Time { return time.Unix(1_000_000, 0) }
	s := &Server{Secret: []byte("a secret of some length"), Files: f, Now: now, Log: slog.New(slog.DiscardHandler)}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &rig{NewClient(s.Secret, &http.Transport{}, now), s, stowage.Mount{ID: "m", Host: "h", Endpoint: h.URL}}
}

func TestFilesAreAskedForFromAfar(t *testing.T) {
	data := bytes.Repeat([]byte("stowage"), 1<<20)
	r := newRig(t, &fake{data: data, size: int64(len(data))})
	l, err := r.List(t.Context(), r.mount, 1, "/ü \n")
	if err != nil || l.Total != 2 || len(l.Files) != 1 || l.Files[0].Name != "/ü \n" || l.Files[0].Kind != stowage.FileLink || !l.Files[0].Modified.Equal(time.Unix(7, 0)) {
		t.Fatalf("%+v %v", l, err)
	}
	d, err := r.Download(t.Context(), r.mount, 1, []string{"a\nü", "b"})
	if err != nil || d.Name != "a\nü+b" || !d.Zip || d.Size != int64(len(data)) {
		t.Fatalf("%+v %v", d, err)
	}
	var got bytes.Buffer
	if err := d.Copy(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Fatalf("%d bytes, %v", got.Len(), err)
	}
	if _, err := r.List(t.Context(), r.mount, 0, "/"); stowage.CodeOf(err) != stowage.Conflict || stowage.MessageOf(err) != "not here" {
		t.Errorf("what is not mounted: %v", err)
	}
	r.mount.Endpoint = "http://127.0.0.1:1"
	if _, err := r.List(t.Context(), r.mount, 1, "/"); stowage.CodeOf(err) != stowage.Unavailable {
		t.Errorf("a manager that is gone: %v", err)
	}
}

func TestADownloadThatFailsIsNotTakenForWhole(t *testing.T) {
	data := []byte("the beginning")
	for name, size := range map[string]int64{"of a length that is known": 100, "of any length": -1} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &fake{data: data, size: size, fail: errors.New("the disk broke")})
			d, err := r.Download(t.Context(), r.mount, 1, []string{"a"})
			if err == nil {
				err = d.Copy(t.Context(), io.Discard)
			}
			if err == nil {
				t.Error("nobody noticed")
			}
		})
	}
}

func TestOnlyWhoHasTheSecretIsLetIn(t *testing.T) {
	f := &fake{data: []byte("x"), size: 1}
	for name, change := range map[string]func(*rig){
		"another secret":      func(r *rig) { r.Secret = []byte("another secret, as long") },
		"a clock that is off": func(r *rig) { r.Client.Now = func() time.Time { return time.Unix(1_000_000-61, 0) } },
		"one that is ahead":   func(r *rig) { r.Client.Now = func() time.Time { return time.Unix(1_000_000+61, 0) } },
	} {
		r := newRig(t, f)
		change(r)
		if _, err := r.List(t.Context(), r.mount, 1, "/"); stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := newRig(t, f)
	var seen *http.Request
	var body []byte
	r.HTTP.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
		body, _ = io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(body))
		seen = q.Clone(t.Context())
		return http.DefaultTransport.RoundTrip(q)
	})
	if _, err := r.List(t.Context(), r.mount, 1, "/"); err != nil {
		t.Fatal(err)
	}
	again := func(change func(*http.Request)) int {
		q := seen.Clone(t.Context())
		q.Body = io.NopCloser(bytes.NewReader(body))
		change(q)
		res, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	r.server.nonces.used = nil
	if status := again(func(*http.Request) {}); status != http.StatusOK {
		t.Fatalf("the request as it was: %d", status)
	}
	for name, change := range map[string]func(*http.Request){
		"twice":        func(*http.Request) {},
		"another path": func(q *http.Request) { q.URL.Path = "/mounts/m2/listing" },
		"another body": func(q *http.Request) {
			q.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), `"/"`, `"."`, 1)))
		},
		"another number": func(q *http.Request) { q.Header.Set(nonceHeader, "mine") },
		"another time":   func(q *http.Request) { q.Header.Set(timeHeader, "1000001") },
		"no signature":   func(q *http.Request) { q.Header.Del(signature) },
	} {
		if status := again(change); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
