package openstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
)

// inProject is the service's session in another project; its tokens say which.
type inProject struct {
	*session
	project string
}

func (s inProject) ProjectID(ctx context.Context) (string, error) { return s.project, nil }
func (s inProject) Token(ctx context.Context) (string, error) {
	return "token-in-" + s.project, s.session.err
}
func (s inProject) Endpoint(ctx context.Context, types ...string) (string, error) {
	url, err := s.session.Endpoint(ctx, types...)
	return strings.Replace(url, serviceProject, s.project, 1), err
}
func (s inProject) Refused(string) {}

// site is as much of Nova, Neutron and Cinder as building a server takes. Servers are
// as they are put; what they hang on goes as they go.
type site struct {
	mu      sync.Mutex
	newest  string // of Nova's microversions
	status  string // of new servers
	stays   bool   // servers that are deleted do not go
	zones   []string
	keys    []string
	groups  []string
	servers []map[string]any
	ports   []map[string]any
	volumes map[string]string // status by id
	asked   map[string]any    // the last server asked for
	refuse  func(port map[string]any) (status int, kind, message string)
	fakeImages
	did []string // writes, each with whose token
}

func newSite(t *testing.T) (*site, *rig, *openstack.Servers) {
	t.Helper()
	c := &site{newest: "2.93", status: "ACTIVE", zones: []string{"az1"}, groups: []string{"g1", "g2"}, volumes: map[string]string{}}
	mux := http.NewServeMux()
	handle := func(pattern string, fn http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if r.Method != http.MethodGet {
				c.did = append(c.did, fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("X-Auth-Token")))
			}
			fn(w, r)
		})
	}
	handle("GET /compute/v2.1/{$}", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"version": map[string]any{"id": "v2.1", "version": c.newest, "min_version": "2.1"}})
	})
	handle("GET /compute/v2.1/flavors/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "1" {
			refuse(w, 404, "itemNotFound", "Flavor could not be found.")
			return
		}
		reply(w, 200, map[string]any{"flavor": map[string]any{"id": "1", "name": "m1.tiny"}})
	})
	handle("GET /compute/v2.1/os-keypairs/{name}", func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(c.keys, r.PathValue("name")) {
			refuse(w, 404, "itemNotFound", "Keypair not found for user.")
			return
		}
		reply(w, 200, map[string]any{"keypair": map[string]any{"name": r.PathValue("name")}})
	})
	handle("GET /compute/v2.1/os-availability-zone", func(w http.ResponseWriter, _ *http.Request) {
		list := []map[string]any{}
		for _, z := range c.zones {
			list = append(list, map[string]any{"zoneName": z, "zoneState": map[string]any{"available": true}, "hosts": nil})
		}
		reply(w, 200, map[string]any{"availabilityZoneInfo": list})
	})
	handle("GET /compute/v2.1/servers/detail", c.listServers)
	handle("POST /compute/v2.1/servers", c.makeServer)
	handle("GET /compute/v2.1/servers/{id}", c.showServer)
	handle("GET /compute/v2.1/servers/{id}/os-volume_attachments", c.attachments)
	handle("PUT /compute/v2.1/servers/{id}/os-volume_attachments/{volume}", c.keep)
	handle("POST /compute/v2.1/servers/{id}/action", c.act)
	handle("DELETE /compute/v2.1/servers/{id}", c.dropServer)
	handle("GET /net/v2.0/ports", c.listPorts)
	handle("POST /net/v2.0/ports", c.makePort)
	handle("DELETE /net/v2.0/ports/{id}", func(w http.ResponseWriter, r *http.Request) {
		c.ports = slices.DeleteFunc(c.ports, func(p map[string]any) bool { return p["id"] == r.PathValue("id") })
		w.WriteHeader(204)
	})
	handle("GET /net/v2.0/networks/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"network": map[string]any{"id": r.PathValue("id"), "name": "name of " + r.PathValue("id")}})
	})
	handle("GET /net/v2.0/security-groups", func(w http.ResponseWriter, r *http.Request) {
		list := []map[string]any{}
		for _, g := range c.groups {
			list = append(list, map[string]any{"id": g, "name": "name of " + g, "project_id": demo.ProjectID})
		}
		list = append(list, map[string]any{"id": "theirs", "name": "theirs", "project_id": "alt"},
			map[string]any{"id": "all", "name": "everybody's", "project_id": "alt", "shared": true},
			map[string]any{"id": "old", "name": "default", "tenant_id": demo.ProjectID})
		if r.FormValue("marker") != "" {
			list = []map[string]any{}
		}
		reply(w, 200, map[string]any{"security_groups": list})
	})
	handle("GET /volume/v3/{project}/volumes/{id}", func(w http.ResponseWriter, r *http.Request) {
		if c.volumes[r.PathValue("id")] == "" {
			refuse(w, 404, "itemNotFound", "Volume could not be found.")
			return
		}
		reply(w, 200, map[string]any{"volume": map[string]any{"id": r.PathValue("id"), "status": c.volumes[r.PathValue("id")], "size": 1, "os-vol-tenant-attr:tenant_id": demo.ProjectID}})
	})
	handle("DELETE /volume/v3/{project}/volumes/{id}", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 400, "badRequest", "Invalid volume: Volume status must be available or error.")
	})
	c.serveImages(handle)
	g := newRig(t, "", mux)
	url := g.session.endpoint
	g.session.endpoints = map[string]string{"compute": url + "/compute/v2.1", "network": url + "/net", "image": url + "/image", "volumev3": url + "/volume/v3/" + serviceProject}
	return c, g, openSite(t, g)
}

func openSite(t *testing.T, g *rig) *openstack.Servers {
	t.Helper()
	o := g.options()
	o.InProject = func(project string) (openstack.Session, error) {
		if project == alt.ProjectID {
			return nil, stowage.Errorf(stowage.Forbidden, "The backup service has no rights in project %s.", project)
		}
		return inProject{g.session, project}, nil
	}
	v, err := openstack.NewVolumes(openstack.VolumesOptions{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openstack.NewServers(openstack.ServersOptions{Options: o, Volumes: v})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *site) listServers(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	if r.URL.Query().Get("marker") == "" {
		list = append(list, c.servers...)
	}
	reply(w, 200, map[string]any{"servers": list})
}

func (c *site) find(id string) map[string]any {
	at := slices.IndexFunc(c.servers, func(s map[string]any) bool { return s["id"] == id })
	if at < 0 {
		return nil
	}
	return c.servers[at]
}

func (c *site) showServer(w http.ResponseWriter, r *http.Request) {
	server := c.find(r.PathValue("id"))
	if server == nil {
		refuse(w, 404, "itemNotFound", "Instance could not be found.")
		return
	}
	reply(w, 200, map[string]any{"server": server})
}

func (c *site) makeServer(w http.ResponseWriter, r *http.Request) {
	var body struct{ Server map[string]any }
	_ = json.NewDecoder(r.Body).Decode(&body)
	c.asked = body.Server
	var volumes []any
	for _, d := range body.Server["block_device_mapping_v2"].([]any) {
		d := d.(map[string]any)
		volumes = append(volumes, map[string]any{"id": d["uuid"], "delete_on_termination": d["delete_on_termination"]})
		c.volumes[d["uuid"].(string)] = "in-use"
	}
	id := uuid.NewString()
	c.servers = append(c.servers, map[string]any{
		"id": id, "status": c.status, "tenant_id": demo.ProjectID, "metadata": body.Server["metadata"], "OS-EXT-SRV-ATTR:host": "h",
		"flavor": map[string]any{"id": body.Server["flavorRef"]}, "image": "", "name": body.Server["name"], "os-extended-volumes:volumes_attached": volumes,
	})
	reply(w, 202, map[string]any{"server": map[string]any{"id": id}})
}

func (c *site) attachments(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for i, v := range c.find(r.PathValue("id"))["os-extended-volumes:volumes_attached"].([]any) {
		list = append(list, map[string]any{"volumeId": v.(map[string]any)["id"], "device": fmt.Sprintf("/dev/vd%c", 'a'+i), "tag": nil})
	}
	reply(w, 200, map[string]any{"volumeAttachments": list})
}

func (c *site) keep(w http.ResponseWriter, r *http.Request) {
	for _, v := range c.find(r.PathValue("id"))["os-extended-volumes:volumes_attached"].([]any) {
		if v := v.(map[string]any); v["id"] == r.PathValue("volume") {
			v["delete_on_termination"] = false
		}
	}
	w.WriteHeader(202)
}

func (c *site) dropServer(w http.ResponseWriter, r *http.Request) {
	server := c.find(r.PathValue("id"))
	w.WriteHeader(map[bool]int{true: 202, false: 204}[r.Method == http.MethodPost])
	if c.stays || server == nil {
		return
	}
	c.servers = slices.DeleteFunc(c.servers, func(s map[string]any) bool { return s["id"] == server["id"] })
	for _, v := range server["os-extended-volumes:volumes_attached"].([]any) {
		v := v.(map[string]any)
		if c.volumes[v["id"].(string)] = "available"; v["delete_on_termination"] == true {
			delete(c.volumes, v["id"].(string))
		}
	}
}

func (c *site) listPorts(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for _, p := range c.ports {
		fits := true
		for key, value := range r.URL.Query() {
			fits = fits && (p[key] == nil || p[key] == value[0])
		}
		if fits {
			list = append(list, p)
		}
	}
	reply(w, 200, map[string]any{"ports": list})
}

func (c *site) makePort(w http.ResponseWriter, r *http.Request) {
	var body struct{ Port map[string]any }
	_ = json.NewDecoder(r.Body).Decode(&body)
	if c.refuse != nil {
		if status, kind, message := c.refuse(body.Port); status != 0 {
			reply(w, status, map[string]any{"NeutronError": map[string]any{"type": kind, "message": message, "detail": ""}})
			return
		}
	}
	p := map[string]any{
		"id": uuid.NewString(), "project_id": demo.ProjectID, "device_id": "", "mac_address": "fa:16:3e:ff:ff:ff", "created_at": "2026-11-20T00:00:00Z",
		"fixed_ips": []any{map[string]any{"ip_address": "10.0.0.200"}}, "security_groups": []string{"default"},
	}
	maps.Copy(p, body.Port)
	c.ports = append(c.ports, p)
	reply(w, 201, map[string]any{"port": p})
}

// writes gives what was written since the last call, by which token.
func (c *site) writes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	did := c.did
	c.did = nil
	return did
}

const (
	rootVolume = "11111111-0000-4000-8000-000000000000"
	dataVolume = "22222222-0000-4000-8000-000000000000"
)

func serverWish() cloud.ServerRequest {
	return cloud.ServerRequest{
		Name: "web", FlavorID: "1", Mark: uuid.NewString(), Metadata: map[string]string{"a": "b"},
		Volumes: []stowage.ServerDisk{{VolumeID: dataVolume, DeleteWithServer: true}, {VolumeID: rootVolume, Boot: true, Tag: "root"}},
		Ports: []stowage.ServerPort{{NetworkID: "n1", Network: "net", MAC: "fa:16:3e:00:00:01", Addresses: []string{"10.0.0.5", "10.0.0.55"},
			SecurityGroups: []string{"g1"}}},
	}
}
