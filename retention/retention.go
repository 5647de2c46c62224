// Package retention decides which of an entity's backups a policy removes, and
// why. It is pure: what to remove is for others to do.
//
// A backup is expired if no rule of the policy keeps it. A rule keeps a full or
// an incremental backup if it says nothing of that kind, if it is one of the last
// so many, or newer than so long. Only good backups are counted: one that failed
// or is damaged takes no place, and goes when a good one in its place would. Any
// backup can go in any order here, so nothing is kept for another's sake.
package retention

import (
	"slices"
	"time"

	"github.com/stowage/stowage"
)

// Backup is what is to be known of a backup.
type Backup struct {
	ID          int64
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
// made. sourceExists is whether the entity is still there. Whoever asks again
// when that is done gets nothing.
func Decide(backups []Backup, rules []stowage.Retention, sourceExists bool, now time.Time) (out []Removal) {
	list := slices.Clone(backups)
	slices.SortFunc(list, func(a, b Backup) int { // the newest first
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return int(min(max(b.ID-a.ID, -1), 1))
	})
	last := int64(-1)
	if sourceExists && slices.ContainsFunc(rules, func(r stowage.Retention) bool { return r.KeepLast }) {
		if i := slices.IndexFunc(list, func(b Backup) bool { return b.Good }); i >= 0 {
			last = list[i].ID
		}
	}
	newer := map[bool]int{} // good ones that were seen, by kind
	for _, b := range list {
		before := newer[b.Incremental]
		if b.Good && !b.pinned(now) && b.Mark != stowage.MarkRemove {
			newer[b.Incremental]++
		}
		switch {
		case b.Busy, b.pinned(now), b.ID == last:
		case b.Mark == stowage.MarkRemove:
			out = append(out, Removal{b.ID, "It was marked to be removed."})
		case !slices.ContainsFunc(rules, func(r stowage.Retention) bool { return keeps(r, b, before, now) }) && len(rules) > 0:
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
