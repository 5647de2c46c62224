package service

import (
	"time"

	"github.com/stowage/stowage"
)

// When says when a job may begin, and before which others. Zero: now, and among
// its likes.
type When struct {
	Priority   *int      // nil: stowage.PriorityDefault
	Retries    *int      // after a failure; nil: as the operator says
	Start, End time.Time // a job that has not begun by the end fails; zero: no bound
}

func (w When) check(now time.Time) error {
	switch {
	case w.Priority != nil && (*w.Priority < stowage.PriorityMin || *w.Priority > stowage.PriorityMax):
		return stowage.Errorf(stowage.Invalid, "The priority must be from %d to %d.", stowage.PriorityMin, stowage.PriorityMax)
	case w.Retries != nil && (*w.Retries < 0 || *w.Retries > maxRetries):
		return stowage.Errorf(stowage.Invalid, "A task is tried again %d times at most.", maxRetries)
	case w.End.IsZero():
		return nil
	case w.End.Before(w.Start):
		return stowage.Errorf(stowage.Invalid, "The window ends before it begins.")
	case !w.End.After(now):
		return stowage.Errorf(stowage.Invalid, "The window has ended already.")
	}
	return nil
}

// on writes it on a job.
func (w When) on(j *stowage.Job) {
	if w.Priority != nil {
		j.Priority = *w.Priority
	}
	j.WindowStart, j.WindowEnd, j.Params.Retries = w.Start, w.End, w.Retries
}

// later reports whether a job has to wait so long that its volume must not be
// locked meanwhile: whoever begins it locks it then.
func (w When) later(now time.Time) bool { return w.Start.After(now.Add(soon)) }

const soon = time.Minute

const maxRetries = 100
