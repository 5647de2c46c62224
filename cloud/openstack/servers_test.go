package openstack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// put makes a server as Nova tells it in microversion 2.26.
func (c *site) put(more map[string]any) string {
	id := uuid.NewString()
	server := map[string]any{
		"id": id, "status": "ACTIVE", "name": "web", "tenant_id": demo.ProjectID, "flavor": map[string]any{"id": "1"}, "image": "",
		"metadata": map[string]any{"a": "b", "stowage_restore": "old"}, "tags": []string{"gold"}, "config_drive": "True", "key_name": "key",
		"created": "2026-11-20T10:00:00Z", "OS-EXT-AZ:availability_zone": "az1", "OS-EXT-SRV-ATTR:root_device_name": "/dev/vdb",
		"os-extended-volumes:volumes_attached": []any{
			map[string]any{"id": dataVolume, "delete_on_termination": true}, map[string]any{"id": rootVolume, "delete_on_termination": false}},
	}
	for k, v := range more {
		server[k] = v
	}
	c.servers = append(c.servers, server)
	return id
}

func TestServerIsDescribed(t *testing.T) {
	c, g, s := newSite(t)
	id := c.put(nil)
	c.ports = append(c.ports, map[string]any{"id": "p1", "device_id": id, "network_id": "n1", "mac_address": "m", "created_at": "2026-11-20T00:00:00Z",
		"fixed_ips": []any{map[string]any{"ip_address": "10.0.0.5"}}, "security_groups": []string{"g1"}}, map[string]any{"id": "p2", "device_id": "other"})
	got, err := s.Server(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := stowage.ServerRecord{
		ID: id, ProjectID: demo.ProjectID, Name: "web", Status: "ACTIVE", FlavorID: "1", Flavor: "m1.tiny", Zone: "az1", KeyName: "key",
		Metadata: map[string]string{"a": "b"}, Tags: []string{"gold"}, Config: true, CreatedAt: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC),
		Ports: []stowage.ServerPort{{ID: "p1", NetworkID: "n1", Network: "name of n1", MAC: "m", Addresses: []string{"10.0.0.5"}, SecurityGroups: []string{"g1"}}},
		Disks: []stowage.ServerDisk{{VolumeID: rootVolume, Device: "/dev/vdb", Boot: true}, {VolumeID: dataVolume, Device: "/dev/vda", DeleteWithServer: true}},
	}
	if is, ought := asJSON(t, got), asJSON(t, want); is != ought {
		t.Errorf("got  %s\nwant %s", is, ought)
	}

	// From an image, of a flavor that is gone, in an old catalog, without Neutron.
	image := c.put(map[string]any{"image": map[string]any{"id": "img"}, "flavor": map[string]any{"id": "gone"}})
	url := strings.TrimSuffix(g.session.endpoints["compute"], "/compute/v2.1")
	g.session.endpoints = map[string]string{"compute": url + "/compute/v2.1", "volumev3": url + "/volume/v3"}
	got, err = s.Server(t.Context(), image)
	if err != nil || got.ImageID != "img" || got.Flavor != "" || got.FlavorID != "gone" || got.Disks[0].Boot || got.Ports != nil {
		t.Errorf("got %+v, %v", got, err)
	}

	for _, status := range []string{"DELETED", "SOFT_DELETED"} {
		_, err = s.Server(t.Context(), c.put(map[string]any{"status": status}))
		wantCode(t, err, stowage.NotFound)
	}
	broken := c.put(map[string]any{"status": "ERROR", "fault": map[string]any{"code": 500, "message": "No valid host\nwas found."}})
	if state, err := s.ServerState(t.Context(), broken); err != nil || state.Status != "ERROR" || state.Fault != "No valid host was found." {
		t.Errorf("state %+v, %v", state, err)
	}
	_, err = s.Server(t.Context(), c.put(map[string]any{"tenant_id": ""}))
	wantCode(t, err, stowage.Forbidden)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestServerIsBuiltInItsProject(t *testing.T) {
	c, _, s := newSite(t)
	req := serverWish()
	id, notes, err := s.BuildServer(t.Context(), demo.ProjectID, req)
	if err != nil || len(notes) > 0 {
		t.Fatalf("%q, %v", notes, err)
	}
	for _, w := range c.writes() {
		if !strings.HasSuffix(w, " token-in-"+demo.ProjectID) {
			t.Errorf("%s: not with the project's token", w)
		}
	}
	port := c.ports[0]
	want := fmt.Sprintf(`{"block_device_mapping_v2":[`+
		`{"boot_index":-1,"delete_on_termination":true,"destination_type":"volume","source_type":"volume","uuid":"%s"},`+
		`{"boot_index":0,"delete_on_termination":false,"destination_type":"volume","source_type":"volume","tag":"root","uuid":"%s"}],`+
		`"flavorRef":"1","metadata":{"a":"b","stowage_restore":"%s"},"name":"web","networks":[{"port":"%s"}]}`, dataVolume, rootVolume, req.Mark, port["id"])
	if got := asJSON(t, c.asked); got != want {
		t.Errorf("asked for\n%s\nwant\n%s", got, want)
	}
	if got := asJSON(t, []any{port["mac_address"], port["fixed_ips"], port["security_groups"], port["name"]}); got !=
		`["fa:16:3e:00:00:01",[{"ip_address":"10.0.0.5"},{"ip_address":"10.0.0.55"}],["g1"],"stowage-`+req.Mark+`"]` {
		t.Errorf("port %s", got)
	}
	again, _, err := s.BuildServer(t.Context(), demo.ProjectID, req)
	if n := c.writes(); err != nil || again != id || len(n) > 0 {
		t.Errorf("then %s, %v, wrote %q", again, err, n)
	}

	req = serverWish()
	req.ImageID, req.Ports = "img", nil
	if _, _, err = s.BuildServer(t.Context(), demo.ProjectID, req); err != nil {
		t.Fatal(err)
	}
	disks := c.asked["block_device_mapping_v2"].([]any)
	if first := disks[0].(map[string]any); len(disks) != 3 || first["source_type"] != "image" || first["boot_index"] != 0.0 ||
		disks[2].(map[string]any)["boot_index"] != -1.0 || c.asked["networks"] != "none" || c.asked["imageRef"] != "img" {
		t.Errorf("asked for %v", c.asked)
	}
	_, _, err = s.BuildServer(t.Context(), alt.ProjectID, req)
	wantCode(t, err, stowage.Forbidden)
}

func TestWhatIsGoneIsLeftOutAndNoted(t *testing.T) {
	c, _, s := newSite(t)
	req := serverWish()
	req.Zone, req.KeyName = "az9", "key"
	_, notes, err := s.BuildServer(t.Context(), demo.ProjectID, req)
	if err != nil || len(notes) != 2 || c.asked["availability_zone"] != nil || c.asked["key_name"] != nil {
		t.Errorf("asked for %v, noted %q, %v", c.asked, notes, err)
	}
	_, again, err := s.BuildServer(t.Context(), demo.ProjectID, req) // after a crash, they are told once more
	if err != nil || !slices.Equal(notes, again) {
		t.Errorf("then noted %q, %v", again, err)
	}
	c.keys = []string{"key"}
	req = serverWish()
	req.Zone, req.KeyName = "az1", "key"
	_, notes, err = s.BuildServer(t.Context(), demo.ProjectID, req)
	if err != nil || len(notes) != 0 || c.asked["availability_zone"] != "az1" || c.asked["key_name"] != "key" {
		t.Errorf("asked for %v, noted %q, %v", c.asked, notes, err)
	}
}

func TestOlderNovas(t *testing.T) {
	c, _, s := newSite(t)
	c.newest = "2.60"
	_, notes, err := s.BuildServer(t.Context(), demo.ProjectID, serverWish())
	if disk := c.asked["block_device_mapping_v2"].([]any)[0].(map[string]any); err != nil || len(notes) != 1 || disk["delete_on_termination"] != false {
		t.Errorf("asked for %v, noted %q, %v", c.asked, notes, err)
	}
	c, _, s = newSite(t)
	c.newest = "2.38"
	_, _, err = s.BuildServer(t.Context(), demo.ProjectID, serverWish())
	wantCode(t, err, stowage.Invalid)
}

// Each write works, fails, or works and its answer is lost.
func TestLostAnswersMakeNothingTwice(t *testing.T) {
	for _, what := range []string{"POST /compute/v2.1/servers", "POST /net/v2.0/ports"} {
		for _, lost := range []bool{true, false} {
			c, g, s := newSite(t)
			req := serverWish()
			var mended atomic.Bool
			hit := func(r *http.Request) bool { return !mended.Load() && r.Method+" "+r.URL.Path == what }
			if lost {
				g.lose = hit
			} else {
				g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
					if hit(r) {
						w.WriteHeader(503)
					}
					return hit(r)
				})
			}
			id, _, err := s.BuildServer(t.Context(), demo.ProjectID, req)
			if found := lost && strings.HasSuffix(what, "servers"); found != (err == nil) {
				t.Errorf("%s, lost %v: %s, %v", what, lost, id, err)
			} else if !found {
				wantCode(t, err, stowage.Unavailable)
			}
			mended.Store(true)
			if _, _, err = s.BuildServer(t.Context(), demo.ProjectID, req); err != nil {
				t.Errorf("%s, lost %v, again: %v", what, lost, err)
			}
			if c.writes(); len(c.servers) != 1 || len(c.ports) != 1 {
				t.Errorf("%s, lost %v: %d servers, %d ports", what, lost, len(c.servers), len(c.ports))
			}
		}
	}
}

// Two requests crossed: the second finds the volumes taken, by the first.
func TestRefusedBecauseItIsThere(t *testing.T) {
	c, g, s := newSite(t)
	req := serverWish()
	g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method+" "+r.URL.Path != "POST /compute/v2.1/servers" {
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.put(map[string]any{"metadata": map[string]any{"stowage_restore": req.Mark}})
		refuse(w, 400, "badRequest", "Invalid volume: status must be 'available'.")
		return true
	})
	if id, _, err := s.BuildServer(t.Context(), demo.ProjectID, req); err != nil || id != c.servers[0]["id"] {
		t.Errorf("%s, %v", id, err)
	}
}

func TestBuildIsRefused(t *testing.T) {
	for _, c := range []struct {
		at     string
		status int
		body   string
		code   stowage.Code
	}{
		{"servers", 403, `{"forbidden":{"code":403,"message":"Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"}}`, stowage.OverLimit},
		{"servers", 400, `{"badRequest":{"code":400,"message":"Flavor 1 could not be found."}}`, stowage.Invalid},
		{"servers", 404, `{"itemNotFound":{"code":404,"message":"Flavor 1 could not be found."}}`, stowage.Invalid},
		{"servers", 409, `{"conflictingRequest":{"code":409,"message":"Port is in use."}}`, stowage.Conflict},
		{"servers", 403, `{"forbidden":{"code":403,"message":"Policy doesn't allow it."}}`, stowage.Forbidden},
		{"servers", 500, `{"computeFault":{"code":500,"message":"secret"}}`, stowage.Unavailable},
		{"ports", 409, `{"NeutronError":{"type":"OverQuota","message":"Quota exceeded for resources: ['port'].","detail":""}}`, stowage.OverLimit},
		{"ports", 404, `{"NeutronError":{"type":"NetworkNotFound","message":"Network n1 could not be found.","detail":""}}`, stowage.Invalid},
		{"ports", 409, `{"NeutronError":{"type":"IpAddressGenerationFailure","message":"No more IP addresses available on network n1.","detail":""}}`, stowage.Conflict},
	} {
		_, g, s := newSite(t)
		path := map[string]string{"servers": "POST /compute/v2.1/servers", "ports": "POST /net/v2.0/ports"}[c.at]
		g.answer(path, c.status, c.body)
		_, _, err := s.BuildServer(t.Context(), demo.ProjectID, serverWish())
		wantCode(t, err, c.code)
		if c.status < 500 && !strings.Contains(c.body, stowage.MessageOf(err)) {
			t.Errorf("told %q of %s", stowage.MessageOf(err), c.body)
		}
	}
}

func TestRemoveVolumeThatIsGoing(t *testing.T) {
	c, _, s := newSite(t)
	c.volumes[rootVolume], c.volumes[dataVolume] = "deleting", "in-use"
	if err := s.RemoveVolume(t.Context(), demo.ProjectID, rootVolume); err != nil {
		t.Error(err)
	}
	wantCode(t, s.RemoveVolume(t.Context(), demo.ProjectID, dataVolume), stowage.Conflict)
	if err := s.RemoveVolume(t.Context(), demo.ProjectID, uuid.NewString()); err != nil {
		t.Error(err) // gone between Cinder's refusal and our look
	}
}

func TestSecurityGroupsAreTheProjectsAndWhatIsShared(t *testing.T) {
	_, g, s := newSite(t)
	got, err := s.SecurityGroups(t.Context(), demo.ProjectID)
	want := []cloud.SecurityGroup{{ID: "g1", Name: "name of g1"}, {ID: "g2", Name: "name of g2"}, {ID: "all", Name: "everybody's"}, {ID: "old", Name: "default"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("groups %v, %v", got, err)
	}
	delete(g.session.endpoints, "network")
	if got, err := s.SecurityGroups(t.Context(), demo.ProjectID); err != nil || len(got) != 0 {
		t.Errorf("without Neutron %v, %v", got, err)
	}
}
