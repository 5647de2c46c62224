package catalog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// setID is the UUID of a server's backup.
var setID = id(100)

// web is the backup of a server with the volumes 21, 22, ..., of which the backups 1,
// 2, ... are, and one that was left out.
func web(parts int) *manifest.Set {
	s := &manifest.Set{
		Backup: setID, Name: "nightly", Description: "of the web", CreatedAt: noon,
		Server: stowage.ServerRecord{
			ID: "srv-1", ProjectID: "p", Name: "web", FlavorID: "f1", Zone: "nova", Metadata: map[string]string{"role": "web"},
			Ports: []stowage.ServerPort{{NetworkID: "n1", Network: "public", Addresses: []string{"192.0.2.7"}}},
		},
	}
	for n := range parts {
		s.Server.Disks = append(s.Server.Disks, stowage.ServerDisk{
			VolumeID: fmt.Sprint(21 + n), Device: fmt.Sprintf("/dev/vd%c", 'a'+n), Boot: n == 0, Backup: id(byte(n + 1)).String(),
		})
	}
	s.Server.Disks = append(s.Server.Disks, stowage.ServerDisk{VolumeID: "left", Left: "It is left out of backups."})
	return s
}

// part makes the n-th part of a set.
func (r *rig) part(n int, s *manifest.Set, change ...func(*made)) {
	r.Helper()
	m := made{id: id(byte(n)), fence: 1, volume: fmt.Sprint(20 + n), at: time.Duration(n) * time.Second, set: s}
	for _, fn := range change {
		fn(&m)
	}
	r.make(m)
}

// brings imports the n-th part, and what it is part of.
func (r *rig) brings(d *db.DB, n int) (stowage.Backup, error) {
	r.Helper()
	e, err := r.Find(r.Context(), "", id(byte(n)))
	if err != nil {
		r.Fatal(err)
	}
	if _, err := r.Import(r.Context(), d, e, noon); err != nil {
		r.Fatal(err)
	}
	return r.ImportSet(r.Context(), d, e, noon)
}

func (r *rig) row(d *db.DB, id uuid.UUID) stowage.Backup {
	r.Helper()
	b, err := d.BackupByUUID(r.Context(), db.Scope{}, id.String())
	if err != nil {
		r.Fatal(err)
	}
	return b
}

// whole makes sure that the set is there as it was, with so many parts.
func (r *rig) whole(d *db.DB, parts int) {
	r.Helper()
	set := r.row(d, setID)
	list, err := d.SetBackups(r.Context(), set.ID)
	if err != nil || len(list) != parts {
		r.Fatalf("parts: %+v, %v", list, err)
	}
	want := stowage.Backup{
		ID: set.ID, UUID: setID.String(), Kind: stowage.OfServer, ProjectID: "p", Name: "nightly", Description: "of the web", Container: "c",
		Status: stowage.BackupAvailable, Server: &web(parts).Server, Volume: stowage.VolumeRecord{ID: "srv-1", Name: "web", AvailabilityZone: "nova"},
		CreatedAt: noon, UpdatedAt: noon, VerifiedAt: noon, SnapshotAt: list[0].SnapshotAt,
	}
	for _, b := range list {
		want.SizeGiB, want.VolumeBytes, want.StoredBytes, want.ObjectCount = want.SizeGiB+b.SizeGiB, want.VolumeBytes+b.VolumeBytes, want.StoredBytes+b.StoredBytes, want.ObjectCount+b.ObjectCount
		if b.SnapshotAt.Before(want.SnapshotAt) {
			want.SnapshotAt = b.SnapshotAt
		}
	}
	if !reflect.DeepEqual(set, want) {
		r.Errorf("it is\n%+v\nnot\n%+v", set, want)
	}
}

func TestAServersBackupComesBackWithItsPartsInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			r := newRig(t)
			for n := range 3 {
				r.part(n+1, web(3))
			}
			d := r.database()
			for i, n := range order {
				set, err := r.brings(d, n)
				if err != nil {
					t.Fatal(err)
				}
				if i == 2 {
					break
				}
				// What is not there is named, and nothing else.
				for _, m := range order {
					name := fmt.Sprintf("backup %s of volume %d", id(byte(m)), 20+m)
					if strings.Contains(set.FailReason, name) != !slices.Contains(order[:i+1], m) {
						t.Errorf("with %v it says %q", order[:i+1], set.FailReason)
					}
				}
				if now := r.row(d, setID); now.Status != stowage.BackupError || now.FailReason != set.FailReason || now.SizeGiB != int64(i+1) || now.VolumeBytes != int64(i+1)*3<<18 {
					t.Errorf("with %v it is %+v", order[:i+1], now)
				}
			}
			r.whole(d, 3)
			for _, n := range order { // again, and nothing changes
				if set, err := r.brings(d, n); err != nil || set.Status != stowage.BackupAvailable {
					t.Errorf("again: %+v %v", set, err)
				}
			}
			r.whole(d, 3)
			// The server is listed by it, as one that is gone from the cloud.
			if e, err := d.Entity(t.Context(), db.Scope{ProjectID: "p"}, "srv-1"); err != nil || e.Kind != stowage.EntityServer || e.Present || !e.Listed || e.Name != "web" {
				t.Errorf("the server is %+v, %v", e, err)
			}
		})
	}
}

// A part was imported before there were sets, or a crash came behind its row.
func TestAPartThatIsThereAloneIsTied(t *testing.T) {
	r := newRig(t)
	r.part(1, web(2))
	r.part(2, web(2))
	d := r.database()
	for n := range 2 {
		e, err := r.Find(t.Context(), "", id(byte(n+1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Import(t.Context(), d, e, noon); err != nil {
			t.Fatal(err)
		}
	}
	if b := r.row(d, id(1)); b.SetID != 0 {
		t.Fatalf("it is %+v", b)
	}
	for n := range 2 {
		if _, err := r.brings(d, n+1); err != nil {
			t.Fatal(err)
		}
	}
	r.whole(d, 2)
}

// The server's backup is in the database, and one of its parts is not any more.
func TestWhatIsThereOfASetStays(t *testing.T) {
	r := newRig(t)
	r.part(1, web(2))
	r.part(2, web(2))
	d := r.database()
	set := stowage.Backup{
		UUID: setID.String(), Kind: stowage.OfServer, ProjectID: "p", UserID: "u", Name: "by its user", Container: "c", Status: stowage.BackupAvailable,
		Server: &web(2).Server, Volume: stowage.VolumeRecord{ID: "srv-1"}, CreatedAt: noon, UpdatedAt: noon,
	}
	if err := d.CreateBackup(t.Context(), &set, &stowage.Job{ID: "j", Kind: stowage.JobExport, State: stowage.JobFinished, CreatedAt: noon}); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		got, err := r.brings(d, n+1)
		if err != nil || got.ID != set.ID || got.Name != "by its user" || got.UserID != "u" || got.Status != stowage.BackupAvailable || got.SizeGiB != int64(n+1) {
			t.Errorf("it is %+v, %v", got, err)
		}
	}
}

// One part was never stored, or is damaged: the others are there, and it is said.
func TestASetThatLacksAPartIsInError(t *testing.T) {
	r := newRig(t)
	r.part(2, web(2))
	d := r.database()
	for range 2 {
		set, err := r.brings(d, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("Imported without 1 of 2 volumes: backup %s of volume 21.", id(1))
		if set = r.row(d, setID); set.Status != stowage.BackupError || set.FailReason != want {
			t.Errorf("it is %+v", set)
		}
	}
	if b := r.row(d, id(2)); b.Status != stowage.BackupAvailable {
		t.Errorf("the part is %+v", b)
	}
}

func TestASetOfManyPartsSaysThatManyAreMissing(t *testing.T) {
	r := newRig(t)
	r.part(1, web(90))
	d := r.database()
	set, err := r.brings(d, 1)
	if err != nil || !strings.Contains(set.FailReason, "89 of 90") || !strings.HasSuffix(set.FailReason, "and 81 more.") || set.FailReason != r.row(d, setID).FailReason {
		t.Errorf("%q, %v", set.FailReason, err)
	}
}

// What the database has under the set's UUID is somebody else's, or not the same.
func TestASetThatIsAnotherIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*stowage.Backup){
		"of another project":     func(b *stowage.Backup) { b.ProjectID = "q" },
		"in another container":   func(b *stowage.Backup) { b.Container = "d" },
		"of a volume":            func(b *stowage.Backup) { b.Kind, b.Server = stowage.OfVolume, nil },
		"of another server":      func(b *stowage.Backup) { b.Server.ID = "srv-2" },
		"with other volumes":     func(b *stowage.Backup) { b.Server.Disks = b.Server.Disks[:1] },
		"with other parts":       func(b *stowage.Backup) { b.Server.Disks[1].Backup = id(7).String() },
		"with another network":   func(b *stowage.Backup) { b.Server.Ports[0].NetworkID = "n2" },
		"of nobody knows what":   func(b *stowage.Backup) { b.Server = nil },
		"with the part's volume": func(b *stowage.Backup) { b.Server.Disks[0].VolumeID = "66" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.part(1, web(2))
			d := r.database()
			other := stowage.Backup{
				UUID: setID.String(), Kind: stowage.OfServer, ProjectID: "p", Container: "c", Status: stowage.BackupAvailable,
				Server: &web(2).Server, Volume: stowage.VolumeRecord{ID: "srv-1"}, CreatedAt: noon, UpdatedAt: noon,
			}
			change(&other)
			if err := d.CreateBackup(t.Context(), &other, &stowage.Job{ID: "j", Kind: stowage.JobExport, State: stowage.JobFinished, CreatedAt: noon}); err != nil {
				t.Fatal(err)
			}
			before := r.row(d, setID)
			if set, err := r.brings(d, 1); stowage.CodeOf(err) != stowage.Conflict {
				t.Errorf("it becomes %+v, %v", set, err)
			}
			if after := r.row(d, setID); !reflect.DeepEqual(after, before) {
				t.Errorf("it was\n%+v, and is\n%+v", before, after)
			}
			if b := r.row(d, id(1)); b.SetID != 0 || b.Status != stowage.BackupAvailable || b.ProjectID != "p" {
				t.Errorf("the part is %+v", b)
			}
		})
	}
}

// A tenant wrote a part that is not sealed: it takes no part, and no set, over.
func TestAForgedPartTakesNothingOver(t *testing.T) {
	r := newRig(t)
	r.Unsealed = true
	r.part(1, web(2))
	forged := web(2)
	forged.Server.FlavorID, forged.Server.Disks[1].Backup = "f9", id(3).String()
	forged.Server.Disks[1].VolumeID = "23"
	r.part(3, forged, func(m *made) { m.open = true })
	r.part(2, web(2))
	d := r.database()
	for _, n := range []int{1, 3, 2} {
		if set, err := r.brings(d, n); n == 3 && stowage.CodeOf(err) != stowage.Conflict || n != 3 && err != nil {
			t.Errorf("part %d: %+v, %v", n, set, err)
		}
	}
	r.whole(d, 2)
	if b := r.row(d, id(3)); b.SetID != 0 || b.Status != stowage.BackupAvailable {
		t.Errorf("it is %+v", b)
	}

	// One that stands beside a backup that is there says nothing of it.
	other := web(2)
	other.Backup, other.Server.ID = id(101), "srv-2"
	r.part(2, other, func(m *made) { m.fence, m.open = 2, true })
	e := catalog.Entry{}
	open := func(found catalog.Entry) error {
		if !found.Sealed {
			e = found
		}
		return nil
	}
	if err := r.Store.Delete(t.Context(), manifest.RootName("22", manifest.Attempt{Backup: id(2), Fence: 1})); err != nil {
		t.Fatal(err)
	}
	if err := r.Scan(t.Context(), "22", open); err != nil || e.Set != id(101) {
		t.Fatalf("it finds %+v: %v", e, err)
	}
	if set, err := r.ImportSet(t.Context(), d, e, noon); stowage.CodeOf(err) != stowage.Conflict {
		t.Errorf("it becomes %+v, %v", set, err)
	}
	r.whole(d, 2)
}

func TestTheProjectOfAServerIsTheCatalogs(t *testing.T) {
	r := newRig(t)
	s := web(1)
	s.Server.ProjectID = "victim"
	r.part(1, s)
	d := r.database()
	set, err := r.brings(d, 1)
	if err != nil || set.ProjectID != "p" || set.Server.ProjectID != "p" {
		t.Errorf("it is %+v, %v", set, err)
	}
	r.whole(d, 1)
}

func TestAScanTellsOfServers(t *testing.T) {
	r := newRig(t)
	r.part(1, web(2))
	r.make(made{id: id(9), fence: 1})
	entries := r.finds("", "21 1/1 readable", "9 9/1 readable")
	if e := entries[0]; e.Set != setID || e.ServerID != "srv-1" || e.ServerName != "web" || e.SetFault != "" {
		t.Errorf("it is %+v", e)
	}
	if e := entries[1]; e.Set != uuid.Nil || e.ServerID != "" {
		t.Errorf("it is %+v", e)
	}
	if _, err := r.ImportSet(context.Background(), nil, entries[1], noon); stowage.CodeOf(err) != stowage.Invalid {
		t.Errorf("a set of none: %v", err)
	}
}

// What its root says of a server is not believed: the volume's backup is there all the
// same, and can be imported and restored.
func TestABackupWithASetThatIsNotBelievedIsImported(t *testing.T) {
	r := newRig(t)
	r.Unsealed = true
	want := r.make(made{id: id(1), fence: 1, open: true})
	name := manifest.RootName("9", manifest.Attempt{Backup: id(1), Fence: 1})
	data := make([]byte, 1<<16)
	n, err := r.Store.Get(t.Context(), name, data, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := codec.New()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const before = seal.HeaderBytes + 4 // of the length of the body
	body := make([]byte, binary.BigEndian.Uint32(data[before:]))
	if err := c.Decompress(body, data[before+4:n]); err != nil {
		t.Fatal(err)
	}
	const set = `"set":{"server":{"name":"\u001b"}},`
	body = slices.Insert(body, 5, []byte(set)...)
	binary.BigEndian.PutUint32(body, binary.BigEndian.Uint32(body)+uint32(len(set)))
	frame, err := c.Compress(make([]byte, 0, codec.Bound(len(body))), body)
	if err != nil {
		t.Fatal(err)
	}
	r.put(name, string(append(binary.BigEndian.AppendUint32(bytes.Clone(data[:before]), uint32(len(body))), frame...)))

	e := r.finds("", "9 1/1 readable")[0]
	if e.Set != uuid.Nil || e.SetFault == "" || strings.Contains(e.SetFault, "\x1b") {
		t.Errorf("it is %+v", e)
	}
	if done, err := r.Import(t.Context(), r.database(), e, noon); err != nil || !done {
		t.Errorf("import: %v, %v", done, err)
	}
	image := filepath.Join(t.TempDir(), "image")
	target, err := file.CreateImage(image, e.VolumeBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Restore(t.Context(), e, target, nil), target.Close()); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(image); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the image is not equal: %v", err)
	}
}
