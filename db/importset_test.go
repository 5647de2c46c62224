package db

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// imported writes backups of volumes as an import does, and gives the backup of the
// server that they are part of, which is not there.
func imported(t *testing.T, d *DB, parts int) (set stowage.Backup, server stowage.Entity, ids []int64) {
	t.Helper()
	server = stowage.Entity{ID: "srv-" + uuid.NewString(), Kind: stowage.EntityServer, ProjectID: "p", Name: "web", Listed: true}
	record := &stowage.ServerRecord{ID: server.ID, Name: "web"}
	for n := range parts {
		b := sampleBackup("p")
		b.Volume.ID, b.SizeGiB, b.VolumeBytes, b.SnapshotAt, b.Incremental = fmt.Sprint(n), 2, 100, noon.Add(-time.Duration(n)*time.Minute), n == 1
		if err := d.ImportBackup(t.Context(), &b, []byte("objects")); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
		record.Disks = append(record.Disks, stowage.ServerDisk{VolumeID: b.Volume.ID, Backup: b.UUID})
	}
	return stowage.Backup{
		UUID: uuid.NewString(), Kind: stowage.OfServer, ProjectID: "p", Container: "c", Volume: stowage.VolumeRecord{ID: server.ID}, Server: record, CreatedAt: noon,
	}, server, ids
}

func TestPartsThatComeAtOnceMakeOneSet(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		const parts = 6
		set, server, ids := imported(t, d, parts)
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				one := set
				if err := d.ImportSet(t.Context(), &one, id, server, noon); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		got := must(d.BackupByUUID(t.Context(), Scope{"p"}, set.UUID))(t)
		if got.Status != stowage.BackupAvailable || got.FailReason != "" || got.SizeGiB != 2*parts || got.VolumeBytes != 100*parts || !got.Incremental ||
			!got.SnapshotAt.Equal(noon.Add(-(parts-1)*time.Minute)) || !got.VerifiedAt.Equal(noon) {
			t.Errorf("it is %+v", got)
		}
		if list := must(d.SetBackups(t.Context(), got.ID))(t); len(list) != parts {
			t.Errorf("%d parts", len(list))
		}
		wantCounted(t, d, "the parts are there", map[string]int{server.ID: 1})
	})
}

// A server that the inventory knows stays as it found it.
func TestAServerThatIsKnownIsNotWrittenAnew(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set, server, ids := imported(t, d, 1)
		known := server
		known.Present, known.Name = true, "renamed"
		if err := d.Found(t.Context(), 1, []stowage.Entity{known}, noon); err != nil {
			t.Fatal(err)
		}
		if err := d.ImportSet(t.Context(), &set, ids[0], server, noon); err != nil {
			t.Fatal(err)
		}
		if e := must(d.Entity(t.Context(), Scope{"p"}, server.ID))(t); e.Name != "renamed" || !e.Present {
			t.Errorf("it is %+v", e)
		}
	})
}

// What is being made, or deleted, is left to those who do it.
func TestASetThatIsBusyKeepsItsStatus(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for _, status := range []stowage.BackupStatus{stowage.BackupCreating, stowage.BackupDeleting, stowage.BackupRestoring} {
			set, server, ids := imported(t, d, 2)
			there := set
			there.Status, there.UpdatedAt = status, noon
			if err := d.CreateBackup(t.Context(), &there, &stowage.Job{ID: uuid.NewString(), Kind: stowage.JobStore, State: stowage.JobFinished, CreatedAt: noon}); err != nil {
				t.Fatal(err)
			}
			if err := d.ImportSet(t.Context(), &set, ids[0], server, noon); err != nil || set.Status != status || set.ID != there.ID {
				t.Errorf("it becomes %+v: %v", set, err)
			}
			if list := must(d.SetBackups(t.Context(), there.ID))(t); len(list) != 1 {
				t.Errorf("%s: parts %+v", status, list)
			}
		}
	})
}

func TestAPartOfAnotherSetStaysThat(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set, server, ids := imported(t, d, 1)
		second := set
		second.UUID = uuid.NewString()
		if err := d.ImportSet(t.Context(), &set, ids[0], server, noon); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.ImportSet(t.Context(), &second, ids[0], server, noon), stowage.Conflict)
		_, err := d.BackupByUUID(t.Context(), Scope{}, second.UUID)
		wantCode(t, err, stowage.NotFound)
	})
}
