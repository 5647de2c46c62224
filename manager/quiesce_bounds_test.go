package manager

import (
	"math/rand/v2"
	"testing"

	"github.com/stowage/stowage"
)

// However much the guest wrote, what is noted of it is bounded and lacks no byte.
func TestFewerExtentsCoverAllThereWere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 5, 6, 7, 100, 1000} {
		var all []stowage.Extent
		at := int64(0)
		for range n {
			e := stowage.Extent{Offset: at + random.Int64N(9), Length: 1 + random.Int64N(9)}
			all, at = append(all, e), e.End()
		}
		for _, most := range []int{1, 2, 6, 50} {
			list := fewer(append([]stowage.Extent{}, all...), most)
			if len(list) > most || len(list) < min(n, most, 1) || n <= most && len(list) != n {
				t.Fatalf("%d extents became %d, at most %d", n, len(list), most)
			}
			i := 0
			for _, e := range all {
				for i < len(list) && list[i].End() < e.End() {
					i++
				}
				if i == len(list) || list[i].Offset > e.Offset {
					t.Fatalf("%+v of %d is in none of %+v", e, n, list)
				}
			}
		}
	}
	// Those that are near to one another are joined.
	list := fewer([]stowage.Extent{{Offset: 0, Length: 10}, {Offset: 50, Length: 10}, {Offset: 63, Length: 1}, {Offset: 100, Length: 10}}, 3)
	if want := (stowage.Extent{Offset: 50, Length: 14}); len(list) != 3 || list[1] != want {
		t.Errorf("joined to %+v", list)
	}
}
