package door

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/stowage/stowage"
)

// Files is what a manager serves.
type Files interface {
	List(ctx context.Context, m stowage.Mount, fileSystem int, path string) (stowage.Listing, error)
	Download(ctx context.Context, m stowage.Mount, fileSystem int, paths []string) (*stowage.Download, error)
}

// Server is the manager's side, an http.Handler.
type Server struct {
	Secret []byte
	Files  Files
	Now    func() time.Time
	Log    *slog.Logger

	nonces nonces
	once   sync.Once
	mux    *http.ServeMux
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(func() {
		s.mux = http.NewServeMux()
		s.mux.HandleFunc("POST /mounts/{id}/listing", s.with(s.list))
		s.mux.HandleFunc("POST /mounts/{id}/download", s.with(s.download))
	})
	s.mux.ServeHTTP(w, r)
}

// with checks a request before it is answered.
func (s *Server) with(answer func(http.ResponseWriter, *http.Request, []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			err = stowage.Wrap(stowage.Invalid, err, "The request could not be read.")
		} else if err = s.signed(r, body); err == nil {
			err = answer(w, r, body)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

var statuses = map[stowage.Code]int{
	stowage.Invalid: http.StatusBadRequest, stowage.Forbidden: http.StatusForbidden, stowage.NotFound: http.StatusNotFound,
	stowage.Conflict: http.StatusConflict, stowage.OverLimit: http.StatusRequestEntityTooLarge,
	stowage.Unavailable: http.StatusServiceUnavailable, stowage.Corrupt: http.StatusServiceUnavailable,
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failure{stowage.CodeOf(err), stowage.MessageOf(err)}
	if f.Message == "" {
		f = failure{stowage.Internal, "The manager failed; its log tells more."}
	}
	status, known := statuses[f.Code]
	if !known {
		status = http.StatusInternalServerError
	}
	if r.Context().Err() == nil {
		s.Log.WarnContext(r.Context(), "a request for files failed", "path", r.URL.Path, "error", err)
	}
	reply(w, status, f)
}

func reply(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		data, status = []byte("{}"), http.StatusInternalServerError // never: all of them are plain
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // who hung up does not want it
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, body []byte) error {
	var want listing
	if err := json.Unmarshal(body, &want); err != nil {
		return stowage.Wrap(stowage.Invalid, err, "The request is no JSON.")
	}
	l, err := s.Files.List(r.Context(), stowage.Mount{ID: r.PathValue("id")}, want.FileSystem, want.Path)
	if err == nil {
		reply(w, http.StatusOK, l)
	}
	return err
}

func (s *Server) download(w http.ResponseWriter, r *http.Request, body []byte) error {
	var want download
	if err := json.Unmarshal(body, &want); err != nil {
		return stowage.Wrap(stowage.Invalid, err, "The request is no JSON.")
	}
	d, err := s.Files.Download(r.Context(), stowage.Mount{ID: r.PathValue("id")}, want.FileSystem, want.Paths)
	if err != nil {
		return err
	}
	defer d.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(nameHeader, url.PathEscape(d.Name))
	w.Header().Set(zipHeader, strconv.FormatBool(d.Zip))
	if d.Size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(d.Size, 10))
	}
	if err := d.Copy(r.Context(), w); err != nil {
		if r.Context().Err() == nil {
			s.Log.WarnContext(r.Context(), "a download was cut off", "mount", r.PathValue("id"), "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}
