package harness

// What tests do with it, and look at.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Volume makes a volume of mixed bytes in the project, and gives its bytes.
func (h *Harness) Volume(id string, size int) []byte {
	h.T.Helper()
	random := rand.NewChaCha8(sha256.Sum256([]byte(id)))
	data := make([]byte, size)
	for at := 0; at < size; at += 300_000 {
		part := data[at:min(at+100_000, size)]
		if at%600_000 == 0 {
			random.Read(part)
		} else {
			copy(part, strings.Repeat("stowage ", len(part)/8+1))
		}
	}
	h.ok(os.WriteFile(h.VolumeFile(id), data, 0o600))
	return data
}

// VolumeFile is where a volume is.
func (h *Harness) VolumeFile(id string) string { return filepath.Join(h.Dir, "volumes", "volume-"+id) }

// Bytes reads a volume, or the first 16 MiB of a larger one.
func (h *Harness) Bytes(id string) []byte {
	h.T.Helper()
	f, err := os.Open(h.VolumeFile(id))
	h.ok(err)
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 16<<20))
	h.ok(err)
	return data
}

// VolumeStatus is what Cinder says of a volume.
func (h *Harness) VolumeStatus(id string) string {
	h.T.Helper()
	v, err := h.Cinder.Volumes.Volume(context.Background(), id)
	h.ok(err)
	return v.Status
}

// Answer is an answer of the API.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON reads the body.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatalf("the answer %q is no JSON: %v", a.Body, err)
	}
	return m
}

// Call sends a request with the token, such as demo:demo.
func (h *Harness) Call(token, method, path, body string) Answer {
	h.T.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	w := httptest.NewRecorder()
	h.API.ServeHTTP(w, r)
	return Answer{w.Code, w.Header(), strings.TrimSpace(w.Body.String())}
}

// Base is the path of a project's backups.
func Base(project string) string { return "/v1.1/" + project + "/hp-volume-backups" }

// Create begins a backup as demo:demo and gives its id.
func (h *Harness) Create(volume string) string {
	h.T.Helper()
	a := h.Call("demo:demo", http.MethodPost, Base("demo"), fmt.Sprintf(`{"backup": {"volume_id": %q}}`, volume))
	if a.Status != http.StatusOK {
		h.T.Fatalf("create: %d %s", a.Status, a.Body)
	}
	return a.JSON(h.T)["backup"].(map[string]any)["id"].(string)
}

// Show gives the details of demo's backup, nil if there is none.
func (h *Harness) Show(id string) map[string]any {
	h.T.Helper()
	a := h.Call("demo:demo", http.MethodGet, Base("demo")+"/"+id, "")
	if a.Status == http.StatusNotFound {
		return nil
	}
	return a.JSON(h.T)["backup"].(map[string]any)
}

// Await waits until demo's backup has the status, "" for gone, and gives the
// details.
func (h *Harness) Await(id string, status stowage.BackupStatus) (last map[string]any) {
	h.T.Helper()
	h.Until(fmt.Sprintf("backup %s is %q", id, status), func() bool {
		last = h.Show(id)
		return last == nil && status == "" || last != nil && last["status"] == string(status)
	})
	return last
}

// Objects lists the names of demo's objects.
func (h *Harness) Objects() []string { return h.ObjectsIn(stowage.DefaultContainer) }

// ObjectsIn lists the names in one of demo's containers.
func (h *Harness) ObjectsIn(container string) (names []string) {
	h.T.Helper()
	store, err := h.stores.Open(context.Background(), "demo", container)
	h.ok(err)
	err = store.List(context.Background(), "", func(o drivers.ObjectInfo) error { names = append(names, o.Name); return nil })
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		h.T.Fatal(err)
	}
	return names
}

// Snapshots lists what the file driver keeps as snapshots.
func (h *Harness) Snapshots() []string {
	h.T.Helper()
	found, err := filepath.Glob(filepath.Join(h.Dir, "volumes", ".snapshots", "*"))
	h.ok(err)
	return found
}

// ObjectStore opens demo's default container.
func (h *Harness) ObjectStore() drivers.Store {
	h.T.Helper()
	store, err := h.stores.Open(context.Background(), "demo", stowage.DefaultContainer)
	h.ok(err)
	return store
}

// Create2GiB makes an available backup of a sparse volume of 2 GiB.
func (h *Harness) Create2GiB(t testing.TB) string {
	t.Helper()
	h.Volume("2048", 1000)
	h.ok(os.Truncate(h.VolumeFile("2048"), 2*stowage.GiB))
	id := h.Create("2048")
	h.Await(id, stowage.BackupAvailable)
	return id
}

// LogContains reports whether anybody logged the text.
func (h *Harness) LogContains(text string) bool {
	h.LogMu.Lock()
	defer h.LogMu.Unlock()
	return bytes.Contains(h.Log.Bytes(), []byte(text))
}

// LogCount is how often anybody logged the text.
func (h *Harness) LogCount(text string) int {
	h.LogMu.Lock()
	defer h.LogMu.Unlock()
	return bytes.Count(h.Log.Bytes(), []byte(text))
}

// SetStatus writes a backup's status, as an operator does by hand.
func (h *Harness) SetStatus(id int64, status stowage.BackupStatus) error {
	return h.Exec("UPDATE backups SET status = ? WHERE id = ?", status, id)
}

// Exec changes the database behind everybody's back.
func (h *Harness) Exec(query string, args ...any) error {
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(h.Dir, "stowage.sqlite")+"?_pragma=busy_timeout(15000)")
	if err != nil {
		return err
	}
	defer raw.Close()
	_, err = raw.Exec(query, args...)
	return err
}

// Dump gives all rows of a table, as they lie about.
func (h *Harness) Dump(table string) string {
	h.T.Helper()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(h.Dir, "stowage.sqlite")+"?_pragma=busy_timeout(15000)")
	h.ok(err)
	defer raw.Close()
	rows, err := raw.Query("SELECT * FROM " + table)
	h.ok(err)
	defer rows.Close()
	columns, err := rows.Columns()
	h.ok(err)
	out := ""
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		h.ok(rows.Scan(into...))
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			out += fmt.Sprint(v, "\n")
		}
	}
	h.ok(rows.Err())
	return out
}
