package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// Found notes what a look at the cloud, by its number, found: rows are written
// where something changed. A later look, beside this one, has the last word.
func (d *DB) Found(ctx context.Context, look int64, found []stowage.Entity, now time.Time) error {
	for part := range slices.Chunk(found, 200) {
		ids := make([]string, len(part))
		for i, e := range part {
			ids[i] = e.ID
		}
		marks, args := markers(ids)
		err := d.inTxBeside(ctx, func(tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT `+entityColumns+` FROM entities WHERE id IN (`+marks+`)`, args...)
			if err != nil {
				return fmt.Errorf("read entities: %w", err)
			}
			known, err := collect(rows, "read entities", scanEntity)
			if err != nil {
				return err
			}
			for _, e := range part {
				if err := writeEntity(ctx, tx, look, e, known, now); err != nil {
					return err
				}
			}
			_, err = tx.ExecContext(ctx, `UPDATE entities SET seen = ? WHERE seen < ? AND id IN (`+marks+`)`, append([]any{look, look}, args...)...)
			return err
		})
		if err != nil {
			return err
		}
		if err := d.recount(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

func writeEntity(ctx context.Context, tx *sql.Tx, look int64, e stowage.Entity, known []stowage.Entity, now time.Time) error {
	e.Name = clip(e.Name, 255)
	at := slices.IndexFunc(known, func(k stowage.Entity) bool { return k.ID == e.ID })
	if at >= 0 {
		e.UpdatedAt, e.Excluded = known[at].UpdatedAt, known[at].Excluded // which no look finds out
		if reflect.DeepEqual(e, known[at]) {
			return nil
		}
	}
	attributes, err := json.Marshal(e.Is)
	if err != nil {
		return fmt.Errorf("write entity %s: %w", e.ID, err)
	}
	if at >= 0 {
		_, err = tx.ExecContext(ctx, `UPDATE entities SET kind = ?, project_id = ?, name = ?, words = ?, host = ?, present = ?, listed = ?, server_id = ?,
			attributes = ?, updated_at = ? WHERE id = ? AND seen <= ?`,
			e.Kind, e.ProjectID, e.Name, words(e), clip(e.Is.Host, 255), e.Present, e.Listed, e.ServerID, string(attributes), micros(now), e.ID, look)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO entities (`+entityColumns+`, seen, words, host, restorable) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,`+restorableOf+`?))`,
			e.ID, e.Kind, e.ProjectID, e.Name, e.Present, e.Listed, e.ServerID, string(attributes), micros(now), e.Excluded, look, words(e), clip(e.Is.Host, 255), e.ID)
	}
	if err != nil {
		return fmt.Errorf("write entity %s: %w", e.ID, err)
	}
	return nil
}

// words are what an entity is found by besides its name and its id.
func words(e stowage.Entity) string {
	return clip(strings.Join(append([]string{e.Is.Zone, e.Is.Flavor, e.Is.Type}, e.Is.Tags...), "\n"), 1024)
}

// Unseen gives those of a kind behind an id, in order, that are there for all we know,
// and that a look at all did not find. Some of them may be there all the same.
func (d *DB) Unseen(ctx context.Context, look int64, kind stowage.EntityKind, after string, limit int) ([]string, error) {
	return query(ctx, d, "list entities that were not found", scanText,
		`SELECT id FROM entities WHERE kind = ? AND present = 1 AND seen < ? AND id > ? ORDER BY id LIMIT ?`, kind, look, after, limit)
}

// Gone notes that what a look did not find is gone, unless a later one found it. Volumes
// that were never backed up are forgotten: nothing can be restored of them.
func (d *DB) Gone(ctx context.Context, look int64, kind stowage.EntityKind, ids []string, now time.Time) error {
	for part := range slices.Chunk(ids, 200) {
		marks, args := markers(part)
		args = append([]any{kind, look}, args...)
		err := d.inTx(ctx, func(tx *sql.Tx) error {
			if kind == stowage.EntityVolume {
				_, err := tx.ExecContext(ctx, `DELETE FROM entities WHERE kind = ? AND present = 1 AND seen < ? AND id IN (`+marks+`)
					AND NOT EXISTS (SELECT 1 FROM backups WHERE backups.volume_id = entities.id AND set_id = 0)`, args...)
				if err != nil {
					return fmt.Errorf("forget volumes that are gone: %w", err)
				}
			}
			_, err := tx.ExecContext(ctx, `UPDATE entities SET present = 0, listed = 1, server_id = '', updated_at = ?
				WHERE kind = ? AND present = 1 AND seen < ? AND id IN (`+marks+`)`, append([]any{micros(now)}, args...)...)
			if err != nil {
				return fmt.Errorf("note entities that are gone: %w", err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ForgetGone forgets the scope's entities that are gone from the cloud and have
// no backups, and tells how many there were.
func (d *DB) ForgetGone(ctx context.Context, scope Scope) (n int64, err error) {
	w := where{}
	w.and("present = 0")
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	w.and("NOT EXISTS (SELECT 1 FROM backups WHERE backups.volume_id = entities.id AND set_id = 0)")
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM entities WHERE `+w.String(), w.args...)
		if err != nil {
			return fmt.Errorf("forget entities that are gone: %w", err)
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// ForgetEntity forgets one that is gone from the cloud and has no backups; any
// other stays.
func (d *DB) ForgetEntity(ctx context.Context, scope Scope, id string) error {
	w := where{}
	w.and("id = ? AND present = 0", id)
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	w.and("NOT EXISTS (SELECT 1 FROM backups WHERE backups.volume_id = entities.id AND set_id = 0)")
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM entities WHERE `+w.String(), w.args...); err != nil {
			return fmt.Errorf("forget entity %s: %w", id, err)
		}
		return nil
	})
}

// BackedUp tells of which of the volumes there are backups of their own.
func (d *DB) BackedUp(ctx context.Context, volumes []string) (map[string]bool, error) {
	some := map[string]bool{}
	for part := range slices.Chunk(volumes, 500) {
		marks, args := markers(part)
		ids, err := query(ctx, d, "look for backups of volumes", func(row rower) (string, error) {
			var id string
			err := row.Scan(&id)
			return id, err
		}, `SELECT DISTINCT volume_id FROM backups WHERE volume_id IN (`+marks+`) AND set_id = 0`, args...)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			some[id] = true
		}
	}
	return some, nil
}

// SetResources replaces what there is of a kind to choose from.
func (d *DB) SetResources(ctx context.Context, look int64, kind stowage.ResourceKind, list []stowage.Resource) error {
	return d.inTxBeside(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM resources WHERE kind = ?`, kind); err != nil {
			return fmt.Errorf("replace resources: %w", err)
		}
		seen := map[string]bool{}
		for _, r := range list {
			if seen[r.ID] {
				continue
			}
			seen[r.ID] = true
			_, err := tx.ExecContext(ctx, `INSERT INTO resources (kind, id, project_id, name, shared, seen) VALUES (?,?,?,?,?,?)`,
				kind, clip(r.ID, 191), r.ProjectID, clip(r.Name, 255), r.Shared, look)
			if err != nil {
				return fmt.Errorf("replace resources: %w", err)
			}
		}
		return nil
	})
}

// Resources lists what the scope may choose from, by name.
func (d *DB) Resources(ctx context.Context, scope Scope, kind stowage.ResourceKind) ([]stowage.Resource, error) {
	w := where{}
	w.and("kind = ?", kind)
	if scope.ProjectID != "" {
		w.and("(shared = 1 OR project_id = ?)", scope.ProjectID)
	}
	return query(ctx, d, "list resources", func(row rower) (stowage.Resource, error) {
		var r stowage.Resource
		err := row.Scan(&r.Kind, &r.ID, &r.ProjectID, &r.Name, &r.Shared)
		return r, err
	}, `SELECT kind, id, project_id, name, shared FROM resources WHERE `+w.String()+` ORDER BY name, id LIMIT 10000`, w.args...)
}

// ResourceNames gives the names of those of the resources that are known.
func (d *DB) ResourceNames(ctx context.Context, kind stowage.ResourceKind, ids []string) (map[string]string, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	names := map[string]string{}
	for part := range slices.Chunk(slices.Compact(ids), 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "read names of resources", scanName,
			`SELECT id, name FROM resources WHERE kind = ? AND id IN (`+marks+`)`, append([]any{kind}, args...)...)
		if err != nil {
			return nil, err
		}
		for _, pair := range list {
			names[pair[0]] = pair[1]
		}
	}
	return names, nil
}

// scanName reads an id and a name.
func scanName(row rower) (pair [2]string, err error) {
	err = row.Scan(&pair[0], &pair[1])
	return pair, err
}

// Mark gives a number that looks at the cloud leave for the next one; 0: none.
func (d *DB) Mark(ctx context.Context, what string) (int64, error) {
	var mark int64
	err := d.sql.QueryRowContext(ctx, `SELECT mark FROM inventory_marks WHERE what = ?`, what).Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read mark %s: %w", what, unavailable(err))
	}
	return mark, nil
}

// SetMark moves a mark from the number it had: Conflict if it has another.
func (d *DB) SetMark(ctx context.Context, what string, from, to int64) error {
	return d.inTx(ctx, func(tx *sql.Tx) error { return setMark(ctx, tx, what, from, to) })
}

func setMark(ctx context.Context, tx *sql.Tx, what string, from, to int64) error {
	if from == 0 {
		_, err := tx.ExecContext(ctx, `INSERT INTO inventory_marks (what, mark) VALUES (?,?)`, what, to)
		if duplicate(err) {
			return stowage.Errorf(stowage.Conflict, "mark %s: it has moved on", what)
		}
		return err
	}
	res, err := tx.ExecContext(ctx, `UPDATE inventory_marks SET mark = ? WHERE what = ? AND mark = ?`, to, what, from)
	if err != nil {
		return fmt.Errorf("move mark %s: %w", what, err)
	}
	return moved(res, "move mark "+what)
}

// markAsked is when a look at the cloud was last asked for.
const markAsked = "asked"

// AskInventory writes a job that looks at the cloud, unless one is waiting: then
// that one is given. Conflict: one was asked for after the given time, or by
// somebody else right now.
func (d *DB) AskInventory(ctx context.Context, j *stowage.Job, notSince time.Time) error {
	asked, err := d.Mark(ctx, markAsked)
	if err != nil {
		return err
	}
	if asked > micros(notSince) {
		return stowage.Errorf(stowage.Conflict, "The inventory was asked for lately.")
	}
	waiting, err := d.queryJobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE state = ? AND backend = '' AND kind = ? ORDER BY seq LIMIT 1`,
		stowage.JobQueued, stowage.JobInventory)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		*j = waiting[0]
		return nil
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := setMark(ctx, tx, markAsked, asked, max(micros(j.CreatedAt), asked+1)); err != nil {
			return err
		}
		return insertJob(ctx, tx, j)
	})
}

// DropInventoryJobs forgets jobs that looked at the cloud and ended before the
// given time: they hold nothing, and there is one every few minutes.
func (d *DB) DropInventoryJobs(ctx context.Context, before time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE entity_id = '' AND kind = ? AND backup_id = 0 AND finished_at > 0 AND finished_at < ?
			AND state IN (?, ?, ?)`, stowage.JobInventory, micros(before), stowage.JobFinished, stowage.JobFailed, stowage.JobCancelled)
		if err != nil {
			return fmt.Errorf("forget looks at the cloud: %w", err)
		}
		return nil
	})
}

// ComputeHost is a host that servers run on.
type ComputeHost struct {
	Name, Zone string
	Servers    int
}

// ComputeHosts lists the hosts of the scope's servers that are there, by name.
func (d *DB) ComputeHosts(ctx context.Context, scope Scope) ([]ComputeHost, error) {
	w := where{}
	w.and("kind = ? AND present = 1 AND host <> ''", stowage.EntityServer)
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	list, err := query(ctx, d, "list compute hosts", func(row rower) (h ComputeHost, err error) {
		var attributes string
		if err := row.Scan(&h.Name, &h.Servers, &attributes); err != nil {
			return h, err
		}
		var is stowage.EntityDetails
		err = json.Unmarshal([]byte(attributes), &is)
		h.Zone = is.Zone // of one of its servers, as of all
		return h, err
	}, `SELECT host, COUNT(*), MAX(attributes) FROM entities WHERE `+w.String()+` GROUP BY host ORDER BY host LIMIT 10000`, w.args...)
	return list, err
}
