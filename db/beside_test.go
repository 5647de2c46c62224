package db

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// atOnce does it so often, all at the same time, and gives what failed.
func atOnce(n int, do func(i int) error) []error {
	errs, start := make([]error, n), make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

func somePolicy(t *testing.T, d *DB, name string) string {
	t.Helper()
	p := stowage.Policy{ID: uuid.NewString(), Kind: stowage.PolicyBackup, Name: name, CreatedAt: noon, UpdatedAt: noon}
	must0(t, d.SavePolicy(t.Context(), PolicyChange{Policy: p, New: true}))
	return p.ID
}

// Whoever assigns has read the policy before; it may be gone by then.
func TestAnEntityIsInNoPolicyThatIsGone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		gone, other := somePolicy(t, d, "gone"), somePolicy(t, d, "other")
		must0(t, d.DeletePolicy(t.Context(), Scope{}, gone))
		wantCode(t, d.Assign(t.Context(), stowage.PolicyBackup, "e1", gone), stowage.NotFound)
		wantCode(t, d.Assign(t.Context(), stowage.PolicySnapshot, "e1", other), stowage.NotFound)
		// As an older version left it.
		must(d.sql.ExecContext(t.Context(), `INSERT INTO policy_entities (entity_id, kind, policy_id, automatic) VALUES ('e1', 'backup', ?, 0)`, gone))(t)
		must(d.RemoveForeign(t.Context()))(t)
		must0(t, d.AutoAssign(t.Context(), other, []string{"e1"}, nil))
		if got := must(d.EntityPolicies(t.Context(), stowage.PolicyBackup, []string{"e1"}))(t); got["e1"][0] != other {
			t.Errorf("it is in %q", got["e1"])
		}
	})
}

func TestARuleIsOfAPolicyThatIsThere(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for i := range 20 {
			policy := somePolicy(t, d, fmt.Sprint("p", i))
			r := stowage.Rule{ID: uuid.NewString(), PolicyID: policy, Name: "r", CreatedAt: noon}
			errs := atOnce(2, func(i int) error {
				if i == 0 {
					return d.AddRule(context.Background(), r)
				}
				return d.DeletePolicy(context.Background(), Scope{}, policy)
			})
			if errs[1] != nil || errs[0] != nil && stowage.CodeOf(errs[0]) != stowage.NotFound {
				t.Fatal(errs)
			}
			if _, err := d.Rule(t.Context(), Scope{}, r.ID); stowage.CodeOf(err) != stowage.NotFound {
				t.Fatalf("a rule of a policy that is gone is left: %v", err)
			}
		}
		policy := somePolicy(t, d, "many")
		for _, err := range atOnce(6, func(i int) error {
			return d.AddRule(context.Background(), stowage.Rule{ID: uuid.NewString(), PolicyID: policy, Name: fmt.Sprint("r", i), CreatedAt: noon})
		}) {
			must0(t, err)
		}
		rules, _, err := d.Rules(t.Context(), Scope{}, RuleFilter{Policies: []string{policy}}, Page{Limit: 9})
		places := map[int]bool{}
		for _, r := range rules {
			places[r.Position] = true
		}
		if err != nil || len(places) != 6 {
			t.Errorf("six rules have the places %v: %v", places, err)
		}
	})
}

func TestNoMoreWebhooksAreMadeAtOnceThanThereMayBe(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		const most = 2
		made := 0
		for _, err := range atOnce(6, func(i int) error {
			return d.AddWebhook(context.Background(), stowage.Webhook{ID: fmt.Sprint("w", i), ProjectID: "p", Name: "n", Secret: []byte("s"), CreatedAt: noon, UpdatedAt: noon}, most)
		}) {
			if err == nil {
				made++
			} else {
				wantCode(t, err, stowage.OverLimit)
			}
		}
		if made != most {
			t.Errorf("%d were made", made)
		}
	})
}

func TestNoMoreIsMountedAtOnceThanMayBe(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		const most = 2
		var all []stowage.Backup
		for range 6 {
			b, _ := created(t, d, func(b *stowage.Backup, _ *stowage.Job) {
				b.Status, b.Manifest = stowage.BackupAvailable, "volume_9/x/root"
			})
			all = append(all, b)
		}
		made := 0
		for _, err := range atOnce(len(all), func(i int) error {
			m, j := mountOf(all[i])
			return d.AddMount(context.Background(), m, &j, most)
		}) {
			if err == nil {
				made++
			} else {
				wantCode(t, err, stowage.OverLimit)
			}
		}
		if made != most {
			t.Errorf("%d were mounted", made)
		}
	})
}

// A look that began before another one may end behind it.
func TestAnOlderLookWritesOverNothingOfALaterOne(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		there := entity("v1", "p", nil)
		gone := entity("v1", "p", func(e *stowage.Entity) { e.Present = false })
		must0(t, d.Found(t.Context(), 1, []stowage.Entity{there}, noon))
		must0(t, d.Found(t.Context(), 3, []stowage.Entity{gone}, noon))
		must0(t, d.Found(t.Context(), 2, []stowage.Entity{there}, noon.Add(time.Minute)))
		if must(d.Entity(t.Context(), Scope{}, "v1"))(t).Present {
			t.Error("it is there again")
		}
		must0(t, d.Found(t.Context(), 3, []stowage.Entity{there}, noon.Add(time.Minute)))
		if !must(d.Entity(t.Context(), Scope{}, "v1"))(t).Present {
			t.Error("the later one's own word does not count")
		}
	})
}
