package drivertest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// StoresFixture is an object store driver and what the suite needs around it.
type StoresFixture struct {
	Stores drivers.Stores
	// Project is one whose account the driver may use, and OtherProject
	// another; empty: there is only one.
	Project, OtherProject string
	// NewContainer makes a fresh empty container in the project's account,
	// with a name of its own that begins as given.
	NewContainer func(t *testing.T, project, prefix string) string
	// Lists late: a list right behind a change may not show it.
	Lagging bool
}

// Stores runs the suite. fixture is called once for every test in it.
func Stores(t *testing.T, fixture func(t *testing.T) StoresFixture) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, f StoresFixture)
	}{
		{"put, get, stat, delete", objectLife},
		{"sizes", objectSizes},
		{"ranges", objectRanges},
		{"overwriting", objectOverwritten},
		{"names", objectNames},
		{"names that lead elsewhere", objectNamesElsewhere},
		{"names that are none", objectNamesInvalid},
		{"missing object", objectMissing},
		{"missing container", containerMissing},
		{"containers apart", containersApart},
		{"container names that lead elsewhere", containerNamesElsewhere},
		{"list order and prefix", listOrder},
		{"list of nothing", listNothing},
		{"list ends early", listEnds},
		{"list of many", listMany},
		{"concurrency", storeConcurrent},
		{"cancelled", storeCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fixture(t)) })
	}
}

// store makes a container and opens it.
func (f StoresFixture) store(t *testing.T, prefix string) drivers.Store {
	t.Helper()
	return f.open(t, f.Project, f.NewContainer(t, f.Project, prefix))
}

func (f StoresFixture) open(t *testing.T, project, container string) drivers.Store {
	t.Helper()
	s, err := f.Stores.Open(t.Context(), project, container)
	must(t, err)
	return s
}

// put writes an object, and sees to the ETag that it is given for it.
func put(t *testing.T, s drivers.Store, name string, data []byte) {
	t.Helper()
	etag, err := s.Put(t.Context(), name, data)
	must(t, err)
	if want := md5Of(data); etag != want {
		t.Errorf("Put of %q gave ETag %q, want %s", name, etag, want)
	}
}

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func wantObject(t *testing.T, s drivers.Store, name string, want []byte) {
	t.Helper()
	buf := make([]byte, len(want)+10)
	n, err := s.Get(t.Context(), name, buf, 0)
	must(t, err)
	same(t, "object "+name, buf[:n], want)
	info, err := s.Stat(t.Context(), name)
	must(t, err)
	wantInfo(t, info, name, want)
}

func wantInfo(t *testing.T, info drivers.ObjectInfo, name string, data []byte) {
	t.Helper()
	if info.Name != name || info.Bytes != int64(len(data)) || info.Modified.IsZero() {
		t.Errorf("object %q of %d bytes: %+v", name, len(data), info)
	}
	if want := md5Of(data); info.ETag != "" && info.ETag != want {
		t.Errorf("object %q has ETag %s, want %s", name, info.ETag, want)
	}
}

func list(t *testing.T, s drivers.Store, prefix string) (names []string, infos []drivers.ObjectInfo) {
	t.Helper()
	must(t, s.List(t.Context(), prefix, func(o drivers.ObjectInfo) error {
		names, infos = append(names, o.Name), append(infos, o)
		return nil
	}))
	return names, infos
}

func containerMissing(t *testing.T, f StoresFixture) {
	s, err := f.Stores.Open(t.Context(), f.Project, "suite-no-such-container")
	if err != nil {
		wantCode(t, "Open", err, stowage.NotFound)
		return
	}
	_, err = s.Put(t.Context(), "x", []byte("x"))
	wantCode(t, "Put", err, stowage.NotFound)
	_, err = s.Get(t.Context(), "x", make([]byte, 1), 0)
	wantCode(t, "Get", err, stowage.NotFound)
	_, err = s.Stat(t.Context(), "x")
	wantCode(t, "Stat", err, stowage.NotFound)
	must(t, s.Delete(t.Context(), "x"))
	err = s.List(t.Context(), "", func(drivers.ObjectInfo) error { return errors.New("listed") })
	wantCode(t, "List", err, stowage.NotFound)
}

func containersApart(t *testing.T, f StoresFixture) {
	one, two := f.store(t, "suite-one"), f.store(t, "suite-two")
	others := []drivers.Store{two}
	if f.OtherProject != "" {
		others = append(others, f.open(t, f.OtherProject, f.NewContainer(t, f.OtherProject, "suite-one")))
	}
	put(t, one, "x", []byte("one"))
	for _, other := range others {
		_, err := other.Stat(t.Context(), "x")
		wantCode(t, "Stat in another container", err, stowage.NotFound)
		must(t, other.Delete(t.Context(), "x"))
		if names, _ := list(t, other, ""); len(names) != 0 {
			t.Errorf("another container lists %q", names)
		}
	}
	wantObject(t, one, "x", []byte("one"))
}

func containerNamesElsewhere(t *testing.T, f StoresFixture) {
	container := f.NewContainer(t, f.Project, "suite")
	open := func(project, container string) error {
		s, err := f.Stores.Open(t.Context(), project, container)
		if err != nil {
			return err
		}
		_, err = s.Put(t.Context(), "x", []byte("x"))
		return err
	}
	for _, name := range []string{"", ".", "..", "a/b", "../" + container, "/" + container, container + "/", "a\x00b", "\xff", strings.Repeat("a", 257)} {
		wantCode(t, "container "+name, open(f.Project, name), stowage.Invalid)
	}
	for _, project := range []string{"", ".", "..", "a/b", "../" + f.Project, "/" + f.Project, f.Project + "/", f.Project + "?x", "a\x00b", "\xff", strings.Repeat("a", 300)} {
		wantCode(t, "project "+project, open(project, container), stowage.Invalid)
	}
}

func storeCancelled(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	put(t, s, "x", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, write := s.Put(ctx, "x", []byte("y"))
	_, get := s.Get(ctx, "x", make([]byte, 1), 0)
	_, stat := s.Stat(ctx, "x")
	for what, err := range map[string]error{
		"Put": write, "Get": get, "Stat": stat, "Delete": s.Delete(ctx, "x"),
		"List": s.List(ctx, "", func(drivers.ObjectInfo) error { return nil }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s when cancelled: %v", what, err)
		}
	}
	wantObject(t, s, "x", []byte("x"))

	// Cancelled in the middle of a list.
	for _, name := range []string{"y", "z"} {
		put(t, s, name, nil)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	err := s.List(ctx, "", func(drivers.ObjectInfo) error { cancel(); return nil })
	if !f.Lagging && !errors.Is(err, context.Canceled) {
		t.Errorf("List cancelled at its first object: %v", err)
	}
}
