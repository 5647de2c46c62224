package vendor

import (
	"context"
	"errors"
	"net/http"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/service"
)

var statuses = map[stowage.Code]int{
	stowage.Invalid:      http.StatusBadRequest,
	stowage.Unauthorized: http.StatusUnauthorized,
	stowage.Forbidden:    http.StatusForbidden,
	stowage.NotFound:     http.StatusNotFound,
	stowage.Conflict:     http.StatusConflict,
	stowage.OverLimit:    http.StatusForbidden, // a quota
	stowage.Unavailable:  http.StatusServiceUnavailable,
}

// fault is what every error looks like.
type fault struct {
	Message string     `json:"message"`
	Error   faultError `json:"error"`
}

type faultError struct {
	Message string `json:"message"`
}

// Fault answers with an error where no route was found, or none could answer.
func (a *API) Fault(w http.ResponseWriter, r *http.Request, err error) {
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		a.allow(w, r)
	}
	a.fault(w, r, err)
}

// fault answers with an error: always JSON, since a proxy that clients sit
// behind makes a success of everything else. The message stands where each of
// them looks. What has no code for the user is a 500 without a word about its
// cause; the log has that.
func (a *API) fault(w http.ResponseWriter, r *http.Request, err error) {
	status, message := statuses[stowage.CodeOf(err)], stowage.MessageOf(err)
	switch {
	case errors.Is(err, api.ErrBadMethod):
		status = http.StatusMethodNotAllowed
	case errors.Is(err, api.ErrTooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, service.ErrTooManyLogins):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "30")
	case status == 0 || message == "":
		status, message = http.StatusInternalServerError, "Server error, please try again later."
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "30")
	}
	if status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) {
		a.Server.Log.ErrorContext(r.Context(), "request failed", "request_id", api.RequestID(r.Context()),
			"status", status, "error", err)
	}
	api.WriteJSON(w, status, fault{message, faultError{message}})
}
