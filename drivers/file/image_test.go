package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stowage/stowage/drivers/file"
)

func TestAnImageIsNewAndOneHole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	target, err := file.CreateImage(name, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := target.Empty(t.Context()); err != nil || !empty || target.Size() != 5000 {
		t.Errorf("empty: %v %v, size %d", empty, err, target.Size())
	}
	if _, err := target.WriteAt([]byte("x"), 5000); err == nil {
		t.Error("it writes behind the end")
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 5000 || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v %v", info, err)
	}
	if _, err := file.CreateImage(name, 1); err == nil {
		t.Error("it takes a file that is there")
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 5000 {
		t.Errorf("and changes it: %v %v", info, err)
	}
}
