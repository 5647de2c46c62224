package retention

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// aged is a good full backup of so many days ago, with its age as its id.
func aged(days int64, change ...func(*Backup)) Backup {
	b := Backup{ID: days, At: now.Add(-time.Duration(days) * day), Good: true}
	for _, c := range change {
		c(&b)
	}
	return b
}

func incremental(b *Backup) { b.Incremental = true }
func bad(b *Backup)         { b.Good = false }
func busy(b *Backup)        { b.Busy = true }
func mark(m stowage.RetentionMark) func(*Backup) {
	return func(b *Backup) { b.Mark = m }
}
func until(days int) func(*Backup) {
	return func(b *Backup) { b.Mark, b.Until = stowage.MarkArchive, now.Add(time.Duration(days)*day) }
}

func by(rule string) func(*Backup) { return func(b *Backup) { b.Rule = rule } }

// numbered gives what is said to rules called a, b and so on.
func numbered(list []stowage.Retention) (out []stowage.Rule) {
	for i, r := range list {
		out = append(out, stowage.Rule{ID: string(rune('a' + i)), Is: stowage.RuleDetails{Retention: r}})
	}
	return out
}

func TestWhatIsRemoved(t *testing.T) {
	last := func(n int) stowage.Retention { return stowage.Retention{Full: stowage.Keep{Last: n}} }
	newer := func(days int) stowage.Retention {
		return stowage.Retention{Full: stowage.Keep{Newer: time.Duration(days) * day}}
	}
	keepLast := func(r stowage.Retention) stowage.Retention { r.KeepLast = true; return r }
	four := []Backup{aged(1), aged(2), aged(3), aged(4)}
	for what, c := range map[string]struct {
		backups []Backup
		rules   []stowage.Retention
		gone    bool // the source is
		want    []int64
	}{
		"nothing is said":                 {four, []stowage.Retention{{}}, false, nil},
		"there is no rule":                {four, nil, false, nil},
		"the last two":                    {four, []stowage.Retention{last(2)}, false, []int64{3, 4}},
		"the order does not matter":       {[]Backup{aged(3), aged(1), aged(4), aged(2)}, []stowage.Retention{last(2)}, false, []int64{3, 4}},
		"newer than":                      {four, []stowage.Retention{newer(3)}, false, []int64{3, 4}},
		"one or the other":                {four, []stowage.Retention{{Full: stowage.Keep{Last: 1, Newer: 3 * day}}}, false, []int64{3, 4}},
		"any rule that keeps":             {four, []stowage.Retention{last(1), last(3)}, false, []int64{4}},
		"a rule that says nothing":        {four, []stowage.Retention{last(1), {}}, false, nil},
		"all are old":                     {four, []stowage.Retention{newer(1)}, false, []int64{1, 2, 3, 4}},
		"all are old but the last stays":  {four, []stowage.Retention{keepLast(newer(1))}, false, []int64{2, 3, 4}},
		"the source is gone":              {four, []stowage.Retention{keepLast(newer(1))}, true, []int64{1, 2, 3, 4}},
		"the last good one is not newest": {[]Backup{aged(1, bad), aged(2), aged(3)}, []stowage.Retention{keepLast(newer(1))}, false, []int64{1, 3}},
		"bad ones take no place":          {[]Backup{aged(1, bad), aged(2), aged(3, bad), aged(4), aged(5)}, []stowage.Retention{last(2)}, false, []int64{5}},
		"bad ones go in the end":          {[]Backup{aged(1), aged(2), aged(3, bad)}, []stowage.Retention{last(2)}, false, []int64{3}},
		"kinds are counted apart": {[]Backup{aged(1, incremental), aged(2), aged(3, incremental), aged(4), aged(5, incremental)},
			[]stowage.Retention{{Full: stowage.Keep{Last: 1}, Incremental: stowage.Keep{Last: 2}}}, false, []int64{4, 5}},
		"of one kind nothing is said":   {[]Backup{aged(1), aged(2), aged(9, incremental)}, []stowage.Retention{last(1)}, false, []int64{2}},
		"what is busy stays":            {[]Backup{aged(1), aged(2, busy)}, []stowage.Retention{last(1)}, false, nil},
		"what is pinned stays":          {[]Backup{aged(1), aged(2, mark(stowage.MarkDontTouch)), aged(3)}, []stowage.Retention{last(1)}, false, []int64{3}},
		"and takes no place":            {[]Backup{aged(1, mark(stowage.MarkDontTouch)), aged(2), aged(3)}, []stowage.Retention{last(1)}, false, []int64{3}},
		"archived until then":           {[]Backup{aged(1), aged(2, until(1)), aged(3, until(-1)), aged(4, mark(stowage.MarkArchive))}, []stowage.Retention{last(1)}, false, []int64{3}},
		"marked":                        {[]Backup{aged(1, mark(stowage.MarkRemove)), aged(2)}, []stowage.Retention{last(1)}, false, []int64{1}},
		"marked, and the last of all":   {[]Backup{aged(1, mark(stowage.MarkRemove))}, []stowage.Retention{keepLast(last(1))}, false, nil},
		"marked without any rule":       {[]Backup{aged(1, mark(stowage.MarkRemove))}, nil, false, []int64{1}},
		"each rule counts its own":      {[]Backup{aged(1, by("a")), aged(2, by("a")), aged(3, by("b")), aged(4, by("b"))}, []stowage.Retention{last(1), last(2)}, false, []int64{2}},
		"and keeps no other's":          {[]Backup{aged(1, by("a")), aged(2, by("a")), aged(3, by("b")), aged(4, by("b"))}, []stowage.Retention{last(2), last(1)}, false, []int64{4}},
		"nor by their age":              {[]Backup{aged(1, by("a")), aged(2, by("a")), aged(3, by("b"))}, []stowage.Retention{newer(2), newer(9)}, false, []int64{2}},
		"of a rule that is gone":        {[]Backup{aged(1, by("a")), aged(2, by("x")), aged(3, by("x"))}, []stowage.Retention{last(2)}, false, []int64{3}},
		"the new rule's take its place": {[]Backup{aged(1, by("a")), aged(2, by("a")), aged(3, by("x")), aged(4, by("x"))}, []stowage.Retention{last(2)}, false, []int64{3, 4}},
		"if all rules' are enough":      {[]Backup{aged(1, by("a")), aged(2, by("b")), aged(3, by("x")), aged(4)}, []stowage.Retention{last(1), last(3)}, false, []int64{4}},
		"of kinds apart": {[]Backup{aged(1, by("a"), incremental), aged(2, by("a"), incremental), aged(3, by("x")), aged(4, by("x"))},
			[]stowage.Retention{{Full: stowage.Keep{Last: 2}, Incremental: stowage.Keep{Last: 2}}}, false, nil},
		"the last good one of all rules":  {[]Backup{aged(1, by("a"), bad), aged(2, by("b")), aged(3, by("a"))}, []stowage.Retention{keepLast(newer(1)), newer(1)}, false, []int64{1, 3}},
		"bad ones by those of their rule": {[]Backup{aged(1, by("b")), aged(2, by("a"), bad), aged(3, by("a")), aged(4, by("a"), bad)}, []stowage.Retention{last(1), last(1)}, false, []int64{4}},
		"bad ones of a rule that is gone": {[]Backup{aged(1, by("a")), aged(2, by("x"), bad)}, []stowage.Retention{last(1)}, false, []int64{2}},
		"of one time by their numbers":    {[]Backup{{ID: 1, At: now, Good: true}, {ID: 2, At: now, Good: true}}, []stowage.Retention{last(1)}, false, []int64{1}},
	} {
		got := []int64{}
		for _, r := range Decide(c.backups, numbered(c.rules), !c.gone, now) {
			if r.Why == "" {
				t.Errorf("%s: %d goes for no reason", what, r.ID)
			}
			got = append(got, r.ID)
		}
		slices.Sort(got)
		if fmt.Sprint(got) != fmt.Sprint(append([]int64{}, c.want...)) {
			t.Errorf("%s: removed %v, want %v", what, got, c.want)
		}
	}
}

func TestTheMonthlyBackupsOutliveTheDailyOnes(t *testing.T) {
	rules := numbered([]stowage.Retention{{Full: stowage.Keep{Last: 7}}, {Full: stowage.Keep{Last: 12}}})
	monthly := func(at time.Time) bool { return at.Day() == 1 }
	var list []Backup
	for age := range int64(300) {
		b := aged(age, by("a"))
		if monthly(b.At) {
			b.Rule = "b"
		}
		list = append(list, b)
	}
	var left []int64
	gone := map[int64]bool{}
	for _, r := range Decide(list, rules, true, now) {
		gone[r.ID] = true
	}
	for _, b := range list {
		if !gone[b.ID] {
			left = append(left, b.ID)
		} else if monthly(b.At) {
			t.Errorf("that of %s is gone", b.At.Format(time.DateOnly))
		}
	}
	if len(left) != 7+10 {
		t.Errorf("left are %v", left)
	}
}

// What holds for whatever backups and rules there are.
func TestNoHistoryLosesWhatIsToBeKept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	keep := func() stowage.Keep {
		return stowage.Keep{Last: r.IntN(4), Newer: time.Duration(r.IntN(3)*r.IntN(10)) * day}
	}
	for range 20000 {
		var list []Backup
		for id := range int64(r.IntN(12)) {
			b := Backup{ID: id, At: now.Add(-time.Duration(r.IntN(20*24)) * time.Hour), Incremental: r.IntN(2) == 0, Good: r.IntN(4) > 0, Busy: r.IntN(8) == 0, Rule: []string{"a", "b", "c", ""}[r.IntN(4)]}
			b.Mark = []stowage.RetentionMark{"", "", "", "", stowage.MarkDontTouch, stowage.MarkArchive, stowage.MarkRemove}[r.IntN(7)]
			list = append(list, b)
		}
		var said []stowage.Retention
		for range r.IntN(4) {
			said = append(said, stowage.Retention{Full: keep(), Incremental: keep(), KeepLast: r.IntN(2) == 0})
		}
		rules := numbered(said)
		// those by which a backup is kept or not: its own, or any
		judges := func(b Backup) []stowage.Rule {
			if i := slices.IndexFunc(rules, func(rule stowage.Rule) bool { return rule.ID == b.Rule }); i >= 0 {
				return rules[i : i+1]
			}
			return rules
		}
		exists := r.IntN(2) == 0
		removed := map[int64]bool{}
		for _, d := range Decide(list, rules, exists, now) {
			if removed[d.ID] {
				t.Fatalf("%d goes twice", d.ID)
			}
			removed[d.ID] = true
		}
		fail := func(why string) {
			t.Helper()
			t.Fatalf("%s: removed %v of %+v by %+v (source there: %v)", why, removed, list, rules, exists)
		}
		good, left, wanted := 0, 0, false
		for _, rule := range rules {
			wanted = wanted || rule.Is.Retention.KeepLast
		}
		for _, b := range list {
			if b.Good {
				good++
				if !removed[b.ID] {
					left++
				}
			}
			if removed[b.ID] && (b.Busy || b.Mark == stowage.MarkDontTouch || b.Mark == stowage.MarkArchive) {
				fail("what is to stay goes")
			}
			for _, rule := range judges(b) {
				k := rule.Is.Retention.Full
				if b.Incremental {
					k = rule.Is.Retention.Incremental
				}
				if removed[b.ID] && b.Mark == "" && (!k.Says() || k.Newer > 0 && b.At.After(now.Add(-k.Newer))) {
					fail("a rule keeps what goes")
				}
			}
		}
		if wanted && exists && good > 0 && left == 0 {
			fail("no good one is left")
		}
		for _, kind := range []bool{false, true} {
			for _, rule := range rules { // so many good ones of its own are left as a rule keeps, or all there are
				k, have, stay := rule.Is.Retention.Full, 0, 0
				if kind {
					k = rule.Is.Retention.Incremental
				}
				for _, b := range list {
					if b.Rule == rule.ID && b.Incremental == kind && b.Good && b.Mark == "" {
						have++
						if !removed[b.ID] {
							stay++
						}
					}
				}
				if stay < min(k.Last, have) {
					fail("too few are left")
				}
			}
		}
		rest := slices.DeleteFunc(slices.Clone(list), func(b Backup) bool { return removed[b.ID] })
		if again := Decide(rest, rules, exists, now); len(again) > 0 {
			fail(fmt.Sprint("asked again, it removes ", again))
		}
	}
}
