package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stowage/stowage"
)

// What is begun or deleted because its time has come is so by the clock of this host. Where
// that is wrong, one manager would delete all that is kept by age, and move every schedule
// beyond the wrong time. So before such a thing it is held against the one clock that all
// managers see, the database server's.

// clockOff is how far the two may differ: less than anything is kept for, and more than
// clocks that are looked after ever do.
const clockOff = time.Hour

// toldEvery is how often the log tells of a wrong clock, by the database's.
const toldEvery = time.Minute

// clocks is what a service remembers of them.
type clocks struct {
	mu   sync.Mutex
	told time.Time // the log told of a wrong one, by the database's clock
	back time.Time // it was last looked for schedules to set back, by our own
}

// checkClock refuses with Unavailable while the clock of this host and the database's are
// more than clockOff apart. Where no other clock is known it refuses nothing.
func (s *Service) checkClock(ctx context.Context) error {
	if s.ServerTime == nil {
		return nil
	}
	before := s.Now()
	at, tells, err := s.ServerTime(ctx)
	if err != nil || !tells {
		return err
	}
	// The answer may have been long on its way.
	ahead, behind := before.Sub(at), at.Sub(s.Now())
	if ahead <= clockOff && behind <= clockOff {
		return nil
	}
	far, where := ahead, "ahead of"
	if behind > ahead {
		far, where = behind, "behind"
	}
	wrong := stowage.Errorf(stowage.Unavailable, "The clock of this host is %s %s the database's.", span(far), where)
	s.clocks.mu.Lock()
	tell := at.Sub(s.clocks.told).Abs() >= toldEvery
	if tell {
		s.clocks.told = at
	}
	s.clocks.mu.Unlock()
	if tell {
		s.Log.ErrorContext(ctx, "one of two clocks is wrong: until they agree, this host begins no scheduled run, removes nothing by age and mails no report",
			"error", wrong, "here", before.UTC(), "database", at)
	}
	return wrong
}

// span is a length of time as people say it, to the nearest.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", (d+12*time.Hour)/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", (d+30*time.Minute)/time.Hour)
	}
	return fmt.Sprintf("%d minutes", (d+30*time.Second)/time.Minute)
}
