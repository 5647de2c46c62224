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

// cleanupJob is a job that deletes what a policy keeps no longer; for no policy,
// what is marked in the project.
func (s *Service) cleanupJob(user cloud.User, policy string) stowage.Job {
	j := s.newJob(stowage.JobCleanup, user, s.Now())
	j.By.PolicyID = policy
	return j
}

// Cleanup does such a job: it begins the deletion of whatever is to go, and tells
// how many there were. To do it again finds what is left.
func (s *Service) Cleanup(ctx context.Context, j stowage.Job) (int, error) {
	if err := s.checkClock(ctx); err != nil {
		return 0, err
	}
	if j.By.PolicyID == "" {
		return s.removeMarked(ctx, j.ProjectID)
	}
	p, err := s.DB.Policy(ctx, db.Scope{}, j.By.PolicyID)
	if stowage.CodeOf(err) == stowage.NotFound {
		p.ID = j.By.PolicyID // without rules nothing is too old, only what is marked goes
	} else if err != nil {
		return 0, err
	}
	rules, err := s.retentions(ctx, p)
	if err != nil {
		return 0, err
	}
	const atOnce = 500
	removed := 0
	for after := ""; ; {
		volumes, err := s.DB.PolicyVolumes(ctx, p.ID, after, atOnce)
		if err != nil {
			return removed, err
		}
		for _, v := range volumes {
			after = v
			n, err := s.cleanVolume(ctx, p, rules, v)
			removed += n
			if err != nil {
				return removed, err
			}
		}
		if len(volumes) < atOnce {
			return removed, nil
		}
	}
}

// retentions are the rules of a policy, as far as they say what is kept.
func (s *Service) retentions(ctx context.Context, p stowage.Policy) ([]stowage.Rule, error) {
	rules, _, err := s.DB.Rules(ctx, db.Scope{}, db.RuleFilter{Policies: []string{p.ID}}, db.Page{Limit: maxRules})
	for i := range rules { // also of those that are not active: what they made is still theirs
		if p.Is.KeepAll {
			rules[i].Is.Retention.Full, rules[i].Is.Retention.Incremental = stowage.Keep{}, stowage.Keep{}
		}
	}
	return rules, err
}

func (s *Service) cleanVolume(ctx context.Context, p stowage.Policy, rules []stowage.Rule, volume string) (int, error) {
	list, err := s.DB.PolicyBackups(ctx, p.ID, volume)
	if err == nil {
		err = s.addFlaws(ctx, list)
	}
	if err != nil {
		return 0, err
	}
	entity, err := s.DB.Entity(ctx, db.Scope{}, volume)
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		return 0, err
	}
	exists := err == nil && entity.Present
	removed := 0
	for _, r := range retention.Decide(known(list), rules, exists, s.Now()) {
		at := slices.IndexFunc(list, func(b stowage.Backup) bool { return b.ID == r.ID })
		done, err := s.expire(ctx, list[at], r.Why)
		if err != nil {
			return removed, err
		}
		removed += done
	}
	return removed, nil
}

// expire begins the deletion of a backup. One that moved on meanwhile, or that somebody
// marked otherwise, is left to the next cleanup.
func (s *Service) expire(ctx context.Context, b stowage.Backup, why string) (int, error) {
	if !b.Status.May(stowage.BackupDeleting) {
		return 0, nil
	}
	_, err := s.deletion(ctx, cloud.User{}, b, "", &db.RetainMark{Mark: b.Mark, Until: b.RetainUntil})
	if stowage.CodeOf(err) == errNotNow.Code {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	s.Log.InfoContext(ctx, "a backup is kept no longer", "backup", b.ID, "volume", b.Volume.ID, "policy", b.By.PolicyID, "reason", why)
	return 1, nil
}

// addFlaws notes on backups of servers that a part of theirs is missing or damaged: then
// they are damaged. Their rows say nothing of it.
func (s *Service) addFlaws(ctx context.Context, list []stowage.Backup) error {
	flaws, err := s.DB.Flaws(ctx, list)
	for i, b := range list {
		if flaw := flaws[b.ID]; flaw != "" {
			list[i].Damaged = flaw
		}
	}
	return err
}

// known is what retention is to know of backups.
func known(list []stowage.Backup) []retention.Backup {
	out := make([]retention.Backup, len(list))
	for i, b := range list {
		at := b.SnapshotAt
		if at.IsZero() {
			at = b.CreatedAt
		}
		restorable := b.Status == stowage.BackupAvailable || b.Status == stowage.BackupRestoring
		out[i] = retention.Backup{
			ID: b.ID, Rule: b.By.RuleID, At: at, Incremental: b.Incremental, Good: restorable && b.Damaged == "",
			Busy: b.Status != stowage.BackupAvailable && b.Status != stowage.BackupError, Mark: b.Mark, Until: b.RetainUntil,
		}
	}
	return out
}

func (s *Service) removeMarked(ctx context.Context, projectID string) (int, error) {
	const atOnce = 500
	removed := 0
	for after := int64(0); ; {
		list, err := s.DB.MarkedBackups(ctx, projectID, after, atOnce)
		if err != nil {
			return removed, err
		}
		for _, b := range list {
			after = b.ID
			n, err := s.expire(ctx, b, "It was marked to be removed.")
			if err != nil {
				return removed, err
			}
			removed += n
		}
		if len(list) < atOnce {
			return removed, nil
		}
	}
}

// MarkWish is what somebody says of one backup.
type MarkWish struct {
	UUID  string
	Mark  stowage.RetentionMark
	Until time.Time // of MarkArchive; zero: for ever
}

// Marked is a backup with the mark it has, and the one it gets.
type Marked struct {
	Point
	Mark  stowage.RetentionMark
	Until time.Time
}

// PreviewMarks tells what marks would change. Conflict: one is to stay that is being deleted,
// alone or with the server's that it is part of.
func (s *Service) PreviewMarks(ctx context.Context, scope db.Scope, wishes []MarkWish) ([]Marked, error) {
	var out []Marked
	for _, w := range wishes {
		switch w.Mark {
		case stowage.MarkStandard, stowage.MarkDontTouch, stowage.MarkArchive, stowage.MarkRemove:
		default:
			return nil, stowage.Errorf(stowage.Invalid, "There is no such retention hint.")
		}
		if w.Mark != stowage.MarkArchive {
			w.Until = time.Time{}
		} else if !w.Until.IsZero() && !w.Until.After(s.Now()) {
			return nil, stowage.Errorf(stowage.Invalid, "The archive would have expired already.")
		}
		p, err := s.Point(ctx, scope, w.UUID)
		if err != nil {
			return nil, err
		}
		if p.Status == stowage.BackupDeleting && w.Mark != stowage.MarkRemove {
			return nil, stowage.Errorf(stowage.Conflict, "Backup %s is being deleted.", p.UUID)
		}
		if p.SetID != 0 && w.Mark != stowage.MarkRemove {
			set, err := s.DB.Backup(ctx, db.Scope{}, p.SetID)
			if err != nil && stowage.CodeOf(err) != stowage.NotFound {
				return nil, err
			}
			if err == nil && set.Status == stowage.BackupDeleting {
				return nil, stowage.Errorf(stowage.Conflict, "Backup %s is being deleted with backup %s, which it is part of.", p.UUID, set.UUID)
			}
		}
		out = append(out, Marked{p, w.Mark, w.Until})
	}
	return out, nil
}

// MarkBackups writes marks on backups of the scope. What is to be removed is,
// except the last good backup where its policy keeps that. A server's backup that is to
// stay keeps its parts, and each of these, the whole. Forbidden: the user may
// not delete objects of its container.
func (s *Service) MarkBackups(ctx context.Context, user cloud.User, scope db.Scope, wishes []MarkWish) ([]Marked, error) {
	list, err := s.PreviewMarks(ctx, scope, wishes)
	if err != nil {
		return nil, err
	}
	var rows []stowage.Backup
	var jobs []stowage.Job
	asked := map[[2]string]bool{}
	for _, m := range list {
		b := m.Backup
		b.Mark, b.RetainUntil = m.Mark, m.Until
		rows = append(rows, b)
		of := [2]string{b.ProjectID, b.By.PolicyID}
		if m.Mark != stowage.MarkRemove {
			continue
		}
		if err := s.mayDelete(ctx, user, b); err != nil {
			return nil, err
		}
		if !asked[of] {
			asked[of] = true
			j := s.cleanupJob(user, b.By.PolicyID)
			j.ProjectID = b.ProjectID
			jobs = append(jobs, j)
		}
	}
	if err := s.DB.MarkBackups(ctx, scope, rows, jobs, s.Now()); err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if err := s.hand(ctx, j); err != nil {
			return nil, err
		}
	}
	return list, nil
}
