package openstack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/stowage/stowage"
)

// listBody reads one key of an answer, whatever stands beside it.
type listBody[T any] struct {
	key  string
	into *map[string]*[]T
}

func (l *listBody[T]) UnmarshalJSON(raw []byte) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return err
	}
	var items *[]T
	if err := json.Unmarshal(keys[l.key], &items); err != nil {
		return err
	}
	*l.into = map[string]*[]T{l.key: items}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// resourceBody is as much of a flavor, a network, a volume type, a project or a
// zone as is shown.
type resourceBody struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	ProjectID string `json:"project_id"`
	TenantID  string `json:"tenant_id"`
	Shared    bool   `json:"shared"`
	External  bool   `json:"router:external"`
	Public    *bool  `json:"is_public"`
	FlavorPub *bool  `json:"os-flavor-access:is_public"`
	ZoneName  string `json:"zoneName"`
}

// Resources lists what there is of a kind.
func (i *Inventory) Resources(ctx context.Context, kind stowage.ResourceKind) ([]stowage.Resource, error) {
	var (
		n       *neighbour
		at, key string
		query   = url.Values{}
	)
	switch kind {
	case stowage.ResourceFlavor:
		n, at, key = &i.nova, "flavors/detail", "flavors"
		query.Set("is_public", "None") // all, whoever may use them
	case stowage.ResourceZone:
		n, at, key = &i.nova, "os-availability-zone", "availabilityZoneInfo"
	case stowage.ResourceNetwork:
		n, at, key = &i.neutron, "networks", "networks"
	case stowage.ResourceVolumeType:
		n, at, key = &i.volumes.neighbour, "types", "volume_types"
		query.Set("is_public", "None")
	case stowage.ResourceProject:
		n, at, key = &i.keystone, "projects", "projects"
	default:
		return nil, fmt.Errorf("there are no resources of kind %q", kind)
	}
	if n.missingService(ctx) {
		return nil, nil
	}
	var list []stowage.Resource
	add := func(b resourceBody) error { list = append(list, b.resource(kind)); return nil }
	// Zones and projects come whole: these services know no pages of them.
	if kind == stowage.ResourceZone || kind == stowage.ResourceProject {
		items, err := pageOf[resourceBody](ctx, n, at, key, query)
		for _, item := range items {
			_ = add(item) // which gives none
		}
		return list, err
	}
	err := each(ctx, n, at, key, query, func(b resourceBody) string { return b.ID }, add)
	return list, err
}

func (b resourceBody) resource(kind stowage.ResourceKind) stowage.Resource {
	r := stowage.Resource{Kind: kind, ID: b.ID, Name: b.Name, ProjectID: b.ProjectID}
	if r.ProjectID == "" {
		r.ProjectID = b.TenantID
	}
	switch kind {
	case stowage.ResourceZone:
		r.ID, r.Name, r.Shared = b.ZoneName, b.ZoneName, true
	case stowage.ResourceProject:
		r.ProjectID = b.ID
	case stowage.ResourceNetwork:
		r.Shared = b.Shared || b.External
	case stowage.ResourceFlavor:
		r.Shared = b.FlavorPub == nil || *b.FlavorPub
	default:
		r.Shared = b.Public == nil || *b.Public
	}
	return r
}
