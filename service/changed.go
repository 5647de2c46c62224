package service

import (
	"context"
	"time"

	"github.com/stowage/stowage"
)

// later is now, or just behind the version that was seen should the clock stand still: it
// tells versions apart.
func (s *Service) later(seen time.Time) time.Time {
	if now := s.Now(); now.After(seen) {
		return now
	}
	return seen.Add(time.Microsecond)
}

// changed reads something with the version that it has, and writes it changed. Whoever
// meets another's change begins anew with that.
func changed[T any](ctx context.Context, what string, read func() (T, time.Time, error), write func(*T, time.Time) error) (T, error) {
	one, seen, err := read()
	for range 20 {
		if err != nil {
			return one, err
		}
		refused := write(&one, seen)
		if stowage.CodeOf(refused) != stowage.Conflict || ctx.Err() != nil {
			return one, refused
		}
		last := seen
		if one, seen, err = read(); err == nil && seen.Equal(last) {
			return one, refused // for another reason
		}
	}
	return one, stowage.Errorf(stowage.Conflict, "%s was changed by somebody else at the same time.", what)
}
