package drivertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
)

func objectLife(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	put(t, s, "a/b", []byte("hello"))
	wantObject(t, s, "a/b", []byte("hello"))
	must(t, s.Delete(t.Context(), "a/b"))
	_, err := s.Stat(t.Context(), "a/b")
	wantCode(t, "Stat of the deleted", err, stowage.NotFound)
	_, err = s.Get(t.Context(), "a/b", make([]byte, 1), 0)
	wantCode(t, "Get of the deleted", err, stowage.NotFound)
	must(t, s.Delete(t.Context(), "a/b"))
	must(t, s.Delete(t.Context(), "a"))
	put(t, s, "a/b", []byte("again"))
	wantObject(t, s, "a/b", []byte("again"))
}

func objectSizes(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	for i, size := range []int64{0, 1, 4095, 65537, mib, 5*mib + 3} {
		name := fmt.Sprintf("size/%d", size)
		data := noise(uint64(i), size)
		put(t, s, name, data)
		same(t, "what was handed to Put", data, noise(uint64(i), size))
		wantObject(t, s, name, data)
	}
	put(t, s, "size/nil", nil)
	wantObject(t, s, "size/nil", nil)
}

func objectRanges(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	data := noise(3, 100_001)
	put(t, s, "x", data)
	for _, r := range []struct {
		offset int64
		length int
		want   int
	}{
		{0, 1, 1}, {1, 1, 1}, {99, 65536, 65536}, {100_000, 1, 1}, {100_000, 50, 1}, {100_001, 1, 0}, {100_002, 5, 0}, {1 << 40, 5, 0},
		{0, 200_000, 100_001}, {50_000, 50_001, 50_001}, {50_000, 50_002, 50_001}, {7, 0, 0},
	} {
		buf := make([]byte, r.length)
		n, err := s.Get(t.Context(), "x", buf, r.offset)
		if n != r.want || err != nil {
			t.Errorf("Get %d bytes at %d: %d, %v, want %d", r.length, r.offset, n, err, r.want)
			continue
		}
		if n > 0 {
			same(t, fmt.Sprintf("range %d+%d", r.offset, r.length), buf[:n], data[r.offset:r.offset+int64(n)])
		}
		if !zero(buf[n:]) {
			t.Errorf("Get %d bytes at %d wrote behind the %d it reports", r.length, r.offset, n)
		}
	}
	_, err := s.Get(t.Context(), "x", make([]byte, 1), -1)
	wantCode(t, "Get at -1", err, stowage.Invalid)
	put(t, s, "empty", nil)
	if n, err := s.Get(t.Context(), "empty", make([]byte, 5), 0); n != 0 || err != nil {
		t.Errorf("Get of an empty object: %d, %v", n, err)
	}
	if n, err := s.Get(t.Context(), "empty", make([]byte, 5), 5); n != 0 || err != nil {
		t.Errorf("Get behind the end of an empty object: %d, %v", n, err)
	}
}

func objectOverwritten(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	for i, size := range []int64{10, 100_000, 3, 0, 7} {
		data := noise(uint64(i), size)
		put(t, s, "x", data)
		wantObject(t, s, "x", data)
	}
	if names, _ := list(t, s, ""); len(names) != 1 && !f.Lagging {
		t.Errorf("listed %q", names)
	}
}

// oddNames are names that mean something to URLs, file systems, shells or
// encodings, and to a store are names as any other.
var oddNames = []string{
	"plain", "with space", " leading", "trailing ", "100%", "%41", "%2F", "%2e%2e", "a?b=c&d", "a#b", "a+b", "a;b", "a:b", "a\\b", "a\"b'c",
	"<>|*$(){}[]", "ünïcode/日本語/🙂", "e\u0301", "\u00e9", "..a", "a..", ".hidden", ".hidden/.too", "a.object", "a.object/b", "a.object.object",
	"tab\there", "line\nbreak", "~", "-dash", "_under", "UPPER", "upper", "volume_1/20260101000000/az_nova_backup_1-00001",
	"both", "both/and", "both/and/more", "com1", "a=b,c@d", "%", "%%", "%-", "%-.object", strings.Repeat("n", 255), strings.Repeat("n", 256),
	strings.Repeat("long/", 204) + "1234", strings.Repeat("x", 1024), strings.Repeat("%", 1024), strings.Repeat("é", 512),
	strings.Repeat("x", 240), strings.Repeat("x", 247), strings.Repeat("x", 248), strings.Repeat("x", 249), strings.Repeat("x", 250) + "/y",
}

func objectNames(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite é%")
	for _, name := range oddNames {
		if _, err := s.Put(t.Context(), name, []byte(name)); err != nil {
			t.Errorf("Put %q: %v", name, err)
		}
	}
	for _, name := range oddNames {
		wantObject(t, s, name, []byte(name))
	}
	if !f.Lagging {
		names, infos := list(t, s, "")
		want := slices.Sorted(slices.Values(oddNames))
		if !slices.Equal(names, want) {
			t.Errorf("listed %d names %.100q, want %d %.100q", len(names), names, len(want), want)
		}
		for _, info := range infos {
			wantInfo(t, info, info.Name, []byte(info.Name))
		}
	}
	for i, name := range oddNames {
		must(t, s.Delete(t.Context(), name))
		if i+1 < len(oddNames) {
			wantObject(t, s, oddNames[i+1], []byte(oddNames[i+1]))
		}
	}
	if names, _ := list(t, s, ""); len(names) != 0 && !f.Lagging {
		t.Errorf("all deleted, still listed: %q", names)
	}
}

// objectNamesElsewhere: such a name is refused, or is a name as any other.
func objectNamesElsewhere(t *testing.T, f StoresFixture) {
	container := f.NewContainer(t, f.Project, "suite")
	s, victim := f.open(t, f.Project, container), f.store(t, "suite-victim")
	put(t, victim, "x", []byte("victim"))
	for _, name := range []string{
		".", "..", "../x", "../" + container + "/x", "../../x", "/x", "//x", "a//b", "a/../b", "a/./b", "x/", "x/..", "../../../../../../tmp/x", "/etc/passwd", "./x",
	} {
		if _, err := s.Put(t.Context(), name, []byte(name)); err != nil {
			wantCode(t, "Put "+name, err, stowage.Invalid)
			continue
		}
		wantObject(t, s, name, []byte(name))
		if names, _ := list(t, s, ""); !slices.Equal(names, []string{name}) && !f.Lagging {
			t.Errorf("put %q, listed %q", name, names)
		}
		if names, _ := list(t, victim, ""); !slices.Equal(names, []string{"x"}) && !f.Lagging {
			t.Errorf("put %q, the container beside lists %q", name, names)
		}
		must(t, s.Delete(t.Context(), name))
	}
	wantObject(t, victim, "x", []byte("victim"))
}

func objectNamesInvalid(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	for _, name := range []string{"", "\xff", "a\xc3", "a\x00b", strings.Repeat("x", 1025), strings.Repeat("é", 513)} {
		_, err := s.Put(t.Context(), name, nil)
		wantCode(t, fmt.Sprintf("Put %.20q", name), err, stowage.Invalid)
		_, err = s.Get(t.Context(), name, make([]byte, 1), 0)
		wantCode(t, fmt.Sprintf("Get %.20q", name), err, stowage.Invalid)
		_, err = s.Stat(t.Context(), name)
		wantCode(t, fmt.Sprintf("Stat %.20q", name), err, stowage.Invalid)
		wantCode(t, fmt.Sprintf("Delete %.20q", name), s.Delete(t.Context(), name), stowage.Invalid)
		if utf8.ValidString(name) && len(name) <= 1024 && !strings.Contains(name, "\x00") {
			continue // "" is a prefix
		}
		wantCode(t, fmt.Sprintf("List %.20q", name), s.List(t.Context(), name, nil), stowage.Invalid)
	}
}

func objectMissing(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	put(t, s, "a/b/c", []byte("x"))
	for _, name := range []string{"x", "a", "a/b", "a/b/c/d", "a/b/", "a/b/c.object", "A/b/c"} {
		_, err := s.Get(t.Context(), name, make([]byte, 1), 0)
		wantCode(t, "Get "+name, err, stowage.NotFound)
		_, err = s.Get(t.Context(), name, nil, 0)
		wantCode(t, "Get nothing of "+name, err, stowage.NotFound)
		_, err = s.Stat(t.Context(), name)
		wantCode(t, "Stat "+name, err, stowage.NotFound)
		must(t, s.Delete(t.Context(), name))
	}
	wantObject(t, s, "a/b/c", []byte("x"))
}

func storeConcurrent(t *testing.T, f StoresFixture) {
	s := f.store(t, "suite")
	var g errgroup.Group
	for worker := range uint64(16) {
		g.Go(func() error {
			for i := range uint64(6) {
				// Two workers share a directory that comes and goes.
				name := fmt.Sprintf("dir%d/worker%d", worker/2, worker)
				data := noise(worker*100+i, int64(1000*i+worker))
				if _, err := s.Put(t.Context(), name, data); err != nil {
					return err
				}
				buf := make([]byte, len(data)+1)
				n, err := s.Get(t.Context(), name, buf, 0)
				if err != nil {
					return err
				}
				if diff := difference(buf[:n], data); diff != "" {
					return fmt.Errorf("%s: %s", name, diff)
				}
				// All write the same name, with bytes that cannot be mixed.
				if _, err := s.Put(t.Context(), "shared", slices.Repeat([]byte{byte(worker)}, 50_000)); err != nil {
					return err
				}
				if err := s.Delete(t.Context(), name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
	buf := make([]byte, 60_000)
	n, err := s.Get(t.Context(), "shared", buf, 0)
	must(t, err)
	same(t, "shared object", buf[:n], slices.Repeat(buf[:1], 50_000))
}
