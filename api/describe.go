package api

import (
	"net/http"

	"github.com/stowage/stowage/api/openapi"
)

// Described is a protocol that says what it looks like.
type Described interface {
	// Document describes all its routes; the name is that of its address.
	Document() (name string, d *openapi.Document)
}

// site serves the documents of the protocols.
func (s *Server) site() *openapi.Site {
	site := openapi.NewSite(func(r *http.Request) string { return BaseURL(&s.Options, r) })
	for _, p := range s.Protocols {
		if d, ok := p.(Described); ok {
			site.Add(d.Document())
		}
	}
	return site
}

// RequestIDHeader is on every answer, for documents.
const RequestIDHeader = "X-Openstack-Request-Id"

// RequestIDs describes that header.
func RequestIDs() openapi.Header {
	return openapi.Header{
		Description: "The request's id, as the log has it. One that the request itself sends (`req-` and a UUID) goes through to the logs of all services.",
		Required:    true, Schema: &openapi.Schema{Type: "string"},
	}
}

// Common describes what the server answers besides its protocols, for the document
// of one of them: discovery and health.
func Common(d *openapi.Document, s *openapi.Schemas, tag string) {
	ids := map[string]openapi.Header{RequestIDHeader: {Ref: openapi.EveryAnswer}}
	get := func(id, summary, text string, answers map[string]openapi.Response) openapi.Item {
		return openapi.Item{"get": {Tags: []string{tag}, ID: id, Summary: summary, Description: text, Responses: answers, Security: &[]openapi.Requirement{}}}
	}
	ok := func(text string, v any) map[string]openapi.Response {
		return map[string]openapi.Response{"200": {Description: text, Headers: ids, Content: openapi.AsJSON(s.Of(v))}}
	}
	type all struct {
		Versions []versionView `json:"versions"`
	}
	type one struct {
		Version versionView `json:"version"`
	}
	d.Paths["/"] = get("listVersions", "Lists the versions", "", ok("The versions.", struct{ all }{}))
	d.Paths["/v1.1"] = get("showVersion", "Shows this version", "", ok("The version.", struct{ one }{}))
	d.Paths["/v1.1/"] = get("showVersionToo", "Shows this version", "", ok("The version.", struct{ one }{}))
	type health struct {
		Detailed bool     `json:"detailed"`
		Reasons  []string `json:"reasons"`
	}
	healthy := func(text string) openapi.Response {
		content := openapi.AsJSON(s.Of(struct{ health }{}))
		content["text/plain; charset=utf-8"] = openapi.Media{Schema: &openapi.Schema{Type: "string"}}
		return openapi.Response{Description: text, Headers: ids, Content: content}
	}
	d.Paths["/healthcheck"] = get("checkHealth", "Tells whether the API can work",
		"For load balancers. As text, or as JSON where `Accept` says so. The reasons name what is away and no more.", map[string]openapi.Response{
			"200": healthy("`OK`."), "204": {Description: "It can; to `HEAD`.", Headers: ids}, "503": healthy("Why it cannot."),
		})
}
