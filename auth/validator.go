package auth

import (
	"context"
	"net/http"

	"github.com/stowage/stowage"
)

// Validator finds out who sent a request.
type Validator interface {
	// Validate gives the caller of a request. Unauthorized: nobody vouches for
	// him. Unavailable: the identity service cannot be asked, so nobody knows.
	// It reads headers, the method and the path as the client sent it, and
	// leaves the request as it was. It may be called by many at the same time.
	Validate(ctx context.Context, r *http.Request) (Caller, error)
}

// What keystonemiddleware tells clients; the cause is for the log.
const (
	unauthorizedMessage = "The request you have made requires authentication."
	unavailableMessage  = "The Keystone service is temporarily unavailable."
)

func unauthorized(cause error) error {
	return stowage.Wrap(stowage.Unauthorized, cause, unauthorizedMessage)
}

func unavailable(cause error) error {
	return stowage.Wrap(stowage.Unavailable, cause, unavailableMessage)
}

// userToken is where a client puts his token, X-Storage-Token being Swift's
// old name for it.
func userToken(r *http.Request) string {
	if t := r.Header.Get("X-Auth-Token"); t != "" {
		return t
	}
	return r.Header.Get("X-Storage-Token")
}
