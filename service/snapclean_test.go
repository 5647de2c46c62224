package service

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/timetable"
)

func TestExpiredSnapshots(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	snap := func(id, rule string, days int) stowage.EntitySnapshot {
		return stowage.EntitySnapshot{ID: id, By: stowage.Origin{RuleID: rule}, Status: stowage.SnapshotTaken, TakenAt: now.Add(-time.Duration(days)*timetable.Day - time.Hour)}
	}
	rule := func(id string, last, days int) stowage.Rule {
		return stowage.Rule{ID: id, Is: stowage.RuleDetails{Retention: stowage.Retention{Full: stowage.Keep{Last: last, Newer: time.Duration(days) * timetable.Day}}}}
	}
	removing := snap("half", "a", 0)
	removing.Status = stowage.SnapshotRemoving
	broken := func(s stowage.EntitySnapshot) stowage.EntitySnapshot {
		s.Volumes = []stowage.VolumeSnapshot{{VolumeID: "v", SnapshotID: "gone"}}
		return s
	}
	whole := func(s stowage.EntitySnapshot) bool { return len(s.Volumes) == 0 }
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
		"of a rule that is gone":           {[]stowage.EntitySnapshot{snap("1", "x", 9), snap("2", "x", 8), snap("3", "a", 7)}, []stowage.Rule{rule("a", 1, 0)}, "[1 2]"},
		"the old rule's go as new come":    {[]stowage.EntitySnapshot{snap("1", "x", 9), snap("2", "x", 8), snap("3", "a", 7), snap("4", "a", 6)}, []stowage.Rule{rule("a", 3, 0)}, "[1]"},
		"by any rule that would keep":      {[]stowage.EntitySnapshot{snap("1", "x", 9), snap("2", "x", 8), snap("3", "a", 7), snap("4", "b", 6)}, []stowage.Rule{rule("a", 1, 0), rule("b", 3, 0)}, "[1]"},
		"what lacks a part takes no place": {[]stowage.EntitySnapshot{snap("1", "a", 3), snap("2", "a", 2), broken(snap("3", "a", 1))}, []stowage.Rule{rule("a", 1, 0)}, "[1]"},
		"and goes when a whole one would":  {[]stowage.EntitySnapshot{snap("1", "a", 3), broken(snap("2", "a", 2)), snap("3", "a", 1)}, []stowage.Rule{rule("a", 1, 0)}, "[1 2]"},
		"of rules that are all gone":       {[]stowage.EntitySnapshot{snap("1", "x", 9)}, nil, "[]"},
		"by hand, and no rule of it":       {[]stowage.EntitySnapshot{snap("1", "", 9)}, nil, "[]"},
		"what is being removed, goes on":   {[]stowage.EntitySnapshot{snap("1", "a", 1), removing}, nil, "[half]"},
		"what is being removed, no number": {[]stowage.EntitySnapshot{snap("1", "a", 1), removing}, []stowage.Rule{rule("a", 1, 0)}, "[half]"},
	} {
		var got []string
		for _, s := range expired(c.list, c.rules, whole, now) {
			got = append(got, s.ID)
		}
		if slices.Sort(got); fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", what, got, c.want)
		}
	}
}
