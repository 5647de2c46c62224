package db

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// LoginSession is a login as it may lie about: its ticket's hash, and a token
// that only the ticket opens.
type LoginSession struct {
	Hash      [sha256.Size]byte
	UserID    string
	ProjectID string
	Sealed    []byte
	CreatedAt time.Time
	IdleUntil time.Time // over, unless used before
	EndsAt    time.Time // over, used or not
}

// AddLoginSession writes a new one.
func (d *DB) AddLoginSession(ctx context.Context, s LoginSession) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO login_sessions (ticket_hash, user_id, project_id, sealed, created_at, idle_until, ends_at)
			VALUES (?,?,?,?,?,?,?)`, s.Hash[:], s.UserID, s.ProjectID, s.Sealed, micros(s.CreatedAt), micros(s.IdleUntil), micros(s.EndsAt))
		if err != nil {
			return fmt.Errorf("write a login session: %w", err)
		}
		return nil
	})
}

// LoginSession finds one that is not over: NotFound otherwise.
func (d *DB) LoginSession(ctx context.Context, hash [sha256.Size]byte, now time.Time) (LoginSession, error) {
	s := LoginSession{Hash: hash}
	var at [3]int64
	err := d.sql.QueryRowContext(ctx, `SELECT user_id, project_id, sealed, created_at, idle_until, ends_at FROM login_sessions
		WHERE ticket_hash = ? AND idle_until > ? AND ends_at > ?`, hash[:], micros(now), micros(now)).
		Scan(&s.UserID, &s.ProjectID, &s.Sealed, &at[0], &at[1], &at[2])
	if errors.Is(err, sql.ErrNoRows) {
		return s, stowage.Errorf(stowage.NotFound, "The session is over.")
	}
	if err != nil {
		return s, fmt.Errorf("read a login session: %w", unavailable(err))
	}
	s.CreatedAt, s.IdleUntil, s.EndsAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2])
	return s, nil
}

// UseLoginSession lets one be idle for longer; one that is gone stays so.
func (d *DB) UseLoginSession(ctx context.Context, hash [sha256.Size]byte, until time.Time) error {
	return d.changeSessions(ctx, `UPDATE login_sessions SET idle_until = ? WHERE ticket_hash = ?`, micros(until), hash[:])
}

// EndLoginSession forgets one; one that is gone is no error.
func (d *DB) EndLoginSession(ctx context.Context, hash [sha256.Size]byte) error {
	return d.changeSessions(ctx, `DELETE FROM login_sessions WHERE ticket_hash = ?`, hash[:])
}

func (d *DB) changeSessions(ctx context.Context, q string, args ...any) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return fmt.Errorf("change a login session: %w", err)
		}
		return nil
	})
}

// ReapLoginSessions forgets those that are over, at most limit of each kind, and
// tells how many. It may run on many machines at once.
func (d *DB) ReapLoginSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	reaped := 0
	for _, column := range []string{"idle_until", "ends_at"} {
		hashes, err := query(ctx, d, "look for sessions that are over", func(row rower) ([]byte, error) {
			var hash []byte
			err := row.Scan(&hash)
			return hash, err
		}, `SELECT ticket_hash FROM login_sessions WHERE `+column+` <= ? ORDER BY `+column+` LIMIT ?`, micros(now), limit)
		if err != nil {
			return reaped, err
		}
		if len(hashes) == 0 {
			continue
		}
		marks, args := markers(hashes)
		// The bound again: one may have been used since.
		err = d.changeSessions(ctx, `DELETE FROM login_sessions WHERE ticket_hash IN (`+marks+`) AND `+column+` <= ?`, append(args, micros(now))...)
		if err != nil {
			return reaped, err
		}
		reaped += len(hashes)
	}
	return reaped, nil
}
