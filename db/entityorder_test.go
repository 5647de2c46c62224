package db

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Six entities: e0 without anything; e1 and e2 of policy Q, e2 with a new backup; e3 of
// P, whose backup is old; e4 of A, which no schedule carries out, with one that failed
// behind an old one; e5 of none, with a backup.
func TestEntitiesAreOrderedByWhatIsKnownOfThem(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		bulk(t, d, 6, `INSERT INTO entities (id, kind, project_id, name, words, host, present, listed, attributes, seen, updated_at) VALUES `, func(i int) []any {
			return []any{fmt.Sprint("e", i), stowage.EntityVolume, "p", fmt.Sprint("n", i), "", "", 1, 1, `{}`, 1, 1}
		})
		for name, of := range map[string][]string{"A": {"e4"}, "P": {"e3"}, "Q": {"e1", "e2"}} {
			p := stowage.Policy{ID: "id-" + name, Name: name, Active: true, CreatedAt: noon, UpdatedAt: noon}
			must0(t, d.SavePolicy(t.Context(), PolicyChange{Policy: p, New: true, Entities: &of}))
		}
		backups := []struct {
			of, status string
			bytes, at  int64
		}{{"e2", "available", 1000, 900}, {"e3", "restoring", 3000, 100}, {"e3", "available", 7, 50}, {"e4", "available", 1, 200}, {"e4", "error", 9000, 5000}, {"e5", "available", 2000, 800}, {"e5", "available", 1, 799}}
		bulk(t, d, len(backups), `INSERT INTO backups (uuid, project_id, user_id, name, description, container, status, volume_id, volume, size_gib, manifest, verified_at,
			stored_bytes, snapshot_at, created_at, updated_at) VALUES `, func(i int) []any {
			b := backups[i]
			return []any{uuid.NewString(), "p", "u", "", "", "c", b.status, b.of, "{}", 1, "root", 0, b.bytes, b.at, b.at - 1, 0}
		})
		due := map[string]time.Time{"id-Q": fromMicros(500), "id-P": fromMicros(750)}
		for order, want := range map[string]string{
			"policy": "[e0 e5 e4 e3 e1 e2]", "latest": "[e0 e1 e3 e4 e5 e2]", "size": "[e0 e1 e4 e2 e5 e3]", "fresh": "[e0 e4 e5 e1 e3 e2]", "": "[e0 e1 e2 e3 e4 e5]",
		} {
			var up, down []string
			for offset := 0; offset < 6; offset += 2 {
				for _, c := range []struct {
					descending bool
					into       *[]string
				}{{false, &up}, {true, &down}} {
					list, total, err := d.Entities(t.Context(), Scope{"p"}, EntityFilter{Due: due}, Page{Order: order, Descending: c.descending, Offset: offset, Limit: 2})
					if err != nil || total != 6 {
						t.Fatalf("by %s: %d, %v", order, total, err)
					}
					for _, e := range list {
						*c.into = append(*c.into, e.ID)
					}
				}
			}
			if fmt.Sprint(up) != want {
				t.Errorf("by %s: %v, want %s", order, up, want)
			}
			for i := range down {
				if order != "" && down[i] != up[5-i] {
					t.Errorf("down by %s: %v", order, down)
				}
			}
		}
		// While nothing is due, all are alike.
		for _, descending := range []bool{false, true} {
			list, _, err := d.Entities(t.Context(), Scope{"p"}, EntityFilter{}, Page{Order: "fresh", Descending: descending, Limit: 6})
			if err != nil || len(list) != 6 || (list[0].ID == "e5") != descending {
				t.Errorf("nothing due, descending %v: %v, %v", descending, list, err)
			}
		}
	})
}
