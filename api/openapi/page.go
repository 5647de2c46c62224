package openapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The page is one file: no scripts, no fonts, nothing from elsewhere. Browsers
// are told to hold it to that.

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var (
	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"prose": prose, "inline": inline, "style": func() template.CSS { return template.CSS(pageStyle) }}).Parse(pageText))
	pagePolicy   = func() string {
		sum := sha256.Sum256([]byte(pageStyle))
		return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	}()
)

// prose makes paragraphs.
func prose(text string) template.HTML {
	var b strings.Builder
	for part := range strings.SplitSeq(text, "\n\n") {
		if part = strings.TrimSpace(part); part != "" {
			b.WriteString("<p>" + string(inline(part)) + "</p>")
		}
	}
	return template.HTML(b.String())
}

// inline escapes text, and makes code of what is in backquotes.
func inline(text string) template.HTML {
	parts := strings.Split(text, "`")
	for i, part := range parts {
		parts[i] = template.HTMLEscapeString(part)
		if i%2 == 1 && i < len(parts)-1 {
			parts[i] = "<code>" + parts[i] + "</code>"
		}
	}
	return template.HTML(strings.Join(parts, ""))
}

type pageView struct {
	Title, Version, Base, JSON string
	Description                string
	Security                   []schemeView
	Everywhere                 string // what the header of every answer says
	Groups                     []groupView
	Schemas                    []schemaView
	Others                     []otherView // of the overview
}

type otherView struct{ Name, Title, Description string }

type schemeView struct {
	ID string
	SecurityScheme
}

type groupView struct {
	Tag
	Operations []operationView
}

type operationView struct {
	*Operation
	Method, Path, Anchor string
	Open                 bool
	Named                []Parameter // those with their own words
	Shared               []Parameter // components
	Sends                *shape
	Answers              []answerView
	Curl                 string
}

// EveryAnswer is the reference to the header that all answers have: the page tells
// of it once.
const EveryAnswer = "#/components/headers/RequestID"

type answerView struct {
	Status, Description string
	Headers             []headerView
	Shape               *shape
}

type headerView struct{ Name, Description string }

type schemaView struct {
	Name string
	*shape
}

// shape is a schema as people read it.
type shape struct {
	Type   template.HTML
	Says   string
	Fields []fieldView
}

type fieldView struct {
	Name     string
	Optional bool
	Type     template.HTML
	Says     string
}

func (d *Document) page(name, base string) []byte {
	v := pageView{Title: d.Info.Title, Version: d.Info.Version, Base: base, JSON: name + ".json", Description: d.Info.Description}
	for _, id := range slices.Sorted(maps.Keys(d.Components.Security)) {
		v.Security = append(v.Security, schemeView{id, d.Components.Security[id]})
	}
	v.Everywhere = d.Components.Headers[strings.TrimPrefix(EveryAnswer, "#/components/headers/")].Description
	for _, tag := range d.Tags {
		g := groupView{Tag: tag}
		for path, item := range d.Paths {
			for method, op := range item {
				if slices.Contains(op.Tags, tag.Name) {
					g.Operations = append(g.Operations, d.operation(strings.ToUpper(method), path, op))
				}
			}
		}
		slices.SortFunc(g.Operations, func(a, b operationView) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(methodRank(a.Method), methodRank(b.Method)))
		})
		v.Groups = append(v.Groups, g)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		v.Schemas = append(v.Schemas, schemaView{name, shapeOf(d.Components.Schemas[name])})
	}
	return render(v)
}

func methodRank(m string) int { return slices.Index([]string{"GET", "POST", "PUT", "DELETE"}, m) }

func (s *Site) overviewPage(base string) []byte {
	v := pageView{Title: "Stowage: the APIs of this server", Base: base}
	for _, name := range s.names {
		d := s.documents[name].document
		first, _, _ := strings.Cut(d.Info.Description, "\n\n")
		v.Others = append(v.Others, otherView{name, d.Info.Title, first})
	}
	return render(v)
}

func render(v pageView) []byte {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil { // a mistake in the template, found by the first test
		panic(err)
	}
	return b.Bytes()
}

func (d *Document) operation(method, path string, op *Operation) operationView {
	v := operationView{Operation: op, Method: method, Path: path, Anchor: op.ID, Open: op.Security != nil && len(*op.Security) == 0}
	for _, p := range op.Parameters {
		if shared, is := strings.CutPrefix(p.Ref, "#/components/parameters/"); is {
			v.Shared = append(v.Shared, d.Components.Parameters[shared])
		} else {
			v.Named = append(v.Named, p)
		}
	}
	if op.Body != nil {
		v.Sends = shapeOf(op.Body.Content[JSON].Schema)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		v.Answers = append(v.Answers, d.answer(status, op.Responses[status]))
	}
	v.Curl = d.curl(method, path, op, v.Open)
	return v
}

func (d *Document) answer(status string, r Response) answerView {
	if shared, is := strings.CutPrefix(r.Ref, "#/components/responses/"); is {
		r = d.Components.Responses[shared]
	}
	a := answerView{Status: status, Description: r.Description}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		h := r.Headers[name]
		if h.Ref == EveryAnswer {
			continue
		}
		if shared, is := strings.CutPrefix(h.Ref, "#/components/headers/"); is {
			h = d.Components.Headers[shared]
		}
		a.Headers = append(a.Headers, headerView{name, h.Description})
	}
	if m, ok := r.Content[JSON]; ok {
		a.Shape = shapeOf(m.Schema)
	} else if len(r.Content) > 0 {
		a.Shape = &shape{Type: template.HTML(template.HTMLEscapeString(strings.Join(slices.Sorted(maps.Keys(r.Content)), " or ")))}
	}
	return a
}

// curl is how the operation is asked for from a shell.
func (d *Document) curl(method, path string, op *Operation, open bool) string {
	var b strings.Builder
	b.WriteString("curl")
	if method != http.MethodGet && (method != http.MethodPost || op.Body == nil) {
		b.WriteString(" -X " + method)
	}
	if !open {
		b.WriteString(` -H "X-Auth-Token: $TOKEN"`)
	}
	if op.Body != nil {
		b.WriteString(` -H "Content-Type: application/json" -d '` + strings.ReplaceAll(string(d.example(op.Body.Content[JSON])), "'", `'\''`) + "'")
	}
	fmt.Fprintf(&b, ` "$BASE%s"`, path)
	return b.String()
}

func (d *Document) example(m Media) []byte {
	if m.Example != nil {
		return m.Example
	}
	data, err := json.Marshal(d.sample(m.Schema, 0))
	if err != nil { // maps and strings
		panic(err)
	}
	return data
}

// sample makes up something that a schema allows.
func (d *Document) sample(s *Schema, depth int) any {
	if name, is := strings.CutPrefix(s.Ref, schemaRef); is {
		s = d.Components.Schemas[name]
	}
	switch {
	case len(s.AllOf) > 0:
		return d.sample(s.AllOf[0], depth)
	case len(s.AnyOf) > 0:
		return d.sample(s.AnyOf[0], depth)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == "array" && depth < 4:
		return []any{d.sample(s.Items, depth+1)}
	case s.Type == "object":
		o := map[string]any{}
		for _, p := range s.Properties {
			if slices.Contains(s.Required, p.Name) || len(s.Required) == 0 && depth < 1 {
				o[p.Name] = d.sample(p.Schema, depth+1)
			}
		}
		return o
	case s.Type == "boolean":
		return true
	case s.Type == "integer" || s.Type == "number":
		return 1
	}
	return "..."
}

func shapeOf(s *Schema) *shape {
	out := &shape{Type: typeOf(s), Says: s.Description}
	inner := s
	if inner.Type == "array" && inner.Items.Ref == "" {
		inner = inner.Items
	}
	for _, p := range inner.Properties {
		out.Fields = append(out.Fields, fieldView{p.Name, !slices.Contains(inner.Required, p.Name), typeOf(p.Schema), p.Schema.Description})
		for _, deep := range deeper(p.Schema) {
			out.Fields = append(out.Fields, fieldView{p.Name + "." + deep.Name, deep.Optional, deep.Type, deep.Says})
		}
	}
	return out
}

// deeper are the fields of an object without a name that is not an enumeration.
func deeper(s *Schema) []fieldView {
	if len(s.AnyOf) > 0 { // several, or one
		s = s.AnyOf[0]
	}
	if s.Type == "array" {
		s = s.Items
	}
	if s.Type != "object" || len(wordsOf(s)) > 0 {
		return nil
	}
	return shapeOf(s).Fields
}

// wordsOf gives the values of an enumeration that travels as an object.
func wordsOf(s *Schema) []string {
	if name := s.Properties.In("name"); name != nil {
		return name.Enum
	}
	return nil
}

// typeOf writes a type as people do.
func typeOf(s *Schema) template.HTML {
	t := bare(s)
	if s.Nullable {
		t += " or null"
	}
	return t
}

func bare(s *Schema) template.HTML {
	if name, is := strings.CutPrefix(s.Ref, schemaRef); is {
		name = template.HTMLEscapeString(name)
		return template.HTML(`<a href="#schema-` + name + `">` + name + `</a>`)
	}
	join := func(list []*Schema, with string) template.HTML {
		var parts []string
		null := false
		for _, one := range list {
			null = null || one.Nullable
			if p := string(bare(one)); !slices.Contains(parts, p) {
				parts = append(parts, p)
			}
		}
		if null {
			parts = append(parts, "null")
		}
		return template.HTML(strings.Join(parts, with))
	}
	switch {
	case len(s.AllOf) > 0:
		return join(s.AllOf, " and ")
	case len(s.AnyOf) > 0:
		return join(s.AnyOf, " or ")
	case len(s.Enum) > 0:
		return words(s.Enum)
	case s.Type == "array" && s.MaxItems != nil && *s.MaxItems == 0:
		return "empty array"
	case s.Type == "array":
		return "array of " + typeOf(s.Items)
	case len(wordsOf(s)) > 0:
		return "{name: " + words(wordsOf(s)) + ", description}"
	}
	if of, is := s.Additional.(*Schema); is {
		return "object of " + typeOf(of)
	}
	return template.HTML(template.HTMLEscapeString(s.Type))
}

func words(list []string) template.HTML {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = "<code>" + template.HTMLEscapeString(w) + "</code>"
	}
	return template.HTML(strings.Join(out, " · "))
}

func newReader(data []byte) io.ReadSeeker { return bytes.NewReader(data) }
