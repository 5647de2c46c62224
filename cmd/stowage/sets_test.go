package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// image is a volume's snapshot in memory.
type image struct{ *bytes.Reader }

func (image) Close() error { return nil }
func (i image) Allocated(_ context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	return fn(stowage.Extent{Offset: offset, Length: length})
}

// setID and partID are UUIDs that are always the same.
var setID = uuid.MustParse("99999999-0000-4000-8000-000000000000")

func partID(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("0000000%d-0000-4000-8000-000000000000", n))
}

// lostServer is a container with two parts of a server's backup, volumes 21 and 22, the
// objects of a standalone that has lost its database. The tenant added one that is not
// sealed: volume 23 says that it is part of the same, which it is not, and that it was
// there before all others.
func lostServer(t *testing.T) (data string) {
	t.Helper()
	data = t.TempDir()
	for _, name := range []string{"objects", "volumes"} {
		if err := os.Mkdir(filepath.Join(data, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(data, "master.key")
	if out, err := exec.Command(program, "keys", "create", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	master, err := seal.ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := master.NewKey("demo")
	if err != nil {
		t.Fatal(err)
	}
	stores, err := dir.Open(dir.Options{Root: filepath.Join(data, "objects")})
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	if err := stores.CreateContainer(t.Context(), "demo", "night"); err != nil {
		t.Fatal(err)
	}
	store, err := stores.Open(t.Context(), "demo", "night")
	if err != nil {
		t.Fatal(err)
	}
	server := func(flavor string, volumes ...int) *manifest.Set {
		s := &manifest.Set{Backup: setID, Name: "evening", Server: stowage.ServerRecord{ID: "srv-1", Name: "web \x1b[31m", FlavorID: flavor}}
		for _, v := range volumes {
			s.Server.Disks = append(s.Server.Disks, stowage.ServerDisk{VolumeID: fmt.Sprint(v), Boot: v == 21, Backup: partID(v - 20).String()})
		}
		return s
	}
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for n, set := range map[int]*manifest.Set{1: server("f1", 21, 22), 2: server("f1", 21, 22), 3: server("f9", 21, 22, 23)} {
		a := manifest.Attempt{Backup: partID(n), Fence: 1}
		in := engine.BackupInput{
			Source: image{bytes.NewReader(bytes.Repeat([]byte{byte(n), 7}, 50_000))}, Store: store, Attempt: a,
			Info: manifest.Info{
				Backup: a.Backup, Fence: 1, Project: "demo", Volume: stowage.VolumeRecord{ID: fmt.Sprint(20 + n)},
				SnapshotAt: at.Add(-time.Duration(n) * time.Minute), CreatedAt: at, Set: set,
			},
			Check: func(context.Context) error { return nil },
		}
		if n < 3 {
			in.Key = &key
		}
		if _, err := engine.New(engine.Options{}).Backup(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestAScanTellsOfWhatServerABackupIs(t *testing.T) {
	data := lostServer(t)
	list, good := scanned(t, data)
	if !good || len(list) != 3 {
		t.Fatalf("the scan finds %+v", list)
	}
	for _, l := range list {
		if l.Set != setID || l.Server != "srv-1" || l.ServerName != "web \x1b[31m" || l.SetFault != "" {
			t.Errorf("it finds %+v", l)
		}
	}
	out, err := tool(t, data, "catalog scan")
	if want := fmt.Sprintf(`part of %s, the backup of server srv-1 "web \x1b[31m"`, setID); err != nil || strings.Count(out, want) != 3 || strings.Contains(out, "\x1b") {
		t.Errorf("the scan says %q: %v", out, err)
	}

	// What is not believed is told of.
	text := &bytes.Buffer{}
	e := catalog.Entry{State: catalog.Readable, SetFault: "a text of \x1b bytes"}
	s := &scan{out: text, all: 1}
	s.tell(e, nil)
	if err := s.line(e, nil); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); !strings.Contains(got, `not believed: a text of \x1b bytes`) || !strings.Contains(got, `"set_fault":"a text of \u001b bytes"`) || strings.Contains(got, `"set":`) {
		t.Errorf("it says %q", got)
	}
	if note, err := newImports(nil, nil).join(t.Context(), e); err != nil || !strings.Contains(note, `WARNING: without its server`) || strings.Contains(note, "\x1b") {
		t.Errorf("the import says %q, %v", note, err)
	}
}

func TestAServersBackupIsImportedWithItsParts(t *testing.T) {
	data := lostServer(t)
	state := func(what string) string { return fmt.Sprintf(`%s of server srv-1 "web \\x1b[31m": %s`, setID, what) }
	out, err := tool(t, data, "catalog import", "--backup", partID(2).String())
	if want := state(fmt.Sprintf("error: Imported without 1 of 2 volumes: backup %s of volume 21.", partID(1))); err != nil || !strings.Contains(out, want) || strings.Contains(out, "\x1b") {
		t.Errorf("one part: %q instead of %q, %v", out, want, err)
	}
	// What is not sealed, and says that it is older, says nothing of the server.
	for _, want := range []string{"2 imported, 1 there already, 0 refused", "0 imported, 3 there already, 0 refused"} {
		out, err = tool(t, data, "catalog import", "--unsealed")
		if err != nil || !strings.Contains(out, want) || !strings.Contains(out, state("available\n")) || strings.Count(out, "WARNING: not as part of "+setID.String()) != 1 {
			t.Errorf("all parts: %q: %v", out, err)
		}
	}

	data = lostServer(t)
	if out, err = tool(t, data, "catalog import", "--unsealed"); err != nil || !strings.Contains(out, "3 imported") || !strings.Contains(out, state("available\n")) ||
		strings.Count(out, ", part of "+setID.String()) != 2 || !strings.Contains(out, partID(3).String()+" of volume 23: imported; WARNING") {
		t.Errorf("all at once: %q: %v", out, err)
	}
}

func TestTheNewestBackupIsImportedLast(t *testing.T) {
	at := func(n int, sealed bool, set uuid.UUID) catalog.Entry {
		return catalog.Entry{Attempt: manifest.Attempt{Backup: partID(n)}, Sealed: sealed, Set: set, SnapshotAt: time.Unix(int64(n), 0)}
	}
	got := inOrder([]catalog.Entry{at(4, true, setID), at(2, false, uuid.Nil), at(5, false, setID), at(1, false, setID), at(3, false, partID(9))})
	for i, want := range []int{2, 3, 4, 1, 5} {
		if got[i].Backup != partID(want) {
			t.Errorf("as number %d comes %s, not %s", i, got[i].Backup, partID(want))
		}
	}
}
