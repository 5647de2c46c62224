package vendor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

var errBroken = stowage.Errorf(stowage.Invalid, "It broke.")

// farm has a manager, and demo's server "web" with the volumes 21, from which it
// boots, and 22; it gives their bytes, and the server's id.
func farm(t *testing.T) (h *harness.Harness, id string, boot, data []byte) {
	t.Helper()
	h = harness.New(t)
	h.Start(h.Manager("m1"))
	boot, data = h.Volume("21", 900_000), h.Volume("22", 300_000)
	h.Nova.Offer(stowage.ResourceFlavor, stowage.Resource{ID: "f1", Name: "m1.small", Shared: true}, stowage.Resource{ID: "f2", Name: "m1.large", Shared: true})
	h.Nova.Offer(stowage.ResourceNetwork, stowage.Resource{ID: "n1", Name: "public", Shared: true}, stowage.Resource{ID: "n2", Name: "mine", ProjectID: "demo"})
	id = place(h, stowage.ServerRecord{
		ProjectID: "demo", Name: "web", FlavorID: "f1", Flavor: "m1.small", Zone: "nova", Metadata: map[string]string{"role": "web"}, Tags: []string{"gold"},
		Ports: []stowage.ServerPort{{NetworkID: "n1", Network: "public", MAC: "fa:16:3e:00:00:01", Addresses: []string{"192.0.2.7"}, SecurityGroups: []string{"sg-1"}}},
		Disks: []stowage.ServerDisk{{VolumeID: "21", Device: "/dev/vda", Boot: true}, {VolumeID: "22", Device: "/dev/vdb"}},
	})
	return h, id, boot, data
}

// place makes a server, and has it found.
func place(h *harness.Harness, r stowage.ServerRecord) string {
	h.T.Helper()
	id, err := h.Servers.Put(h.T.Context(), r)
	if err != nil {
		h.T.Fatal(err)
	}
	known := cloud.Server{ID: id, ProjectID: r.ProjectID, Name: r.Name, Status: "ACTIVE", FlavorID: r.FlavorID}
	for _, d := range r.Disks {
		known.Volumes = append(known.Volumes, d.VolumeID)
	}
	h.Nova.Set(known, h.Clock.Now())
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID = "demo" })
	look(h)
	return id
}

// exported backs a server up, and gives the EXPORT task, the STORE task and the backup.
func exported(h *harness.Harness, id, kind string) (export, store, backup map[string]any) {
	h.T.Helper()
	t := h.T.(*testing.T)
	export = one(t, exportOf(h, id, kind))
	awaitTask(h, guidOf(export), "FINISHED")
	store = one(t, send(h, http.MethodGet, "/tasks?type=STORE&parent-task="+guidOf(export), "", demo))
	store = awaitTask(h, guidOf(store), "FINISHED")
	return export, store, send(h, http.MethodGet, "/backups/"+at(export, "backup.guid").(string), "", demo).JSON(t)
}

func exportOf(h *harness.Harness, id, kind string) answer {
	return export(h, demo, fmt.Sprintf(`{"backupType":%q,"protectedEntities":[{"guid":%q}]}`, kind, id))
}

// ended waits until a task has ended, however.
func ended(h *harness.Harness, guid string) (task map[string]any) {
	h.T.Helper()
	h.Until("task "+guid+" has ended", func() bool {
		task = send(h, http.MethodGet, "/tasks/"+guid, "", portal).JSON(h.T)
		return slices.Contains([]any{"FINISHED", "FAILED", "CANCELLED"}, at(task, "state.name"))
	})
	return task
}

func TestAServerIsBackedUpAsOne(t *testing.T) {
	h, id, _, _ := farm(t)
	task, store, backup := exported(h, id, "INCREMENTAL")
	if at(task, "type.name") != "EXPORT" || at(task, "protectedEntity.guid") != id || at(task, "protectedEntity.name") != "web" || at(store, "type.name") != "STORE" {
		t.Errorf("the tasks are %v and %v", task, store)
	}
	if at(backup, "status.name") != "SUCCESS" || at(backup, "type.name") != "FULL" || at(backup, "protectedEntity.guid") != id || backup["snapshotTime"] == nil ||
		at(backup["networkInterfaceCards"].([]any)[0], "macAddress") != "fa:16:3e:00:00:01" {
		t.Errorf("the backup is %v", backup)
	}
	if all := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(all) != 1 {
		t.Errorf("backups: %v", all)
	}
	files := rows(t, send(h, http.MethodGet, "/backup-files/detailed/for-restore?backup="+guidOf(backup), "", demo))
	if len(files) != 2 || at(files[0], "vmDisk.guid") != "21" || at(files[1], "vmDisk.guid") != "22" {
		t.Errorf("files: %v", files)
	}
	// The other protocol knows volumes only.
	list := h.Call("demo:demo", http.MethodGet, harness.Base("demo"), "").JSON(t)["backups"].([]any)
	if len(list) != 2 {
		t.Errorf("/v1.1 lists %v", list)
	}
	if a := h.Call("demo:demo", http.MethodGet, harness.Base("demo")+"/1", ""); a.Status != http.StatusNotFound {
		t.Errorf("/v1.1 shows the server's backup: %d %s", a.Status, a.Body)
	}
	for _, v := range []string{"21", "22"} {
		if h.VolumeStatus(v) != stowage.VolumeInUse {
			t.Errorf("volume %s is %s", v, h.VolumeStatus(v))
		}
	}
	machine := send(h, http.MethodGet, "/virtual-machines/"+id, "", demo).JSON(t)
	if machine["restorable"] != true || machine["lastSuccessfulBackupSize"].(float64) <= 0 {
		t.Errorf("the machine is %v", machine)
	}

	h.Clock.Step(time.Minute)
	_, _, second := exported(h, id, "INCREMENTAL")
	if at(second, "type.name") != "INCREMENTAL" {
		t.Errorf("the second is %v", second)
	}
	h.Clock.Step(time.Minute)
	if _, _, third := exported(h, id, "FULL"); at(third, "type.name") != "FULL" {
		t.Errorf("the third is %v", third)
	}
}

func TestADiskThatIsLeftOutIsNotBackedUp(t *testing.T) {
	h, id, _, _ := farm(t)
	disk := send(h, http.MethodPut, "/virtual-machine-disks/22/settings", `{"guid":"22","excludedFromBackup":true}`, demo).JSON(t)
	if disk["excludedFromBackup"] != true {
		t.Errorf("the disk is %v", disk)
	}
	look(h) // which forgets nothing of that
	_, _, backup := exported(h, id, "FULL")
	if files := rows(t, send(h, http.MethodGet, "/backup-files?backup="+guidOf(backup), "", demo)); len(files) != 1 {
		t.Errorf("files: %v", files)
	}
	if backup["warningsPresent"] != true || !strings.Contains(fmt.Sprint(backup["warnings"]), "/dev/vdb") {
		t.Errorf("warnings: %v", backup["warnings"])
	}
	if a := send(h, http.MethodPut, "/virtual-machine-disks/22/settings", `{"excludedFromBackup":true}`, token("alt:alt")); a.Status != http.StatusNotFound {
		t.Errorf("another tenant: %d %s", a.Status, a.Body)
	}
}

// Nothing may be left of an export that took one snapshot and could not take the other.
func TestAnExportThatFailsLeavesNothing(t *testing.T) {
	h, id, _, _ := farm(t)
	h.Disks.On(drivertest.OpCreateSnapshot, "").Skip(1).Before(errBroken)
	task := one(t, exportOf(h, id, "FULL"))
	if got := ended(h, guidOf(task)); at(got, "state.name") != "FAILED" {
		t.Errorf("the task is %v", got)
	}
	h.Until("the parts have ended", func() bool {
		for _, n := range []string{"2", "3"} {
			if h.Call("demo:demo", http.MethodGet, harness.Base("demo")+"/"+n, "").JSON(t)["backup"].(map[string]any)["status"] != "error" {
				return false
			}
		}
		return true
	})
	h.Until("no snapshot is left", func() bool { return len(h.Snapshots()) == 0 })
	backup := send(h, http.MethodGet, "/backups/"+at(task, "backup.guid").(string), "", demo).JSON(t)
	if at(backup, "status.name") != "FAILED" || backup["statusInfo"] != "It broke." {
		t.Errorf("the backup is %v", backup)
	}
	if n := len(rows(t, send(h, http.MethodGet, "/tasks?type=STORE", "", demo))); n != 0 {
		t.Errorf("%d STORE tasks", n)
	}
	h.Disks.Clear()
	exported(h, id, "FULL")
}

// A manager that dies between two snapshots leaves one that is of another moment than
// those of the next attempt: it must not be used.
func TestAnExportThatIsBegunAgainTakesAllSnapshotsAgain(t *testing.T) {
	h, id, _, _ := farm(t)
	var taken []string
	h.Disks.On(drivertest.OpCreateSnapshot, "").Skip(1).Before(stowage.Errorf(stowage.Unavailable, "away"))
	exported(h, id, "FULL")
	for _, c := range h.Disks.Calls() {
		if c.Op == drivertest.OpCreateSnapshot || c.Op == drivertest.OpRemoveSnapshot {
			taken = append(taken, string(c.Op))
		}
	}
	want := []string{"CreateSnapshot", "CreateSnapshot", "RemoveSnapshot", "RemoveSnapshot", "CreateSnapshot", "CreateSnapshot"}
	if len(taken) < len(want) || !slices.Equal(taken[:len(want)], want) {
		t.Errorf("calls: %v, want %v", taken, want)
	}
}

func TestAServerThatWasDeletedIsBuiltAgain(t *testing.T) {
	h, id, boot, data := farm(t)
	_, _, backup := exported(h, id, "FULL")
	if err := h.Servers.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		fmt.Sprintf(`{"backup":%q,"dstProtectedEntity":{"guid":%q,"type":"VM"},"hypervisorManager":{"guid":"openstack"},"restoredPeName":"again","restoreStorageId":"","restoreProject":"demo","tenantId":"demo"}`, guidOf(backup), id),
		fmt.Sprintf(`{"backup":null,"backupLocation":{"guid":%[1]q,"backup":{"guid":%[1]q}},"hypervisorManager":{"guid":"openstack"},"restoreClusterId":"","restoreStorageId":"",
			"restoredPeName":"large","overwrite":false,"restoreToOriginalVolumeType":true,"restoreVmFlavor":{"guid":"f2","name":"m1.large"},
			"restoredNetworks":[{"network":{"guid":"n2","name":"mine"},"networkInterfaceCard":{"guid":"fa:16:3e:00:00:01"}}],"taskFiles":[],"baseImage":{},"isDiskLayoutActive":false}`, guidOf(backup)),
	} {
		task := send(h, http.MethodPost, "/tasks/restore-and-import", body, demo).JSON(t)
		if at(task, "type.name") != "RESTORE" || at(task, "restoreType.name") != "RESTORE_AND_IMPORT" {
			t.Errorf("the task is %v", task)
		}
		name := at(task, "dstProtectedEntity.name").(string)
		awaitTask(h, guidOf(task), "FINISHED")
		next := one(t, send(h, http.MethodGet, "/tasks?type=IMPORT&parent-task="+guidOf(task), "", demo))
		next = awaitTask(h, guidOf(next), "FINISHED")
		servers := h.Servers.List()
		at := slices.IndexFunc(servers, func(s stowage.ServerRecord) bool { return s.Name == name })
		if at < 0 {
			t.Fatalf("no server %s among %v (%v)", name, servers, next)
		}
		s := servers[at]
		if len(s.Disks) != 2 || !s.Disks[0].Boot || s.Disks[0].Device != "/dev/vda" || s.Metadata["role"] != "web" || !slices.Equal(s.Tags, []string{"gold"}) {
			t.Errorf("%s is %+v", name, s)
		}
		if !bytes.Equal(h.Bytes(s.Disks[0].VolumeID)[:len(boot)], boot) || !bytes.Equal(h.Bytes(s.Disks[1].VolumeID)[:len(data)], data) {
			t.Errorf("the volumes of %s are not what was backed up", name)
		}
		switch p := s.Ports[0]; name {
		case "again":
			if s.FlavorID != "f1" || p.NetworkID != "n1" || !slices.Equal(p.Addresses, []string{"192.0.2.7"}) || p.MAC != "fa:16:3e:00:00:01" || !slices.Equal(p.SecurityGroups, []string{"sg-1"}) {
				t.Errorf("%s: %+v", name, s)
			}
		case "large":
			if s.FlavorID != "f2" || p.NetworkID != "n2" || len(p.Addresses) != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		h.Until("the backup can be restored again", func() bool {
			return send(h, http.MethodGet, "/backups/"+guidOf(backup), "", demo).JSON(t)["progress"] == 100.0
		})
	}
}

// Whatever fails, and however: no volume, no server, and the backup is as it was.
func TestARestoreThatFailsLeavesNothingHalfMade(t *testing.T) {
	away := stowage.Errorf(stowage.Unavailable, "away")
	for what, spoil := range map[string]func(h *harness.Harness){
		"the second volume is not to be had": func(h *harness.Harness) {
			n := 0
			h.Servers.Before("CreateVolume", func(string) error {
				if n++; n == 2 {
					return stowage.Errorf(stowage.OverLimit, "Too many volumes.")
				}
				return nil
			})
		},
		"the second volume cannot be written": func(h *harness.Harness) {
			h.Disks.On(drivertest.OpOpenTarget, "").Skip(1).Always().Before(errBroken)
		},
		"the server is refused": func(h *harness.Harness) {
			h.Servers.Before("BuildServer", func(string) error { return errBroken })
		},
		"the server is made, and ends in an error": func(h *harness.Harness) {
			h.Servers.Before("ServerState", func(id string) error { h.Servers.Spoil(id, "No valid host was found."); return nil })
		},
		"the answer is lost, and then it is refused": func(h *harness.Harness) {
			n := 0
			h.Servers.After("BuildServer", func(string) error {
				if n++; n == 1 {
					return away
				}
				return errBroken
			})
		},
		"what was made is not removed at once": func(h *harness.Harness) {
			h.Servers.Before("BuildServer", func(string) error { return errBroken })
			n := 0
			h.Servers.Before("RemoveVolume", func(string) error {
				if n++; n < 4 {
					return away
				}
				return nil
			})
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := farm(t)
			_, _, backup := exported(h, id, "FULL")
			before := volumes(h)
			spoil(h)
			task := send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q,"restoredPeName":"again"}`, guidOf(backup)), demo).JSON(t)
			h.Until("it has failed", func() bool {
				return len(rows(t, send(h, http.MethodGet, "/tasks?state=FAILED", "", demo))) == 1
			})
			if got := volumes(h); !slices.Equal(got, before) {
				t.Errorf("volumes %v, before %v", got, before)
			}
			if got := h.Servers.List(); len(got) != 1 {
				t.Errorf("servers %v", got)
			}
			now := send(h, http.MethodGet, "/backups/"+guidOf(backup), "", demo).JSON(t)
			if at(now, "status.name") != "SUCCESS" || now["statusInfo"] == nil {
				t.Errorf("the backup is %v (%v)", now, task)
			}
		})
	}
}

// volumes are the ids of all volumes there are.
func volumes(h *harness.Harness) (ids []string) {
	err := h.Nova.EachVolume(h.T.Context(), func(v cloud.Volume) error { ids = append(ids, v.ID); return nil })
	if err != nil {
		h.T.Fatal(err)
	}
	return ids
}

func TestARestoreIsCancelledAndLeavesNothing(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, backup := exported(h, id, "FULL")
	before := volumes(h)
	reached, heard := make(chan struct{}), make(chan struct{})
	h.Disks.On(drivertest.OpOpenTarget, "").Run(func() { close(reached); <-heard })
	task := send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q}`, guidOf(backup)), demo).JSON(t)
	<-reached
	if a := cancel(h, guidOf(task)); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	close(heard)
	if got := ended(h, guidOf(task)); at(got, "state.name") != "CANCELLED" {
		t.Errorf("the task is %v", got)
	}
	if got := volumes(h); !slices.Equal(got, before) {
		t.Errorf("volumes %v, before %v", got, before)
	}
}

func TestAnAddressThatIsTakenIsToldOf(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, backup := exported(h, id, "FULL")
	task := send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q,"restoredPeName":"twin"}`, guidOf(backup)), demo).JSON(t)
	awaitTask(h, guidOf(task), "FINISHED")
	next := one(t, send(h, http.MethodGet, "/tasks?type=IMPORT", "", demo))
	if next = awaitTask(h, guidOf(next), "FINISHED"); !strings.Contains(next["statusInfo"].(string), "192.0.2.7") {
		t.Errorf("the task is %v", next)
	}
	if n := len(h.Servers.List()); n != 2 {
		t.Errorf("%d servers", n)
	}
}

func TestOnlyVolumesAreRestoredWhereNoMoreIsWanted(t *testing.T) {
	h, id, boot, _ := farm(t)
	_, _, backup := exported(h, id, "FULL")
	files := rows(t, send(h, http.MethodGet, "/backup-files?backup="+guidOf(backup), "", demo))
	before := volumes(h)
	task := send(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(
		`{"backup":%q,"taskFiles":[{"backupFile":{"guid":%q},"excludedFromRestore":true}]}`, guidOf(backup), guidOf(files[1])), demo).JSON(t)
	awaitTask(h, guidOf(task), "FINISHED")
	made := slices.DeleteFunc(volumes(h), func(v string) bool { return slices.Contains(before, v) })
	if len(made) != 1 || !bytes.Equal(h.Bytes(made[0])[:len(boot)], boot) {
		t.Fatalf("made: %v", made)
	}
	h.Until("the volume is free", func() bool { return h.VolumeStatus(made[0]) == stowage.VolumeAvailable })
	if n := len(h.Servers.List()); n != 1 {
		t.Errorf("%d servers", n)
	}
}

func TestABackupOfAServerIsDeletedWhole(t *testing.T) {
	h, id, _, _ := farm(t)
	exported(h, id, "FULL")
	a := send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, id), demo)
	task := one(t, withTotal(a))
	awaitTask(h, guidOf(task), "FINISHED")
	if left := h.Call("demo:demo", http.MethodGet, harness.Base("demo"), "").JSON(t)["backups"].([]any); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	h.Until("no object is left", func() bool { return len(h.Objects()) == 0 })
}

func TestServersOfOthersAreNotThere(t *testing.T) {
	h, id, _, _ := farm(t)
	wantFault(t, export(h, token("alt:alt"), fmt.Sprintf(`{"protectedEntities":[%q]}`, id)), http.StatusNotFound, "could not be found")
	_, _, backup := exported(h, id, "FULL")
	wantFault(t, send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q}`, guidOf(backup)), token("alt:alt")), http.StatusNotFound, "could not be found")
}

// A server is scheduled, and what its policy keeps no longer goes, whole.
func TestAScheduleKeepsTheLastBackupsOfAServer(t *testing.T) {
	h, id, _, _ := farm(t)
	s, due := soon(h, "S", "INCREMENTAL", "")
	p := policyOf(h, "P", fmt.Sprintf("[%q]", id), s, `"retentionKeepLastNFull":"1","retentionKeepLastNIncremental":"1"`)
	for n := range 3 {
		until(h, due.Add(time.Duration(n)*24*time.Hour))
		if got := entries(ran(h, s, n+1)); got != id+" BEGUN" {
			t.Fatalf("run %d has %s", n+1, got)
		}
		cleaned(h, n+1)
	}
	mine := rows(t, send(h, http.MethodGet, "/backups?backup-policy="+guidOf(p), "", demo))
	if len(mine) != 2 || at(mine[0], "type.name") != "INCREMENTAL" || at(mine[1], "type.name") != "FULL" {
		t.Errorf("left: %v", mine)
	}
	if left := h.Call("demo:demo", http.MethodGet, harness.Base("demo"), "").JSON(t)["backups"].([]any); len(left) != 4 {
		t.Errorf("/v1.1 has %d", len(left))
	}
	if stores := rows(t, send(h, http.MethodGet, "/tasks?type=STORE&schedule="+s, "", demo)); len(stores) != 3 {
		t.Errorf("%d STORE tasks", len(stores))
	}
	flows := rows(t, send(h, http.MethodGet, "/workflow-executions?schedule="+s, "", demo))
	for _, f := range flows {
		if at(f, "definitionName.name") == "EXPORT" && (at(f, "currentStep.name") != "STORE" || at(f, "state.name") != "FINISHED") {
			t.Errorf("a workflow is %v", f)
		}
	}
}

// Reports and bills tell of a server once, and not of each of its volumes.
func TestAServerIsReportedOnce(t *testing.T) {
	h, id, boot, data := farm(t)
	_, _, backup := exported(h, id, "FULL")
	task := send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q,"restoredPeName":"twin"}`, guidOf(backup)), demo).JSON(t)
	awaitTask(h, guidOf(task), "FINISHED")
	report := send(h, http.MethodGet, "/dashboard/report", "", demo).JSON(t)
	for _, part := range []string{"backups", "restores"} {
		if at(report, part+".successful") != 1.0 || at(report, part+".total") != 1.0 || len(at(report, part+".elements").([]any)) != 1 {
			t.Errorf("%s: %v", part, at(report, part))
		}
	}
	if row := at(report, "backups.elements").([]any)[0]; at(row, "protectedEntityGuid") != id || at(row, "type") != "Full" || at(row, "size") != float64(len(boot)+len(data)) {
		t.Errorf("the row is %v", row)
	}
	for _, kind := range []string{"backup-size", "transfer-size"} {
		bars := rows(t, withTotal(send(h, http.MethodPost, "/chargeback-reporting/"+kind+"/vm", `{"groupBy":"virtual-machine"}`, demo)))
		if len(bars) != 1 || bars[0]["name"] != "web" || kind == "backup-size" && bars[0]["size"] != float64(len(boot)+len(data)) {
			t.Errorf("%s: %v", kind, bars)
		}
	}
	h.Disks.On(drivertest.OpCreateSnapshot, "").Before(errBroken)
	ended(h, guidOf(one(t, exportOf(h, id, "FULL"))))
	if report = send(h, http.MethodGet, "/dashboard/report", "", demo).JSON(t); at(report, "backups.failed") != 1.0 || at(report, "backups.total") != 2.0 {
		t.Errorf("after a failure: %v", report["backups"])
	}
}
