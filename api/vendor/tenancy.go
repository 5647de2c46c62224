package vendor

import (
	"net/http"
	"slices"

	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/db"
)

// tenantNames are the spellings of one idea. The vendor's panel for Horizon adds
// the last one to every call, and sends the header besides.
var tenantNames = []string{"tenantid", "tenantId", "tenant-id", "project-uuid"}

const tenantHeader = "3rd-party-project"

// scope says whose things a request sees. Whoever is not the integration account
// has his project, and may name no other. The integration account has them all,
// and names one. Where several are named, all must agree: a panel adds its own to
// what its user sent, and his must not win. False: nobody's things.
func scope(r *http.Request, c auth.Caller, integration bool) (db.Scope, bool) {
	named := values(r.URL.Query(), tenantNames...)
	if h := r.Header.Get(tenantHeader); given(h) {
		named = append(named, h)
	}
	if !integration {
		named = append(named, c.ProjectID)
	}
	if len(named) == 0 {
		return db.Scope{}, true
	}
	other := slices.ContainsFunc(named, func(n string) bool { return n != named[0] })
	return db.Scope{ProjectID: named[0]}, !other && named[0] != ""
}
