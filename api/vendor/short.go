package vendor

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stowage/stowage/db"
)

// orders are what a list that is held in memory can be ordered by, by the names that
// orderBy may have.
type orders[T any] map[string]func(a, b T) int

// columns are the names, as lists of the database have them.
func (o orders[T]) columns() map[string]string {
	names := map[string]string{}
	for name := range o {
		names[name] = name
	}
	return names
}

// short gives the page of a list that is held in memory that a request wants, and how
// many there are: a free text is looked for in the name.
func short[T any](r request, list []T, name func(T) string, by orders[T]) ([]T, int, error) {
	p, err := page(r.URL.Query(), by.columns())
	if err != nil {
		return nil, 0, err
	}
	without := func(v T, text string) bool { return !strings.Contains(strings.ToLower(name(v)), strings.ToLower(text)) }
	list = slices.DeleteFunc(slices.Clone(list), func(v T) bool { return without(v, p.Filter) || without(v, p.Name) })
	if compare := by[p.Order]; compare != nil {
		slices.SortStableFunc(list, func(a, b T) int {
			if p.Descending {
				a, b = b, a
			}
			return compare(a, b)
		})
	}
	first := min(p.Offset, len(list))
	return list[first:min(first+p.Limit, len(list))], len(list), nil
}

// byText compares without regard to the size of letters.
func byText(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}

var nodeOrders = orders[node]{
	"name":     func(a, b node) int { return byText(a.Name, b.Name) },
	"state":    func(a, b node) int { return byText(a.State.Name, b.State.Name) },
	"version":  func(a, b node) int { return byText(a.Version, b.Version) },
	"lastSeen": func(a, b node) int { return cmp.Compare(orZero(a.LastSeen), orZero(b.LastSeen)) },
}

var hypervisorOrders = orders[db.ComputeHost]{
	"host":    func(a, b db.ComputeHost) int { return byText(a.Name, b.Name) },
	"cluster": func(a, b db.ComputeHost) int { return byText(a.Zone, b.Zone) },
	"vmCount": func(a, b db.ComputeHost) int { return cmp.Compare(a.Servers, b.Servers) },
}

// How much fits into a container the object store is asked for those of a page only.
var destinationOrders = orders[db.Container]{
	"name":           func(a, b db.Container) int { return byText(a.Name, b.Name) },
	"totalUsedSpace": func(a, b db.Container) int { return cmp.Compare(a.Bytes, b.Bytes) },
	"backupCount":    func(a, b db.Container) int { return cmp.Compare(a.Backups, b.Backups) },
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
