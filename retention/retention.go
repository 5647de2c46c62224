// Package retention decides which of an entity's backups a policy removes, and
// why. It is pure: what to remove is for others to do. Snapshots are backups to it,
// and all of them full.
//
// A backup is kept or not by the rule that made it: if the rule says nothing of its
// kind, full or incremental, if it is one of the last so many that the rule made, or
// newer than so long. One whose rule is gone is expired when no rule of the policy
// would keep it, and for that it is counted among all that the policy made: whoever
// edits a policy makes its rules anew, and then the old rule's backups go as the new
// ones' come. Only good backups are counted: one that failed or is damaged takes no
// place, and goes when a good one in its place would. Any backup can go in any order
// here, so nothing is kept for another's sake.
package retention

import (
	"slices"
	"time"

	"github.com/stowage/stowage"
)

// Backup is what is to be known of a backup.
type Backup struct {
	ID          int64
	Rule        string    // that made it; empty: none
	At          time.Time // the point in time it holds
	Incremental bool
	Good        bool // it can be restored
	Busy        bool // it is being made, restored or deleted: it stays as it is
	Mark        stowage.RetentionMark
	Until       time.Time // how long MarkArchive holds; zero: for ever
}

// pinned reports whether somebody said that it stays.
func (b Backup) pinned(now time.Time) bool {
	return b.Mark == stowage.MarkDontTouch || b.Mark == stowage.MarkArchive && (b.Until.IsZero() || b.Until.After(now))
}

// Removal is a backup to remove, and why.
type Removal struct {
	ID  int64
	Why string
}

// Decide gives what to remove of one entity's backups that a policy with the rules
// made, those rules that are not active included. sourceExists is whether the entity is
// still there. Without rules only what is marked goes. Whoever asks again when that is
// done gets nothing.
func Decide(backups []Backup, rules []stowage.Rule, sourceExists bool, now time.Time) (out []Removal) {
	list := slices.Clone(backups)
	slices.SortFunc(list, func(a, b Backup) int { // the newest first
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return int(min(max(b.ID-a.ID, -1), 1))
	})
	last := int64(-1)
	if sourceExists && slices.ContainsFunc(rules, func(r stowage.Rule) bool { return r.Is.Retention.KeepLast }) {
		if i := slices.IndexFunc(list, func(b Backup) bool { return b.Good }); i >= 0 {
			last = list[i].ID
		}
	}
	of := map[string][]stowage.Rule{}
	for _, r := range rules {
		of[r.ID] = []stowage.Rule{r}
	}
	type group struct {
		rule        string
		incremental bool
	}
	newer, newerOfAny := map[group]int{}, map[bool]int{} // good ones that were seen
	for _, b := range list {
		mine := group{b.Rule, b.Incremental}
		before, by := newer[mine], of[b.Rule]
		if by == nil { // its rule is gone
			before, by = newerOfAny[b.Incremental], rules
		}
		if b.Good && !b.pinned(now) && b.Mark != stowage.MarkRemove {
			newer[mine]++
			newerOfAny[b.Incremental]++
		}
		switch {
		case b.Busy, b.pinned(now), b.ID == last:
		case b.Mark == stowage.MarkRemove:
			out = append(out, Removal{b.ID, "It was marked to be removed."})
		case !slices.ContainsFunc(by, func(r stowage.Rule) bool { return keeps(r.Is.Retention, b, before, now) }) && len(rules) > 0:
			out = append(out, Removal{b.ID, "No rule keeps it any longer."})
		}
	}
	return out
}

// keeps reports whether a rule keeps a backup that so many good ones of its kind
// are newer than.
func keeps(r stowage.Retention, b Backup, newer int, now time.Time) bool {
	k := r.Full
	if b.Incremental {
		k = r.Incremental
	}
	return !k.Says() || newer < k.Last || k.Newer > 0 && b.At.After(now.Add(-k.Newer))
}
