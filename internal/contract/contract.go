// Package contract holds answers, and the requests that they were given to,
// against the OpenAPI documents of the protocols. The helpers that tests send
// requests with ask it about every one of them, so the documents say what the
// whole test suite sees. It reads them with a library that is not ours, as the
// programs do that they are made for.
package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/stowage/stowage/api/openapi"
)

// Contract is what documents say, by the beginning of their paths.
type Contract map[string]*contract

type contract struct {
	operations []operation
	faults     openapi3.ResponseBodies
}

type operation struct {
	method string
	path   []string
	*openapi3.Operation
}

// New reads documents, each of which must be valid.
func New(documents map[string]*openapi.Document) (Contract, error) {
	c := Contract{}
	for prefix, d := range documents {
		loader := openapi3.NewLoader()
		doc, err := loader.LoadFromData(d.Bytes("http://stowage.test"))
		if err != nil {
			return nil, fmt.Errorf("read the document of %s: %w", prefix, err)
		}
		if err := doc.Validate(loader.Context); err != nil {
			return nil, fmt.Errorf("the document of %s is not valid: %w", prefix, err)
		}
		one := &contract{faults: doc.Components.Responses}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				one.operations = append(one.operations, operation{method, strings.Split(path, "/"), op})
				for _, r := range op.Responses.Map() {
					for _, media := range r.Value.Content {
						shut(media.Schema)
					}
				}
			}
		}
		c[prefix] = one
	}
	return c, nil
}

// shut refuses what is not described, of an answer: clients may not mind, but the
// document would not be complete.
func shut(s *openapi3.SchemaRef) {
	if s == nil || s.Value.AdditionalProperties.Has != nil || s.Value.AdditionalProperties.Schema != nil {
		return
	}
	v := s.Value
	if v.Type != nil && v.Type.Is("object") {
		no := false
		v.AdditionalProperties.Has = &no
	}
	shut(v.Items)
	for _, p := range v.Properties {
		shut(p)
	}
	for _, p := range slices.Concat(v.AllOf, v.AnyOf) {
		shut(p)
	}
}

// Exchange is a request and its answer.
type Exchange struct {
	Method, Path string // the path as it is escaped, without the query
	Query        []string
	Sent         []byte
	Status       int
	Header       http.Header
	Answer       []byte
}

// of finds the document that a path belongs to: the longest prefix counts.
func (c Contract) of(path string) *contract {
	best := ""
	for prefix := range c {
		if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/' || prefix == "/") && len(prefix) > len(best) {
			best = prefix
		}
	}
	return c[best]
}

// Check tells what of an exchange is not as it is described; nil if all of it is,
// or if nothing describes such paths.
func (c Contract) Check(x Exchange) error {
	doc := c.of(x.Path)
	if doc == nil || x.Method == http.MethodOptions {
		return nil
	}
	op := doc.find(x.Method, x.Path)
	if op == nil { // no route was found, or the body was too long to look for one
		fault := doc.faults[strconv.Itoa(x.Status)]
		if fault == nil || x.Status < 400 {
			return fmt.Errorf("%s %s: no operation is described, and it answers %d", x.Method, x.Path, x.Status)
		}
		return said(x, "", fault.Value.Content, fault.Value.Headers)
	}
	r := op.Responses.Value(strconv.Itoa(x.Status))
	if r == nil {
		return fmt.Errorf("%s: the status %d is not described", op.OperationID, x.Status)
	}
	if err := said(x, op.OperationID, r.Value.Content, r.Value.Headers); err != nil {
		return err
	}
	if x.Status >= 300 {
		return nil
	}
	return errors.Join(op.sent(x), op.asked(x))
}

// find gives the operation of a path: words go before names.
func (c *contract) find(method, path string) *operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, path := range []string{path, strings.TrimSuffix(path, "/")} { // protocols take a slash at the end, too
		parts := strings.Split(path, "/")
		best, fixed := (*operation)(nil), -1
		for i, op := range c.operations {
			if op.method == method && len(op.path) == len(parts) {
				if n := fits(op.path, parts); n > fixed {
					best, fixed = &c.operations[i], n
				}
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// fits counts the words that a path has in common with a template; -1: it is another's.
func fits(template, path []string) int {
	n := 0
	for i, part := range template {
		switch {
		case strings.HasPrefix(part, "{") && path[i] != "":
		case part == path[i]:
			n++
		default:
			return -1
		}
	}
	return n
}

// said holds the answer against its description.
func said(x Exchange, what string, content openapi3.Content, headers openapi3.Headers) error {
	what = fmt.Sprintf("%s, answer %d", what, x.Status)
	for name, h := range headers {
		if h.Value.Required && x.Header.Get(name) == "" {
			return fmt.Errorf("%s: the header %s is missing", what, name)
		}
	}
	if x.Header.Get("X-Total-Count") != "" && headers["X-Total-Count"] == nil {
		return fmt.Errorf("%s: the header X-Total-Count is not described", what)
	}
	body := strings.TrimSpace(string(x.Answer))
	if len(content) == 0 {
		if body != "" {
			return fmt.Errorf("%s: no body is described, and it is %.200s", what, body)
		}
		return nil
	}
	kind := x.Header.Get("Content-Type")
	media := content[kind]
	if media == nil {
		return fmt.Errorf("%s: the media type %q is not described", what, kind)
	}
	if kind != openapi.JSON || x.Method == http.MethodHead && body == "" {
		return nil
	}
	return visit(what, media.Schema.Value, []byte(body))
}

// sent holds the body of a request that did well against its description.
func (op *operation) sent(x Exchange) error {
	if op.RequestBody == nil {
		return nil
	}
	what := op.OperationID + ", request"
	if strings.TrimSpace(string(x.Sent)) == "" {
		if op.RequestBody.Value.Required {
			return fmt.Errorf("%s: a body is described as required, and there is none", what)
		}
		return nil
	}
	return visit(what, op.RequestBody.Value.Content[openapi.JSON].Schema.Value, x.Sent)
}

// What user interfaces send for themselves, and what tests send since nobody knows it.
var ignored = []string{"showLoader", "unknown"}

// asked looks for parameters that are not described.
func (op *operation) asked(x Exchange) error {
	for _, name := range x.Query {
		if op.Parameters.GetByInAndName("query", name) == nil && !slices.Contains(ignored, name) {
			return fmt.Errorf("%s: the parameter %s is not described", op.OperationID, name)
		}
	}
	return nil
}

func visit(what string, s *openapi3.Schema, body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := s.VisitJSON(value, openapi3.MultiErrors(), openapi3.DisableSchemaErrorDetails()); err != nil {
		return fmt.Errorf("%s: %w: %.2000s", what, err, body)
	}
	return nil
}
