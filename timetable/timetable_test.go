package timetable

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

const ten = 10 * time.Hour

var (
	sunday  = []time.Weekday{time.Sunday}
	workday = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhenItIsDueNextAndWasLast(t *testing.T) {
	every := func(from, to, step time.Duration) stowage.Timetable {
		return stowage.Timetable{Interval: &stowage.Interval{From: from, To: to, Every: step}}
	}
	for what, c := range map[string]struct {
		table            stowage.Timetable
		now, last, after string
	}{
		"every day, before":         {stowage.Timetable{At: ten}, "2026-11-21 09:59", "2026-11-20 10:00", "2026-11-21 10:00"},
		"every day, on the minute":  {stowage.Timetable{At: ten}, "2026-11-21 10:00", "2026-11-21 10:00", "2026-11-22 10:00"},
		"at midnight":               {stowage.Timetable{}, "2026-12-31 23:59", "2026-12-31 00:00", "2027-01-01 00:00"},
		"work days, on a Saturday":  {stowage.Timetable{At: ten, Days: workday}, "2026-11-21 12:00", "2026-11-20 10:00", "2026-11-23 10:00"},
		"over the end of the year":  {stowage.Timetable{At: ten, Days: sunday}, "2026-12-28 00:00", "2026-12-27 10:00", "2027-01-03 10:00"},
		"first Sunday":              {stowage.Timetable{At: ten, Days: sunday, Occurrences: []int{1}}, "2026-11-21 00:00", "2026-11-01 10:00", "2026-12-06 10:00"},
		"second and fourth Sunday":  {stowage.Timetable{At: ten, Days: sunday, Occurrences: []int{2, 4}}, "2026-11-21 00:00", "2026-11-08 10:00", "2026-11-22 10:00"},
		"last Sunday, the fourth":   {stowage.Timetable{At: ten, Days: sunday, Occurrences: []int{-1}}, "2026-02-01 00:00", "2026-01-25 10:00", "2026-02-22 10:00"},
		"last Sunday, the fifth":    {stowage.Timetable{At: ten, Days: sunday, Occurrences: []int{-1}}, "2026-11-21 00:00", "2026-10-25 10:00", "2026-11-29 10:00"},
		"last days of a month":      {stowage.Timetable{At: ten, Occurrences: []int{-1}}, "2026-11-20 00:00", "2026-10-31 10:00", "2026-11-24 10:00"},
		"February of a leap year":   {stowage.Timetable{At: ten, Months: []time.Month{time.February}, Occurrences: []int{-1}}, "2028-02-29 09:00", "2028-02-28 10:00", "2028-02-29 10:00"},
		"behind a leap day":         {stowage.Timetable{At: ten, Months: []time.Month{time.February}, Occurrences: []int{-1}}, "2028-02-29 10:00", "2028-02-29 10:00", "2029-02-22 10:00"},
		"last Tuesday is leap day":  {stowage.Timetable{At: ten, Days: []time.Weekday{time.Tuesday}, Months: []time.Month{time.February}, Occurrences: []int{-1}}, "2028-02-23 00:00", "2027-02-23 10:00", "2028-02-29 10:00"},
		"2100 is no leap year":      {stowage.Timetable{At: ten, Months: []time.Month{time.February}}, "2100-02-28 10:00", "2100-02-28 10:00", "2101-02-01 10:00"},
		"two months":                {stowage.Timetable{At: ten, Months: []time.Month{time.January, time.July}}, "2026-03-01 00:00", "2026-01-31 10:00", "2026-07-01 10:00"},
		"within an interval":        {every(8*time.Hour, 18*time.Hour, 4*time.Hour), "2026-11-21 13:00", "2026-11-21 12:00", "2026-11-21 16:00"},
		"the interval's last":       {every(8*time.Hour, 18*time.Hour, 4*time.Hour), "2026-11-21 16:00", "2026-11-21 16:00", "2026-11-22 08:00"},
		"its end counts":            {every(8*time.Hour, 16*time.Hour, 4*time.Hour), "2026-11-21 15:59", "2026-11-21 12:00", "2026-11-21 16:00"},
		"before an interval":        {every(8*time.Hour, 18*time.Hour, 4*time.Hour), "2026-11-21 07:59", "2026-11-20 16:00", "2026-11-21 08:00"},
		"all day":                   {every(0, Day, time.Hour), "2026-11-21 23:30", "2026-11-21 23:00", "2026-11-22 00:00"},
		"an interval of one time":   {every(ten, ten, time.Hour), "2026-11-21 11:00", "2026-11-21 10:00", "2026-11-22 10:00"},
		"an interval, Sundays only": {stowage.Timetable{Days: sunday, Interval: &stowage.Interval{From: 0, To: 12 * time.Hour, Every: 6 * time.Hour}}, "2026-11-21 08:00", "2026-11-15 12:00", "2026-11-22 00:00"},
	} {
		if err := Check(c.table); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, ok := Next(c.table, at(t, c.now)); !ok || !got.Equal(at(t, c.after)) {
			t.Errorf("%s: next %v, want %s", what, got, c.after)
		}
		if got, ok := Previous(c.table, at(t, c.now)); !ok || !got.Equal(at(t, c.last)) {
			t.Errorf("%s: last %v, want %s", what, got, c.last)
		}
	}
}

func TestTheZoneOfTheQuestionDoesNotMatter(t *testing.T) {
	east := time.FixedZone("east", 9*3600)
	got, _ := Next(stowage.Timetable{At: ten}, at(t, "2026-11-21 09:00").In(east))
	if !got.Equal(at(t, "2026-11-21 10:00")) || got.Location() != time.UTC {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsNeverDueIsRefused(t *testing.T) {
	for what, table := range map[string]stowage.Timetable{
		"hour behind the day":     {At: Day},
		"hour before it":          {At: -1},
		"over midnight":           {Interval: &stowage.Interval{From: 22 * time.Hour, To: 4 * time.Hour, Every: time.Hour}},
		"too often":               {Interval: &stowage.Interval{To: Day, Every: time.Second}},
		"no step":                 {Interval: &stowage.Interval{To: Day}},
		"a step beyond a day":     {Interval: &stowage.Interval{To: Day, Every: Day + 1}},
		"an end behind the day":   {Interval: &stowage.Interval{To: Day + 1, Every: time.Hour}},
		"a beginning behind it":   {Interval: &stowage.Interval{From: Day, To: Day, Every: time.Hour}},
		"a thirteenth month":      {Months: []time.Month{13}},
		"an eighth day":           {Days: []time.Weekday{7}},
		"a fifth Sunday":          {Occurrences: []int{5}},
		"the one before the last": {Occurrences: []int{-2}},
	} {
		if err := Check(table); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever the table, what is next is behind now, nothing lies between what was
// last and what is next, and what is next is what was last once it has come.
func TestNextAndPreviousAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		table := stowage.Timetable{At: time.Duration(r.IntN(24*60)) * time.Minute}
		for d := range time.Weekday(7) {
			if r.IntN(3) == 0 {
				table.Days = append(table.Days, d)
			}
		}
		for m := time.January; m <= time.December; m++ {
			if r.IntN(4) == 0 {
				table.Months = append(table.Months, m)
			}
		}
		for _, o := range []int{1, 2, 3, 4, -1} {
			if r.IntN(4) == 0 {
				table.Occurrences = append(table.Occurrences, o)
			}
		}
		if r.IntN(2) == 0 {
			from := time.Duration(r.IntN(24*60)) * time.Minute
			table.Interval = &stowage.Interval{From: from, To: from + time.Duration(r.IntN(24*60-int(from/time.Minute)))*time.Minute,
				Every: time.Duration(1+r.IntN(600)) * time.Minute}
		}
		if err := Check(table); err != nil {
			t.Fatalf("%+v: %v", table, err)
		}
		now := time.Date(2024, 1, 1, 0, 0, r.IntN(4*365*24*3600), 0, time.UTC)
		next, ok := Next(table, now)
		last, had := Previous(table, now)
		if !ok || !had || !next.After(now) || last.After(now) {
			t.Fatalf("%+v at %v: last %v, next %v", table, now, last, next)
		}
		if again, _ := Next(table, last); !again.Equal(next) {
			t.Fatalf("%+v: behind %v comes %v, not %v", table, last, again, next)
		}
		if again, _ := Previous(table, next); !again.Equal(next) {
			t.Fatalf("%+v: at %v the last was %v", table, next, again)
		}
		if again, _ := Previous(table, next.Add(-1)); !again.Equal(last) {
			t.Fatalf("%+v: before %v was %v, not %v", table, next, again, last)
		}
	}
}
