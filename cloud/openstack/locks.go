package openstack

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/attachments"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// attachment is one in Cinder's lists.
type attachment struct {
	ID       string `json:"id"`
	VolumeID string `json:"volume_id"`
	Instance string `json:"instance"`
	Status   string `json:"status"`
}

// Reserve makes an attachment without a connector: a compare-and-swap in
// Cinder's database, from available to reserved, that no backend hears of.
//
// Cinder itself is more generous, so we look first and afterwards. It lets the
// same owner reserve twice, and anybody reserve a volume that an image is being
// written to: both show in the status. And it lets a multiattach volume be
// reserved while it is in use, which takes no lock at all: such an attachment
// is given back at once.
func (v *Volumes) Reserve(ctx context.Context, volumeID, owner string) (string, error) {
	if uuid.Validate(owner) != nil {
		return "", stowage.Errorf(stowage.Invalid, "The owner of a lock must be a UUID.")
	}
	vol, err := v.Volume(ctx, volumeID)
	if err != nil {
		return "", err
	}
	if vol.Status != stowage.VolumeAvailable {
		return "", taken(vol)
	}
	id, err := v.attach(ctx, volumeID, owner)
	if stowage.CodeOf(err) == stowage.Invalid {
		// Cinder has one status for "not available" and "not like this".
		if vol, lookErr := v.Volume(ctx, volumeID); lookErr == nil && vol.Status != stowage.VolumeAvailable {
			return "", taken(vol)
		}
	}
	if err != nil || !vol.Multiattach {
		return id, err
	}
	return v.alone(ctx, vol, id)
}

func (v *Volumes) attach(ctx context.Context, volumeID, owner string) (string, error) {
	c := call{what: "reserve volume " + volumeID, missing: missing(volumeID)}
	var body attachment
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		opts := attachments.CreateOpts{VolumeUUID: volumeID, InstanceUUID: owner}
		if err := attachments.Create(ctx, client, opts).ExtractInto(&body); err != nil {
			return err
		}
		if body.ID == "" {
			return errRubbish
		}
		return nil
	})
	return body.ID, err
}

// alone gives our attachment back if it is not the only one.
func (v *Volumes) alone(ctx context.Context, vol cloud.Volume, id string) (string, error) {
	all, err := v.attachments(ctx, vol.ID)
	if err != nil {
		return "", err // the caller looks with Lock
	}
	if !slices.ContainsFunc(all, func(a attachment) bool { return a.ID != id }) {
		return id, nil
	}
	if err := v.Release(ctx, id); err != nil {
		return "", err
	}
	vol.Status = stowage.VolumeInUse
	return "", taken(vol)
}

func taken(vol cloud.Volume) error {
	return stowage.Errorf(stowage.Conflict, "Volume %s must be available, but the current status is %q.", vol.ID, bound(vol.Status))
}

// Lock looks through the volume's attachments. Should there be several of this
// owner (something between us and Cinder sent a request twice), one is kept, so
// that giving it back frees the volume.
func (v *Volumes) Lock(ctx context.Context, volumeID, owner string) (string, error) {
	if !plainID.MatchString(volumeID) {
		return "", noVolume(volumeID)
	}
	all, err := v.attachments(ctx, volumeID)
	if err != nil {
		return "", err
	}
	var ours []string
	for _, a := range all {
		if strings.EqualFold(a.Instance, owner) && owner != "" {
			ours = append(ours, a.ID)
		}
	}
	if len(ours) == 0 {
		return "", stowage.Errorf(stowage.NotFound, "Volume %s is not locked by %.64s.", volumeID, strings.ToValidUTF8(owner, "?"))
	}
	slices.Sort(ours) // everybody who looks keeps the same one
	for _, extra := range ours[1:] {
		v.Log.WarnContext(ctx, "volume locked twice by one owner", "volume", volumeID, "owner", owner, "attachment", extra)
		if err := v.Release(ctx, extra); err != nil {
			return "", err
		}
	}
	return ours[0], nil
}

func (v *Volumes) attachments(ctx context.Context, volumeID string) ([]attachment, error) {
	var body struct {
		Attachments *[]attachment `json:"attachments"`
	}
	query := url.Values{"all_tenants": {"1"}, "volume_id": {volumeID}}
	c := call{what: "list attachments of volume " + volumeID, missing: missing(volumeID), again: true}
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		body.Attachments = nil
		_, err := client.Get(ctx, client.ServiceURL("attachments")+"?"+query.Encode(), &body, nil)
		if err == nil && body.Attachments == nil {
			err = errRubbish
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, a := range *body.Attachments {
		// A list that was not filtered may have been cut off before ours.
		if !strings.EqualFold(a.VolumeID, volumeID) {
			return nil, fmt.Errorf("list attachments of volume %s: got one of volume %q", volumeID, bound(a.VolumeID))
		}
	}
	return *body.Attachments, nil
}

// Release deletes the attachment. Only a reserved one can be ours, and for that
// one Cinder asks no backend.
func (v *Volumes) Release(ctx context.Context, attachment string) error {
	if !plainID.MatchString(attachment) {
		return nil
	}
	c := call{what: "release attachment " + attachment, missing: "The attachment could not be found.", again: true}
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		return attachments.Delete(ctx, client, attachment).ExtractErr()
	})
	if err != nil && stowage.CodeOf(err) == stowage.NotFound {
		return nil
	}
	return err
}
