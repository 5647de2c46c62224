package vendor

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/db"
)

func TestWhatClientsSendIsUnderstoodInEveryForm(t *testing.T) {
	for _, c := range []struct {
		into any
		sent string
		want string
	}{
		{&ref{}, `{"guid":"g","name":"n"}`, "&{g n}"},
		{&ref{}, `{"guid":"g"}`, "&{g }"},
		{&ref{}, `"g"`, "&{g }"},
		{&ref{}, `1`, "&{1 }"},
		{&ref{}, `{"guid":1,"name":null,"policy":{"guid":2,"rules":[{}]},"tags":["x"]}`, "&{1 }"},
		{&ref{}, `null`, "&{ }"},
		{&enum{}, `{"name":"FULL"}`, "&{FULL }"},
		{&enum{}, `{"name":"FULL","description":"Full backup","color":7}`, "&{FULL }"},
		{&enum{}, `"full"`, "&{FULL }"},
		{&enum{}, `null`, "&{ }"},
		{new(text), `"60"`, "60"}, {new(text), `60`, "60"}, {new(text), `null`, ""}, {new(text), `true`, "true"},
		{&number{}, `60`, "&{true 60}"},
		{&number{}, `18000000.0`, "&{true 18000000}"},
		{&number{}, `1.8e7`, "&{true 18000000}"},
		{&number{}, `"60"`, "&{true 60}"},
		{&number{}, `" 60 "`, "&{true 60}"},
		{&number{}, `1763715600123`, "&{true 1763715600123}"},
		{&number{}, `""`, "&{false 0}"},
		{&number{}, `null`, "&{false 0}"},
		{new(truth), `true`, "true"}, {new(truth), `"true"`, "true"}, {new(truth), `0`, "false"}, {new(truth), `null`, "false"},
		{&several[ref]{}, `["a",{"guid":"b"},null]`, "&[{a } {b }]"},
		{&several[ref]{}, `"a"`, "&[{a }]"},
		{&several[ref]{}, `null`, "&[]"},
		{&several[enum]{}, `["MONDAY",{"name":"TUESDAY"}]`, "&[{MONDAY } {TUESDAY }]"},
	} {
		if err := json.Unmarshal([]byte(c.sent), c.into); err != nil {
			t.Errorf("%T of %s: %v", c.into, c.sent, err)
			continue
		}
		got := fmt.Sprint(c.into)
		switch v := c.into.(type) {
		case *text:
			got = string(*v)
		case *truth:
			got = fmt.Sprint(*v)
		}
		if got != c.want {
			t.Errorf("%T of %s is %s, want %s", c.into, c.sent, got, c.want)
		}
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []struct {
		into any
		sent string
	}{
		{&number{}, `"soon"`}, {&number{}, `1e300`}, {&number{}, `"NaN"`}, {&number{}, `[1]`}, {&number{}, `{}`},
		{new(truth), `"perhaps"`}, {new(text), `{}`}, {&ref{}, `[]`}, {&ref{}, `{"guid":{}}`}, {&enum{}, `{"name":[]}`},
		{&several[number]{}, `[1,"x"]`}, {&struct{}{}, `no json`}, {&struct{}{}, `{"a":1}{`},
	} {
		if err := decode([]byte(c.sent), c.into); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%T of %s: %v", c.into, c.sent, err)
		}
	}
	if err := decode(nil, &struct{}{}); err != nil {
		t.Errorf("no body at all: %v", err)
	}
}

func TestAnswersAreStrict(t *testing.T) {
	type view struct {
		State enum   `json:"state"`
		Node  *ref   `json:"node,omitempty"`
		Rules []ref  `json:"rules"`
		At    *int64 `json:"at,omitempty"`
	}
	got, err := json.Marshal(view{State: enumOf("FINISHED_WITH_WARNINGS"), Node: refTo("", "x"), Rules: list([]ref(nil)), At: millis(fromMillis(number{}))})
	if want := `{"state":{"name":"FINISHED_WITH_WARNINGS","description":"Finished with warnings"},"rules":[]}`; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPagesAreReadAsClientsAskForThem(t *testing.T) {
	columns := map[string]string{"name": "name"}
	for query, want := range map[string]string{
		"":                                "{0 10000  false  }",
		"page=0&size=20":                  "{0 20  false  }",
		"page=3&size=20&unknown=1":        "{60 20  false  }",
		"page=2":                          "{20000 10000  false  }",
		"size=999999":                     "{0 10000  false  }",
		"orderBy=name&direction=desc":     "{0 10000 name true  }",
		"orderBy=&direction=":             "{0 10000  false  }",
		"orderBy=null&direction=null":     "{0 10000  false  }",
		"orderBy=undefined":               "{0 10000  false  }",
		"orderBy=;drop":                   "{0 10000  false  }",
		"filter=&page=":                   "{0 10000  false  }",
		"filter=web&nameLike=a&size=5":    "{0 5  false web a}",
		"page=4611686018427387904&size=7": "{2147483646 7  false  }",
	} {
		r := httptest.NewRequest("GET", "/?"+query, nil)
		p, err := page(r.URL.Query(), columns)
		if got := fmt.Sprint(p); err != nil || got != want {
			t.Errorf("%s is %s, want %s: %v", query, got, want, err)
		}
	}
	for _, query := range []string{"page=-1", "size=many", "page=1.5"} {
		if _, err := page(httptest.NewRequest("GET", "/?"+query, nil).URL.Query(), columns); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestParametersRepeatAndAreSpelledManyWays(t *testing.T) {
	q := httptest.NewRequest("GET", `/?state=RUNNING&state=queued&states={"name":"FAILED"}&protectedEntity=&protected-entity=9&x=null`, nil).URL.Query()
	if got := fmt.Sprint(enums(q, "state", "states")); got != "[RUNNING QUEUED FAILED]" {
		t.Error(got)
	}
	if got := value(q, "protectedEntity", "protected-entity"); got != "9" {
		t.Error(got)
	}
	if got := values(q, "x"); len(got) != 0 {
		t.Error(got)
	}
}

func TestNobodyWidensHisView(t *testing.T) {
	for _, c := range []struct {
		query, header string
		integration   bool
		want          string // "": nobody's
	}{
		{"", "", false, "{own}"},
		{"tenantid=other", "", false, ""},
		{"tenantid=own", "", false, "{own}"},
		{"", "other", false, ""},
		{"project-uuid=own&tenantId=other", "own", false, ""},
		{"", "", true, "{}"},
		{"tenantid=other", "", true, "{other}"},
		{"tenantId=other", "", true, "{other}"},
		{"tenant-id=other", "", true, "{other}"},
		{"project-uuid=other", "", true, "{other}"},
		{"", "other", true, "{other}"},
		// A portal that does not know its tenant does not see everybody's things.
		{"tenantid=", "", true, ""},
		{"project-uuid=null", "", true, ""},
		{"tenantId=undefined", "", true, ""},
		{"tenantid=&project-uuid=mine", "mine", true, ""},
		{"", " ", true, ""},
		{"tenantid=&project-uuid=null", "", false, "{own}"},
		{"project-uuid=mine&tenantid=mine", "mine", true, "{mine}"},
		// A panel adds its user's project to what the browser sent.
		{"tenantid=victim&project-uuid=mine", "mine", true, ""},
		{"tenantid=victim", "mine", true, ""},
		{"tenantid=mine&tenantid=victim", "", true, ""},
	} {
		r := httptest.NewRequest("GET", "/?"+c.query, nil)
		if c.header != "" {
			r.Header.Set("3rd-party", "HORIZON")
			r.Header.Set("3rd-party-project", c.header)
		}
		s, some := scope(r, auth.Caller{ProjectID: "own"}, c.integration)
		if got := fmt.Sprint(s); some != (c.want != "") || some && got != c.want {
			t.Errorf("%q with %q: %s, %v; want %q", c.query, c.header, got, some, c.want)
		}
	}
	if _, some := scope(httptest.NewRequest("GET", "/", nil), auth.Caller{}, false); some {
		t.Errorf("who has no project sees %v", db.Scope{})
	}
}
