package openapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

type inner struct {
	Value int64 `json:"value"`
}

type outer struct {
	inner
	Must  string         `json:"must"`
	May   string         `json:"may,omitempty"`
	Null  *string        `json:"null"`
	List  []inner        `json:"list"`
	Map   map[string]int `json:"map"`
	Self  *outer         `json:"self,omitempty"`
	Plain struct {
		Deep bool `json:"deep"`
	} `json:"plain"`
	hidden int
}

func schemas(change func(*Schemas)) *Schemas {
	s := &Schemas{All: map[string]*Schema{}}
	change(s)
	return s
}

func written(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSchemasAreReadOffTheTypes(t *testing.T) {
	_ = outer{hidden: 1} // what has no name on the wire is not there
	s := schemas(func(s *Schemas) { s.Nulls = true })
	if got := written(t, s.Of([]outer{})); got != `{"type":"array","items":{"$ref":"#/components/schemas/Outer"}}` {
		t.Error(got)
	}
	const want = `{"type":"object","properties":{"value":{"type":"integer","format":"int64"},"must":{"type":"string"},"may":{"type":"string"},` +
		`"null":{"type":"string","nullable":true},"list":{"type":"array","items":{"$ref":"#/components/schemas/Inner"}},"map":{"type":"object","additionalProperties":{"type":"integer"}},` +
		`"self":{"$ref":"#/components/schemas/Outer"},"plain":{"type":"object","properties":{"deep":{"type":"boolean"}},"required":["deep"]}},` +
		`"required":["value","must","null","list","map","plain"]}`
	if got := written(t, s.All["Outer"]); got != want {
		t.Error(got)
	}
}

func TestSchemasOfRequestsDemandWhatIsSaid(t *testing.T) {
	type body struct {
		Name string `json:"name"`
		Of   inner  `json:"of"`
	}
	s := schemas(func(s *Schemas) {
		s.Loose, s.Must = true, map[string][]string{"Body": {"name"}}
		s.Note = func(component, field string, f *Schema) {
			if component+"."+field == "Body.of" {
				f.Description = "Where."
			}
		}
	})
	s.Of(body{})
	const want = `{"type":"object","nullable":true,"properties":{"name":{"type":"string"},"of":{"description":"Where.","allOf":[{"$ref":"#/components/schemas/Inner"}]}},"required":["name"]}`
	if got := written(t, s.All["Body"]); got != want {
		t.Error(got)
	}
	closed := schemas(func(s *Schemas) { s.Loose, s.Closed = true, true })
	closed.Of(body{})
	if got := written(t, closed.All["Body"]); !strings.Contains(got, `"additionalProperties":false`) || strings.Contains(got, "nullable") {
		t.Error(got)
	}
}

func TestTwoTypesDoNotShareAName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("they do")
		}
	}()
	s := schemas(func(s *Schemas) { s.Name = func(reflect.Type) string { return "Same" } })
	s.Of(inner{})
	s.Of(outer{})
}

// site is a site with one document.
func site() http.Handler {
	s := NewSite(func(r *http.Request) string { return "http://" + r.Host })
	all := &Schemas{All: map[string]*Schema{}}
	s.Add("things", &Document{
		Info: Info{Title: "Things <and> more", Version: "1", Description: "What `they` are.\n\nAnd <b>not</b>."}, Tags: []Tag{{Name: "things"}},
		Paths: map[string]Item{"/things/{id}": {
			"get":  {Tags: []string{"things"}, ID: "show", Summary: "Shows <one>", Responses: map[string]Response{"200": {Description: "It.", Content: AsJSON(all.Of(outer{}))}}},
			"post": {Tags: []string{"things"}, ID: "make", Summary: "Makes one", Body: &Body{Content: AsJSON(all.Of(outer{}))}, Responses: map[string]Response{"204": {Description: "Done."}}},
			"put":  {Tags: []string{"things"}, ID: "print", Summary: "Prints one", Responses: map[string]Response{"200": {Description: "A file.", Content: AsFile("text/x-b", "text/a; charset=utf-8")}}},
		}},
		Components: Components{Schemas: all.All},
	})
	r := mux.NewRouter()
	s.Mount(r)
	return r
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestADocumentIsServedWithItsAddress(t *testing.T) {
	h := site()
	w := get(h, "http://one.test/openapi/things.json")
	var d map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != JSON {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if got := written(t, d["servers"]); d["openapi"] != Version || got != `[{"url":"http://one.test"}]` {
		t.Error(d["openapi"], got)
	}
	tag := w.Header().Get("ETag")
	if again := get(h, "http://one.test/openapi/things.json", "If-None-Match", tag); again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("asked again: %d", again.Code)
	}
	if other := get(h, "http://two.test/openapi/things.json", "If-None-Match", tag); other.Code != 200 || !strings.Contains(other.Body.String(), "http://two.test") {
		t.Errorf("at another address: %d", other.Code)
	}
	if none := get(h, "/openapi/others.json"); none.Code != 404 {
		t.Errorf("what is not there: %d", none.Code)
	}
}

func TestThePageIsOneFile(t *testing.T) {
	h := site()
	for _, path := range []string{"http://one.test/openapi/things", "http://one.test/openapi/", "http://one.test/openapi"} {
		w := get(h, path)
		page := w.Body.String()
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page, "Things &lt;and&gt; more") || !strings.Contains(page, "<code>they</code>") {
			t.Errorf("%s: %d %v\n%s", path, w.Code, w.Header(), page)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header())
		}
		for _, foreign := range []string{"<script", "src=", "@import", "url(", "<b>not", "style=", "ZgotmplZ"} {
			if strings.Contains(page, foreign) {
				t.Errorf("%s has %s", path, foreign)
			}
		}
		// The browser takes the style only as it was when its hash was made.
		if _, rest, _ := strings.Cut(page, "<style>"); !strings.HasPrefix(rest, pageStyle+"</style>") {
			t.Errorf("%s: the style is not as it was written", path)
		}
	}
	page := get(h, "http://one.test/openapi/things").Body.String()
	for _, want := range []string{`id="show"`, "Shows &lt;one&gt;", "BASE=http://one.test", `href="#schema-Inner"`, `curl -H &#34;X-Auth-Token: $TOKEN&#34; &#34;$BASE/things/{id}&#34;`, "curl -H", "text/a; charset=utf-8 or text/x-b"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}
