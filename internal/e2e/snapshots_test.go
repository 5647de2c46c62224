//go:build stack

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// snapshotThing is a snapshot as the portal tells it.
type snapshotThing struct {
	GUID   string
	Status string
	Disks  []any
}

// cinders are the ids that Cinder has of snapshots of the volumes.
func (s *site) cinders(volumes []string) (ids []string) {
	s.Helper()
	var got struct {
		Snapshots []struct {
			ID       string
			VolumeID string `json:"volume_id"`
		}
	}
	s.demo.cinder(http.MethodGet, "/snapshots/detail", nil).want(s, 200).into(s, &got)
	for _, one := range got.Snapshots {
		if slices.Contains(volumes, one.VolumeID) {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

// A policy keeps the last snapshots of a running server, all its volumes at one moment,
// in its user's project, who may remove them there.
func TestAPolicyKeepsTheLastSnapshotsOfAServer(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	var volumes []string
	for range 2 {
		v, _ := s.source(8)
		volumes = append(volumes, v)
	}
	web := s.boot(s.demo, "snap-"+s.id, volumes...)
	mine := s.demo.snap(volumes[0])
	demo, admin := s.staff()

	var policy struct {
		GUID  string
		Rules []thingRef
	}
	demo.call(http.MethodPost, "/policies/vm-snapshot", fields{
		"name": "hourly", "vms": []string{web.ID}, "rules": []fields{{"name": "R", "retentionVersions": "1"}},
	}).want(t, 200).into(t, &policy)
	list := func() (list []snapshotThing) {
		t.Helper()
		demo.call(http.MethodGet, "/snapshots?stand-alone=true&protected-entity="+web.ID, nil).want(t, 200).into(t, &list)
		return list
	}
	var first string
	for n := 1; n <= 2; n++ {
		var tasks []thing
		demo.call(http.MethodPost, "/tasks/vm-snapshot", fields{
			"priority": "50", "protectedEntities": []fields{{"guid": web.ID}}, "rule": fields{"guid": policy.Rules[0].GUID},
		}).want(t, 200).into(t, &tasks)
		if done := demo.finish(tasks[0].GUID); done.StatusInfo != "" {
			t.Errorf("the task says %q", done.StatusInfo)
		}
		if n == 1 {
			first = tasks[0].GUID
		}
		until(t, fmt.Sprintf("%d cleanups are over", n), func() bool { return len(demo.list("/tasks?type=SNAPSHOT_CLEANUP&state=FINISHED")) == n })
	}
	left := list()
	if len(left) != 1 || slices.ContainsFunc(left, func(one snapshotThing) bool {
		return one.GUID == first || one.Status != "SUCCESS" || len(one.Disks) != 2
	}) {
		t.Errorf("kept are %+v", left)
	}
	if got := s.cinders(volumes); len(got) != 3 || !slices.Contains(got, mine) {
		t.Errorf("Cinder has %v, the user's own is %s", got, mine)
	}
	for _, v := range volumes {
		if status := s.demo.status(v); status != "in-use" {
			t.Errorf("volume %s is %s", v, status)
		}
	}

	// What a user removes is forgotten.
	for _, id := range s.cinders(volumes) {
		s.demo.cinder(http.MethodDelete, "/snapshots/"+id, nil).want(t, 202)
	}
	until(t, "Cinder has none", func() bool { return len(s.cinders(volumes)) == 0 })
	s.look(admin)
	if left := list(); len(left) != 0 {
		t.Errorf("known are %+v", left)
	}
	s.scrap(web.ID)
	s.settled()
	if left := s.taken(volumes); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// snap takes a snapshot as a user does.
func (u *user) snap(volume string) string {
	u.t.Helper()
	var got struct{ Snapshot struct{ ID, Status string } }
	u.cinder(http.MethodPost, "/snapshots", fields{"snapshot": fields{"volume_id": volume, "force": true, "name": "mine"}}).want(u.t, 202).into(u.t, &got)
	until(u.t, "the snapshot is there", func() bool {
		u.cinder(http.MethodGet, "/snapshots/"+got.Snapshot.ID, nil).want(u.t, 200).into(u.t, &got)
		return got.Snapshot.Status == "available"
	})
	return got.Snapshot.ID
}
