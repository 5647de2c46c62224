//go:build !ceph

package rbd

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// Open tells that this program cannot speak to Ceph.
func Open(_ context.Context, opts Options) (drivers.Volumes, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	return nil, stowage.Errorf(stowage.Unavailable, "pool %s cannot be used: this program was built without Ceph support", opts.Pool)
}
