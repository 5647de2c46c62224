package auth

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// noauthName bounds what becomes a user or project id, since ids end up in
// object names and logs.
var noauthName = regexp.MustCompile(`^[A-Za-z0-9_.@-]{1,64}$`)

// Noauth believes whoever calls: X-Auth-Token is `user:project`, as in
// Cinder's noauth, or `user` whose project is named like him. The user admin
// is admin; everybody else is member. It is for standalone mode and tests: it
// proves nothing.
type Noauth struct{}

// Validate implements Validator.
func (Noauth) Validate(_ context.Context, r *http.Request) (Caller, error) {
	token := strings.TrimSpace(userToken(r))
	if token == "" {
		return Caller{}, unauthorized(errors.New("no token in the request"))
	}
	user, project, split := strings.Cut(token, ":")
	if !split {
		project = user
	}
	if !noauthName.MatchString(user) || !noauthName.MatchString(project) {
		return Caller{}, unauthorized(errors.New("the token is not user:project"))
	}
	roles := []string{"member", "reader"}
	if user == "admin" {
		roles = []string{"admin", "member", "reader"}
	}
	return Caller{
		UserID: user, UserName: user,
		ProjectID: project, ProjectName: project,
		UserDomainID: "default", ProjectDomainID: "default",
		Roles: roles, IsAdminProject: true,
		Methods: []string{"noauth"},
		Token:   NewSecret(token),
	}, nil
}

// WWWAuthenticate is the header value that goes with a 401.
func (Noauth) WWWAuthenticate() string { return `Noauth realm="stowage"` }
