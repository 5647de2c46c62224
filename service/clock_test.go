package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
)

// What goes by the clock is refused while it and the database's do not agree.
func TestAHostWhoseClockIsWrongBeginsAndRemovesNothing(t *testing.T) {
	for what, c := range map[string]struct {
		ahead   time.Duration
		message string
	}{
		"far ahead":          {400*24*time.Hour + time.Minute, "The clock of this host is 400 days ahead of the database's."},
		"some hours ahead":   {3*time.Hour + time.Minute, "The clock of this host is 3 hours ahead of the database's."},
		"behind":             {-62 * time.Minute, "The clock of this host is 62 minutes behind the database's."},
		"a little ahead":     {59 * time.Minute, ""},
		"a little behind":    {-59 * time.Minute, ""},
		"what nobody checks": {0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			h := harness.New(t)
			h.Verbs.ServerTime = func(context.Context) (time.Time, bool, error) { return h.Clock.Now().Add(-c.ahead), true, nil }
			if c.ahead == 0 {
				h.Verbs.ServerTime = func(context.Context) (time.Time, bool, error) { return time.Time{}, false, nil }
			}
			for verb, call := range map[string]func() error{
				"FireDue":    func() error { return h.Verbs.FireDue(t.Context()) },
				"FollowRuns": func() error { return h.Verbs.FollowRuns(t.Context()) },
				"Cleanup": func() error {
					_, err := h.Verbs.Cleanup(t.Context(), stowage.Job{By: stowage.Origin{PolicyID: "p"}})
					return err
				},
				"CleanupSnapshots": func() error {
					_, err := h.Verbs.CleanupSnapshots(t.Context(), stowage.Job{By: stowage.Origin{PolicyID: "p"}})
					return err
				},
				"MailDailyReports": func() error { return h.Verbs.MailDailyReports(t.Context(), 0) },
			} {
				err := call()
				if c.message == "" && err != nil || c.message != "" && (stowage.CodeOf(err) != stowage.Unavailable || stowage.MessageOf(err) != c.message) {
					t.Errorf("%s: %v", verb, err)
				}
			}
			told := 0
			if c.message != "" {
				told = 1 // and not at every look
			}
			if n := h.LogCount("one of two clocks is wrong"); n != told || told == 1 && !h.LogContains(c.message) {
				t.Errorf("the log tells %d times", n)
			}
		})
	}
}

func TestWhatGoesByTheClockWaitsForTheDatabase(t *testing.T) {
	h := harness.New(t)
	away := stowage.Wrap(stowage.Unavailable, errors.New("no route to host"), "The database is temporarily unavailable.")
	h.Verbs.ServerTime = func(context.Context) (time.Time, bool, error) { return time.Time{}, false, away }
	if err := h.Verbs.FireDue(t.Context()); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
}
