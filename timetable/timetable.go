// Package timetable tells when a schedule is due next, and when it was last. It is
// pure: no clock, no state.
//
// All is UTC: days begin at midnight UTC, and there is no hour that a change of
// clocks would leave out or repeat. A day counts if its month and its weekday are
// among those named (none named: all), and it is the named occurrence of its
// weekday in its month: the first is one of the days 1 to 7, the last one of the
// last seven. On such a day it is due once, or, with an interval, from its first
// time in steps until its last, which still counts. An interval does not go over
// midnight: it could not be said whose day the part behind it is.
package timetable

import (
	"slices"
	"time"

	"github.com/stowage/stowage"
)

// Day is a day's length in UTC.
const Day = 24 * time.Hour

// Shortest is the least step of an interval: managers look for what is due every
// few seconds, and a backup takes longer than that.
const Shortest = time.Minute

// horizon is how far it is looked for a day: every combination of a month, a
// weekday and an occurrence has one in each year.
const horizon = 2 * 366

// Check refuses what can never be due, or has no one meaning: Invalid.
func Check(t stowage.Timetable) error {
	invalid := func(message string) error { return stowage.Errorf(stowage.Invalid, "%s", message) }
	for _, d := range t.Days {
		if d < time.Sunday || d > time.Saturday {
			return invalid("There is no such day of the week.")
		}
	}
	for _, m := range t.Months {
		if m < time.January || m > time.December {
			return invalid("There is no such month.")
		}
	}
	for _, o := range t.Occurrences {
		if o != -1 && (o < 1 || o > 4) {
			return invalid("There is no such occurrence in a month.")
		}
	}
	i := t.Interval
	switch {
	case i == nil && (t.At < 0 || t.At >= Day):
		return invalid("The hour must be within a day.")
	case i == nil:
		return nil
	case i.From < 0 || i.From >= Day || i.To < 0 || i.To > Day:
		return invalid("The interval's hours must be within a day.")
	case i.To < i.From:
		return invalid("The interval must not go over midnight: make two schedules of it.")
	case i.Every < Shortest || i.Every > Day:
		return invalid("The interval's frequency must be from one minute to one day.")
	}
	return nil
}

// Next is the first due time after the given one; false: there is none.
func Next(t stowage.Timetable, after time.Time) (time.Time, bool) {
	day := midnight(after)
	for range horizon {
		if counts(t, day) {
			if at, ok := firstAfter(t, after.Sub(day)); ok {
				return day.Add(at), true
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

// Previous is the last due time that is not after the given one; false: there is none.
func Previous(t stowage.Timetable, upTo time.Time) (time.Time, bool) {
	day := midnight(upTo)
	for range horizon {
		if counts(t, day) {
			if at, ok := lastUpTo(t, upTo.Sub(day)); ok {
				return day.Add(at), true
			}
		}
		day = day.AddDate(0, 0, -1)
	}
	return time.Time{}, false
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(Day) }

// counts reports whether it is due on a day at all.
func counts(t stowage.Timetable, day time.Time) bool {
	if len(t.Months) > 0 && !slices.Contains(t.Months, day.Month()) || len(t.Days) > 0 && !slices.Contains(t.Days, day.Weekday()) {
		return false
	}
	if len(t.Occurrences) == 0 {
		return true
	}
	last := day.AddDate(0, 0, 7).Month() != day.Month()
	return slices.Contains(t.Occurrences, (day.Day()-1)/7+1) || last && slices.Contains(t.Occurrences, -1)
}

// firstAfter is the first time of a day behind so much of it. Less than nothing of
// it has passed on days to come.
func firstAfter(t stowage.Timetable, passed time.Duration) (time.Duration, bool) {
	i := t.Interval
	switch {
	case i == nil:
		return t.At, t.At > passed
	case i.Every <= 0:
		return 0, false
	case passed < i.From:
		return i.From, true
	}
	at := i.From + ((passed-i.From)/i.Every+1)*i.Every
	return at, at <= i.To && at < Day
}

// lastUpTo is the last time of a day within so much of it.
func lastUpTo(t stowage.Timetable, passed time.Duration) (time.Duration, bool) {
	i := t.Interval
	switch {
	case i == nil:
		return t.At, t.At <= passed
	case i.Every <= 0 || passed < i.From:
		return 0, false
	}
	return i.From + (min(passed, i.To, Day-1)-i.From)/i.Every*i.Every, true
}
