package db

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
)

func scanText(row rower) (s string, err error) { return s, row.Scan(&s) }

// replaceEntities assigns exactly these entities. Those that stay keep what is
// noted of how they came.
func replaceEntities(ctx context.Context, tx *sql.Tx, p stowage.Policy, entities []string) error {
	policy := p.ID
	rows, err := tx.QueryContext(ctx, `SELECT entity_id FROM policy_entities WHERE policy_id = ?`, policy)
	if err != nil {
		return fmt.Errorf("read entities of policy %s: %w", policy, err)
	}
	have, err := collect(rows, "read entities of policy "+policy, scanText)
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(slices.Clone(have), func(e string) bool { return slices.Contains(entities, e) })
	if err := unassign(ctx, tx, policy, gone); err != nil {
		return err
	}
	come := slices.DeleteFunc(slices.Clone(entities), func(e string) bool { return slices.Contains(have, e) })
	return assign(ctx, tx, p.Kind, policy, come)
}

func unassign(ctx context.Context, tx *sql.Tx, policy string, entities []string) error {
	for part := range slices.Chunk(entities, 500) {
		marks, args := markers(part)
		_, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE policy_id = ? AND entity_id IN (`+marks+`)`, append([]any{policy}, args...)...)
		if err != nil {
			return fmt.Errorf("take entities out of policy %s: %w", policy, err)
		}
	}
	return nil
}

// assign takes the entities out of whatever policy of the kind they are in.
func assign(ctx context.Context, tx *sql.Tx, kind stowage.PolicyKind, policy string, entities []string) error {
	slices.Sort(entities) // those who assign at once wait for one another in one order
	for part := range slices.Chunk(slices.Compact(entities), 200) {
		marks, args := markers(part)
		if _, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE kind = ? AND entity_id IN (`+marks+`)`, append([]any{kind}, args...)...); err != nil {
			return fmt.Errorf("take entities out of their policies: %w", err)
		}
		for _, e := range part {
			// Only while the policy is there: it may be deleted meanwhile.
			res, err := tx.ExecContext(ctx, `INSERT INTO policy_entities (entity_id, kind, policy_id, automatic)
				SELECT ?, p.kind, p.id, 0 FROM policies p WHERE p.id = ? AND p.kind = ?`, e, policy, kind)
			if duplicate(err) {
				return stowage.Errorf(stowage.Conflict, "Entity %.64s was assigned by somebody else just now.", e)
			}
			if err != nil {
				return fmt.Errorf("assign entity %s: %w", e, err)
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return cmp.Or(err, error(stowage.Errorf(stowage.NotFound, "Policy %.64s could not be found.", policy)))
			}
		}
	}
	return nil
}

// PolicyEntities gives the ids of a policy's entities.
func (d *DB) PolicyEntities(ctx context.Context, policy string) ([]string, error) {
	return query(ctx, d, "list entities of a policy", scanText, `SELECT entity_id FROM policy_entities WHERE policy_id = ? ORDER BY entity_id LIMIT 100000`, policy)
}

// EntityPolicies gives the id and the name of the policy of the kind of each of the
// entities that have one.
func (d *DB) EntityPolicies(ctx context.Context, kind stowage.PolicyKind, entities []string) (map[string][2]string, error) {
	found := map[string][2]string{}
	entities = slices.DeleteFunc(slices.Clone(entities), func(s string) bool { return !ascii(s) })
	for part := range slices.Chunk(entities, 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "look for policies of entities", func(row rower) (t [3]string, err error) {
			return t, row.Scan(&t[0], &t[1], &t[2])
		}, `SELECT e.entity_id, p.id, p.name FROM policy_entities e JOIN policies p ON p.id = e.policy_id WHERE e.kind = ? AND e.entity_id IN (`+marks+`)`,
			append([]any{kind}, args...)...)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			found[t[0]] = [2]string{t[1], t[2]}
		}
	}
	return found, nil
}

// Assign puts an entity into a policy of the kind, out of whatever other; empty: into none.
func (d *DB) Assign(ctx context.Context, kind stowage.PolicyKind, entity, policy string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if policy != "" {
			return assign(ctx, tx, kind, policy, []string{entity})
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE entity_id = ? AND kind = ?`, entity, kind); err != nil {
			return fmt.Errorf("take entity %s out of its policy: %w", entity, err)
		}
		return nil
	})
}

// AutoAssign puts entities into a policy that are in none of its kind, and takes those out
// that came by themselves. Whoever was assigned meanwhile stays where he is.
func (d *DB) AutoAssign(ctx context.Context, policy string, come, leave []string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for part := range slices.Chunk(leave, 500) {
			marks, args := markers(part)
			_, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE policy_id = ? AND automatic = 1 AND entity_id IN (`+marks+`)`, append([]any{policy}, args...)...)
			if err != nil {
				return fmt.Errorf("take entities out of policy %s: %w", policy, err)
			}
		}
		for _, e := range come {
			// Only while the policy is there: it may be deleted meanwhile.
			_, err := tx.ExecContext(ctx, `INSERT INTO policy_entities (entity_id, kind, policy_id, automatic) SELECT ?, p.kind, p.id, 1 FROM policies p
				WHERE p.id = ? AND NOT EXISTS (SELECT 1 FROM policy_entities taken WHERE taken.entity_id = ? AND taken.kind = p.kind)`, e, policy, e)
			if err != nil && !duplicate(err) {
				return fmt.Errorf("assign entity %s: %w", e, err)
			}
		}
		return nil
	})
}

// AutoAssigned tells which of a policy's entities came by themselves.
func (d *DB) AutoAssigned(ctx context.Context, policy string) ([]string, error) {
	return query(ctx, d, "list entities of a policy", scanText,
		`SELECT entity_id FROM policy_entities WHERE policy_id = ? AND automatic = 1 ORDER BY entity_id LIMIT 100000`, policy)
}

// Candidates gives listed entities behind an id that a policy of the scope may
// have, in the order of their ids.
func (d *DB) Candidates(ctx context.Context, scope Scope, after string, limit int) ([]stowage.Entity, error) {
	w := where{}
	w.and("listed = 1 AND id > ?", after)
	if scope.ProjectID != "" {
		w.and("project_id IN (?, '')", scope.ProjectID)
	}
	return query(ctx, d, "list entities", scanEntity, `SELECT `+entityColumns+` FROM entities WHERE `+w.String()+` ORDER BY id LIMIT ?`, append(w.args, limit)...)
}

// RemoveGone takes entities that are gone from the cloud out of policies that want
// no such, and tells how many there were.
func (d *DB) RemoveGone(ctx context.Context, policies []string) (n int64, err error) {
	for part := range slices.Chunk(policies, 500) {
		marks, args := markers(part)
		err := d.inTx(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE policy_id IN (`+marks+`)
				AND entity_id IN (SELECT id FROM entities WHERE present = 0)`, args...)
			if err != nil {
				return fmt.Errorf("take entities that are gone out of policies: %w", err)
			}
			gone, err := res.RowsAffected()
			n += gone
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// RemoveForeign takes entities out of policies of projects that they are not of any
// more: a volume can be given to another. It tells how many there were. What is left of
// policies that are gone keeps no entity from another policy.
func (d *DB) RemoveForeign(ctx context.Context) (n int64, err error) {
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE NOT EXISTS (SELECT 1 FROM policies p WHERE p.id = policy_entities.policy_id)`)
		if err != nil {
			return fmt.Errorf("take entities out of policies that are gone: %w", err)
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM policy_entities WHERE EXISTS (SELECT 1 FROM policies p, entities e WHERE p.id = policy_entities.policy_id
			AND e.id = policy_entities.entity_id AND p.project_id <> '' AND e.project_id <> '' AND e.project_id <> p.project_id)`)
		if err != nil {
			return fmt.Errorf("take entities of other projects out of policies: %w", err)
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}
