package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"
)

// Root is where documents are served: Root+"NAME.json" the document, and
// Root+"NAME" its page. It is of no protocol: each has tenants or resources where
// a name of ours would stand.
const Root = "/openapi/"

// Site serves documents, to everybody: they say nothing that the program's source
// does not.
type Site struct {
	documents map[string]*served
	names     []string // as they were added
	index     served
	base      func(*http.Request) string
}

// NewSite makes one; base gives what links begin with.
func NewSite(base func(*http.Request) string) *Site {
	return &Site{documents: map[string]*served{}, base: base}
}

// Add serves a document under a name.
func (s *Site) Add(name string, d *Document) {
	s.documents[name] = &served{document: d, name: name}
	s.names = append(s.names, name)
}

// Has reports whether there is a document of that name.
func (s *Site) Has(name string) bool { return s.documents[name] != nil }

// Mount adds the routes, if there is anything to serve.
func (s *Site) Mount(r *mux.Router) {
	if len(s.names) == 0 {
		return
	}
	r.HandleFunc(Root, s.overview).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc(Root[:len(Root)-1], s.overview).Methods(http.MethodGet, http.MethodHead)
	for _, name := range s.names {
		d := s.documents[name]
		r.HandleFunc(Root+name, func(w http.ResponseWriter, r *http.Request) { d.at(s.base(r), true).write(w, r) }).Methods(http.MethodGet, http.MethodHead)
		r.HandleFunc(Root+name+".json", func(w http.ResponseWriter, r *http.Request) { d.at(s.base(r), false).write(w, r) }).Methods(http.MethodGet, http.MethodHead)
	}
}

func (s *Site) overview(w http.ResponseWriter, r *http.Request) {
	base := s.base(r)
	s.index.mu.Lock()
	if s.index.page == nil || s.index.base != base {
		s.index.base, s.index.page = base, newFile("text/html; charset=utf-8", s.overviewPage(base))
	}
	page := s.index.page
	s.index.mu.Unlock()
	page.write(w, r)
}

// served is a document as it was last written: most requests come to one address.
type served struct {
	document *Document
	name     string

	mu   sync.Mutex
	base string
	page *file
	json *file
}

// at gives the page, or the document, with the addresses that a request came to.
func (d *served) at(base string, page bool) *file {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.base != base {
		d.base, d.page, d.json = base, nil, nil
	}
	if page {
		if d.page == nil {
			d.page = newFile("text/html; charset=utf-8", d.document.page(d.name, base))
		}
		return d.page
	}
	if d.json == nil {
		d.json = newFile(JSON, d.document.Bytes(base))
	}
	return d.json
}

// file is a body that can be asked for again.
type file struct {
	kind string
	tag  string
	data []byte
}

func newFile(kind string, data []byte) *file {
	sum := sha256.Sum256(data)
	return &file{kind, `"` + hex.EncodeToString(sum[:16]) + `"`, data}
}

// write answers with the file, or that it is still the same. Caches are to ask each
// time: another version of the program has another document.
func (f *file) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(w, r, "", time.Time{}, newReader(f.data))
}
