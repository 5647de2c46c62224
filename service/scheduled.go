package service

import (
	"context"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// scheduled gives the request for an entity's backup or snapshot, or why there is to be none.
func (s *Service) scheduled(ctx context.Context, r stowage.Run, e stowage.Entry) (req scheduledRequest, skip string, err error) {
	entity, err := s.DB.Entity(ctx, db.Scope{}, e.EntityID)
	if stowage.CodeOf(err) == stowage.NotFound {
		return req, "It is not known any more.", nil
	}
	if err != nil {
		return req, "", err
	}
	p, err := s.DB.Policy(ctx, db.Scope{}, e.PolicyID)
	if stowage.CodeOf(err) == stowage.NotFound {
		return req, "The policy was deleted meanwhile.", nil
	}
	if err != nil {
		return req, "", err
	}
	rule, err := s.DB.Rule(ctx, db.Scope{}, e.RuleID)
	if stowage.CodeOf(err) == stowage.NotFound {
		return req, "The rule was deleted meanwhile.", nil
	}
	if err != nil {
		return req, "", err
	}
	in, err := s.DB.EntityPolicies(ctx, p.Kind, []string{e.EntityID})
	if err != nil {
		return req, "", err
	}
	owner := orReason(entity.ProjectID, p.ProjectID)
	switch {
	// What somebody has taken back since the run was planned is not begun any more.
	case !p.Active:
		return req, "The policy is not active any more.", nil
	case !rule.Active:
		return req, "The rule is not active any more.", nil
	case rule.PolicyID != p.ID || !slices.Contains(rule.Schedules, r.ScheduleID):
		return req, "The rule does not name the schedule any more.", nil
	case in[e.EntityID][0] != p.ID:
		return req, "It is not in the policy any more.", nil
	case mayProtect(p, entity) != nil: // it was transferred, and the next look at the cloud takes it out
		return req, "It is of another project than the policy.", nil
	case !entity.Present:
		return req, "It is gone from the cloud.", nil
	case entity.Unsupported() != "" && p.Kind == stowage.PolicyBackup: // Cinder takes snapshots of whatever volume
		return req, entity.Unsupported(), nil
	case owner == "":
		return req, "Neither the volume nor the policy is of a project.", nil
	}
	return scheduledRequest{entity.Kind, p.Kind, BackupRequest{
		VolumeID: entity.ID, Name: entity.Name, Container: rule.Is.Container, Full: r.Full, OnBehalf: owner,
		When: When{Priority: &p.Priority, End: r.WindowEnd, Retries: retries(p)}, JobID: e.JobID,
		By: stowage.Origin{ScheduleID: r.ScheduleID, PolicyID: e.PolicyID, RuleID: e.RuleID},
	}}, "", nil
}

// retries is how often a backup of a policy is tried again; 0 there is what clients
// send who say nothing.
func retries(p stowage.Policy) *int {
	if p.Is.RetryCount == 0 {
		return nil
	}
	return &p.Is.RetryCount
}

// scheduledRequest asks for a backup, or a snapshot, of a volume or of a server.
type scheduledRequest struct {
	kind  stowage.EntityKind
	makes stowage.PolicyKind
	BackupRequest
}

// backup begins a backup, or a snapshot, that nobody but a schedule asks for.
func (s *Service) backup(ctx context.Context, req scheduledRequest) (err error) {
	if req.makes == stowage.PolicySnapshot {
		_, err = s.SnapshotEntity(ctx, cloud.User{}, db.Scope{}, SnapshotRequest{
			EntityID: req.VolumeID, RuleID: req.By.RuleID, When: req.When, OnBehalf: req.OnBehalf, JobID: req.JobID, Schedule: req.By.ScheduleID,
		})
		return err
	}
	if req.kind != stowage.EntityServer {
		_, err = s.BackupVolume(ctx, cloud.User{}, req.BackupRequest)
		return err
	}
	_, err = s.BackupServer(ctx, cloud.User{}, ServerRequest{
		ServerID: req.VolumeID, Name: req.Name, Container: req.Container, Full: req.Full, When: req.When, OnBehalf: req.OnBehalf, JobID: req.JobID, By: req.By,
	})
	return err
}

// emptyPolicies are policies that a run's schedule carries out, and that had no entity in
// it. They are cleaned up as well: what is left of entities that went grows old, and holds
// storage. Policies of snapshots are whatever is in them still; those of backups if they
// are active, and there are backups.
func (s *Service) emptyPolicies(ctx context.Context, r stowage.Run, had []string) ([]string, error) {
	rules, err := s.rulesOf(ctx, r.ScheduleID)
	if err != nil {
		return nil, err
	}
	var ids []string
	seen, of := map[string]bool{}, map[string]stowage.Policy{}
	for _, id := range had {
		seen[id] = true
	}
	for _, rule := range rules {
		if seen[rule.PolicyID] {
			continue
		}
		p, known := of[rule.PolicyID]
		if !known {
			p, err = s.DB.Policy(ctx, db.Scope{}, rule.PolicyID)
			if err != nil && stowage.CodeOf(err) != stowage.NotFound {
				return nil, err
			}
			of[rule.PolicyID] = p
		}
		if p.ID == "" {
			continue // it is gone
		}
		if p.Kind == stowage.PolicyBackup {
			if !p.Active || !rule.Active {
				continue // another of its rules may be
			}
			left, err := s.DB.PolicyVolumes(ctx, p.ID, "", 1)
			if err != nil {
				return nil, err
			}
			if len(left) == 0 {
				continue
			}
		}
		seen[p.ID], ids = true, append(ids, p.ID)
	}
	return ids, nil
}
