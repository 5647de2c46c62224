package openstack

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// Locate turns the volume's host, host@backend#pool, into a backend key by what
// Cinder's scheduler knows of that pool:
//
//	Ceph  rbd:<fsid>:<pool>
//	LVM   lvm:<host name>:<volume group>
//	else  cinder:<host@backend#pool>, for a manager that was told to serve it
func (v *Volumes) Locate(ctx context.Context, vol cloud.Volume) (stowage.VolumeLocation, error) {
	if vol.Host == "" {
		return stowage.VolumeLocation{}, stowage.Errorf(stowage.Unavailable, "Volume %s is on no backend yet.", vol.ID)
	}
	backend, err := v.pools.backend(ctx, vol.Host)
	if err != nil {
		// Not wrapped: that the list of pools is not found, or not for us, must
		// not look as if the volume were not.
		return stowage.VolumeLocation{}, stowage.Wrap(stowage.Unavailable, errors.New(err.Error()),
			"The volume service does not tell where volume %s is.", vol.ID)
	}
	id := vol.NameID // after a migration, the backend keeps the name of the copy
	if id == "" {
		id = vol.ID
	}
	name := strings.Replace(v.template, "%s", id, 1)
	return stowage.VolumeLocation{Backend: backend, VolumeID: vol.ID, Name: name}, nil
}

// fetchPools gives the backend keys of all pools by host@backend#pool.
func (v *Volumes) fetchPools(ctx context.Context) (map[string]string, error) {
	var body struct {
		Pools *[]struct {
			Name         string         `json:"name"`
			Capabilities map[string]any `json:"capabilities"`
		} `json:"pools"`
	}
	c := call{what: "list pools", missing: "The list of pools could not be found.", again: true}
	err := v.do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		body.Pools = nil
		_, err := client.Get(ctx, client.ServiceURL("scheduler-stats", "get_pools")+"?detail=True", &body, nil)
		if err == nil && body.Pools == nil {
			err = errRubbish
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(*body.Pools))
	for _, p := range *body.Pools {
		info, _ := p.Capabilities["location_info"].(string)
		protocol, _ := p.Capabilities["storage_protocol"].(string)
		keys[p.Name] = backendKey(p.Name, info, protocol)
	}
	return keys, nil
}

var fsid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// backendKey reads location_info, which Cinder's drivers write for one another:
//
//	RBD  <cluster>:<ceph.conf>:<fsid>:<user>:<pool>
//	LVM  LVMVolumeDriver:<host name>:<volume group>:<thin or default>:<mirrors>
func backendKey(host, info, protocol string) string {
	part := strings.Split(info, ":")
	switch {
	case len(part) == 5 && part[0] == "LVMVolumeDriver" && part[1] != "" && part[2] != "":
		return "lvm:" + part[1] + ":" + part[2]
	case len(part) == 5 && (protocol == "ceph" || protocol == "") && fsid.MatchString(part[2]) && part[4] != "":
		return "rbd:" + part[2] + ":" + part[4]
	}
	return "cinder:" + host
}
