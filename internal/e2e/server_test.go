//go:build stack

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage/internal/stacktest"
)

// staff are the portals of demo and of the administrator, after a look at the cloud.
func (s *site) staff() (demo, admin portal) {
	s.Helper()
	password := func(user string) string { return stacktest.Env(s, strings.ToUpper(user)+"_PASSWORD") }
	demo, a := s.enter("demo:demo", password("demo"))
	a.want(s, 200)
	admin, a = s.enter("admin:admin", password("admin"))
	a.want(s, 200)
	s.look(admin)
	return demo, admin
}

// look has the cloud looked at, to the end.
func (s *site) look(admin portal) {
	s.Helper()
	var asked []thing
	admin.call(http.MethodPost, "/tasks/inventory-sync", "{}").want(s, 200).into(s, &asked)
	admin.finish(asked[0].GUID)
}

// export backs a server up, and waits until it is stored.
func (p portal) export(kind, destination string, servers ...string) (backups []string) {
	p.s.Helper()
	var tasks []thing
	p.call(http.MethodPost, "/tasks/export", fields{
		"backupType": kind, "backupDestination": fields{"guid": destination}, "protectedEntities": servers,
	}).want(p.s, 200).into(p.s, &tasks)
	for _, t := range tasks {
		done := p.finish(t.GUID)
		if done.StatusInfo != "" {
			p.s.Errorf("the task says %q", done.StatusInfo)
		}
		backups = append(backups, done.Backup.GUID)
		p.finish(p.next(t.GUID, "STORE").GUID)
	}
	return backups
}

// forget deletes all backups of a server.
func (p portal) forget(server string) {
	p.s.Helper()
	var tasks []thing
	p.call(http.MethodPost, "/tasks/delete", fields{"value": server}).want(p.s, 200).into(p.s, &tasks)
	for _, task := range tasks {
		p.finish(task.GUID)
	}
}

// taken are the snapshots that Cinder has of volumes, and the images of this site's jobs:
// others have their own in the same project.
func (s *site) taken(volumes []string) (names []string) {
	s.Helper()
	var got struct {
		Snapshots []struct {
			Name     string
			VolumeID string `json:"volume_id"`
		}
		Images []struct{ Name string }
	}
	s.demo.cinder(http.MethodGet, "/snapshots/detail", nil).want(s, 200).into(s, &got)
	for _, one := range got.Snapshots {
		if slices.Contains(volumes, one.VolumeID) {
			names = append(names, one.Name)
		}
	}
	s.demo.call(http.MethodGet, stacktest.Env(s, "GLANCE_URL")+"/v2/images", nil, nil).want(s, 200).into(s, &got)
	for _, one := range got.Images {
		job, ours := strings.CutPrefix(one.Name, "stowage-")
		if ours && query[int](s, "SELECT COUNT(*) FROM jobs WHERE id = ?", job) > 0 {
			names = append(names, one.Name)
		}
	}
	return names
}

// exportAsPanel backs a server up in full in the words of the newer panel, which sends
// back the whole objects that it was given, and waits until it is stored.
func (p portal) exportAsPanel(server, destination string) {
	p.s.Helper()
	var machine, tasks any
	p.call(http.MethodGet, "/virtual-machines/"+server, nil).want(p.s, 200).into(p.s, &machine)
	p.call(http.MethodPost, "/tasks/export", fields{
		"backupType": fields{"name": "FULL", "description": "Full"}, "protectedEntities": []any{machine}, "priority": "60",
		"windowStart": float64(time.Now().UnixMilli()), "retryCount": "1", "protectedEntityType": "VM", "async": true,
		"rules": []fields{{"guid": "r", "name": "Default", "active": true, "ruleBackupDestinations": []fields{
			{"roleType": fields{"name": "SECONDARY", "description": "Secondary"}, "backupDestination": fields{}},
			{"active": true, "roleType": fields{"name": "PRIMARY", "description": "Primary"}, "backupDestination": fields{"guid": destination},
				"backupRetentionSettings": fields{"retentionKeepLastNFull": "4"}},
		}}},
	}).want(p.s, 200).into(p.s, &tasks)
	guid := tasks.([]any)[0].(map[string]any)["guid"].(string)
	if done := p.finish(guid); done.StatusInfo != "" { // where Nova quiesces
		p.s.Errorf("the task says %q", done.StatusInfo)
	}
	p.finish(p.next(guid, "STORE").GUID)
}

// restoreAsPanel is the request of the newer panel to build a server again as it was:
// made of what it was told of the backup.
func (p portal) restoreAsPanel(backup string) fields {
	p.s.Helper()
	var b struct {
		Locations []any                   `json:"backupLocations"`
		Cards     []struct{ Network any } `json:"networkInterfaceCards"`
	}
	var cards []any
	p.call(http.MethodGet, "/backups/"+backup, nil).want(p.s, 200).into(p.s, &b)
	p.call(http.MethodGet, "/backups/"+backup, nil).into(p.s, &struct {
		Cards *[]any `json:"networkInterfaceCards"`
	}{&cards})
	var networks, files []fields
	for i, card := range b.Cards {
		networks = append(networks, fields{"network": card.Network, "networkInterfaceCard": cards[i]})
	}
	var told, managers []any
	p.call(http.MethodGet, "/backup-files/detailed/for-restore?with-modified-configs=true&backup="+backup, nil).want(p.s, 200).into(p.s, &told)
	for _, f := range told {
		disk := f.(map[string]any)["vmDisk"].(map[string]any)
		files = append(files, fields{"backupFile": f, "originalDiskName": disk["name"], "diskName": disk["name"], "excludedFromRestore": false, "storageId": ""})
	}
	p.call(http.MethodGet, "/hypervisor-managers/?backup-to-be-restored="+backup, nil).want(p.s, 200).into(p.s, &managers)
	return fields{
		"backup": nil, "backupLocation": b.Locations[0], "hypervisorManager": managers[0], "restoreClusterId": "nova", "restoreStorageId": "",
		"restoredPeName": "", "overwrite": false, "restoreToOriginalVolumeType": true, "restoredNetworks": networks, "taskFiles": files,
		"baseImage": fields{}, "restoredDiskAllocationFormat": fields{"name": "SPARSE", "description": "Sparse"}, "isDiskLayoutActive": false,
	}
}

// next gives the task that follows another.
func (p portal) next(guid, kind string) thing {
	p.s.Helper()
	list := p.list("/tasks?type=" + kind + "&parent-task=" + guid)
	if len(list) != 1 {
		p.s.Fatalf("%d tasks of type %s follow %s", len(list), kind, guid)
	}
	return list[0]
}

// build restores a server from its backup, and gives it.
func (p portal) build(u *user, body fields) server {
	p.s.Helper()
	var begun thing
	p.call(http.MethodPost, "/tasks/restore-and-import", body).want(p.s, 200).into(p.s, &begun)
	p.finish(begun.GUID)
	made := p.finish(p.next(begun.GUID, "IMPORT").GUID)
	p.s.adopt(u, made.Target.GUID)
	return p.s.serverOf(u, made.Target.GUID)
}

// adopt has a server and its volumes taken away at the end.
func (s *site) adopt(u *user, id string) {
	s.Helper()
	for _, d := range s.attachedTo(u, id) {
		s.volumes = append(s.volumes, d.VolumeID)
	}
	s.Cleanup(func() { s.scrap(id) })
}

// A server with two volumes is backed up while it runs, in full and then what changed,
// deleted with its volumes, and built again.
func TestAServerIsExportedWhileItRunsAndBuiltAgain(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	m := s.manager("m1")
	size := 2 * gib
	var volumes []string
	for i, data := range []int64{1536 * mib, 1280 * mib} { // a quarter of which is never written
		v := s.demo.make(2, fields{"name": fmt.Sprintf("disk-%d", i)})
		s.volumes = append(s.volumes, v)
		fill(s, v, size, mixed(fmt.Sprint(s.id, i), data))
		volumes = append(volumes, v)
	}
	s.demo.action(volumes[0], "os-set_image_metadata", fields{"metadata": fields{"hw_qemu_guest_agent": "yes"}}, 200)
	was := s.boot(s.demo, "web-"+s.id, volumes...)
	ip, mac := was.address()
	demo, _ := s.staff()

	stop := s.watch(volumes[1])
	to := s.demo.projectID + ":" + s.container
	demo.exportAsPanel(was.ID, to)
	fill(s, volumes[1], size, dots("later "+s.id, 40))
	backup := demo.export("INCREMENTAL", to, was.ID)[0]
	if seen := stop(); len(seen) != 1 || !seen["in-use"] {
		t.Errorf("the volume was %v meanwhile", seen)
	}
	m.last("changed")
	until(t, "what Nova took is gone", func() bool { return len(s.taken(volumes)) == 0 })
	var want []string
	for _, v := range volumes {
		want = append(want, sum(s, v, size))
	}
	var files []struct {
		Disk thingRef `json:"vmDisk"`
	}
	demo.call(http.MethodGet, "/backup-files/detailed/for-restore?backup="+backup, nil).want(t, 200).into(t, &files)
	if len(files) != 2 || files[0].Disk.GUID != volumes[0] || len(s.list(s.demo, "")) != 4 || len(s.demo.objects(s.container)) == 0 {
		t.Errorf("files %v, /v1.1 lists %v", files, s.list(s.demo, ""))
	}

	s.scrap(was.ID)
	for _, v := range volumes {
		until(t, "volume "+v+" is free", func() bool { return s.demo.status(v) == "available" })
		s.demo.delete(v)
	}
	now := demo.build(s.demo, demo.restoreAsPanel(backup))
	gotIP, gotMAC := now.address()
	if now.Status != "ACTIVE" || now.Name != was.Name || gotIP != ip || gotMAC != mac || now.Metadata["role"] != was.Metadata["role"] {
		t.Errorf("it is %+v, and was %+v", now, was)
	}
	disks := s.attachedTo(s.demo, now.ID)
	if len(disks) != 2 {
		t.Fatalf("its volumes are %v", disks)
	}
	for i, d := range disks {
		v := s.demo.show(d.VolumeID)
		if v.Status != "in-use" || v.Name != fmt.Sprintf("disk-%d", i) || (v.Bootable == "true") != (i == 0) {
			t.Errorf("volume %d is %+v", i, v)
		}
		if got := sum(s, d.VolumeID, size); got != want[i] {
			t.Errorf("volume %d is not what was backed up", i)
		}
	}
	if peak := m.peak(); peak > 300<<20 {
		t.Errorf("the manager took %d MiB", peak>>20)
	}

	// Deleted, the backups go with all their parts.
	demo.forget(was.ID)
	if left := s.list(s.demo, ""); len(left) != 0 {
		t.Errorf("/v1.1 lists %v", left)
	}
	s.scrap(now.ID)
	s.settled()
}

// Three servers come up one after another by a recovery plan; a test of it leaves
// nothing behind.
func TestARecoveryPlanBringsThreeServersUpInOrder(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	var ids, want, sources []string
	for i := range 3 {
		v, sum := s.source(8)
		sources = append(sources, v)
		ids = append(ids, s.boot(s.demo, fmt.Sprintf("p%d-%s", i, s.id), v).ID)
		want = append(want, sum)
	}
	demo, _ := s.staff()
	demo.export("FULL", s.demo.projectID+":"+s.container, ids...)
	before := s.networks(s.admin)

	rule := func(name string, machines ...string) fields {
		return fields{"name": name, "vms": machines, "namePrefix": "dr-", "check": fields{"type": "CONSOLE", "text": "FAKE CONSOLE", "timeout": 60000}}
	}
	var p thing
	demo.call(http.MethodPost, "/policies/recovery-plan", fields{
		"name": "plan", "rules": []fields{rule("first", ids[2]), rule("then", ids[0], ids[1])},
	}).want(t, 200).into(t, &p)
	type step struct {
		Entity  thingRef `json:"protectedEntity"`
		Target  thing    `json:"dstProtectedEntity"`
		State   struct{ Name string }
		Start   int64 `json:"startTime"`
		Up      int64 `json:"upTime"`
		Seconds int64 `json:"duration"`
	}
	run := func(test bool) []step {
		var task thing
		demo.call(http.MethodPost, "/policies/recovery-plan/"+p.GUID+"/run", fields{"test": test}).want(t, 200).into(t, &task)
		demo.finish(task.GUID)
		var runs []struct {
			GUID  string
			Steps []step
		}
		demo.call(http.MethodGet, "/policies/recovery-plan/"+p.GUID+"/runs", nil).want(t, 200).into(t, &runs)
		return runs[0].Steps
	}

	for _, st := range run(true) {
		if st.State.Name != "FINISHED" {
			t.Errorf("a step of the test is %+v", st)
		}
	}
	if after := s.networks(s.admin); !slices.Equal(after, before) {
		t.Errorf("networks %v, before %v", after, before)
	}
	until(t, "the test's volumes are gone", func() bool { return len(s.demo.made(sources)) == 0 })
	for i := range 3 {
		if left := s.named(s.demo, fmt.Sprintf("dr-p%d-%s", i, s.id)); len(left) != 0 {
			t.Errorf("the test left server %v", left)
		}
	}

	last := int64(0)
	for i, st := range run(false) {
		s.adopt(s.demo, st.Target.GUID)
		of := []int{2, 0, 1}[i]
		if st.Entity.GUID != ids[of] || st.Start < last || st.Up < st.Start {
			t.Errorf("step %d is %+v", i, st)
		}
		last = st.Up
		disks := s.attachedTo(s.demo, st.Target.GUID)
		if len(disks) != 1 || contents(s, disks[0].VolumeID) != want[of] {
			t.Errorf("the volumes of step %d are %v", i, disks)
		}
	}
}

// A schedule fires on the real cloud, twice, and what its policy keeps no longer goes.
func TestAScheduleFiresAndRetentionRemoves(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	s.manager("m2") // only one of them begins a run
	source, want := s.source(8)
	demo, _ := s.staff()
	hour := func(after time.Duration) int64 {
		at := time.Now().UTC().Add(after)
		return at.Sub(at.Truncate(24 * time.Hour)).Milliseconds()
	}
	// The container becomes one that the service may use.
	demo.call(http.MethodPost, "/tasks/export", fields{"protectedEntities": []string{source}, "backupDestination": s.demo.projectID + ":" + s.container}).want(t, 200)
	until(t, "it is stored", func() bool { return len(demo.list("/backups?status=SUCCESS&protected-entity="+source)) == 1 })
	s.free(source)

	schedule := fields{"name": "nightly", "type": "VM_BACKUP", "backupType": "FULL", "executionType": "TIME", "startWindowLength": 3600000, "active": true}
	schedule["hour"] = hour(12 * time.Hour) // until there is something to do
	var sched, policy thing
	demo.call(http.MethodPost, "/schedules", schedule).want(t, 200).into(t, &sched)
	demo.call(http.MethodPost, "/policies/vm-backup", fields{"name": "gold", "vms": []string{source}, "rules": []fields{{
		"name": "r", "schedules": []string{sched.GUID}, "ruleBackupDestinations": []fields{{
			"roleType": "PRIMARY", "backupDestination": s.demo.projectID + ":" + s.container,
			"backupRetentionSettings": fields{"retentionKeepLastNFull": "1"},
		}},
	}}}).want(t, 200).into(t, &policy)
	// over has it fire, for the n-th time, and waits for all that comes of it.
	over := func(n int) {
		t.Helper()
		for soon := false; !soon; { // a change that takes too long makes it due tomorrow
			schedule["hour"] = hour(6 * time.Second)
			var now struct{ NextRun int64 }
			demo.call(http.MethodPut, "/schedules/"+sched.GUID, schedule).want(t, 200).into(t, &now)
			soon = time.UnixMilli(now.NextRun).Before(time.Now().Add(time.Hour))
		}
		until(t, fmt.Sprintf("%d runs and their cleanups are over", n), func() bool {
			return len(demo.list("/tasks?type=BACKUP_CLEANUP&state=FINISHED")) == n && len(demo.list("/tasks?state=RUNNING&state=QUEUED")) == 0
		})
	}
	over(1)
	first := demo.list("/backups?backup-policy=" + policy.GUID)
	over(2)
	left := demo.list("/backups?backup-policy=" + policy.GUID)
	if len(first) != 1 || len(left) != 1 || left[0].GUID == first[0].GUID {
		t.Fatalf("first %v, left %v", first, left)
	}
	var task thing
	demo.call(http.MethodPost, "/tasks/restore", fields{"backup": left[0].GUID, "restoredPeName": "from the night"}).want(t, 200).into(t, &task)
	made := demo.finish(task.GUID).Target.GUID
	s.volumes = append(s.volumes, made)
	s.free(made)
	if contents(s, made) != want {
		t.Error("the restored volume is not what was backed up")
	}
}
