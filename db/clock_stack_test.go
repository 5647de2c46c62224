//go:build stack

package db

import (
	"fmt"
	"testing"
	"time"
)

// The server's clock is told in UTC, to the microsecond, whatever zone the session is in,
// and at hours that a zone has twice.
func TestTheServerTellsItsTimeInWhateverZone(t *testing.T) {
	o := dialects[MySQL](t)
	o.MaxOpen = 1 // so that all is one session
	d := must(Open(o))(t)
	defer d.Close()
	exec := func(q string) {
		t.Helper()
		if _, err := d.sql.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, zone := range []string{"'+00:00'", "'-09:30'", "'+13:00'", "SYSTEM"} {
		exec("SET time_zone = " + zone)
		exec("SET timestamp = DEFAULT")
		at, tells, err := d.ServerTime(t.Context())
		if off := time.Since(at).Abs(); err != nil || !tells || off > time.Minute || at.Location() != time.UTC {
			t.Errorf("%s: %v, %v off, %v", zone, at, off, err)
		}
		for _, want := range []time.Time{noon, time.Date(2026, 10, 25, 1, 30, 0, 654321000, time.UTC), time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)} {
			exec(fmt.Sprintf("SET timestamp = %d.%06d", want.Unix(), want.Nanosecond()/1000))
			if at, _, err := d.ServerTime(t.Context()); err != nil || !at.Equal(want) {
				t.Errorf("%s: %v, not %v, %v", zone, at, want, err)
			}
		}
	}
}
