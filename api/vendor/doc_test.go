package vendor

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

var update = flag.Bool("update", false, "rewrite the table of doc/vendor-api.md")

const (
	docFile    = "../../doc/vendor-api.md"
	tableBegin = "<!-- The table is made from the router: go test ./api/vendor -run Doc -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// notYet are the vendor's paths that are not served yet, and answer 404.
var notYet = []struct{ method, path, why string }{
	{"POST", "/session/login-with-token", "send the token as X-Auth-Token instead"},
	{"PUT", "/users/{guid}/password", "passwords are Keystone's"},
	{"PUT", "/virtual-machines/{guid}/ssh-password", "nobody logs in to servers"},
	{"GET", "/global-settings", "no client asks for it"},
}

func table() string {
	var b strings.Builder
	b.WriteString("| endpoint | answers | policy rule |\n| --- | --- | --- |\n")
	for _, r := range routes() {
		state, rule := "with state", "`"+r.rule+"`"
		switch {
		case r.empty != "":
			state = "`[]`: " + r.empty
		case r.open:
			rule = "everybody"
		case r.rule == "":
			rule = "whoever is logged in"
		}
		fmt.Fprintf(&b, "| `%s /api%s` | %s | %s |\n", r.method, r.path, state, rule)
	}
	for _, n := range notYet {
		fmt.Fprintf(&b, "| `%s /api%s` | not yet: %s | |\n", n.method, n.path, n.why)
	}
	return b.String()
}

func TestTheDocumentHasTheRoutersTable(t *testing.T) {
	doc, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := bytes.Cut(doc, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !begun || !ended {
		t.Fatalf("%s has no marks of a table", docFile)
	}
	want := slicesOf(before, []byte(tableBegin), []byte(table()), []byte(tableEnd), after)
	if bytes.Equal(doc, want) {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: go test ./api/vendor -run Doc -update", docFile)
	}
	if err := os.WriteFile(docFile, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestWhatIsNotYetIsNotServed(t *testing.T) {
	router := mux.NewRouter().UseEncodedPath()
	(&API{}).Mount(router)
	served := func(method, path string) bool {
		var match mux.RouteMatch
		path = "/api" + strings.ReplaceAll(path, "{guid}", "x")
		return router.Match(httptest.NewRequest(method, path, nil), &match) && match.MatchErr == nil
	}
	for _, n := range notYet {
		if served(n.method, n.path) {
			t.Errorf("%s %s is served", n.method, n.path)
		}
	}
	for _, r := range routes() {
		for _, path := range []string{r.path, r.path + "/"} {
			if !served(r.method, path) {
				t.Errorf("%s %s is not served", r.method, path)
			}
		}
		if r.method == http.MethodGet && !served(http.MethodHead, r.path) {
			t.Errorf("HEAD %s is not served", r.path)
		}
		if r.open && r.rule != "" || !r.open && r.rule == "" && !strings.HasPrefix(r.path, "/session") && r.path != "/user-info" {
			t.Errorf("%s %s: whom is it for?", r.method, r.path)
		}
	}
}
