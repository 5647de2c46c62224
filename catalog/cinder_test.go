package catalog_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/cinderbackup/cindertest"
)

// cinderID is the id of a backup that cinder-backup made.
func cinderID(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("0000000%d-0000-4000-8000-000000000000", n))
}

// cinder is a rig that looks for backups of cinder-backup's.
func newCinder(t *testing.T) *rig {
	r := newRig(t)
	r.Format, r.Master = catalog.CinderBackup, nil
	return r
}

// cinder makes a backup with a name, a day later than the one before it.
func (r *rig) cinder(n int, parent *cindertest.Made, change func(*cindertest.Backup)) *cindertest.Made {
	r.Helper()
	data := bytes.Repeat([]byte("cinder "), 30_000)
	for i := range n {
		copy(data[i*20_000:], bytes.Repeat([]byte{byte(i)}, 9000))
	}
	b := cindertest.Backup{ID: cinderID(n).String(), Parent: parent, At: noon.AddDate(0, 0, n), Name: fmt.Sprint("evening ", n), Compression: "zlib"}
	if change != nil {
		change(&b)
	}
	return cindertest.Make(b, data, func(name string, data []byte) { r.put(name, string(data)) })
}

// cinders finds backups, one "backup state" each.
func (r *rig) cinders(want ...string) (entries []catalog.Entry) {
	r.Helper()
	var list []string
	err := r.Scan(r.Context(), "", func(e catalog.Entry) error {
		list, entries = append(list, e.Backup.String()[:8]+" "+string(e.State)), append(entries, e)
		return nil
	})
	if err != nil || strings.Join(list, ", ") != strings.Join(want, ", ") {
		r.Fatalf("found %q instead of %q: %v", list, want, err)
	}
	return entries
}

func TestBackupsOfCinderBackupsAreListedAndRestored(t *testing.T) {
	r := newCinder(t)
	one := r.cinder(1, nil, nil)
	two := r.cinder(2, one, nil)
	three := r.cinder(3, two, nil)
	r.put(three.Prefix+"x_metadata", "{}")
	r.put("notes_metadata", "{}")
	entries := r.cinders("00000001 readable", "00000002 readable", "00000003 readable")
	e := entries[2]
	if e.VolumeID != cindertest.Volume || e.Name != "evening 3" || !e.Incremental || e.Sealed || e.VolumeBytes != 210_000 || e.VolumeName != "data" ||
		!e.SnapshotAt.Equal(noon.AddDate(0, 0, 3)) || e.Root != three.Metadata() {
		t.Errorf("it is %+v", e)
	}
	for i, m := range []*cindertest.Made{one, two, three} {
		if damages, err := r.Verify(t.Context(), &entries[i], true, nil); err != nil || len(damages) != 0 || entries[i].State != catalog.Sound {
			t.Errorf("verified: %+v %v", damages, err)
		}
		found, err := r.Find(t.Context(), "", cinderID(i+1))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "image")
		target, err := file.CreateImage(name, found.VolumeBytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Restore(t.Context(), found, target, nil); err != nil {
			t.Fatal(err)
		}
		if err := target.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, m.Data) {
			t.Errorf("backup %d does not come back: %v", i+1, err)
		}
	}
	if _, err := r.Find(t.Context(), "", cinderID(7)); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("one that is not there: %v", err)
	}
	if err := r.Scan(t.Context(), "../x", nil); stowage.CodeOf(err) != stowage.Invalid {
		t.Errorf("a volume that is none: %v", err)
	}
}

func TestChainsThatAreNoneAreTold(t *testing.T) {
	parent := func(id any) func(*cindertest.Backup) {
		return func(b *cindertest.Backup) { b.Change = func(m map[string]any) { m["parent_id"] = id } }
	}
	for name, test := range map[string]struct {
		make func(r *rig)
		want []string
		why  string
	}{
		"a parent that is gone": {func(r *rig) {
			one := r.cinder(1, nil, nil)
			r.cinder(2, one, nil)
			if err := r.Store.Delete(r.Context(), one.Metadata()); err != nil {
				r.Fatal(err)
			}
		}, []string{"00000002 damaged"}, "not in the container"},
		"a circle": {func(r *rig) {
			one := r.cinder(1, nil, parent(cinderID(2).String()))
			r.cinder(2, one, nil)
		}, []string{"00000001 damaged", "00000002 damaged"}, "no full backup"},
		"a parent that is there twice": {func(r *rig) {
			one := r.cinder(1, nil, nil)
			r.cinder(1, nil, func(b *cindertest.Backup) { b.At = noon.Add(time.Hour) })
			r.cinder(2, one, nil)
		}, []string{"00000001 readable", "00000001 readable", "00000002 damaged"}, "2 times"},
		"a parent of another volume": {func(r *rig) {
			one := r.cinder(1, nil, func(b *cindertest.Backup) { b.VolumeID = "7b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60" })
			r.cinder(2, one, nil)
		}, []string{"00000002 damaged", "00000001 readable"}, "not in the container"},
		"an encrypted volume": {func(r *rig) {
			r.cinder(1, nil, func(b *cindertest.Backup) { b.Key = cinderID(9).String() })
		}, []string{"00000001 locked"}, "key manager"},
		"a _metadata that is none": {func(r *rig) {
			m := r.cinder(1, nil, nil)
			r.put(m.Metadata(), "{")
		}, []string{"00000001 damaged"}, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCinder(t)
			test.make(r)
			d := r.database()
			for _, e := range r.cinders(test.want...) {
				if e.Good() {
					continue
				}
				if !strings.Contains(e.Why, test.why) {
					t.Errorf("why: %s", e.Why)
				}
				if done, err := r.Import(t.Context(), d, e, noon); done || err == nil {
					t.Error("it is imported")
				}
			}
		})
	}
}

func (r *rig) database() *db.DB {
	r.Helper()
	d, err := db.Open(db.Options{Dialect: db.SQLite, Path: filepath.Join(r.TempDir(), "test.sqlite")})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = d.Close() }) // nothing is written any more
	if _, err := d.Sync(r.Context()); err != nil {
		r.Fatal(err)
	}
	return d
}

// chains gives the chains in the database by the backup's UUID.
func (r *rig) chains(d *db.DB) map[string]*cinderbackup.Chain {
	r.Helper()
	l, err := d.Lineage(r.Context(), "p", cindertest.Volume, "c")
	if err != nil {
		r.Fatal(err)
	}
	sets, err := d.Reaches(r.Context(), &l)
	if err != nil {
		r.Fatal(err)
	}
	all := map[string]*cinderbackup.Chain{}
	for _, s := range sets {
		b, err := d.Backup(r.Context(), db.Scope{}, s.BackupID)
		if err != nil {
			r.Fatal(err)
		}
		all[b.UUID] = &cinderbackup.Chain{}
		if err := all[b.UUID].UnmarshalBinary(s.Objects); err != nil {
			r.Fatal(err)
		}
	}
	return all
}

func TestBackupsOfCinderBackupsAreImported(t *testing.T) {
	r := newCinder(t)
	one := r.cinder(1, nil, nil)
	two := r.cinder(2, one, nil)
	d := r.database()
	for _, want := range []bool{true, false} {
		for _, e := range r.cinders("00000001 readable", "00000002 readable") {
			if done, err := r.Import(t.Context(), d, e, noon); done != want || err != nil {
				t.Fatalf("%s: %v %v", e.Backup, done, err)
			}
		}
	}
	b, err := d.BackupByUUID(t.Context(), db.Scope{ProjectID: "p"}, cinderID(2).String())
	if err != nil {
		t.Fatal(err)
	}
	if b.Status != stowage.BackupAvailable || b.Name != "evening 2" || b.UserID != "someone" || b.Container != "c" || b.SizeGiB != 1 ||
		b.VolumeBytes != 210_000 || b.StoredBytes <= 0 || !b.Incremental || b.Manifest != two.Metadata() || len(b.ManifestDigest) != 64 ||
		!b.SnapshotAt.Equal(noon.AddDate(0, 0, 2)) || !b.CreatedAt.Equal(noon.AddDate(0, 0, 2)) {
		t.Errorf("it is %+v", b)
	}
	v := b.Volume
	if v.ID != cindertest.Volume || v.Name != "data" || v.Type != "fast" || v.AvailabilityZone != "nova" || !v.Bootable || v.Metadata["k"] != "v" || v.ImageMetadata["image_name"] != "tiny" {
		t.Errorf("its volume is %+v", v)
	}
	if strings.Contains(fmt.Sprintf("%+v", b), "CHAP") {
		t.Error("a secret of the storage was taken over")
	}
	if _, err := d.Parent(t.Context(), "p", cindertest.Volume, "c"); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("it is a parent: %v", err)
	}
	chain := r.chains(d)[b.UUID]
	if chain.Taken || len(chain.Members) != 2 || chain.Members[1].Prefix.String() != one.Prefix || chain.Members[1].Objects != one.Count() {
		t.Errorf("it reaches %+v", chain)
	}
}

func TestADamagedBackupOfCinderBackupsIsNotImported(t *testing.T) {
	r := newCinder(t)
	one := r.cinder(1, nil, nil)
	r.cinder(2, one, nil)
	d := r.database()
	entries := r.cinders("00000001 readable", "00000002 readable")
	if err := r.Store.Delete(t.Context(), one.Object(1)); err != nil {
		t.Fatal(err)
	}
	if done, err := r.Import(t.Context(), d, entries[0], noon); done || stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("without an object: %v %v", done, err)
	}
	r.put(one.Metadata(), "{}")
	if done, err := r.Import(t.Context(), d, entries[1], noon); done || stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("with another parent: %v %v", done, err)
	}
}

func TestRecordsSayWhatToImport(t *testing.T) {
	r := newCinder(t)
	one := r.cinder(1, nil, nil)
	two := r.cinder(2, one, nil)
	r.cinder(3, two, nil)
	again := map[string]any{"id": cinderID(8).String(), "display_name": "the same", "size": 5, "user_id": "him"}
	records, err := cinderbackup.ReadRecords(strings.NewReader(strings.Join([]string{
		two.Record(nil), two.Record(again), two.Record(map[string]any{"id": cinderID(7).String(), "container": "other"}),
		two.Record(map[string]any{"id": cinderID(6).String(), "encryption_key_id": cinderID(5).String()}),
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.Records = records
	d := r.database()
	for _, e := range r.cinders("00000002 readable", "00000008 readable", "00000007 unknown", "00000006 locked") {
		if done, err := r.Import(t.Context(), d, e, noon); done != e.Good() || (err == nil) != e.Good() {
			t.Errorf("%s: %v %v", e.Backup, done, err)
		}
	}
	b, err := d.BackupByUUID(t.Context(), db.Scope{}, cinderID(8).String())
	if err != nil || b.Name != "the same" || b.SizeGiB != 5 || b.UserID != "him" || b.Manifest != two.Metadata() {
		t.Errorf("it is %+v: %v", b, err)
	}
}

func TestAVolumesBackupsAreTakenAllOrNone(t *testing.T) {
	r := newCinder(t)
	one := r.cinder(1, nil, nil)
	two := r.cinder(2, one, nil)
	d := r.database()
	entries := r.cinders("00000001 readable", "00000002 readable")
	if _, err := r.Import(t.Context(), d, entries[1], noon); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Take(t.Context(), d, cindertest.Volume); n != 0 || stowage.CodeOf(err) != stowage.Invalid || r.chains(d)[two.ID].Taken {
		t.Errorf("without the full one: %d %v", n, err)
	}
	if _, err := r.Import(t.Context(), d, entries[0], noon); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 0} {
		if n, err := r.Take(t.Context(), d, cindertest.Volume); n != want || err != nil {
			t.Errorf("%d instead of %d: %v", n, want, err)
		}
	}
	if all := r.chains(d); !all[one.ID].Taken || !all[two.ID].Taken || len(all[two.ID].Members) != 2 {
		t.Errorf("they are %+v", all)
	}
}
