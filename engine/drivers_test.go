package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine/manifest"
)

// From a file to files and back: what stands on real drivers.
func TestAFileComesBackFromADirectory(t *testing.T) {
	r := newRig(t, Options{PackBytes: mib}, true)
	at, root := t.TempDir(), t.TempDir()
	volumes, err := file.Open(file.Options{Key: "file:t", Dir: at})
	if err != nil {
		t.Fatal(err)
	}
	stores, err := dir.Open(dir.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if err := stores.CreateContainer(t.Context(), "p", "c"); err != nil {
		t.Fatal(err)
	}
	store, err := stores.Open(t.Context(), "p", "c")
	if err != nil {
		t.Fatal(err)
	}
	vol := stowage.VolumeLocation{Backend: "file:t", VolumeID: "vol-1", Name: "volume-1"}
	path := filepath.Join(at, vol.Name)
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var parent *manifest.Root
	data := r.mixed(3*mib + 512)
	for i, want := range []Mode{Full, Compared, Compared} {
		write(data)
		snap, err := volumes.CreateSnapshot(t.Context(), vol, []string{"one", "two", "three"}[i])
		if err != nil {
			t.Fatal(err)
		}
		source, err := volumes.OpenSnapshot(t.Context(), snap)
		if err != nil {
			t.Fatal(err)
		}
		in := r.input(source)
		in.Store, in.Parent = store, parent
		res, err := r.Backup(t.Context(), in)
		if err != nil || res.Mode != want {
			t.Fatalf("%s, %v", res.Mode, err)
		}
		if err := source.Close(); err != nil {
			t.Fatal(err)
		}
		opened, err := r.ReadRoot(t.Context(), store, res.Root, res.RootDigest, r)
		if err != nil {
			t.Fatal(err)
		}
		parent = opened.Root
		write(r.random(len(data) + 4096))
		target, err := volumes.OpenTarget(t.Context(), vol)
		if err != nil {
			t.Fatal(err)
		}
		restore := r.restoreInput(made{BackupResult: res}, target)
		restore.Store, restore.Compare = store, true
		if err := r.Restore(t.Context(), restore); err != nil {
			t.Fatal(err)
		}
		if err := target.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got[:len(data)], data) {
			t.Fatalf("other bytes come back: %v", err)
		}
		data = append(data, r.mixed(100*kib)...)
		copy(data[mib:], r.random(200*kib))
	}
	if err := r.DeletePrefix(t.Context(), store, "volume_vol-1/", nothing); err != nil {
		t.Fatal(err)
	}
}
