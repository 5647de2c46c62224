package embedded

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

var _ cloud.Inventory = (*Volumes)(nil)

// EachServer finds none: there are volumes only.
func (v *Volumes) EachServer(ctx context.Context, _ time.Time, _ func(cloud.Server) error) error {
	return ctx.Err()
}

// Server finds none, either.
func (v *Volumes) Server(ctx context.Context, id string) (cloud.Server, error) {
	if err := ctx.Err(); err != nil {
		return cloud.Server{}, err
	}
	return cloud.Server{}, stowage.Errorf(stowage.NotFound, "Server %.64s could not be found.", id)
}

// EachVolume goes through the directory. What is nobody's has no project.
func (v *Volumes) EachVolume(ctx context.Context, fn func(cloud.Volume) error) error {
	files, err := os.ReadDir(v.dir)
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	for _, f := range files {
		id, isVolume := strings.CutPrefix(f.Name(), filePrefix)
		if !isVolume || !plainID.MatchString(id) {
			continue
		}
		vol, err := v.Volume(ctx, id)
		if stowage.CodeOf(err) == stowage.NotFound {
			continue // gone meanwhile, or no file
		}
		if err == nil {
			err = fn(vol)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Resources are none: nothing is chosen from here.
func (v *Volumes) Resources(ctx context.Context, _ stowage.ResourceKind) ([]stowage.Resource, error) {
	return nil, ctx.Err()
}
