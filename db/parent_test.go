package db

import (
	"testing"
	"time"

	"github.com/stowage/stowage"
)

func TestTheParentIsTheNewestPointInTimeThatCanBeRestored(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, err := d.Parent(t.Context(), "p", "9", "c")
		wantCode(t, err, stowage.NotFound)
		made := func(age time.Duration, change func(*stowage.Backup)) int64 {
			b := sampleBackup("p")
			b.Manifest, b.SnapshotAt = "root", noon.Add(-age)
			if change != nil {
				change(&b)
			}
			if err := d.ImportBackup(t.Context(), &b, nil); err != nil {
				t.Fatal(err)
			}
			return b.ID
		}
		newest := made(time.Hour, nil)
		older := made(2*time.Hour, nil)
		made(0, func(b *stowage.Backup) { b.ProjectID = "q" })
		made(0, func(b *stowage.Backup) { b.Volume.ID = "8" })
		made(0, func(b *stowage.Backup) { b.Container = "C" })
		made(0, func(b *stowage.Backup) { b.Manifest = "" })
		made(0, func(b *stowage.Backup) { b.Damaged = "a pack is gone" })
		made(0, func(b *stowage.Backup) { b.Manifest = "volume_9/20260101120000/az_nova_backup_x_metadata" })
		created(t, d, nil)
		want := func(id int64) {
			t.Helper()
			if got := must(d.Parent(t.Context(), "p", "9", "c"))(t); got.ID != id {
				t.Errorf("the parent is %d, want %d", got.ID, id)
			}
		}
		want(newest)
		for _, move := range []struct {
			to     stowage.BackupStatus
			parent int64
		}{{stowage.BackupRestoring, newest}, {stowage.BackupAvailable, newest}, {stowage.BackupDeleting, older}} {
			b := must(d.Backup(t.Context(), Scope{}, newest))(t)
			j := sampleJob(stowage.JobRestore)
			if err := d.StartJob(t.Context(), BackupMove{ID: newest, From: b.Status, To: move.to, Now: noon}, &j); err != nil {
				t.Fatal(err)
			}
			want(move.parent)
		}
	})
}
