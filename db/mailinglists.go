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

const mailingListColumns = `id, project_id, name, recipients, created_at, updated_at`

func scanMailingList(row rower) (stowage.MailingList, error) {
	var (
		l          stowage.MailingList
		recipients string
		at         [2]int64
	)
	if err := row.Scan(&l.ID, &l.ProjectID, &l.Name, &recipients, &at[0], &at[1]); err != nil {
		return l, err
	}
	if err := json.Unmarshal([]byte(recipients), &l.Recipients); err != nil {
		return l, fmt.Errorf("mailing list %s: its recipients: %w", l.ID, err)
	}
	l.CreatedAt, l.UpdatedAt = fromMicros(at[0]), fromMicros(at[1])
	return l, nil
}

// SaveMailingList writes a list, new or anew. Conflict: there is one of that name.
// NotFound: it is gone.
func (d *DB) SaveMailingList(ctx context.Context, l stowage.MailingList, isNew bool) error {
	recipients, err := json.Marshal(l.Recipients)
	if err != nil {
		return fmt.Errorf("write mailing list %s: %w", l.ID, err)
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		if isNew {
			_, err := tx.ExecContext(ctx, `INSERT INTO mailing_lists (`+mailingListColumns+`) VALUES (?,?,?,?,?,?)`,
				l.ID, l.ProjectID, l.Name, string(recipients), micros(l.CreatedAt), micros(l.UpdatedAt))
			if err != nil {
				return fmt.Errorf("write mailing list %s: %w", l.ID, err)
			}
			return nil
		}
		res, err := tx.ExecContext(ctx, `UPDATE mailing_lists SET name = ?, recipients = ?, updated_at = ? WHERE id = ? AND project_id = ?`,
			l.Name, string(recipients), micros(l.UpdatedAt), l.ID, l.ProjectID)
		if err != nil {
			return fmt.Errorf("write mailing list %s: %w", l.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return noMailingList(l.ID)
	})
	if duplicate(err) {
		return errNameTaken("mailing list", l.Name)
	}
	return err
}

func noMailingList(id string) error {
	return stowage.Errorf(stowage.NotFound, "Mailing list %.64s could not be found.", id)
}

// MailingLists lists the scope's by name, and tells how many there are.
func (d *DB) MailingLists(ctx context.Context, scope Scope, p Page) ([]stowage.MailingList, int, error) {
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if p.Filter != "" {
		w.and("(name LIKE ? ESCAPE '!' OR recipients LIKE ? ESCAPE '!' OR id = ?)", like(p.Filter), like(p.Filter), asciiOr(p.Filter))
	}
	if p.Name != "" {
		w.and("name LIKE ? ESCAPE '!'", like(p.Name))
	}
	total, err := d.count(ctx, "count mailing lists", `SELECT COUNT(*) FROM mailing_lists WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list mailing lists", scanMailingList, `SELECT `+mailingListColumns+` FROM mailing_lists WHERE `+w.String()+
		` ORDER BY `+byName(map[string]string{"name": "name"}, p)+` LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// MailingList gives one list: NotFound outside the scope, too.
func (d *DB) MailingList(ctx context.Context, scope Scope, id string) (stowage.MailingList, error) {
	if !ascii(id) {
		return stowage.MailingList{}, noMailingList(id)
	}
	list, err := query(ctx, d, "read mailing list", scanMailingList, `SELECT `+mailingListColumns+` FROM mailing_lists WHERE id = ?`, id)
	if err != nil {
		return stowage.MailingList{}, err
	}
	if len(list) == 0 || scope.ProjectID != "" && list[0].ProjectID != scope.ProjectID {
		return stowage.MailingList{}, noMailingList(id)
	}
	return list[0], nil
}

// DeleteMailingList deletes a list of the scope.
func (d *DB) DeleteMailingList(ctx context.Context, scope Scope, id string) error {
	l, err := d.MailingList(ctx, scope, id)
	if err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM mailing_lists WHERE id = ?`, l.ID); err != nil {
			return fmt.Errorf("delete mailing list %s: %w", l.ID, err)
		}
		return nil
	})
}

// DailyReport is how far the mailing of a policy's report of a day is.
type DailyReport struct {
	PolicyID string
	Day      time.Time // its midnight, UTC
	Attempts int
	NextAt   time.Time // not to be tried before; zero: it is done
}

// DailyReport gives what is known of a policy's latest report; nothing: zero.
func (d *DB) DailyReport(ctx context.Context, policy string) (r DailyReport, err error) {
	list, err := query(ctx, d, "read daily report", func(row rower) (r DailyReport, err error) {
		var at [2]int64
		err = row.Scan(&r.PolicyID, &at[0], &r.Attempts, &at[1])
		r.Day, r.NextAt = fromMicros(at[0]), fromMicros(at[1])
		return r, err
	}, `SELECT policy_id, day, attempts, next_at FROM daily_reports WHERE policy_id = ?`, policy)
	if err != nil || len(list) == 0 {
		return DailyReport{PolicyID: policy}, err
	}
	return list[0], nil
}

// MoveDailyReport writes how far a report is, if it is still as it was known to be:
// Conflict if another was quicker. One that was not known at all is new.
func (d *DB) MoveDailyReport(ctx context.Context, was, is DailyReport) error {
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		if was.Day.IsZero() {
			_, err := tx.ExecContext(ctx, `INSERT INTO daily_reports (policy_id, day, attempts, next_at) VALUES (?,?,?,?)`,
				is.PolicyID, micros(is.Day), is.Attempts, micros(is.NextAt))
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE daily_reports SET day = ?, attempts = ?, next_at = ? WHERE policy_id = ? AND day = ? AND attempts = ?`,
			micros(is.Day), is.Attempts, micros(is.NextAt), is.PolicyID, micros(was.Day), was.Attempts)
		if err != nil {
			return fmt.Errorf("move daily report of policy %s: %w", is.PolicyID, err)
		}
		return moved(res, "move daily report of policy "+is.PolicyID)
	})
	if duplicate(err) {
		return stowage.Errorf(stowage.Conflict, "daily report of policy %s: it has moved on", is.PolicyID)
	}
	return err
}
