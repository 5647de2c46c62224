package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

const policyColumns = `id, kind, project_id, name, active, priority, details, created_at, updated_at`

func scanPolicy(row rower) (stowage.Policy, error) {
	var (
		p       stowage.Policy
		details string
		at      [2]int64
	)
	if err := row.Scan(&p.ID, &p.Kind, &p.ProjectID, &p.Name, &p.Active, &p.Priority, &details, &at[0], &at[1]); err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(details), &p.Is); err != nil {
		return p, fmt.Errorf("policy %s: its details: %w", p.ID, err)
	}
	p.CreatedAt, p.UpdatedAt = fromMicros(at[0]), fromMicros(at[1])
	return p, nil
}

// PolicyChange is a policy as it is to be. What is nil stays as it is.
type PolicyChange struct {
	Policy   stowage.Policy
	New      bool
	Rules    *[]stowage.Rule // all it is to have
	Entities *[]string       // likewise; each comes from wherever it was
}

// errNameTaken: two of one project cannot have one name.
func errNameTaken(what, name string) error {
	return stowage.Errorf(stowage.Conflict, "There is a %s named %.64s already.", what, name)
}

// SavePolicy writes a policy with its rules and entities, all or nothing.
// Conflict: there is one of that name. NotFound: it is gone.
func (d *DB) SavePolicy(ctx context.Context, c PolicyChange) error {
	p := c.Policy
	if p.Kind == "" {
		p.Kind = stowage.PolicyBackup
	}
	details, err := json.Marshal(p.Is)
	if err != nil {
		return fmt.Errorf("write policy %s: %w", p.ID, err)
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		if c.New {
			_, err := tx.ExecContext(ctx, `INSERT INTO policies (`+policyColumns+`, assigns) VALUES (?,?,?,?,?,?,?,?,?,?)`,
				p.ID, p.Kind, p.ProjectID, p.Name, p.Active, p.Priority, string(details), micros(p.CreatedAt), micros(p.UpdatedAt), p.Is.Assign.On())
			if err != nil {
				return fmt.Errorf("write policy %s: %w", p.ID, err)
			}
		} else if err := updatePolicy(ctx, tx, p, string(details)); err != nil {
			return err
		}
		if c.Rules != nil {
			if err := replaceRules(ctx, tx, p.ID, *c.Rules); err != nil {
				return err
			}
		}
		if c.Entities != nil {
			return replaceEntities(ctx, tx, p, *c.Entities)
		}
		return nil
	})
	if duplicate(err) {
		return errNameTaken("policy", p.Name)
	}
	return err
}

func updatePolicy(ctx context.Context, tx *sql.Tx, p stowage.Policy, details string) error {
	res, err := tx.ExecContext(ctx, `UPDATE policies SET name = ?, active = ?, priority = ?, details = ?, updated_at = ?, assigns = ?
		WHERE id = ? AND project_id = ? AND kind = ?`, p.Name, p.Active, p.Priority, details, micros(p.UpdatedAt), p.Is.Assign.On(), p.ID, p.ProjectID, p.Kind)
	if err != nil {
		return fmt.Errorf("write policy %s: %w", p.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return stowage.Errorf(stowage.NotFound, "Policy %.64s could not be found.", p.ID)
}

// SettlePolicy makes a policy that is nobody's a project's, and reports whether it did: only
// if all its entities, one at least, are of the project, none come by themselves, and it has
// no rules. Conflict: the project has one of that name.
func (d *DB) SettlePolicy(ctx context.Context, id, projectID string, now time.Time) (bool, error) {
	var n int64
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE policies SET project_id = ?, updated_at = ? WHERE id = ? AND project_id = '' AND assigns = 0
			AND NOT EXISTS (SELECT 1 FROM policy_rules r WHERE r.policy_id = policies.id)
			AND EXISTS (SELECT 1 FROM policy_entities e WHERE e.policy_id = policies.id)
			AND NOT EXISTS (SELECT 1 FROM policy_entities e LEFT JOIN entities t ON t.id = e.entity_id
				WHERE e.policy_id = policies.id AND COALESCE(t.project_id, '') <> ?)`, projectID, micros(now), id, projectID)
		if err != nil {
			return fmt.Errorf("give policy %s to project %s: %w", id, projectID, err)
		}
		n, err = res.RowsAffected()
		return err
	})
	if duplicate(err) {
		return false, stowage.Errorf(stowage.Conflict, "Project %.64s has a policy of that name already.", projectID)
	}
	return n == 1, err
}

// PolicyFilter narrows a list of policies. Empty fields do not.
type PolicyFilter struct {
	Kind     stowage.PolicyKind
	IDs      []string
	Entities []string // those of them
}

var policyOrders = map[string]string{"name": "name", "active": "active", "priority": "priority", "created": "created_at",
	"average": `(SELECT COALESCE(AVG(b.stored_bytes), 0) FROM backups b WHERE b.policy_id = policies.id AND b.status = 'available')`, // as in PolicyFacts
}

func (f PolicyFilter) where(scope Scope, p Page) where {
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if f.Kind != "" {
		w.and("kind = ?", f.Kind)
	}
	oneOf(&w, "id", f.IDs)
	if len(f.Entities) > 0 {
		marks, args := markers(f.Entities)
		w.and("id IN (SELECT policy_id FROM policy_entities WHERE entity_id IN ("+marks+"))", args...)
	}
	if p.Filter != "" {
		w.and("(name LIKE ? ESCAPE '!' OR id = ?)", like(p.Filter), asciiOr(p.Filter))
	}
	if p.Name != "" {
		w.and("name LIKE ? ESCAPE '!'", like(p.Name))
	}
	return w
}

// Policies lists policies by name, and tells how many there are.
func (d *DB) Policies(ctx context.Context, scope Scope, f PolicyFilter, p Page) ([]stowage.Policy, int, error) {
	if !allASCII(append(slices.Clone(f.IDs), f.Entities...)) {
		return nil, 0, nil
	}
	w := f.where(scope, p)
	total, err := d.count(ctx, "count policies", `SELECT COUNT(*) FROM policies WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list policies", scanPolicy, `SELECT `+policyColumns+` FROM policies WHERE `+w.String()+
		` ORDER BY `+byName(policyOrders, p)+` LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// byName is the order of a list that is by name unless another is wanted.
func byName(orders map[string]string, p Page) string {
	if _, known := orders[p.Order]; !known {
		p.Order, p.Descending = "name", false
	}
	return ordered(orders, p, "id", false)
}

func allASCII(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ascii(s) })
}

// Policy gives one policy of whatever kind: NotFound outside the scope, too.
func (d *DB) Policy(ctx context.Context, scope Scope, id string) (stowage.Policy, error) {
	list, _, err := d.Policies(ctx, scope, PolicyFilter{IDs: []string{id}}, Page{Limit: 1})
	if err != nil {
		return stowage.Policy{}, err
	}
	if len(list) == 0 {
		return stowage.Policy{}, stowage.Errorf(stowage.NotFound, "Policy %.64s could not be found.", id)
	}
	return list[0], nil
}

// AssigningPolicies gives those that entities come to by themselves, the oldest
// first: an entity that two of them want is the elder's.
func (d *DB) AssigningPolicies(ctx context.Context) ([]stowage.Policy, error) {
	return query(ctx, d, "list policies", scanPolicy, `SELECT `+policyColumns+` FROM policies WHERE assigns = 1 ORDER BY created_at, id LIMIT 10000`)
}

// DeletePolicy deletes a policy of the scope with its rules. What it made stays,
// and is nobody's to remove. NotFound: it is gone.
func (d *DB) DeletePolicy(ctx context.Context, scope Scope, id string) error {
	p, err := d.Policy(ctx, scope, id)
	if err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for _, q := range []string{
			`DELETE FROM rule_schedules WHERE rule_id IN (SELECT id FROM policy_rules WHERE policy_id = ?)`,
			`DELETE FROM policy_rules WHERE policy_id = ?`,
			`DELETE FROM policy_entities WHERE policy_id = ?`,
			`DELETE FROM policies WHERE id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, q, p.ID); err != nil {
				return fmt.Errorf("delete policy %s: %w", p.ID, err)
			}
		}
		return nil
	})
}

// PolicyFacts are what a list shows of a policy besides its row.
type PolicyFacts struct {
	Entities     int
	AverageBytes int64 // of its backups
}

// PolicyFacts tells them of each of the policies.
func (d *DB) PolicyFacts(ctx context.Context, policies []string) (map[string]PolicyFacts, error) {
	facts := map[string]PolicyFacts{}
	for part := range slices.Chunk(policies, 500) {
		marks, args := markers(part)
		type fact struct {
			id string
			n  int64
		}
		scan := func(row rower) (f fact, err error) { return f, row.Scan(&f.id, &f.n) }
		counts, err := query(ctx, d, "count entities of policies", scan,
			`SELECT policy_id, COUNT(*) FROM policy_entities WHERE policy_id IN (`+marks+`) GROUP BY policy_id`, args...)
		if err != nil {
			return nil, err
		}
		sizes, err := query(ctx, d, "measure backups of policies", scan, `SELECT policy_id, CAST(AVG(stored_bytes) AS `+d.whole()+`) FROM backups
			WHERE policy_id IN (`+marks+`) AND status = ? GROUP BY policy_id`, append(args, stowage.BackupAvailable)...)
		if err != nil {
			return nil, err
		}
		for _, c := range counts {
			facts[c.id] = PolicyFacts{Entities: int(c.n)}
		}
		for _, s := range sizes {
			facts[s.id] = PolicyFacts{facts[s.id].Entities, s.n}
		}
	}
	return facts, nil
}

// whole is what the dialect calls a whole number in a CAST.
func (d *DB) whole() string {
	if d.dialect == MySQL {
		return "SIGNED"
	}
	return "INTEGER"
}

// EachPolicy gives policies behind an id, in the order of their ids.
func (d *DB) EachPolicy(ctx context.Context, after string, limit int) ([]stowage.Policy, error) {
	return query(ctx, d, "list policies", scanPolicy, `SELECT `+policyColumns+` FROM policies WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
}

// PolicyNames gives the names of those of the policies that there are.
func (d *DB) PolicyNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	for part := range slices.Chunk(ids, 500) {
		marks, args := markers(idsOf(part))
		list, err := query(ctx, d, "read names of policies", scanName, `SELECT id, name FROM policies WHERE id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, pair := range list {
			names[pair[0]] = pair[1]
		}
	}
	return names, nil
}
