package openstack

import (
	"context"
	"net/http"
	"net/url"

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
	ready, err := t.ready(ctx, "server "+id)
	if err != nil {
		return nil, err
	}
	return ready, t.removeImages(ctx)
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
	return t.removeTaken(ctx, func(one takenBody) bool { return t.marks(one) && of(one.VolumeID) })
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
