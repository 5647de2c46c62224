package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage/drivers"
)

func listOrder(t *testing.T, f StoresFixture) {
	if f.Lagging {
		t.Skip("this store lists late")
	}
	s := f.store(t, "suite")
	names := []string{
		"a", "a!", "a-b", "a.b", "a/", "a/b", "a/b/c", "a/b-c", "a0", "aa", "a%b", "a%b/c", "a b", "a b/c", "A", "B/a", "b", "ä", "z", "日本", "🙂",
		"\uffee", "100%", "100%/x", "1?", "1#", "1&2=3", "p/" + strings.Repeat("q", 300), "p/" + strings.Repeat("q", 300) + "/r", "p/" + strings.Repeat("q", 299),
	}
	for _, name := range names {
		put(t, s, name, []byte(name))
	}
	slices.Sort(names)
	for _, prefix := range []string{
		"", "a", "a/", "a/b", "a/b/", "a%", "a%b/", "a ", "a b/", "A", "ä", "日", "日本", "🙂", "100%", "1", "1?", "1#", "1&2=3", "p/" + strings.Repeat("q", 260),
		"p/" + strings.Repeat("q", 300) + "/", "none", "a/b/c/d", "/", "..", "../", "a/../", "b/", strings.Repeat("q", 1024),
	} {
		var want []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		got, infos := list(t, s, prefix)
		if !slices.Equal(got, want) {
			t.Errorf("List %.30q gave %.60q, want %.60q", prefix, got, want)
		}
		for _, info := range infos {
			wantInfo(t, info, info.Name, []byte(info.Name))
		}
	}
}

func listNothing(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	if names, _ := list(t, s, ""); len(names) != 0 {
		t.Errorf("a fresh container lists %q", names)
	}
}

func listEnds(t *testing.T, f StoresFixture) {
	if f.Lagging {
		t.Skip("this store lists late")
	}
	s := f.store(t, "suite")
	for i := range 5 {
		put(t, s, fmt.Sprint(i), nil)
	}
	enough := errors.New("enough")
	calls := 0
	err := s.List(t.Context(), "", func(drivers.ObjectInfo) error {
		calls++
		if calls == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 2 {
		t.Errorf("fn failed at the second of 5, List gave %v after %d", err, calls)
	}
}

// listMany is more than the pages a test's driver is set to (the default of
// Swift is 10,000; drivers are tested with smaller ones).
func listMany(t *testing.T, f StoresFixture) {
	if f.Lagging {
		t.Skip("this store lists late")
	}
	s := f.store(t, "suite")
	var want []string
	for i := range 57 {
		name := fmt.Sprintf("d%d/o%02d", i%3, i)
		put(t, s, name, nil)
		want = append(want, name)
	}
	slices.Sort(want)
	if got, _ := list(t, s, ""); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	// What is listed may be deleted on the way.
	must(t, s.List(t.Context(), "d1/", func(o drivers.ObjectInfo) error { return s.Delete(t.Context(), o.Name) }))
	if got, _ := list(t, s, "d1/"); len(got) != 0 {
		t.Errorf("deleted while listed, still there: %q", got)
	}
}
