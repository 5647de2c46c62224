package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stowage/stowage"
)

// CheckSelf validates our own token and looks at its roles, so that a service
// which could validate nobody says so when it starts and not at the first
// request. The error is one line: Unavailable: Keystone is away or refuses our
// credentials. Forbidden: our user lacks a role. An operator who gave the
// right to validate to another role in Keystone's own policy may ignore that.
func (k *Keystone) CheckSelf(ctx context.Context) error {
	own, err := k.o.Session.Token(ctx)
	if err != nil {
		return err
	}
	t, err := k.askOnce(ctx, own, false, false)
	switch {
	case errors.Is(err, errInvalidToken):
		return stowage.Wrap(stowage.Unavailable, err,
			"Keystone at %s does not accept the token it has just given us: is auth_url right?", k.o.Session.AuthURL())
	case err != nil:
		return unavailable(fmt.Errorf("validate our own token: %w", err))
	case t.hasRole("service"), t.hasRole("admin"), t.System.All && t.hasRole("reader"):
		return nil
	}
	return stowage.Errorf(stowage.Forbidden,
		"user %q lacks the role \"service\" in project %q, so that Keystone will not let it validate tokens (it has: %s)",
		t.User.Name, t.Project.Name, listOrNone(t.roleNames()))
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
