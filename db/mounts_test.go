package db

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// mountOf is a mount of the backup that waits, with its job.
func mountOf(b stowage.Backup) (stowage.Mount, stowage.Job) {
	j := sampleJob(stowage.JobMount)
	j.BackupID, j.Lock, j.Backend = b.ID, stowage.LockNone, stowage.MountsKey("")
	m := stowage.Mount{
		ID: uuid.NewString(), ProjectID: b.ProjectID, UserID: "u", BackupID: b.ID, JobID: j.ID, State: stowage.MountWaiting,
		UnmountAt: noon.Add(time.Hour), CreatedAt: noon, UpdatedAt: noon, Is: stowage.MountDetails{Mode: "AUTO"},
	}
	j.Params.Mount = m.ID
	return m, j
}

// serve claims the mount's job and ends it well.
func serve(t *testing.T, d *DB, m stowage.Mount, owner string) stowage.Mount {
	t.Helper()
	j := must(d.Claim(t.Context(), owner, []string{stowage.MountsKey("")}, noon, time.Minute))(t)
	m.Host, m.Owner, m.Endpoint, m.LeaseExpires, m.JobID = "h1", owner, "http://h1", noon.Add(time.Minute), j.ID
	m.Is.FileSystems = []stowage.FileSystem{{Volume: "/dev/sda1", Type: "ext4", Label: "ünd", Size: 7, Path: "/sda1"}}
	if err := d.End(t.Context(), j, JobEnd{State: stowage.JobFinished, Mount: &m, Now: noon}); err != nil {
		t.Fatal(err)
	}
	return m
}

func readable(t *testing.T, d *DB) stowage.Backup {
	t.Helper()
	b, j := created(t, d, func(b *stowage.Backup, _ *stowage.Job) { b.Manifest = "volume_9/x/root" })
	j = must(d.Claim(t.Context(), "m", []string{j.Backend}, noon, time.Minute))(t)
	move := BackupMove{ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Now: noon}
	if err := d.End(t.Context(), j, JobEnd{State: stowage.JobFinished, Move: &move, Now: noon}); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAMountIsServedEndedAndHadAgain(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := readable(t, d)
		m, j := mountOf(b)
		if err := d.AddMount(t.Context(), m, &j, 1); err != nil {
			t.Fatal(err)
		}
		other, second := mountOf(b)
		wantCode(t, d.AddMount(t.Context(), other, &second, 1), stowage.OverLimit)
		if _, err := d.LatestMount(t.Context(), b.ID); stowage.CodeOf(err) != stowage.NotFound {
			t.Errorf("file systems are known before: %v", err)
		}
		m = serve(t, d, m, "h1/a")
		if now := must(d.Mount(t.Context(), Scope{ProjectID: "p"}, m.ID))(t); now.State != stowage.MountServed || now.Host != "h1" || now.Endpoint != "http://h1" ||
			len(now.Is.FileSystems) != 1 || now.Is.FileSystems[0] != m.Is.FileSystems[0] || !now.LeaseExpires.Equal(noon.Add(time.Minute)) || !now.ServedAt.Equal(noon) {
			t.Errorf("served: %+v", now)
		}
		_, err := d.Mount(t.Context(), Scope{ProjectID: "other"}, m.ID)
		wantCode(t, err, stowage.NotFound)
		if known := must(d.LatestMount(t.Context(), b.ID))(t); known.ID != m.ID {
			t.Errorf("the latest is %+v", known)
		}
		if mine := must(d.OwnMounts(t.Context(), "h1/a", noon.Add(time.Minute), time.Minute))(t); len(mine) != 1 || !mine[0].LeaseExpires.Equal(noon.Add(2*time.Minute)) {
			t.Errorf("renewed: %+v", mine)
		}
		wantCode(t, d.EndMount(t.Context(), m.ID, "h1/b", stowage.MountEnded, "", noon), stowage.Conflict)
		wantCode(t, d.MountAgain(t.Context(), m, &second, 5), stowage.Conflict)
		if err := d.EndMount(t.Context(), m.ID, "h1/a", stowage.MountEnded, "enough", noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		now := must(d.Mount(t.Context(), Scope{}, m.ID))(t)
		if now.State != stowage.MountEnded || now.Reason != "enough" || !now.EndedAt.Equal(noon.Add(time.Minute)) {
			t.Errorf("ended: %+v", now)
		}
		second.Params.Mount = m.ID
		if err := d.MountAgain(t.Context(), now, &second, 1); err != nil {
			t.Fatal(err)
		}
		if now = must(d.Mount(t.Context(), Scope{}, m.ID))(t); now.State != stowage.MountWaiting || now.JobID != second.ID || now.Owner != "" || !now.EndedAt.IsZero() {
			t.Errorf("again: %+v", now)
		}
		// Whoever ends its job in another way ends the mount.
		if err := d.End(t.Context(), second, JobEnd{State: stowage.JobCancelled, Error: "no more", Now: noon}); err != nil {
			t.Fatal(err)
		}
		if now = must(d.Mount(t.Context(), Scope{}, m.ID))(t); now.State != stowage.MountFailed || now.Reason != "no more" {
			t.Errorf("cancelled: %+v", now)
		}
		if err := d.ForgetMounts(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		must(d.Mount(t.Context(), Scope{}, m.ID))(t)
		if err := d.ForgetMounts(t.Context(), noon.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = d.Mount(t.Context(), Scope{}, m.ID)
		wantCode(t, err, stowage.NotFound)
	})
}

func TestMountsAreListedAsAsked(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := readable(t, d)
		m, j := mountOf(b)
		if err := d.AddMount(t.Context(), m, &j, 9); err != nil {
			t.Fatal(err)
		}
		serve(t, d, m, "h1/a")
		yes, no := true, false
		for _, c := range []struct {
			f    MountFilter
			p    Page
			want int
		}{
			{MountFilter{}, Page{}, 1}, {MountFilter{Over: &no}, Page{}, 1}, {MountFilter{Over: &yes}, Page{}, 0},
			{MountFilter{Backup: b.UUID}, Page{}, 1}, {MountFilter{Backup: "x"}, Page{}, 0}, {MountFilter{Backup: "ü"}, Page{}, 0},
			{MountFilter{Entities: []string{"9"}}, Page{}, 1}, {MountFilter{Entities: []string{"8"}}, Page{}, 0},
			{MountFilter{Host: "h1"}, Page{}, 1}, {MountFilter{Host: "h2"}, Page{}, 0},
			{MountFilter{Modes: []string{"MANUAL", "AUTO"}}, Page{}, 1}, {MountFilter{Modes: []string{"MANUAL"}}, Page{}, 0},
			{MountFilter{}, Page{Filter: "名前"}, 1}, {MountFilter{}, Page{Filter: "none"}, 0},
			{MountFilter{}, Page{Order: "unmount", Descending: true}, 1}, {MountFilter{}, Page{Order: "state"}, 1},
		} {
			c.p.Limit = 10
			list, n, err := d.Mounts(t.Context(), Scope{ProjectID: "p"}, c.f, c.p)
			if err != nil || n != c.want || len(list) != c.want {
				t.Errorf("%+v %+v: %d of %d, %v", c.f, c.p, len(list), n, err)
			}
		}
		if h := must(d.EntityHolds(t.Context(), "9"))(t); h != (Holds{Mounts: 1}) {
			t.Errorf("what holds the volume's backups is %+v", h)
		}
		if list, _, err := d.History(t.Context(), Scope{}, HistoryFilter{Mountable: true}, Page{Limit: 5}); err != nil || len(list) != 1 {
			t.Errorf("%d can be mounted, %v", len(list), err)
		}
	})
}

// A backup is deleted or mounted, never both, whoever is quicker.
func TestABackupIsMountedOrDeleted(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for range 10 {
			b := readable(t, d)
			m, mounting := mountOf(b)
			deleting := sampleJob(stowage.JobDelete)
			deleting.BackupID = b.ID
			var group sync.WaitGroup
			var mounted, deleted error
			group.Go(func() { mounted = d.AddMount(t.Context(), m, &mounting, 1000) })
			group.Go(func() {
				deleted = d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupDeleting, Now: noon}, &deleting)
			})
			group.Wait()
			if (mounted == nil) == (deleted == nil) {
				t.Fatalf("mounted: %v, deleted: %v", mounted, deleted)
			}
			for _, err := range []error{mounted, deleted} {
				if err != nil {
					wantCode(t, err, stowage.Conflict)
				}
			}
		}
	})
}

func TestMountsOfTheDeadAreLostAndTheirUnmountsHandedOn(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := readable(t, d)
		m, j := mountOf(b)
		if err := d.AddMount(t.Context(), m, &j, 9); err != nil {
			t.Fatal(err)
		}
		m = serve(t, d, m, "h1/a")
		out := sampleJob(stowage.JobUnmount)
		out.BackupID, out.Lock, out.Backend, out.Params.Mount = b.ID, stowage.LockNone, stowage.MountsKey("h1"), m.ID
		if err := d.AddUnmount(t.Context(), m, &out); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			host, owner string
			now         time.Time
			want        int
		}{
			{"h2", "h2/x", noon.Add(59 * time.Second), 0}, {"h1", "h1/a", noon.Add(59 * time.Second), 0},
			{"h1", "h1/b", noon, 1}, {"h1", "h1/b", noon, 0},
		} {
			if lost := must(d.LoseMounts(t.Context(), c.host, c.owner, c.now))(t); len(lost) != c.want {
				t.Errorf("%+v: %v", c, lost)
			}
		}
		if now := must(d.Mount(t.Context(), Scope{}, m.ID))(t); now.State != stowage.MountLost {
			t.Errorf("%+v", now)
		}
		if now := must(d.Job(t.Context(), out.ID))(t); now.Backend != stowage.MountsKey("") {
			t.Errorf("the job waits for %s", now.Backend)
		}
		wantCode(t, d.AddUnmount(t.Context(), m, &out), stowage.Conflict)
	})
}

// inSet makes a server's backup with two parts, all of them available.
func inSet(t *testing.T, d *DB) (set stowage.Backup, parts []stowage.Backup) {
	t.Helper()
	set = sampleBackup("p")
	set.Kind, set.Status, set.Volume.ID, set.Server = stowage.OfServer, stowage.BackupAvailable, uuid.NewString(), &stowage.ServerRecord{}
	j := sampleJob(stowage.JobExport)
	must0(t, d.CreateBackup(t.Context(), &set, &j))
	for range 2 {
		part, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
			b.SetID, b.Status, b.Manifest = set.ID, stowage.BackupAvailable, "volume_9/x/root"
		})
		parts = append(parts, part)
	}
	return set, parts
}

func deletes(d *DB, t *testing.T, b stowage.Backup, mark *RetainMark) error {
	j := sampleJob(stowage.JobDelete)
	j.BackupID = b.ID
	return d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupDeleting, Marked: mark, Now: noon}, &j)
}

// A part is mounted, restored or said to stay, or the whole is deleted, never both, whoever
// is quicker.
func TestAPartIsHeldOrTheWholeIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for what, hold := range map[string]func(stowage.Backup) error{
			"mounted": func(b stowage.Backup) error {
				m, j := mountOf(b)
				return d.AddMount(t.Context(), m, &j, 1000)
			},
			"restored": func(b stowage.Backup) error {
				j := sampleJob(stowage.JobRestore)
				j.BackupID = b.ID
				return d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupRestoring, Now: noon}, &j)
			},
			"said to stay": func(b stowage.Backup) error {
				b.Mark = stowage.MarkDontTouch
				return d.MarkBackups(t.Context(), Scope{}, []stowage.Backup{b}, nil, noon)
			},
			"named by a run": func(b stowage.Backup) error {
				set := must(d.Backup(t.Context(), Scope{}, b.SetID))(t)
				j := sampleJob(stowage.JobRecovery)
				j.EntityID, j.Params.Recovery = uuid.NewString(), &stowage.Recovery{Steps: []stowage.RecoveryStep{{Backup: set.UUID}}}
				return d.StartAlone(t.Context(), &j)
			},
		} {
			for range 10 {
				set, parts := inSet(t, d)
				var group sync.WaitGroup
				var held, deleted error
				group.Go(func() { held = hold(parts[1]) })
				group.Go(func() { deleted = deletes(d, t, set, &RetainMark{}) })
				group.Wait()
				if (held == nil) == (deleted == nil) {
					t.Fatalf("%s: %v, deleted: %v", what, held, deleted)
				}
				if deleted != nil {
					wantCode(t, deleted, stowage.Conflict)
				}
			}
		}
	})
}

func TestHoldsAreCountedOfTheWholeAndOfParts(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set, parts := inSet(t, d)
		want := func(whole, first, second Holds) {
			t.Helper()
			for _, c := range []struct {
				got, want Holds
			}{
				{must(d.Holds(t.Context(), set.ID))(t), whole}, {must(d.EntityHolds(t.Context(), set.Volume.ID))(t), whole},
				{must(d.Holds(t.Context(), parts[0].ID))(t), first}, {must(d.Holds(t.Context(), parts[1].ID))(t), second},
			} {
				if c.got != c.want {
					t.Errorf("held by %+v, want %+v", c.got, c.want)
				}
			}
		}
		want(Holds{}, Holds{}, Holds{})
		m, j := mountOf(parts[0])
		must0(t, d.AddMount(t.Context(), m, &j, 1000))
		want(Holds{Mounts: 1}, Holds{Mounts: 1}, Holds{})
		wantCode(t, deletes(d, t, set, nil), stowage.Conflict)
		wantCode(t, deletes(d, t, parts[0], nil), stowage.Conflict)
		run := sampleJob(stowage.JobRecovery)
		run.EntityID, run.Params.Recovery = uuid.NewString(), &stowage.Recovery{Steps: []stowage.RecoveryStep{{Backup: set.UUID}}}
		must0(t, d.StartAlone(t.Context(), &run))
		restore := sampleJob(stowage.JobRestore)
		restore.BackupID = parts[1].ID
		must0(t, d.StartJob(t.Context(), BackupMove{ID: parts[1].ID, From: stowage.BackupAvailable, To: stowage.BackupRestoring, Now: noon}, &restore))
		want(Holds{Mounts: 1, Busy: 1, Runs: 1}, Holds{Mounts: 1, Runs: 1}, Holds{Runs: 1})
		if h := must(d.EntityHolds(t.Context(), parts[0].Volume.ID))(t); h.Runs+h.Busy != 0 {
			t.Errorf("a part holds its volume's own backups: %+v", h)
		}
	})
}
