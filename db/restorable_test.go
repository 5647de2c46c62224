package db

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// wantCounted checks what entities know of their backups, against the backups.
func wantCounted(t *testing.T, d *DB, what string, want map[string]int) {
	t.Helper()
	rows := must(d.sql.QueryContext(t.Context(), `SELECT id, restorable, (SELECT COUNT(*) FROM backups b WHERE b.volume_id = entities.id
		AND b.status IN ('available', 'restoring')) FROM entities ORDER BY id`))(t)
	defer rows.Close()
	for rows.Next() {
		var id string
		var n, there int
		if err := rows.Scan(&id, &n, &there); err != nil {
			t.Fatal(err)
		}
		if n != there || n != want[id] {
			t.Errorf("%s: %s knows of %d backups, there are %d, want %d", what, id, n, there, want[id])
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestAnEntityKnowsHowManyOfItsBackupsCanBeRestored(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must0(t, d.Found(t.Context(), 1, []stowage.Entity{entity("9", "p", nil), entity("8", "p", nil)}, noon))
		move := func(id int64, from, to stowage.BackupStatus) error {
			j := sampleJob(stowage.JobRestore)
			return d.StartJob(t.Context(), BackupMove{ID: id, From: from, To: to, Now: noon}, &j)
		}
		counted := func(what string, n int) { t.Helper(); wantCounted(t, d, what, map[string]int{"9": n}) }

		broken, j := beingMade(t, d)
		counted("one is being made", 0)
		must0(t, d.End(t.Context(), j, JobEnd{State: stowage.JobFailed, Now: noon, Move: &BackupMove{ID: broken.ID, From: stowage.BackupCreating, To: stowage.BackupError, Now: noon}}))
		counted("it failed", 0)
		one, two := made(t, d, "a"), made(t, d, "b")
		counted("two are there", 2)
		must0(t, move(one.ID, stowage.BackupAvailable, stowage.BackupRestoring))
		counted("one is being restored", 2)
		wantCode(t, move(one.ID, stowage.BackupAvailable, stowage.BackupError), stowage.Conflict)
		counted("a move came too late", 2)
		must0(t, move(one.ID, stowage.BackupRestoring, stowage.BackupError))
		counted("that one is lost", 1)
		deletion := beingDeleted(t, d, two)
		counted("the other is being deleted", 0)
		found, l := sets(t, d, two)
		must0(t, d.End(t.Context(), deletion, JobEnd{State: stowage.JobFinished, Now: noon, Reach: &ReachMove{Lineage: l, Garbage: freed(two, found)},
			Move: &BackupMove{ID: two.ID, From: stowage.BackupDeleting, Remove: true, Now: noon}}))
		counted("it is gone", 0)
		found3 := sampleBackup("p")
		must0(t, d.ImportBackup(t.Context(), &found3, []byte("c")))
		counted("one was imported", 1)
		again := sampleBackup("p")
		again.UUID = found3.UUID
		wantCode(t, d.ImportBackup(t.Context(), &again, []byte("c")), stowage.Conflict)
		counted("and not twice", 1)
	})
}

// Who finds an entity first finds its backups, and what somebody wrote by hand.
func TestALookPutsCountsOfBackupsRight(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		one := made(t, d, "a")
		made(t, d, "b")
		look := int64(0)
		found := func() {
			t.Helper()
			look++
			must0(t, d.Found(t.Context(), look, []stowage.Entity{entity("9", "p", nil)}, noon))
		}
		found()
		wantCounted(t, d, "a first look", map[string]int{"9": 2})
		must(d.sql.ExecContext(t.Context(), `UPDATE backups SET status = 'error' WHERE id = ?`, one.ID))(t)
		found()
		wantCounted(t, d, "a status was set by hand", map[string]int{"9": 1})
		if got := must(d.Entity(t.Context(), Scope{}, "9"))(t); !got.UpdatedAt.Equal(noon) {
			t.Error("that is no change of the entity's own")
		}
	})
}

// The lists by how well something is protected are those that looks into the backups give.
func TestProtectionIsWhatTheBackupsSay(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		due := schedule(t, d, "", "due")
		var entities []stowage.Entity
		var some []string
		for i := range 60 {
			id := fmt.Sprintf("e%02d", i)
			entities = append(entities, entity(id, "p", func(e *stowage.Entity) { e.Listed = i%7 > 0 }))
			if i%3 > 0 {
				some = append(some, id)
			}
		}
		policy(t, d, "", "all", some, due.ID)
		for i := range 200 {
			if i == 100 {
				must0(t, d.Found(t.Context(), 1, entities, noon))
			}
			b, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) { b.Volume.ID = fmt.Sprintf("e%02d", rng.IntN(60)) })
			from := stowage.BackupCreating
			for _, to := range []stowage.BackupStatus{stowage.BackupAvailable, stowage.BackupError}[rng.IntN(2):] {
				next := sampleJob(stowage.JobVerify)
				must0(t, d.StartJob(t.Context(), BackupMove{ID: b.ID, From: from, To: to, Now: noon}, &next))
				if from = to; rng.IntN(2) == 0 {
					break
				}
			}
		}
		const saved = ` (SELECT 1 FROM backups b WHERE b.volume_id = entities.id AND b.status IN ('available', 'restoring'))`
		var counts []int
		for _, c := range []struct {
			p     Protection
			which string
		}{
			{Unscheduled, `id NOT IN (SELECT entity_id FROM policy_entities)`},
			{Secured, `id IN (SELECT entity_id FROM policy_entities) AND EXISTS` + saved},
			{Unsecured, `id IN (SELECT entity_id FROM policy_entities) AND NOT EXISTS` + saved},
		} {
			want := must(query(t.Context(), d, "look", scanText, `SELECT id FROM entities WHERE listed = 1 AND `+c.which+` ORDER BY name, id`))(t)
			if got := entityIDs(t, d, Scope{}, EntityFilter{Protection: c.p}, Page{}); len(want) == 0 || got != fmt.Sprint(want, len(want)) {
				t.Errorf("%s: %s, want %v (seed %d)", c.p, got, want, seed)
			}
			counts = append(counts, len(want))
		}
		if c := must(d.CountProtection(t.Context(), Scope{}))(t); !slices.Equal([]int{c.Unscheduled, c.Secured, c.Unsecured}, counts) {
			t.Errorf("counted %+v, want %v", c, counts)
		}
	})
}

// A list by protection is one walk along the index of all, which sorts nothing and looks
// for no backup.
func TestListsByProtectionReadNoBackups(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fill(t, d, 3000)
		fillEntities(t, d, 3000)
		var some []string
		for i := range 1000 {
			some = append(some, fmt.Sprint("v", i*2))
		}
		policy(t, d, "", "all", some, schedule(t, d, "", "due").ID)
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE backups, entities, policy_entities"))(t)
		}
		for _, p := range []Protection{Unscheduled, Secured, Unsecured} {
			page := Page{Limit: 20, Offset: 100}
			q, args := entitiesQuery(EntityFilter{}, EntityFilter{Protection: p}.where(Scope{}, page), page, 3000)
			plan := planOf(t, d, q[strings.Index(q, "(SELECT")+1:strings.Index(q, ") page")], args...)
			low := strings.ToLower(plan)
			if !strings.Contains(plan, "entities_listed") || strings.Contains(low, "backups") || strings.Contains(low, "filesort") || strings.Contains(low, "temp b-tree") {
				t.Errorf("%s: the plan is %s", p, plan)
			}
		}
	})
}

func TestAnUpgradeCountsTheBackupsThatAreThere(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		must0(t, d.Found(t.Context(), 1, []stowage.Entity{entity("9", "p", nil), entity("8", "p", nil)}, noon))
		made(t, d, "a")
		made(t, d, "b")
		beingMade(t, d)
		must(must(d.provider())(t).DownTo(t.Context(), 10))(t)
		must(d.Sync(t.Context()))(t)
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 10`))(t)
			must(d.Sync(t.Context()))(t)
		}
		wantCounted(t, d, "after the upgrade", map[string]int{"9": 2})
	})
}
