package db

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// exported writes a server's backup with two parts, and claims its export.
func exported(t *testing.T, d *DB) (set stowage.Backup, export stowage.Job, parts []Part) {
	t.Helper()
	server := "srv-" + uuid.NewString()
	set = stowage.Backup{
		UUID: uuid.NewString(), Kind: stowage.OfServer, ProjectID: "p", UserID: "u", Name: "web", Container: "c", Status: stowage.BackupCreating,
		Volume: stowage.VolumeRecord{ID: server, Name: "web"}, CreatedAt: noon, UpdatedAt: noon,
		Server: &stowage.ServerRecord{ID: server, Name: "wéb", Ports: []stowage.ServerPort{{NetworkID: "n", Addresses: []string{"192.0.2.1"}}}},
	}
	job := func(kind stowage.JobKind, entity string) stowage.Job {
		return stowage.Job{ID: uuid.NewString(), Kind: kind, State: stowage.JobQueued, ProjectID: "p", UserID: "u", EntityID: entity,
			ReadyAt: noon, CreatedAt: noon, UpdatedAt: noon}
	}
	export = job(stowage.JobExport, server)
	for i := range 2 {
		volume := fmt.Sprintf("%s-%d", server, i)
		parts = append(parts, Part{
			Backup: stowage.Backup{UUID: uuid.NewString(), ProjectID: "p", UserID: "u", Container: "c", Status: stowage.BackupCreating,
				Volume: stowage.VolumeRecord{ID: volume}, SizeGiB: 1, CreatedAt: noon, UpdatedAt: noon},
			Job: job(stowage.JobBackup, volume),
		})
	}
	if err := d.CreateSet(t.Context(), &set, &export, parts); err != nil {
		t.Fatal(err)
	}
	export = must(d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute))(t)
	if export.Kind != stowage.JobExport {
		t.Fatalf("claimed %+v", export)
	}
	return set, export, parts
}

func TestPartsAreHeldUntilTheExportLetsThemGo(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set, export, parts := exported(t, d)
		late := noon.Add(1000 * time.Hour)
		_, err := d.Claim(t.Context(), "m/1", []string{""}, late, time.Minute)
		wantCode(t, err, stowage.NotFound)
		_, err = d.ClaimOverdue(t.Context(), "m/1", late, late, time.Minute)
		wantCode(t, err, stowage.NotFound)
		if held := must(d.HeldParts(t.Context(), 10))(t); len(held) != 0 {
			t.Errorf("they are not given up: %v", held)
		}
		store := stowage.Job{ID: uuid.NewString(), Kind: stowage.JobStore, State: stowage.JobQueued, ProjectID: "p", BackupID: set.ID, ParentID: export.ID,
			ReadyAt: noon, CreatedAt: noon, UpdatedAt: noon}
		if err := d.End(t.Context(), export, JobEnd{State: stowage.JobFinished, LetGo: true, Next: &store, Now: noon}); err != nil {
			t.Fatal(err)
		}
		// Whoever knows them from before writes nothing over them.
		wantCode(t, d.Note(t.Context(), parts[0].Job, noon), stowage.Conflict)
		jobs := must(d.PartJobs(t.Context(), export.ID))(t)
		if len(jobs) != 2 || jobs[0].ID != parts[0].Job.ID || !jobs[0].WindowStart.IsZero() {
			t.Errorf("parts: %+v", jobs)
		}
		for range 3 {
			must(d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute))(t)
		}
		if next := must(d.Followers(t.Context(), []string{export.ID}))(t); len(next) != 1 || next[0].ID != store.ID {
			t.Errorf("followers: %+v", next)
		}
		// Tasks are those that somebody asked for, and what follows them.
		if tasks, n, err := d.Tasks(t.Context(), Scope{"p"}, TaskFilter{}, Page{Limit: 10}); err != nil || n != 2 {
			t.Errorf("%d tasks: %+v, %v", n, tasks, err)
		}
		if tasks, n, err := d.Tasks(t.Context(), Scope{"p"}, TaskFilter{Flow: export.ID}, Page{Limit: 10}); err != nil || n != 2 {
			t.Errorf("%d tasks: %+v, %v", n, tasks, err)
		}
		if _, n, err := d.Tasks(t.Context(), Scope{"p"}, TaskFilter{Roots: true}, Page{Limit: 10}); err != nil || n != 1 {
			t.Errorf("%d roots, %v", n, err)
		}
	})
}

func TestPartsOfAnExportThatFailedAreFound(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set, export, _ := exported(t, d)
		move := BackupMove{ID: set.ID, From: stowage.BackupCreating, To: stowage.BackupError, Now: noon}
		if err := d.End(t.Context(), export, JobEnd{State: stowage.JobFailed, Move: &move, Now: noon}); err != nil {
			t.Fatal(err)
		}
		held := must(d.HeldParts(t.Context(), 10))(t)
		if len(held) != 2 {
			t.Fatalf("held: %+v", held)
		}
		if err := d.End(t.Context(), held[0], JobEnd{State: stowage.JobFailed, Now: noon}); err != nil {
			t.Fatal(err)
		}
		if held = must(d.HeldParts(t.Context(), 10))(t); len(held) != 1 {
			t.Errorf("held: %+v", held)
		}
	})
}

func TestABackupOfAServerComesBackAsItWasWritten(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set, _, parts := exported(t, d)
		got := must(d.BackupByUUID(t.Context(), Scope{"p"}, set.UUID))(t)
		if fmt.Sprintf("%+v", *got.Server) != fmt.Sprintf("%+v", *set.Server) || got.Kind != stowage.OfServer {
			t.Errorf("it is %+v", got)
		}
		if list := must(d.SetBackups(t.Context(), set.ID))(t); len(list) != 2 || list[0].UUID != parts[0].Backup.UUID || list[0].SetID != set.ID || list[0].Server != nil {
			t.Errorf("parts: %+v", list)
		}
		// Each list tells of its own.
		if list := must(d.Backups(t.Context(), Scope{"p"}, BackupFilter{}, 0, 10))(t); len(list) != 2 {
			t.Errorf("volumes: %+v", list)
		}
		for _, c := range []struct {
			f HistoryFilter
			n int
		}{{HistoryFilter{Alone: true}, 1}, {HistoryFilter{}, 3}, {HistoryFilter{Entities: []string{parts[0].Backup.Volume.ID}}, 1}, {HistoryFilter{UUID: parts[0].Backup.UUID}, 1}} {
			if _, n, err := d.History(t.Context(), Scope{"p"}, c.f, Page{Limit: 10}); err != nil || n != c.n {
				t.Errorf("%+v: %d, %v", c.f, n, err)
			}
		}
		if boxes := must(d.Containers(t.Context(), Scope{"p"}))(t); len(boxes) != 1 || boxes[0].Backups != 2 {
			t.Errorf("containers: %+v", boxes)
		}
	})
}

func TestProgressIsThatOfAllParts(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, export, parts := exported(t, d)
		if err := d.End(t.Context(), export, JobEnd{State: stowage.JobFinished, LetGo: true, Now: noon}); err != nil {
			t.Fatal(err)
		}
		j := must(d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute))(t)
		j.Percent, j.BytesDone, j.BytesAll = 80, 8, 10
		if err := d.Renew(t.Context(), j, noon, time.Minute); err != nil {
			t.Fatal(err)
		}
		got := must(d.PartProgress(t.Context(), []string{export.ID, "none"}))(t)
		if len(got) != 1 || got[export.ID] != (Progress{Percent: 40, Done: 8, All: 10}) {
			t.Errorf("progress: %+v (%v)", got, parts[0].Job.ID)
		}
	})
}

func TestAWaitingJobIsWoken(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, export, _ := exported(t, d)
		if err := d.Requeue(t.Context(), export, "not yet", 0, noon.Add(time.Hour), noon); err != nil {
			t.Fatal(err)
		}
		_, err := d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute)
		wantCode(t, err, stowage.NotFound)
		if n := must(d.Wake(t.Context(), export.ID, noon))(t); n != 1 {
			t.Errorf("woken: %d", n)
		}
		must(d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute))(t)
	})
}

func TestADiskStaysLeftOut(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		e := stowage.Entity{ID: uuid.NewString(), Kind: stowage.EntityVolume, ProjectID: "p", Name: "v", Present: true}
		if err := d.Found(t.Context(), 1, []stowage.Entity{e}, noon); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.Exclude(t.Context(), Scope{"q"}, e.ID, true), stowage.NotFound)
		if err := d.Exclude(t.Context(), Scope{"p"}, e.ID, true); err != nil {
			t.Fatal(err)
		}
		e.Name = "another" // it changed, and is written again
		if err := d.Found(t.Context(), 2, []stowage.Entity{e}, noon); err != nil {
			t.Fatal(err)
		}
		if got := must(d.Entity(t.Context(), Scope{"p"}, e.ID))(t); !got.Excluded || got.Name != "another" {
			t.Errorf("it is %+v", got)
		}
	})
}

func TestARecoveryPlanIsReadAsItWasWritten(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		p := stowage.RecoveryPlan{ID: uuid.NewString(), ProjectID: "p", Name: "Plan " + uuid.NewString(), Active: true, Priority: 3, CreatedAt: noon, UpdatedAt: noon,
			Rules: []stowage.RecoveryRule{{ID: "r", Name: "名", Servers: []string{"a"}, Networks: map[string]string{"x": "y"}, Check: stowage.RecoveryCheck{Kind: stowage.CheckDelay, Delay: time.Second}}}}
		if err := d.CreatePlan(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := must(d.Plan(t.Context(), Scope{"p"}, p.ID))(t); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", p) {
			t.Errorf("got  %+v\nwant %+v", got, p)
		}
		other := p
		other.ID = uuid.NewString()
		wantCode(t, d.CreatePlan(t.Context(), other), stowage.Conflict)
		seen := p.UpdatedAt
		p.Name, p.UpdatedAt = p.Name+" 2", noon.Add(time.Second)
		if err := d.SavePlan(t.Context(), p, seen); err != nil {
			t.Fatal(err)
		}
		wantCode(t, d.SavePlan(t.Context(), p, seen), stowage.Conflict) // it is not what was seen any more
		_, err := d.Plan(t.Context(), Scope{"q"}, p.ID)
		wantCode(t, err, stowage.NotFound)
		wantCode(t, d.DeletePlan(t.Context(), Scope{"q"}, p.ID), stowage.NotFound)
		if err := d.DeletePlan(t.Context(), Scope{"p"}, p.ID); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAPlanIsRunOnceAtATime(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		p := stowage.RecoveryPlan{ID: uuid.NewString(), ProjectID: "p", Name: uuid.NewString(), Active: true, CreatedAt: noon, UpdatedAt: noon}
		if err := d.CreatePlan(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		results := make(chan error, 8)
		for range 8 {
			all.Go(func() {
				results <- d.StartAlone(t.Context(), &stowage.Job{ID: uuid.NewString(), Kind: stowage.JobRecovery, State: stowage.JobQueued, ProjectID: "p",
					EntityID: p.ID, ReadyAt: noon, CreatedAt: noon, UpdatedAt: noon})
			})
		}
		all.Wait()
		close(results)
		begun := 0
		for err := range results {
			if err == nil {
				begun++
			} else {
				wantCode(t, err, stowage.Conflict)
			}
		}
		if begun != 1 {
			t.Errorf("%d runs", begun)
		}
	})
}

func TestAServersBackupIsAsGoodAsItsParts(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var sets []stowage.Backup
		var parts [3][]stowage.Backup
		for i := range parts {
			set := sampleBackup("p")
			set.Kind, set.Status, set.Volume.ID, set.Server = stowage.OfServer, stowage.BackupAvailable, "srv", &stowage.ServerRecord{ID: "srv"}
			for n := range 6 {
				set.Server.Disks = append(set.Server.Disks, stowage.ServerDisk{VolumeID: fmt.Sprint("v", n), Backup: uuid.NewString()})
			}
			set.Server.Disks = append(set.Server.Disks, stowage.ServerDisk{VolumeID: "out", Left: "It is left out."})
			j := sampleJob(stowage.JobExport)
			must0(t, d.CreateBackup(t.Context(), &set, &j))
			for n, disk := range set.Server.Disks[:6] {
				p, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
					b.UUID, b.SetID, b.Status = disk.Backup, set.ID, stowage.BackupAvailable
					if n == 1 {
						b.Status = stowage.BackupRestoring
					}
				})
				parts[i] = append(parts[i], p)
			}
			sets = append(sets, set)
		}
		alone, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
			b.Status, b.Damaged = stowage.BackupAvailable, "It is its own."
		})
		unknown := sets[0]
		unknown.ID, unknown.Server = 999, nil
		failed := sets[0]
		failed.ID, failed.Status = 998, stowage.BackupError
		flaws := func() map[int64]string {
			return must(d.Flaws(t.Context(), append([]stowage.Backup{alone, failed}, sets...)))(t)
		}
		if got := flaws(); len(got) != 0 {
			t.Errorf("all are whole: %v", got)
		}
		must0(t, d.NoteVerified(t.Context(), parts[1][2].ID, "Object x is gone.", noon))
		must(d.sql.ExecContext(t.Context(), `UPDATE backups SET status = 'deleting' WHERE id = ?`, parts[1][0].ID))(t)
		must(d.sql.ExecContext(t.Context(), `DELETE FROM backups WHERE set_id = ?`, sets[2].ID))(t)
		got := flaws()
		if len(got) != 2 || got[sets[1].ID] != "The backup of volume v0 is not there. The backup of volume v2 is damaged: Object x is gone." ||
			!strings.HasSuffix(got[sets[2].ID], "volume v3 is not there. 2 more are missing or damaged.") {
			t.Errorf("%v", got)
		}
		if got := must(d.Flaws(t.Context(), []stowage.Backup{unknown}))(t); got[999] == "" {
			t.Error("a server that nobody knows can be built again")
		}
	})
}
