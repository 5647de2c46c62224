package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// The requests to Swift. Every one of them may be sent again.

const (
	readACL  = "X-Container-Read"
	writeACL = "X-Container-Write"
)

// head looks at the container. An ACL the user may not see looks like an empty one.
func (c *Containers) head(ctx context.Context, user cloud.User, container string) (grants, error) {
	header, err := c.request(ctx, &user, user.ProjectID, "look at", container, http.MethodHead, "", nil, 200, 204)
	if err != nil {
		return grants{}, err
	}
	return grants{read: header.Get(readACL), write: header.Get(writeACL)}, nil
}

// create makes the container; one that is there already stays as it is.
func (c *Containers) create(ctx context.Context, user cloud.User, container string) error {
	headers := map[string]string{}
	if c.policy != "" {
		headers["X-Storage-Policy"] = c.policy
	}
	_, err := c.request(ctx, &user, user.ProjectID, "create", container, http.MethodPut, "", headers, 201, 202)
	return err
}

// grant replaces both ACLs.
func (c *Containers) grant(ctx context.Context, user cloud.User, container string, g grants) error {
	headers := map[string]string{readACL: g.read, writeACL: g.write}
	_, err := c.request(ctx, &user, user.ProjectID, "grant access to", container, http.MethodPost, "", headers, 201, 202, 204)
	return err
}

// list asks for one object's name. NotFound: no such container.
func (c *Containers) list(ctx context.Context, user *cloud.User, project, container string) error {
	_, err := c.request(ctx, user, project, "list", container, http.MethodGet, "?limit=1", nil, 200, 204)
	return err
}

// probe deletes an object that does not exist. 404 is what we want to hear;
// 204 is what a container with versions says.
func (c *Containers) probe(ctx context.Context, user *cloud.User, project, container string) error {
	object := "/stowage-probe-" + c.newID()
	_, err := c.request(ctx, user, project, "try to delete in", container, http.MethodDelete, object, nil, 204, 404)
	return err
}

// request sends one request to the container, or with a suffix to what is in
// it, and gives the answer's headers.
func (c *Containers) request(ctx context.Context, user *cloud.User, project, verb, container, method, suffix string,
	headers map[string]string, ok ...int,
) (http.Header, error) {
	cl := call{
		user: user, project: project, again: true,
		what:    fmt.Sprintf("%s container %q of project %s", verb, container, project),
		missing: fmt.Sprintf("Container %q could not be found.", container),
	}
	var got http.Header
	err := c.do(ctx, cl, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		resp, err := client.Request(ctx, method, client.ServiceURL(url.PathEscape(container))+suffix,
			&gophercloud.RequestOpts{MoreHeaders: headers, OkCodes: ok})
		if err != nil {
			return err
		}
		got = resp.Header
		return nil
	})
	return got, err
}

// entry is the service's user as ACLs name it.
func (c *Containers) entry(ctx context.Context) (string, error) {
	project, err := c.Session.ProjectID(ctx)
	if err != nil {
		return "", fmt.Errorf("look up the service's project: %w", err)
	}
	user, err := c.Session.UserID(ctx)
	if err != nil {
		return "", fmt.Errorf("look up the service's user: %w", err)
	}
	if !plainProject.MatchString(project) || !plainProject.MatchString(user) {
		return "", stowage.Errorf(stowage.Unavailable, "The backup service has no identity that an ACL could name.")
	}
	return project + ":" + user, nil
}

// AccountURL gives the URL of a project's account, for whoever moves objects
// with the service's token: https://swift.example/v1/AUTH_<project>. override
// is an endpoint to use instead of the catalog's, or empty.
func AccountURL(ctx context.Context, s Session, override, project string) (string, error) {
	if !plainProject.MatchString(project) {
		return "", stowage.Errorf(stowage.Invalid, "%q is no id of a project", project)
	}
	endpoint := override
	if endpoint == "" {
		var err error
		if endpoint, err = s.Endpoint(ctx, "object-store"); err != nil {
			return "", err
		}
	}
	own, err := s.ProjectID(ctx)
	if err != nil {
		return "", err
	}
	base, err := accountBase(endpoint, own, project)
	if err != nil {
		return "", stowage.Wrap(stowage.Unavailable, err, "The object store's endpoint is not usable.")
	}
	return strings.TrimSuffix(base, "/"), nil
}
