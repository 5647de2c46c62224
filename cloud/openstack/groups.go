package openstack

import (
	"context"
	"net/url"

	"github.com/stowage/stowage/cloud"
)

// SecurityGroups looks with the service's rights in the project. Where those are an
// administrator's Neutron tells of everybody's groups.
func (s *Servers) SecurityGroups(ctx context.Context, projectID string) ([]cloud.SecurityGroup, error) {
	if s.neutron.missingService(ctx) {
		return nil, nil
	}
	t, err := s.inProject(projectID)
	if err != nil {
		return nil, err
	}
	var list []cloud.SecurityGroup
	query := url.Values{"fields": {"id", "name", "project_id", "tenant_id", "shared"}} // their rules are long
	id := func(g resourceBody) string { return g.ID }
	err = each(ctx, t.neutron, "security-groups", "security_groups", query, id, func(g resourceBody) error {
		if g.Shared || g.ProjectID == projectID || g.ProjectID == "" && g.TenantID == projectID {
			list = append(list, cloud.SecurityGroup{ID: g.ID, Name: g.Name})
		}
		return nil
	})
	return list, err
}
