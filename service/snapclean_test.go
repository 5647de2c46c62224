package service

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/retention"
	"github.com/stowage/stowage/timetable"
)

func TestExpiredSnapshots(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	decide := func(list []retention.Backup, rules []stowage.Retention) []retention.Removal {
		return retention.Decide(list, rules, true, now)
	}
	snap := func(id, rule string, days int) stowage.EntitySnapshot {
		return stowage.EntitySnapshot{ID: id, By: stowage.Origin{RuleID: rule}, Status: stowage.SnapshotTaken, TakenAt: now.Add(-time.Duration(days)*timetable.Day - time.Hour)}
	}
	rule := func(id string, last, days int) stowage.Rule {
		return stowage.Rule{ID: id, Is: stowage.RuleDetails{Retention: stowage.Retention{Full: stowage.Keep{Last: last, Newer: time.Duration(days) * timetable.Day}}}}
	}
	removing := snap("half", "a", 0)
	removing.Status = stowage.SnapshotRemoving
	for what, c := range map[string]struct {
		list  []stowage.EntitySnapshot
		rules []stowage.Rule
		want  string
	}{
		"the last two":                     {[]stowage.EntitySnapshot{snap("1", "a", 3), snap("2", "a", 2), snap("3", "a", 1)}, []stowage.Rule{rule("a", 2, 0)}, "[1]"},
		"of two days":                      {[]stowage.EntitySnapshot{snap("1", "a", 3), snap("2", "a", 2), snap("3", "a", 1)}, []stowage.Rule{rule("a", 0, 2)}, "[1 2]"},
		"not even the newest":              {[]stowage.EntitySnapshot{snap("1", "a", 3)}, []stowage.Rule{rule("a", 0, 2)}, "[1]"},
		"either keeps":                     {[]stowage.EntitySnapshot{snap("1", "a", 9), snap("2", "a", 8), snap("3", "a", 7), snap("4", "a", 1)}, []stowage.Rule{rule("a", 2, 2)}, "[1 2]"},
		"nothing said":                     {[]stowage.EntitySnapshot{snap("1", "a", 900)}, []stowage.Rule{rule("a", 0, 0)}, "[]"},
		"each rule its own":                {[]stowage.EntitySnapshot{snap("1", "a", 9), snap("2", "b", 8), snap("3", "b", 7)}, []stowage.Rule{rule("a", 1, 0), rule("b", 1, 0)}, "[2]"},
		"of a rule that is gone":           {[]stowage.EntitySnapshot{snap("1", "x", 9), snap("2", "x", 8), snap("3", "a", 7)}, []stowage.Rule{rule("a", 1, 0)}, "[1]"},
		"of rules that are all gone":       {[]stowage.EntitySnapshot{snap("1", "x", 9)}, nil, "[]"},
		"by hand, and no rule of it":       {[]stowage.EntitySnapshot{snap("1", "", 9)}, nil, "[]"},
		"what is being removed, goes on":   {[]stowage.EntitySnapshot{snap("1", "a", 1), removing}, nil, "[half]"},
		"what is being removed, no number": {[]stowage.EntitySnapshot{snap("1", "a", 1), removing}, []stowage.Rule{rule("a", 1, 0)}, "[half]"},
	} {
		var got []string
		for _, s := range expired(c.list, c.rules, decide) {
			got = append(got, s.ID)
		}
		if slices.Sort(got); fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", what, got, c.want)
		}
	}
}
