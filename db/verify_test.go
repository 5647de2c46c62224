package db

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

func TestTheLeastRecentlyVerifiedIsNext(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		a, b, c := made(t, d, ""), made(t, d, ""), made(t, d, "")
		created(t, d, nil) // not available
		if got := must(d.Backup(t.Context(), Scope{}, b.ID))(t); got.VerifiedAt.IsZero() {
			t.Error("what was just stored is to be verified at once")
		}
		for at, id := range []int64{b.ID, c.ID, a.ID} {
			if err := d.NoteVerified(t.Context(), id, "", noon.Add(time.Duration(at-1)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		want := func(before time.Time, limit int, ids ...int64) {
			t.Helper()
			list := must(d.NextToVerify(t.Context(), before, limit))(t)
			if len(list) != len(ids) {
				t.Fatalf("got %+v, want %v", list, ids)
			}
			for i := range list {
				if list[i].ID != ids[i] {
					t.Errorf("number %d is %d, want %d", i, list[i].ID, ids[i])
				}
			}
		}
		want(noon.Add(2*time.Hour), 10, b.ID, c.ID, a.ID)
		want(noon.Add(2*time.Hour), 2, b.ID, c.ID)
		want(noon.Add(time.Hour), 10, b.ID, c.ID)
		want(noon, 10, b.ID)
	})
}

func TestWhatAVerificationFindsStaysUntilTheNext(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := made(t, d, "")
		for _, found := range []string{"a pack is gone", ""} {
			if err := d.NoteVerified(t.Context(), b.ID, found, noon); err != nil {
				t.Fatal(err)
			}
			got := must(d.Backup(t.Context(), Scope{}, b.ID))(t)
			if got.Damaged != found || !got.VerifiedAt.Equal(noon) || got.Status != stowage.BackupAvailable {
				t.Errorf("the backup is %+v", got)
			}
		}
		wantCode(t, d.NoteVerified(t.Context(), 99, "", noon), stowage.NotFound)
	})
}

func TestAJobBesideTheStatusIsForAvailableBackupsAndThereIsOne(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := made(t, d, "")
		add := func(id int64) (stowage.Job, error) {
			j := sampleJob(stowage.JobVerify)
			j.BackupID, j.Lock = id, stowage.LockNone
			return j, d.AddJob(context.Background(), &j)
		}
		var wins atomic.Int64
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				_, err := add(b.ID)
				if err == nil {
					wins.Add(1)
				} else if stowage.CodeOf(err) != stowage.Conflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		jobs := must(d.BackupJobs(t.Context(), b.ID))(t)
		if wins.Load() != 1 || len(jobs) != 2 || jobs[1].Kind != stowage.JobVerify {
			t.Fatalf("%d were added, the jobs are %+v", wins.Load(), jobs)
		}
		if err := d.End(t.Context(), running(t, d, jobs[1]), JobEnd{State: stowage.JobFinished, Now: noon}); err != nil {
			t.Fatal(err)
		}
		must(add(b.ID))(t) // that one has ended
		if got := must(d.Backup(t.Context(), Scope{}, b.ID))(t); got.Status != stowage.BackupAvailable {
			t.Errorf("the backup is %s", got.Status)
		}
		beingDeleted(t, d, b)
		_, err := add(b.ID)
		wantCode(t, err, stowage.Conflict)
		_, err = add(99)
		wantCode(t, err, stowage.Conflict)
	})
}
