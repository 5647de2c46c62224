package db

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

const entityColumns = `id, kind, project_id, name, present, listed, server_id, attributes, updated_at, excluded`

func scanEntity(row rower) (stowage.Entity, error) {
	var (
		e          stowage.Entity
		attributes string
		updated    int64
	)
	err := row.Scan(&e.ID, &e.Kind, &e.ProjectID, &e.Name, &e.Present, &e.Listed, &e.ServerID, &attributes, &updated, &e.Excluded)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(attributes), &e.Is); err != nil {
		return e, fmt.Errorf("entity %s: its details: %w", e.ID, err)
	}
	e.UpdatedAt = fromMicros(updated)
	return e, nil
}

// EntityFilter narrows a list of entities. Empty fields do not.
type EntityFilter struct {
	IDs        []string
	Present    *bool
	Policies   []string // those assigned to one of them
	Protection Protection
	// Hosts lets the free text find the compute hosts, too, which are the
	// operator's business.
	Hosts bool
	// Due is, of each policy that schedules carry out, since when its entities should have
	// a backup; for the order "fresh".
	Due map[string]time.Time
}

// Protection is how well an entity is protected.
type Protection string

// How well: no active schedule carries out a policy of it; one does, and there is a
// backup; one does, and there is none.
const (
	Unscheduled Protection = "unscheduled"
	Secured     Protection = "secured"
	Unsecured   Protection = "unsecured"
)

// scheduled are the entities that an active schedule backs up. That it is to be true
// keeps MariaDB from beginning with thousands of those, and from sorting them: it
// makes a table of them, and walks along the list.
const scheduled = `(id %s (SELECT e.entity_id FROM policy_entities e JOIN policies p ON p.id = e.policy_id JOIN policy_rules r ON r.policy_id = p.id
	JOIN rule_schedules l ON l.rule_id = r.id JOIN schedules s ON s.id = l.schedule_id WHERE p.kind = 'backup' AND p.active = 1 AND r.active = 1 AND s.active = 1)) IS TRUE`

func (p Protection) on(w *where) {
	switch p {
	case Unscheduled:
		w.and(fmt.Sprintf(scheduled, "NOT IN"))
	case Secured:
		w.and(fmt.Sprintf(scheduled, "IN") + " AND restorable > 0")
	case Unsecured:
		w.and(fmt.Sprintf(scheduled, "IN") + " AND restorable = 0")
	}
}

func (f EntityFilter) where(scope Scope, p Page) where {
	w := where{}
	w.and("listed = 1")
	if scope.ProjectID != "" {
		// What is nobody's, standalone's volumes, is whoever asks'.
		w.and("project_id IN (?, '')", scope.ProjectID)
	}
	oneOf(&w, "id", f.IDs)
	if f.Present != nil {
		w.and("present = ?", *f.Present)
	}
	if len(f.Policies) > 0 {
		marks, args := markers(f.Policies)
		w.and("id IN (SELECT entity_id FROM policy_entities WHERE policy_id IN ("+marks+"))", args...)
	}
	f.Protection.on(&w)
	if p.Filter != "" {
		part := like(p.Filter)
		w.and(`(name LIKE ? ESCAPE '!' OR id = ? OR words LIKE ? ESCAPE '!' OR (1 = ? AND host LIKE ? ESCAPE '!')
			OR id IN (SELECT e.entity_id FROM policy_entities e JOIN policies p ON p.id = e.policy_id WHERE p.name LIKE ? ESCAPE '!'))`,
			part, asciiOr(p.Filter), part, f.Hosts, part, part)
	}
	if p.Name != "" {
		w.and("name LIKE ? ESCAPE '!'", like(p.Name))
	}
	return w
}

// Entities lists protected entities by name, and tells how many there are.
func (d *DB) Entities(ctx context.Context, scope Scope, f EntityFilter, p Page) ([]stowage.Entity, int, error) {
	if !allASCII(append(slices.Clone(f.IDs), f.Policies...)) {
		return nil, 0, nil
	}
	w := f.where(scope, p)
	total, err := d.count(ctx, "count entities", `SELECT COUNT(*) FROM entities WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	q, args := entitiesQuery(f, w, p, total)
	list, err := query(ctx, d, "list entities", scanEntity, q, args...)
	return list, total, err
}

func entitiesQuery(f EntityFilter, w where, p Page, total int) (string, []any) {
	order, by, with := f.order(p)
	way, limit, offset := p.near(order, total)
	return `SELECT ` + entityColumns + ` FROM (SELECT id AS at FROM entities` + with + ` WHERE ` + w.String() + ` ORDER BY ` + way + ` LIMIT ? OFFSET ?) page
		JOIN entities ON entities.id = page.at` + with + ` ORDER BY ` + order, slices.Concat(w.args, by, []any{limit, offset}, by)
}

// Entity gives one entity, listed or not: NotFound outside the scope, too.
func (d *DB) Entity(ctx context.Context, scope Scope, id string) (stowage.Entity, error) {
	missing := stowage.Errorf(stowage.NotFound, "Entity %.64s could not be found.", id)
	if !ascii(id) {
		return stowage.Entity{}, missing
	}
	list, err := query(ctx, d, "read entity "+id, scanEntity, `SELECT `+entityColumns+` FROM entities WHERE id = ?`, id)
	if err != nil {
		return stowage.Entity{}, err
	}
	if len(list) == 0 || scope.ProjectID != "" && list[0].ProjectID != "" && list[0].ProjectID != scope.ProjectID {
		return stowage.Entity{}, missing
	}
	return list[0], nil
}

// EntityProjects gives the projects of those of the entities that the scope has, listed or
// not, by their ids.
func (d *DB) EntityProjects(ctx context.Context, scope Scope, ids []string) (map[string]string, error) {
	found := map[string]string{}
	ids = slices.DeleteFunc(slices.Clone(ids), func(s string) bool { return !ascii(s) })
	slices.Sort(ids)
	for part := range slices.Chunk(slices.Compact(ids), 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "look for projects of entities", func(row rower) (t [2]string, err error) {
			return t, row.Scan(&t[0], &t[1])
		}, `SELECT id, project_id FROM entities WHERE id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if scope.ProjectID == "" || t[1] == "" || t[1] == scope.ProjectID {
				found[t[0]] = t[1]
			}
		}
	}
	return found, nil
}

// Disks gives the volumes that are part of a server.
func (d *DB) Disks(ctx context.Context, server string) ([]stowage.Entity, error) {
	if !ascii(server) || server == "" {
		return nil, nil
	}
	return query(ctx, d, "list disks", scanEntity, `SELECT `+entityColumns+` FROM entities WHERE server_id = ? ORDER BY id LIMIT 1000`, server)
}

// EntityNames gives the names of those of the entities that are known.
func (d *DB) EntityNames(ctx context.Context, ids []string) (map[string]string, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(s string) bool { return s == "" || !ascii(s) })
	slices.Sort(ids)
	names := map[string]string{}
	for part := range slices.Chunk(slices.Compact(ids), 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "read names of entities", scanName, `SELECT id, name FROM entities WHERE id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, pair := range list {
			names[pair[0]] = pair[1]
		}
	}
	return names, nil
}

// latestQuery gives the ids of the newest restorable backup of each of the entities, and of
// the newest full one: those of the latest snapshots, for what is written later may hold
// an earlier one. For each it is one step from the end of the entity's part of an index.
func latestQuery(scope Scope, entities []string) (string, []any) {
	w := where{}
	w.and("b.volume_id = entities.id")
	w.and("b.status IN (?, ?)", stowage.BackupAvailable, stowage.BackupRestoring)
	if scope.ProjectID != "" {
		w.and("b.project_id = ?", scope.ProjectID)
	}
	marks, ids := markers(entities)
	one := `COALESCE((SELECT b.id FROM backups b WHERE ` + w.String() + `%s ORDER BY b.snapshot_at DESC, b.id DESC LIMIT 1), 0)`
	return fmt.Sprintf(`SELECT id, `+one+`, `+one+` FROM entities WHERE id IN (`+marks+`)`, "", " AND b.incremental = 0"), slices.Concat(w.args, w.args, ids)
}

// LatestBackups gives the newest restorable backup of each of the entities, and the
// newest full one.
func (d *DB) LatestBackups(ctx context.Context, scope Scope, entities []string) (latest, full map[string]stowage.Backup, err error) {
	latest, full = map[string]stowage.Backup{}, map[string]stowage.Backup{}
	type newest struct {
		entity string
		backup [2]int64 // 0: none
	}
	for part := range slices.Chunk(entities, 500) {
		q, args := latestQuery(scope, part)
		found, err := query(ctx, d, "look for the latest backups", func(row rower) (n newest, err error) {
			return n, row.Scan(&n.entity, &n.backup[0], &n.backup[1])
		}, q, args...)
		if err != nil {
			return nil, nil, err
		}
		var ids []int64
		for _, n := range found {
			ids = append(ids, n.backup[0], n.backup[1])
		}
		backups, err := d.BackupsByID(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		for _, n := range found {
			for i, into := range []map[string]stowage.Backup{latest, full} {
				if b, there := backups[n.backup[i]]; there {
					into[n.entity] = b
				}
			}
		}
	}
	return latest, full, nil
}

// Restorable gives the restorable backups of an entity, those of the latest snapshots first.
func (d *DB) Restorable(ctx context.Context, scope Scope, entity string, limit int) ([]stowage.Backup, error) {
	w := where{}
	w.and("volume_id = ?", entity)
	w.and("status IN (?, ?)", stowage.BackupAvailable, stowage.BackupRestoring)
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	return query(ctx, d, "list restorable backups", scanBackup, `SELECT `+backupColumns+` FROM backups WHERE `+w.String()+` ORDER BY snapshot_at DESC, id DESC LIMIT ?`,
		append(w.args, limit)...)
}
