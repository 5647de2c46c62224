// Package openapi describes an API in the words of OpenAPI 3.0.3, and serves the
// description: as JSON for programs, and as a page for people.
//
// A protocol gives a Document. What its answers and requests look like is read
// off the Go types that they are made of and read into (Schemas), so that it
// cannot be described otherwise than it is; what there is to say of a route is
// written beside the routes. Nothing here knows of any protocol.
package openapi

import (
	"bytes"
	"encoding/json"
)

// Document is an OpenAPI document. The address that it is served under is put
// in when it is served.
type Document struct {
	OpenAPI    string          `json:"openapi"`
	Info       Info            `json:"info"`
	Servers    []Server        `json:"servers"`
	Security   []Requirement   `json:"security,omitempty"`
	Tags       []Tag           `json:"tags,omitempty"`
	Paths      map[string]Item `json:"paths"`
	Components Components      `json:"components"`
}

// Version is the version of OpenAPI that documents are written in.
const Version = "3.0.3"

// Info says what the API is for. Description is paragraphs, an empty line
// between them, with `code` in backquotes; so are all descriptions.
type Info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

// Server is where the paths begin.
type Server struct {
	URL string `json:"url"`
}

// Tag is a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Requirement names security schemes that are needed together.
type Requirement map[string][]string

// Item is the operations of a path by method, in small letters.
type Item map[string]*Operation

// Operation is one method of one path.
type Operation struct {
	Tags        []string            `json:"tags,omitempty"`
	Summary     string              `json:"summary"`
	Description string              `json:"description,omitempty"`
	ID          string              `json:"operationId"`
	Parameters  []Parameter         `json:"parameters,omitempty"`
	Body        *Body               `json:"requestBody,omitempty"`
	Responses   map[string]Response `json:"responses"`
	Security    *[]Requirement      `json:"security,omitempty"` // empty: for everybody
}

// Parameter is one of the query, the path or the headers; or, with Ref alone,
// one of the components.
type Parameter struct {
	Ref         string  `json:"$ref,omitempty"`
	Name        string  `json:"name,omitempty"`
	In          string  `json:"in,omitempty"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema,omitempty"`
}

// Body is what a request sends.
type Body struct {
	Description string           `json:"description,omitempty"`
	Required    bool             `json:"required,omitempty"`
	Content     map[string]Media `json:"content"`
}

// Media is a body of one media type.
type Media struct {
	Schema  *Schema         `json:"schema"`
	Example json.RawMessage `json:"example,omitempty"`
}

// Response is an answer of one status; or, with Ref alone, one of the components.
type Response struct {
	Ref         string            `json:"$ref,omitempty"`
	Description string            `json:"description,omitempty"`
	Headers     map[string]Header `json:"headers,omitempty"`
	Content     map[string]Media  `json:"content,omitempty"`
}

// Header is one of an answer; or, with Ref alone, one of the components.
type Header struct {
	Ref         string  `json:"$ref,omitempty"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema,omitempty"`
}

// Components are what operations share.
type Components struct {
	Schemas    map[string]*Schema        `json:"schemas,omitempty"`
	Parameters map[string]Parameter      `json:"parameters,omitempty"`
	Responses  map[string]Response       `json:"responses,omitempty"`
	Headers    map[string]Header         `json:"headers,omitempty"`
	Security   map[string]SecurityScheme `json:"securitySchemes,omitempty"`
}

// SecurityScheme is a way to say who is calling.
type SecurityScheme struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description,omitempty"`
}

// JSON is the media type of nearly all bodies.
const JSON = "application/json"

// AsJSON is a body of JSON.
func AsJSON(s *Schema) map[string]Media { return map[string]Media{JSON: {Schema: s}} }

// AsFile is a body of bytes, of one of the media types.
func AsFile(kinds ...string) map[string]Media {
	content := map[string]Media{}
	for _, kind := range kinds {
		content[kind] = Media{Schema: &Schema{Type: "string", Format: "binary"}}
	}
	return content
}

// Bytes writes the document with the address that its paths begin with.
func (d *Document) Bytes(base string) []byte {
	at := *d
	at.OpenAPI, at.Servers = Version, []Server{{URL: base}}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is JSON, and names like <guid> are to be read
	e.SetIndent("", " ")
	if err := e.Encode(&at); err != nil { // it is plain data, made of Go types
		panic(err)
	}
	return b.Bytes()
}
