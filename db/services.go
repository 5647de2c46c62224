package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

const serviceColumns = `host, kind, instance, version, backends, enabled, disabled_reason, started_at, last_seen`

// Report writes that a service is alive. Whether it is enabled is the
// operator's word and stays as it is.
func (d *DB) Report(ctx context.Context, s stowage.Service) error {
	backends, err := json.Marshal(s.Backends)
	if err != nil {
		return fmt.Errorf("report service %s: %w", s.Host, err)
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE services SET instance = ?, version = ?, backends = ?, started_at = ?, last_seen = ?
			WHERE host = ? AND kind = ?`,
			s.Instance, s.Version, string(backends), micros(s.StartedAt), micros(s.LastSeen), s.Host, s.Kind)
		if err != nil {
			return fmt.Errorf("report service %s: %w", s.Host, err)
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO services (`+serviceColumns+`) VALUES (?,?,?,?,?,?,?,?,?)`,
			s.Host, s.Kind, s.Instance, s.Version, string(backends), true, "", micros(s.StartedAt), micros(s.LastSeen))
		if err != nil && !duplicate(err) {
			return fmt.Errorf("report service %s: %w", s.Host, err)
		}
		return nil
	})
}

// Services lists all services that ever reported, by host.
func (d *DB) Services(ctx context.Context) ([]stowage.Service, error) {
	return query(ctx, d, "list services", scanService, `SELECT `+serviceColumns+` FROM services ORDER BY host, kind`)
}

func scanService(row rower) (stowage.Service, error) {
	var (
		s             stowage.Service
		backends      string
		started, seen int64
	)
	err := row.Scan(&s.Host, &s.Kind, &s.Instance, &s.Version, &backends, &s.Enabled, &s.DisabledReason, &started, &seen)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(backends), &s.Backends); err != nil {
		return s, fmt.Errorf("service %s: its backends: %w", s.Host, err)
	}
	s.StartedAt, s.LastSeen = fromMicros(started), fromMicros(seen)
	return s, nil
}

// EnableService writes the operator's word: NotFound for a service that never reported.
func (d *DB) EnableService(ctx context.Context, host, kind string, enabled bool, reason string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE services SET enabled = ?, disabled_reason = ? WHERE host = ? AND kind = ?`,
			enabled, clip(reason, 255), host, kind)
		if err != nil {
			return fmt.Errorf("change service %s: %w", host, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return stowage.Errorf(stowage.NotFound, "There is no %s on host %s.", kind, host)
	})
}

// RemoveService forgets a service that will not come back: Conflict if it was
// seen after the given time.
func (d *DB) RemoveService(ctx context.Context, host, kind string, notSince time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM services WHERE host = ? AND kind = ? AND last_seen <= ?`, host, kind, micros(notSince))
		if err != nil {
			return fmt.Errorf("remove service %s: %w", host, err)
		}
		return moved(res, "remove service "+host)
	})
}
