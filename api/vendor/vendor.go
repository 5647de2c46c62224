// Package vendor speaks the task API of Storware Backup & Recovery and vProtect:
// /api/..., for portals, panels, exporters and scripts that were written for
// those. It translates, and decides nothing.
//
// Clients of three generations must work as they are, so it is lenient in what
// it takes (in.go, query.go) and strict in what it gives (out.go, fault.go). The
// nouns are mapped so: a protected entity is a server or a stand-alone volume,
// its guid the id it has in the cloud; a task is a job; a hypervisor manager is
// the Keystone endpoint; a node is a manager; a backup destination is a container
// of the tenant's that holds backups. doc/vendor-api.md has the table of all
// paths, made from the one in routes.go.
package vendor

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// API is the protocol.
type API struct {
	Gate     *api.Gate
	Service  *service.Service
	Sessions *service.Sessions
	Server   *api.Options // for links and the log

	// KeystoneURL is what clients see as the one hypervisor manager there is.
	KeystoneURL string
	// MaxRequestBody bounds bodies, in bytes; 0: 1 MiB. Clients send back whole
	// objects, and lists of them.
	MaxRequestBody int64
	// Origins are those whose scripts may read answers: https://ui.example.
	Origins []string
}

// base begins all paths.
const base = "/api"

// Prefix is /api.
func (a *API) Prefix() string { return base }

// Version is none: the vendor's API has no version in its paths.
func (a *API) Version() *api.Version { return nil }

// MaxBody implements api.Roomy.
func (a *API) MaxBody() int64 {
	if a.MaxRequestBody == 0 {
		return 1 << 20
	}
	return a.MaxRequestBody
}

// Mount adds the routes, each with and without a slash at its end: clients use
// both, and none follows a redirect of a POST.
func (a *API) Mount(r *mux.Router) {
	for _, route := range routes() {
		methods := []string{route.method}
		if route.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, end := range []string{"", "/"} {
			r.HandleFunc(base+route.path+end, a.call(route)).Methods(methods...)
			if len(a.Origins) > 0 {
				r.HandleFunc(base+route.path+end, a.preflight).Methods(http.MethodOptions)
			}
		}
	}
}

// request is one authorized request.
type request struct {
	*http.Request
	caller      auth.Caller
	session     service.Session // zero with a token instead of a session
	scope       db.Scope        // whose things it sees
	nobody      bool            // it sees nobody's: lists are empty, nothing is found
	integration bool            // the account of a portal
	kind        stowage.PolicyKind
	offers      map[offer][]stowage.Resource // what may be chosen from, as far as it was asked for
}

type offer struct {
	scope db.Scope
	kind  stowage.ResourceKind
}

// resources are what may be chosen from. A body that chooses often asks once.
func (r request) resources(a *API, kind stowage.ResourceKind) ([]stowage.Resource, error) {
	list, known := r.offers[offer{r.scope, kind}]
	if known {
		return list, nil
	}
	list, err := a.Service.Resources(r.Context(), r.scope, kind)
	if err == nil {
		r.offers[offer{r.scope, kind}] = list
	}
	return list, err
}

var errNothing = stowage.Errorf(stowage.NotFound, "There is no such object.")

// call finds out who is calling, checks that the policy lets him, and whose
// things he sees, and then does the verb.
func (a *API) call(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.allow(w, r)
		q, err := a.enter(w, r, route)
		switch {
		case err == nil && q.nobody && route.list:
			respond(w, []struct{}{}, 0)
			return
		case err == nil && q.nobody && route.rule != "":
			err = errNothing
		}
		if err == nil {
			err = route.verb(a, w, q)
		}
		if err != nil {
			if q.Request == nil {
				q.Request = r
			}
			a.fault(w, q.Request, err)
		}
	}
}

func (a *API) enter(w http.ResponseWriter, r *http.Request, route route) (request, error) {
	q := request{Request: r, offers: map[offer][]stowage.Resource{}}
	if route.open {
		return q, nil
	}
	var err error
	if q.caller, q.session, q.Request, err = a.who(w, r); err != nil {
		return q, err
	}
	if q.caller.ProjectID == "" {
		return q, stowage.Errorf(stowage.Forbidden, "The token is of no project.")
	}
	if route.rule != "" {
		if err := a.Gate.May(route.rule, q.caller, q.caller.ProjectID); err != nil {
			return q, err
		}
	}
	q.integration = a.Gate.May(auth.RuleIntegration, q.caller, q.caller.ProjectID) == nil
	var some bool
	q.scope, some = scope(r, q.caller, q.integration)
	q.nobody = !some
	return q, nil
}

// who finds out who is calling: by a token if there is one, otherwise by the
// session of the cookie.
func (a *API) who(w http.ResponseWriter, r *http.Request) (auth.Caller, service.Session, *http.Request, error) {
	if r.Header.Get("X-Auth-Token") != "" {
		c, r, err := a.Gate.Caller(w, r)
		return c, service.Session{}, r, err
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return auth.Caller{}, service.Session{}, r, stowage.Wrap(stowage.Unauthorized, err, "There is no session: log in first.")
	}
	s, err := a.Sessions.Resume(r.Context(), r, cookie.Value)
	return s.Caller, s, api.Known(r, s.Caller), err
}

// read reads the request's body.
func (r request) read(into any) error {
	body, err := api.ReadBody(r.Request)
	if err != nil {
		return err
	}
	return decode(body, into)
}
