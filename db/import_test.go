package db

import (
	"testing"

	"github.com/stowage/stowage"
)

func TestSetsAreReplacedAllOrNone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var ids []int64
		for range 2 {
			b := sampleBackup("p")
			if err := d.ImportBackup(t.Context(), &b, []byte("old")); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, b.ID)
		}
		l := must(d.Lineage(t.Context(), "p", "9", "c"))(t)
		has := func(want ...string) {
			t.Helper()
			now := l
			sets := must(d.Reaches(t.Context(), &now))(t)
			if len(sets) != 2 || string(sets[0].Objects) != want[0] || string(sets[1].Objects) != want[1] {
				t.Errorf("the sets are %+v", sets)
			}
		}
		wantCode(t, d.ReplaceReaches(t.Context(), l, []Reach{{ids[0], []byte("new")}, {ids[1] + 1, []byte("new")}}), stowage.Conflict)
		has("old", "old")
		old := l
		old.Version--
		wantCode(t, d.ReplaceReaches(t.Context(), old, []Reach{{ids[0], []byte("new")}}), stowage.Conflict)
		has("old", "old")
		if err := d.ReplaceReaches(t.Context(), l, []Reach{{ids[1], []byte("new")}}); err != nil {
			t.Fatal(err)
		}
		has("old", "new")
		wantCode(t, d.ReplaceReaches(t.Context(), l, []Reach{{ids[0], []byte("new")}}), stowage.Conflict)
	})
}
