package vendor_test

import (
	"net/http"
	"testing"

	"github.com/stowage/stowage/internal/harness"
)

func from(origin string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Origin", origin) }
}

func TestOnlyKnownOriginsReadAnswers(t *testing.T) {
	h := harness.New(t)
	for origin, want := range map[string]string{
		harness.Origin: harness.Origin, "https://evil.test": "", harness.Origin + ".evil.test": "", "null": "",
	} {
		for _, a := range []answer{
			send(h, http.MethodOptions, "/tasks", "", from(origin)),
			send(h, http.MethodGet, "/tasks", "", from(origin), demo),
			send(h, http.MethodGet, "/tasks", "", from(origin)), // 401, whose message the interface shows
			send(h, http.MethodGet, "/no/such", "", from(origin)),
		} {
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s: %d allows %q", origin, a.Status, got)
			}
			if got := a.Header.Get("Access-Control-Allow-Credentials"); (got == "true") != (want != "") {
				t.Errorf("%s: %d with credentials: %q", origin, a.Status, got)
			}
		}
	}
	a := send(h, http.MethodOptions, "/tasks/x/state/", "", from(harness.Origin), func(r *http.Request) {
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set("Access-Control-Request-Headers", "content-type,x-csrftoken")
	})
	if a.Status != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Methods") != "GET, POST, PUT, DELETE" ||
		a.Header.Get("Access-Control-Expose-Headers") != "X-Total-Count, Content-Disposition" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	wantFault(t, send(h, http.MethodPatch, "/tasks", "", demo), http.StatusMethodNotAllowed, "method")
}
