package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

const webhookColumns = `id, project_id, name, url, events, active, secret, created_at, updated_at`

func scanWebhook(row rower) (w stowage.Webhook, err error) {
	var at [2]int64
	err = row.Scan(&w.ID, &w.ProjectID, &w.Name, &w.URL, &w.Events, &w.Active, &w.Secret, &at[0], &at[1])
	w.CreatedAt, w.UpdatedAt = fromMicros(at[0]), fromMicros(at[1])
	return w, err
}

func noWebhook(id string) error {
	return stowage.Errorf(stowage.NotFound, "Webhook %.64s could not be found.", id)
}

// AddWebhook writes a new webhook. OverLimit: the project has as many as it may.
func (d *DB) AddWebhook(ctx context.Context, w stowage.Webhook, most int) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		// Whoever adds one at once waits for us or we for him.
		if _, err := tx.ExecContext(ctx, `UPDATE webhooks SET project_id = project_id WHERE project_id = ?`, w.ProjectID); err != nil {
			return fmt.Errorf("hold webhooks of project %s: %w", w.ProjectID, err)
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM webhooks WHERE project_id = ?`, w.ProjectID).Scan(&n); err != nil {
			return fmt.Errorf("count webhooks: %w", err)
		}
		if n >= most {
			return stowage.Errorf(stowage.OverLimit, "There may be %d webhooks at most.", most)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO webhooks (`+webhookColumns+`) VALUES (?,?,?,?,?,?,?,?,?)`,
			w.ID, w.ProjectID, w.Name, w.URL, w.Events, w.Active, w.Secret, micros(w.CreatedAt), micros(w.UpdatedAt))
		if err != nil {
			return fmt.Errorf("write webhook %s: %w", w.ID, err)
		}
		return nil
	})
}

// UpdateWebhook writes a webhook anew that was read when it was last changed at seen; its
// project stays. Conflict: somebody else has changed it since, or it is gone.
func (d *DB) UpdateWebhook(ctx context.Context, w stowage.Webhook, seen time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE webhooks SET name = ?, url = ?, events = ?, active = ?, secret = ?, updated_at = ? WHERE id = ? AND updated_at = ?`,
			w.Name, w.URL, w.Events, w.Active, w.Secret, micros(w.UpdatedAt), w.ID, micros(seen))
		if err != nil {
			return fmt.Errorf("write webhook %s: %w", w.ID, err)
		}
		return moved(res, "write webhook "+w.ID)
	})
}

// Webhooks lists the scope's by name, and tells how many there are.
func (d *DB) Webhooks(ctx context.Context, scope Scope, p Page) ([]stowage.Webhook, int, error) {
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if p.Filter != "" {
		w.and("(name LIKE ? ESCAPE '!' OR url LIKE ? ESCAPE '!' OR id = ?)", like(p.Filter), like(p.Filter), asciiOr(p.Filter))
	}
	total, err := d.count(ctx, "count webhooks", `SELECT COUNT(*) FROM webhooks WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list webhooks", scanWebhook, `SELECT `+webhookColumns+` FROM webhooks WHERE `+w.String()+
		` ORDER BY `+byName(map[string]string{"name": "name"}, p)+` LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// Webhook gives one webhook: NotFound outside the scope, too.
func (d *DB) Webhook(ctx context.Context, scope Scope, id string) (stowage.Webhook, error) {
	if !ascii(id) {
		return stowage.Webhook{}, noWebhook(id)
	}
	w, err := scanWebhook(d.sql.QueryRowContext(ctx, `SELECT `+webhookColumns+` FROM webhooks WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) || err == nil && scope.ProjectID != "" && w.ProjectID != scope.ProjectID {
		return stowage.Webhook{}, noWebhook(id)
	}
	if err != nil {
		return w, fmt.Errorf("read webhook %s: %w", id, unavailable(err))
	}
	return w, nil
}

// DeleteWebhook deletes a webhook of the scope, and what it was and is to be told.
func (d *DB) DeleteWebhook(ctx context.Context, scope Scope, id string) error {
	w, err := d.Webhook(ctx, scope, id)
	if err != nil {
		return err
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for _, q := range []string{`DELETE FROM webhooks WHERE id = ?`, `DELETE FROM webhook_deliveries WHERE webhook_id = ?`} {
			if _, err := tx.ExecContext(ctx, q, w.ID); err != nil {
				return fmt.Errorf("delete webhook %s: %w", w.ID, err)
			}
		}
		return nil
	})
}

// WebhookKey gives the public key that secrets are sealed to: NotFound if no manager
// has published one.
func (d *DB) WebhookKey(ctx context.Context) (key []byte, err error) {
	err = d.sql.QueryRowContext(ctx, `SELECT public_key FROM webhook_keys WHERE id = 1`).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, stowage.Errorf(stowage.NotFound, "no manager has published a key for webhooks")
	}
	if err != nil {
		return nil, fmt.Errorf("read the key for webhooks: %w", unavailable(err))
	}
	return key, nil
}

// SetWebhookKey publishes the public key.
func (d *DB) SetWebhookKey(ctx context.Context, key []byte) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM webhook_keys WHERE id = 1`); err != nil {
			return fmt.Errorf("publish the key for webhooks: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO webhook_keys (id, public_key) VALUES (1, ?)`, key); err != nil && !duplicate(err) {
			return fmt.Errorf("publish the key for webhooks: %w", err)
		}
		return nil
	})
}

const deliveryColumns = `id, webhook_id, event_id, event_bit, project_id, subject_id, kind, entity_id, backup_uuid, container, volume_bytes, stored_bytes,
	reason, happened_at, state, attempts, next_at, status, took, answer, error, tried_at`

func scanDelivery(row rower) (v stowage.Delivery, err error) {
	var at [3]int64
	err = row.Scan(&v.ID, &v.WebhookID, &v.EventID, &v.Event, &v.ProjectID, &v.Subject, &v.Kind, &v.EntityID, &v.Backup, &v.Container, &v.VolumeBytes,
		&v.StoredBytes, &v.Reason, &at[0], &v.State, &v.Attempts, &at[1], &v.Status, &v.Took, &v.Answer, &v.Error, &at[2])
	v.At, v.NextAt, v.TriedAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2])
	return v, err
}

// AddDelivery writes that a webhook is to be told something that no change tells of.
func (d *DB) AddDelivery(ctx context.Context, v *stowage.Delivery) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO webhook_deliveries (webhook_id, event_id, event_bit, project_id, subject_id, happened_at, state, next_at)
			VALUES (?,?,?,?,?,?,?,?)`, v.WebhookID, v.EventID, v.Event, v.ProjectID, v.Subject, micros(v.At), v.State, micros(v.NextAt))
		if err != nil {
			return fmt.Errorf("write delivery to webhook %s: %w", v.WebhookID, err)
		}
		v.ID, err = res.LastInsertId()
		return err
	})
}

// Deliveries lists what a webhook was and is to be told, the newest first, and how
// many there are.
func (d *DB) Deliveries(ctx context.Context, webhook string, states []stowage.DeliveryState, p Page) ([]stowage.Delivery, int, error) {
	w := where{}
	w.and("webhook_id = ?", webhook)
	oneOf(&w, "state", states)
	total, err := d.count(ctx, "count deliveries", `SELECT COUNT(*) FROM webhook_deliveries WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	list, err := query(ctx, d, "list deliveries", scanDelivery, `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE `+w.String()+
		` ORDER BY id DESC LIMIT ? OFFSET ?`, append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// DueWebhook is a webhook that is to be told something.
type DueWebhook struct{ ID, ProjectID string }

// DueWebhooks gives those that are to be told something now.
func (d *DB) DueWebhooks(ctx context.Context, now time.Time, limit int) ([]DueWebhook, error) {
	return query(ctx, d, "look for webhooks to call", func(row rower) (w DueWebhook, err error) {
		err = row.Scan(&w.ID, &w.ProjectID)
		return w, err
	},
		`SELECT DISTINCT v.webhook_id, w.project_id FROM webhook_deliveries v JOIN webhooks w ON w.id = v.webhook_id
		WHERE v.state = ? AND v.next_at <= ? LIMIT ?`, stowage.DeliveryWaiting, micros(now), limit)
}

// DueDeliveries gives what a webhook is to be told now, the oldest first: nothing while
// somebody tells it something for the first time, for what comes behind that waits.
func (d *DB) DueDeliveries(ctx context.Context, webhook string, now time.Time, limit int) ([]stowage.Delivery, error) {
	return query(ctx, d, "list due deliveries", scanDelivery, `SELECT `+deliveryColumns+` FROM webhook_deliveries
		WHERE webhook_id = ? AND state = ? AND next_at <= ? AND NOT EXISTS (SELECT 1 FROM webhook_deliveries other
			WHERE other.webhook_id = ? AND other.state = ? AND other.next_at > ? AND other.attempts > 0 AND other.tried_at = 0)
		ORDER BY id LIMIT ?`, webhook, stowage.DeliveryWaiting, micros(now), webhook, stowage.DeliveryWaiting, micros(now), limit)
}

// TakeDelivery claims a delivery until a time: Conflict if somebody else has, or it
// is done.
func (d *DB) TakeDelivery(ctx context.Context, v *stowage.Delivery, until time.Time) error {
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE webhook_deliveries SET attempts = attempts + 1, next_at = ? WHERE id = ? AND state = ? AND attempts = ?`,
			micros(until), v.ID, stowage.DeliveryWaiting, v.Attempts)
		if err != nil {
			return fmt.Errorf("take delivery %d: %w", v.ID, err)
		}
		return moved(res, fmt.Sprintf("take delivery %d", v.ID))
	})
	if err == nil {
		v.Attempts++
	}
	return err
}

// SettleDelivery writes what became of an attempt: Conflict if it is another's now.
func (d *DB) SettleDelivery(ctx context.Context, v stowage.Delivery) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = ?, next_at = ?, status = ?, took = ?, answer = ?, error = ?, tried_at = ?
			WHERE id = ? AND state = ? AND attempts = ?`, v.State, micros(v.NextAt), v.Status, int64(v.Took), clip(v.Answer, 1024), clip(v.Error, 1024),
			micros(v.TriedAt), v.ID, stowage.DeliveryWaiting, v.Attempts)
		if err != nil {
			return fmt.Errorf("settle delivery %d: %w", v.ID, err)
		}
		return moved(res, fmt.Sprintf("settle delivery %d", v.ID))
	})
}

// DropDeliveries forgets deliveries of what happened before a time, and tells how many
// there were. None waits for that long.
func (d *DB) DropDeliveries(ctx context.Context, before time.Time, limit int) (int, error) {
	ids, err := query(ctx, d, "look for old deliveries", func(row rower) (id int64, err error) { return id, row.Scan(&id) },
		`SELECT id FROM webhook_deliveries WHERE happened_at < ? LIMIT ?`, micros(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	marks, args := markers(ids)
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM webhook_deliveries WHERE id IN (`+marks+`)`, args...); err != nil {
			return fmt.Errorf("forget deliveries: %w", err)
		}
		return nil
	})
	return len(ids), err
}
