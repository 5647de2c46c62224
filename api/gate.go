package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/cloud"
)

// Gate says who is calling and whether he may.
type Gate struct {
	Validator auth.Validator
	Policy    interface {
		Enforce(rule string, caller auth.Caller, target map[string]any) error
		Allows(rule string, caller auth.Caller, target map[string]any) bool
	}
	// Challenge is the WWW-Authenticate header of a 401.
	Challenge string
}

// Caller finds out who sent the request, and gives the request as it goes on:
// its log lines tell who is calling. Unauthorized: nobody we know, and the
// answer has its challenge already. Unavailable: Keystone is away.
func (g *Gate) Caller(w http.ResponseWriter, r *http.Request) (auth.Caller, *http.Request, error) {
	c, err := g.Validator.Validate(r.Context(), r)
	if stowage.CodeOf(err) == stowage.Unauthorized {
		w.Header().Set("WWW-Authenticate", g.Challenge)
	}
	if err != nil {
		return c, r, err
	}
	return c, Known(r, c), nil
}

// May gives a Forbidden error if the caller may not do what the rule guards to
// things of the project.
func (g *Gate) May(rule string, c auth.Caller, project string) error {
	return g.Policy.Enforce(rule, c, map[string]any{"project_id": project, "user_id": c.UserID})
}

// Everywhere reports whether the caller may reach every project.
func (g *Gate) Everywhere(c auth.Caller) bool {
	return g.Policy.Allows(auth.RuleAllProjects, c, map[string]any{"project_id": c.ProjectID})
}

// User is the caller as the verbs know him.
func User(r *http.Request, c auth.Caller) cloud.User {
	return cloud.User{
		ProjectID: c.ProjectID, UserID: c.UserID, Token: c.Token.Reveal(), RequestID: RequestID(r.Context()),
	}
}

// ReadBody reads a request's body: ErrTooLarge if it is over the limit.
func ReadBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "The request body could not be read.")
	}
	return body, nil
}
