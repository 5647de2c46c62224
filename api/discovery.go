package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stowage/stowage/api/openapi"
)

// Version is one version of an API, as GET / lists it.
type Version struct {
	ID      string // v1.1: also the first element of its paths
	Status  string // CURRENT, SUPPORTED, ...
	Updated string // RFC 3339
}

type link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
	Type string `json:"type,omitempty"` // of what is there
}

type versionView struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Updated string `json:"updated"`
	Links   []link `json:"links"`
	// There are no microversions; clients that ask find these empty.
	Version    string `json:"version"`
	MinVersion string `json:"min_version"`
}

func (s *Server) view(r *http.Request, v Version) versionView {
	base := BaseURL(&s.Options, r)
	links := []link{{Rel: "self", Href: base + "/" + v.ID + "/"}}
	if s.described(v.ID) {
		links = append(links, link{Rel: "describedby", Href: base + openapi.Root + v.ID, Type: "text/html"},
			link{Rel: "describedby", Href: base + openapi.Root + v.ID + ".json", Type: openapi.JSON})
	}
	return versionView{ID: v.ID, Status: v.Status, Updated: v.Updated, Links: links}
}

func (s *Server) versions(w http.ResponseWriter, r *http.Request) {
	list := []versionView{}
	for _, p := range s.Protocols {
		if v := p.Version(); v != nil {
			list = append(list, s.view(r, *v))
		}
	}
	WriteJSON(w, http.StatusOK, map[string]any{"versions": list})
}

func (s *Server) version(v Version) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]any{"version": s.view(r, v)})
	}
}

// BaseURL is what links begin with: the configured public endpoint, or what
// the request (and, if trusted, the proxy before us) says.
func BaseURL(o *Options, r *http.Request) string {
	if o.PublicEndpoint != "" {
		return strings.TrimRight(o.PublicEndpoint, "/")
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if o.ProxyHeaders {
		if p := r.Header.Get("X-Forwarded-Proto"); p == "http" || p == "https" {
			scheme = p
		}
		if h := r.Header.Get("X-Forwarded-Host"); h != "" {
			host = h
		}
	}
	return scheme + "://" + host
}

// WriteJSON answers with a JSON body.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // nothing a request can cause: views are plain data
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may have gone; there is nobody left to tell.
	_, _ = w.Write(append(data, '\n'))
}
