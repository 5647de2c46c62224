package openstack

import (
	"context"
	"errors"
	"net/url"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

// tenant is the service inside a project, with the rights it has there.
type tenant struct {
	*Servers
	project                       string
	nova, neutron, cinder, glance *neighbour
	mark                          string
}

func (s *Servers) tenant(project, mark string) (*tenant, error) {
	if !plainID.MatchString(mark) {
		return nil, stowage.Errorf(stowage.Invalid, "A server's mark must be a UUID.")
	}
	t, err := s.inProject(project)
	if err != nil {
		return nil, err
	}
	t.mark = mark
	return t, nil
}

// inProject is a tenant for what needs no mark.
func (s *Servers) inProject(project string) (*tenant, error) {
	nova, err := s.nova.in(project)
	if err != nil {
		return nil, err
	}
	neutron, err := s.neutron.in(project)
	if err != nil {
		return nil, err
	}
	cinder, err := s.volumes.in(project)
	if err != nil {
		return nil, err
	}
	glance, err := s.glance.in(project)
	return &tenant{Servers: s, project: project, nova: nova, neutron: neutron, cinder: cinder, glance: glance}, err
}

// marked gives the project's servers with the mark. Nova does not filter by metadata,
// and a name is the user's to change, so it is looked for among all of them.
func (t *tenant) marked(ctx context.Context) ([]serverBody, error) {
	var found []serverBody
	id := func(s serverBody) string { return s.ID }
	err := each(ctx, t.nova, "servers/detail", "servers", url.Values{}, id, func(s serverBody) error {
		if s.Metadata[stowage.RestoreMark] == t.mark && s.ProjectID == t.project && plainID.MatchString(s.ID) && !s.deleted() {
			found = append(found, s)
		}
		return nil
	})
	return found, err
}

// portName is that of all ports that are made for a mark, and of its image.
func (t *tenant) portName() string { return portPrefix + t.mark }

const portPrefix = "stowage-"

// markedPorts gives the project's ports with the mark.
func (t *tenant) markedPorts(ctx context.Context) ([]portBody, error) {
	if t.Servers.neutron.missingService(ctx) {
		return nil, nil
	}
	list, err := listPorts(ctx, t.neutron, url.Values{"name": {t.portName()}, "project_id": {t.project}})
	var found []portBody
	for _, p := range list {
		if p.Name == t.portName() && p.ProjectID == t.project && plainID.MatchString(p.ID) {
			found = append(found, p)
		}
	}
	return found, err
}

func (t *tenant) removePort(ctx context.Context, id string) error {
	return t.neutron.remove(ctx, call{what: "remove port " + id}, "ports", id)
}

// refused reads why a service said no; zero: it did not.
func refused(err error) refusal {
	answer, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err)
	if !ok || answer.Actual < 400 || answer.Actual >= 500 {
		return refusal{}
	}
	return refusal{answer.Actual, read(answer.Body)}
}
