package db

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// dialects open an empty database of each kind there is in this build. The
// same tests run on all of them.
var dialects = map[string]func(*testing.T) Options{
	SQLite: func(t *testing.T) Options {
		return Options{Dialect: SQLite, Path: filepath.Join(t.TempDir(), "test.sqlite")}
	},
}

// each runs a test on every dialect, with an up-to-date schema.
func each(t *testing.T, test func(*testing.T, *DB)) {
	for name, options := range dialects {
		t.Run(name, func(t *testing.T) {
			d, err := Open(options(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			if _, err := d.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			test(t, d)
		})
	}
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 123456000, time.UTC)

func sampleBackup(project string) stowage.Backup {
	return stowage.Backup{
		UUID: uuid.NewString(), ProjectID: project, UserID: "u", Name: "名前 🗄", Description: "it's", Container: "c",
		Status: stowage.BackupCreating, SizeGiB: 3, CreatedAt: noon, UpdatedAt: noon,
		Volume: stowage.VolumeRecord{ID: "9", Type: "fast", Bootable: true, Metadata: map[string]string{"k": "v"}},
	}
}

func sampleJob(kind stowage.JobKind) stowage.Job {
	return stowage.Job{
		ID: uuid.NewString(), Kind: kind, State: stowage.JobQueued, ProjectID: "p", UserID: "u", Backend: "file:a",
		VolumeID: "9", Priority: stowage.PriorityDefault, ReadyAt: noon, CreatedAt: noon, UpdatedAt: noon, Lock: stowage.LockWanted,
	}
}

// created writes a backup with its job.
func created(t *testing.T, d *DB, change func(*stowage.Backup, *stowage.Job)) (stowage.Backup, stowage.Job) {
	t.Helper()
	b, j := sampleBackup("p"), sampleJob(stowage.JobBackup)
	if change != nil {
		change(&b, &j)
	}
	if err := d.CreateBackup(t.Context(), &b, &j); err != nil {
		t.Fatal(err)
	}
	return b, j
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
}

func TestSyncCanBeRunAgainAndTellsTheVersion(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		have, want, err := d.Version(t.Context())
		if err != nil || have != want || have < 1 {
			t.Fatalf("version %d of %d: %v", have, want, err)
		}
		if v := must(d.Sync(t.Context()))(t); v != want {
			t.Fatalf("second sync gives version %d", v)
		}
		if err := d.CheckVersion(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnOldSchemaIsRefused(t *testing.T) {
	for name, options := range dialects {
		t.Run(name, func(t *testing.T) {
			d := must(Open(options(t)))(t)
			defer d.Close()
			wantCode(t, d.CheckVersion(t.Context()), stowage.Conflict)
		})
	}
}

func TestABackupComesBackAsItWasWritten(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, j := created(t, d, nil)
		got := must(d.Backup(t.Context(), Scope{"p"}, b.ID))(t)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", b) {
			t.Errorf("got  %+v\nwant %+v", got, b)
		}
		if job := must(d.Job(t.Context(), j.ID))(t); fmt.Sprintf("%+v", job) != fmt.Sprintf("%+v", j) || job.BackupID != b.ID {
			t.Errorf("got  %+v\nwant %+v", job, j)
		}
		_, err := d.Backup(t.Context(), Scope{"other"}, b.ID)
		wantCode(t, err, stowage.NotFound)
		must(d.Backup(t.Context(), Scope{}, b.ID))(t)
	})
}

func TestIdsAreNeverUsedAgain(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, j := created(t, d, nil)
		gone := JobEnd{State: stowage.JobFailed, Move: &BackupMove{ID: b.ID, From: stowage.BackupCreating, Remove: true}, Now: noon}
		if err := d.End(t.Context(), j, gone); err != nil {
			t.Fatal(err)
		}
		_, err := d.Backup(t.Context(), Scope{}, b.ID)
		wantCode(t, err, stowage.NotFound)
		if again, _ := created(t, d, nil); again.ID <= b.ID {
			t.Errorf("id %d after %d", again.ID, b.ID)
		}
	})
}

func TestListsArePagedWithinTheScope(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var mine []int64
		for i := range 7 {
			b, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
				if i%3 == 2 {
					b.ProjectID = "other"
				}
			})
			if i%3 != 2 {
				mine = append(mine, b.ID)
			}
		}
		var got []int64
		for after := int64(0); ; after = got[len(got)-1] {
			page := must(d.Backups(t.Context(), Scope{"p"}, BackupFilter{}, after, 2))(t)
			if len(page) == 0 {
				break
			}
			for _, b := range page {
				got = append(got, b.ID)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(mine) {
			t.Errorf("got %v, want %v", got, mine)
		}
		if all := must(d.Backups(t.Context(), Scope{}, BackupFilter{VolumeID: "9", Status: stowage.BackupCreating}, 0, 100))(t); len(all) != 7 {
			t.Errorf("the unscoped list has %d backups", len(all))
		}
		if none := must(d.Backups(t.Context(), Scope{}, BackupFilter{VolumeID: "ü'--"}, 0, 100))(t); len(none) != 0 {
			t.Errorf("a volume nobody has let %d backups through", len(none))
		}
		_, err := d.Job(t.Context(), "ü")
		wantCode(t, err, stowage.NotFound)
		_, err = d.BackupByUUID(t.Context(), Scope{}, "ü")
		wantCode(t, err, stowage.NotFound)
		if none := must(d.Backups(t.Context(), Scope{}, BackupFilter{Name: "x"}, 0, 100))(t); len(none) != 0 {
			t.Errorf("a filter let %d backups through", len(none))
		}
	})
}

func TestClaimTakesTheBestJobThatMayRunHere(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, low := created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.Priority = 10 })
		_, high := created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.Priority = 90 })
		created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.Priority = 100; j.Backend = "file:b" })
		created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.Priority = 100; j.ReadyAt = noon.Add(time.Hour) })
		created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.Priority = 100; j.WindowStart = noon.Add(time.Hour) })
		for _, want := range []stowage.Job{high, low} {
			got := must(d.Claim(t.Context(), "m/1", []string{"file:a"}, noon, time.Minute))(t)
			if got.ID != want.ID || got.Attempt != 1 || got.Fence != 1 || got.State != stowage.JobRunning {
				t.Fatalf("claimed %+v, want job %s", got, want.ID)
			}
			if read := must(d.Job(t.Context(), got.ID))(t); fmt.Sprintf("%+v", read) != fmt.Sprintf("%+v", got) {
				t.Errorf("claim gives %+v, the table has %+v", got, read)
			}
		}
		_, err := d.Claim(t.Context(), "m/1", []string{"file:a"}, noon, time.Minute)
		wantCode(t, err, stowage.NotFound)
	})
}

func TestEveryJobIsClaimedOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		const jobs, managers = 40, 8
		for range jobs {
			created(t, d, nil)
		}
		var claimed atomic.Int64
		seen := sync.Map{}
		var wg sync.WaitGroup
		for m := range managers {
			wg.Go(func() {
				for {
					j, err := d.Claim(context.Background(), fmt.Sprintf("m%d/1", m), []string{"file:a"}, noon, time.Minute)
					if stowage.CodeOf(err) == stowage.NotFound && claimed.Load() >= jobs {
						return
					}
					if stowage.CodeOf(err) == stowage.NotFound && err != nil {
						continue // others were quicker with all it saw
					}
					if err != nil {
						t.Error(err)
						return
					}
					if _, twice := seen.LoadOrStore(j.ID, true); twice {
						t.Errorf("job %s was claimed twice", j.ID)
					}
					claimed.Add(1)
				}
			})
		}
		wg.Wait()
		if claimed.Load() != jobs {
			t.Errorf("%d of %d jobs claimed", claimed.Load(), jobs)
		}
	})
}

func TestAFencedHolderCanChangeNothing(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, _ := created(t, d, nil)
		old := must(d.Claim(t.Context(), "m1/1", []string{"file:a"}, noon, time.Minute))(t)
		late := noon.Add(2 * time.Minute)
		if ids := must(d.TakeOver(t.Context(), "m2", "m2/1", late))(t); len(ids) != 1 || ids[0] != old.ID {
			t.Fatalf("taken over: %v", ids)
		}
		held := must(d.Claim(t.Context(), "m2/1", []string{"file:a"}, late, time.Minute))(t)
		if held.Attempt != 2 || held.Failures != 1 || held.Fence <= old.Fence || held.Error == "" {
			t.Errorf("claimed again as %+v", held)
		}
		end := JobEnd{State: stowage.JobFinished, Now: late, Move: &BackupMove{
			ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Result: &BackupResult{ObjectCount: 5}, Now: late}}
		wantCode(t, d.Renew(t.Context(), old, late, time.Minute), stowage.Conflict)
		wantCode(t, d.Note(t.Context(), old, late), stowage.Conflict)
		wantCode(t, d.Requeue(t.Context(), old, "", 1, late, late), stowage.Conflict)
		wantCode(t, d.End(t.Context(), old, end), stowage.Conflict)
		if got := must(d.Backup(t.Context(), Scope{}, b.ID))(t); got.Status != stowage.BackupCreating {
			t.Errorf("the backup is %s", got.Status)
		}
		if err := d.End(t.Context(), held, end); err != nil {
			t.Fatal(err)
		}
		if err := d.End(t.Context(), held, end); err != nil {
			t.Errorf("ending it again, as after a lost answer: %v", err)
		}
		got := must(d.Backup(t.Context(), Scope{}, b.ID))(t)
		if got.Status != stowage.BackupAvailable || got.ObjectCount != 5 {
			t.Errorf("the backup is %+v", got)
		}
		if j := must(d.Job(t.Context(), held.ID))(t); j.State != stowage.JobFinished || j.Percent != 100 || j.LeaseOwner != "" {
			t.Errorf("the job is %+v", j)
		}
	})
}

func TestARestartTakesOverItsOwnJobsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		created(t, d, nil)
		created(t, d, nil)
		mine := must(d.Claim(t.Context(), "m1/old", []string{"file:a"}, noon, time.Minute))(t)
		other := must(d.Claim(t.Context(), "m10/old", []string{"file:a"}, noon, time.Minute))(t)
		ids := must(d.TakeOver(t.Context(), "m1", "m1/new", noon))(t)
		if len(ids) != 1 || ids[0] != mine.ID {
			t.Errorf("taken over %v, want only %s and not %s", ids, mine.ID, other.ID)
		}
	})
}

func TestAnEndThatCannotMoveTheBackupChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, _ := created(t, d, nil)
		j := must(d.Claim(t.Context(), "m/1", []string{"file:a"}, noon, time.Minute))(t)
		end := JobEnd{State: stowage.JobFinished, Now: noon, Move: &BackupMove{ID: b.ID, From: stowage.BackupRestoring, To: stowage.BackupAvailable, Now: noon}}
		wantCode(t, d.End(t.Context(), j, end), stowage.Conflict)
		if got := must(d.Job(t.Context(), j.ID))(t); got.State != stowage.JobRunning {
			t.Errorf("the job is %s", got.State)
		}
	})
}

func TestBellsThatNobodyHeardAreFoundOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, j := created(t, d, nil)
		created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.ReadyAt = noon.Add(time.Hour) })
		later := noon.Add(time.Minute)
		if jobs := must(d.Unrung(t.Context(), noon, later, 10))(t); len(jobs) != 1 || jobs[0].ID != j.ID {
			t.Fatalf("unrung: %+v", jobs)
		}
		if jobs := must(d.Unrung(t.Context(), noon, later, 10))(t); len(jobs) != 0 {
			t.Errorf("found again: %+v", jobs)
		}
	})
}

func TestWhatEndedJobsLeftIsFoundUntilItIsTidied(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, _ := created(t, d, nil)
		j := must(d.Claim(t.Context(), "m/1", []string{"file:a"}, noon, time.Minute))(t)
		j.Lock, j.AttachmentID, j.Leftover = stowage.LockHeld, "att", true
		j.Params.Snapshot.Name = "s"
		if err := d.Note(t.Context(), j, noon); err != nil {
			t.Fatal(err)
		}
		if jobs := must(d.Locked(t.Context(), 10))(t); len(jobs) != 0 {
			t.Errorf("a running job counts as ended: %+v", jobs)
		}
		end := JobEnd{State: stowage.JobFailed, Error: "no", Now: noon, Move: &BackupMove{
			ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupError, FailReason: "no", Now: noon}}
		if err := d.End(t.Context(), j, end); err != nil {
			t.Fatal(err)
		}
		locked, left := must(d.Locked(t.Context(), 10))(t), must(d.Leftovers(t.Context(), []string{"file:a"}, 10))(t)
		if len(locked) != 1 || len(left) != 1 || left[0].Params.Snapshot.Name != "s" || locked[0].AttachmentID != "att" {
			t.Fatalf("locked %+v, leftovers %+v", locked, left)
		}
		if other := must(d.Leftovers(t.Context(), []string{"file:b"}, 10))(t); len(other) != 0 {
			t.Errorf("another backend's snapshot: %+v", other)
		}
		done := left[0]
		done.Lock, done.Leftover = stowage.LockReleased, false
		if err := d.Tidied(t.Context(), done, noon); err != nil {
			t.Fatal(err)
		}
		locked, left = must(d.Locked(t.Context(), 10))(t), must(d.Leftovers(t.Context(), []string{"file:a"}, 10))(t)
		if len(locked)+len(left) != 0 {
			t.Errorf("still locked %+v, leftovers %+v", locked, left)
		}
	})
}

func TestAVolumeIsHeldUntilItIsGivenBack(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, first := created(t, d, nil)
		const volume = "a volume of this test"
		held := func(but string, want bool) {
			t.Helper()
			if got := must(d.Held(t.Context(), volume, but))(t); got != want {
				t.Errorf("but for %q it is held: %v", but, got)
			}
		}
		j := must(d.Claim(t.Context(), "m/1", []string{"file:a"}, noon, time.Minute))(t)
		j.VolumeID = volume
		for _, step := range []struct {
			lock stowage.LockState
			held bool
		}{{stowage.LockNone, false}, {stowage.LockWanted, true}, {stowage.LockHeld, true}} {
			j.Lock = step.lock
			if err := d.Note(t.Context(), j, noon); err != nil {
				t.Fatal(err)
			}
			held("", step.held)
			held(first.ID, false)
		}
		// Another one that only waits for its turn has nothing.
		created(t, d, func(_ *stowage.Backup, other *stowage.Job) { other.VolumeID, other.Lock = volume, stowage.LockWanted })
		held(first.ID, false)
		end := JobEnd{State: stowage.JobFailed, Error: "no", Now: noon, Move: &BackupMove{
			ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupError, FailReason: "no", Now: noon}}
		if err := d.End(t.Context(), j, end); err != nil {
			t.Fatal(err)
		}
		held("", true)
		j.State, j.Lock = stowage.JobFailed, stowage.LockReleased
		if err := d.Tidied(t.Context(), j, noon); err != nil {
			t.Fatal(err)
		}
		held("", false)
	})
}

func TestOverdueJobsAreClaimedWhateverTheirBackend(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, old := created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.Backend = "lvm:gone" })
		_, missed := created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.UpdatedAt = noon.Add(time.Hour); j.WindowEnd = noon })
		created(t, d, func(_ *stowage.Backup, j *stowage.Job) { j.UpdatedAt = noon.Add(time.Hour) })
		now := noon.Add(2 * time.Hour)
		for _, want := range []string{old.ID, missed.ID} {
			got := must(d.ClaimOverdue(t.Context(), "m/1", noon.Add(time.Minute), now, time.Minute))(t)
			if got.ID != want {
				t.Errorf("claimed %s, want %s", got.ID, want)
			}
		}
		_, err := d.ClaimOverdue(t.Context(), "m/1", noon.Add(time.Minute), now, time.Minute)
		wantCode(t, err, stowage.NotFound)
	})
}

func TestServicesReportAndKeepTheOperatorsWord(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		s := stowage.Service{
			Host: "h1", Kind: stowage.ServiceManager, Instance: uuid.NewString(), Version: "1", StartedAt: noon, LastSeen: noon,
			Backends: []stowage.BackendReport{{Key: "file:a", Driver: "file", CinderHosts: []string{"h1@nfs"}}}, Enabled: true,
		}
		if err := d.Report(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := d.EnableService(t.Context(), "h1", stowage.ServiceManager, false, "disk swap"); err != nil {
			t.Fatal(err)
		}
		s.LastSeen = noon.Add(time.Second)
		if err := d.Report(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		s.Enabled, s.DisabledReason = false, "disk swap"
		if list := must(d.Services(t.Context()))(t); len(list) != 1 || fmt.Sprintf("%+v", list[0]) != fmt.Sprintf("%+v", s) {
			t.Errorf("got  %+v\nwant %+v", list, s)
		}
		wantCode(t, d.EnableService(t.Context(), "h2", stowage.ServiceManager, true, ""), stowage.NotFound)
		wantCode(t, d.RemoveService(t.Context(), "h1", stowage.ServiceManager, noon), stowage.Conflict)
		if err := d.RemoveService(t.Context(), "h1", stowage.ServiceManager, s.LastSeen); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLongReasonsAreCutNotRefused(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, j := created(t, d, nil)
		long := ""
		for range 2000 {
			long += "é"
		}
		end := JobEnd{State: stowage.JobFailed, Error: long, Now: noon, Move: &BackupMove{
			ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupError, FailReason: long, Now: noon}}
		if err := d.End(t.Context(), j, end); err != nil {
			t.Fatal(err)
		}
		if got := must(d.Backup(t.Context(), Scope{}, b.ID))(t); len([]rune(got.FailReason)) != 1024 {
			t.Errorf("the reason has %d characters", len([]rune(got.FailReason)))
		}
	})
}
