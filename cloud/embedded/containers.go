package embedded

import (
	"context"
	"fmt"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// Objects is what must be known of the object store; the dir driver owns its
// layout.
type Objects interface {
	// CreateContainer makes a container. One that is there already is no error.
	CreateContainer(ctx context.Context, project, container string) error
	// ContainerExists reports whether there is such a container.
	ContainerExists(ctx context.Context, project, container string) (bool, error)
}

// Containers implements cloud.Containers. Whose project it is may do
// everything, and nobody can name another's: the account is the user's own.
type Containers struct{ objects Objects }

var _ cloud.Containers = (*Containers)(nil)

// NewContainers gives the containers of an object store.
func NewContainers(objects Objects) *Containers { return &Containers{objects: objects} }

// Prepare makes the container if it is not there.
func (c *Containers) Prepare(ctx context.Context, user cloud.User, container string) error {
	if err := check(ctx, user); err != nil {
		return err
	}
	if err := c.objects.CreateContainer(ctx, user.ProjectID, container); err != nil {
		return fmt.Errorf("create container of project %s: %w", user.ProjectID, err)
	}
	return nil
}

// Serve makes the container if it is not there.
func (c *Containers) Serve(ctx context.Context, projectID, container string) error {
	return c.Prepare(ctx, cloud.User{ProjectID: projectID}, container)
}

// MayRead reports NotFound if there is no such container.
func (c *Containers) MayRead(ctx context.Context, user cloud.User, container string) error {
	if err := check(ctx, user); err != nil {
		return err
	}
	ok, err := c.objects.ContainerExists(ctx, user.ProjectID, container)
	if err != nil {
		return fmt.Errorf("look for a container of project %s: %w", user.ProjectID, err)
	}
	if !ok {
		return stowage.Errorf(stowage.NotFound, "Container %.256s could not be found.", container)
	}
	return nil
}

// MayDelete is always so.
func (c *Containers) MayDelete(ctx context.Context, user cloud.User, _ string) error {
	return check(ctx, user)
}

func check(ctx context.Context, user cloud.User) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if user.ProjectID == "" {
		return stowage.Errorf(stowage.Forbidden, "A project is needed to use the object store.")
	}
	return nil
}
