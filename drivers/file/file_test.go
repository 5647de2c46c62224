package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
)

const key = "file:test"

func open(t *testing.T, dir string) drivers.Volumes {
	t.Helper()
	v, err := file.Open(file.Options{Key: key, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func newVolume(t *testing.T, dir string, bytes int64) stowage.VolumeLocation {
	t.Helper()
	id := uuid.NewString()
	vol := stowage.VolumeLocation{Backend: key, VolumeID: id, Name: "volume-" + id}
	path := filepath.Join(dir, vol.Name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, bytes); err != nil {
		t.Fatal(err)
	}
	return vol
}

func TestSuite(t *testing.T) {
	drivertest.Volumes(t, func(t *testing.T) drivertest.VolumesFixture {
		dir := t.TempDir()
		return drivertest.VolumesFixture{
			Volumes:   open(t, dir),
			NewVolume: func(t *testing.T, bytes int64) stowage.VolumeLocation { return newVolume(t, dir, bytes) },
			DeleteVolume: func(t *testing.T, vol stowage.VolumeLocation) {
				if err := os.Remove(filepath.Join(dir, vol.Name)); err != nil {
					t.Fatal(err)
				}
			},
			AllocatedBytes: func(t *testing.T, vol stowage.VolumeLocation) int64 {
				var stat syscall.Stat_t
				if err := syscall.Stat(filepath.Join(dir, vol.Name), &stat); err != nil {
					t.Fatal(err)
				}
				return stat.Blocks * 512
			},
		}
	})
}

func wantCode(t *testing.T, what string, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Errorf("%s: %v, want code %s", what, err, code)
	}
}

func TestOnlyRegularFiles(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v := open(t, dir)
	for name, create := range map[string]func(path string) error{
		"volume-link":    func(path string) error { return os.Symlink(outside, path) },
		"volume-inside":  func(path string) error { return os.Symlink("volume-fifo", path) },
		"volume-dir":     func(path string) error { return os.Mkdir(path, 0o700) },
		"volume-fifo":    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"volume-looping": func(path string) error { return os.Symlink("volume-looping", path) },
	} {
		if err := create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		vol := stowage.VolumeLocation{Backend: key, Name: name}
		_, err := v.OpenTarget(t.Context(), vol)
		wantCode(t, "OpenTarget "+name, err, stowage.Invalid)
		_, err = v.CreateSnapshot(t.Context(), vol, "s")
		wantCode(t, "CreateSnapshot "+name, err, stowage.Invalid)
	}
}

func TestSnapshotsDirThatLeadsOutside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, ".snapshots")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).CreateSnapshot(t.Context(), newVolume(t, dir, 4096), "s"); err == nil {
		t.Error("a snapshot was made through a link that leads out of the directory")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("outside there is now %v", entries)
	}
}

func TestVolumeInAnOverlay(t *testing.T) {
	dir := t.TempDir()
	v, vol := open(t, dir), newVolume(t, dir, 4096)
	info := filepath.Join(dir, vol.Name+".info")
	for content, refused := range map[string]bool{
		`{"active": "` + vol.Name + `.0a1b", "0a1b": "` + vol.Name + `.0a1b"}`: true,
		`{"active": "` + vol.Name + `"}`:                                       false,
		`{}`:                                                                   false,
		`not json`:                                                             true,
	} {
		if err := os.WriteFile(info, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		target, err := v.OpenTarget(t.Context(), vol)
		if refused {
			wantCode(t, content, err, stowage.Invalid)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", content, err)
			continue
		}
		_ = target.Close()
	}
}

func TestRemovalSweepsWhatCrashesLeft(t *testing.T) {
	dir := t.TempDir()
	v, vol := open(t, dir), newVolume(t, dir, 1<<20)
	for _, left := range []string{".gone-abc", ".new-" + vol.Name + "@s@def"} {
		if err := os.MkdirAll(filepath.Join(dir, ".snapshots", left, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := v.CreateSnapshot(t.Context(), vol, "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.RemoveSnapshot(t.Context(), snap); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, ".snapshots"))
	if err != nil || len(entries) != 0 {
		t.Errorf("left in .snapshots: %v, %v", entries, err)
	}
}

func TestCopyKeepsHoles(t *testing.T) {
	dir := t.TempDir()
	v, vol := open(t, dir), newVolume(t, dir, 1<<30)
	f, err := os.OpenFile(filepath.Join(dir, vol.Name), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("x", 1<<20)), 512<<20); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	snap, err := v.CreateSnapshot(t.Context(), vol, "s")
	if err != nil {
		t.Fatal(err)
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, ".snapshots", vol.Name+"@s", snap.ID+".raw"), &stat); err != nil {
		t.Fatal(err)
	}
	if stat.Size != 1<<30 || stat.Blocks*512 > 2<<20 {
		t.Errorf("the copy is %d bytes long and takes up %d", stat.Size, stat.Blocks*512)
	}
}
