package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/internal/logging"
)

// ErrBadMethod and ErrTooLarge have no code of their own in package stowage:
// only HTTP knows methods and bodies.
var (
	ErrBadMethod  = stowage.Errorf(stowage.Invalid, "The method is not allowed for this resource.")
	ErrTooLarge   = stowage.Errorf(stowage.OverLimit, "Request is too large.")
	errNoResource = stowage.Errorf(stowage.NotFound, "The resource could not be found.")
)

// globalID is what a request id from outside must look like to be passed on.
var globalID = regexp.MustCompile(`^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// requestIDs are what the log tells of a request; whose it is is found out late.
type requestIDs struct{ own, global, user, project string }

type idsKey struct{}

// RequestID gives the id of the request that ctx belongs to: the caller's
// global one if he sent one, so that the logs of all services meet.
func RequestID(ctx context.Context) string {
	ids, ok := ctx.Value(idsKey{}).(*requestIDs)
	if !ok {
		return ""
	}
	if ids.global != "" {
		return ids.global
	}
	return ids.own
}

// Known gives the request with a context whose log lines tell who is calling,
// for protocols that find that out by themselves.
func Known(r *http.Request, c auth.Caller) *http.Request {
	ids, ok := r.Context().Value(idsKey{}).(*requestIDs)
	if !ok {
		return r
	}
	ids.user, ids.project = c.UserID, c.ProjectID
	return r.WithContext(logging.WithRequest(r.Context(), logging.Request{
		ID: ids.own, GlobalID: ids.global, UserID: c.UserID, ProjectID: c.ProjectID,
	}))
}

// identified gives every request an id, and tells it.
func (s *Server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := requestIDs{own: "req-" + s.NewID()}
		if id := r.Header.Get("X-Openstack-Request-Id"); globalID.MatchString(id) {
			ids.global = id
		}
		w.Header().Set("X-Openstack-Request-Id", ids.own)
		w.Header().Set("X-Compute-Request-Id", ids.own) // where older clients look
		ctx := context.WithValue(r.Context(), idsKey{}, &ids)
		ctx = logging.WithRequest(ctx, logging.Request{ID: ids.own, GlobalID: ids.global})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recovered turns a panic into a 500, and logs where it was.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.Log.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			s.fault(w, r, fmt.Errorf("panic: %v", p))
		}()
		next.ServeHTTP(w, r)
	})
}

// logged writes one line for every answer.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.Now()
		t := &tap{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(t, r)
		ids, _ := r.Context().Value(idsKey{}).(*requestIDs)
		level := slog.LevelInfo
		if r.URL.Path == "/healthcheck" {
			level = slog.LevelDebug
		}
		// The path only: a query may hold what does not belong into a log.
		s.Log.Log(r.Context(), level, "request", "method", r.Method, "path", r.URL.EscapedPath(), "status", t.status,
			"bytes", t.bytes, "seconds", s.Now().Sub(start).Seconds(), "remote", r.RemoteAddr,
			"request_id", RequestID(r.Context()), "user_id", ids.user, "project_id", ids.project)
	})
}

// tap notes what goes through a ResponseWriter.
type tap struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (t *tap) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.ResponseWriter.Write(b)
	t.bytes += n
	return n, err
}

func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// limited refuses bodies over MaxBody, or over what their protocol says: at
// once if the length is known, and when they are read otherwise (ReadBody tells).
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := s.MaxBody
		if p, ok := s.whose(r.URL.Path).(Roomy); ok {
			most = p.MaxBody()
		}
		if r.ContentLength > most {
			s.fault(w, r, ErrTooLarge)
			return
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, most)
		}
		next.ServeHTTP(w, r)
	})
}
