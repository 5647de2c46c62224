package vendor

import (
	"net/http"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/service"
)

// restoreServer begins the restore of a server's volumes, with the server behind it
// unless they are all that is wanted.
func (a *API) restoreServer(w http.ResponseWriter, r request, p service.Point, body restoreBody, volumesOnly bool) error {
	req := service.RebuildRequest{
		VolumesOnly: volumesOnly, Name: string(body.Name), Overwrite: bool(body.Overwrite), Priority: priority(body.Priority),
		Types: map[string]string{}, Names: map[string]string{},
	}
	var err error
	if req.FlavorID, err = a.chosen(r, stowage.ResourceFlavor, body.Flavor.GUID, "flavor"); err != nil {
		return err
	}
	if zone, err := a.chosen(r, stowage.ResourceZone, string(body.Zone), "availability zone"); err != nil {
		return err
	} else if zone != "" {
		req.Zone = zone
	}
	if !bool(body.ToOriginal) {
		if req.Type, err = a.volumeType(r, string(body.StorageID)); err != nil {
			return err
		}
	}
	for _, f := range body.Files {
		switch guid := f.File.GUID; {
		case guid == "":
		case bool(f.Excluded):
			req.Left = append(req.Left, guid)
		default:
			if !bool(body.ToOriginal) {
				if req.Types[guid], err = a.volumeType(r, string(f.Storage)); err != nil {
					return err
				}
			}
			if given(string(f.Name)) && f.Name != f.Original {
				req.Names[guid] = string(f.Name)
			}
		}
	}
	if req.Networks, err = a.networks(r, p.Server, body.Networks); err != nil {
		return err
	}
	j, err := a.Service.RestoreServer(r.Context(), api.User(r.Request, r.caller), r.scope, p.UUID, req)
	if err != nil {
		return err
	}
	t := service.Task{Job: j, Entity: p.Entity, Target: service.Entity{ID: p.Entity.ID, Name: j.Params.Rebuild.Name}, Backup: &p.Backup}
	api.WriteJSON(w, http.StatusOK, a.taskView(r, t))
	return nil
}

// networks reads what is wished of the interfaces of a server that was so. The networks
// that they were in are taken without being shown to the caller.
func (a *API) networks(r request, was *stowage.ServerRecord, wishes []netWish) ([]service.NetworkWish, error) {
	var ports []stowage.ServerPort
	if was != nil {
		ports = was.Ports
	}
	var out []service.NetworkWish
	for _, n := range wishes {
		w := service.NetworkWish{Port: n.Card.GUID, NetworkID: n.Network.GUID}
		if w.Port == "" && slices.ContainsFunc(ports, func(p stowage.ServerPort) bool { return p.ID == n.Card.Name || p.MAC == n.Card.Name }) {
			w.Port = n.Card.Name
		}
		if !slices.ContainsFunc(ports, func(p stowage.ServerPort) bool { return p.NetworkID == n.Network.GUID }) {
			var err error
			if w.NetworkID, err = a.chosen(r, stowage.ResourceNetwork, n.Network.GUID, "network"); err != nil {
				return nil, err
			}
		}
		if bool(n.MACSet) {
			w.MAC = string(n.MAC)
		}
		for _, g := range n.SecurityGroups {
			w.SecurityGroups = append(w.SecurityGroups, g.GUID)
		}
		out = append(out, w)
	}
	return out, nil
}

// chosen gives the id of a resource that the caller may choose, by its id or its name;
// empty for none.
func (a *API) chosen(r request, kind stowage.ResourceKind, named, what string) (string, error) {
	if !given(named) {
		return "", nil
	}
	list, err := r.resources(a, kind)
	if err != nil {
		return "", err
	}
	for _, one := range list {
		if one.ID == named || one.Name == named {
			return one.ID, nil
		}
	}
	return "", stowage.Errorf(stowage.Invalid, "There is no %s %.64s.", what, named)
}
