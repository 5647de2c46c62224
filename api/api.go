// Package api is one HTTP server and what every protocol on it shares: request
// ids, the access log, limits, authentication, health, discovery, and documents
// that describe the protocols (api/openapi).
//
// A protocol is a room below this one (api/hp, ...). It gets a Gate from here
// for who is calling and whether he may, translates requests into the verbs of
// package service, and coded errors into its own faults. It decides nothing.
//
// A request passes, from the outside in:
//
//	recover -> request id -> access log -> body limit -> health, discovery, OpenAPI documents
//	                                                  -> protocol: auth -> policy -> verb
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// Protocol is one API on the server.
type Protocol interface {
	// Mount adds the protocol's routes.
	Mount(r *mux.Router)
	// Version describes it for GET /, or is nil.
	Version() *Version
	// Prefix begins all its paths: "/v1.1". What goes wrong below it before a
	// route is found is told in the protocol's form.
	Prefix() string
	// Fault answers with an error in the protocol's form.
	Fault(w http.ResponseWriter, r *http.Request, err error)
}

// Roomy is a protocol whose clients send larger bodies than others do.
type Roomy interface {
	// MaxBody bounds a request's body, in bytes.
	MaxBody() int64
}

// Options are a Server's parts and knobs.
type Options struct {
	Protocols []Protocol // the first one's faults answer where no protocol does
	Log       *slog.Logger
	NewID     func() string // UUIDs
	Now       func() time.Time

	// MaxBody bounds request bodies, in bytes; 0: 114688, as oslo.middleware.
	MaxBody int64
	// ProxyHeaders makes X-Forwarded-Proto and -Host count: only behind a proxy
	// that sets them.
	ProxyHeaders bool
	// PublicEndpoint begins links, instead of what the request says.
	PublicEndpoint string
	// Health are asked by GET /healthcheck, by name.
	Health map[string]func(context.Context) error
	// DisableFile makes /healthcheck say 503 while it exists.
	DisableFile string
	// GraceTime is how long requests may go on at shutdown; 0: one minute.
	GraceTime time.Duration
	TLS       *tls.Config // nil: plain HTTP
}

// Server serves the protocols.
type Server struct {
	Options
	handler   http.Handler
	described func(name string) bool // whether there is a document of that name
}

// New makes a server.
func New(o Options) *Server {
	if o.MaxBody == 0 {
		o.MaxBody = 114688
	}
	if o.GraceTime == 0 {
		o.GraceTime = time.Minute
	}
	s := &Server{Options: o}
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { s.fault(w, q, errNoResource) })
	r.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Allow", allowed(r, q))
		s.fault(w, q, ErrBadMethod)
	})
	r.HandleFunc("/healthcheck", s.health).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/", s.versions).Methods(http.MethodGet, http.MethodHead)
	site := s.site()
	site.Mount(r)
	s.described = site.Has
	for _, p := range o.Protocols {
		if v := p.Version(); v != nil {
			r.HandleFunc("/"+v.ID+"/", s.version(*v)).Methods(http.MethodGet, http.MethodHead)
			r.HandleFunc("/"+v.ID, s.version(*v)).Methods(http.MethodGet, http.MethodHead)
		}
		p.Mount(r)
	}
	s.handler = s.recovered(s.identified(s.logged(s.limited(r))))
	return s
}

// whose gives the protocol that a path belongs to, the first one if none.
func (s *Server) whose(path string) Protocol {
	for _, p := range s.Protocols {
		if rest, ok := strings.CutPrefix(path, p.Prefix()); ok && (rest == "" || rest[0] == '/') {
			return p
		}
	}
	return s.Protocols[0]
}

// fault answers in the form of the protocol whose path it is.
func (s *Server) fault(w http.ResponseWriter, r *http.Request, err error) {
	s.whose(r.URL.Path).Fault(w, r, err)
}

// allowed lists the methods that the path does know.
func allowed(r *mux.Router, q *http.Request) string {
	var list []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		try := q.Clone(q.Context())
		try.Method = method
		var match mux.RouteMatch
		if r.Match(try, &match) && match.MatchErr == nil && match.Route != nil {
			list = append(list, method)
		}
	}
	return strings.Join(list, ", ")
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers requests on the listener until ctx ends, and then lets those
// under way end.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 15 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, TLSConfig: s.TLS,
	}
	if s.TLS != nil {
		l = tls.NewListener(l, s.TLS)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.GraceTime)
	defer cancel()
	err := srv.Shutdown(grace)
	if serve := <-ended; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	if err != nil {
		return fmt.Errorf("shut down %s: %w", l.Addr(), errors.Join(err, srv.Close()))
	}
	return nil
}
