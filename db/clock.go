package db

import (
	"context"
	"fmt"
	"time"
)

// ServerTime tells the time by the database server's clock; false: it has none of its
// own. SQLite is on this host, and takes our word for the time.
func (d *DB) ServerTime(ctx context.Context) (at time.Time, tells bool, err error) {
	if d.dialect != MySQL {
		return time.Time{}, false, nil
	}
	var us int64
	// Counted from UTC to UTC, so that the session's time zone is not in it.
	err = d.sql.QueryRowContext(ctx, `SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))`).Scan(&us)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("ask the database for the time: %w", unavailable(err))
	}
	return time.UnixMicro(us).UTC(), true, nil
}
