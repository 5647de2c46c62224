package dir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/drivertest"
)

const project = "0123456789abcdef0123456789abcdef"

func open(t *testing.T, root string) *dir.Stores {
	t.Helper()
	s, err := dir.Open(dir.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	drivertest.Stores(t, func(t *testing.T) drivertest.StoresFixture {
		parent := t.TempDir()
		root := filepath.Join(parent, "objects")
		if err := os.Mkdir(root, 0o700); err != nil {
			t.Fatal(err)
		}
		stores := open(t, root)
		t.Cleanup(func() {
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("beside the root there is now %v, %v", entries, err)
			}
		})
		return drivertest.StoresFixture{
			Stores: stores, Project: project, OtherProject: "other",
			NewContainer: func(t *testing.T, project, prefix string) string {
				name := prefix + " " + uuid.NewString()
				if err := stores.CreateContainer(t.Context(), project, name); err != nil {
					t.Fatal(err)
				}
				if err := stores.CreateContainer(t.Context(), project, name); err != nil {
					t.Fatal(err)
				}
				return name
			},
		}
	})
}

func store(t *testing.T, root string) drivers.Store {
	t.Helper()
	stores := open(t, root)
	if err := stores.CreateContainer(t.Context(), project, "volumebackups"); err != nil {
		t.Fatal(err)
	}
	s, err := stores.Open(t.Context(), project, "volumebackups")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestANewcomerCanRead(t *testing.T) {
	root := t.TempDir()
	s := store(t, root)
	for name, path := range map[string]string{
		"volume_1/20260101/backup-00001": "volume_1/20260101/backup-00001.object",
		"packs/7f/7f3a":                  "packs/7f/7f3a.object",
		"packs":                          "packs.object",
		"a b/../.c":                      "a%20b/%2E./%2Ec.object",
		"a.object/b":                     "a.objec%74/b.object",
		"/x":                             "%-/x.object",
		strings.Repeat("y", 250):         strings.Repeat("y", 200) + "%/" + strings.Repeat("y", 50) + ".object",
	} {
		if _, err := s.Put(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(root, project, "volumebackups", path))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	for _, path := range []string{project, project + "/volumebackups", project + "/volumebackups/packs"} {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestWhatIsNotOursIsNotListed(t *testing.T) {
	root := t.TempDir()
	s := store(t, root)
	if _, err := s.Put(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(root, project, "volumebackups")
	for _, name := range []string{".new-1234", "README", "a/%41.object", "a/%4.object", "a/%zz.object", "a/.x.object", ".object", "a/" + strings.Repeat("x", 210) + ".object"} {
		if err := os.WriteFile(filepath.Join(top, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(top, "link.object")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(top, "etc")); err != nil {
		t.Fatal(err)
	}
	err := s.List(t.Context(), "", func(o drivers.ObjectInfo) error {
		if o.Name != "a/b" {
			t.Errorf("listed %q", o.Name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"link", "etc/x"} {
		if n, err := s.Get(t.Context(), name, make([]byte, 100), 0); err == nil || n != 0 {
			t.Errorf("read %d bytes through a link", n)
		}
		if _, err := s.Put(t.Context(), "etc/x", nil); err == nil {
			t.Error("put through a link")
		}
	}
}

func TestDeleteLeavesNoDirectories(t *testing.T) {
	root := t.TempDir()
	s := store(t, root)
	for _, name := range []string{"a/b/c", "a/b/d"} {
		if _, err := s.Put(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a/b/c", "a/b/d"} {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, project, "volumebackups"))
	if err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestMissingRoot(t *testing.T) {
	_, err := dir.Open(dir.Options{Root: filepath.Join(t.TempDir(), "none")})
	if stowage.CodeOf(err) != stowage.Unavailable {
		t.Errorf("got %v", err)
	}
}
