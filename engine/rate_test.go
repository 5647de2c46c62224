package engine

import (
	"context"
	"testing"
	"time"
)

// What goes to and comes from the store is counted, within a few KiB for what
// is small: with next to nothing allowed a second, a burst shrinks by it.
func TestTrafficIsCounted(t *testing.T) {
	r := newRig(t, Options{BytesPerSecond: 1}, true)
	left := func() int64 { return int64(r.rate.Tokens()) }
	near := func(what string, spent, want int64) {
		t.Helper()
		if spent < want-8*kib || spent > want+8*kib {
			t.Errorf("%s: %d bytes are counted instead of %d", what, spent, want)
		}
	}
	before := left()
	b := r.backup(newSource(r.random(2 * mib)))
	near("backup", before-left(), b.StoredBytes)
	before = left()
	r.restore(b)
	near("restore", before-left(), b.StoredBytes)
	before = left()
	r.verify(b, true)
	near("verify", before-left(), b.StoredBytes)
}

// A job that could not end in time under its own limit is told so at once;
// another has a limit of its own.
func TestAJobHasItsOwnLimit(t *testing.T) {
	r := newRig(t, Options{JobBytesPerSecond: 1}, true)
	for range 3 { // more than a burst together
		r.restore(r.backup(newSource(r.random(6 * mib))))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := r.Backup(ctx, r.input(newSource(r.random(20*mib)))); err == nil {
		t.Error("20 MiB went through in an hour, at a byte a second")
	}
	r.whole()
}
