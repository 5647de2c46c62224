package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// token is what Keystone says about one, as far as it matters here.
type token struct {
	ExpiresAt time.Time `json:"expires_at"`
	Methods   []string  `json:"methods"`
	User      scopeRef  `json:"user"`
	Project   scopeRef  `json:"project"`
	Domain    named     `json:"domain"`
	System    struct {
		All bool `json:"all"`
	} `json:"system"`
	Roles          []named        `json:"roles"`
	IsAdminProject *bool          `json:"is_admin_project"`
	Bind           map[string]any `json:"bind"`
	Trust          named          `json:"OS-TRUST:trust"`
	Credential     struct {
		ID          string        `json:"id"`
		AccessRules *[]accessRule `json:"access_rules"`
	} `json:"application_credential"`
	Catalog []struct {
		Type string `json:"type"`
	} `json:"catalog"`
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type scopeRef struct {
	named
	Domain named `json:"domain"`
}

// parseToken reads Keystone's answer. One that makes no sense says nothing
// about the token: the error is not errInvalidToken.
func parseToken(body []byte) (token, error) {
	var answer struct {
		Token *token `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return token{}, fmt.Errorf("read Keystone's answer: %w", err)
	}
	if answer.Token == nil || answer.Token.User.ID == "" || answer.Token.ExpiresAt.IsZero() {
		return token{}, errors.New("read Keystone's answer: no token with a user and an expiry in it")
	}
	return *answer.Token, nil
}

// expired reports whether the token is no good any more: with no time left it
// is not.
func (t token) expired(now time.Time) bool { return !now.Before(t.ExpiresAt) }

func (t token) roleNames() []string {
	names := make([]string, len(t.Roles))
	for i, r := range t.Roles {
		names[i] = r.Name
	}
	return names
}

func (t token) hasRole(name string) bool {
	return slices.ContainsFunc(t.Roles, func(r named) bool { return r.Name == name })
}

func (t token) hasAccessRules() bool { return t.Credential.AccessRules != nil }

// caller is the token's user, without the token.
func (t token) caller() Caller {
	c := Caller{
		UserID: t.User.ID, UserName: t.User.Name,
		UserDomainID: t.User.Domain.ID, UserDomainName: t.User.Domain.Name,
		ProjectID: t.Project.ID, ProjectName: t.Project.Name,
		ProjectDomainID: t.Project.Domain.ID, ProjectDomainName: t.Project.Domain.Name,
		DomainID:                t.Domain.ID,
		Roles:                   t.roleNames(),
		IsAdminProject:          t.IsAdminProject == nil || *t.IsAdminProject,
		Methods:                 slices.Clone(t.Methods),
		ApplicationCredentialID: t.Credential.ID,
		TrustID:                 t.Trust.ID,
	}
	if t.System.All {
		c.SystemScope = "all"
	}
	return c
}
