package vendor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/internal/harness"
)

// afterwards is another cloud, with a new database: of the first one there is nothing
// but the objects and the master key. What is imported comes in the order of the
// volumes, or in the other one.
func afterwards(t *testing.T, was *harness.Harness, backwards bool) *harness.Harness {
	t.Helper()
	h := harness.New(t)
	h.Master = was.Master
	if err := os.CopyFS(filepath.Join(h.Dir, "objects"), os.DirFS(filepath.Join(was.Dir, "objects"))); err != nil {
		t.Fatal(err)
	}
	c := &catalog.Catalog{
		Store: h.ObjectStore(), Engine: engine.New(engine.Options{}), Master: h.Master, Project: "demo", Container: stowage.DefaultContainer,
	}
	var all []catalog.Entry
	if err := c.Scan(t.Context(), "", func(e catalog.Entry) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(all, func(a, b catalog.Entry) int { return a.SnapshotAt.Compare(b.SnapshotAt) })
	if backwards {
		slices.Reverse(all)
	}
	for _, want := range []bool{true, false} {
		for _, e := range all {
			if done, err := c.Import(t.Context(), h.DB, e, h.Clock.Now()); err != nil || done != want {
				t.Fatalf("import of %s: %v, %v", e.Backup, done, err)
			}
			if _, err := c.ImportSet(t.Context(), h.DB, e, h.Clock.Now()); err != nil {
				t.Fatalf("import of what %s is part of: %v", e.Backup, err)
			}
		}
	}
	h.Start(h.Manager("m1"))
	look(h)
	return h
}

func TestAServerIsBuiltAgainFromItsObjectsAlone(t *testing.T) {
	for name, backwards := range map[string]bool{"in the order of the volumes": false, "backwards": true} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			was, id, boot, data := farm(t)
			_, _, first := exported(was, id, "FULL")
			changed := bytes.Clone(data)
			copy(changed[70_000:], bytes.Repeat([]byte("changed "), 4_000))
			if err := os.WriteFile(was.VolumeFile("22"), changed, 0o600); err != nil {
				t.Fatal(err)
			}
			was.Clock.Step(time.Minute)
			_, _, second := exported(was, id, "INCREMENTAL")
			before := map[string]stowage.Backup{}
			for _, b := range []map[string]any{first, second} {
				row, err := was.DB.BackupByUUID(t.Context(), db.Scope{}, guidOf(b))
				if err != nil {
					t.Fatal(err)
				}
				before[row.UUID] = row
			}

			h := afterwards(t, was, backwards)
			if all := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(all) != 2 {
				t.Errorf("backups: %v", all)
			}
			for uuid, b := range before {
				now, err := h.DB.BackupByUUID(t.Context(), db.Scope{ProjectID: "demo"}, uuid)
				if err != nil {
					t.Fatal(err)
				}
				if now.Status != stowage.BackupAvailable || now.SizeGiB != b.SizeGiB || now.VolumeBytes != b.VolumeBytes || now.StoredBytes != b.StoredBytes ||
					now.ObjectCount != b.ObjectCount || now.Incremental != b.Incremental || !now.SnapshotAt.Equal(b.SnapshotAt) || !now.CreatedAt.Equal(b.CreatedAt) ||
					now.Name != b.Name || fmt.Sprintf("%+v", now.Volume) != fmt.Sprintf("%+v", b.Volume) || fmt.Sprintf("%+v", *now.Server) != fmt.Sprintf("%+v", *b.Server) {
					t.Errorf("it was\n%+v\nand is\n%+v", b, now)
				}
			}
			for i, b := range []map[string]any{first, second} {
				files := rows(t, send(h, http.MethodGet, "/backup-files?backup="+guidOf(b), "", demo))
				if len(files) != 2 || at(files[0], "vmDisk.guid") != "21" || at(files[1], "vmDisk.guid") != "22" {
					t.Errorf("files: %v", files)
				}
				task := send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q,"restoredPeName":"again"}`, guidOf(b)), demo).JSON(t)
				awaitTask(h, guidOf(task), "FINISHED")
				awaitTask(h, guidOf(one(t, send(h, http.MethodGet, "/tasks?type=IMPORT&parent-task="+guidOf(task), "", demo))), "FINISHED")
				servers := h.Servers.List()
				if len(servers) != 1 {
					t.Fatalf("servers: %+v", servers)
				}
				s := servers[0]
				if p := s.Ports[0]; s.Name != "again" || s.FlavorID != "f1" || s.Zone != "nova" || s.Metadata["role"] != "web" || !slices.Equal(s.Tags, []string{"gold"}) || len(s.Ports) != 1 ||
					p.NetworkID != "n1" || p.MAC != "fa:16:3e:00:00:01" || !slices.Equal(p.Addresses, []string{"192.0.2.7"}) || !slices.Equal(p.SecurityGroups, []string{"sg-1"}) {
					t.Errorf("it is %+v", s)
				}
				if len(s.Disks) != 2 || !s.Disks[0].Boot || s.Disks[0].Device != "/dev/vda" || s.Disks[1].Boot || s.Disks[1].Device != "/dev/vdb" {
					t.Fatalf("its disks are %+v", s.Disks)
				}
				want := [][]byte{data, changed}[i]
				if !bytes.Equal(h.Bytes(s.Disks[0].VolumeID)[:len(boot)], boot) || !bytes.Equal(h.Bytes(s.Disks[1].VolumeID)[:len(want)], want) {
					t.Errorf("the volumes of backup %d are not what was backed up", i)
				}
				if err := h.Servers.Delete(t.Context(), s.ID); err != nil { // its address is free again
					t.Fatal(err)
				}
			}

			// The server itself is in no cloud any more. By its name all of it is deleted.
			task := rows(t, withTotal(send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, id), demo)))
			if len(task) != 2 {
				t.Fatalf("tasks: %v", task)
			}
			for _, one := range task {
				awaitTask(h, guidOf(one), "FINISHED")
			}
			if left := h.Call("demo:demo", http.MethodGet, harness.Base("demo"), "").JSON(t)["backups"].([]any); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			if left := rows(t, send(h, http.MethodGet, "/backups", "", demo)); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			h.Until("no object is left", func() bool { return len(h.Objects()) == 0 })
		})
	}
}

// One of its volumes was not stored: what there is of the server comes back, and says
// what is missing.
func TestAServerWithoutAVolumeComesBackInError(t *testing.T) {
	was, id, boot, _ := farm(t)
	was.Stores.On(drivertest.OpPut, "volume_22/").Always().Before(errBroken)
	task := one(t, exportOf(was, id, "FULL"))
	awaitTask(was, guidOf(task), "FINISHED")
	store := one(t, send(was, http.MethodGet, "/tasks?type=STORE&parent-task="+guidOf(task), "", demo))
	if store = ended(was, guidOf(store)); at(store, "state.name") != "FAILED" {
		t.Fatalf("the store is %v", store)
	}

	h := afterwards(t, was, false)
	set := at(task, "backup.guid").(string)
	backup := send(h, http.MethodGet, "/backups/"+set, "", demo).JSON(t)
	if at(backup, "status.name") != "FAILED" || !strings.Contains(backup["statusInfo"].(string), "1 of 2 volumes") || !strings.Contains(backup["statusInfo"].(string), "of volume 22") {
		t.Errorf("the backup is %v", backup)
	}
	wantFault(t, send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q}`, set), demo), http.StatusBadRequest, "must be available")
	part := one(t, send(h, http.MethodGet, "/backups?protected-entity=21", "", demo))
	restored := send(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q}`, guidOf(part)), demo).JSON(t)
	restored = awaitTask(h, guidOf(restored), "FINISHED")
	if made := volumes(h); len(made) != 1 || !bytes.Equal(h.Bytes(made[0])[:len(boot)], boot) {
		t.Errorf("made: %v (%v)", made, restored)
	}
	task = one(t, withTotal(send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, id), demo)))
	awaitTask(h, guidOf(task), "FINISHED")
	h.Until("no object is left", func() bool { return len(h.Objects()) == 0 })
}

// A server that has more to tell than a root takes is backed up all the same.
func TestAServerWithTooMuchToTellIsBackedUp(t *testing.T) {
	h, _, _, _ := farm(t)
	h.Volume("31", 100_000)
	id := place(h, stowage.ServerRecord{
		ProjectID: "demo", Name: "novel", FlavorID: "f1", Metadata: map[string]string{"text": strings.Repeat("x", 5000)},
		Disks: []stowage.ServerDisk{{VolumeID: "31", Device: "/dev/vda", Boot: true}},
	})
	_, _, backup := exported(h, id, "FULL")
	if at(backup, "status.name") != "SUCCESS" || !h.LogContains("stored without what the server is") {
		t.Errorf("the backup is %v", backup)
	}
}
