package db

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

func session(t *testing.T, d *DB, name string, idle, end time.Duration) LoginSession {
	t.Helper()
	s := LoginSession{
		Hash: sha256.Sum256([]byte(name)), UserID: "u", ProjectID: "p", Sealed: []byte{0, 1, 0xff},
		CreatedAt: noon, IdleUntil: noon.Add(idle), EndsAt: noon.Add(end),
	}
	if err := d.AddLoginSession(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASessionLivesUntilItIsIdleOrOld(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		s := session(t, d, "a", time.Minute, time.Hour)
		if got := must(d.LoginSession(t.Context(), s.Hash, noon))(t); fmt.Sprint(got) != fmt.Sprint(s) {
			t.Errorf("got %v, want %v", got, s)
		}
		_, err := d.LoginSession(t.Context(), s.Hash, noon.Add(time.Minute))
		wantCode(t, err, stowage.NotFound)
		if err := d.UseLoginSession(t.Context(), s.Hash, noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		must(d.LoginSession(t.Context(), s.Hash, noon.Add(59*time.Minute)))(t)
		_, err = d.LoginSession(t.Context(), s.Hash, noon.Add(time.Hour))
		wantCode(t, err, stowage.NotFound)
	})
}

func TestSessionsThatAreOverAreReaped(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		session(t, d, "idle", time.Minute, time.Hour)
		session(t, d, "old", time.Hour, time.Minute)
		left := session(t, d, "good", time.Hour, time.Hour)
		ended := session(t, d, "left", time.Hour, time.Hour)
		if err := d.EndLoginSession(t.Context(), ended.Hash); err != nil {
			t.Fatal(err)
		}
		if n := must(d.ReapLoginSessions(t.Context(), noon.Add(time.Minute), 10))(t); n != 2 {
			t.Errorf("%d reaped", n)
		}
		must(d.LoginSession(t.Context(), left.Hash, noon))(t)
		var rows int
		if err := d.sql.QueryRow(`SELECT COUNT(*) FROM login_sessions`).Scan(&rows); err != nil || rows != 1 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}
