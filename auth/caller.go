package auth

import (
	"context"
	"log/slog"
	"strings"
)

// Caller is who sent a request, as the identity service vouches for him.
type Caller struct {
	UserID         string
	UserName       string
	UserDomainID   string
	UserDomainName string

	// The scope: a project, or a domain, or the system ("all"), or nothing.
	ProjectID         string
	ProjectName       string
	ProjectDomainID   string
	ProjectDomainName string
	DomainID          string
	SystemScope       string

	// Roles are expanded: who has admin has member and reader listed as well.
	Roles []string
	// IsAdminProject is true unless the token says otherwise.
	IsAdminProject bool

	// Methods are how he logged in: password, application_credential ...
	Methods []string
	// ApplicationCredentialID is set if he logged in with one, and TrustID if
	// the token speaks for somebody else: neither may make trusts.
	ApplicationCredentialID string
	TrustID                 string

	// Token is his own, for calls on his behalf.
	Token Secret

	// The service that passed the request on, if it proved itself.
	ServiceUserID          string
	ServiceUserDomainID    string
	ServiceProjectID       string
	ServiceProjectDomainID string
	ServiceRoles           []string
}

// HasRole reports whether the caller holds the role; case does not count.
func (c Caller) HasRole(name string) bool { return hasRole(c.Roles, name) }

func hasRole(roles []string, name string) bool {
	for _, r := range roles {
		if strings.EqualFold(r, name) {
			return true
		}
	}
	return false
}

// LogValue gives the ids that tell who it was, and no secrets.
func (c Caller) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("user", c.UserID)}
	for _, a := range []slog.Attr{
		slog.String("project", c.ProjectID),
		slog.String("domain", c.DomainID),
		slog.String("system_scope", c.SystemScope),
		slog.String("roles", strings.Join(c.Roles, ",")),
		slog.String("service_user", c.ServiceUserID),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return slog.GroupValue(attrs...)
}

// policyValues is the caller as policy rules see him: the names of
// oslo.context's to_policy_values. What is not there is nil, and a rule
// compares nil as "None", as it would in any other service.
func (c Caller) policyValues() map[string]any {
	return map[string]any{
		"user_id":                   orNil(c.UserID),
		"user_domain_id":            orNil(c.UserDomainID),
		"system_scope":              orNil(c.SystemScope),
		"domain_id":                 orNil(c.DomainID),
		"project_id":                orNil(c.ProjectID),
		"project_domain_id":         orNil(c.ProjectDomainID),
		"roles":                     c.Roles,
		"is_admin_project":          c.IsAdminProject,
		"service_user_id":           orNil(c.ServiceUserID),
		"service_user_domain_id":    orNil(c.ServiceUserDomainID),
		"service_project_id":        orNil(c.ServiceProjectID),
		"service_project_domain_id": orNil(c.ServiceProjectDomainID),
		"service_roles":             c.ServiceRoles,
	}
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

type callerKey struct{}

// WithCaller gives a context that knows who is calling.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom gives the caller of a context made by WithCaller.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}
