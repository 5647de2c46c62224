package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// How often a call that may be sent twice is tried, and the first pause; the
// next ones are four times as long each.
const (
	tries      = 3
	firstPause = 200 * time.Millisecond
)

var (
	// Header values that need no escaping; anything else is not passed on.
	plainToken   = regexp.MustCompile(`^[\x21-\x7e]+$`)
	plainRequest = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)
	plainProject = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

// neighbour is one service we call.
type neighbour struct {
	Options
	name         string   // as users know it: "volume service"
	types        []string // in the catalog, the official one first
	microversion string   // of the service's own calls
	http         http.Client
	// base gives the URL all calls for the project begin with, ending in a slash.
	base func(endpoint, ownProject, project string) (string, error)
}

// call is one call to a neighbour.
type call struct {
	user    *cloud.User // nil: with the service's own credentials
	project string      // whose URL; empty: the project of the credentials
	what    string      // for the log: "get volume <id>"
	missing string      // for the user, when the answer is 404
	again   bool        // may be sent again: nothing happens twice
	creates bool        // makes something: what is missing is what it is to be made of
	sure    bool        // a 404 counts in the service's own words only: a proxy may have none behind it
}

// in gives the neighbour as the service sees it from inside a project, by the rights
// it has there.
func (n *neighbour) in(project string) (*neighbour, error) {
	if !plainProject.MatchString(project) {
		return nil, stowage.Errorf(stowage.Invalid, "The project's id is not one that can be asked for.")
	}
	if n.InProject == nil {
		return nil, stowage.Errorf(stowage.Forbidden, "The backup service works in no project but its own.")
	}
	session, err := n.InProject(project)
	if err != nil {
		return nil, err
	}
	there := *n
	there.Session = session
	return &there, nil
}

// at gives the neighbour with another microversion.
func (n *neighbour) at(microversion string) *neighbour {
	other := *n
	other.microversion = microversion
	return &other
}

// fetch reads one thing into a pointer to a struct with a key for it.
func (n *neighbour) fetch(ctx context.Context, c call, into any, at ...string) error {
	c.again = true
	return n.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Get(ctx, client.ServiceURL(at...), into, nil)
		return err
	})
}

// remove deletes one thing; gone is no error.
func (n *neighbour) remove(ctx context.Context, c call, at ...string) error {
	c.again = true
	err := n.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Delete(ctx, client.ServiceURL(at...), nil)
		return err
	})
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil
	}
	return err
}

// do makes the call through fn and tells in coded errors what went wrong. fn
// may run more than once if the call may.
func (n *neighbour) do(ctx context.Context, c call, fn func(context.Context, *gophercloud.ServiceClient) error) error {
	wait := firstPause
	for i := 1; ; i++ {
		err := n.try(ctx, c, fn)
		if err == nil || !c.again || i == tries || !stowage.Is(err, stowage.Unavailable) {
			return err
		}
		n.Log.WarnContext(ctx, "call failed, trying again", "service", n.name, "try", i, "error", err)
		if n.Pause(ctx, wait) != nil {
			return err
		}
		wait *= 4
	}
}

func (n *neighbour) try(ctx context.Context, c call, fn func(context.Context, *gophercloud.ServiceClient) error) error {
	within, cancel := context.WithTimeout(ctx, n.Timeout)
	defer cancel()
	client, err := n.client(within, c)
	if err == nil {
		err = fn(within, client)
	}
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", c.what, ctx.Err())
	}
	return n.fault(c, client, err)
}

// client makes a client for one call. It costs nothing: connections are kept
// by the session's transport.
func (n *neighbour) client(ctx context.Context, c call) (*gophercloud.ServiceClient, error) {
	ownProject, err := n.Session.ProjectID(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := n.EndpointOverride
	if endpoint == "" {
		if endpoint, err = n.Session.Endpoint(ctx, n.types...); err != nil {
			// Not wrapped: that the catalog lacks an endpoint must not look
			// as if a volume were not found.
			return nil, fmt.Errorf("no endpoint: %s", err.Error())
		}
	}
	provider := &gophercloud.ProviderClient{HTTPClient: n.http}
	provider.UserAgent.Prepend("stowage")
	client := &gophercloud.ServiceClient{ProviderClient: provider, Type: n.types[0]}
	project := c.project
	if c.user != nil {
		project = c.user.ProjectID
		if !plainToken.MatchString(c.user.Token) {
			return nil, stowage.Errorf(stowage.Unauthorized, "The request needs a valid token.")
		}
		provider.SetToken(c.user.Token)
		if plainRequest.MatchString(c.user.RequestID) {
			client.MoreHeaders = map[string]string{"X-Openstack-Request-Id": c.user.RequestID}
		}
	} else {
		if project == "" {
			project = ownProject
		}
		client.Microversion = n.microversion
		if err := n.login(ctx, provider); err != nil {
			return nil, err
		}
	}
	if !plainProject.MatchString(project) {
		return nil, stowage.Errorf(stowage.Invalid, "The project's id is not one that can be asked for.")
	}
	client.Endpoint, err = n.base(endpoint, ownProject, project)
	return client, err
}

// login gives the client the service's token, and another one when it is refused.
func (n *neighbour) login(ctx context.Context, provider *gophercloud.ProviderClient) error {
	token, err := n.Session.Token(ctx)
	if err != nil {
		return err
	}
	provider.SetToken(token)
	provider.ReauthFunc = func(ctx context.Context) error {
		n.Session.Refused(provider.Token())
		token, err := n.Session.Token(ctx)
		if err == nil {
			provider.SetToken(token)
		}
		return err
	}
	return nil
}
