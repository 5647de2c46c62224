//go:build stack

package openstack_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"

	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/cloudtest"
	"github.com/stowage/stowage/cloud/openstack"
)

// These tests talk to a real Keystone, Cinder and Swift. STOWAGE_STACK_ENV
// names a file of KEY=VALUE lines that says where they are.

var _ openstack.Session = (*auth.Session)(nil)

type stack map[string]string

func newStack(t *testing.T) stack {
	t.Helper()
	name := os.Getenv("STOWAGE_STACK_ENV")
	if name == "" {
		t.Skip("STOWAGE_STACK_ENV names no stack")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := stack{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), "="); ok {
			s[k] = strings.Trim(v, `"'`)
		}
	}
	return s
}

func (s stack) login(t *testing.T, user, project string) *auth.Session {
	t.Helper()
	session, err := auth.NewSession(auth.Credentials{
		AuthURL: s["KEYSTONE_URL"], Username: user, Password: auth.NewSecret(s[strings.ToUpper(user)+"_PASSWORD"]),
		UserDomainName: "Default", ProjectName: project, ProjectDomainName: "Default", RegionName: s["REGION"], Interface: "public",
	})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func (s stack) user(t *testing.T, user, project string) cloud.User {
	t.Helper()
	session := s.login(t, user, project)
	token, err := session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	projectID, _ := session.ProjectID(t.Context())
	userID, _ := session.UserID(t.Context())
	return cloud.User{ProjectID: projectID, UserID: userID, Token: token, RequestID: "req-" + uuid.NewString()}
}

func (s stack) options(t *testing.T, user string) openstack.Options {
	t.Helper()
	return openstack.Options{Session: s.login(t, user, "service"), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func (s stack) volumes(t *testing.T) *openstack.Volumes {
	t.Helper()
	v, err := openstack.NewVolumes(openstack.VolumesOptions{Options: s.options(t, "stowage")})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// admin is a client of Cinder for what only tests need.
func (s stack) admin(t *testing.T) *gophercloud.ServiceClient {
	t.Helper()
	session := s.login(t, "stowage", "service")
	provider, err := session.Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := session.Endpoint(t.Context(), "block-storage", "volumev3")
	if err != nil {
		t.Fatal(err)
	}
	return &gophercloud.ServiceClient{ProviderClient: provider, Type: "block-storage", Endpoint: endpoint + "/"}
}

func TestStackVolumes(t *testing.T) {
	s := newStack(t)
	admin, owner := s.admin(t), s.user(t, "demo", "demo")
	stranger := owner
	stranger.Token = "gAAAAABn0-token-at-all"
	cloudtest.Volumes(t, cloudtest.VolumesFixture{
		Volumes: s.volumes(t), Owner: owner, Stranger: s.user(t, "alt", "alt"), Intruder: stranger,
		// No Reader: by its default policy, this Cinder lets one create volumes.
		Backend: "rbd:" + s["CEPH_FSID"] + ":" + s["CEPH_POOL"], TooLargeGiB: 20000, NoSuchType: "no-such-type", NoSuchZone: "no-such-zone",
		Remove: func(t *testing.T, id string) {
			if err := volumes.ForceDelete(context.Background(), admin, id).ExtractErr(); err != nil {
				t.Logf("remove volume %s: %v", id, err)
			}
		},
	})
}

func TestStackContainers(t *testing.T) {
	s := newStack(t)
	owner := s.user(t, "demo", "demo")
	intruder := owner
	intruder.Token = "gAAAAABn0-token-at-all"
	for mode, service := range map[openstack.AccessMode]string{openstack.AccessACL: "stowage", openstack.AccessReseller: "stowage_reseller"} {
		t.Run(string(mode), func(t *testing.T) {
			o := openstack.ContainersOptions{Options: s.options(t, service), Mode: mode}
			c, err := openstack.NewContainers(o)
			if err != nil {
				t.Fatal(err)
			}
			token, err := o.Session.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			cloudtest.Containers(t, cloudtest.ContainersFixture{
				Containers: c, Owner: owner, Stranger: s.user(t, "alt", "alt"),
				Reader: s.user(t, "demo_reader", "demo"), Intruder: intruder,
				ServiceCan: func(t *testing.T, project, container string) {
					s.swift(t, token, http.MethodPut, project, container, "/a/b", 201)
					s.swift(t, token, http.MethodGet, project, container, "/a/b", 200)
					s.swift(t, token, http.MethodGet, project, container, "?limit=5", 200)
					s.swift(t, token, http.MethodDelete, project, container, "/a/b", 204)
				},
				Remove: func(t *testing.T, container string) {
					s.swift(t, owner.Token, http.MethodDelete, owner.ProjectID, container, "", 204, 404)
				},
			})
		})
	}
}

// The service sees what it was shown, and nothing else of the tenant's.
func TestStackPrepareOpensNothingElse(t *testing.T) {
	s := newStack(t)
	owner := s.user(t, "demo", "demo")
	o := openstack.ContainersOptions{Options: s.options(t, "stowage")}
	c, err := openstack.NewContainers(o)
	if err != nil {
		t.Fatal(err)
	}
	open, private := "stowage-test-"+uuid.NewString(), "stowage-test-"+uuid.NewString()
	t.Cleanup(func() {
		for _, name := range []string{open, private} {
			s.swift(t, owner.Token, http.MethodDelete, owner.ProjectID, name, "", 204, 404)
		}
	})
	s.swift(t, owner.Token, http.MethodPut, owner.ProjectID, private, "", 201)
	if err := c.Prepare(t.Context(), owner, open); err != nil {
		t.Fatal(err)
	}
	token, err := o.Session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.swift(t, token, http.MethodGet, owner.ProjectID, private, "?limit=1", 403)
	s.swift(t, token, http.MethodDelete, owner.ProjectID, open, "", 403)
}

// A quota that the operator sets on the account is told, with the container's policy.
func TestStackCapacity(t *testing.T) {
	s := newStack(t)
	owner, name := s.user(t, "demo", "demo"), "stowage-test-"+uuid.NewString()
	o := openstack.ContainersOptions{Options: s.options(t, "stowage_reseller"), Mode: openstack.AccessReseller}
	c, err := openstack.NewContainers(o)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := o.Session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quota := func(bytes string) {
		r, err := http.NewRequest(http.MethodPost, s["SWIFT_URL"]+"/v1/AUTH_"+owner.ProjectID, nil) //nolint:noctx // also used while a test ends
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", operator)
		r.Header.Set("X-Account-Meta-Quota-Bytes", bytes)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode/100 != 2 {
			t.Fatalf("set a quota: %s", resp.Status)
		}
	}
	if err := c.Prepare(t.Context(), owner, name); err != nil {
		t.Fatal(err)
	}
	quota("1099511627776")
	t.Cleanup(func() {
		quota("")
		s.swift(t, owner.Token, http.MethodDelete, owner.ProjectID, name, "", 204, 404)
	})
	for what, user := range map[string]cloud.User{"the owner": owner, "the service": {ProjectID: owner.ProjectID}} {
		if got, err := c.Capacity(t.Context(), user, name); err != nil || got.Bytes != 1<<40 || got.Policy == "" {
			t.Errorf("%s is told %+v, %v", what, got, err)
		}
	}
}

// swift sends one request of its own, past the code under test.
func (s stack) swift(t *testing.T, token, method, project, container, suffix string, ok ...int) {
	t.Helper()
	where := s["SWIFT_URL"] + "/v1/AUTH_" + project + "/" + url.PathEscape(container) + suffix
	r, err := http.NewRequest(method, where, strings.NewReader("")) //nolint:noctx // also used while a test ends
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, status := range ok {
		if resp.StatusCode == status {
			return
		}
	}
	t.Errorf("%s %s: status %d, want %v", method, where, resp.StatusCode, ok)
}
