package db

import "testing"

func TestSQLiteHasNoClockOfItsOwn(t *testing.T) {
	d := must(Open(dialects[SQLite](t)))(t)
	defer d.Close()
	if at, tells, err := d.ServerTime(t.Context()); tells || err != nil || !at.IsZero() {
		t.Errorf("%v, %v, %v", at, tells, err)
	}
}
