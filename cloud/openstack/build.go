package openstack

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// BuildServer makes the ports, then the server. The mark stays in the server's
// metadata, and in the names of its ports. Notes come from comparing what is there
// with what was wished, so a second call tells them, too.
func (s *Servers) BuildServer(ctx context.Context, projectID string, req cloud.ServerRequest) (string, []string, error) {
	switch {
	case len(req.Volumes) == 0 && req.ImageID == "":
		return "", nil, stowage.Errorf(stowage.Invalid, "A server needs a volume or an image to boot from.")
	case req.FlavorID == "":
		return "", nil, stowage.Errorf(stowage.Invalid, "A server needs a flavor.")
	}
	t, err := s.tenant(projectID, req.Mark)
	if err != nil {
		return "", nil, err
	}
	notes, err := t.settle(ctx, &req)
	if err != nil {
		return "", nil, err
	}
	found, err := t.marked(ctx)
	if err != nil {
		return "", nil, err
	}
	if len(found) > 0 {
		more, err := t.notesOfMade(ctx, req.Ports)
		return found[0].ID, append(notes, more...), err
	}
	ports, err := t.ports(ctx, req.Ports)
	if err != nil {
		return "", nil, err
	}
	for i, p := range ports {
		notes = append(notes, portNotes(req.Ports[i], p)...)
	}
	id, err := t.post(ctx, req, ports)
	return id, notes, err
}

// settle leaves out what is not to be had, and tells of it.
func (t *tenant) settle(ctx context.Context, req *cloud.ServerRequest) (notes []string, err error) {
	minor, err := t.newest(ctx)
	if err != nil {
		return nil, err
	}
	if req.Zone != "" {
		there, err := t.hasZone(ctx, req.Zone)
		if err != nil {
			return nil, err
		}
		if !there {
			notes = append(notes, fmt.Sprintf("There is no availability zone %s now: the server is in another one.", req.Zone))
			req.Zone = ""
		}
	}
	if req.KeyName != "" {
		err := t.nova.fetch(ctx, call{what: "get keypair", missing: "The keypair could not be found."}, nil, "os-keypairs", segment(req.KeyName))
		if code := stowage.CodeOf(err); code == stowage.NotFound || code == stowage.Forbidden || code == stowage.Invalid {
			notes = append(notes, fmt.Sprintf("The keypair %s is its user's own, so Nova does not show it with the server; the keys on its disks are as they were.", req.KeyName))
			req.KeyName, err = "", nil
		}
		if err != nil {
			return nil, err
		}
	}
	if minor < changedDelete { // and RemoveServer could not keep them
		req.Volumes = slices.Clone(req.Volumes)
		for i := range req.Volumes {
			if v := &req.Volumes[i]; v.DeleteWithServer {
				v.DeleteWithServer = false
				notes = append(notes, fmt.Sprintf("Volume %s will not be deleted with the server.", v.VolumeID))
			}
		}
	}
	return notes, nil
}

func (t *tenant) hasZone(ctx context.Context, name string) (bool, error) {
	type zone struct {
		Name  string `json:"zoneName"`
		State struct {
			Available bool `json:"available"`
		} `json:"zoneState"`
	}
	list, err := pageOf[zone](ctx, t.nova, "os-availability-zone", "availabilityZoneInfo", nil)
	return slices.ContainsFunc(list, func(z zone) bool { return z.Name == name && z.State.Available }), err
}

func (t *tenant) notesOfMade(ctx context.Context, wishes []stowage.ServerPort) ([]string, error) {
	if len(wishes) == 0 {
		return nil, nil
	}
	there, err := t.markedPorts(ctx)
	var notes []string
	for i, wish := range wishes {
		at := slices.IndexFunc(there, func(p portBody) bool { return p.About == aboutPort(i) })
		if at >= 0 {
			notes = append(notes, portNotes(wish, there[at])...)
		}
	}
	return notes, err
}

// post asks for the server once. Should it fail, the server is looked for before that
// is believed: the answer may have been lost, or may be one to a second request, whose
// volumes and ports the first one had taken already.
func (t *tenant) post(ctx context.Context, req cloud.ServerRequest, ports []portBody) (string, error) {
	var body struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
	}
	c := call{what: "make a server in project " + t.project, creates: true}
	err := t.nova.at(version2(serverTags)).do(ctx, c, func(ctx context.Context, client *gophercloud.ServiceClient) error {
		_, err := client.Post(ctx, client.ServiceURL("servers"), map[string]any{"server": serverAsk(req, ports)}, &body,
			&gophercloud.RequestOpts{OkCodes: []int{200, 202}})
		if err == nil && !plainID.MatchString(body.Server.ID) {
			return errRubbish
		}
		return err
	})
	if err == nil {
		return body.Server.ID, nil
	}
	if found, look := t.marked(ctx); look == nil && len(found) > 0 {
		return found[0].ID, nil
	}
	return "", err
}

func serverAsk(req cloud.ServerRequest, ports []portBody) map[string]any {
	meta := maps.Clone(req.Metadata)
	if meta == nil {
		meta = map[string]string{}
	}
	meta[stowage.RestoreMark] = req.Mark
	name := req.Name
	if name == "" {
		name = "restored"
	}
	ask := map[string]any{
		"name": name, "flavorRef": req.FlavorID, "metadata": meta, "networks": "none", "block_device_mapping_v2": devices(req),
	}
	var networks []map[string]string
	for _, p := range ports {
		networks = append(networks, map[string]string{"port": p.ID})
	}
	if networks != nil {
		ask["networks"] = networks
	}
	if len(req.Tags) > 0 {
		ask["tags"] = req.Tags
	}
	if req.Config {
		ask["config_drive"] = true
	}
	for key, value := range map[string]string{"imageRef": req.ImageID, "availability_zone": req.Zone, "key_name": req.KeyName} {
		if value != "" {
			ask[key] = value
		}
	}
	return ask
}

// devices gives the disks in their order, by which Nova names them anew: it takes no
// names where the hypervisor is libvirt.
func devices(req cloud.ServerRequest) []map[string]any {
	var list []map[string]any
	boot := -1
	if req.ImageID != "" {
		list = append(list, map[string]any{
			"uuid": req.ImageID, "source_type": "image", "destination_type": "local", "boot_index": 0, "delete_on_termination": true,
		})
	} else {
		boot = max(0, slices.IndexFunc(req.Volumes, func(d stowage.ServerDisk) bool { return d.Boot }))
	}
	for i, d := range req.Volumes {
		one := map[string]any{
			"uuid": d.VolumeID, "source_type": "volume", "destination_type": "volume", "boot_index": -1,
			"delete_on_termination": d.DeleteWithServer,
		}
		if i == boot {
			one["boot_index"] = 0
		}
		if d.Tag != "" {
			one["tag"] = d.Tag
		}
		list = append(list, one)
	}
	return list
}
