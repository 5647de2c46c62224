package rpc

import (
	"context"
	"time"
)

// backoff spaces attempts: exponential, with full jitter, so that a hundred
// managers do not meet a restarted broker all at once.
type backoff struct {
	base, max time.Duration
	random    func() float64 // [0,1), safe for concurrent use
}

// delay is a random time up to base * 2^attempt, at most max.
func (b backoff) delay(attempt int) time.Duration {
	ceiling := b.base
	for range attempt {
		if ceiling >= b.max {
			break
		}
		ceiling *= 2
	}
	return time.Duration(b.random() * float64(min(ceiling, b.max)))
}

// wait sleeps before the next attempt, and is false when ctx ended meanwhile.
func (b backoff) wait(ctx context.Context, attempt int) bool {
	timer := time.NewTimer(b.delay(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
