package vendor

import (
	"net/http"
	"slices"
	"strings"

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
// what its user sent, and his must not win. A name that says nothing is a portal's that
// does not know its tenant: it must not see everybody's things. False: nobody's.
func scope(r *http.Request, c auth.Caller, integration bool) (db.Scope, bool) {
	var named []string
	q := r.URL.Query()
	for _, name := range tenantNames {
		named = append(named, q[name]...)
	}
	named = append(named, r.Header.Values(tenantHeader)...)
	all := len(named)
	named = slices.DeleteFunc(each(named, strings.TrimSpace), func(n string) bool { return !given(n) })
	if !integration {
		named = append(named, c.ProjectID)
	} else if len(named) < all {
		return db.Scope{}, false
	}
	if len(named) == 0 {
		return db.Scope{}, true
	}
	other := slices.ContainsFunc(named, func(n string) bool { return n != named[0] })
	return db.Scope{ProjectID: named[0]}, !other && named[0] != ""
}
