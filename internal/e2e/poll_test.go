//go:build stack

package e2e

import (
	"testing"
	"time"
)

// A loaded machine may take its time; what never comes is noticed all the same.
const patience = 5 * time.Minute

// until asks again and again whether something has become so. It is the only
// place that sleeps.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	if !within(patience, so) {
		t.Fatalf("waited in vain until %s", what)
	}
}

// within is until for what need not come; it tells whether it did.
func within(atMost time.Duration, so func() bool) bool {
	deadline := time.Now().Add(atMost)
	for pause := 5 * time.Millisecond; !so(); pause = min(pause*3/2, 250*time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
	return true
}

// quickly is until for what is over soon: it looks all the time.
func quickly(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
