package contract

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stowage/stowage/api/openapi"
)

// document is a small API: one list, one thing that is made.
func document() *openapi.Document {
	all := map[string]*openapi.Schema{}
	type thing struct {
		Name string `json:"name"`
		Size *int64 `json:"size,omitempty"`
	}
	answers, bodies := &openapi.Schemas{All: all}, &openapi.Schemas{All: all, Loose: true, Must: map[string][]string{"Wish": {"name"}}}
	type wish struct {
		Name string `json:"name"`
	}
	fault := openapi.Response{Description: "No.", Content: openapi.AsJSON(&openapi.Schema{Type: "object", Properties: openapi.Properties{{Name: "message", Schema: &openapi.Schema{Type: "string"}}}})}
	return &openapi.Document{
		Info: openapi.Info{Title: "Things", Version: "1"},
		Paths: map[string]openapi.Item{
			"/x/things": {"get": {
				ID: "list", Summary: "Lists", Parameters: []openapi.Parameter{{Name: "name", In: "query", Schema: &openapi.Schema{Type: "string"}}},
				Responses: map[string]openapi.Response{"200": {
					Description: "All.", Headers: map[string]openapi.Header{"X-Id": {Required: true, Schema: &openapi.Schema{Type: "string"}}}, Content: openapi.AsJSON(answers.Of([]thing{})),
				}},
			}, "post": {
				ID: "make", Summary: "Makes", Body: &openapi.Body{Required: true, Content: openapi.AsJSON(bodies.Of(wish{}))},
				Responses: map[string]openapi.Response{"204": {Description: "Done."}, "404": {Ref: "#/components/responses/404"}},
			}},
			"/x/things/{id}": {"get": {
				ID: "show", Summary: "Shows", Parameters: []openapi.Parameter{{Name: "id", In: "path", Required: true, Schema: &openapi.Schema{Type: "string"}}},
				Responses: map[string]openapi.Response{"200": {Description: "It.", Content: openapi.AsJSON(answers.Of(thing{}))}},
			}},
		},
		Components: openapi.Components{Schemas: all, Responses: map[string]openapi.Response{"404": fault}},
	}
}

func TestWhatIsNotAsDescribedIsTold(t *testing.T) {
	c, err := New(map[string]*openapi.Document{"/x": document()})
	if err != nil {
		t.Fatal(err)
	}
	head := func(pairs ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, one := range []struct {
		want string // "": all is well
		x    Exchange
	}{
		{"", Exchange{Method: "GET", Path: "/x/things", Status: 200, Header: head("X-Id", "1"), Answer: []byte(`[{"name":"a"},{"name":"b","size":1}]`)}},
		{"", Exchange{Method: "HEAD", Path: "/x/things/", Status: 200, Header: head("X-Id", "1")}},
		{"", Exchange{Method: "GET", Path: "/y/things", Status: 418, Header: head()}},
		{"", Exchange{Method: "GET", Path: "/xyz", Status: 418, Header: head()}},
		{"", Exchange{Method: "GET", Path: "/x/others", Status: 404, Header: head(), Answer: []byte(`{"message":"none"}`)}},
		{"", Exchange{Method: "POST", Path: "/x/things", Status: 204, Header: head(), Sent: []byte(`{"name":"a","more":1}`)}},
		{"", Exchange{Method: "OPTIONS", Path: "/x/things", Status: 204, Header: head()}},
		{"header X-Id is missing", Exchange{Method: "GET", Path: "/x/things", Status: 200, Header: head(), Answer: []byte(`[]`)}},
		{"X-Total-Count is not described", Exchange{Method: "GET", Path: "/x/things", Status: 200, Header: head("X-Id", "1", "X-Total-Count", "1"), Answer: []byte(`[]`)}},
		{`property "name" is missing`, Exchange{Method: "GET", Path: "/x/things", Status: 200, Header: head("X-Id", "1"), Answer: []byte(`[{"size":1}]`)}},
		{`property "color" is unsupported`, Exchange{Method: "GET", Path: "/x/things/1", Status: 200, Header: head(), Answer: []byte(`{"name":"a","color":"red"}`)}},
		{"not nullable", Exchange{Method: "GET", Path: "/x/things/1", Status: 200, Header: head(), Answer: []byte(`{"name":"a","size":null}`)}},
		{"status 201 is not described", Exchange{Method: "GET", Path: "/x/things/1", Status: 201, Header: head(), Answer: []byte(`{"name":"a"}`)}},
		{"media type", Exchange{Method: "GET", Path: "/x/things/1", Status: 200, Header: head("Content-Type", "text/plain"), Answer: []byte(`{"name":"a"}`)}},
		{"no body is described", Exchange{Method: "POST", Path: "/x/things", Status: 204, Header: head(), Sent: []byte(`{"name":"a"}`), Answer: []byte("{}")}},
		{"described as required", Exchange{Method: "POST", Path: "/x/things", Status: 204, Header: head()}},
		{`property "name" is missing`, Exchange{Method: "POST", Path: "/x/things", Status: 204, Header: head(), Sent: []byte(`{}`)}},
		{"parameter color is not described", Exchange{Method: "GET", Path: "/x/things", Query: []string{"color", "name"}, Status: 200, Header: head("X-Id", "1"), Answer: []byte(`[]`)}},
		{"no operation is described", Exchange{Method: "GET", Path: "/x/others", Status: 200, Header: head(), Answer: []byte(`{}`)}},
		{"unsupported", Exchange{Method: "PUT", Path: "/x/things", Status: 404, Header: head(), Answer: []byte(`{"wrong":1}`)}},
	} {
		err := c.Check(one.x)
		if one.want == "" && err != nil || one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)) {
			t.Errorf("%s %s %d %s: %v; want %q", one.x.Method, one.x.Path, one.x.Status, one.x.Answer, err, one.want)
		}
	}
}

func TestADocumentThatIsNotValidIsRefused(t *testing.T) {
	d := document()
	d.Paths["/x/things"]["get"].Parameters[0].In = "nowhere"
	if _, err := New(map[string]*openapi.Document{"/x": d}); err == nil {
		t.Error("it is taken")
	}
}
