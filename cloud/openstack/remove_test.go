package openstack_test

import (
	"net/http"
	"slices"
	"strings"
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
	looked := 0
	g.breakWith(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, rootVolume) || looked == 3 {
			return false
		}
		looked++
		reply(w, 200, map[string]any{"volume": map[string]any{"id": rootVolume, "status": "detaching", "size": 1}})
		return true
	})
	if err := s.RemoveServer(t.Context(), demo.ProjectID, req.Mark); err != nil || looked != 3 {
		t.Errorf("looked %d times, %v", looked, err)
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
	var lost []string
	g.lose = func(r *http.Request) bool {
		what := r.Method + " " + r.URL.Path
		first := r.Method != http.MethodGet && !slices.Contains(lost, what)
		lost = append(lost, what)
		return first
	}
	if err := s.RemoveServer(t.Context(), demo.ProjectID, req.Mark); err != nil {
		t.Fatal(err)
	}
	if len(c.servers) != 0 || len(c.ports) != 0 || c.volumes[dataVolume] != "available" {
		t.Errorf("left %v, %v, %v", c.servers, c.ports, c.volumes)
	}
}
