package vendor_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/mount"
)

// mounted mounts demo's one backup, waits until it is, and gives its guid and the
// backup's.
func mounted(t *testing.T, h *harness.Harness, body string) (mount, backup string) {
	t.Helper()
	backup = one(t, send(h, http.MethodGet, "/backups?only-mountable=true", "", demo))["guid"].(string)
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", fmt.Sprintf(body, backup), demo)
	if a.Status != http.StatusOK {
		t.Fatalf("mount: %d %s", a.Status, a.Body)
	}
	task := a.JSON(t)
	if at(task, "type.name") != "MOUNT" || at(task, "restoreType.name") != "RESTORE_AND_MOUNT" || at(task, "protectedEntity.guid") != "9" {
		t.Fatalf("the task is %s", a.Body)
	}
	await(t, h, task["guid"].(string), "FINISHED")
	return at(task, "mountedBackup.guid").(string), backup
}

// await waits until demo's task is in a state.
func await(t *testing.T, h *harness.Harness, task, state string) map[string]any {
	t.Helper()
	var last map[string]any
	h.Until("the task is "+state, func() bool {
		last = send(h, http.MethodGet, "/tasks/"+task, "", demo).JSON(t)
		return at(last, "state.name") == state
	})
	return last
}

const simply = `{"backupLocation": {"guid": %q}, "mode": {"name": "AUTO"}, "mountedFileSystems": [], "mountedDisks": [], "node": null}`

func TestAFileIsListedAndDownloadedOutOfAMountedBackup(t *testing.T) {
	h := backedUp(t)
	want := h.Bytes("9")
	if a := send(h, http.MethodGet, "/mounted-backups", "", demo); len(rows(t, a)) != 0 {
		t.Fatalf("before: %s", a.Body)
	}
	guid, backup := mounted(t, h, simply)
	m := one(t, send(h, http.MethodGet, "/mounted-backups?page=0&size=20&orderBy=state&direction=desc&filter=", "", demo))
	for path, want := range map[string]any{
		"guid": guid, "backup.guid": backup, "backup.protectedEntity.guid": "9", "mode.name": "AUTO", "mode.description": "Auto", "state.name": "MOUNTED",
		"node.name": "m1", "mountedFileSystemCount": 2.0, "mountedFileCount": 1.0, "finishedMount": false, "tenantId": "demo",
	} {
		if got := at(m, path); got != want {
			t.Errorf("mount: %s is %v, want %v", path, got, want)
		}
	}
	if a := send(h, http.MethodGet, "/mounted-backups/"+guid+"/", "", demo); at(a.JSON(t), "backup.size") != float64(len(want)) {
		t.Errorf("one mount: %s", a.Body)
	}
	list := rows(t, send(h, http.MethodGet, "/mounted-file-systems/detailed?mounted-backup="+guid, "", demo))
	if len(list) != 2 || at(list[0], "mountPath") != "/sda1" || at(list[0], "fileSystem.volume") != "/dev/sda1" || at(list[0], "fileSystem.type") != "ext4" ||
		at(list[0], "fileSystem.label") != "ROOT" || at(list[1], "fileSystem.volume") != "/dev/sda2" {
		t.Fatalf("file systems: %v", list)
	}
	known := rows(t, send(h, http.MethodGet, "/file-systems?backup="+backup, "", demo))
	if len(known) != 2 || at(known[0], "guid") != at(list[0], "guid") {
		t.Errorf("file systems of the backup: %v", known)
	}
	disk := one(t, send(h, http.MethodGet, "/mounted-files?mounted-backup="+guid, "", demo))
	if at(disk, "randomAccess") != true || !strings.HasPrefix(disk["path"].(string), "volumebackups/") {
		t.Errorf("the disk is %v", disk)
	}
	fs := "/mounted-file-systems/" + list[1]["guid"].(string)
	dir := one(t, send(h, http.MethodPost, fs+"/listing", `{"path": "/"}`, demo))
	if at(dir, "fileType.name") != "DIRECTORY" || at(dir, "owner") != "1000" || at(dir, "group") != "100" ||
		fmt.Sprint(dir["permissions"]) != "[OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE]" {
		t.Errorf("listed: %v", dir)
	}
	file := one(t, send(h, http.MethodPost, fs+"/listing", `{"path": "/dir"}`, demo))
	if at(file, "name") != "ünd \n/dev/sda2" || at(file, "fileType.name") != "REGULAR_FILE" || at(file, "size") != float64(len(want)) {
		t.Errorf("listed: %v", file)
	}
	a := send(h, http.MethodPost, fs+"/download", `{"paths": ["/dir/image"]}`, demo)
	if a.Status != http.StatusOK || !bytes.Equal([]byte(a.Body), bytes.TrimSpace(want)) { // the harness trims
		t.Fatalf("download: %d, %d bytes", a.Status, len(a.Body))
	}
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Disposition"))
	if err != nil || kind != "attachment" || params["filename"] != "ünd \"image\"" || a.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("headers: %v %v %v", a.Header, params, err)
	}
	for path, status := range map[string]int{
		"/mounted-file-systems/x/listing": 404, "/mounted-file-systems/" + guid + ".7/listing": 404, "/mounted-file-systems/" + guid + ".-1/listing": 404,
		fs + "/download": 404,
	} {
		a := send(h, http.MethodPost, path, `{"path": "/none", "paths": ["/none"]}`, demo)
		if a.Status != status || at(a.JSON(t), "message") == "" || a.Header.Get("Content-Disposition") != "" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %v", path, a.Status, a.Body, a.Header)
		}
	}
}

func TestAMountEndsWhenItIsToldToAndCanBeHadAgain(t *testing.T) {
	h := backedUp(t)
	guid, _ := mounted(t, h, simply)
	of := `{"mountedBackup": {"guid": "` + guid + `", "name": ""}}`
	if a := send(h, http.MethodPost, "/tasks/mount", of, demo); a.Status != http.StatusConflict {
		t.Errorf("mounted twice: %d %s", a.Status, a.Body)
	}
	a := send(h, http.MethodPost, "/tasks/unmount", of, demo)
	if a.Status != http.StatusOK || at(a.JSON(t), "type.name") != "UNMOUNT" || at(a.JSON(t), "mountedBackup.guid") != guid {
		t.Fatalf("unmount: %d %s", a.Status, a.Body)
	}
	await(t, h, a.JSON(t)["guid"].(string), "FINISHED")
	if n := h.Files.Sessions(); n != 0 {
		t.Errorf("%d images are open", n)
	}
	if len(rows(t, send(h, http.MethodGet, "/mounted-backups", "", demo))) != 0 {
		t.Error("it is listed as mounted")
	}
	over := one(t, send(h, http.MethodGet, "/mounted-backups?finished-mount=true", "", demo))
	if at(over, "state.name") != "UNMOUNTED" || at(over, "mountedFileSystemCount") != 0.0 || at(over, "finishedMount") != true {
		t.Errorf("over: %v", over)
	}
	if a := send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/listing", `{}`, demo); a.Status != http.StatusConflict {
		t.Errorf("listed: %d %s", a.Status, a.Body)
	}
	if a := send(h, http.MethodPost, "/tasks/unmount", of, demo); a.Status != http.StatusConflict {
		t.Errorf("unmounted twice: %d %s", a.Status, a.Body)
	}
	a = send(h, http.MethodPost, "/tasks/mount", of, demo)
	if a.Status != http.StatusOK {
		t.Fatalf("mounted again: %d %s", a.Status, a.Body)
	}
	await(t, h, a.JSON(t)["guid"].(string), "FINISHED")
	one(t, send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/listing", `{}`, demo))
}

func TestAMountEndsWhenItsTimeIsOver(t *testing.T) {
	h, stop := backedUpBy(t)
	stop()
	m := h.Manager("m1")
	m.Lease = time.Hour // or a sweep finds it lost before it is renewed
	h.Start(m)
	at10 := h.Clock.Now().Add(10 * time.Minute).UnixMilli()
	guid, _ := mounted(t, h, fmt.Sprintf(`{"backupLocation": {"backup": {"guid": %%q}}, "unmountTime": %d.0}`, at10))
	if m := send(h, http.MethodGet, "/mounted-backups/"+guid, "", demo).JSON(t); at(m, "unmountTime") != float64(at10) {
		t.Errorf("it ends at %v", at(m, "unmountTime"))
	}
	h.Clock.Step(9 * time.Minute)
	one(t, send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/listing", `{}`, demo))
	h.Clock.Step(time.Minute)
	if a := send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/listing", `{}`, demo); a.Status != http.StatusConflict {
		t.Errorf("listed after its time: %d", a.Status)
	}
	h.Until("it is unmounted", func() bool {
		return at(send(h, http.MethodGet, "/mounted-backups/"+guid, "", demo).JSON(t), "state.name") == "UNMOUNTED" && h.Files.Sessions() == 0
	})
}

func TestAMountedBackupIsNotDeleted(t *testing.T) {
	h := backedUp(t)
	guid, _ := mounted(t, h, simply)
	const id = "1"
	if a := send(h, http.MethodPost, "/tasks/inventory-sync", "", token("portal:admin")); a.Status >= 300 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	h.Until("the inventory knows the volume", func() bool {
		return send(h, http.MethodGet, "/virtual-machines/9", "", demo).Status == http.StatusOK
	})
	if a := h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+id, ""); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "mounted") {
		t.Errorf("deleted while mounted: %d %s", a.Status, a.Body)
	}
	if a := send(h, http.MethodPost, "/tasks/delete", `{"value": "9"}`, demo); a.Status != http.StatusConflict {
		t.Errorf("all deleted while mounted: %d %s", a.Status, a.Body)
	}
	a := send(h, http.MethodPost, "/tasks/unmount", `{"mountedBackup": "`+guid+`"}`, demo)
	await(t, h, a.JSON(t)["guid"].(string), "FINISHED")
	if a := h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+id, ""); a.Status >= 300 {
		t.Fatalf("delete: %d %s", a.Status, a.Body)
	}
	h.Await(id, "")
	if a := send(h, http.MethodPost, "/tasks/mount", `{"mountedBackup": "`+guid+`"}`, demo); a.Status != http.StatusNotFound {
		t.Errorf("mounted when it is gone: %d %s", a.Status, a.Body)
	}
	if a := send(h, http.MethodGet, "/mounted-backups?finished-mount=true", "", demo); a.Status != http.StatusOK {
		t.Errorf("listed: %d %s", a.Status, a.Body)
	} else {
		rows(t, a)
	}
}

func TestWhatCannotBeMountedIsRefused(t *testing.T) {
	h := backedUp(t)
	backup := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	far := h.Clock.Now().Add(366 * 24 * time.Hour).UnixMilli()
	for body, status := range map[string]int{
		`{}`:                 400,
		`{"backup": "none"}`: 404,
		`{"backup": "B", "mode": {"name": "ISCSI"}}`:                             400,
		`{"backup": "B", "mode": "OS_DOWNLOAD"}`:                                 400,
		fmt.Sprintf(`{"backup": "B", "unmountTime": %d}`, far):                   400,
		`{"backup": "B", "unmountTime": 1000}`:                                   400,
		`{"backup": "B", "unmountTime": 1500000000000}`:                          400, // 2017
		`{"backup": "B", "unmountTime": -1}`:                                     400,
		`{"backup": "B", "node": {"guid": "elsewhere"}}`:                         503,
		`{"backup": "B", "mountedFileSystems": [{"fileSystem": {"guid": "x"}}]}`: 400,
		`{"backup": "B", "tenantId": "other"}`:                                   404,
		`[]`:                                                                     400,
	} {
		a := send(h, http.MethodPost, "/tasks/restore-and-mount", strings.ReplaceAll(body, `"B"`, `"`+backup+`"`), demo)
		if a.Status != status || at(a.JSON(t), "message") == "" {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	ok := `{"backup": "` + backup + `", "unmountTime": "3600000"}` // as a period, and as text
	for range 2 {
		if a := send(h, http.MethodPost, "/tasks/restore-and-mount", ok, demo); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if a := send(h, http.MethodPost, "/tasks/restore-and-mount", ok, demo); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "unmount one first") {
		t.Errorf("beyond the project's limit: %d %s", a.Status, a.Body)
	}
}

func TestOnlyTheFileSystemsThatAreWantedAreMounted(t *testing.T) {
	h := backedUp(t)
	guid, backup := mounted(t, h, `{"backup": %q, "mode": "MANUAL", "mountedFileSystems": [{"fileSystem": {"volume": "/dev/sda2"}, "mountPath": "/mnt/data"}]}`)
	fs := one(t, send(h, http.MethodGet, "/mounted-file-systems/detailed?mounted-backup="+guid, "", demo))
	if at(fs, "mountPath") != "/mnt/data" || at(fs, "fileSystem.volume") != "/dev/sda2" {
		t.Errorf("%v", fs)
	}
	file := one(t, send(h, http.MethodPost, "/mounted-file-systems/"+fs["guid"].(string)+"/listing", `{"path": "/dir"}`, demo))
	if at(file, "name") != "ünd \n/dev/sda2" {
		t.Errorf("another file system is listed: %v", file)
	}
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", `{"backup": "`+backup+`", "mountedFileSystems": [{"fileSystem": {"volume": "/dev/sdz"}}]}`, demo)
	failed := await(t, h, a.JSON(t)["guid"].(string), "FAILED")
	if !strings.Contains(failed["statusInfo"].(string), "/dev/sdz") || h.Files.Sessions() != 1 {
		t.Errorf("%v, %d open", failed, h.Files.Sessions())
	}
	m := send(h, http.MethodGet, "/mounted-backups/"+at(a.JSON(t), "mountedBackup.guid").(string), "", demo).JSON(t)
	if at(m, "state.name") != "FAILED" || !strings.Contains(at(m, "statusInfo").(string), "/dev/sdz") {
		t.Errorf("%v", m)
	}
}

func TestATenantSeesHisMountsOnly(t *testing.T) {
	h := backedUp(t)
	guid, backup := mounted(t, h, simply)
	other, portal := token("other:other"), token("portal:admin")
	for _, path := range []string{"/mounted-backups", "/mounted-backups?finished-mount=true"} {
		if a := send(h, http.MethodGet, path, "", other); len(rows(t, a)) != 0 {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
	for _, q := range [][2]string{
		{http.MethodGet, "/mounted-backups/" + guid}, {http.MethodGet, "/mounted-file-systems/detailed?mounted-backup=" + guid},
		{http.MethodGet, "/mounted-files?mounted-backup=" + guid}, {http.MethodGet, "/file-systems?backup=" + backup},
		{http.MethodPost, "/mounted-file-systems/" + guid + ".0/listing"}, {http.MethodPost, "/mounted-file-systems/" + guid + ".0/download"},
		{http.MethodPost, "/tasks/unmount"}, {http.MethodPost, "/tasks/mount"}, {http.MethodPost, "/tasks/restore-and-mount"},
	} {
		body := `{"mountedBackup": "` + guid + `", "paths": ["/dir/image"], "backup": "` + backup + `"}`
		if a := send(h, q[0], q[1], body, other); a.Status != http.StatusNotFound {
			t.Errorf("%v for another tenant: %d %s", q, a.Status, a.Body)
		}
	}
	one(t, send(h, http.MethodGet, "/mounted-backups?project-uuid=demo", "", portal))
	if a := send(h, http.MethodGet, "/mounted-backups?project-uuid=other", "", portal); len(rows(t, a)) != 0 {
		t.Errorf("narrowed: %s", a.Body)
	}
	one(t, send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/listing?project-uuid=demo", `{}`, portal))
}

func TestAMountThatBreaksTellsSo(t *testing.T) {
	h := backedUp(t)
	guid, _ := mounted(t, h, simply)
	h.Files.Break()
	h.Until("the mount is over", func() bool {
		m := send(h, http.MethodGet, "/mounted-backups/"+guid, "", demo).JSON(t)
		return at(m, "state.name") == "UNMOUNTED" && at(m, "statusInfo") == "What served the backup has ended."
	})
	if n := h.Files.Sessions(); n != 0 {
		t.Errorf("%d images are open", n)
	}
}

func TestAMountThatWaitsCanBeTakenBack(t *testing.T) {
	h := backedUp(t)
	opening, begun := make(chan struct{}), make(chan struct{}, 1)
	h.Files.SetOpen(func(ctx context.Context, _ *slog.Logger, _ mount.Image) (manager.Session, []stowage.FileSystem, error) {
		begun <- struct{}{}
		select {
		case <-opening:
		case <-ctx.Done():
		}
		return nil, nil, stowage.Errorf(stowage.NotFound, "The backup holds no file system that can be read.")
	})
	backup := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", `{"backup": "`+backup+`"}`, demo).JSON(t)
	<-begun
	of := `{"mountedBackup": "` + at(a, "mountedBackup.guid").(string) + `"}`
	if a := send(h, http.MethodPost, "/tasks/unmount", of, demo); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	await(t, h, a["guid"].(string), "CANCELLED")
	m := send(h, http.MethodGet, "/mounted-backups/"+at(a, "mountedBackup.guid").(string), "", demo).JSON(t)
	if at(m, "state.name") != "FAILED" {
		t.Errorf("%v", m)
	}
	close(opening)
	a = send(h, http.MethodPost, "/tasks/restore-and-mount", `{"backup": "`+backup+`"}`, demo).JSON(t)
	if failed := await(t, h, a["guid"].(string), "FAILED"); !strings.Contains(failed["statusInfo"].(string), "no file system") {
		t.Errorf("%v", failed)
	}
}

// A manager that stops says so; one that dies is found out, by its successor at
// once and by others when its lease has run out.
func TestMountsEndWithTheirManager(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	h.Volume("9", 300_000)
	h.Await(h.Create("9"), stowage.BackupAvailable)
	guid, _ := mounted(t, h, simply)
	state := func() string {
		m, err := h.DB.Mount(t.Context(), db.Scope{}, guid)
		if err != nil {
			t.Fatal(err)
		}
		return string(m.State) + ": " + m.Reason
	}
	stop()
	if s := state(); s != "ended: The manager that served it was stopped." || h.Files.Sessions() != 0 {
		t.Fatalf("after a stop it is %s, %d open", s, h.Files.Sessions())
	}
	dead := func() {
		t.Helper()
		until := h.Clock.Now().Add(time.Minute).UnixMicro()
		if err := h.Exec(`UPDATE mounts SET state = 'served', reason = '', host = 'm1', owner = 'm1/before', lease_expires = ? WHERE id = ?`, until, guid); err != nil {
			t.Fatal(err)
		}
	}
	dead()
	other := h.Manager("m2")
	other.Sweep(t.Context())
	if s := state(); s != "served: " {
		t.Fatalf("another manager's is %s", s)
	}
	h.Clock.Step(61 * time.Second)
	other.Sweep(t.Context())
	if s := state(); s != "lost: The manager on m1 that served it stopped." {
		t.Fatalf("without a lease it is %s", s)
	}
	dead()
	h.Manager("m1").Sweep(t.Context())
	if s := state(); !strings.HasPrefix(s, "lost: ") {
		t.Fatalf("after a new start it is %s", s)
	}
	h.Clock.Step(31 * 24 * time.Hour)
	other.Sweep(t.Context())
	if _, err := h.DB.Mount(t.Context(), db.Scope{}, guid); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("after a month it is remembered: %v", err)
	}
}

// Swift is away when the backup is opened, and comes back; then it is away, or has
// other bytes, while a file is read.
func TestAMountAndASwiftThatFails(t *testing.T) {
	h := backedUp(t)
	h.Stores.On(drivertest.OpGet, "/root").Times(2).Before(stowage.Errorf(stowage.Unavailable, "Swift is away."))
	guid, _ := mounted(t, h, simply)
	if !h.LogContains("Swift is away.") {
		t.Error("Swift was not away")
	}
	download := func() (a answer, cut bool) {
		defer func() { cut = recover() == http.ErrAbortHandler }()
		return send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/download", `{"paths": ["/dir/image"]}`, demo), false
	}
	h.Stores.On(drivertest.OpGet, "/pack-").Always().Before(stowage.Errorf(stowage.Unavailable, "Swift is away again."))
	if a, cut := download(); cut || a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, "Swift is away again.") || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("before the first byte: cut %v, %d %s", cut, a.Status, a.Body)
	}
	h.Stores.Clear()
	if a, cut := download(); cut || a.Status != http.StatusOK || a.Body != string(bytes.TrimSpace(h.Bytes("9"))) {
		t.Errorf("when it is back: cut %v, %d, %d bytes", cut, a.Status, len(a.Body))
	}
	of := `{"mountedBackup": "` + guid + `"}`
	a := send(h, http.MethodPost, "/tasks/unmount", of, demo)
	await(t, h, a.JSON(t)["guid"].(string), "FINISHED")
	a = send(h, http.MethodPost, "/tasks/mount", of, demo) // with nothing kept of what was read
	await(t, h, a.JSON(t)["guid"].(string), "FINISHED")
	last := ""
	for _, name := range h.Objects() {
		if strings.Contains(name, "/pack-") {
			last = name
		}
	}
	h.Stores.On(drivertest.OpGet, last[strings.LastIndex(last, "/"):]).Always().Before(stowage.Errorf(stowage.Corrupt, "These are not the bytes."))
	if _, cut := download(); !cut {
		t.Error("a download that could not be read to its end was not cut off")
	}
}

// The row is what counts: what the database did not hear of is done again.
func TestAnUnmountThatIsNotNotedIsDoneAgain(t *testing.T) {
	h := backedUp(t)
	guid, _ := mounted(t, h, simply)
	const trigger = `CREATE TRIGGER no BEFORE UPDATE OF ended_at ON mounts BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`
	if err := h.Exec(trigger); err != nil {
		t.Fatal(err)
	}
	h.Clock.Step(3 * time.Hour) // beyond its time
	h.Until("the manager has tried", func() bool { return h.LogContains("the disk is full") && h.Files.Sessions() == 0 })
	m, err := h.DB.Mount(t.Context(), db.Scope{}, guid)
	if err != nil || m.State != stowage.MountServed {
		t.Fatalf("%+v %v", m, err)
	}
	if err := h.Exec(`DROP TRIGGER no`); err != nil {
		t.Fatal(err)
	}
	// The lease is over, too, after such a step: whoever looks first says what he sees.
	h.Until("the row says so", func() bool {
		m, err := h.DB.Mount(t.Context(), db.Scope{}, guid)
		return err == nil && (m.State == stowage.MountEnded && m.Reason == "Its time was over." || m.State == stowage.MountLost)
	})
}

// Rights on a container may be one user's and not another's, or be taken away.
func TestWhoMayNotReadTheContainerReadsNoMountedFile(t *testing.T) {
	h := backedUp(t)
	guid, _ := mounted(t, h, simply)
	listing := "/mounted-file-systems/" + guid + ".0/listing"
	one(t, send(h, http.MethodPost, listing, `{}`, demo))
	h.Containers.Before("MayRead", func(string) error { return stowage.Errorf(stowage.Forbidden, "You may not read it.") })
	wantFault(t, send(h, http.MethodPost, listing, `{}`, demo), http.StatusForbidden, "may not read")
	wantFault(t, send(h, http.MethodPost, "/mounted-file-systems/"+guid+".0/download", `{"paths": ["/dir/image"]}`, demo), http.StatusForbidden, "may not read")
	one(t, send(h, http.MethodPost, listing+"?project-uuid=demo", `{}`, token("portal:admin"))) // by the operator's word
}

// idleSession reads nothing.
type idleSession struct{ manager.Session }

func (idleSession) Ended() <-chan struct{} { return nil }
func (idleSession) Close() error           { return nil }

// Whoever unmounts while the backup is being opened has it unmounted, however soon that
// is done.
func TestAnUnmountDuringTheOpeningCounts(t *testing.T) {
	h := backedUp(t)
	begun, opening := make(chan bool), make(chan bool)
	h.Files.SetOpen(func(context.Context, *slog.Logger, mount.Image) (manager.Session, []stowage.FileSystem, error) {
		close(begun)
		<-opening
		return idleSession{}, []stowage.FileSystem{{Volume: "/dev/sda1", Type: "ext4", Path: "/sda1"}}, nil
	})
	backup := one(t, send(h, http.MethodGet, "/backups", "", demo))["guid"].(string)
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", `{"backup": "`+backup+`"}`, demo).JSON(t)
	<-begun
	guid := at(a, "mountedBackup.guid").(string)
	if a := send(h, http.MethodPost, "/tasks/unmount", `{"mountedBackup": "`+guid+`"}`, demo); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	close(opening)
	await(t, h, a["guid"].(string), "CANCELLED")
	if m, err := h.DB.Mount(t.Context(), db.Scope{}, guid); err != nil || !m.State.Over() {
		t.Errorf("it was unmounted, and is %s until %s: %v", m.State, m.UnmountAt, err)
	}
}
