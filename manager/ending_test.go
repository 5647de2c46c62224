package manager

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// A node of a Galera cluster may not have heard yet of what another one has committed.
func TestABackupThatEndsBesideAnotherSurvivesOldReads(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	d, err := db.Open(db.Options{Dialect: db.SQLite, Path: filepath.Join(t.TempDir(), "test.sqlite")})
	if err == nil {
		t.Cleanup(func() { _ = d.Close() })
		_, err = d.Sync(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := stowage.Backup{UUID: uuid.NewString(), ProjectID: "p", Container: "c", Status: stowage.BackupCreating, Volume: stowage.VolumeRecord{ID: "9"}, CreatedAt: now, UpdatedAt: now}
	j := stowage.Job{ID: uuid.NewString(), Kind: stowage.JobBackup, State: stowage.JobQueued, ProjectID: "p", Backend: "file:a", VolumeID: "9", ReadyAt: now, CreatedAt: now, UpdatedAt: now}
	if err := d.CreateBackup(ctx, &b, &j); err != nil {
		t.Fatal(err)
	}
	if j, err = d.Claim(ctx, "m/1", []string{"file:a"}, now, time.Minute); err != nil {
		t.Fatal(err)
	}
	old, err := d.Lineage(ctx, "p", "9", "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.ReplaceReaches(ctx, old, nil); err != nil { // another backup of the volume ends
		t.Fatal(err)
	}
	m := &Manager{Options: Options{DB: d, Log: slog.New(slog.DiscardHandler), Now: time.Now, RetryDelay: 10 * time.Millisecond, Lease: time.Minute}}
	task, reads := m.task(j), 0
	task.backup = b
	end := db.JobEnd{State: stowage.JobFinished, Move: &db.BackupMove{ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Now: now}, Now: now}
	written := task.end(ctx, end, func(ctx context.Context) (*db.ReachMove, error) {
		reads++
		l, err := d.Lineage(ctx, "p", "9", "c")
		if reads <= 3 {
			l = old
		}
		return &db.ReachMove{Lineage: l, Objects: []byte{}}, err
	})
	if b, err := d.Backup(ctx, db.Scope{}, b.ID); err != nil || !written || b.Status != stowage.BackupAvailable {
		t.Errorf("written %v, the backup is %s: %v", written, b.Status, err)
	}
}
