package vendor

import (
	"net/http"

	"github.com/stowage/stowage/auth"
)

// route is one path of the API.
type route struct {
	method, path string
	rule         string // of the policy; empty: whoever is logged in
	open         bool   // for whoever is not
	list         bool   // answers with an array
	verb         func(*API, http.ResponseWriter, request) error
	empty        string // why it always answers the empty form; "": it answers with state
}

func get(path string, verb func(*API, http.ResponseWriter, request) error) route {
	return route{method: http.MethodGet, path: path, rule: auth.RuleVendorGet, verb: verb}
}

func lists(path string, verb func(*API, http.ResponseWriter, request) error) route {
	r := get(path, verb)
	r.list = true
	return r
}

// nothing is a list that has no meaning on OpenStack, or not yet any content.
// Clients ask for it on their way to something else.
func nothing(path, why string) route {
	r := lists(path, func(_ *API, w http.ResponseWriter, _ request) error { respond(w, []struct{}{}, 0); return nil })
	r.empty = why
	return r
}

// routes are all paths there are. doc/vendor-api.md is made of them.
func routes() []route {
	return []route{
		{method: http.MethodPost, path: "/session/login", open: true, verb: (*API).login},
		{method: http.MethodPost, path: "/session/logout", open: true, verb: (*API).logout},
		{method: http.MethodGet, path: "/session", verb: (*API).alive},
		{method: http.MethodGet, path: "/session/user", verb: (*API).user},
		{method: http.MethodGet, path: "/user-info", verb: (*API).user},
	}
}
