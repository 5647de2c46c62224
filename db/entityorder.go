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

// order is that of a page of entities, with its arguments, and what they are joined with
// for it: equals are told apart by their names.
func (f EntityFilter) order(p Page) (by string, args []any, with string) {
	way, ties := " ASC", ", name ASC, id ASC"
	if p.Descending {
		way, ties = " DESC", ", name DESC, id DESC"
	}
	column, known := entityOrders[p.Order]
	if p.Order == "fresh" {
		if len(f.Due) == 0 { // all are alike
			return strings.TrimPrefix(ties, ", "), nil, ""
		}
		column, args = fresh(f.Due)
		with, known = withPolicy, true
	}
	switch {
	case !known:
		return "name ASC, id ASC", nil, ""
	case column == "name" || column == "id" || column == "present":
		return ordered(entityOrders, p, "id", false), nil, ""
	}
	return column + way + ties, args, with
}

// withPolicy joins each entity with its policy, if it has one, in columns whose names are
// none of its own.
const withPolicy = ` LEFT JOIN (SELECT entity_id AS of_entity, policy_id FROM policy_entities WHERE kind = 'backup') o ON o.of_entity = entities.id`

// fresh is 0 for an entity that no schedule says of when it should have a backup, 1 for
// one without a backup since then, and 2 for one that has it. It is of entities withPolicy.
// When one is due stands first: without it no backup is looked for.
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
	return `COALESCE((CASE` + since.String() + ` END <=
		COALESCE((SELECT CASE WHEN b.snapshot_at > b.created_at THEN b.snapshot_at ELSE b.created_at END` + newestOf + `), -1)) + 1, 0)`, args
}
