//go:build libguestfs

package vendor_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/mount"
	"github.com/stowage/stowage/mount/mounttest"
)

// really has the harness's managers open images with libguestfs.
func really(t *testing.T, h *harness.Harness) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Symlink(mounttest.Cache(t), filepath.Join(dir, "appliance")); err != nil {
		t.Fatal(err)
	}
	m, err := mount.New(mount.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	h.Files.SetOpen(func(ctx context.Context, log *slog.Logger, image mount.Image) (manager.Session, []stowage.FileSystem, error) {
		s, found, err := m.Open(ctx, log, image)
		if err != nil {
			return nil, nil, err
		}
		return s, found, nil
	})
}

// A disk with partitions, LVM in one of them, and five file systems is backed up,
// sealed, and mounted; then it is changed. What the backup holds is listed and
// downloaded through the API, byte by byte as it was.
func TestFilesOfEveryFileSystemAreReadOutOfABackup(t *testing.T) {
	h := harness.New(t)
	really(t, h)
	h.Start(h.Manager("m1"))
	mounttest.Whole(t, h.VolumeFile("9"))
	h.Await(h.Create("9"), stowage.BackupAvailable)
	if err := os.Truncate(h.VolumeFile("9"), 0); err != nil {
		t.Fatal(err)
	}
	backup := one(t, send(h, http.MethodGet, "/backups?only-mountable=true", "", demo))["guid"].(string)
	a := send(h, http.MethodPost, "/tasks/restore-and-mount", fmt.Sprintf(`{"backupLocation": {"guid": %q}, "mode": {"name": "AUTO"}}`, backup), demo)
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	begun := time.Now()
	for state := any(""); state != "FINISHED"; time.Sleep(100 * time.Millisecond) {
		task := send(h, http.MethodGet, "/tasks/"+a.JSON(t)["guid"].(string), "", demo).JSON(t)
		if state = at(task, "state.name"); state == "FAILED" || time.Since(begun) > 5*time.Minute {
			t.Fatalf("the task is %v", task)
		}
	}
	t.Logf("mounted after %s", time.Since(begun).Round(time.Millisecond))
	guid := at(a.JSON(t), "mountedBackup.guid").(string)
	list := rows(t, send(h, http.MethodGet, "/mounted-file-systems/detailed?mounted-backup="+guid, "", demo))
	if len(list) != len(mounttest.Volumes) {
		t.Fatalf("found %v", list)
	}
	for _, v := range mounttest.Volumes {
		i := slices.IndexFunc(list, func(f map[string]any) bool { return at(f, "fileSystem.volume") == v.Volume })
		if i < 0 || at(list[i], "fileSystem.type") != v.Type || at(list[i], "fileSystem.label") != v.Label {
			t.Errorf("%s is not found as it is: %v", v.Volume, list)
			continue
		}
		fs := "/mounted-file-systems/" + list[i]["guid"].(string)
		names := map[string]map[string]any{}
		for _, f := range rows(t, send(h, http.MethodPost, fs+"/listing", `{"path": "/"}`, demo)) {
			names[f["name"].(string)] = f
		}
		if f := names["readme.txt"]; at(f, "fileType.name") != "REGULAR_FILE" || at(f, "size") != float64(len(mounttest.Readme(v.Volume))) {
			t.Errorf("%s: listed %v", v.Volume, names)
		}
		if f := names["dir"]; at(f, "fileType.name") != "DIRECTORY" {
			t.Errorf("%s: listed %v", v.Volume, names)
		}
		want := mounttest.Noise(v.Volume, mounttest.BigBytes)
		got := send(h, http.MethodPost, fs+"/download", `{"paths": ["/dir/big.bin"]}`, demo)
		if got.Status != http.StatusOK || !strings.Contains(got.Header.Get("Content-Disposition"), `filename="big.bin"`) || got.Body != string(bytes.TrimSpace(want)) {
			t.Errorf("%s: %d, %d bytes, %v", v.Volume, got.Status, len(got.Body), got.Header)
		}
		got = send(h, http.MethodPost, fs+"/download", `{"paths": ["/dir", "/readme.txt"]}`, demo)
		z, err := zip.NewReader(strings.NewReader(got.Body), int64(len(got.Body)))
		if err != nil || got.Header.Get("Content-Type") != "application/zip" {
			t.Errorf("%s: the archive: %v, %v", v.Volume, err, got.Header)
			continue
		}
		for name, want := range map[string][]byte{"dir/big.bin": want, "readme.txt": mounttest.Readme(v.Volume)} {
			f, err := z.Open(name)
			if err != nil {
				t.Errorf("%s: %v", v.Volume, err)
				continue
			}
			if data, err := io.ReadAll(f); err != nil || !bytes.Equal(data, want) {
				t.Errorf("%s: %s has %d other bytes in the archive, %v", v.Volume, name, len(data), err)
			}
		}
	}
	a = send(h, http.MethodPost, "/tasks/unmount", `{"mountedBackup": {"guid": "`+guid+`"}}`, demo)
	await(t, h, a.JSON(t)["guid"].(string), "FINISHED")
}
