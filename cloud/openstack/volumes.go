package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// VolumesOptions are the options of Volumes.
type VolumesOptions struct {
	Options
	// Microversion of the service's own calls, 3.27 or later for attachments;
	// 3.54 otherwise.
	Microversion string
	// NameTemplate is Cinder's volume_name_template: volume-%s otherwise.
	NameTemplate string
	// PoolCacheTime is how long Cinder is believed about where its pools are;
	// 10 minutes otherwise. A host it did not name is asked for earlier.
	PoolCacheTime time.Duration
}

// Volumes implements cloud.Volumes. All methods may be called at the same time.
//
// Ids of volumes and attachments are UUIDs with Cinder; any other id is
// answered as not found without asking it.
type Volumes struct {
	neighbour
	template string
	pools    *pools
}

var _ cloud.Volumes = (*Volumes)(nil)

var plainID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// NewVolumes gives the volumes of the cloud the session is logged in to. It
// calls nobody yet.
func NewVolumes(o VolumesOptions) (*Volumes, error) {
	if o.Session == nil {
		return nil, errors.New("volumes need a session")
	}
	if o.Microversion == "" {
		o.Microversion = "3.54"
	}
	if o.NameTemplate == "" {
		o.NameTemplate = "volume-%s"
	}
	if strings.Count(o.NameTemplate, "%s") != 1 || strings.Count(o.NameTemplate, "%") != 1 {
		return nil, fmt.Errorf("volume name template %q must hold %%s once", o.NameTemplate)
	}
	if o.PoolCacheTime <= 0 {
		o.PoolCacheTime = 10 * time.Minute
	}
	v := &Volumes{template: o.NameTemplate, neighbour: neighbour{
		Options:      o.withDefaults(),
		name:         "volume service",
		types:        []string{"block-storage", "volumev3", "block-store"},
		microversion: o.Microversion,
		http:         bounded(o.Session.HTTPClient()),
		base:         volumeBase,
	}}
	v.pools = newPools(o.PoolCacheTime, v.Now, v.fetchPools)
	return v, nil
}

// UserVolume asks with the user's token, so that Cinder decides what he sees.
func (v *Volumes) UserVolume(ctx context.Context, user cloud.User, id string) (cloud.Volume, error) {
	vol, err := v.get(ctx, call{user: &user}, id)
	if err != nil {
		return cloud.Volume{}, err
	}
	if vol.ProjectID == "" { // a policy may hide it from its owner
		vol.ProjectID = user.ProjectID
	}
	return vol, nil
}

// Volume asks with the service's token.
func (v *Volumes) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	return v.get(ctx, call{}, id)
}

func (v *Volumes) get(ctx context.Context, c call, id string) (cloud.Volume, error) {
	if !plainID.MatchString(id) {
		return cloud.Volume{}, noVolume(id)
	}
	c.what, c.missing, c.again = "get volume "+id, missing(id), true
	var body volumeBody
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		body = volumeBody{}
		if err := volumes.Get(ctx, client, id).ExtractInto(&body); err != nil {
			return err
		}
		return body.check(id)
	})
	if err != nil {
		return cloud.Volume{}, err
	}
	return body.volume(), nil
}

// pageSize of a list. Cinder may give less; the end is an empty page.
const pageSize = 500

// maxPages bounds a list that never ends.
const maxPages = 1000

// FindVolumes lets Cinder filter, and filters once more: databases compare
// text more loosely than we do.
func (v *Volumes) FindVolumes(ctx context.Context, projectID, key, value string) ([]cloud.Volume, error) {
	if !plainProject.MatchString(projectID) {
		return nil, stowage.Errorf(stowage.Invalid, "The project's id is not one that can be asked for.")
	}
	query := url.Values{
		"all_tenants": {"1"}, "project_id": {projectID}, "limit": {strconv.Itoa(pageSize)},
		"metadata": {pythonDict(key, value)},
	}
	var found []cloud.Volume
	for range maxPages {
		page, err := v.page(ctx, projectID, query)
		if err != nil {
			return nil, err
		}
		for _, b := range page {
			vol := b.volume()
			if has, ok := vol.Metadata[key]; ok && has == value && vol.ProjectID == projectID {
				found = append(found, vol)
			}
		}
		if len(page) == 0 || query.Get("marker") == page[len(page)-1].ID {
			return found, nil
		}
		query.Set("marker", page[len(page)-1].ID)
	}
	return nil, fmt.Errorf("find volumes of project %s: the list does not end", projectID)
}

func (v *Volumes) page(ctx context.Context, projectID string, query url.Values) ([]volumeBody, error) {
	var body struct {
		Volumes *[]volumeBody `json:"volumes"`
	}
	c := call{what: "list volumes of project " + projectID, missing: "The list of volumes could not be found.", again: true}
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		body.Volumes = nil
		_, err := client.Get(ctx, client.ServiceURL("volumes", "detail")+"?"+query.Encode(), &body, nil)
		if err == nil && body.Volumes == nil {
			err = errRubbish
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return *body.Volumes, nil
}

func missing(id string) string { return fmt.Sprintf("Volume %s could not be found.", id) }

func noVolume(id string) error {
	return stowage.Errorf(stowage.NotFound, "%s", missing(fmt.Sprintf("%.64s", strings.ToValidUTF8(id, "?"))))
}
