package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// agent reports whether the volume says that the guest agent is in what it holds.
func (s *Servers) agent(ctx context.Context, volume string) (bool, error) {
	vol, err := s.volumes.Volume(ctx, volume)
	if stowage.CodeOf(err) == stowage.NotFound {
		return false, nil
	}
	return cloud.GuestAgent(vol.ImageMetadata), err
}

// takenBody is a snapshot in Cinder's list.
type takenBody struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	VolumeID string `json:"volume_id"`
	Status   string `json:"status"`
}

// SnapshotServer asks Nova for an image of the server. Of a server that boots from a
// volume that is an image without data, and a snapshot of each volume, taken while the
// guest holds still. The image is of no use to anybody, and goes at once.
func (s *Servers) SnapshotServer(ctx context.Context, projectID, id, mark string) (map[string]string, error) {
	t, err := s.tenant(projectID, mark)
	if err != nil {
		return nil, err
	}
	server, err := t.look(ctx, id)
	if err != nil {
		return nil, err
	}
	if server.Image != "" { // its disk would be uploaded
		return nil, stowage.Errorf(stowage.Invalid, "Server %s does not boot from a volume.", id)
	}
	ask := map[string]any{"createImage": map[string]any{"name": t.portName()}}
	c := call{what: "take snapshots of server " + id, creates: true}
	err = t.nova.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL("servers", id, "action"), ask, nil,
			&gophercloud.RequestOpts{OkCodes: []int{http.StatusAccepted}})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range looks {
		taken, err := t.taken(ctx)
		if err != nil {
			return nil, err
		}
		ready := map[string]string{}
		for _, one := range taken {
			switch one.Status {
			case stowage.VolumeAvailable:
				ready[one.VolumeID] = one.ID
			case "creating":
			default:
				return nil, stowage.Errorf(stowage.Unavailable, "The snapshot of volume %s is %s.", one.VolumeID, one.Status)
			}
		}
		if len(ready) == len(taken) {
			return ready, t.removeImages(ctx)
		}
		if err := t.nova.Pause(ctx, min(lookPause, time.Duration(i+1)*firstPause)); err != nil {
			return nil, fmt.Errorf("wait for the snapshots of server %s: %w", id, err)
		}
	}
	return nil, stowage.Errorf(stowage.Unavailable, "The snapshots of server %s are not there yet.", id)
}

// RemoveServerSnapshots removes the image first, which needs the snapshots.
func (s *Servers) RemoveServerSnapshots(ctx context.Context, projectID, mark string, of func(string) bool) error {
	t, err := s.tenant(projectID, mark)
	if err != nil {
		return err
	}
	if err := t.removeImages(ctx); err != nil {
		return err
	}
	for i := range looks {
		taken, err := t.taken(ctx)
		if err != nil {
			return err
		}
		taken = slices.DeleteFunc(taken, func(one takenBody) bool { return !of(one.VolumeID) })
		if len(taken) == 0 {
			return nil
		}
		for _, one := range taken {
			if one.Status == "deleting" {
				continue
			}
			err := t.cinder.remove(ctx, call{what: "remove snapshot " + one.ID + " of volume " + one.VolumeID}, "snapshots", one.ID)
			if code := stowage.CodeOf(err); code == stowage.Invalid || code == stowage.Conflict { // it is being made yet
				err = stowage.Wrap(stowage.Unavailable, err, "Snapshot %s of volume %s is %s.", one.ID, one.VolumeID, one.Status)
			}
			if err != nil {
				return err
			}
		}
		if err := t.nova.Pause(ctx, min(lookPause, time.Duration(i+1)*firstPause)); err != nil {
			return fmt.Errorf("wait until the snapshots are gone: %w", err)
		}
	}
	return stowage.Errorf(stowage.Unavailable, "Snapshots are being removed yet.")
}

// taken gives the snapshots of the mark. Nova names them "snapshot for" the image, in
// the language that it speaks.
func (t *tenant) taken(ctx context.Context) ([]takenBody, error) {
	var found []takenBody
	err := each(ctx, t.cinder, "snapshots/detail", "snapshots", url.Values{}, func(one takenBody) string { return one.ID }, func(one takenBody) error {
		if strings.Contains(one.Name, t.portName()) && plainID.MatchString(one.ID) {
			found = append(found, one)
		}
		return nil
	})
	return found, err
}

// removeImages removes the image of the mark, of which there may be several.
func (t *tenant) removeImages(ctx context.Context) error {
	if t.Servers.glance.missingService(ctx) {
		return nil
	}
	type imageBody struct{ ID, Name, Owner string }
	var found []imageBody
	query := url.Values{"name": {t.portName()}, "owner": {t.project}}
	err := each(ctx, t.glance, "images", "images", query, func(one imageBody) string { return one.ID }, func(one imageBody) error {
		if one.Name == t.portName() && one.Owner == t.project && plainID.MatchString(one.ID) {
			found = append(found, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, one := range found {
		if err := t.glance.remove(ctx, call{what: "remove image " + one.ID}, "images", one.ID); err != nil {
			return err
		}
	}
	return nil
}
