package drivertest_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
)

var errAway = errors.New("away")

func stores(t *testing.T) *dir.Stores {
	t.Helper()
	s, err := dir.Open(dir.Options{Root: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	must(t, s.CreateContainer(t.Context(), "p", "c"))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s drivers.Store, name string, data []byte) {
	t.Helper()
	_, err := s.Put(t.Context(), name, data)
	must(t, err)
}

func names(t *testing.T, s drivers.Store) (names []string) {
	t.Helper()
	must(t, s.List(t.Context(), "", func(o drivers.ObjectInfo) error { names = append(names, o.Name); return nil }))
	return names
}

// The wrappers without a fault keep the contract.
func TestWrappersPassTheSuite(t *testing.T) {
	drivertest.Stores(t, func(t *testing.T) drivertest.StoresFixture {
		s := stores(t)
		return drivertest.StoresFixture{
			Stores: drivertest.FaultyStores(s, &drivertest.Faults{}), Project: "p",
			NewContainer: func(t *testing.T, project, prefix string) string {
				must(t, s.CreateContainer(t.Context(), project, prefix))
				return prefix
			},
		}
	})
}

func TestFaultyStore(t *testing.T) {
	plain, err := stores(t).Open(t.Context(), "p", "c")
	must(t, err)
	var faults drivertest.Faults
	s := drivertest.FaultyStore(plain, &faults)

	faults.On(drivertest.OpPut, "manifest").Skip(1).After(errAway)
	faults.On(drivertest.OpPut, "pack").Times(2).Before(errAway)
	faults.On(drivertest.OpGet, "").Always().Before(errAway)
	ran := false
	faults.On(drivertest.OpDelete, "x").Run(func() { ran = true })

	put(t, s, "manifest1", nil)
	for _, name := range []string{"manifest2", "pack1", "pack2"} {
		if etag, err := s.Put(t.Context(), name, nil); !errors.Is(err, errAway) || etag != "" {
			t.Errorf("Put %s: %q, %v", name, etag, err)
		}
	}
	put(t, s, "pack3", nil)
	for range 3 {
		if _, err := s.Get(t.Context(), "pack3", nil, 0); !errors.Is(err, errAway) {
			t.Errorf("Get: %v", err)
		}
	}
	must(t, s.Delete(t.Context(), "x"))
	if !ran {
		t.Error("the delete ran nothing")
	}
	// What failed after the work is there, what failed before is not.
	if got, want := names(t, s), []string{"manifest1", "manifest2", "pack3"}; !slices.Equal(got, want) {
		t.Errorf("stored: %q, want %q", got, want)
	}
	if n := faults.Count(drivertest.OpPut, "pack"); n != 3 {
		t.Errorf("%d puts of packs were seen: %v", n, faults.Calls())
	}
}

func TestLagging(t *testing.T) {
	plain, err := stores(t).Open(t.Context(), "p", "c")
	must(t, err)
	put(t, plain, "old", []byte("1"))
	put(t, plain, "gone", []byte("1"))
	s := drivertest.NewLagging(plain)

	put(t, s, "new", nil)
	put(t, s, "old", []byte("12"))
	must(t, s.Delete(t.Context(), "gone"))
	if got := names(t, s); !slices.Equal(got, []string{"gone", "old"}) {
		t.Errorf("before it settles: %q", got)
	}
	if _, err := s.Stat(t.Context(), "new"); err != nil {
		t.Errorf("Stat lags: %v", err)
	}
	if _, err := s.Stat(t.Context(), "gone"); !stowage.Is(err, stowage.NotFound) {
		t.Errorf("Stat lags: %v", err)
	}
	s.Settle()
	if got := names(t, s); !slices.Equal(got, []string{"new", "old"}) {
		t.Errorf("settled: %q", got)
	}
}

func TestFaultyVolumes(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(filepath.Join(root, "volume-1"), make([]byte, 1<<20), 0o600))
	plain, err := file.Open(file.Options{Key: "file:x", Dir: root})
	must(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	var faults drivertest.Faults
	v := drivertest.FaultyVolumes(plain, &faults)
	vol := stowage.VolumeLocation{Backend: "file:x", Name: "volume-1"}

	faults.On(drivertest.OpCreateSnapshot, "s").After(errAway)
	faults.On(drivertest.OpReadAt, "s").Skip(1).Before(errAway)
	faults.On(drivertest.OpFlush, "").After(errAway)

	if _, err := v.CreateSnapshot(t.Context(), vol, "s"); !errors.Is(err, errAway) {
		t.Errorf("CreateSnapshot: %v", err)
	}
	snap, err := v.CreateSnapshot(t.Context(), vol, "s")
	must(t, err)
	source, err := v.OpenSnapshot(t.Context(), snap)
	must(t, err)
	_, err = source.ReadAt(make([]byte, 10), 0)
	must(t, err)
	if _, err := source.ReadAt(make([]byte, 10), 0); !errors.Is(err, errAway) {
		t.Errorf("second ReadAt: %v", err)
	}
	must(t, source.Close())
	target, err := v.OpenTarget(t.Context(), vol)
	must(t, err)
	if err := target.Flush(); !errors.Is(err, errAway) {
		t.Errorf("Flush: %v", err)
	}
	must(t, target.Close())
	must(t, v.RemoveSnapshot(t.Context(), snap))
}
