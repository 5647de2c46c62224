package auth

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

const (
	// renewAhead is how long before its end a token is replaced; a token
	// whose whole life is short is replaced half way.
	renewAhead = 5 * time.Minute
	// leastLife is what a token must have left to be used when Keystone is
	// away and it cannot be replaced.
	leastLife = 2 * time.Minute
	// failedRest is how long nobody asks for a new token after Keystone did
	// not give one, as long as the old one is good.
	failedRest = 15 * time.Second
)

// ownToken is a token of ours and what came with it.
type ownToken struct {
	id        string
	from      time.Time
	expires   time.Time
	userID    string
	projectID string
	catalog   *tokens.ServiceCatalog
}

func readOwnToken(result tokens.CreateResult, now time.Time) (ownToken, error) {
	t := ownToken{from: now}
	token, err := result.ExtractToken()
	if err != nil {
		return t, err
	}
	if t.id, t.expires = token.ID, token.ExpiresAt; t.id == "" || !t.expires.After(now) {
		return t, errors.New("keystone's answer holds no token that is still good: is the clock right?")
	}
	user, err := result.ExtractUser()
	if err != nil {
		return t, err
	}
	if user != nil {
		t.userID = user.ID
	}
	project, err := result.ExtractProject()
	if err != nil {
		return t, err
	}
	if project != nil {
		t.projectID = project.ID
	}
	t.catalog, err = result.ExtractServiceCatalog()
	return t, err
}

// leftAt is how long the token is good for.
func (t ownToken) leftAt(now time.Time) time.Duration {
	if t.id == "" {
		return 0
	}
	return t.expires.Sub(now)
}

// dueBy reports whether the token ought to be replaced by now.
func (t ownToken) dueBy(now time.Time) bool {
	return t.leftAt(now) <= min(renewAhead, t.expires.Sub(t.from)/2)
}

// endpoint finds a URL in the catalog, "" if there is none.
func (t ownToken) endpoint(iface, region string, serviceTypes []string) string {
	if t.catalog == nil {
		return ""
	}
	for _, want := range serviceTypes {
		for _, entry := range t.catalog.Entries {
			if entry.Type != want {
				continue
			}
			i := slices.IndexFunc(entry.Endpoints, func(e tokens.Endpoint) bool {
				return e.Interface == iface && (region == "" || e.RegionID == region || e.Region == region)
			})
			if i >= 0 {
				return strings.TrimRight(entry.Endpoints[i].URL, "/")
			}
		}
	}
	return ""
}
