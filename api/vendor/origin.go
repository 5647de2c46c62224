package vendor

import (
	"net/http"
	"slices"
)

// A user interface that is served from somewhere else asks from there. Its origin
// must be one that the operator named, to the letter; any other's scripts are told
// nothing by the browser. The cookie goes along within one site only.

// allow lets scripts of a known origin read the answer.
func (a *API) allow(w http.ResponseWriter, r *http.Request) bool {
	if len(a.Origins) == 0 {
		return false
	}
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(a.Origins, origin) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	w.Header().Set("Access-Control-Expose-Headers", "X-Total-Count, Content-Disposition")
	return true
}

// preflight answers what browsers ask before they let a script ask.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) {
	if a.allow(w, r) {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type, X-CSRFToken, X-Auth-Token, 3rd-party, 3rd-party-project")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
