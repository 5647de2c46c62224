package swift_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Answers to "4 bytes at 3" that must not be believed.
func TestGetBelievesNoWrongAnswer(t *testing.T) {
	partial := func(contentRange, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"no range":           partial("", "3456"),
		"another range":      partial("bytes 2-5/10", "2345"),
		"too short":          partial("bytes 3-5/10", "345"),
		"too long":           partial("bytes 3-7/10", "34567"),
		"behind the end":     partial("bytes 3-6/5", "3456"),
		"backwards":          partial("bytes 3-2/10", ""),
		"short body":         partial("bytes 3-6/10", "345"),
		"long body":          partial("bytes 3-6/10", "34567"),
		"short body chunked": chunked("bytes 3-6/10", "345"),
		"long body chunked":  chunked("bytes 3-6/10", "34567"),
		"whole": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("0123456789"))
			return true
		},
		"body cut": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", "bytes 3-6/10")
			w.Header().Set("Content-Length", "4")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte("34"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"not satisfiable, though": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", "bytes */10")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fault(fault)
			if err := verbs["get"](t.Context(), r.Store); err != nil || len(r.pauses) != 1 {
				t.Errorf("%v after %v", err, r.pauses)
			}
			for range 5 {
				r.fault(fault)
			}
			wantCode(t, "for ever", verbs["get"](t.Context(), r.Store), stowage.Unavailable)
		})
	}
}

func chunked(contentRange, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte(body))
		_ = http.NewResponseController(w).Flush()
		return true
	}
}

// A tenant may label an object as compressed; its bytes are still its bytes.
func TestGetUndoesNoEncoding(t *testing.T) {
	r := newRig(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	r.containers["AUTH_p/c"]["z"] = packed.Bytes()
	r.fault(func(w http.ResponseWriter, req *http.Request) bool {
		if got := req.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("asked for encoding %q", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		return false
	})
	buf := make([]byte, 1<<20)
	n, err := r.Get(t.Context(), "z", buf, 0)
	if err != nil || !bytes.Equal(buf[:n], packed.Bytes()) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestStatOfLargeObjects(t *testing.T) {
	for _, header := range []string{"X-Object-Manifest", "X-Static-Large-Object"} {
		r := newRig(t)
		r.fault(func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Set(header, "True"); return false })
		info, err := r.Stat(t.Context(), "x")
		if err != nil || info.ETag != "" || info.Bytes != 10 {
			t.Errorf("%s: %+v, %v", header, info, err)
		}
	}
}

func TestListBelievesNoWrongPage(t *testing.T) {
	object := func(name string) string {
		return fmt.Sprintf(`{"name": %q, "bytes": 1, "hash": "", "last_modified": "2026-01-02T03:04:05"}`, name)
	}
	for name, page := range map[string]string{
		"descending":    "[" + object("pb") + "," + object("pa") + "]",
		"twice":         "[" + object("pa") + "," + object("pa") + "]",
		"other prefix":  "[" + object("q") + "]",
		"no name":       "[" + object("") + "]",
		"subdir":        `[{"subdir": "pa/"}]`,
		"long name":     "[" + object("p"+strings.Repeat("a", 1024)) + "]",
		"negative size": `[{"name": "pa", "bytes": -1, "hash": "", "last_modified": "2026-01-02T03:04:05"}]`,
		"no date":       `[{"name": "pa", "bytes": 1, "hash": "", "last_modified": "yesterday"}]`,
		"no list":       `{"name": "pa"}`,
		"cut":           "[" + object("pa"),
		"plain text":    "pa\npb\n",
		"too many":      "[" + strings.Join(elevenObjects(object), ",") + "]",
		"too long":      "[" + object("pa") + strings.Repeat(" ", 100<<10) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for range 5 {
				r.fault(func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(page)); return true })
			}
			err := r.List(t.Context(), "p", func(o drivers.ObjectInfo) error { return fmt.Errorf("listed %+v", o) })
			wantCode(t, "List", err, stowage.Unavailable)
		})
	}
}

func elevenObjects(object func(string) string) (objects []string) {
	for i := range 11 {
		objects = append(objects, object(fmt.Sprintf("p%02d", i)))
	}
	return objects
}

// A server that gives the same page for every marker does not keep us for ever.
func TestListGoesForward(t *testing.T) {
	r := newRig(t)
	page := `[{"name": "pa", "bytes": 1, "hash": "", "last_modified": "2026-01-02T03:04:05"}]`
	for range 6 {
		r.fault(func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(page)); return true })
	}
	n := 0
	err := r.List(t.Context(), "p", func(o drivers.ObjectInfo) error {
		n++
		if want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !o.Modified.Equal(want) {
			t.Errorf("modified %v", o.Modified)
		}
		return nil
	})
	wantCode(t, "List", err, stowage.Unavailable)
	if n != 1 {
		t.Errorf("listed %d", n)
	}
}
