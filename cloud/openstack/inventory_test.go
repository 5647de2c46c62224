package openstack_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
)

// nova is as much of Nova as the inventory asks, in the forms of its documented
// samples for microversion 2.26, with Neutron, Keystone and Cinder beside it.
type nova struct {
	servers  []map[string]any // in the order of the list
	pageSize int              // Nova's own bound
	queries  []string
	versions []string
}

func newNova(t *testing.T) (*nova, *rig, *openstack.Inventory) {
	n := &nova{pageSize: 1000}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /compute/v2.1/servers/detail", n.list)
	mux.HandleFunc("GET /compute/v2.1/servers/{id}", n.show)
	mux.HandleFunc("GET /compute/v2.1/flavors/detail", listOf("flavors",
		map[string]any{"id": "1", "name": "m1.tiny", "ram": 512, "os-flavor-access:is_public": true},
		map[string]any{"id": "p", "name": "private", "ram": 512, "os-flavor-access:is_public": false}))
	mux.HandleFunc("GET /compute/v2.1/os-availability-zone", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"availabilityZoneInfo": []any{
			map[string]any{"hosts": nil, "zoneName": "nova", "zoneState": map[string]any{"available": true}}}})
	})
	mux.HandleFunc("GET /net/v2.0/networks", listOf("networks",
		map[string]any{"id": "n1", "name": "public", "shared": false, "router:external": true, "tenant_id": "adm", "project_id": "adm"},
		map[string]any{"id": "n2", "name": "mine", "shared": false, "router:external": false, "tenant_id": demo.ProjectID}))
	mux.HandleFunc("GET /identity/v3/projects", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"links": map[string]any{"next": nil}, "projects": []any{
			map[string]any{"id": demo.ProjectID, "name": "demo", "enabled": true, "domain_id": "default"}}})
	})
	mux.HandleFunc("GET /volume/v3/"+serviceProject+"/types", listOf("volume_types",
		map[string]any{"id": "t1", "name": "ceph", "is_public": true, "os-volume-type-access:is_public": true}))
	mux.HandleFunc("GET /volume/v3/"+serviceProject+"/volumes/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != rootVolume {
			refuse(w, 404, "itemNotFound", "Volume could not be found.")
			return
		}
		reply(w, 200, map[string]any{"volume": map[string]any{"id": rootVolume, "name": "root", "status": "available", "size": 5, "os-vol-tenant-attr:tenant_id": demo.ProjectID}})
	})
	mux.HandleFunc("GET /volume/v3/"+serviceProject+"/volumes/detail", listOf("volumes",
		map[string]any{"id": "v1", "name": "root", "status": "in-use", "size": 5, "volume_type": "ceph", "bootable": "true",
			"os-vol-tenant-attr:tenant_id": demo.ProjectID, "created_at": "2026-11-20T10:00:00.000000", "attachments": []any{
				map[string]any{"server_id": "s1", "attachment_id": "a1", "volume_id": "v1", "device": "/dev/vda", "id": "v1", "host_name": nil}}},
		map[string]any{"id": "v2", "name": nil, "status": "available", "size": 1, "os-vol-tenant-attr:tenant_id": demo.ProjectID, "attachments": []any{}}))
	g := newRig(t, "", mux)
	url := g.session.endpoint
	g.session.endpoints = map[string]string{
		"compute": url + "/compute/v2.1", "network": url + "/net", "identity": url + "/identity",
		"volumev3": url + "/volume/v3/" + serviceProject,
	}
	vols, err := openstack.NewVolumes(openstack.VolumesOptions{Options: g.options()})
	if err != nil {
		t.Fatal(err)
	}
	inventory, err := openstack.NewInventory(openstack.InventoryOptions{Options: g.options(), Volumes: vols})
	if err != nil {
		t.Fatal(err)
	}
	return n, g, inventory
}

// listOf answers with all of a list on the first page, and nothing behind it.
func listOf(key string, items ...map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("marker") != "" {
			items = nil
		}
		list := []map[string]any{}
		reply(w, 200, map[string]any{key: append(list, items...), key + "_links": []any{}})
	}
}

func (n *nova) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n.queries = append(n.queries, q.Encode())
	n.versions = append(n.versions, r.Header.Get("X-OpenStack-Nova-API-Version"))
	if q.Get("all_tenants") != "1" {
		refuse(w, 403, "forbidden", "no")
		return
	}
	since, _ := time.Parse(time.RFC3339, q.Get("changes-since"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	list, begun := []map[string]any{}, q.Get("marker") == ""
	for _, s := range n.servers {
		if begun && len(list) < min(limit, n.pageSize) && (!since.IsZero() || s["status"] != "DELETED") {
			updated, _ := time.Parse(time.RFC3339, s["updated"].(string))
			if !updated.Before(since) {
				list = append(list, s)
			}
		}
		begun = begun || s["id"] == q.Get("marker")
	}
	reply(w, 200, map[string]any{"servers": list})
}

// show gives a server that the list may lack; deleted ones are shown to nobody.
func (n *nova) show(w http.ResponseWriter, r *http.Request) {
	n.queries = append(n.queries, r.URL.Path)
	n.versions = append(n.versions, r.Header.Get("X-OpenStack-Nova-API-Version"))
	at := slices.IndexFunc(n.servers, func(s map[string]any) bool { return s["id"] == r.PathValue("id") && s["status"] != "DELETED" })
	if at < 0 {
		refuse(w, 404, "itemNotFound", "Instance could not be found.")
		return
	}
	reply(w, 200, map[string]any{"server": n.servers[at]})
}

func (n *nova) server(id, status, updated string) {
	n.servers = append(n.servers, map[string]any{
		"id": id, "name": "name of " + id, "status": status, "tenant_id": demo.ProjectID, "user_id": "u", "updated": updated,
		"created": "2026-11-01T00:00:00Z", "flavor": map[string]any{"id": "1", "links": []any{}}, "image": "", "key_name": nil, "tags": []string{"gold"},
		"OS-EXT-AZ:availability_zone": "nova", "OS-EXT-SRV-ATTR:host": "compute-1", "OS-EXT-STS:task_state": nil, "metadata": map[string]string{"a": "b"},
		"addresses": map[string]any{"private": []any{map[string]any{
			"addr": "192.168.0.3", "version": 4, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "aa:bb:cc:dd:ee:ff"}}},
		"os-extended-volumes:volumes_attached": []any{map[string]any{"id": "v1", "delete_on_termination": false}},
	})
}

func TestServersOfAllProjectsAreReadPageByPage(t *testing.T) {
	n, _, inventory := newNova(t)
	n.pageSize = 2
	for i := range 5 {
		n.server(fmt.Sprint("s", i), "ACTIVE", "2026-11-20T00:00:00Z")
	}
	n.server("gone", "DELETED", "2026-11-20T00:00:00Z")
	var got []cloud.Server
	add := func(s cloud.Server) error { got = append(got, s); return nil }
	if err := inventory.EachServer(t.Context(), time.Time{}, add); err != nil {
		t.Fatal(err)
	}
	want := cloud.Server{
		ID: "s0", ProjectID: demo.ProjectID, Name: "name of s0", Status: "ACTIVE", Zone: "nova", Host: "compute-1", FlavorID: "1",
		Tags: []string{"gold"}, Metadata: map[string]string{"a": "b"}, Volumes: []string{"v1"}, CreatedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Networks: []stowage.EntityNetwork{{Name: "private", Addresses: []string{"192.168.0.3"}, MAC: "aa:bb:cc:dd:ee:ff"}},
	}
	if len(got) != 5 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("%d servers, the first is %v, want %v", len(got), got[0], want)
	}
	if len(n.queries) != 4 || n.versions[0] != "2.26" {
		t.Errorf("asked %q in %q", n.queries, n.versions)
	}
}

func TestChangesTellWhatWasDeleted(t *testing.T) {
	n, _, inventory := newNova(t)
	n.server("old", "ACTIVE", "2026-11-19T00:00:00Z")
	n.server("gone", "DELETED", "2026-11-20T10:00:00Z")
	var got []string
	err := inventory.EachServer(t.Context(), time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), func(s cloud.Server) error {
		got = append(got, fmt.Sprint(s.ID, " ", s.Deleted))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"gone true"}) || !strings.Contains(n.queries[0], "changes-since=2026-11-20T00%3A00%3A00Z") {
		t.Errorf("%v, %v, asked %q", got, err, n.queries)
	}
}

func TestVolumesTellWhichServerTheyArePartOf(t *testing.T) {
	_, _, inventory := newNova(t)
	var got []cloud.Volume
	if err := inventory.EachVolume(t.Context(), func(v cloud.Volume) error { got = append(got, v); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].ServerID != "s1" || got[0].Device != "/dev/vda" || got[0].CreatedAt.Hour() != 10 || got[1].ServerID != "" {
		t.Errorf("%+v", got)
	}
}

func TestResourcesTellWhoMayUseThem(t *testing.T) {
	_, _, inventory := newNova(t)
	for kind, want := range map[stowage.ResourceKind]string{
		stowage.ResourceFlavor:     "[{flavor 1 m1.tiny  true} {flavor p private  false}]",
		stowage.ResourceNetwork:    "[{network n1 public adm true} {network n2 mine " + demo.ProjectID + " false}]",
		stowage.ResourceZone:       "[{zone nova nova  true}]",
		stowage.ResourceVolumeType: "[{volume-type t1 ceph  true}]",
		stowage.ResourceProject:    "[{project " + demo.ProjectID + " demo " + demo.ProjectID + " false}]",
	} {
		if got, err := inventory.Resources(t.Context(), kind); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v, want %s", kind, got, err, want)
		}
	}
}

func TestACloudWithoutNovaHasNoServers(t *testing.T) {
	n, g, inventory := newNova(t)
	n.server("s", "ACTIVE", "2026-11-20T00:00:00Z")
	delete(g.session.endpoints, "compute")
	delete(g.session.endpoints, "network")
	err := inventory.EachServer(t.Context(), time.Time{}, func(cloud.Server) error { t.Error("a server"); return nil })
	if err != nil {
		t.Error(err)
	}
	for _, kind := range []stowage.ResourceKind{stowage.ResourceFlavor, stowage.ResourceNetwork, stowage.ResourceZone} {
		if list, err := inventory.Resources(t.Context(), kind); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", kind, list, err)
		}
	}
}

func TestANovaThatIsAwayOrRefusesIsNoEmptyCloud(t *testing.T) {
	_, g, inventory := newNova(t)
	nothing := func(cloud.Server) error { return nil }
	g.answer("GET /compute", 503, "busy")
	wantCode(t, inventory.EachServer(t.Context(), time.Time{}, nothing), stowage.Unavailable)
	g.answer("GET /compute", 200, `{"something":"else"}`)
	wantCode(t, inventory.EachServer(t.Context(), time.Time{}, nothing), stowage.Unavailable)
	g.answer("GET /compute", 403, `{"forbidden":{"code":403,"message":"Policy doesn't allow all_tenants"}}`)
	wantCode(t, inventory.EachServer(t.Context(), time.Time{}, nothing), stowage.Forbidden)
}

func TestWhatIsNobodysIsNotShownToEverybody(t *testing.T) {
	n, g, inventory := newNova(t)
	n.server("s", "ACTIVE", "2026-11-20T00:00:00Z")
	delete(n.servers[0], "tenant_id")
	err := inventory.EachServer(t.Context(), time.Time{}, func(cloud.Server) error { t.Error("a server"); return nil })
	wantCode(t, err, stowage.Forbidden)
	g.answer("GET /volume", 200, `{"volumes":[{"id":"v1","status":"available","size":1}]}`)
	err = inventory.EachVolume(t.Context(), func(cloud.Volume) error { t.Error("a volume"); return nil })
	wantCode(t, err, stowage.Forbidden)
}

const aServer = "33333333-0000-4000-8000-000000000000"

func TestAServerIsGoneOnNovasOwnWordOnly(t *testing.T) {
	n, g, inventory := newNova(t)
	n.server(aServer, "ACTIVE", "2026-11-20T00:00:00Z")
	got, err := inventory.Server(t.Context(), aServer)
	var listed cloud.Server
	if err := inventory.EachServer(t.Context(), time.Time{}, func(s cloud.Server) error { listed = s; return nil }); err != nil {
		t.Fatal(err)
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(listed) || n.versions[0] != "2.26" {
		t.Errorf("alone it is %v, %v, in the list %v", got, err, listed)
	}
	n.servers[0]["status"] = "DELETED"
	missing := func() error { _, err := inventory.Server(t.Context(), aServer); return err }
	wantCode(t, missing(), stowage.NotFound)
	n.queries = nil
	for what, c := range map[string]struct {
		status int
		body   string
		code   stowage.Code
	}{
		"a cell is down":       {500, `{"computeFault":{"code":500,"message":"Cell c1 is not responding"}}`, stowage.Unavailable},
		"a proxy has no Nova":  {404, `<html>404 Not Found</html>`, stowage.Unavailable},
		"somebody else's word": {404, `{"error":{"code":404,"message":"Not here"}}`, stowage.Unavailable},
		"another server":       {200, `{"server":{"id":"x","status":"ACTIVE","tenant_id":"p"}}`, stowage.Unavailable},
		"nobody's":             {200, `{"server":{"id":"` + aServer + `","status":"ACTIVE"}}`, stowage.Forbidden},
		"not allowed":          {403, `{"forbidden":{"code":403,"message":"Policy"}}`, stowage.Forbidden},
	} {
		g.answer("GET /compute/v2.1/servers/", c.status, c.body)
		if err := missing(); stowage.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", what, err, c.code)
		}
	}
	delete(g.session.endpoints, "compute")
	wantCode(t, missing(), stowage.Unavailable)
}

func TestAVolumeIsGoneOnCindersOwnWordOnly(t *testing.T) {
	_, g, inventory := newNova(t)
	if v, err := inventory.Volume(t.Context(), rootVolume); err != nil || v.Name != "root" || v.ProjectID != demo.ProjectID {
		t.Errorf("%+v, %v", v, err)
	}
	missing := func() error { _, err := inventory.Volume(t.Context(), dataVolume); return err }
	wantCode(t, missing(), stowage.NotFound)
	g.answer("GET /volume", 404, "<html>404 Not Found</html>")
	wantCode(t, missing(), stowage.Unavailable)
	g.answer("GET /volume", 403, `{"forbidden":{"code":403,"message":"Policy"}}`)
	wantCode(t, missing(), stowage.Forbidden)
}
