package openstack

import (
	"context"
	"slices"
	"strings"

	"github.com/stowage/stowage"
)

// novaVersion is the microversion with tags; later ones leave out the flavor's id.
const novaVersion = "2.26"

// computeService is Nova.
func computeService(o Options) neighbour {
	n := o.beside("compute service", "v2.1", "compute")
	n.EndpointOverride, n.microversion = o.EndpointOverride, novaVersion
	return n
}

// beside gives a service in Nova's neighbourhood, reached with the same session and
// found in the catalog.
func (o Options) beside(name, version string, types ...string) neighbour {
	n := neighbour{
		Options: o.withDefaults(), name: name, types: types, http: bounded(o.Session.HTTPClient()),
		base: func(endpoint, _, project string) (string, error) { return versioned(endpoint, project, version) },
	}
	n.EndpointOverride = ""
	return n
}

// versioned puts the version behind an endpoint that has none.
func versioned(endpoint, project, want string) (string, error) {
	base, done, err := fill(endpoint, project)
	if err != nil || done {
		return base, err
	}
	if slices.ContainsFunc(strings.Split(base, "/"), version.MatchString) {
		return base + "/", nil
	}
	return base + "/" + want + "/", nil
}

// missingService reports whether the cloud has no such service at all.
func (n *neighbour) missingService(ctx context.Context) bool {
	if n.EndpointOverride != "" {
		return false
	}
	_, err := n.Session.Endpoint(ctx, n.types...)
	return err != nil && stowage.CodeOf(err) == stowage.NotFound
}
