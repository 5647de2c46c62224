package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// AccessMode is how the service gets at tenants' containers.
type AccessMode string

const (
	// AccessACL: Prepare adds the service's user to the container's ACLs, with
	// the tenant's own token. The service sees what it was shown, no more.
	AccessACL AccessMode = "acl"
	// AccessReseller: the service's user has Swift's reseller_admin_role and
	// may use every account.
	AccessReseller AccessMode = "reseller"
)

// ContainersOptions are the options of Containers.
type ContainersOptions struct {
	Options
	Mode                AccessMode    // AccessACL otherwise
	CreateStoragePolicy string        // for containers Prepare makes; empty: Swift's choice
	NewID               func() string // for names of objects that do not exist; nil: random UUIDs
}

// Containers implements cloud.Containers. All methods may be called at the
// same time.
//
// Whether somebody may write and delete is tried by deleting an object that
// cannot exist: Swift checks the right first, and then finds nothing. In a
// container with object versioning, that leaves a delete marker of that name.
type Containers struct {
	neighbour
	mode   AccessMode
	policy string
	newID  func() string
}

var _ cloud.Containers = (*Containers)(nil)

// NewContainers gives the containers of the cloud the session is logged in to.
// It calls nobody yet.
func NewContainers(o ContainersOptions) (*Containers, error) {
	if o.Session == nil {
		return nil, errors.New("containers need a session")
	}
	if o.Mode == "" {
		o.Mode = AccessACL
	}
	if o.Mode != AccessACL && o.Mode != AccessReseller {
		return nil, fmt.Errorf("access mode %q is neither %q nor %q", o.Mode, AccessACL, AccessReseller)
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	return &Containers{mode: o.Mode, policy: o.CreateStoragePolicy, newID: o.NewID, neighbour: neighbour{
		Options: o.withDefaults(),
		name:    "object store",
		types:   []string{"object-store"},
		http:    bounded(o.Session.HTTPClient()),
		base:    accountBase,
	}}, nil
}

// Prepare may be called again, and does no more than is missing.
func (c *Containers) Prepare(ctx context.Context, user cloud.User, container string) error {
	if err := checkName(container); err != nil {
		return err
	}
	grants, err := c.ensure(ctx, user, container)
	if err != nil {
		return err
	}
	if err := c.probe(ctx, &user, user.ProjectID, container); err != nil {
		return told(err, "You may not write to container %q.", container)
	}
	if c.mode == AccessReseller {
		return c.verify(ctx, user.ProjectID, container)
	}
	entry, err := c.entry(ctx)
	if err != nil {
		return err
	}
	want := grants.with(entry)
	if want == grants {
		return c.verify(ctx, user.ProjectID, container)
	}
	if c.allowed(ctx, user.ProjectID, container) == nil {
		// By way of an entry we do not read, or of one we may not see.
		return nil
	}
	if want.tooLong() {
		return stowage.Errorf(stowage.Forbidden, "The ACLs of container %q are full: the backup service (%s) cannot be added.", container, entry)
	}
	if err := c.grant(ctx, user, container, want); err != nil {
		return told(err, "The backup service may not use container %q, and you may not change that. "+
			"Have %s added to its X-Container-Read and X-Container-Write.", container, entry)
	}
	c.Log.InfoContext(ctx, "container opened to the service", "project", user.ProjectID, "container", container)
	return c.verify(ctx, user.ProjectID, container)
}

// ensure makes the container if it is not there and gives its ACLs as far as
// the user may see them.
func (c *Containers) ensure(ctx context.Context, user cloud.User, container string) (grants, error) {
	g, err := c.head(ctx, user, container)
	if err != nil && stowage.CodeOf(err) == stowage.NotFound {
		if err := c.create(ctx, user, container); err != nil {
			return grants{}, told(err, "You may not create container %q.", container)
		}
		return grants{}, nil
	}
	if err != nil {
		return grants{}, told(err, "You may not use container %q.", container)
	}
	return g, nil
}

// patience is how often verify looks, and how long it waits in between: Swift's
// proxies remember a container's ACLs for a while, each for itself, and a new
// container may not be everywhere yet. About 5 s in all.
var patience = []time.Duration{250 * time.Millisecond, 750 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond}

// verify proves that the service can use the container. A refusal may be
// yesterday's, so it looks again for a while.
func (c *Containers) verify(ctx context.Context, project, container string) error {
	err := c.allowed(ctx, project, container)
	for _, wait := range patience {
		code := stowage.CodeOf(err)
		stale := code == stowage.NotFound || (code == stowage.Forbidden && c.mode == AccessACL)
		if err == nil || !stale || c.Pause(ctx, wait) != nil {
			break
		}
		err = c.allowed(ctx, project, container)
	}
	switch {
	case err == nil:
		return nil
	case stowage.CodeOf(err) == stowage.NotFound:
		return stowage.Wrap(stowage.Unavailable, errors.New(err.Error()), "Container %q is not ready yet. Try again later.", container)
	case c.mode == AccessACL:
		return told(err, "The backup service may not use container %q yet, although its ACLs say so. Try again in a minute.", container)
	}
	return told(err, "The backup service may not use container %q.", container)
}

// Serve makes a container that is not there where the service may: as a reseller
// admin. A tenant's own request must have opened it otherwise.
func (c *Containers) Serve(ctx context.Context, project, container string) error {
	if err := checkName(container); err != nil {
		return err
	}
	err := c.allowed(ctx, project, container)
	if c.mode == AccessReseller && stowage.CodeOf(err) == stowage.NotFound {
		headers := map[string]string{}
		if c.policy != "" {
			headers["X-Storage-Policy"] = c.policy
		}
		if _, err := c.request(ctx, nil, project, "create", container, http.MethodPut, "", headers, 201, 202); err != nil {
			return told(err, "The backup service may not create container %q.", container)
		}
		return c.verify(ctx, project, container)
	}
	switch stowage.CodeOf(err) {
	case stowage.NotFound, stowage.Forbidden:
		return stowage.Wrap(stowage.Forbidden, err, "The backup service may not use container %q of project %s yet: "+
			"a user of that project must back up into it once.", container, project)
	}
	return err
}

// allowed asks with the service's token whether it may list, write and delete.
func (c *Containers) allowed(ctx context.Context, project, container string) error {
	if err := c.list(ctx, nil, project, container); err != nil {
		return err
	}
	return c.probe(ctx, nil, project, container)
}

// MayRead lists one object with the user's token.
func (c *Containers) MayRead(ctx context.Context, user cloud.User, container string) error {
	if err := checkName(container); err != nil {
		return err
	}
	return told(c.list(ctx, &user, user.ProjectID, container), "You may not read container %q.", container)
}

// MayDelete deletes an object that cannot exist with the user's token.
func (c *Containers) MayDelete(ctx context.Context, user cloud.User, container string) error {
	if err := checkName(container); err != nil {
		return err
	}
	return told(c.probe(ctx, &user, user.ProjectID, container), "You may not delete objects of container %q.", container)
}

// told gives a refusal the words for the user; any other error stays as it is.
func told(err error, format string, args ...any) error {
	if err != nil && stowage.CodeOf(err) == stowage.Forbidden {
		return stowage.Wrap(stowage.Forbidden, err, format, args...)
	}
	return err
}

// checkName refuses what would be another resource once Swift has unescaped
// it: no name is the account, and behind a slash an object begins.
func checkName(container string) error {
	if container == "" || container == "." || container == ".." || strings.Contains(container, "/") {
		return stowage.Errorf(stowage.Invalid, "The name of the container is not valid.")
	}
	return nil
}
