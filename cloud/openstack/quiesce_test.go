package openstack_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// fakeImages is what Nova's image of a server leaves in Glance and Cinder.
type fakeImages struct {
	images, snapshots []map[string]any
	refuseImage       int      // the status that Nova gives to whoever asks for an image
	statuses          []string // of the snapshots, look by look; the last one stays
	refuseSnapshot    int      // the status that Cinder gives to whoever asks for a snapshot
	clings            bool     // snapshots that are removed do not go
	vanish            int      // so many pages of snapshots begin behind one that is gone
}

func (c *site) serveImages(handle func(string, http.HandlerFunc)) {
	list := func(key string, all *[]map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			found := []map[string]any{}
			if r.URL.Query().Get("marker") == "" {
				found = append(found, *all...)
			}
			reply(w, 200, map[string]any{key: found})
		}
	}
	handle("GET /image/v2/images", list("images", &c.images))
	handle("DELETE /image/v2/images/{id}", func(w http.ResponseWriter, r *http.Request) {
		c.images = slices.DeleteFunc(c.images, func(i map[string]any) bool { return i["id"] == r.PathValue("id") })
		w.WriteHeader(204)
	})
	handle("GET /volume/v3/{project}/snapshots/detail", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("marker") != "" && c.vanish > 0 {
			c.vanish--
			refuse(w, 404, "itemNotFound", "Snapshot could not be found.")
			return
		}
		if r.URL.Query().Get("marker") == "" && len(c.statuses) > 0 {
			for _, s := range c.snapshots {
				s["status"] = c.statuses[0]
			}
			c.statuses = c.statuses[min(1, len(c.statuses)-1):]
		}
		list("snapshots", &c.snapshots)(w, r)
	})
	handle("POST /volume/v3/{project}/snapshots", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Snapshot map[string]any }
		switch err := json.NewDecoder(r.Body).Decode(&ask); {
		case err != nil || ask.Snapshot["force"] != true:
			refuse(w, 400, "badRequest", "Invalid volume: It is in use.")
			return
		case c.refuseSnapshot != 0:
			refuse(w, c.refuseSnapshot, "overLimit", "SnapshotLimitExceeded: Maximum number of snapshots allowed (10) exceeded")
			return
		}
		ask.Snapshot["id"], ask.Snapshot["status"] = uuid.NewString(), "available"
		c.snapshots = append(c.snapshots, ask.Snapshot)
		reply(w, 202, map[string]any{"snapshot": ask.Snapshot})
	})
	handle("DELETE /volume/v3/{project}/snapshots/{id}", func(w http.ResponseWriter, r *http.Request) {
		at := slices.IndexFunc(c.snapshots, func(s map[string]any) bool { return s["id"] == r.PathValue("id") })
		switch {
		case at < 0:
			refuse(w, 404, "itemNotFound", "Snapshot could not be found.")
			return
		case c.snapshots[at]["status"] != "available":
			refuse(w, 400, "badRequest", "Invalid snapshot: Snapshot status must be available or error.")
			return
		case !c.clings:
			c.snapshots = slices.Delete(c.snapshots, at, at+1)
		}
		w.WriteHeader(202)
	})
}

// act does what is asked of a server.
func (c *site) act(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var ask struct {
		CreateImage *struct{ Name string } `json:"createImage"`
	}
	if json.Unmarshal(raw, &ask) != nil || ask.CreateImage == nil {
		r.Body = io.NopCloser(bytes.NewReader(raw))
		c.dropServer(w, r)
		return
	}
	if c.refuseImage != 0 {
		refuse(w, c.refuseImage, "forbidden", "Quota exceeded, too many snapshots.")
		return
	}
	for _, v := range c.find(r.PathValue("id"))["os-extended-volumes:volumes_attached"].([]any) {
		c.snapshots = append(c.snapshots, map[string]any{
			"id": uuid.NewString(), "name": "Schnappschuss von " + ask.CreateImage.Name, "volume_id": v.(map[string]any)["id"], "status": "available",
		})
	}
	c.images = append(c.images, map[string]any{"id": uuid.NewString(), "name": ask.CreateImage.Name, "owner": demo.ProjectID})
	w.WriteHeader(202)
}

func everyVolume(string) bool { return true }

// What is there of others, in whatever state, stays as it is.
func TestSnapshotsOfAServer(t *testing.T) {
	c, _, s := newSite(t)
	id, mark := c.put(nil), uuid.NewString()
	c.images = []map[string]any{
		{"id": uuid.NewString(), "name": "stowage-" + mark, "owner": "another"},
		{"id": uuid.NewString(), "name": "mine", "owner": demo.ProjectID},
	}
	c.snapshots = []map[string]any{{"id": uuid.NewString(), "name": "snapshot for stowage-" + uuid.NewString(), "volume_id": dataVolume, "status": "error"}}
	c.writes()
	taken, err := s.SnapshotServer(t.Context(), demo.ProjectID, id, mark)
	if err != nil || len(taken) != 2 || taken[rootVolume] == "" || taken[dataVolume] == "" {
		t.Fatalf("took %v, %v", taken, err)
	}
	if len(c.images) != 2 {
		t.Errorf("images: %v", c.images)
	}
	for _, w := range c.writes() {
		if !strings.HasSuffix(w, "token-in-"+demo.ProjectID) {
			t.Errorf("not in the project: %s", w)
		}
	}
	if err := s.RemoveServerSnapshots(t.Context(), demo.ProjectID, mark, everyVolume); err != nil {
		t.Fatal(err)
	}
	if len(c.snapshots) != 1 {
		t.Errorf("snapshots: %v", c.snapshots)
	}
}

func TestSnapshotsOfAServerAreWaitedFor(t *testing.T) {
	for what, one := range map[string]struct {
		statuses []string
		code     stowage.Code
	}{
		"made in time":    {[]string{"creating", "creating", "available"}, ""},
		"never made":      {[]string{"creating"}, stowage.Unavailable},
		"made in vain":    {[]string{"creating", "error"}, stowage.Unavailable},
		"deleted by some": {[]string{"deleting"}, stowage.Unavailable},
	} {
		c, _, s := newSite(t)
		c.statuses = one.statuses
		if _, err := s.SnapshotServer(t.Context(), demo.ProjectID, c.put(nil), uuid.NewString()); (err == nil) != (one.code == "") || err != nil && stowage.CodeOf(err) != one.code {
			t.Errorf("%s: %v, want code %q", what, err, one.code)
		}
	}
}

// A server with a disk of its own would have that uploaded, all of it.
func TestNoImageOfAServerThatDoesNotBootFromAVolume(t *testing.T) {
	c, _, s := newSite(t)
	id := c.put(map[string]any{"image": map[string]any{"id": "img"}})
	c.writes()
	if _, err := s.SnapshotServer(t.Context(), demo.ProjectID, id, uuid.NewString()); stowage.CodeOf(err) != stowage.Invalid || len(c.writes()) != 0 {
		t.Errorf("%v, want it refused, and nothing asked for", err)
	}
	c.refuseImage = 403
	_, err := s.SnapshotServer(t.Context(), demo.ProjectID, c.put(nil), uuid.NewString())
	if stowage.CodeOf(err) != stowage.OverLimit || len(c.snapshots) != 0 {
		t.Errorf("without quota: %v", err)
	}
}

// Others' snapshots come and go meanwhile, those that end a page of the list as well.
func TestSnapshotsAreFoundWhileOthersGo(t *testing.T) {
	c, _, s := newSite(t)
	c.vanish = 2
	mark := uuid.NewString()
	taken, err := s.SnapshotServer(t.Context(), demo.ProjectID, c.put(nil), mark)
	if err != nil || len(taken) != 2 {
		t.Errorf("%v, %v", taken, err)
	}
	c.vanish = 2
	if err := s.RemoveServerSnapshots(t.Context(), demo.ProjectID, mark, everyVolume); err != nil || len(c.snapshots) != 0 {
		t.Errorf("left %v: %v", c.snapshots, err)
	}
}

// One that cannot be removed now is a matter for the next look.
func TestSnapshotsThatClingAreNotForgotten(t *testing.T) {
	for what, spoil := range map[string]func(c *site){
		"they do not go":           func(c *site) { c.clings = true },
		"they are being made yet":  func(c *site) { c.statuses = []string{"creating"} },
		"they could not be erased": func(c *site) { c.statuses = []string{"error_deleting"} },
	} {
		c, _, s := newSite(t)
		mark := uuid.NewString()
		if _, err := s.SnapshotServer(t.Context(), demo.ProjectID, c.put(nil), mark); err != nil {
			t.Fatal(err)
		}
		spoil(c)
		if err := s.RemoveServerSnapshots(t.Context(), demo.ProjectID, mark, everyVolume); stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("%s: %v, want Unavailable", what, err)
		}
	}
}
