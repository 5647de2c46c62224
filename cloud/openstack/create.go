package openstack

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// CreateUserVolume asks once: a volume that was made although we were told
// otherwise is found by its metadata.
func (v *Volumes) CreateUserVolume(ctx context.Context, user cloud.User, req cloud.VolumeRequest) (cloud.Volume, error) {
	return v.create(ctx, call{user: &user}, user.ProjectID, req)
}

func (n *neighbour) create(ctx context.Context, c call, project string, req cloud.VolumeRequest) (cloud.Volume, error) {
	if req.SizeGiB < 1 || req.SizeGiB > 1<<31-1 {
		return cloud.Volume{}, stowage.Errorf(stowage.Invalid, "A volume of %d GiB cannot be made.", req.SizeGiB)
	}
	opts := volumes.CreateOpts{
		Size: int(req.SizeGiB), Name: req.Name, Description: req.Description,
		VolumeType: req.Type, AvailabilityZone: req.AvailabilityZone, Metadata: req.Metadata,
	}
	c.what, c.creates = "create a volume in project "+project, true
	var body volumeBody
	err := n.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		if err := volumes.Create(ctx, client, opts, nil).ExtractInto(&body); err != nil {
			return err
		}
		return body.check("")
	})
	if err != nil {
		return cloud.Volume{}, err
	}
	vol := body.volume()
	if vol.ProjectID == "" {
		vol.ProjectID = project
	}
	return vol, nil
}
