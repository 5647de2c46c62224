//go:build stack

package e2e

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stowage/stowage/internal/stacktest"
)

// swift sends a request to the user's own account.
func (u *user) swift(method, path string, body any, header map[string]string) answer {
	u.t.Helper()
	return u.swiftOf(u.projectID, method, path, body, header)
}

// swiftOf sends a request to a project's account.
func (u *user) swiftOf(project, method, path string, body any, header map[string]string) answer {
	u.t.Helper()
	return u.call(method, stacktest.Env(u.t, "SWIFT_URL")+"/v1/AUTH_"+project+path, body, header)
}

// objects lists a container; one that is not there has none.
func (u *user) objects(container string) []string {
	u.t.Helper()
	a := u.swift(http.MethodGet, "/"+url.PathEscape(container)+"?limit=10000", nil, nil).want(u.t, 200, 204, 404)
	if a.status != http.StatusOK || a.body == "" {
		return nil
	}
	return strings.Split(a.body, "\n")
}

// packs are the objects that hold data.
func (u *user) packs(container string) (names []string) {
	u.t.Helper()
	for _, name := range u.objects(container) {
		if strings.Contains(name, "/pack-") {
			names = append(names, name)
		}
	}
	return names
}

func (u *user) object(method, container, name string, body any) answer {
	u.t.Helper()
	return u.swift(method, "/"+url.PathEscape(container)+"/"+(&url.URL{Path: name}).EscapedPath(), body, nil)
}

// access reads the container's ACLs.
func (u *user) access(container string) (read, write string) {
	u.t.Helper()
	a := u.swift(http.MethodHead, "/"+container, nil, nil).want(u.t, 200, 204)
	return a.header.Get("X-Container-Read"), a.header.Get("X-Container-Write")
}

// revoke takes everybody else's access to the container away.
func (u *user) revoke(container string) {
	u.t.Helper()
	u.swift(http.MethodPost, "/"+container, nil, map[string]string{"X-Container-Read": "", "X-Container-Write": ""}).want(u.t, 204)
}

// empty takes a container away with all that is in it.
func (u *user) empty(container string) bool {
	u.t.Helper()
	return within(patience, func() bool {
		for _, name := range u.objects(container) {
			u.object(http.MethodDelete, container, name, nil).want(u.t, 204, 404)
		}
		return u.swift(http.MethodDelete, "/"+url.PathEscape(container), nil, nil).want(u.t, 204, 404, 409).status != http.StatusConflict
	})
}
