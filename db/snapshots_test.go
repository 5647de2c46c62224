package db

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// picture writes a snapshot of an entity that is being taken, and its job as it is run.
func picture(t *testing.T, d *DB, project, entity, policy string) stowage.Job {
	t.Helper()
	j := stowage.Job{ID: uuid.NewString(), Kind: stowage.JobSnapshot, State: stowage.JobQueued, ProjectID: project, EntityID: entity,
		By: stowage.Origin{ScheduleID: "s", PolicyID: policy, RuleID: "r"}, ReadyAt: noon, CreatedAt: noon, UpdatedAt: noon}
	if err := d.AddSnapshot(t.Context(), &j); err != nil {
		t.Fatal(err)
	}
	j = must(d.Claim(t.Context(), "m/1", []string{""}, noon, time.Minute))(t)
	return j
}

// took ends a job with its snapshot.
func took(t *testing.T, d *DB, j stowage.Job, at time.Time) stowage.EntitySnapshot {
	t.Helper()
	s := stowage.EntitySnapshot{TakenAt: at, Volumes: []stowage.VolumeSnapshot{{VolumeID: "v", SnapshotID: "snap-" + j.ID}}}
	if err := d.End(t.Context(), j, JobEnd{State: stowage.JobFinished, Snapshot: &s, Now: noon}); err != nil {
		t.Fatal(err)
	}
	return must(d.Snapshot(t.Context(), Scope{"p"}, j.ID))(t)
}

func TestASnapshotIsWhereItsJobIs(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		j := picture(t, d, "p", "e", "pol")
		if s := must(d.Snapshot(t.Context(), Scope{"p"}, j.ID))(t); s.Status != stowage.SnapshotTaking || s.EntityID != "e" || s.By != j.By || len(s.Volumes) != 0 {
			t.Errorf("it is %+v", s)
		}
		_, err := d.Snapshot(t.Context(), Scope{"q"}, j.ID)
		wantCode(t, err, stowage.NotFound)
		late := j
		late.Fence--
		wantCode(t, d.End(t.Context(), late, JobEnd{State: stowage.JobFailed, Now: noon}), stowage.Conflict)
		s := took(t, d, j, noon.Add(-time.Second))
		if s.Status != stowage.SnapshotTaken || !s.TakenAt.Equal(noon.Add(-time.Second)) || len(s.Volumes) != 1 || s.Volumes[0].SnapshotID != "snap-"+j.ID {
			t.Errorf("it is %+v", s)
		}

		failed := picture(t, d, "p", "e", "pol")
		failed.Leftover = true
		if err := d.Note(t.Context(), failed, noon); err != nil {
			t.Fatal(err)
		}
		if left := must(d.SnapshotsLeft(t.Context(), 10))(t); len(left) != 0 {
			t.Errorf("left of what is under way: %v", left)
		}
		if err := d.End(t.Context(), failed, JobEnd{State: stowage.JobCancelled, Error: "It broke.", Now: noon}); err != nil {
			t.Fatal(err)
		}
		if s := must(d.Snapshot(t.Context(), Scope{}, failed.ID))(t); s.Status != stowage.SnapshotFailed || s.Reason != "It broke." {
			t.Errorf("it is %+v", s)
		}
		left := must(d.SnapshotsLeft(t.Context(), 10))(t)
		if len(left) != 1 || left[0].ID != failed.ID {
			t.Fatalf("left is %v", left)
		}
		// It is not forgotten while something of it may be there.
		forget := func(want int) {
			t.Helper()
			if err := d.DropFailedSnapshots(t.Context(), noon.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if list, total, err := d.Snapshots(t.Context(), Scope{"p"}, SnapshotFilter{Entities: []string{"e"}}, Page{Limit: 10}); err != nil || total != want || len(list) != want {
				t.Errorf("%d are listed, want %d: %v", total, want, err)
			}
		}
		forget(2)
		left[0].Leftover = false
		if err := d.Tidied(t.Context(), left[0], noon); err != nil {
			t.Fatal(err)
		}
		forget(1)
	})
}

func TestSnapshotsAreRemovedOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var all []stowage.EntitySnapshot
		for i, entity := range []string{"e1", "e2", "e2"} {
			all = append(all, took(t, d, picture(t, d, "p", entity, "pol"), noon.Add(time.Duration(i)*time.Hour)))
		}
		took(t, d, picture(t, d, "p", "e3", "other"), noon)
		taking := picture(t, d, "q", "e2", "pol")
		ids := func(list []stowage.EntitySnapshot) (out []string) {
			for _, s := range list {
				out = append(out, s.ID)
			}
			return out
		}
		if got := must(d.SnapshotEntities(t.Context(), "pol", "", 10))(t); fmt.Sprint(got) != "[e1 e2]" {
			t.Errorf("entities %v", got)
		}
		if got := must(d.SnapshotProjects(t.Context(), "", 10))(t); fmt.Sprint(got) != "[p]" {
			t.Errorf("projects %v", got)
		}
		if got := ids(must(d.PolicySnapshots(t.Context(), "pol", "e2"))(t)); fmt.Sprint(got) != fmt.Sprint(ids(all[1:])) {
			t.Errorf("of the entity %v, want %v", got, ids(all[1:]))
		}
		if got := must(d.KeptSnapshots(t.Context(), "p", "", 10))(t); len(got) != 4 {
			t.Errorf("of the project %v", got)
		}
		for range 2 {
			if err := d.RemoveSnapshot(t.Context(), all[1], noon); err != nil {
				t.Fatal(err)
			}
		}
		if got := must(d.Snapshot(t.Context(), Scope{}, all[1].ID))(t); got.Status != stowage.SnapshotRemoving {
			t.Errorf("it is %+v", got)
		}
		wantCode(t, d.RemoveSnapshot(t.Context(), stowage.EntitySnapshot{ID: taking.ID}, noon), stowage.Conflict)
		wantCode(t, d.RemoveSnapshot(t.Context(), stowage.EntitySnapshot{ID: "none"}, noon), stowage.Conflict)
		for _, id := range []string{all[1].ID, all[1].ID, taking.ID} {
			if err := d.ForgetSnapshot(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		list, total, err := d.Snapshots(t.Context(), Scope{}, SnapshotFilter{Policies: []string{"pol"}, Statuses: []stowage.SnapshotStatus{stowage.SnapshotTaken}}, Page{Limit: 10, Order: "time", Descending: true})
		if err != nil || total != 2 || fmt.Sprint(ids(list)) != fmt.Sprint([]string{all[2].ID, all[0].ID}) {
			t.Errorf("left are %v: %v", ids(list), err)
		}
		must(d.Snapshot(t.Context(), Scope{"q"}, taking.ID))(t)
	})
}

// Policies, entities and schedules of one kind are none of the other's.
func TestPoliciesOfTwoKinds(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		p, r := policy(t, d, "p", "gold", []string{"e1", "e2"})
		snap := p
		snap.ID, snap.Kind = uuid.NewString(), stowage.PolicySnapshot
		save := func(c PolicyChange) {
			t.Helper()
			if err := d.SavePolicy(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		rule := stowage.Rule{ID: uuid.NewString(), PolicyID: snap.ID, ProjectID: "p", Name: "R", CreatedAt: noon}
		save(PolicyChange{Policy: snap, New: true, Rules: &[]stowage.Rule{rule}, Entities: &[]string{"e1"}}) // of the same name
		wrong := snap
		wrong.Kind = stowage.PolicyBackup
		wantCode(t, d.SavePolicy(t.Context(), PolicyChange{Policy: wrong}), stowage.NotFound)
		of := func(kind stowage.PolicyKind, want string) {
			t.Helper()
			got := must(d.EntityPolicies(t.Context(), kind, []string{"e1", "e2"}))(t)
			if s := got["e1"][0] + " " + got["e2"][0]; s != want {
				t.Errorf("%s: %q, want %q", kind, s, want)
			}
			list, n, err := d.Policies(t.Context(), Scope{"p"}, PolicyFilter{Kind: kind}, Page{Limit: 10})
			if err != nil || n != 1 || list[0].Kind != kind {
				t.Errorf("%s: listed are %v: %v", kind, list, err)
			}
		}
		of(stowage.PolicyBackup, p.ID+" "+p.ID)
		of(stowage.PolicySnapshot, snap.ID+" ")
		if err := d.Assign(t.Context(), stowage.PolicySnapshot, "e2", snap.ID); err != nil {
			t.Fatal(err)
		}
		if err := d.Assign(t.Context(), stowage.PolicyBackup, "e1", ""); err != nil {
			t.Fatal(err)
		}
		if err := d.AutoAssign(t.Context(), snap.ID, []string{"e1", "e3"}, nil); err != nil {
			t.Fatal(err)
		}
		of(stowage.PolicyBackup, " "+p.ID)
		of(stowage.PolicySnapshot, snap.ID+" "+snap.ID)
		if got := must(d.PolicyEntities(t.Context(), snap.ID))(t); fmt.Sprint(got) != "[e1 e2 e3]" {
			t.Errorf("in it are %v", got)
		}
		for kind, want := range map[stowage.PolicyKind]string{stowage.PolicyBackup: r.ID, stowage.PolicySnapshot: rule.ID} {
			if list, n, err := d.Rules(t.Context(), Scope{"p"}, RuleFilter{Kind: kind}, Page{Limit: 10}); err != nil || n != 1 || list[0].ID != want {
				t.Errorf("rules of %s: %v %v", kind, list, err)
			}
		}
		s := schedule(t, d, "p", "S")
		other := s
		other.ID, other.Name, other.Kind = uuid.NewString(), "T", stowage.PolicySnapshot
		if err := d.SaveSchedule(t.Context(), other, true, nil); err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[stowage.PolicyKind]string{stowage.PolicyBackup: s.ID, stowage.PolicySnapshot: other.ID} {
			if list, n, err := d.Schedules(t.Context(), Scope{"p"}, ScheduleFilter{Kinds: []stowage.PolicyKind{kind}}, Page{Limit: 10}); err != nil || n != 1 || list[0].ID != want || list[0].Kind != kind {
				t.Errorf("schedules of %s: %v %v", kind, list, err)
			}
		}
	})
}

// What was there before there were two kinds is of backups, and a step back leaves that.
func TestAnUpgradeMakesPoliciesThoseOfBackups(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		p := must(d.provider())(t)
		must(p.DownTo(t.Context(), 10))(t)
		exec := func(q string, args ...any) {
			t.Helper()
			must(d.sql.ExecContext(t.Context(), q, args...))(t)
		}
		exec(`INSERT INTO policies (id, project_id, name, active, priority, assigns, details, created_at, updated_at) VALUES ('p1', 'p', 'gold', 1, 50, 0, '{}', 5, 5)`)
		exec(`INSERT INTO policy_entities (entity_id, policy_id, automatic) VALUES ('e1', 'p1', 1)`)
		exec(`INSERT INTO schedules (id, project_id, name, active, details, created_at, updated_at) VALUES ('s1', 'p', 'S', 1, '{"times":{}}', 5, 5)`)
		must(d.Sync(t.Context()))(t)
		if d.dialect == MySQL {
			exec(`DELETE FROM goose_db_version WHERE version_id > 10`)
			must(d.Sync(t.Context()))(t)
		}
		check := func() {
			t.Helper()
			if got := must(d.EntityPolicies(t.Context(), stowage.PolicyBackup, []string{"e1"}))(t); got["e1"][1] != "gold" {
				t.Errorf("the entity is in %v", got)
			}
			if got := must(d.AutoAssigned(t.Context(), "p1"))(t); len(got) != 1 {
				t.Errorf("by itself came %v", got)
			}
			if got := must(d.Schedule(t.Context(), Scope{}, "s1"))(t); got.Kind != stowage.PolicyBackup {
				t.Errorf("the schedule is %+v", got)
			}
		}
		check()
		snap := stowage.Policy{ID: "p2", Kind: stowage.PolicySnapshot, ProjectID: "p", Name: "gold", CreatedAt: noon, UpdatedAt: noon}
		if err := d.SavePolicy(t.Context(), PolicyChange{Policy: snap, New: true, Entities: &[]string{"e1"}}); err != nil {
			t.Fatal(err)
		}
		must(p.DownTo(t.Context(), 10))(t)
		must(d.Sync(t.Context()))(t)
		check()
		if got := must(d.EntityPolicies(t.Context(), stowage.PolicySnapshot, []string{"e1"}))(t); len(got) != 0 {
			t.Errorf("a policy of snapshots is left: %v", got)
		}
	})
}
