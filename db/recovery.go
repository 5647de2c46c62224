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

const planColumns = `id, project_id, name, active, priority, rules, created_at, updated_at`

func scanPlan(row rower) (stowage.RecoveryPlan, error) {
	var (
		p     stowage.RecoveryPlan
		rules string
		at    [2]int64
	)
	if err := row.Scan(&p.ID, &p.ProjectID, &p.Name, &p.Active, &p.Priority, &rules, &at[0], &at[1]); err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(rules), &p.Rules); err != nil {
		return p, fmt.Errorf("recovery plan %s: its rules: %w", p.ID, err)
	}
	p.CreatedAt, p.UpdatedAt = fromMicros(at[0]), fromMicros(at[1])
	return p, nil
}

// CreatePlan writes a new recovery plan. Conflict: there is one of that name.
func (d *DB) CreatePlan(ctx context.Context, p stowage.RecoveryPlan) error {
	rules, err := json.Marshal(p.Rules)
	if err != nil {
		return fmt.Errorf("write recovery plan %s: %w", p.ID, err)
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO recovery_plans (`+planColumns+`) VALUES (?,?,?,?,?,?,?,?)`,
			p.ID, p.ProjectID, p.Name, p.Active, p.Priority, string(rules), micros(p.CreatedAt), micros(p.UpdatedAt))
		if err != nil {
			return fmt.Errorf("write recovery plan %s: %w", p.ID, err)
		}
		return nil
	})
	if duplicate(err) {
		return errNameTaken("recovery plan", p.Name)
	}
	return err
}

// SavePlan writes a recovery plan that was read when it was last changed at seen.
// Conflict: somebody else has changed it since, or there is one of that name.
func (d *DB) SavePlan(ctx context.Context, p stowage.RecoveryPlan, seen time.Time) error {
	rules, err := json.Marshal(p.Rules)
	if err != nil {
		return fmt.Errorf("write recovery plan %s: %w", p.ID, err)
	}
	what := "write recovery plan " + p.ID
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE recovery_plans SET name = ?, active = ?, priority = ?, rules = ?, updated_at = ? WHERE id = ? AND updated_at = ?`,
			p.Name, p.Active, p.Priority, string(rules), micros(p.UpdatedAt), p.ID, micros(seen))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return moved(res, what)
	})
	if duplicate(err) {
		return errNameTaken("recovery plan", p.Name)
	}
	return err
}

// DeletePlan forgets a recovery plan of the scope: NotFound if there is none.
func (d *DB) DeletePlan(ctx context.Context, scope Scope, id string) error {
	if _, err := d.Plan(ctx, scope, id); err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_plans WHERE id = ?`, id); err != nil {
			return fmt.Errorf("delete recovery plan %s: %w", id, err)
		}
		return nil
	})
}

// Plan gives one recovery plan: NotFound outside the scope, too.
func (d *DB) Plan(ctx context.Context, scope Scope, id string) (stowage.RecoveryPlan, error) {
	missing := stowage.Errorf(stowage.NotFound, "Recovery plan %.64s could not be found.", id)
	if !ascii(id) {
		return stowage.RecoveryPlan{}, missing
	}
	list, err := query(ctx, d, "read recovery plan "+id, scanPlan, `SELECT `+planColumns+` FROM recovery_plans WHERE id = ?`, id)
	if err != nil {
		return stowage.RecoveryPlan{}, err
	}
	if len(list) == 0 || scope.ProjectID != "" && list[0].ProjectID != scope.ProjectID {
		return stowage.RecoveryPlan{}, missing
	}
	return list[0], nil
}

// Plans lists the scope's recovery plans by name, and tells how many there are.
func (d *DB) Plans(ctx context.Context, scope Scope, p Page) ([]stowage.RecoveryPlan, int, error) {
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	for _, part := range []string{p.Filter, p.Name} {
		if part != "" {
			w.and("name LIKE ? ESCAPE '!'", like(part))
		}
	}
	total, err := d.count(ctx, "count recovery plans", `SELECT COUNT(*) FROM recovery_plans WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list recovery plans", scanPlan, `SELECT `+planColumns+` FROM recovery_plans WHERE `+w.String()+
		` ORDER BY name, id LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}
