package service

import (
	"context"
	"slices"

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
	p, err := s.DB.Policy(ctx, db.Scope{}, j.By.PolicyID)
	if stowage.CodeOf(err) == stowage.NotFound {
		p = stowage.Policy{ID: j.By.PolicyID}
	} else if err != nil {
		return 0, err
	}
	rules, _, err := s.DB.Rules(ctx, db.Scope{}, db.RuleFilter{Policies: []string{p.ID}}, db.Page{Limit: maxRules})
	if err != nil {
		return 0, err
	}
	if p.Is.KeepAll {
		rules = nil
	}
	c := snapshotCleaner{Service: s, policy: p, rules: rules, looked: map[string]bool{}}
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
	looked  map[string]bool // projects whose snapshots were looked at
	removed int
	failed  error // the first thing that could not be removed
}

// clean removes what is to go of an entity's snapshots. An error is one that ends the
// cleanup.
func (c *snapshotCleaner) clean(ctx context.Context, entity string) error {
	list, err := c.DB.PolicySnapshots(ctx, c.policy.ID, entity)
	if err != nil {
		return err
	}
	// What Cinder has no longer counts for nothing.
	stale := false
	for _, one := range list {
		if c.looked[one.ProjectID] {
			continue
		}
		c.looked[one.ProjectID], stale = true, true
		if err := c.ForgetSnapshots(ctx, one.ProjectID); err != nil {
			return err
		}
	}
	if stale {
		if list, err = c.DB.PolicySnapshots(ctx, c.policy.ID, entity); err != nil {
			return err
		}
	}
	for _, one := range expired(list, c.rules, c.retain) {
		if err := c.remove(ctx, one); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.Log.WarnContext(ctx, "a snapshot is not removed yet", "snapshot", one.ID, "entity", entity, "error", err)
			if c.failed == nil {
				c.failed = err
			}
		}
	}
	return nil
}

func (c *snapshotCleaner) retain(list []retention.Backup, rules []stowage.Retention) []retention.Removal {
	return retention.Decide(list, rules, true, c.Now())
}

// expired are the snapshots of an entity that are to go: those that their own rule keeps
// no longer, and those whose rule is gone once none of the policy's rules would keep them;
// what is being removed already goes on.
func expired(list []stowage.EntitySnapshot, rules []stowage.Rule, decide func([]retention.Backup, []stowage.Retention) []retention.Removal) []stowage.EntitySnapshot {
	of := map[string][]retention.Backup{} // by rule; empty: of one that is gone
	own, all := map[string][]stowage.Retention{}, []stowage.Retention{}
	for _, r := range rules {
		own[r.ID], all = []stowage.Retention{r.Is.Retention}, append(all, r.Is.Retention)
	}
	var out []stowage.EntitySnapshot
	for i, one := range list {
		if one.Status == stowage.SnapshotRemoving {
			out = append(out, one)
			continue
		}
		rule := one.By.RuleID
		if own[rule] == nil {
			rule = ""
		}
		of[rule] = append(of[rule], retention.Backup{ID: int64(i), At: one.TakenAt, Good: true})
	}
	own[""] = all
	for rule, group := range of {
		for _, r := range decide(group, own[rule]) {
			out = append(out, list[r.ID])
		}
	}
	slices.SortFunc(out, func(a, b stowage.EntitySnapshot) int { return a.TakenAt.Compare(b.TakenAt) })
	return out
}

// remove removes a snapshot, by the ids that Cinder gave when we took it: never another.
// That it goes is written first.
func (c *snapshotCleaner) remove(ctx context.Context, one stowage.EntitySnapshot) error {
	if err := c.DB.RemoveSnapshot(ctx, one, c.Now()); err != nil {
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
