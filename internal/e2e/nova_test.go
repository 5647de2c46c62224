//go:build stack

package e2e

import (
	"net/http"
	"slices"

	"github.com/stowage/stowage/internal/stacktest"
)

// server is a server as Nova shows it.
type server struct {
	ID, Name, Status string
	Metadata         map[string]string
	Addresses        map[string][]struct {
		Addr string
		MAC  string `json:"OS-EXT-IPS-MAC:mac_addr"`
	}
}

// attached is a volume of a server, as Nova tells it.
type attached struct {
	VolumeID string `json:"volumeId"`
	Device   string
}

func (u *user) nova(method, path string, body any) answer {
	u.t.Helper()
	return u.call(method, stacktest.Env(u.t, "NOVA_URL")+path, body, map[string]string{"OpenStack-API-Version": "compute 2.79"})
}

// boot makes a server that boots from the first of the volumes and has the others
// attached, in the network that the stack has, and waits until it is active.
func (s *site) boot(u *user, name string, volumes ...string) server {
	s.Helper()
	var flavors struct{ Flavors []struct{ ID, Name string } }
	u.nova(http.MethodGet, "/flavors", nil).want(s, 200).into(s, &flavors)
	at := slices.IndexFunc(flavors.Flavors, func(f struct{ ID, Name string }) bool { return f.Name == "m1.tiny" })
	if at < 0 {
		s.Fatalf("there is no flavor m1.tiny among %v", flavors.Flavors)
	}
	var disks []fields
	for i, v := range volumes {
		index := -1
		if i == 0 {
			index = 0
			u.action(v, "os-set_bootable", fields{"bootable": true}, 200)
		}
		disks = append(disks, fields{"boot_index": index, "uuid": v, "source_type": "volume", "destination_type": "volume"})
	}
	var made struct{ Server server }
	u.nova(http.MethodPost, "/servers", fields{"server": fields{
		"name": name, "flavorRef": flavors.Flavors[at].ID, "networks": []fields{{"uuid": stacktest.Env(s, "PRIVATE_NETWORK_ID")}},
		"block_device_mapping_v2": disks, "metadata": map[string]string{"role": name},
	}}).want(s, 202).into(s, &made)
	s.Cleanup(func() { s.scrap(made.Server.ID) })
	var now server
	until(s, "server "+name+" is active", func() bool {
		now = s.serverOf(u, made.Server.ID)
		if now.Status == "ERROR" {
			s.Fatalf("server %s: %s", name, u.nova(http.MethodGet, "/servers/"+made.Server.ID, nil).body)
		}
		return now.Status == "ACTIVE"
	})
	return now
}

// serverOf gives a server; its status is "" if there is none.
func (s *site) serverOf(u *user, id string) (v server) {
	s.Helper()
	a := u.nova(http.MethodGet, "/servers/"+id, nil).want(s, 200, 404)
	if a.status == http.StatusOK {
		a.into(s, &struct{ Server *server }{&v})
	}
	return v
}

// scrap deletes a server and waits until it is gone.
func (s *site) scrap(id string) {
	s.Helper()
	s.admin.nova(http.MethodDelete, "/servers/"+id, nil).want(s, 204, 404)
	until(s, "server "+id+" is gone", func() bool { return s.serverOf(s.admin, id).Status == "" })
}

// attachedTo gives the volumes of a server by the names of their devices.
func (s *site) attachedTo(u *user, id string) (list []attached) {
	s.Helper()
	var got struct {
		List []attached `json:"volumeAttachments"`
	}
	u.nova(http.MethodGet, "/servers/"+id+"/os-volume_attachments", nil).want(s, 200).into(s, &got)
	slices.SortFunc(got.List, func(a, b attached) int {
		if a.Device < b.Device {
			return -1
		}
		return 1
	})
	return got.List
}

// address gives the one address of a server, and its port's.
func (v server) address() (ip, mac string) {
	for _, list := range v.Addresses {
		for _, a := range list {
			return a.Addr, a.MAC
		}
	}
	return "", ""
}

// named gives the project's servers of this name.
func (s *site) named(u *user, name string) (ids []string) {
	s.Helper()
	var got struct{ Servers []server }
	u.nova(http.MethodGet, "/servers/detail?name="+name, nil).want(s, 200).into(s, &got)
	for _, v := range got.Servers {
		if v.Name == name {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// networks gives the networks that the user sees.
func (s *site) networks(u *user) (names []string) {
	s.Helper()
	var got struct{ Networks []struct{ ID, Name string } }
	u.call(http.MethodGet, stacktest.Env(s, "NEUTRON_URL")+"/v2.0/networks", nil, nil).want(s, 200).into(s, &got)
	for _, n := range got.Networks {
		names = append(names, n.Name+" "+n.ID)
	}
	slices.Sort(names)
	return names
}
