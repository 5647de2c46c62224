package hp

import (
	"context"
	"errors"
	"net/http"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
)

// faults gives every code its status and its name on the wire.
var faults = map[stowage.Code]struct {
	status int
	name   string
}{
	stowage.Invalid:      {http.StatusBadRequest, "badRequest"},
	stowage.Unauthorized: {http.StatusUnauthorized, "unauthorized"},
	stowage.Forbidden:    {http.StatusForbidden, "forbidden"},
	stowage.NotFound:     {http.StatusNotFound, "itemNotFound"},
	stowage.Conflict:     {http.StatusConflict, "conflictingRequest"},
	stowage.OverLimit:    {http.StatusRequestEntityTooLarge, "overLimit"},
	stowage.Unavailable:  {http.StatusServiceUnavailable, "serviceUnavailable"},
}

// Fault answers with an error. What has no code for the user is a 500 without
// a word about its cause; the log has that.
func (a *API) Fault(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := faults[stowage.CodeOf(err)]
	message := stowage.MessageOf(err)
	switch {
	case errors.Is(err, api.ErrBadMethod):
		f.status, f.name = http.StatusMethodNotAllowed, "badMethod"
	case errors.Is(err, errMediaType):
		f.status, f.name = http.StatusUnsupportedMediaType, "badMediaType"
	case !ok || message == "":
		f.status, f.name = http.StatusInternalServerError, "cloudServersFault"
		message = "Server Error, please try again later."
	}
	if f.status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) {
		a.Server.Log.ErrorContext(r.Context(), "request failed", "request_id", api.RequestID(r.Context()),
			"status", f.status, "error", err)
	}
	if f.status == http.StatusUnauthorized {
		// As keystonemiddleware, so that clients know it.
		api.WriteJSON(w, f.status, map[string]any{"error": map[string]any{
			"code": f.status, "title": "Unauthorized", "message": message,
		}})
		return
	}
	body := map[string]any{"message": message, "code": f.status}
	switch f.status {
	case http.StatusRequestEntityTooLarge:
		w.Header().Set("Retry-After", "0")
		body["retryAfter"] = "0"
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "30")
	}
	api.WriteJSON(w, f.status, map[string]any{f.name: body})
}
