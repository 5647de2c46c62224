//go:build libguestfs

package mount

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/mount/mounttest"
)

// These tests need guestfish, nbdkit and a kernel for the appliance, and fail
// without them: devstack/libguestfs/install gets them.

// file is an image that is a file.
type file struct{ *os.File }

func (f file) Size() int64 {
	i, err := f.Stat()
	if err != nil {
		return -1
	}
	return i.Size()
}

func imageOf(t *testing.T, name string) file {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return file{f}
}

// mounter has a short directory, and the appliance of the other tests.
func mounter(t *testing.T) *Mounter {
	t.Helper()
	dir, err := os.MkdirTemp("", "sm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Symlink(mounttest.Cache(t), filepath.Join(dir, "appliance")); err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func opened(t *testing.T, m *Mounter, image Image) (*Session, []stowage.FileSystem) {
	t.Helper()
	begun := time.Now()
	s, found, err := m.Open(t.Context(), m.Log, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("open after %s", time.Since(begun).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, found
}

func bytesOf(t *testing.T, s *Session, volume string, paths ...string) ([]byte, *stowage.Download) {
	t.Helper()
	d, err := s.Download(t.Context(), volume, paths)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.Copy(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), d
}

func TestEveryFileSystemIsReadAndNoneIsMountedHere(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	mounttest.Whole(t, disk)
	before, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	s, found := opened(t, mounter(t), imageOf(t, disk))
	if len(found) != len(mounttest.Volumes) {
		t.Fatalf("found %v", found)
	}
	for _, v := range mounttest.Volumes {
		t.Run(v.Type+strings.ReplaceAll(v.Volume, "/", "-"), func(t *testing.T) {
			i := slices.IndexFunc(found, func(f stowage.FileSystem) bool { return f.Volume == v.Volume })
			if i < 0 || found[i].Type != v.Type || found[i].Label != v.Label || found[i].Size < 60<<20 {
				t.Fatalf("%s is not found as it is: %v", v.Volume, found)
			}
			l, err := s.List(t.Context(), v.Volume, "/")
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(l.Files, func(f stowage.File) bool { return f.Name == "readme.txt" })
			if at < 0 || l.Files[at].Kind != stowage.FileRegular || l.Files[at].Size != int64(len(mounttest.Readme(v.Volume))) ||
				time.Since(l.Files[at].Modified) > time.Hour {
				t.Fatalf("listed: %+v", l)
			}
			if data, d := bytesOf(t, s, v.Volume, "/readme.txt"); !bytes.Equal(data, mounttest.Readme(v.Volume)) || d.Name != "readme.txt" || d.Zip {
				t.Fatalf("downloaded %q as %+v", data, d)
			}
			begun := time.Now()
			data, d := bytesOf(t, s, v.Volume, "/dir/big.bin")
			if !bytes.Equal(data, mounttest.Noise(v.Volume, mounttest.BigBytes)) || d.Size != int64(len(data)) {
				t.Fatalf("%d other bytes", len(data))
			}
			t.Logf("5 MiB in %s", time.Since(begun))
		})
	}
	after, err := os.ReadFile("/proc/self/mounts")
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("mounts here were\n%s\nand are\n%s\n%v", before, after, err)
	}
}

func TestNamesWithAnythingInThem(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	names := []string{
		"plain", "two words", `a "quoted" one`, "it's", "a\nnew line", "tab\there", "\x1b[31mred", "back\\slash", "--option", "-", "~", "#no comment",
		"$(touch x)", "a|b", "a;b", "latin\xe9", "ümläut", "\xee\xbe\x80 of ours", "%s", "{x}", strings.Repeat("n", 255),
		"libguestfs: error: x: No such file or directory", "mark-\nmark-", "'", "' '", "]= {", "] = {\n",
	}
	for _, n := range names {
		if err := os.MkdirAll(filepath.Join(tree, "d", n), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, "d", n, n), []byte("of "+n), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"inside": "d/plain/plain", "absolute": "/d/plain/plain", "out": "../../../../etc/passwd", "host": "/etc/shadow", "loop": "loop", "todir": "d"} {
		if err := os.Symlink(to, filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(tree, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "dev", "sda"), []byte("no device"), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk")
	mounttest.Empty(t, disk, 64<<20)
	command(t, "mke2fs", "-q", "-t", "ext4", "-d", tree, disk)
	s, found := opened(t, mounter(t), imageOf(t, disk))
	if len(found) != 1 || found[0].Volume != "/dev/sda" {
		t.Fatalf("found %v", found)
	}
	const volume = "/dev/sda"
	l, err := s.List(t.Context(), volume, "/d")
	if err != nil {
		t.Fatal(err)
	}
	if l.Total != len(names) || len(l.Files) != len(names) {
		t.Fatalf("%d of %d entries: %+v", len(l.Files), len(names), l)
	}
	for _, f := range l.Files {
		one, err := s.List(t.Context(), volume, "/d/"+f.Name)
		if err != nil || len(one.Files) != 1 || one.Files[0].Name != f.Name || f.Kind != stowage.FileDirectory || f.Mode != 0o755 {
			t.Fatalf("%q: %+v %v", f.Name, one, err)
		}
		got, d := bytesOf(t, s, volume, "/d/"+f.Name+"/"+f.Name)
		if string(got) != "of "+raw(f.Name) || d.Name != f.Name || one.Files[0].Mode != 0o640 {
			t.Fatalf("%q holds %q", f.Name, got)
		}
	}
	kinds := map[string]stowage.FileKind{
		"d": stowage.FileDirectory, "dev": stowage.FileDirectory, "lost+found": stowage.FileDirectory, "inside": stowage.FileLink, "absolute": stowage.FileLink,
		"todir": stowage.FileLink, "out": stowage.FileBrokenLink, "host": stowage.FileBrokenLink, "loop": stowage.FileBrokenLink,
	}
	if l, err = s.List(t.Context(), volume, "/../.."); err != nil || len(l.Files) != len(kinds) {
		t.Fatalf("the root: %+v %v", l, err)
	}
	for _, f := range l.Files {
		if kinds[f.Name] != f.Kind {
			t.Errorf("%s is told to be a %s", f.Name, f.Kind)
		}
	}
	for _, link := range []string{"inside", "absolute"} {
		if got, _ := bytesOf(t, s, volume, "/"+link); string(got) != "of plain" {
			t.Errorf("%s gives %q", link, got)
		}
	}
	if got, _ := bytesOf(t, s, volume, "/dev/sda"); string(got) != "no device" {
		t.Errorf("/dev/sda gives %d bytes", len(got))
	}
	for p, code := range map[string]stowage.Code{
		"/out": stowage.NotFound, "/host": stowage.NotFound, "/etc/passwd": stowage.NotFound, "/../../etc/passwd": stowage.NotFound,
		"/loop": stowage.Invalid, "/none": stowage.NotFound, "/inside/x": stowage.Invalid, "/a\x00b": stowage.Invalid,
		"/" + strings.Repeat("x/", 5000): stowage.Invalid,
	} {
		if _, err := s.Download(t.Context(), volume, []string{p}); stowage.CodeOf(err) != code {
			t.Errorf("%.40q: %v", p, err)
		}
	}
	zipped, d := bytesOf(t, s, volume, "/")
	if !d.Zip || d.Name != "files.zip" || d.Size != -1 {
		t.Errorf("the archive is %+v", d)
	}
	a, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]*zip.File{}
	for _, f := range a.File {
		in[f.Name] = f
	}
	if len(in) != len(a.File) || len(in) != 2*len(names)+len(kinds)+1 {
		t.Errorf("%d entries", len(a.File))
	}
	for _, n := range names {
		f := in["d/"+text(n)+"/"+text(n)]
		if f == nil {
			t.Fatalf("%q is not in the archive", n)
		}
		if got := unzipped(t, f); got != "of "+n || f.Mode() != 0o640 {
			t.Errorf("%q holds %q, %s", n, got, f.Mode())
		}
	}
	if f := in["host"]; f == nil || f.Mode()&os.ModeSymlink == 0 || unzipped(t, f) != "/etc/shadow" {
		t.Errorf("a link is in the archive as %+v", f)
	}
	some, d := bytesOf(t, s, volume, "/d/plain/plain", "/inside")
	if a, err = zip.NewReader(bytes.NewReader(some), int64(len(some))); err != nil || len(a.File) != 2 || d.Name != "files.zip" {
		t.Errorf("two files: %v %v", a, err)
	}
}

func unzipped(t *testing.T, f *zip.File) string {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAJournalIsReplayedAndTheImageStaysAsItWas(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	mounttest.Empty(t, disk, 400<<20)
	// kill -9 of a virtual machine that writes: what a backup of a volume in use is.
	mounttest.Guestfish(t, disk, "mkfs xfs /dev/sda\nmount /dev/sda /\nwrite /kept \"kept\"\nsync\n")
	before, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := opened(t, mounter(t), imageOf(t, disk))
	if got, _ := bytesOf(t, s, "/dev/sda", "/kept"); string(got) != "kept" {
		t.Errorf("%q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(disk)
	if err != nil || !bytes.Equal(before, after) {
		t.Fatal("the image was written to")
	}
	if _, err := s.List(t.Context(), "/dev/sda", "/"); stowage.CodeOf(err) != stowage.Conflict {
		t.Errorf("a session that is closed: %v", err)
	}
}

func TestALargeDirectoryIsListedInPart(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(tree, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range maxListed + 234 {
		if err := os.WriteFile(filepath.Join(tree, "many", fmt.Sprintf("%06d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	disk := filepath.Join(t.TempDir(), "disk")
	mounttest.Empty(t, disk, 128<<20)
	command(t, "mke2fs", "-q", "-t", "ext4", "-N", "20000", "-d", tree, disk)
	s, _ := opened(t, mounter(t), imageOf(t, disk))
	begun := time.Now()
	l, err := s.List(t.Context(), "/dev/sda", "/many")
	if err != nil || l.Total != maxListed+234 || len(l.Files) != maxListed || l.Files[1].Name != "000001" {
		t.Fatalf("%d of %d: %v", len(l.Files), l.Total, err)
	}
	t.Logf("%d entries in %s", len(l.Files), time.Since(begun).Round(time.Millisecond))
}

func TestWithoutFilesThereIsNothingToMount(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, mounttest.Noise("nothing", 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mounter(t)
	if _, _, err := m.Open(t.Context(), m.Log, imageOf(t, disk)); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("%v", err)
	}
	left, err := filepath.Glob(filepath.Join(m.Dir, "m-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// breakable is an image that can be made unreadable.
type breakable struct {
	file
	mu     sync.Mutex
	broken bool
}

func (b *breakable) set(broken bool) { b.mu.Lock(); defer b.mu.Unlock(); b.broken = broken }

func (b *breakable) ReadAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return 0, stowage.Errorf(stowage.Corrupt, "a chunk is not what was stored")
	}
	return b.file.ReadAt(p, off)
}

func TestWhatCannotBeReadIsAnErrorAndAnotherVirtualMachineIsStarted(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	tree := t.TempDir()
	want := mounttest.Noise("big", 20<<20)
	if err := os.WriteFile(filepath.Join(tree, "big"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	mounttest.Empty(t, disk, 64<<20)
	command(t, "mke2fs", "-q", "-t", "ext4", "-d", tree, disk)
	image := &breakable{file: imageOf(t, disk)}
	s, _ := opened(t, mounter(t), image)
	image.set(true)
	d, err := s.Download(t.Context(), "/dev/sda", []string{"/big"})
	var b bytes.Buffer
	if err == nil {
		err = d.Copy(t.Context(), &b)
	}
	if err == nil || !bytes.Equal(b.Bytes(), want[:b.Len()]) {
		t.Fatalf("%d bytes came of what cannot be read: %v", b.Len(), err)
	}
	image.set(false)
	s.guest.end() // as when its kernel stops on a broken file system
	if _, err := s.List(t.Context(), "/dev/sda", "/"); stowage.CodeOf(err) != stowage.Unavailable {
		t.Errorf("without a virtual machine: %v", err)
	}
	if got, _ := bytesOf(t, s, "/dev/sda", "/big"); !bytes.Equal(got, want) {
		t.Error("other bytes came")
	}
}
