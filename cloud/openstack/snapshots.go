package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// takenBody is a snapshot in Cinder's list.
type takenBody struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	VolumeID string `json:"volume_id"`
	Status   string `json:"status"`
}

// markedName is what a name is called by that bears a mark: Nova writes "snapshot for"
// before it, in the language that it speaks.
var markedName = regexp.MustCompile(portPrefix + `([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`)

// snapshotMark is the key of the metadata that tells what took a snapshot, and for what.
const snapshotMark = "stowage_snapshot"

// SnapshotVolumes asks once for each volume: what was taken although we were told
// otherwise is found by its name.
func (s *Servers) SnapshotVolumes(ctx context.Context, projectID string, volumes []string, mark string) (map[string]string, error) {
	t, err := s.tenant(projectID, mark)
	if err != nil {
		return nil, err
	}
	list, err := t.snapshots(ctx, t.marks)
	if err != nil {
		return nil, err
	}
	for _, volume := range volumes {
		if slices.ContainsFunc(list, func(one takenBody) bool { return one.VolumeID == volume }) {
			continue
		}
		if err := t.snapshot(ctx, volume); err != nil {
			return nil, err
		}
	}
	return t.ready(ctx, "volumes")
}

// snapshot asks for a snapshot of a volume of the project, be it in use.
func (t *tenant) snapshot(ctx context.Context, volume string) error {
	vol, err := t.volumes.Volume(ctx, volume)
	if err != nil {
		return err
	}
	if vol.ProjectID != t.project {
		return noVolume(volume)
	}
	ask := map[string]any{"snapshot": map[string]any{
		"volume_id": volume, "force": true, "name": t.portName(), "description": "Taken by the backup service.",
		"metadata": map[string]string{snapshotMark: t.mark},
	}}
	c := call{what: "take a snapshot of volume " + volume, missing: missing(volume), creates: true}
	return t.cinder.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL("snapshots"), ask, nil, &gophercloud.RequestOpts{OkCodes: []int{http.StatusAccepted, http.StatusOK}})
		return err
	})
}

// ready waits until the snapshots of the mark can be read.
func (t *tenant) ready(ctx context.Context, of string) (map[string]string, error) {
	for i := range looks {
		list, err := t.snapshots(ctx, t.marks)
		if err != nil {
			return nil, err
		}
		ready := map[string]string{}
		for _, one := range list {
			switch one.Status {
			case stowage.VolumeAvailable:
				ready[one.VolumeID] = one.ID
			case "creating":
			default:
				return nil, stowage.Errorf(stowage.Unavailable, "The snapshot of volume %s is %s.", one.VolumeID, one.Status)
			}
		}
		if len(ready) == len(list) {
			return ready, nil
		}
		if err := t.wait(ctx, i); err != nil {
			return nil, fmt.Errorf("wait for the snapshots of %s: %w", of, err)
		}
	}
	return nil, stowage.Errorf(stowage.Unavailable, "The snapshots of %s are not there yet.", of)
}

func (t *tenant) wait(ctx context.Context, look int) error {
	return t.Servers.nova.Pause(ctx, min(lookPause, time.Duration(look+1)*firstPause))
}

// ListSnapshots lists with the service's rights in the project, which sees that alone.
func (s *Servers) ListSnapshots(ctx context.Context, projectID string) ([]cloud.Snapshot, error) {
	t, err := s.inProject(projectID)
	if err != nil {
		return nil, err
	}
	list, err := t.snapshots(ctx, func(takenBody) bool { return true })
	var out []cloud.Snapshot
	for _, one := range list {
		found := cloud.Snapshot{ID: one.ID, VolumeID: one.VolumeID}
		if m := markedName.FindStringSubmatch(one.Name); m != nil {
			found.Mark = m[1]
		}
		out = append(out, found)
	}
	return out, err
}

// RemoveSnapshots looks for them in the project's list: an id of another's is not there.
func (s *Servers) RemoveSnapshots(ctx context.Context, projectID string, ids []string) error {
	t, err := s.inProject(projectID)
	if err != nil {
		return err
	}
	return t.removeTaken(ctx, func(one takenBody) bool { return slices.Contains(ids, one.ID) })
}

// removeTaken removes those of the project's snapshots that are wanted gone.
func (t *tenant) removeTaken(ctx context.Context, wanted func(takenBody) bool) error {
	for i := range looks {
		list, err := t.snapshots(ctx, wanted)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, one := range list {
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
		if err := t.wait(ctx, i); err != nil {
			return fmt.Errorf("wait until the snapshots are gone: %w", err)
		}
	}
	return stowage.Errorf(stowage.Unavailable, "Snapshots are being removed yet.")
}

// marks reports whether a snapshot bears the mark.
func (t *tenant) marks(one takenBody) bool { return strings.Contains(one.Name, t.portName()) }

// snapshots gives those of the project's snapshots that are wanted. Behind one that was
// removed since it ended a page Cinder finds no other: then the list is begun anew.
func (t *tenant) snapshots(ctx context.Context, wanted func(takenBody) bool) (found []takenBody, err error) {
	for range 5 {
		found = nil
		err = each(ctx, t.cinder, "snapshots/detail", "snapshots", url.Values{}, func(one takenBody) string { return one.ID }, func(one takenBody) error {
			if wanted(one) && plainID.MatchString(one.ID) {
				found = append(found, one)
			}
			return nil
		})
		if stowage.CodeOf(err) != stowage.NotFound {
			break
		}
	}
	return found, err
}
