package file

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

var _ drivers.CinderSnapshots = (*volumes)(nil)

// CinderSnapshot finds what was taken under the name that Cinder gives to snapshots.
// Cinder itself does not do that in a directory of files: what stands in for it does.
func (v *volumes) CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (stowage.Snapshot, error) {
	snap := stowage.Snapshot{Name: "snapshot-" + id, Volume: vol}
	if err := v.checkSnapshot(ctx, snap, "find"); err != nil {
		return snap, err
	}
	return v.find(snap)
}
