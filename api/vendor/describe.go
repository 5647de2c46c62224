package vendor

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/api/openapi"
)

// Every route is told of in a group; a test finds those that are not. What its
// body and its answer look like is read off the Go types. Who adds a route adds
// its line to the group of its resource (described_*.go), and to words and fields
// (described_fields.go) what its types do not say by themselves.

// Document describes the protocol.
func (a *API) Document() (string, *openapi.Document) { return "vendor", Document() }

// group is the routes of one resource.
type group struct {
	name, text string
	routes     map[string]told // by method and path
}

var groups = []group{sessionTold, machinesTold, infrastructureTold, backupsTold, tasksTold, schedulesTold, policiesTold, recoveryTold, mountsTold, reportsTold, webhooksTold}

// told is what there is to say of a route.
type told struct {
	is, more string
	asks     []ask             // the parameters of its own
	paged    bool              // takes page and size
	finds    string            // what filter looks at
	byName   bool              // takes nameLike
	orders   map[string]string // takes orderBy, with these names
	sends    any               // a value of the type of its body; nil: it reads none
	may      bool              // the body may be missing
	example  string            // of its body
	gives    any               // a value of the type of its answer; nil: none
	file     []string          // the media types of a file that it answers with
	good     int               // the status of its answer; 0: 200, or 204 without one
	also     []int             // statuses that its kind does not have
}

// ask is a parameter of the query, in all its spellings.
type ask struct {
	names string // the first one is ours
	text  string
	words []string // it is one of these
	need  bool
	many  bool // it may be repeated
}

// empty is the answer of what always answers with none.
var empty = []struct{}{}

// found gives what a route was told of as, and the group.
func found(r route) (told, string, bool) {
	for _, g := range groups {
		if t, ok := g.routes[r.method+" "+r.path]; ok {
			return t, g.name, true
		}
	}
	return told{}, "", false
}

const about = "The task API of Storware Backup & Recovery and vProtect, as their portals, panels and scripts speak it, on the same jobs and backups as `/v1.1`.\n\n" +
	"Answers are bare arrays or objects. What is not set is left out and never `null`; arrays are always there. Times are milliseconds since 1970 UTC, sizes bytes. " +
	"Enumerations are objects with `name` and `description`.\n\n" +
	"In requests an object may stand as its bare guid, an enumeration as its bare name, a number as text or with a point, one element in place of an array. " +
	"Unknown fields and parameters are ignored. A parameter that is empty, `null` or `undefined` says nothing. A slash at the end of a path does no harm.\n\n" +
	"A session is a cookie; `X-Auth-Token` does in its place. Whoever is not the integration account sees his project's things; the parameters of tenancy can only take away. " +
	"If several of them are given they must agree, or nothing is found.\n\n" +
	"Errors are always JSON. A path that is not there answers 404, a method that it does not know 405."

// Document describes all routes.
var Document = sync.OnceValue(func() *openapi.Document {
	all := map[string]*openapi.Schema{}
	answers := &openapi.Schemas{All: all, Special: answered, Name: answerName, Note: note}
	bodies := &openapi.Schemas{All: all, Special: taken, Name: bodyName, Note: note, Loose: true, Must: mustSend}
	d := &openapi.Document{
		Info:     openapi.Info{Title: "Vendor task API", Version: "7.4", Description: about},
		Security: []openapi.Requirement{{"session": {}}, {"token": {}}},
		Paths:    map[string]openapi.Item{},
		Components: openapi.Components{
			Schemas: all, Parameters: sharedParameters(), Responses: faultResponses(answers),
			Headers: map[string]openapi.Header{
				"RequestID":  api.RequestIDs(),
				"TotalCount": {Description: "How many there are in all, on all pages.", Required: true, Schema: &openapi.Schema{Type: "integer"}},
			},
			Security: map[string]openapi.SecurityScheme{
				"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "What `POST /api/session/login` gave."},
				"token":   {Type: "apiKey", In: "header", Name: "X-Auth-Token", Description: "A token of Keystone's, of a project."},
			},
		},
	}
	for _, g := range groups {
		d.Tags = append(d.Tags, openapi.Tag{Name: g.name, Description: g.text})
	}
	for _, r := range routes() {
		t, tag, ok := found(r)
		if !ok {
			continue // a test tells
		}
		path := base + r.path
		if d.Paths[path] == nil {
			d.Paths[path] = openapi.Item{}
		}
		d.Paths[path][strings.ToLower(r.method)] = t.operation(r, tag, answers, bodies)
	}
	return d
})

func (t told) operation(r route, tag string, answers, bodies *openapi.Schemas) *openapi.Operation {
	op := &openapi.Operation{
		Tags: []string{tag}, ID: operationID(r), Summary: t.is, Description: t.more, Parameters: t.parameters(r), Responses: map[string]openapi.Response{},
	}
	if r.open {
		op.Security = &[]openapi.Requirement{}
	} else if r.rule != "" {
		op.Description = strings.TrimSpace(op.Description + "\n\nNeeds the policy rule `" + r.rule + "`.")
	}
	if r.empty != "" {
		t.gives = empty
		op.Description = "Always empty: " + r.empty + ".\n\n" + op.Description
	}
	status, good := http.StatusOK, openapi.Response{Description: "Done.", Headers: headers()}
	switch {
	case t.file != nil:
		good.Description, good.Content = "A file.", openapi.AsFile(t.file...)
		good.Headers["Content-Disposition"] = openapi.Header{Description: "The name to save it under.", Required: true, Schema: &openapi.Schema{Type: "string"}}
	case t.gives == nil:
		status = http.StatusNoContent
	default:
		good.Description = "What was asked for."
		good.Content = openapi.AsJSON(answers.Of(t.gives))
		if counted(r, t.gives) {
			good.Headers["X-Total-Count"] = openapi.Header{Ref: "#/components/headers/TotalCount"}
		}
	}
	if t.good != 0 {
		status = t.good
	}
	op.Responses[strconv.Itoa(status)] = good
	if t.sends != nil {
		schema := bodies.Of(t.sends)
		op.Body = &openapi.Body{Required: !t.may, Content: map[string]openapi.Media{openapi.JSON: {Schema: schema, Example: json.RawMessage(t.example)}}}
	}
	for _, status := range t.statuses(r) {
		op.Responses[strconv.Itoa(status)] = openapi.Response{Ref: "#/components/responses/" + strconv.Itoa(status)}
	}
	return op
}

// counted reports whether an answer has X-Total-Count: lists of things do, lists of
// what was begun do not.
func counted(r route, gives any) bool {
	return r.list || reflect.TypeOf(gives).Kind() == reflect.Slice && reflect.TypeOf(gives) != reflect.TypeFor[[]task]()
}

// statuses are those of errors.
func (t told) statuses(r route) []int {
	list := append([]int{http.StatusInternalServerError, http.StatusServiceUnavailable}, t.also...)
	if !r.open {
		list = append(list, http.StatusUnauthorized, http.StatusForbidden)
	}
	if t.paged || t.sends != nil {
		list = append(list, http.StatusBadRequest)
	}
	if !r.open && !r.list && r.rule != "" {
		list = append(list, http.StatusNotFound)
	}
	if t.sends != nil {
		list = append(list, http.StatusRequestEntityTooLarge)
	}
	if r.method != http.MethodGet && !r.open && !r.list {
		list = append(list, http.StatusConflict)
	}
	return list
}

func (t told) parameters(r route) []openapi.Parameter {
	var list []openapi.Parameter
	if strings.Contains(r.path, "{guid}") {
		list = append(list, openapi.Parameter{Ref: parameterRef + "guid"})
	}
	for _, a := range t.asks {
		list = append(list, a.parameters()...)
	}
	if t.orders != nil {
		names := slices.Sorted(maps.Keys(t.orders))
		text := "What to sort by: `" + strings.Join(names, "`, `") + "`. Any other is ignored."
		list = append(list, openapi.Parameter{Name: "orderBy", In: "query", Description: text, Schema: &openapi.Schema{Type: "string"}}, openapi.Parameter{Ref: parameterRef + "direction"})
	}
	if t.finds != "" {
		list = append(list, openapi.Parameter{Name: "filter", In: "query", Description: "Text that must be found in " + t.finds + ".", Schema: &openapi.Schema{Type: "string"}})
	}
	if t.byName {
		list = append(list, openapi.Parameter{Ref: parameterRef + "nameLike"})
	}
	if t.paged {
		list = append(list, openapi.Parameter{Ref: parameterRef + "page"}, openapi.Parameter{Ref: parameterRef + "size"})
	}
	if r.open {
		return list
	}
	for _, name := range append(slices.Clone(tenantNames), tenantHeader) {
		list = append(list, openapi.Parameter{Ref: parameterRef + name})
	}
	return list
}

const parameterRef = "#/components/parameters/"

func (a ask) parameters() (list []openapi.Parameter) {
	names := strings.Fields(a.names)
	for i, name := range names {
		p := openapi.Parameter{Name: name, In: "query", Description: a.text, Required: a.need && len(names) == 1, Schema: &openapi.Schema{Type: "string"}}
		if a.need && len(names) > 1 {
			p.Description += " One of `" + strings.Join(names, "`, `") + "` is needed."
		}
		if i > 0 {
			p.Description = "Another spelling of `" + names[0] + "`."
		} else if len(a.words) > 0 {
			p.Description += " One of `" + strings.Join(a.words, "`, `") + "`, in letters of any size; any other finds nothing."
		}
		if a.many {
			p.Schema = &openapi.Schema{Type: "array", Items: p.Schema}
		}
		list = append(list, p)
	}
	return list
}

func sharedParameters() map[string]openapi.Parameter {
	text, number := &openapi.Schema{Type: "string"}, &openapi.Schema{Type: "integer"}
	list := map[string]openapi.Parameter{
		"guid":       {In: "path", Required: true, Description: "The object's guid.", Schema: text},
		"page":       {In: "query", Description: "Which page, from 0.", Schema: number},
		"size":       {In: "query", Description: "How many a page has; " + strconv.Itoa(most) + " at most, and if not given.", Schema: number},
		"direction":  {In: "query", Description: "`desc` turns the order round; anything else does not.", Schema: text},
		"nameLike":   {In: "query", Description: "Text that must be found in the name.", Schema: text},
		tenantHeader: {In: "header", Description: "Only the things of this project: the header that the vendor's panel sends.", Schema: text},
	}
	for _, name := range tenantNames {
		list[name] = openapi.Parameter{In: "query", Description: "Only the things of this project, by its id in Keystone. One idea in several spellings: all that are given must agree.", Schema: text}
	}
	for name, p := range list {
		p.Name = name
		list[name] = p
	}
	return list
}

func headers() map[string]openapi.Header {
	return map[string]openapi.Header{api.RequestIDHeader: {Ref: openapi.EveryAnswer}}
}

// faultResponses are all errors; they have one form.
func faultResponses(answers *openapi.Schemas) map[string]openapi.Response {
	out := map[string]openapi.Response{}
	text := &openapi.Schema{Type: "string"}
	for status, why := range map[int]string{
		400: "The request makes no sense, or not in the state that things are in. A login that is not right, too.", 401: "There is no session and no token, or it is over.",
		403: "The policy does not allow it, or a quota is used up.", 404: "There is no such object, or it is another project's.", 405: "The path does not know the method.",
		409: "Something else has that name, or somebody else changed it at the same moment.", 413: "The body is too long.", 429: "Too many logins failed.",
		500: "The log has more.", 503: "A neighbour is away, or no manager reaches the volume.",
	} {
		h := headers()
		switch status {
		case 405:
			h["Allow"] = openapi.Header{Description: "The methods that the path knows.", Required: true, Schema: text}
		case 429, 503:
			h["Retry-After"] = openapi.Header{Description: "Seconds until it is worth another try.", Required: true, Schema: text}
		}
		out[strconv.Itoa(status)] = openapi.Response{Description: why, Headers: h, Content: openapi.AsJSON(answers.Of(fault{}))}
	}
	return out
}

// operationID is made of method and path: getTasks, putTasksGuidState.
func operationID(r route) string {
	id := strings.ToLower(r.method)
	for part := range strings.FieldsFuncSeq(r.path, func(c rune) bool { return strings.ContainsRune("/-{}", c) }) {
		id += strings.ToUpper(part[:1]) + part[1:]
	}
	return id
}
