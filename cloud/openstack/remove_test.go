package openstack_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

func TestRemoveServerKeepsItsVolumes(t *testing.T) {
	for _, forced := range []bool{true, false} {
		c, g, s := newSite(t)
		req := serverWish()
		id, _, err := s.BuildServer(t.Context(), demo.ProjectID, req)
		if err != nil {
			t.Fatal(err)
		}
		c.put(nil) // another one
		c.writes()
		if !forced {
			g.answer("POST /compute/v2.1/servers/", 403, `{"forbidden":{"code":403,"message":"Policy"}}`)
		}
		for range 2 {
			if err := s.RemoveServer(t.Context(), demo.ProjectID, req.Mark); err != nil {
				t.Fatal(err)
			}
		}
		own := " token-in-" + demo.ProjectID
		end := "POST /compute/v2.1/servers/" + id + "/action" + own
		if !forced {
			end = "DELETE /compute/v2.1/servers/" + id + own
		}
		did := c.writes()
		if len(did) != 3 || did[0] != "PUT /compute/v2.1/servers/"+id+"/os-volume_attachments/"+dataVolume+own || did[1] != end ||
			!strings.HasPrefix(did[2], "DELETE /net/v2.0/ports/") {
			t.Errorf("wrote %q", did)
		}
		if c.volumes[rootVolume] != "available" || c.volumes[dataVolume] != "available" || len(c.ports) != 0 || len(c.servers) != 1 {
			t.Errorf("left %v, %v, %v", c.volumes, c.ports, c.servers)
		}
	}
}

// Nova tells the volumes of a server only once it is on a host: until then, deleting it
// would delete them.
func TestServerWithoutAHostIsLeftAlone(t *testing.T) {
	c, _, s := newSite(t)
	mark := uuid.NewString()
	c.put(map[string]any{"status": "BUILD", "metadata": map[string]any{"stowage_restore": mark}, "os-extended-volumes:volumes_attached": []any{}})
	wantCode(t, s.RemoveServer(t.Context(), demo.ProjectID, mark), stowage.Unavailable)
	if did := c.writes(); len(did) > 0 {
		t.Errorf("wrote %q", did)
	}
}

func TestServerThatStays(t *testing.T) {
	c, g, s := newSite(t)
	req := serverWish()
	if _, _, err := s.BuildServer(t.Context(), demo.ProjectID, req); err != nil {
		t.Fatal(err)
	}
	c.stays = true
	begun := g.now
	wantCode(t, s.RemoveServer(t.Context(), demo.ProjectID, req.Mark), stowage.Unavailable)
	if took := g.now.Sub(begun); took < 30*time.Second || took > 2*time.Minute || len(c.ports) != 1 {
		t.Errorf("looked for %s, left %d ports", took, len(c.ports))
	}
}

// A volume that hangs on the server yet is not free, even when Nova says it is gone.
func TestVolumesAreWaitedFor(t *testing.T) {
	c, g, s := newSite(t)
	req := serverWish()
	if _, _, err := s.BuildServer(t.Context(), demo.ProjectID, req); err != nil {
		t.Fatal(err)
	}
	var looked atomic.Int32
	g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, rootVolume) || looked.Load() == 3 {
			return false
		}
		looked.Add(1)
		reply(w, 200, map[string]any{"volume": map[string]any{"id": rootVolume, "status": "detaching", "size": 1}})
		return true
	})
	if err := s.RemoveServer(t.Context(), demo.ProjectID, req.Mark); err != nil || looked.Load() != 3 {
		t.Errorf("looked %d times, %v", looked.Load(), err)
	}
	if c.volumes[dataVolume] != "available" {
		t.Errorf("left %v", c.volumes)
	}
}

func TestRemoveServerWhoseAnswersAreLost(t *testing.T) {
	c, g, s := newSite(t)
	req := serverWish()
	if _, _, err := s.BuildServer(t.Context(), demo.ProjectID, req); err != nil {
		t.Fatal(err)
	}
	var lost sync.Map
	g.lose = func(r *http.Request) bool {
		_, again := lost.LoadOrStore(r.Method+" "+r.URL.Path, true)
		return r.Method != http.MethodGet && !again
	}
	if err := s.RemoveServer(t.Context(), demo.ProjectID, req.Mark); err != nil {
		t.Fatal(err)
	}
	if len(c.servers) != 0 || len(c.ports) != 0 || c.volumes[dataVolume] != "available" {
		t.Errorf("left %v, %v, %v", c.servers, c.ports, c.volumes)
	}
}
