// Package openstack talks to the real Cinder, Swift, Nova and Neutron.
//
// Volumes implements cloud.Volumes through gophercloud's blockstorage/v3,
// Containers implements cloud.Containers with plain HTTP. Both keep two
// identities strictly apart: a call with a User carries that user's token and
// nothing else, to a URL of his own project; all other calls carry the
// service's token, and log in again once when it is refused. Servers has a third
// one, for what it makes: the service's token of a tenant's project.
//
// What comes back is bounded (8 MiB an answer), and what goes wrong is told in
// coded errors: 401 Unauthorized and 403 Forbidden of a user's call, 404
// NotFound, 400 Invalid, 409 Conflict, 413 OverLimit, and Unavailable for a
// neighbour that is away, slow or talks rubbish. The neighbour's words go to
// the user where he can use them, the rest to the log. Calls that may be sent
// twice are sent up to three times. Redirects are never followed, and neither
// are the links in an answer: both would carry a token to wherever they lead.
package openstack

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Session is the service's own login. auth.Session is one.
type Session interface {
	// Token is good for a while. Refused tells that it is not after all.
	Token(ctx context.Context) (string, error)
	Refused(token string)
	// Endpoint gives the URL of the first of these service types there is.
	Endpoint(ctx context.Context, serviceTypes ...string) (string, error)
	// ProjectID and UserID say whose token it is.
	ProjectID(ctx context.Context) (string, error)
	UserID(ctx context.Context) (string, error)
	HTTPClient() *http.Client
}

// Options are what Volumes and Containers have in common. Only Session is needed.
type Options struct {
	Session Session
	// InProject gives the same user's session in another project, as
	// auth.Session.InProject does. Only what is made for a project without one of its
	// users needs it.
	InProject func(project string) (Session, error)

	// EndpointOverride is used instead of the catalog's endpoint. It may hold
	// %(project_id)s; without it, the project is appended as the service does.
	EndpointOverride string

	// Timeout bounds one try of a call, its answer included; 60 s otherwise.
	Timeout time.Duration

	Log   *slog.Logger                               // slog.Default otherwise
	Now   func() time.Time                           // time.Now otherwise
	Pause func(context.Context, time.Duration) error // waits; a timer otherwise
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	return o
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
