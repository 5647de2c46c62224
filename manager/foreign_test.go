package manager_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/cinderbackup/cindertest"
	"github.com/stowage/stowage/internal/harness"
)

// newcomer is a container of demo's with a full backup and two increments that
// cinder-backup made of a volume.
type newcomer struct {
	*harness.Harness
	t    *testing.T
	made []*cindertest.Made
	ids  []string // once they are imported
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{Harness: harness.New(t), t: t}
	if err := n.Containers.Prepare(t.Context(), cloud.User{ProjectID: "demo"}, stowage.DefaultContainer); err != nil {
		t.Fatal(err)
	}
	data := n.Volume(cindertest.Volume, size)
	var parent *cindertest.Made
	for i, compression := range []string{"zlib", "none", "zstd"} {
		if i > 0 {
			copy(data[i*400_000:], bytes.Repeat([]byte{byte(i), 0}, 50_000))
			clear(data[i*900_000 : i*900_000+100_000])
		}
		parent = cindertest.Make(cindertest.Backup{
			ID: fmt.Sprintf("0000000%d-0000-4000-8000-000000000000", i+1), Parent: parent, Compression: compression,
			At: time.Date(2026, 1, i+1, 12, 0, 0, 0, time.UTC), Name: fmt.Sprint("evening ", i),
		}, data, func(name string, data []byte) { put(t, n.Harness, name, data) })
		n.made = append(n.made, parent)
	}
	return n
}

func (n *newcomer) catalog() *catalog.Catalog {
	return &catalog.Catalog{
		Store: n.ObjectStore(), Engine: engine.New(engine.Options{}), Project: "demo", Container: stowage.DefaultContainer, Format: catalog.CinderBackup,
	}
}

// imports imports all there is, and takes it over if that is asked for.
func (n *newcomer) imports(take bool, records ...string) {
	n.t.Helper()
	c := n.catalog()
	if len(records) > 0 {
		var err error
		if c.Records, err = cinderbackup.ReadRecords(strings.NewReader(strings.Join(records, "\n"))); err != nil {
			n.t.Fatal(err)
		}
	}
	err := c.Scan(n.t.Context(), "", func(e catalog.Entry) error {
		done, err := c.Import(n.t.Context(), n.DB, e, n.Clock.Now())
		if err != nil || !done {
			return err
		}
		b, err := n.DB.BackupByUUID(n.t.Context(), db.Scope{}, e.Backup.String())
		n.ids = append(n.ids, fmt.Sprint(b.ID))
		return err
	})
	if err == nil && take {
		_, err = c.Take(n.t.Context(), n.DB, cindertest.Volume)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// comesBack restores a backup to a new volume.
func (n *newcomer) comesBack(i int) {
	n.t.Helper()
	target := restore(n.t, n.Harness, n.ids[i], `{"restore": {}}`)
	if b := n.Await(n.ids[i], stowage.BackupAvailable); b["fail_reason"] != nil {
		n.t.Errorf("backup %d: %v", i, b["fail_reason"])
	}
	clean(n.t, n.Harness, target)
	if !bytes.Equal(n.Bytes(target)[:size], n.made[i].Data) {
		n.t.Errorf("backup %d does not come back", i)
	}
}

// has tells which of the backups the container has whole, as 012.
func (n *newcomer) has() (which string) {
	n.t.Helper()
	names := n.Objects()
	for i, m := range n.made {
		all := []string{m.Metadata(), m.Prefix + "_sha256file"}
		for o := range m.Count() {
			all = append(all, m.Object(o+1))
		}
		here := 0
		for _, name := range all {
			if slices.Contains(names, name) {
				here++
			}
		}
		switch here {
		case len(all):
			which += fmt.Sprint(i)
		case 0:
		default:
			n.t.Errorf("of the %d objects of backup %d there are %d", len(all), i, here)
		}
	}
	return which
}

func (n *newcomer) deleted(i int) {
	n.t.Helper()
	remove(n.t, n.Harness, n.ids[i])
	n.Await(n.ids[i], "")
}

func TestABackupOfCinderBackupsLivesLikeAnyOther(t *testing.T) {
	n := newNewcomer(t)
	n.imports(false)
	m := n.Manager("m1")
	m.VerifyInterval, m.VerifyDeep = time.Hour, true
	n.Start(m)
	for i := range n.made {
		b := n.Show(n.ids[i])
		if b["status"] != "available" || b["display_name"] != fmt.Sprint("evening ", i) || b["volume_id"] != cindertest.Volume || b["is_incremental"] != (i > 0) || b["size"] != 1.0 {
			t.Errorf("it is shown as %v", b)
		}
		n.comesBack(i)
	}
	// Over a volume that holds something else, and one that holds nearly the same.
	put := n.Volume("10", size+5)
	restore(t, n.Harness, n.ids[2], `{"restore": {"volume_id": "10"}}`)
	n.Await(n.ids[2], stowage.BackupAvailable)
	clean(t, n.Harness, "10")
	if got := n.Bytes("10"); !bytes.Equal(got[:size], n.made[2].Data) || !bytes.Equal(got[size:], put[size:]) {
		t.Error("the existing volume is not equal")
	}
	restore(t, n.Harness, n.ids[1], `{"restore": {"volume_id": "10"}}`)
	n.Await(n.ids[1], stowage.BackupAvailable)
	clean(t, n.Harness, "10")
	if got := n.Bytes("10"); !bytes.Equal(got[:size], n.made[1].Data) {
		t.Error("the volume that held nearly the same is not equal")
	}
	// They are verified by rules of their own.
	points := []point{{id: n.ids[0]}, {id: n.ids[1]}, {id: n.ids[2]}}
	for _, b := range verified(t, n.Harness, points...) {
		if b.Damaged != "" {
			t.Errorf("backup %d is taken for damaged: %s", b.ID, b.Damaged)
		}
	}
	// The next backup of the volume begins anew.
	id := n.Create(cindertest.Volume)
	if b := n.Await(id, stowage.BackupAvailable); b["is_incremental"] != false {
		t.Error("a backup is an increment to one of cinder-backup's")
	}
	next := n.Create(cindertest.Volume)
	if b := n.Await(next, stowage.BackupAvailable); b["is_incremental"] != true {
		t.Error("the backup after it is not an increment to ours")
	}
	remove(t, n.Harness, id)
	n.Await(id, "")
	n.comesBack(2)
	if n.has() != "012" {
		t.Errorf("of cinder-backup's there are %s", n.has())
	}
}

func TestWhatIsCinderBackupsStaysWhenItIsDeleted(t *testing.T) {
	n := newNewcomer(t)
	before := n.Objects()
	n.imports(false)
	n.Start(n.Manager("m1"))
	for i := range n.ids {
		n.deleted(i)
	}
	if after := n.Objects(); !slices.Equal(after, before) {
		t.Errorf("of %d objects %d are left", len(before), len(after))
	}
	n.ids = nil
	n.imports(false)
	n.comesBack(2)
}

func TestWhatWasTakenGoesWithTheLastBackupThatNeedsIt(t *testing.T) {
	n := newNewcomer(t)
	n.imports(true)
	n.Start(n.Manager("m1"))
	n.deleted(0)
	if n.has() != "012" {
		t.Fatalf("the increments need the full one, and there are %s", n.has())
	}
	n.comesBack(2)
	n.deleted(2)
	if n.has() != "01" {
		t.Errorf("there are %s", n.has())
	}
	n.comesBack(1)
	n.deleted(1)
	if left := n.Objects(); len(left) != 0 {
		t.Errorf("left in the container: %v", left)
	}
}

// Cinder can import a record under a second id; it is the same data.
func TestTheSameDataUnderTwoIDsIsThereUntilBothAreGone(t *testing.T) {
	n := newNewcomer(t)
	n.imports(false)
	change := map[string]any{"id": "00000009-0000-4000-8000-000000000000", "container": stowage.DefaultContainer, "project_id": "demo"}
	n.imports(true, n.made[2].Record(change))
	if len(n.ids) != 4 {
		t.Fatalf("they are %v", n.ids)
	}
	n.made = append(n.made, n.made[2])
	n.Start(n.Manager("m1"))
	for _, i := range []int{2, 1, 0} {
		n.deleted(i)
	}
	n.comesBack(3)
	n.deleted(3)
	if left := n.Objects(); len(left) != 0 {
		t.Errorf("left in the container: %v", left)
	}
}

// The store fails in the middle of a delete, or the manager dies: it is done
// again, and nothing is half done.
func TestADeleteOfCinderBackupsObjectsIsDoneToItsEnd(t *testing.T) {
	n := newNewcomer(t)
	n.imports(true)
	n.Stores.On(drivertest.OpDelete, n.made[2].Prefix).Skip(2).Times(3).Before(stowage.Errorf(stowage.Unavailable, "503"))
	n.Start(n.Manager("m1"))
	n.deleted(2)
	if n.has() != "01" {
		t.Errorf("there are %s", n.has())
	}
	n.comesBack(1)
}

// Garbage that was written down, and became known again by an import, stays.
func TestWhatIsImportedAgainIsNoGarbage(t *testing.T) {
	n := newNewcomer(t)
	n.imports(true)
	l, err := n.DB.Lineage(t.Context(), "demo", cindertest.Volume, stowage.DefaultContainer)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := n.DB.Reaches(t.Context(), &l)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		g := db.Garbage{ProjectID: "demo", Container: stowage.DefaultContainer, VolumeID: cindertest.Volume, BackupID: s.BackupID, Objects: s.Objects}
		if err := n.DB.AddGarbage(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	n.Start(n.Manager("m1"))
	n.Until("the garbage was looked at", func() bool {
		left, err := n.DB.ReadyGarbage(t.Context(), n.Clock.Now().Add(48*time.Hour), 10)
		return err == nil && len(left) == 0
	})
	if n.has() != "012" {
		t.Errorf("there are %s", n.has())
	}
}

// A tenant changes an object: an existing volume stays as it was, or holds only
// what was backed up, and the verification says what is wrong.
func TestADamagedBackupOfCinderBackupsIsNoticed(t *testing.T) {
	n := newNewcomer(t)
	n.imports(false)
	put(t, n.Harness, n.made[0].Metadata(), bytes.Replace(take(t, n.Harness, n.made[0].Metadata()), []byte(`"offset": 0`), []byte(`"offset":  0`), 1))
	n.Start(verifier(n.Harness, false))
	before := n.Volume("10", size)
	restore(t, n.Harness, n.ids[2], `{"restore": {"volume_id": "10"}}`)
	if b := n.Await(n.ids[2], stowage.BackupError); !strings.Contains(fmt.Sprint(b["fail_reason"]), "changed") {
		t.Errorf("the reason is %v", b["fail_reason"])
	}
	clean(t, n.Harness, "10")
	if !bytes.Equal(n.Bytes("10"), before) {
		t.Error("the volume was touched")
	}
	for _, b := range verified(t, n.Harness, point{id: n.ids[0]}, point{id: n.ids[1]}) {
		if !strings.Contains(b.Damaged, "changed") {
			t.Errorf("backup %d: %q", b.ID, b.Damaged)
		}
	}
}
