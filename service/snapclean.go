package service

import (
	"context"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/retention"
)

// SnapshotCleanupJob is a job that removes the snapshots that a policy keeps no longer.
func (s *Service) SnapshotCleanupJob(user cloud.User, policy string) stowage.Job {
	j := s.newJob(stowage.JobSnapshotCleanup, user, s.Now())
	j.By.PolicyID = policy
	return j
}

// CleanupSnapshots does such a job, and tells how many were removed. To do it again finds
// what is left. What cannot be removed now holds up nothing else. Of a policy that is
// gone nothing is removed but what that had been decided about.
func (s *Service) CleanupSnapshots(ctx context.Context, j stowage.Job) (int, error) {
	if s.Servers == nil {
		return 0, errNoSnapshots
	}
	if err := s.checkClock(ctx); err != nil {
		return 0, err
	}
	p, err := s.DB.Policy(ctx, db.Scope{}, j.By.PolicyID)
	if stowage.CodeOf(err) == stowage.NotFound {
		p = stowage.Policy{ID: j.By.PolicyID}
	} else if err != nil {
		return 0, err
	}
	rules, err := s.retentions(ctx, p)
	if err != nil {
		return 0, err
	}
	c := snapshotCleaner{Service: s, policy: p, rules: rules, there: map[string]map[string]bool{}, away: map[string]bool{}}
	const atOnce = 500
	for after := ""; ; {
		entities, err := s.DB.SnapshotEntities(ctx, p.ID, after, atOnce)
		if err != nil {
			return c.removed, err
		}
		for _, e := range entities {
			after = e
			if err := c.clean(ctx, e); err != nil {
				return c.removed, err
			}
		}
		if len(entities) < atOnce {
			return c.removed, c.failed
		}
	}
}

// snapshotCleaner is one cleanup of a policy's snapshots.
type snapshotCleaner struct {
	*Service
	policy  stowage.Policy
	rules   []stowage.Rule
	there   map[string]map[string]bool // by project that was looked at: what Cinder has
	away    map[string]bool            // projects that could not be looked at
	removed int
	failed  error // the first thing that could not be looked at or removed
}

// clean removes what is to go of an entity's snapshots, but for those of projects that
// cannot be looked at: they neither go nor count. An error is one that ends the cleanup.
func (c *snapshotCleaner) clean(ctx context.Context, entity string) error {
	list, err := c.DB.PolicySnapshots(ctx, c.policy.ID, entity)
	if err != nil {
		return err
	}
	stale := false
	for _, one := range list {
		fresh, err := c.look(ctx, one.ProjectID)
		if err != nil {
			return err
		}
		stale = stale || fresh
	}
	if stale { // what Cinder has no longer is forgotten by now
		if list, err = c.DB.PolicySnapshots(ctx, c.policy.ID, entity); err != nil {
			return err
		}
	}
	list = slices.DeleteFunc(list, func(one stowage.EntitySnapshot) bool { return c.away[one.ProjectID] })
	for _, one := range expired(list, c.rules, c.whole, c.Now()) {
		if err := c.remove(ctx, one); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.Log.WarnContext(ctx, "a snapshot is not removed yet", "snapshot", one.ID, "entity", entity, "error", err)
			c.fail(err)
		}
	}
	return nil
}

// look looks once what Cinder has in a project, and reports whether it just did. One that
// cannot be looked at, as it is gone or gives the service no rights, holds up no other.
func (c *snapshotCleaner) look(ctx context.Context, project string) (fresh bool, err error) {
	if c.there[project] != nil || c.away[project] {
		return false, nil
	}
	there, err := c.ForgetSnapshots(ctx, project)
	if err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		c.Log.WarnContext(ctx, "snapshots of a project not looked at", "project", project, "error", err)
		c.away[project] = true
		c.fail(err)
		return false, nil
	}
	if there == nil {
		there = map[string]bool{}
	}
	c.there[project] = there
	return true, nil
}

func (c *snapshotCleaner) fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// whole reports whether Cinder has a snapshot of each volume still: its users may remove
// single ones, and what lacks one takes no place of what does not.
func (c *snapshotCleaner) whole(one stowage.EntitySnapshot) bool {
	return !slices.ContainsFunc(one.Volumes, func(v stowage.VolumeSnapshot) bool { return !c.there[one.ProjectID][v.SnapshotID] })
}

// expired are the snapshots of an entity that are to go, the oldest first; what is being
// removed already goes on.
func expired(list []stowage.EntitySnapshot, rules []stowage.Rule, whole func(stowage.EntitySnapshot) bool, now time.Time) []stowage.EntitySnapshot {
	var out []stowage.EntitySnapshot
	var rest []retention.Backup
	for i, one := range list {
		if one.Status == stowage.SnapshotRemoving {
			out = append(out, one)
			continue
		}
		rest = append(rest, retention.Backup{ID: int64(i), Rule: one.By.RuleID, At: one.TakenAt, Good: whole(one)})
	}
	for _, r := range retention.Decide(rest, rules, true, now) {
		out = append(out, list[r.ID])
	}
	slices.SortFunc(out, func(a, b stowage.EntitySnapshot) int { return a.TakenAt.Compare(b.TakenAt) })
	return out
}

// remove removes a snapshot, by the ids that Cinder gave when we took it: never another.
// That it goes is written first.
func (c *snapshotCleaner) remove(ctx context.Context, one stowage.EntitySnapshot) error {
	err := c.DB.RemoveSnapshot(ctx, one, c.Now())
	if stowage.CodeOf(err) == stowage.Conflict {
		return nil // another cleanup removes it, or has
	}
	if err != nil {
		return err
	}
	ids := make([]string, len(one.Volumes))
	for i, v := range one.Volumes {
		ids[i] = v.SnapshotID
	}
	if err := c.Servers.RemoveSnapshots(ctx, one.ProjectID, ids); err != nil {
		return err
	}
	if err := c.DB.ForgetSnapshot(ctx, one.ID); err != nil {
		return err
	}
	c.removed++
	c.Log.InfoContext(ctx, "a snapshot is kept no longer", "snapshot", one.ID, "entity", one.EntityID, "policy", c.policy.ID)
	return nil
}
