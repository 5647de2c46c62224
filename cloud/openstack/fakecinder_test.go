package openstack_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage/cloud/openstack"
)

const (
	fakeHost = "node1@ceph#ceph"
	fakeFSID = "2454cb0b-f051-42a8-8454-71a92565de4d"
)

// cinder is as much of Cinder as we use, with its statuses and its faults.
type cinder struct {
	mu          sync.Mutex
	volumes     map[string]map[string]any
	attachments map[string]map[string]any
	pools       []map[string]any
	requestIDs  []string
	versions    []string
}

func newCinder(t *testing.T) (*cinder, *rig) {
	c := &cinder{volumes: map[string]map[string]any{}, attachments: map[string]map[string]any{}}
	c.pool(fakeHost, "ceph:/etc/ceph/ceph.conf:"+fakeFSID+":cinder:volumes", "ceph")
	mux := http.NewServeMux()
	handle := func(pattern string, fn func(w http.ResponseWriter, r *http.Request, admin bool)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /v3/{project}"+path, func(w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if admin, ok := c.enter(w, r); ok {
				fn(w, r, admin)
			}
		})
	}
	handle("GET /volumes/{id}", c.show)
	handle("GET /volumes/detail", c.list)
	handle("POST /volumes", c.create)
	handle("POST /volumes/{id}/action", c.action)
	handle("PUT /volumes/{id}/metadata", c.metadata)
	handle("GET /attachments", c.listAttachments)
	handle("POST /attachments", c.attach)
	handle("DELETE /attachments/{id}", c.detach)
	handle("GET /scheduler-stats/get_pools", func(w http.ResponseWriter, _ *http.Request, _ bool) {
		reply(w, 200, map[string]any{"pools": c.pools})
	})
	return c, newRig(t, "/v3/"+serviceProject, mux)
}

func (c *cinder) pool(name, info, protocol string) {
	c.pools = append(c.pools, map[string]any{"name": name, "capabilities": map[string]any{
		"location_info": info, "storage_protocol": protocol, "total_capacity_gb": 1.5, "multiattach": true,
	}})
}

func open(t *testing.T, g *rig) *openstack.Volumes {
	t.Helper()
	v, err := openstack.NewVolumes(openstack.VolumesOptions{Options: g.options()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func refuse(w http.ResponseWriter, status int, name, message string) {
	reply(w, status, map[string]any{name: map[string]any{"code": status, "message": message}})
}

// enter checks the token, and that the URL is of its project.
func (c *cinder) enter(w http.ResponseWriter, r *http.Request) (admin, ok bool) {
	c.requestIDs = append(c.requestIDs, r.Header.Get("X-Openstack-Request-Id"))
	c.versions = append(c.versions, r.Header.Get("OpenStack-API-Version"))
	token := r.Header.Get("X-Auth-Token")
	project := map[string]string{demo.Token: demo.ProjectID, reader.Token: demo.ProjectID, alt.Token: alt.ProjectID}[token]
	if strings.HasPrefix(token, "token-service-") {
		project, admin = serviceProject, true
	}
	switch {
	case project == "":
		refuse(w, 401, "unauthorized", "The request you have made requires authentication.")
	case project != r.PathValue("project"):
		refuse(w, 400, "badRequest", "Malformed request url")
	default:
		return admin, true
	}
	return false, false
}

// find gives the volume, or answers 404.
func (c *cinder) find(w http.ResponseWriter, r *http.Request, id string, admin bool) map[string]any {
	vol := c.volumes[id]
	if vol == nil || (!admin && vol["os-vol-tenant-attr:tenant_id"] != r.PathValue("project")) {
		refuse(w, 404, "itemNotFound", "Volume "+id+" could not be found.")
		return nil
	}
	return vol
}

func (c *cinder) show(w http.ResponseWriter, r *http.Request, admin bool) {
	if vol := c.find(w, r, r.PathValue("id"), admin); vol != nil {
		told := vol
		if vol["status"] == "creating" { // made by the time it is looked at again
			vol["status"] = "available"
		}
		reply(w, 200, map[string]any{"volume": told})
	}
}

func (c *cinder) list(w http.ResponseWriter, r *http.Request, _ bool) {
	var want map[string]string
	if json.Unmarshal([]byte(r.URL.Query().Get("metadata")), &want) != nil {
		refuse(w, 400, "badRequest", "bad filter")
		return
	}
	marker := r.URL.Query().Get("marker")
	var found []map[string]any
	for id, vol := range c.volumes {
		meta, _ := vol["metadata"].(map[string]any)
		for k, v := range want {
			if meta[k] == v && vol["os-vol-tenant-attr:tenant_id"] == r.URL.Query().Get("project_id") && id > marker {
				found = append(found, vol)
			}
		}
	}
	slices.SortFunc(found, func(a, b map[string]any) int { return strings.Compare(a["id"].(string), b["id"].(string)) })
	reply(w, 200, map[string]any{"volumes": append([]map[string]any{}, found[:min(2, len(found))]...)})
}

func (c *cinder) create(w http.ResponseWriter, r *http.Request, _ bool) {
	var body struct {
		Volume struct {
			Name, Description, Volume_Type, Availability_Zone string //nolint:revive // as in JSON
			Size                                              int64
			Metadata                                          map[string]any
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	req := body.Volume
	switch {
	case r.Header.Get("X-Auth-Token") == reader.Token:
		refuse(w, 403, "forbidden", "Policy doesn't allow volume:create to be performed.")
	case req.Size > 100:
		refuse(w, 413, "overLimit", "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota.")
	case req.Volume_Type != "":
		refuse(w, 404, "itemNotFound", "Volume type with name "+req.Volume_Type+" could not be found.")
	case req.Availability_Zone != "":
		refuse(w, 400, "badRequest", "Availability zone '"+req.Availability_Zone+"' is invalid.")
	default:
		id := uuid.NewString()
		c.volumes[id] = map[string]any{
			"id": id, "name": req.Name, "description": req.Description, "size": req.Size, "status": "creating",
			"metadata": req.Metadata, "bootable": "false", "encrypted": false, "multiattach": false, "attachments": []any{},
			"os-vol-tenant-attr:tenant_id": r.PathValue("project"), "os-vol-host-attr:host": fakeHost,
			"os-vol-mig-status-attr:name_id": nil, "os-vol-mig-status-attr:migstat": nil, "volume_type": nil,
		}
		reply(w, 202, map[string]any{"volume": map[string]any{"id": id, "status": "creating", "size": req.Size, "metadata": req.Metadata}})
	}
}

func (c *cinder) action(w http.ResponseWriter, r *http.Request, admin bool) {
	vol := c.find(w, r, r.PathValue("id"), admin)
	if vol == nil {
		return
	}
	var body map[string]map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	if args, ok := body["os-reset_status"]; ok {
		if len(args) != 1 {
			refuse(w, 400, "badRequest", "attach_status must not be sent")
			return
		}
		vol["status"] = args["status"]
		w.WriteHeader(202)
	}
	if args, ok := body["os-set_image_metadata"]; ok {
		vol["volume_image_metadata"] = args["metadata"]
		reply(w, 200, args)
	}
	if args, ok := body["os-set_bootable"]; ok {
		vol["bootable"] = map[bool]string{true: "true", false: "false"}[args["bootable"] == true]
	}
}

func (c *cinder) metadata(w http.ResponseWriter, r *http.Request, admin bool) {
	vol := c.find(w, r, r.PathValue("id"), admin)
	if vol == nil {
		return
	}
	var body map[string]map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	vol["metadata"] = body["metadata"]
	reply(w, 200, body)
}

func (c *cinder) listAttachments(w http.ResponseWriter, r *http.Request, _ bool) {
	found := []map[string]any{}
	for _, a := range c.attachments {
		if a["volume_id"] == r.URL.Query().Get("volume_id") && r.URL.Query().Get("all_tenants") == "1" {
			found = append(found, a)
		}
	}
	reply(w, 200, map[string]any{"attachments": found})
}

func (c *cinder) attach(w http.ResponseWriter, r *http.Request, admin bool) {
	var body struct {
		Attachment map[string]any
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	volumeID, _ := body.Attachment["volume_uuid"].(string)
	vol := c.find(w, r, volumeID, admin)
	if vol == nil {
		return
	}
	multi := vol["multiattach"] == true && vol["status"] == "in-use"
	if vol["status"] != "available" && !multi {
		refuse(w, 400, "badRequest", "Invalid volume: Volume "+volumeID+" status must be available or downloading to reserve, but the current status is x.")
		return
	}
	vol["status"] = "reserved"
	a := map[string]any{"id": uuid.NewString(), "volume_id": volumeID, "instance": body.Attachment["instance_uuid"], "status": "reserved"}
	c.attachments[a["id"].(string)] = a
	reply(w, 200, map[string]any{"attachment": a})
}

func (c *cinder) detach(w http.ResponseWriter, r *http.Request, _ bool) {
	a := c.attachments[r.PathValue("id")]
	if a == nil {
		refuse(w, 404, "itemNotFound", "Volume attachment could not be found.")
		return
	}
	delete(c.attachments, r.PathValue("id"))
	left := "available"
	for _, other := range c.attachments {
		if other["volume_id"] == a["volume_id"] {
			left = other["status"].(string)
		}
	}
	if vol := c.volumes[a["volume_id"].(string)]; vol != nil {
		vol["status"] = map[string]string{"available": "available", "reserved": "reserved", "attached": "in-use"}[left]
	}
	reply(w, 200, map[string]any{"attachments": []any{}})
}

// volume makes one without asking, and gives its id.
func (c *cinder) volume(status string, more map[string]any) string {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"volume":{"size":1}}`))
	r.SetPathValue("project", demo.ProjectID)
	c.mu.Lock()
	defer c.mu.Unlock()
	w := httptest.NewRecorder()
	c.create(w, r, false)
	var made struct{ Volume struct{ ID string } }
	_ = json.Unmarshal(w.Body.Bytes(), &made)
	vol := c.volumes[made.Volume.ID]
	vol["status"] = status
	for k, v := range more {
		vol[k] = v
	}
	return made.Volume.ID
}

func (c *cinder) status(id string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.volumes[id]["status"]
}
