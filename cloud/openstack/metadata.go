package openstack

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"unicode/utf8"

	"github.com/gophercloud/gophercloud/v2"
)

// SetMetadata makes up to three calls, each of which may be made again. The
// image metadata is added to what is there; keys that Cinder must find out for
// itself are left out.
func (v *Volumes) SetMetadata(ctx context.Context, volumeID string, meta, image map[string]string, bootable bool) error {
	if !plainID.MatchString(volumeID) {
		return noVolume(volumeID)
	}
	if meta == nil {
		meta = map[string]string{} // Cinder wants an object, not null
	}
	c := call{what: "set metadata of volume " + volumeID, missing: missing(volumeID), again: true}
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Put(ctx, client.ServiceURL("volumes", volumeID, "metadata"),
			map[string]any{"metadata": meta}, nil, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}})
		return err
	})
	if err != nil {
		return err
	}
	if keep := settable(image); len(keep) > 0 {
		c.what = "set image metadata of volume " + volumeID
		err := v.action(ctx, c, volumeID, map[string]any{"os-set_image_metadata": map[string]any{"metadata": keep}}, http.StatusOK)
		if err != nil {
			return err
		}
	}
	c.what = "set bootable flag of volume " + volumeID
	return v.action(ctx, c, volumeID, map[string]any{"os-set_bootable": map[string]any{"bootable": bootable}}, http.StatusOK)
}

// SetStatus sends the status alone: an attach_status would wipe attachments.
func (v *Volumes) SetStatus(ctx context.Context, volumeID, status string) error {
	if !plainID.MatchString(volumeID) {
		return noVolume(volumeID)
	}
	c := call{what: "set status " + status + " of volume " + volumeID, missing: missing(volumeID)}
	return v.action(ctx, c, volumeID, map[string]any{"os-reset_status": map[string]any{"status": status}}, http.StatusAccepted)
}

// action is POST /volumes/<id>/action.
func (v *Volumes) action(ctx context.Context, c call, volumeID string, body map[string]any, ok int) error {
	return v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL("volumes", volumeID, "action"), body, nil,
			&gophercloud.RequestOpts{OkCodes: []int{ok}})
		return err
	})
}

var imageKey = regexp.MustCompile(`^[a-zA-Z0-9_:. /-]{1,255}$`)

// settable leaves out what Cinder refuses (keys it does not like, values of
// more than 255 characters) and what would be a lie on another volume: that a
// signature was checked, and which key its image was encrypted with, by which
// Cinder would delete a key that is not this volume's.
func settable(image map[string]string) map[string]string {
	keep := maps.Clone(image)
	maps.DeleteFunc(keep, func(k, v string) bool {
		switch k {
		case "signature_verified", "cinder_encryption_key_id", "cinder_encryption_key_deletion_policy":
			return true
		}
		return !imageKey.MatchString(k) || utf8.RuneCountInString(v) > 255
	})
	return keep
}
