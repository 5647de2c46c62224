package vendor_test

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

// What is tested here is what user interfaces send and read, field by field, as it
// stands in their sources.

// In the mode AUTO a panel names a path for each mount, and no file system.
func TestAMountThatNamesNoFileSystemsIsOfAll(t *testing.T) {
	h := backedUp(t)
	guid, backup := mounted(t, h, `{"backupLocation": {"guid": %q}, "mode": {"name": "AUTO"},
		"mountedFileSystems": [{"mountPath": "/mnt/vprotect/vm/2026-11-21"}, {"fileSystem": null, "mountPath": "/mnt"}, {"fileSystem": {}}]}`)
	if list := rows(t, send(h, http.MethodGet, "/mounted-file-systems/detailed?mounted-backup="+guid, "", demo)); len(list) != 2 {
		t.Errorf("mounted: %v", list)
	}
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", `{"backup": "`+backup+`", "mountedFileSystems": [{"mountPath": "/a"}, {"fileSystem": {"volume": "/dev/sda2"}}]}`, demo).JSON(t)
	await(t, h, guidOf(a), "FINISHED")
	if fs := one(t, send(h, http.MethodGet, "/mounted-file-systems/detailed?mounted-backup="+at(a, "mountedBackup.guid").(string), "", demo)); at(fs, "fileSystem.volume") != "/dev/sda2" {
		t.Errorf("with one that is named: %v", fs)
	}
}

// Panels send an element of /projects back, and the older one bare guids.
func TestProjectsAndLocationsAreNamedWholeOrBare(t *testing.T) {
	h := backedUp(t)
	backup := guidOf(one(t, send(h, http.MethodGet, "/backups", "", demo)))
	for body, status := range map[string]int{
		`{"backup": "B", "restoreProject": {"guid": "demo", "uuid": "demo", "name": "demo"}}`: 200,
		`{"backup": "B", "restoreProject": {"uuid": "demo"}}`:                                 200,
		`{"backup": "B", "restoreProject": {"name": "demo"}}`:                                 200,
		`{"backup": "B", "restoreProject": "demo"}`:                                           200,
		`{"backup": "B", "restoreProject": {}}`:                                               200,
		`{"backup": "B", "restoreProject": null}`:                                             200,
		`{"backup": "B", "restoreProject": {"guid": "other", "name": "demo"}}`:                400,
		`{"backup": "B", "restoreProject": {"name": "other"}}`:                                400,
		`{"backupLocation": "B"}`:                                                             200,
		`{"backupLocation": {"guid": "B"}}`:                                                   200,
		`{"backup": null, "backupLocation": {"backup": "B"}}`:                                 200,
		`{"backup": "B", "backupLocation": null}`:                                             200,
		`{"backupLocation": {"guid": "B", "backup": {"x": 1}}}`:                               200,
		`{"backupLocation": "none"}`:                                                          404,
	} {
		a := send(h, http.MethodPost, "/tasks/restore-and-import", named(body, backup), demo)
		if a.Status != status {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
		if a.Status == http.StatusOK {
			awaitTask(h, guidOf(a.JSON(t)), "FINISHED")
			h.Until("the backup can be restored again", func() bool { return restorable(h, backup) })
		}
	}
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", fmt.Sprintf(`{"backupLocation": %q}`, backup), demo)
	if a.Status != http.StatusOK {
		t.Fatalf("a mount: %d %s", a.Status, a.Body)
	}
	awaitTask(h, guidOf(a.JSON(t)), "FINISHED")
}

// named puts a backup into a body.
func named(body, backup string) string { return strings.ReplaceAll(body, `"B"`, `"`+backup+`"`) }

func restorable(h *harness.Harness, backup string) bool {
	return send(h, http.MethodGet, "/backups/"+backup, "", demo).JSON(h.T)["progress"] == 100.0
}

// A table that lists mounts reads the name of the node in each row.
func TestAMountThatWaitsHasANode(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	h.Volume("9", 300_000)
	h.Await(h.Create("9"), stowage.BackupAvailable)
	stop()
	backup := guidOf(one(t, send(h, http.MethodGet, "/backups", "", demo)))
	if a := send(h, http.MethodPost, "/tasks/restore-and-mount", named(`{"backup": "B"}`, backup), demo); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	m := one(t, send(h, http.MethodGet, "/mounted-backups", "", demo))
	if at(m, "state.name") != "MOUNTING" || at(m, "node.guid") != "-" || at(m, "node.name") != "-" {
		t.Errorf("the mount is %v", m)
	}
}

// The older panel reckons with an hour, whatever the schedule's kind.
func TestAnIntervalHasAnHour(t *testing.T) {
	h := clouded(t)
	made := 0
	for hour, want := range map[string]any{`null`: 0.0, `""`: 0.0, `18000000.0`: 1.8e7, `-1`: 0.0, `86400000`: 0.0} {
		s := good(h, http.MethodPost, "/schedules", fmt.Sprintf(`{"name":"S%d","backupType":"FULL","executionType":"INTERVAL","hour":%s,
			"interval":{"startHour":0,"endHour":3600000,"frequency":3600000}}`, made, hour), demo)
		made++
		if s["hour"] != want {
			t.Errorf("hour %s is %v, want %v", hour, s["hour"], want)
		}
		if again := send(h, http.MethodGet, "/schedules/"+guidOf(s), "", demo).JSON(t); again["hour"] != want || at(again, "executionType.name") != "INTERVAL" {
			t.Errorf("hour %s, read again, is %v", hour, again)
		}
	}
}

func TestAHypervisorManagerTellsHowDisksAreRead(t *testing.T) {
	h := clouded(t)
	want := map[string]any{"name": "DISK_ATTACHMENT", "description": "Disk attachment"}
	for _, m := range []any{
		one(t, send(h, http.MethodGet, "/hypervisor-managers", "", demo)), send(h, http.MethodGet, "/hypervisor-managers/openstack", "", demo).JSON(t),
		rows(t, send(h, http.MethodGet, "/virtual-machines", "", demo))[0]["hvManager"],
	} {
		if got := at(m, "vmExportImportMode"); !reflect.DeepEqual(got, want) {
			t.Errorf("%v has %v", m, got)
		}
	}
}

// A table of snapshots shows these as they are.
func TestPolicyAndStatusOfASnapshotAreText(t *testing.T) {
	h, id, _, _ := farm(t)
	policy, rule := snapPolicy(h, "P", fmt.Sprintf("[%q]", id), "[]", "")
	snap(h, id, rule)
	s := one(t, send(h, http.MethodGet, "/snapshots?protected-entity="+id, "", demo))
	if s["policy"] != "P" || s["status"] != "SUCCESS" || at(s, "snapshotMgmtPolicy.guid") != policy || at(s, "snapshotMgmtPolicy.name") != "P" || at(s, "state.description") != "Success" {
		t.Errorf("the snapshot is %v", s)
	}
}

// A panel offers the volume types that name the cluster that was chosen.
func TestAVolumeTypeIsInAllClusters(t *testing.T) {
	h := clouded(t)
	h.Nova.Offer(stowage.ResourceZone, stowage.Resource{ID: "nova", Name: "nova", Shared: true}, stowage.Resource{ID: "az2", Name: "az2", Shared: true})
	h.Nova.Offer(stowage.ResourceVolumeType, stowage.Resource{ID: "t1", Name: "fast", Shared: true}, stowage.Resource{ID: "t2", Name: "slow", Shared: true})
	look(h)
	clusters := rows(t, send(h, http.MethodGet, "/hypervisor-clusters?hypervisor-manager=openstack", "", demo))
	storages := rows(t, send(h, http.MethodGet, "/hypervisor-storages?hypervisor-manager=openstack", "", demo))
	if len(clusters) != 2 || len(storages) != 2 {
		t.Fatalf("clusters %v, storages %v", clusters, storages)
	}
	for _, s := range storages {
		for i, c := range clusters {
			if in := s["clusters"].([]any); len(in) != 2 || at(in[i], "guid") != c["guid"] || at(in[i], "name") != c["name"] {
				t.Errorf("%v is in %v", s, in)
			}
		}
		if s["totalAvailableSpace"] != 0.0 || s["totalUsedSpace"] != 0.0 {
			t.Errorf("the storage is %v", s)
		}
	}
	if list := rows(t, send(h, http.MethodGet, "/hypervisor-storages?hypervisor-manager=other", "", demo)); len(list) != 0 {
		t.Errorf("of another cloud: %v", list)
	}
}

func TestAnEntityIsExportedOnceHoweverOftenItIsNamed(t *testing.T) {
	h := clouded(t)
	h.Volume("11", 1000)
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	list := rows(t, withTotal(export(h, demo, `{"backupType":"FULL","protectedEntities":[{"guid":"11"},{"guid":"10"},"11",{"guid":"10"}]}`)))
	if len(list) != 2 || at(list[0], "protectedEntity.guid") != "11" || at(list[1], "protectedEntity.guid") != "10" {
		t.Fatalf("tasks %v", list)
	}
	for _, task := range list {
		awaitTask(h, guidOf(task), "FINISHED")
	}
	snaps := rows(t, withTotal(send(h, http.MethodPost, "/tasks/vm-snapshot", `{"protectedEntities":["10","10"]}`, demo)))
	if len(snaps) != 1 {
		t.Errorf("snapshots %v", snaps)
	}
}

// Of a server's backup, storing is what takes the time.
func TestTheTimesOfAServersBackupHaveItsStore(t *testing.T) {
	h, id, _, _ := farm(t)
	h.Stores.On(drivertest.OpPut, "").Run(func() { h.Clock.Step(7 * time.Second) })
	_, store, backup := exported(h, id, "FULL")
	took := store["finishTime"].(float64) - store["startTime"].(float64)
	waited := store["startTime"].(float64) - store["creationTime"].(float64)
	apart := func(path string, ms float64) bool { return math.Abs(at(backup, path).(float64)-ms) > 1 } // each end is cut off
	if apart("taskTimeStats.storeTime", took) || apart("taskTimeStats.queuedStoreTime", waited) || waited+took < 7000 {
		t.Errorf("of %v ms, after %v: %v", took, waited, backup["taskTimeStats"])
	}
	sum := 0.0
	for _, ms := range backup["taskTimeStats"].(map[string]any) {
		sum += ms.(float64)
	}
	if backup["taskDurationTime"] != sum {
		t.Errorf("all of it %v, and %v in sum", backup["taskDurationTime"], sum)
	}
}

func TestAServerThatIsGoneIsOnNoHypervisor(t *testing.T) {
	h := clouded(t)
	admin := token("portal:admin")
	if m := send(h, http.MethodGet, "/virtual-machines/srv-1", "", admin).JSON(t); at(m, "hypervisor.guid") != "compute-1" {
		t.Fatalf("the server is %v", m)
	}
	h.Nova.Set(cloud.Server{ID: "srv-1", ProjectID: "demo", Deleted: true}, h.Clock.Now())
	look(h)
	if m := send(h, http.MethodGet, "/virtual-machines/srv-1", "", admin).JSON(t); m["present"] != false || m["hypervisor"] != nil {
		t.Errorf("the server is %v", m)
	}
}

// Tasks are found by what is shown, be it the name or the description.
func TestTasksAreFoundByTheWordsThatAreShown(t *testing.T) {
	h := backedUp(t)
	for text, want := range map[string]int{
		"EXPORT": 1, "xpor": 1, "finish": 1, "Finished": 1, "backup": 0, "STORE": 0, "queued": 0, "Inventory sync": 0,
	} {
		for _, path := range []string{"/tasks", "/workflow-executions"} {
			if list := rows(t, send(h, http.MethodGet, path+"?filter="+url.QueryEscape(text), "", demo)); len(list) != want {
				t.Errorf("%s with %q: %v", path, text, list)
			}
		}
	}
	backup := guidOf(one(t, send(h, http.MethodGet, "/backups", "", demo)))
	awaitTask(h, guidOf(send(h, http.MethodPost, "/tasks/restore", named(`{"backup":"B"}`, backup), demo).JSON(t)), "FINISHED")
	for text, want := range map[string]int{"Success": 1, "restore": 1, "failed": 0} {
		if list := rows(t, send(h, http.MethodGet, "/restore-jobs?filter="+text, "", demo)); len(list) != want {
			t.Errorf("restores with %q: %v", text, list)
		}
	}
}
