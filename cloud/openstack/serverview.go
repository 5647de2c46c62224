package openstack

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stowage/stowage"
)

// versionRoot is the part of an endpoint of Nova's below which it tells its versions;
// what follows is a project in old catalogs.
var versionRoot = regexp.MustCompile(`^.*/v[0-9]+(\.[0-9]+)?/`)

// imageRef is what a server boots from: {"id": ...}, or "" for a volume.
type imageRef string

func (r *imageRef) UnmarshalJSON(raw []byte) error {
	var image struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &image) == nil {
		*r = imageRef(image.ID)
	}
	return nil
}

// attachmentBody is a volume in Nova's list of those of a server.
type attachmentBody struct {
	VolumeID string `json:"volumeId"`
	Device   string `json:"device"`
	Tag      string `json:"tag"`
}

func (s *serverBody) deleted() bool { return s.Status == "DELETED" || s.Status == "SOFT_DELETED" }

// record is the server without its flavor's name, ports and disks.
func (s *serverBody) record() stowage.ServerRecord {
	meta := maps.Clone(s.Metadata)
	delete(meta, stowage.RestoreMark) // is ours
	return stowage.ServerRecord{
		ID: s.ID, ProjectID: s.ProjectID, Name: s.Name, Status: s.Status, FlavorID: s.Flavor.ID, ImageID: string(s.Image),
		Zone: s.Zone, KeyName: s.KeyName, Metadata: meta, Tags: s.Tags, Config: bool(s.Config), CreatedAt: s.Created.Time,
	}
}

func (s *serverBody) disks(attached []attachmentBody) []stowage.ServerDisk {
	deletes := map[string]bool{}
	for _, v := range s.Volumes {
		deletes[v.ID] = v.DeleteWithServer
	}
	var list []stowage.ServerDisk
	for _, a := range attached {
		list = append(list, stowage.ServerDisk{VolumeID: a.VolumeID, Device: a.Device, Tag: a.Tag, DeleteWithServer: deletes[a.VolumeID]})
	}
	slices.SortFunc(list, func(a, b stowage.ServerDisk) int { // vdb before vdaa
		return cmp.Or(cmp.Compare(len(a.Device), len(b.Device)), strings.Compare(a.Device, b.Device))
	})
	if s.Image != "" || len(list) == 0 {
		return list
	}
	boot := max(0, slices.IndexFunc(list, func(d stowage.ServerDisk) bool { return s.Root != "" && d.Device == s.Root }))
	root := list[boot]
	root.Boot = true
	return slices.Insert(slices.Delete(list, boot, boot+1), 0, root)
}

// segment makes a foreign id one part of a path, whatever is in it.
func segment(id string) string {
	if strings.Trim(id, ".") == "" {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}
