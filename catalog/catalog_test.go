package catalog_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// bytesSource is a volume's snapshot in memory.
type bytesSource struct{ *bytes.Reader }

func (bytesSource) Close() error { return nil }
func (s bytesSource) Allocated(_ context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	return fn(stowage.Extent{Offset: offset, Length: length})
}

// rig is a container of project p, a master key, and p's key.
type rig struct {
	*testing.T
	*catalog.Catalog
	key seal.Key
}

func newRig(t *testing.T) *rig {
	t.Helper()
	stores, err := dir.Open(dir.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stores.Close() }) // only read from
	if err := stores.CreateContainer(t.Context(), "p", "c"); err != nil {
		t.Fatal(err)
	}
	store, err := stores.Open(t.Context(), "p", "c")
	if err != nil {
		t.Fatal(err)
	}
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	key, err := master.NewKey("p")
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, &catalog.Catalog{Store: store, Engine: engine.New(engine.Options{}), Master: master, Project: "p", Container: "c"}, key}
}

// made is a backup to be made.
type made struct {
	id      uuid.UUID
	fence   uint64
	volume  string
	project string
	name    string
	at      time.Duration // after noon
	open    bool          // not sealed
	set     *manifest.Set // nil: it is of a volume alone
}

// make makes a backup of random bytes, and gives them.
func (r *rig) make(m made) []byte {
	r.Helper()
	if m.project == "" {
		m.project = "p"
	}
	if m.volume == "" {
		m.volume = "9"
	}
	data := make([]byte, 3<<18)
	rand.NewChaCha8([32]byte{m.id[15], byte(m.fence)}).Read(data)
	key := &r.key
	if m.open {
		key = nil
	}
	_, err := r.Engine.Backup(r.Context(), engine.BackupInput{
		Source: bytesSource{bytes.NewReader(data)}, Store: r.Store, Attempt: manifest.Attempt{Backup: m.id, Fence: m.fence}, Key: key,
		Info: manifest.Info{
			Backup: m.id, Fence: m.fence, Project: m.project, Volume: stowage.VolumeRecord{ID: m.volume, Name: "data"},
			SnapshotAt: noon.Add(m.at), CreatedAt: noon, Name: m.name, Set: m.set,
		},
		Check: func(context.Context) error { return nil },
	})
	if err != nil {
		r.Fatal(err)
	}
	return data
}

// found gives what a scan finds, one "backup/fence state" a backup.
func (r *rig) found(volume string) (list []string, entries []catalog.Entry) {
	r.Helper()
	err := r.Scan(r.Context(), volume, func(e catalog.Entry) error {
		list, entries = append(list, e.VolumeID+" "+e.Backup.String()[35:]+"/"+string(rune('0'+e.Fence))+" "+string(e.State)), append(entries, e)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return list, entries
}

func (r *rig) finds(volume string, want ...string) []catalog.Entry {
	r.Helper()
	list, entries := r.found(volume)
	if !slices.Equal(list, want) {
		r.Errorf("found %q instead of %q", list, want)
	}
	return entries
}

func (r *rig) put(name, content string) {
	r.Helper()
	if _, err := r.Store.Put(r.Context(), name, []byte(content)); err != nil {
		r.Fatal(err)
	}
}

// id is a UUID that ends in a digit.
func id(n byte) uuid.UUID { return uuid.UUID{0: 1, 15: n} }

func TestAVolumesBackupsComeInTheOrderOfTheirSnapshots(t *testing.T) {
	r := newRig(t)
	r.make(made{id: id(1), fence: 1, at: 2 * time.Hour})
	r.make(made{id: id(2), fence: 1, at: time.Hour})
	r.make(made{id: id(3), fence: 1, volume: "10"})
	for _, name := range []string{ // of which none is a root's
		"volume_9/root", "volume_9/backup_x/00000001/root", "volume_../backup_" + id(4).String() + "/00000001/root",
		"volume_9/backup_" + id(4).String() + "/1/root", "notes",
	} {
		r.put(name, "x")
	}
	entries := r.finds("", "10 3/1 readable", "9 2/1 readable", "9 1/1 readable")
	r.finds("9", "9 2/1 readable", "9 1/1 readable")
	r.finds("7")
	e := entries[2]
	if e.VolumeBytes != 3<<18 || !e.Sealed || e.Objects != 3 || e.StoredBytes < 3<<18 || e.VolumeName != "data" || len(e.Digest) != 64 {
		t.Errorf("it is %+v", e)
	}
}

func TestOfABackupsRootsTheNewestGoodOneCounts(t *testing.T) {
	r := newRig(t)
	r.make(made{id: id(1), fence: 1})
	want := r.make(made{id: id(1), fence: 2})
	r.finds("", "9 1/2 readable")

	// One that cannot be read is told, and hides nothing.
	r.put(manifest.RootName("9", manifest.Attempt{Backup: id(1), Fence: 3}), "not a root")
	r.finds("", "9 1/2 readable", "9 1/3 damaged")

	// What is not sealed hides nothing that is, also under another volume.
	r.make(made{id: id(1), fence: 4, open: true})
	r.make(made{id: id(1), fence: 5, volume: "8", open: true})
	entries := r.finds("", "8 1/5 readable", "9 1/2 readable", "9 1/3 damaged")
	if entries[0].Sealed || !entries[1].Sealed {
		t.Errorf("they are %+v", entries)
	}
	e, err := r.Find(t.Context(), "", id(1))
	if err != nil || e.VolumeID != "9" || e.Fence != 2 {
		t.Fatalf("found %+v %v", e, err)
	}
	name := filepath.Join(t.TempDir(), "image")
	target, err := file.CreateImage(name, e.VolumeBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Restore(t.Context(), e, target, nil); err != nil {
		t.Error(err)
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the image is not equal: %v", err)
	}
	if _, err := r.Find(t.Context(), "", id(2)); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("found what is not there: %v", err)
	}
	if _, err := r.Find(t.Context(), "8", id(1)); err != nil {
		t.Errorf("asked for by its volume: %v", err)
	}
}

func TestARootOfAnotherPlaceIsDamaged(t *testing.T) {
	r := newRig(t)
	r.make(made{id: id(1), fence: 1, project: "\x1b[31mq", open: true})
	r.make(made{id: id(2), fence: 1, open: true, name: strings.Repeat("ü", 1000)})
	from, to := manifest.RootName("9", manifest.Attempt{Backup: id(2), Fence: 1}), manifest.RootName("10", manifest.Attempt{Backup: id(2), Fence: 1})
	buf := make([]byte, 1<<20)
	n, err := r.Store.Get(t.Context(), from, buf, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.put(to, string(buf[:n]))
	entries := r.finds("", "10 2/1 damaged", "9 2/1 readable", "9 1/1 damaged")
	if strings.Contains(entries[2].Why, "\x1b") || !strings.Contains(entries[2].Why, "project") {
		t.Errorf("why: %q", entries[2].Why)
	}
	if entries[1].Name != strings.Repeat("ü", 255) {
		t.Errorf("the name has %d bytes", len(entries[1].Name))
	}
}

func TestAStoreThatIsAwayIsNoDamage(t *testing.T) {
	r := newRig(t)
	r.make(made{id: id(1), fence: 1})
	r.make(made{id: id(2), fence: 1})
	bad := manifest.RootName("9", manifest.Attempt{Backup: id(1), Fence: 1})
	faults := &drivertest.Faults{}
	faults.On(drivertest.OpGet, bad).Always().Before(stowage.Errorf(stowage.Unavailable, "come back later"))
	r.Store = drivertest.FaultyStore(r.Store, faults)
	r.finds("", "9 2/1 readable", "9 1/1 unknown")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Scan(ctx, "", func(catalog.Entry) error { return nil }); err == nil {
		t.Error("a scan that was cancelled ends well")
	}
}

func TestALaggingListingIsToldFromDamage(t *testing.T) {
	r := newRig(t)
	r.make(made{id: id(1), fence: 1})
	lagging := drivertest.NewLagging(r.Store)
	r.Store = lagging
	name := manifest.RootName("9", manifest.Attempt{Backup: id(1), Fence: 1})
	if err := r.Store.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	entries := r.finds("", "9 1/1 unknown")
	if len(entries) == 1 && !strings.Contains(entries[0].Why, "deleted of late") {
		t.Errorf("why: %q", entries[0].Why)
	}
}

func TestImportWritesWhatTheDatabaseHad(t *testing.T) {
	r := newRig(t)
	r.make(made{id: id(1), fence: 3, name: "one", at: time.Hour})
	r.make(made{id: id(2), fence: 1})
	d, err := db.Open(db.Options{Dialect: db.SQLite, Path: filepath.Join(t.TempDir(), "test.sqlite")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, err := r.Find(t.Context(), "", id(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		if done, err := r.Import(t.Context(), d, one, noon); err != nil || done != want {
			t.Fatalf("import %d: %v %v", i, done, err)
		}
	}
	b, err := d.BackupByUUID(t.Context(), db.Scope{ProjectID: "p"}, id(1).String())
	if err != nil {
		t.Fatal(err)
	}
	if b.Status != stowage.BackupAvailable || b.Name != "one" || b.Manifest != one.Root || b.ManifestDigest != one.Digest || b.Container != "c" ||
		b.Volume.ID != "9" || b.VolumeBytes != 3<<18 || b.SizeGiB != 1 || !b.SnapshotAt.Equal(noon.Add(time.Hour)) || b.ObjectCount != 3 {
		t.Errorf("the row is %+v", b)
	}
	lineage, err := d.Lineage(t.Context(), "p", "9", "c")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := d.Reaches(t.Context(), &lineage)
	if err != nil || len(sets) != 1 {
		t.Fatalf("sets: %v %v", sets, err)
	}
	objects := &manifest.Objects{}
	if err := objects.UnmarshalBinary(sets[0].Objects); err != nil || objects.Len() != 2 {
		t.Errorf("the set has %d objects: %v", objects.Len(), err)
	}
	if k, err := d.ProjectKey(t.Context(), "p"); err != nil || k.ID != r.key.ID || !bytes.Equal(k.Wrapped, r.key.Wrapped) {
		t.Errorf("the key: %+v %v", k, err)
	}

	// What anybody may have made is asked for by name.
	r.make(made{id: id(3), fence: 1, open: true})
	open, err := r.Find(t.Context(), "", id(3))
	if err != nil {
		t.Fatal(err)
	}
	if done, err := r.Import(t.Context(), d, open, noon); done || stowage.CodeOf(err) != stowage.Forbidden {
		t.Errorf("what is not sealed: %v %v", done, err)
	}
	r.Unsealed = true
	if done, err := r.Import(t.Context(), d, open, noon); !done || err != nil {
		t.Errorf("what is not sealed, and wanted: %v %v", done, err)
	}

	// What is not whole, or is not what was looked at, is refused.
	two, err := r.Find(t.Context(), "", id(2))
	if err != nil {
		t.Fatal(err)
	}
	changed := two
	changed.Digest = one.Digest
	if done, err := r.Import(t.Context(), d, changed, noon); done || stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("a root that was written over: %v %v", done, err)
	}
	if err := r.Store.Delete(t.Context(), manifest.PackName("9", manifest.Place{Attempt: two.Attempt, Number: 1})); err != nil {
		t.Fatal(err)
	}
	if done, err := r.Import(t.Context(), d, two, noon); done || stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("a backup without its pack: %v %v", done, err)
	}
}
