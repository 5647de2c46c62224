package openstack

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

var version = regexp.MustCompile(`^v[0-9]+(\.[0-9]+)?$`)

// placeholders are how catalogs and operators write "the project goes here".
var placeholders = []string{"%(project_id)s", "%(tenant_id)s", "$(project_id)s", "$(tenant_id)s"}

// volumeBase turns Cinder's endpoint, which has the service's own project or
// none at its end, into that of a project. Every Cinder knows the form with a
// project, and refuses one that is not the token's.
func volumeBase(endpoint, ownProject, project string) (string, error) {
	base, done, err := fill(endpoint, project)
	if err != nil || done {
		return base, err
	}
	if path.Base(base) == ownProject {
		base = strings.TrimSuffix(base, "/"+ownProject)
	}
	switch last := path.Base(base); {
	case last == "v3":
	case version.MatchString(last):
		return "", fmt.Errorf("endpoint %s is not of version 3", endpoint)
	default:
		base += "/v3"
	}
	return base + "/" + project + "/", nil
}

// accountBase turns Swift's endpoint, which names the service's own account or
// none at its end, into that of a project's account.
func accountBase(endpoint, ownProject, project string) (string, error) {
	base, done, err := fill(endpoint, project)
	if err != nil || done {
		return base, err
	}
	if before, ok := strings.CutSuffix(base, ownProject); ok {
		return before + project + "/", nil
	}
	if version.MatchString(path.Base(base)) {
		return base + "/AUTH_" + project + "/", nil
	}
	return "", fmt.Errorf("endpoint %s names neither the account of project %s nor a version", endpoint, ownProject)
}

// fill puts the project where the endpoint has a placeholder for it.
func fill(endpoint, project string) (base string, done bool, err error) {
	base = strings.TrimRight(endpoint, "/")
	for _, p := range placeholders {
		if strings.Contains(base, p) {
			base, done = strings.ReplaceAll(base, p, project), true
		}
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false, fmt.Errorf("endpoint %q is not a URL of a service", endpoint)
	}
	if done {
		base += "/"
	}
	return base, done, nil
}
