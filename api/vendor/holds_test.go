package vendor_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
)

// partsOf gives the backups that a server's backup consists of.
func partsOf(h *harness.Harness, set string) []stowage.Backup {
	h.T.Helper()
	whole, err := h.DB.BackupByUUID(h.T.Context(), db.Scope{}, set)
	if err != nil {
		h.T.Fatal(err)
	}
	parts, err := h.DB.SetBackups(h.T.Context(), whole.ID)
	if err != nil || len(parts) == 0 {
		h.T.Fatal(parts, err)
	}
	return parts
}

// marked says something of a backup, and waits for so many cleanups.
func marked(h *harness.Harness, backup, hint string, cleanups int) {
	h.T.Helper()
	if a := send(h, http.MethodPost, "/retention/mark-backups", fmt.Sprintf(`[{"guid":%q,"retentionHint":%q}]`, backup, hint), demo); a.Status != http.StatusOK {
		h.T.Fatalf("%s: %d %s", hint, a.Status, a.Body)
	}
	h.Until("it is cleaned up", func() bool {
		return len(polled(h, "/tasks?type=BACKUP_CLEANUP&state=FINISHED")) == cleanups
	})
}

// untouched fails if a deletion has begun, or anything of the server's backup is not available.
func untouched(h *harness.Harness, set string) {
	h.T.Helper()
	for _, task := range polled(h, "/tasks?type=DELETE") {
		h.T.Errorf("it is deleted: %v %v", at(task, "state.name"), task["statusInfo"])
	}
	for _, b := range partsOf(h, set) {
		if b.Status != stowage.BackupAvailable {
			h.T.Errorf("the backup of volume %s is %s", b.Volume.ID, b.Status)
		}
	}
	if dump := h.Dump("backups"); strings.Contains(dump, "deleting") {
		h.T.Errorf("something is being deleted: %s", dump)
	}
}

func TestAServersBackupWithAMountedPartIsNotDeleted(t *testing.T) {
	for what, disk := range map[string]string{"mounted whole": "", "mounted by its second disk": "22"} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := farm(t)
			_, _, set := exported(h, id, "FULL")
			backup := guidOf(set)
			var other stowage.Backup // another part, which is not mounted
			for _, b := range partsOf(h, guidOf(set)) {
				if b.Volume.ID == disk {
					backup = b.UUID
				} else if b.Volume.ID == "22" || disk != "" {
					other = b
				}
			}
			task := good(h, http.MethodPost, "/tasks/restore-and-mount", fmt.Sprintf(`{"backupLocation":{"guid":%q},"mode":"AUTO"}`, backup), demo)
			await(t, h, guidOf(task), "FINISHED")
			marked(h, guidOf(set), "TO_REMOVE", 1)
			untouched(h, guidOf(set))
			wantFault(t, send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, id), demo), http.StatusConflict, "mounted")
			untouched(h, guidOf(set))
			m, err := h.DB.Mount(t.Context(), db.Scope{}, at(task, "mountedBackup.guid").(string))
			if err != nil {
				t.Fatal(err)
			}
			if a := h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+fmt.Sprint(m.BackupID), ""); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "mounted") {
				t.Errorf("the mounted part: %d %s", a.Status, a.Body)
			}
			untouched(h, guidOf(set))
			// A disk that nobody reads can go alone, as ever.
			if a := h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+fmt.Sprint(other.ID), ""); a.Status >= 300 {
				t.Errorf("the other part: %d %s", a.Status, a.Body)
			}
			unmount := good(h, http.MethodPost, "/tasks/unmount", fmt.Sprintf(`{"mountedBackup":%q}`, m.ID), demo)
			await(t, h, guidOf(unmount), "FINISHED")
			if a := send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, id), demo); a.Status != http.StatusOK {
				t.Errorf("once it is not mounted: %d %s", a.Status, a.Body)
			}
			h.Until("all of it is gone", func() bool {
				_, err := h.DB.BackupByUUID(t.Context(), db.Scope{}, guidOf(set))
				return stowage.CodeOf(err) == stowage.NotFound
			})
		})
	}
}

func TestAServersBackupOfWhichAPartIsBeingRestoredIsNotDeleted(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, first := exported(h, id, "FULL")
	_, _, set := exported(h, id, "FULL")
	part := partsOf(h, guidOf(set))[0]
	status := func(s stowage.BackupStatus) {
		if err := h.Exec("UPDATE backups SET status = ? WHERE id = ?", s, part.ID); err != nil {
			t.Fatal(err)
		}
	}
	status(stowage.BackupRestoring)
	wantFault(t, send(h, http.MethodPost, "/tasks/delete", fmt.Sprintf(`{"value":%q}`, id), demo), http.StatusConflict, "restored")
	marked(h, guidOf(set), "TO_REMOVE", 1)
	status(stowage.BackupAvailable)
	untouched(h, guidOf(set))
	untouched(h, guidOf(first))
	marked(h, guidOf(set), "TO_REMOVE", 2)
	h.Until("it is gone", func() bool {
		_, err := h.DB.BackupByUUID(t.Context(), db.Scope{}, guidOf(set))
		return stowage.CodeOf(err) == stowage.NotFound
	})
}

func TestAPartThatIsToStayKeepsTheWhole(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, set := exported(h, id, "FULL")
	part := partsOf(h, guidOf(set))[1].UUID
	marked(h, part, "DONT_TOUCH", 0)
	marked(h, guidOf(set), "TO_REMOVE", 1)
	untouched(h, guidOf(set))
	// Also for a while, and if it was said before there was such a check.
	until := h.Clock.Now().Add(time.Hour)
	if err := h.Exec("UPDATE backups SET retention_mark = 'ARCHIVE', retain_until = ? WHERE uuid = ?", until.UnixMicro(), part); err != nil {
		t.Fatal(err)
	}
	marked(h, guidOf(set), "TO_REMOVE", 2)
	untouched(h, guidOf(set))
	if err := h.Exec("UPDATE backups SET retain_until = ? WHERE uuid = ?", h.Clock.Now().Add(-time.Hour).UnixMicro(), part); err != nil {
		t.Fatal(err)
	}
	marked(h, guidOf(set), "TO_REMOVE", 3)
	h.Until("all of it is gone", func() bool {
		_, err := h.DB.BackupByUUID(t.Context(), db.Scope{}, part)
		return stowage.CodeOf(err) == stowage.NotFound
	})
}

func TestAWholeThatIsToStayKeepsItsParts(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, set := exported(h, id, "FULL")
	part := partsOf(h, guidOf(set))[1].UUID
	marked(h, guidOf(set), "DONT_TOUCH", 0)
	marked(h, part, "TO_REMOVE", 1)
	untouched(h, guidOf(set))
	marked(h, guidOf(set), "STANDARD_RETENTION", 1)
	marked(h, part, "TO_REMOVE", 2)
	h.Until("the part is gone", func() bool {
		_, err := h.DB.BackupByUUID(t.Context(), db.Scope{}, part)
		return stowage.CodeOf(err) == stowage.NotFound
	})
}

func TestAPartOfWhatIsBeingDeletedCannotBeKept(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, set := exported(h, id, "FULL")
	part := partsOf(h, guidOf(set))[1]
	if err := h.Exec("UPDATE backups SET status = 'deleting' WHERE uuid = ?", guidOf(set)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/preview"} {
		a := send(h, http.MethodPost, "/retention/mark-backups"+path, fmt.Sprintf(`[{"guid":%q,"retentionHint":"DONT_TOUCH"}]`, part.UUID), demo)
		wantFault(t, a, http.StatusConflict, guidOf(set))
	}
	part.Mark = stowage.MarkDontTouch // as if it had been looked at before
	if err := h.DB.MarkBackups(t.Context(), db.Scope{}, []stowage.Backup{part}, nil, h.Clock.Now()); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("marked all the same: %v", err)
	}
	wantFault(t, send(h, http.MethodPost, "/tasks/restore-and-mount", fmt.Sprintf(`{"backup":%q}`, part.UUID), demo), http.StatusBadRequest, "available")
	if a := h.Call("demo:demo", http.MethodPost, harness.Base("demo")+"/"+fmt.Sprint(part.ID)+"/restore", `{"restore":{}}`); a.Status != http.StatusBadRequest {
		t.Errorf("restored: %d %s", a.Status, a.Body)
	}
}

// The second disk's backup is asked for by another when the first has begun.
func TestARestoreOfAServerWaitsForADiskThatAnotherRestores(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, set := exported(h, id, "FULL")
	var second stowage.Backup
	for _, b := range partsOf(h, guidOf(set)) {
		if b.Volume.ID == "22" {
			second = b
		}
	}
	status := func(s stowage.BackupStatus) error {
		return h.Exec("UPDATE backups SET status = ? WHERE id = ?", s, second.ID)
	}
	var once sync.Once
	h.Servers.Before("CreateVolume", func(string) (err error) {
		once.Do(func() { err = status(stowage.BackupRestoring) })
		return err
	})
	task := guidOf(good(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":{"guid":%q}}`, guidOf(set)), demo))
	h.Until("it waits", func() bool { return h.LogContains("is being restored by another") })
	if err := status(stowage.BackupAvailable); err != nil {
		t.Fatal(err)
	}
	if got := ended(h, task); at(got, "state.name") != "FINISHED" {
		t.Errorf("it is %v: %v", at(got, "state.name"), got["statusInfo"])
	}
}

// Whoever deletes all backups beside somebody else who deletes them has them deleted.
func TestAllBackupsAreDeletedByTwoAtOnce(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 1000)
	for range 4 {
		h.Await(h.Create("10"), stowage.BackupAvailable)
		h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if a := send(h, http.MethodPost, "/tasks/delete", `{"value":"10"}`, demo); a.Status != http.StatusOK {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	h.Until("all are gone", func() bool { return len(kept(h)) == 0 })
}
