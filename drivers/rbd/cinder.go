//go:build ceph

package rbd

import (
	"context"
	"errors"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.CinderSnapshots = (*volumes)(nil)

// cinderPrefix begins the names that Cinder gives to snapshots, unless its
// snapshot_name_template says otherwise.
const cinderPrefix = "snapshot-"

// CinderSnapshot looks without the right to write.
func (v *volumes) CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (stowage.Snapshot, error) {
	snap := stowage.Snapshot{Name: cinderPrefix + id, Volume: vol}
	if err := v.check(ctx, snap, "find"); err != nil {
		return snap, err
	}
	h, err := v.hold(func(c *rados.IOContext) (*rbd.Image, error) {
		return rbd.OpenImageReadOnly(c, vol.Name, rbd.NoSnapshot)
	})
	if err != nil {
		return snap, coded(err, "open volume %s", vol.Name)
	}
	err = h.use(func(image *rbd.Image) error { return describe(image, &snap) })
	if err = errors.Join(err, h.Close()); err != nil {
		return snap, coded(err, "find snapshot %s of volume %s", snap.Name, vol.Name)
	}
	return snap, nil
}
