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

const scheduleColumns = `id, kind, project_id, name, active, details, next_due, last_run, created_at, updated_at`

func scanSchedule(row rower) (stowage.Schedule, error) {
	var (
		s       stowage.Schedule
		details string
		at      [4]int64
	)
	if err := row.Scan(&s.ID, &s.Kind, &s.ProjectID, &s.Name, &s.Active, &details, &at[0], &at[1], &at[2], &at[3]); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(details), &s.Is); err != nil {
		return s, fmt.Errorf("schedule %s: its details: %w", s.ID, err)
	}
	s.NextDue, s.LastRun, s.CreatedAt, s.UpdatedAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2]), fromMicros(at[3])
	return s, nil
}

// SaveSchedule writes a schedule, new or anew, and the rules that are to name it;
// nil: those stay. Conflict: there is one of that name. NotFound: it is gone.
func (d *DB) SaveSchedule(ctx context.Context, s stowage.Schedule, isNew bool, rules *[]string) error {
	if s.Kind == "" {
		s.Kind = stowage.PolicyBackup
	}
	details, err := json.Marshal(s.Is)
	if err != nil {
		return fmt.Errorf("write schedule %s: %w", s.ID, err)
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		if err := writeSchedule(ctx, tx, s, isNew, string(details)); err != nil {
			return err
		}
		if rules == nil {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM rule_schedules WHERE schedule_id = ?`, s.ID); err != nil {
			return fmt.Errorf("write rules of schedule %s: %w", s.ID, err)
		}
		for _, r := range *rules {
			if _, err := tx.ExecContext(ctx, `INSERT INTO rule_schedules (rule_id, schedule_id) VALUES (?,?)`, r, s.ID); err != nil {
				return fmt.Errorf("write rules of schedule %s: %w", s.ID, err)
			}
		}
		return nil
	})
	if duplicate(err) {
		return errNameTaken("schedule", s.Name)
	}
	return err
}

func writeSchedule(ctx context.Context, tx *sql.Tx, s stowage.Schedule, isNew bool, details string) error {
	if isNew {
		_, err := tx.ExecContext(ctx, `INSERT INTO schedules (`+scheduleColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?)`, s.ID, s.Kind, s.ProjectID, s.Name, s.Active,
			details, micros(s.NextDue), micros(s.LastRun), micros(s.CreatedAt), micros(s.UpdatedAt))
		if err != nil {
			return fmt.Errorf("write schedule %s: %w", s.ID, err)
		}
		return nil
	}
	res, err := tx.ExecContext(ctx, `UPDATE schedules SET name = ?, active = ?, details = ?, next_due = ?, updated_at = ? WHERE id = ? AND project_id = ? AND kind = ?`,
		s.Name, s.Active, details, micros(s.NextDue), micros(s.UpdatedAt), s.ID, s.ProjectID, s.Kind)
	if err != nil {
		return fmt.Errorf("write schedule %s: %w", s.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return stowage.Errorf(stowage.NotFound, "Schedule %.64s could not be found.", s.ID)
}

// ScheduleFilter narrows a list of schedules. Empty fields do not.
type ScheduleFilter struct {
	Kinds                          []stowage.PolicyKind
	IDs, Rules, Policies, Entities []string
}

var scheduleOrders = map[string]string{"name": "name", "active": "active", "last": "last_run", "next": "next_due", "created": "created_at"}

// Schedules lists schedules by name, and tells how many there are.
func (d *DB) Schedules(ctx context.Context, scope Scope, f ScheduleFilter, p Page) ([]stowage.Schedule, int, error) {
	if !allASCII(slices.Concat(f.IDs, f.Rules, f.Policies, f.Entities)) {
		return nil, 0, nil
	}
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	oneOf(&w, "kind", f.Kinds)
	oneOf(&w, "id", f.IDs)
	for _, in := range []struct {
		values []string
		before string
	}{
		{f.Rules, `SELECT schedule_id FROM rule_schedules WHERE rule_id IN (`},
		{f.Policies, `SELECT s.schedule_id FROM rule_schedules s JOIN policy_rules r ON r.id = s.rule_id WHERE r.policy_id IN (`},
		{f.Entities, `SELECT s.schedule_id FROM rule_schedules s JOIN policy_rules r ON r.id = s.rule_id
			JOIN policy_entities e ON e.policy_id = r.policy_id WHERE e.entity_id IN (`},
	} {
		if len(in.values) > 0 {
			marks, args := markers(in.values)
			w.and("id IN ("+in.before+marks+"))", args...)
		}
	}
	if p.Filter != "" {
		w.and("(name LIKE ? ESCAPE '!' OR id = ?)", like(p.Filter), asciiOr(p.Filter))
	}
	if p.Name != "" {
		w.and("name LIKE ? ESCAPE '!'", like(p.Name))
	}
	total, err := d.count(ctx, "count schedules", `SELECT COUNT(*) FROM schedules WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list schedules", scanSchedule, `SELECT `+scheduleColumns+` FROM schedules WHERE `+w.String()+
		` ORDER BY `+byName(scheduleOrders, p)+` LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// Schedule gives one schedule: NotFound outside the scope, too.
func (d *DB) Schedule(ctx context.Context, scope Scope, id string) (stowage.Schedule, error) {
	list, _, err := d.Schedules(ctx, scope, ScheduleFilter{IDs: []string{id}}, Page{Limit: 1})
	if err != nil {
		return stowage.Schedule{}, err
	}
	if len(list) == 0 {
		return stowage.Schedule{}, stowage.Errorf(stowage.NotFound, "Schedule %.64s could not be found.", id)
	}
	return list[0], nil
}

// DeleteSchedule deletes a schedule of the scope, and what is known of its runs.
func (d *DB) DeleteSchedule(ctx context.Context, scope Scope, id string) error {
	s, err := d.Schedule(ctx, scope, id)
	if err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for _, q := range []string{
			`DELETE FROM rule_schedules WHERE schedule_id = ?`,
			`DELETE FROM run_entries WHERE run_id IN (SELECT id FROM schedule_runs WHERE schedule_id = ?)`,
			`DELETE FROM schedule_runs WHERE schedule_id = ?`,
			`DELETE FROM schedules WHERE id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, q, s.ID); err != nil {
				return fmt.Errorf("delete schedule %s: %w", s.ID, err)
			}
		}
		return nil
	})
}

// PolicySchedules gives, for each of the policies, the active schedules of its
// active rules; a policy that is not active has none.
func (d *DB) PolicySchedules(ctx context.Context, policies []string) (map[string][]stowage.Schedule, error) {
	out := map[string][]stowage.Schedule{}
	for part := range slices.Chunk(policies, 500) {
		marks, args := markers(part)
		pairs, err := query(ctx, d, "list schedules of policies", scanName, `SELECT DISTINCT r.policy_id, s.schedule_id FROM policy_rules r
			JOIN rule_schedules s ON s.rule_id = r.id JOIN policies p ON p.id = r.policy_id
			WHERE r.active = 1 AND p.active = 1 AND r.policy_id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		if len(pairs) == 0 {
			continue
		}
		var ids []string
		for _, p := range pairs {
			ids = append(ids, p[1])
		}
		slices.Sort(ids)
		known := map[string]stowage.Schedule{}
		for some := range slices.Chunk(slices.Compact(ids), 500) {
			list, _, err := d.Schedules(ctx, Scope{}, ScheduleFilter{IDs: some}, Page{Limit: len(some)})
			if err != nil {
				return nil, err
			}
			for _, s := range list {
				known[s.ID] = s
			}
		}
		for _, p := range pairs {
			if s := known[p[1]]; s.Active {
				out[p[0]] = append(out[p[0]], s)
			}
		}
	}
	return out, nil
}

// ScheduleRules gives rules that name a schedule behind an id, in the order of their
// ids. The schedules of the rules are not read.
func (d *DB) ScheduleRules(ctx context.Context, schedule, after string, limit int) ([]stowage.Rule, error) {
	return query(ctx, d, "list rules of a schedule", scanRule, `SELECT `+ruleColumns+` FROM policy_rules
		WHERE id > ? AND id IN (SELECT rule_id FROM rule_schedules WHERE schedule_id = ?) ORDER BY id LIMIT ?`, after, schedule, limit)
}

// ScheduleNames gives the names of those of the schedules that are known.
func (d *DB) ScheduleNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	slices.Sort(ids)
	for part := range slices.Chunk(slices.Compact(ids), 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "read names of schedules", scanName, `SELECT id, name FROM schedules WHERE id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, pair := range list {
			names[pair[0]] = pair[1]
		}
	}
	return names, nil
}

// SchedulesDueAfter gives active schedules behind an id that are due later than the given
// time, in the order of their ids.
func (d *DB) SchedulesDueAfter(ctx context.Context, at time.Time, after string, limit int) ([]stowage.Schedule, error) {
	return query(ctx, d, "list schedules due later", scanSchedule, `SELECT `+scheduleColumns+` FROM schedules
		WHERE active = 1 AND next_due > ? AND id > ? ORDER BY id LIMIT ?`, micros(at), after, limit)
}

// SetBack makes a schedule due again at an earlier time. If its last run is later than
// now, it is the last one before. Conflict: the schedule has moved on.
func (d *DB) SetBack(ctx context.Context, s stowage.Schedule, next, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE schedules SET next_due = ?, last_run = CASE WHEN last_run <= ? THEN last_run ELSE
				(SELECT COALESCE(MAX(r.due), 0) FROM schedule_runs r WHERE r.schedule_id = schedules.id AND r.due <= ? AND r.state <> ?) END
			WHERE id = ? AND active = 1 AND next_due = ? AND updated_at = ?`,
			micros(next), micros(now), micros(now), stowage.RunMissed, s.ID, micros(s.NextDue), micros(s.UpdatedAt))
		if err != nil {
			return fmt.Errorf("set schedule %s back: %w", s.ID, err)
		}
		return moved(res, "set schedule "+s.ID+" back")
	})
}

// DueSchedules gives active schedules whose time has come, the longest due first.
func (d *DB) DueSchedules(ctx context.Context, now time.Time, limit int) ([]stowage.Schedule, error) {
	return query(ctx, d, "list due schedules", scanSchedule, `SELECT `+scheduleColumns+` FROM schedules
		WHERE active = 1 AND next_due > 0 AND next_due <= ? ORDER BY next_due, id LIMIT ?`, micros(now), limit)
}
