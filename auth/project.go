package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

// maxProjects bounds how many projects' tokens are kept, some 100 kB each with the
// catalog of a large cloud. Whoever still uses one that is let go keeps it.
const maxProjects = 64

// projects are the logins of the same credentials in other projects.
type projects struct {
	mu     sync.Mutex
	logins map[string]*login
	order  []string // the one used last at the end
}

// InProject gives a session of the same user in another project, by its id, where
// he must have a role: Forbidden, with a message for users, when its token is asked
// for and he has none. An application credential is of one project for ever, so it is
// refused the same way in all others.
func (s *Session) InProject(id string) (*Session, error) {
	own := s.login
	if own.home != nil {
		own = own.home
	}
	l, err := own.inProject(id)
	if err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "session in project %s", id)
	}
	other := *s
	other.login = l
	return &other, nil
}

func (l *login) inProject(id string) (*login, error) {
	p := &l.projects
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, known := range p.order {
		if known == id {
			p.order = append(append(p.order[:i:i], p.order[i+1:]...), id)
			return p.logins[id], nil
		}
	}
	there := &login{
		credentials: l.credentials, http: l.http, now: l.now, log: l.log, pause: l.pause, timeout: l.timeout, proxy: l.proxy,
		home: l, project: id,
	}
	c := &there.credentials
	c.ProjectID, c.ProjectName, c.ProjectDomainID, c.ProjectDomainName = id, "", "", ""
	if err := there.prepare(); err != nil {
		return nil, err
	}
	if p.logins == nil {
		p.logins = map[string]*login{}
	}
	if len(p.order) == maxProjects {
		delete(p.logins, p.order[0])
		p.order = p.order[1:]
	}
	p.logins[id], p.order = there, append(p.order, id)
	return there, nil
}

// admitted explains a login that failed in another project. Keystone says 401 to a
// user without a role there just as to a wrong password, so it is asked for our own
// project once more: if that works, it is the role.
func (l *login) admitted(ctx context.Context, t ownToken, err error) error {
	switch {
	case l.home == nil:
		return err
	case err == nil && t.projectID == l.project:
		return nil
	case err == nil:
		return l.noRights(fmt.Errorf("the token is of project %s", t.projectID))
	case !gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) && !gophercloud.ResponseCodeIs(err, http.StatusForbidden):
		return err
	}
	if _, _, own := l.home.authenticate(ctx); own != nil {
		return errors.Join(err, fmt.Errorf("and in our own project: %w", own))
	}
	return l.noRights(err)
}

func (l *login) noRights(cause error) error {
	return stowage.Wrap(stowage.Forbidden, cause,
		"The backup service has no rights in project %s; the operator has to give it a role there.", l.project)
}

// why gives a failed login's error as it is told: what is our own fault, or Keystone's,
// is Unavailable; that a project does not admit us is not.
func why(err error) error {
	if stowage.CodeOf(err) == stowage.Forbidden {
		return err
	}
	return unavailable(fmt.Errorf("log in at Keystone: %w", err))
}
