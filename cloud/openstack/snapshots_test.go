package openstack_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

func TestSnapshotsOfVolumes(t *testing.T) {
	c, _, s := newSite(t)
	mark, other := uuid.NewString(), uuid.NewString()
	c.volumes[rootVolume], c.volumes[dataVolume] = "in-use", "available"
	c.snapshots = []map[string]any{{"id": other, "name": "mine", "volume_id": dataVolume, "status": "available"}}
	c.writes()
	first, err := s.SnapshotVolumes(t.Context(), demo.ProjectID, []string{rootVolume}, mark)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := s.SnapshotVolumes(t.Context(), demo.ProjectID, []string{rootVolume, dataVolume}, mark)
	if err != nil || len(taken) != 2 || taken[rootVolume] != first[rootVolume] || taken[dataVolume] == other {
		t.Fatalf("took %v, and %v before: %v", taken, first, err)
	}
	if made := c.writes(); len(made) != 2 || !strings.HasSuffix(made[0], "token-in-"+demo.ProjectID) {
		t.Errorf("asked for %v", made)
	}
	if got := c.snapshots[1]; got["name"] != "stowage-"+mark || fmt.Sprint(got["metadata"]) != "map[stowage_snapshot:"+mark+"]" {
		t.Errorf("the snapshot is %v", got)
	}
	marks := map[string]string{}
	list, err := s.ListSnapshots(t.Context(), demo.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		marks[one.ID] = one.Mark
	}
	if len(marks) != 3 || marks[other] != "" || marks[taken[rootVolume]] != mark {
		t.Errorf("listed %v", list)
	}
	if err := s.RemoveSnapshots(t.Context(), demo.ProjectID, []string{taken[rootVolume], uuid.NewString()}); err != nil || len(c.snapshots) != 2 {
		t.Errorf("left %v: %v", c.snapshots, err)
	}
	if err := s.RemoveServerSnapshots(t.Context(), demo.ProjectID, mark, everyVolume); err != nil || len(c.snapshots) != 1 {
		t.Errorf("left %v: %v", c.snapshots, err)
	}
}

func TestSnapshotsOfVolumesThatAreRefused(t *testing.T) {
	for what, one := range map[string]struct {
		spoil func(*site)
		code  stowage.Code
		of    string
	}{
		"no quota":       {func(c *site) { c.refuseSnapshot = 413 }, stowage.OverLimit, rootVolume},
		"no such volume": {func(*site) {}, stowage.NotFound, uuid.NewString()},
		"never made":     {func(c *site) { c.statuses = []string{"creating"} }, stowage.Unavailable, rootVolume},
		"made in vain":   {func(c *site) { c.statuses = []string{"creating", "error"} }, stowage.Unavailable, rootVolume},
	} {
		c, _, s := newSite(t)
		c.volumes[rootVolume] = "in-use"
		one.spoil(c)
		if _, err := s.SnapshotVolumes(t.Context(), demo.ProjectID, []string{one.of}, uuid.NewString()); stowage.CodeOf(err) != one.code {
			t.Errorf("%s: %v, want code %q", what, err, one.code)
		}
		c.writes()
		if _, err := s.SnapshotVolumes(t.Context(), strings.Repeat("f", 32), []string{rootVolume}, uuid.NewString()); stowage.CodeOf(err) != stowage.NotFound || len(c.writes()) != 0 {
			t.Errorf("%s: in another project: %v", what, err)
		}
	}
}
