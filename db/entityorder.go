package db

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// goodOf are the backups of an entity that can be restored; the newest of them is that of
// the latest snapshot, as LatestBackups has it, and one step along an index finds it. The
// small letters keep a page that is reached from its end from turning this order round.
const (
	goodOf   = ` FROM backups b WHERE b.volume_id = entities.id AND b.status IN ('available', 'restoring')`
	newestOf = goodOf + ` ORDER BY b.snapshot_at desc, b.id desc LIMIT 1`
)

// entityOrders are the orders that a list of entities can have, besides "fresh".
var entityOrders = map[string]string{
	"name": "name", "present": "present", "id": "id",
	"policy": `COALESCE((SELECT p.name FROM policy_entities o JOIN policies p ON p.id = o.policy_id WHERE o.entity_id = entities.id AND o.kind = 'backup'), '')`,
	"latest": `COALESCE((SELECT MAX(b.snapshot_at)` + goodOf + `), 0)`,
	"size":   `COALESCE((SELECT b.stored_bytes` + newestOf + `), 0)`,
}

// order is that of a page of entities, with its arguments: equals are told apart by
// their names.
func (f EntityFilter) order(p Page) (string, []any) {
	way, ties := " ASC", ", name ASC, id ASC"
	if p.Descending {
		way, ties = " DESC", ", name DESC, id DESC"
	}
	column, known := entityOrders[p.Order]
	var args []any
	if p.Order == "fresh" {
		if len(f.Due) == 0 { // all are alike
			return strings.TrimPrefix(ties, ", "), nil
		}
		column, args = fresh(f.Due)
		known = true
	}
	switch {
	case !known:
		return "name ASC, id ASC", nil
	case column == "name" || column == "id" || column == "present":
		return ordered(entityOrders, p, "id", false), nil
	}
	return column + way + ties, args
}

// fresh is 0 for an entity that no schedule says of when it should have a backup, 1 for
// one without a backup since then, and 2 for one that has it.
func fresh(due map[string]time.Time) (string, []any) {
	// Many policies are due at the same time, and are looked for in one list.
	at := map[int64][]string{}
	for policy, since := range due {
		at[micros(since)] = append(at[micros(since)], policy)
	}
	var since strings.Builder
	var args []any
	for _, when := range slices.Sorted(maps.Keys(at)) {
		marks, policies := markers(at[when])
		since.WriteString(" WHEN o.policy_id IN (" + marks + ") THEN ?")
		args = append(append(args, policies...), when)
	}
	return `COALESCE((COALESCE((SELECT CASE WHEN b.snapshot_at > b.created_at THEN b.snapshot_at ELSE b.created_at END` + newestOf + `), -1) >=
		(SELECT CASE` + since.String() + ` END FROM policy_entities o WHERE o.entity_id = entities.id AND o.kind = 'backup')) + 1, 0)`, args
}
