package db

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
)

const ruleColumns = `id, policy_id, project_id, name, position, active, details, created_at`

func scanRule(row rower) (stowage.Rule, error) {
	var (
		r       stowage.Rule
		details string
		created int64
	)
	if err := row.Scan(&r.ID, &r.PolicyID, &r.ProjectID, &r.Name, &r.Position, &r.Active, &details, &created); err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(details), &r.Is); err != nil {
		return r, fmt.Errorf("rule %s: its details: %w", r.ID, err)
	}
	r.CreatedAt = fromMicros(created)
	return r, nil
}

// replaceRules makes the rules all that the policy has.
func replaceRules(ctx context.Context, tx *sql.Tx, policy string, rules []stowage.Rule) error {
	for _, q := range []string{
		`DELETE FROM rule_schedules WHERE rule_id IN (SELECT id FROM policy_rules WHERE policy_id = ?)`,
		`DELETE FROM policy_rules WHERE policy_id = ?`,
	} {
		if _, err := tx.ExecContext(ctx, q, policy); err != nil {
			return fmt.Errorf("replace rules of policy %s: %w", policy, err)
		}
	}
	for i, r := range rules {
		r.Position = i
		if err := insertRule(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

func insertRule(ctx context.Context, tx *sql.Tx, r stowage.Rule) error {
	details, err := json.Marshal(r.Is)
	if err != nil {
		return fmt.Errorf("write rule %s: %w", r.ID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO policy_rules (`+ruleColumns+`) VALUES (?,?,?,?,?,?,?,?)`,
		r.ID, r.PolicyID, r.ProjectID, r.Name, r.Position, r.Active, string(details), micros(r.CreatedAt))
	if err != nil {
		return fmt.Errorf("write rule %s: %w", r.ID, err)
	}
	for _, s := range r.Schedules {
		if _, err := tx.ExecContext(ctx, `INSERT INTO rule_schedules (rule_id, schedule_id) VALUES (?,?)`, r.ID, s); err != nil {
			return fmt.Errorf("write rule %s: %w", r.ID, err)
		}
	}
	return nil
}

// AddRule writes a rule behind the others of its policy. NotFound: that is gone.
func (d *DB) AddRule(ctx context.Context, r stowage.Rule) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		// Whoever deletes the policy, or adds another rule, waits for us or we for him.
		res, err := tx.ExecContext(ctx, `UPDATE policies SET updated_at = updated_at + 1 WHERE id = ?`, r.PolicyID)
		if err != nil {
			return fmt.Errorf("hold policy %s: %w", r.PolicyID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, error(stowage.Errorf(stowage.NotFound, "Policy %.64s could not be found.", r.PolicyID)))
		}
		err = tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(position) + 1, 0) FROM policy_rules WHERE policy_id = ?`, r.PolicyID).Scan(&r.Position)
		if err != nil {
			return fmt.Errorf("look for rules of policy %s: %w", r.PolicyID, err)
		}
		return insertRule(ctx, tx, r)
	})
}

// SaveRule writes a rule anew, in its place. NotFound: it is gone.
func (d *DB) SaveRule(ctx context.Context, r stowage.Rule) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := deleteRule(ctx, tx, r.ID); err != nil {
			return err
		}
		return insertRule(ctx, tx, r)
	})
}

// DeleteRule deletes a rule. NotFound: it is gone.
func (d *DB) DeleteRule(ctx context.Context, id string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error { return deleteRule(ctx, tx, id) })
}

func deleteRule(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM rule_schedules WHERE rule_id = ?`, id); err != nil {
		return fmt.Errorf("delete rule %s: %w", id, err)
	}
	res, err := tx.ExecContext(ctx, `DELETE FROM policy_rules WHERE id = ?`, id)
	if err != nil {
		return fmt.Errorf("delete rule %s: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return stowage.Errorf(stowage.NotFound, "Rule %.64s could not be found.", id)
}

// RuleFilter narrows a list of rules. Empty fields do not.
type RuleFilter struct {
	Kind                     stowage.PolicyKind // of their policies
	IDs, Policies, Schedules []string
}

// Rules lists rules, those of one policy in their order, and tells how many there are.
func (d *DB) Rules(ctx context.Context, scope Scope, f RuleFilter, p Page) ([]stowage.Rule, int, error) {
	if !allASCII(slices.Concat(f.IDs, f.Policies, f.Schedules)) {
		return nil, 0, nil
	}
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if f.Kind != "" {
		w.and("policy_id IN (SELECT id FROM policies WHERE kind = ?)", f.Kind)
	}
	oneOf(&w, "id", f.IDs)
	oneOf(&w, "policy_id", f.Policies)
	if len(f.Schedules) > 0 {
		marks, args := markers(f.Schedules)
		w.and("id IN (SELECT rule_id FROM rule_schedules WHERE schedule_id IN ("+marks+"))", args...)
	}
	if p.Filter != "" {
		w.and("(name LIKE ? ESCAPE '!' OR id = ?)", like(p.Filter), asciiOr(p.Filter))
	}
	if p.Name != "" {
		w.and("name LIKE ? ESCAPE '!'", like(p.Name))
	}
	total, err := d.count(ctx, "count rules", `SELECT COUNT(*) FROM policy_rules WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list rules", scanRule, `SELECT `+ruleColumns+` FROM policy_rules WHERE `+w.String()+
		` ORDER BY policy_id, position, id LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	if err != nil {
		return nil, 0, err
	}
	return list, total, d.readRuleSchedules(ctx, list)
}

// readRuleSchedules fills in the schedules of rules.
func (d *DB) readRuleSchedules(ctx context.Context, rules []stowage.Rule) error {
	at := map[string]int{}
	ids := make([]string, len(rules))
	for i, r := range rules {
		at[r.ID], ids[i] = i, r.ID
	}
	for part := range slices.Chunk(ids, 500) {
		marks, args := markers(part)
		pairs, err := query(ctx, d, "list schedules of rules", scanName,
			`SELECT rule_id, schedule_id FROM rule_schedules WHERE rule_id IN (`+marks+`) ORDER BY rule_id, schedule_id`, args...)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			r := &rules[at[p[0]]]
			r.Schedules = append(r.Schedules, p[1])
		}
	}
	return nil
}

// Rule gives one rule: NotFound outside the scope, too.
func (d *DB) Rule(ctx context.Context, scope Scope, id string) (stowage.Rule, error) {
	list, _, err := d.Rules(ctx, scope, RuleFilter{IDs: []string{id}}, Page{Limit: 1})
	if err != nil {
		return stowage.Rule{}, err
	}
	if len(list) == 0 {
		return stowage.Rule{}, stowage.Errorf(stowage.NotFound, "Rule %.64s could not be found.", id)
	}
	return list[0], nil
}
