//go:build stack

package openstack_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/cloudtest"
	"github.com/stowage/stowage/cloud/openstack"
)

// fullOptions are those of a service that goes into projects.
func (s stack) fullOptions(t *testing.T) openstack.Options {
	t.Helper()
	o := s.options(t, "stowage")
	session := o.Session.(*auth.Session)
	o.InProject = func(project string) (openstack.Session, error) { return session.InProject(project) }
	return o
}

func (s stack) servers(t *testing.T) (*openstack.Servers, *openstack.Volumes) {
	t.Helper()
	o := s.fullOptions(t)
	v, err := openstack.NewVolumes(openstack.VolumesOptions{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	servers, err := openstack.NewServers(openstack.ServersOptions{Options: o, Volumes: v})
	if err != nil {
		t.Fatal(err)
	}
	return servers, v
}

// rest is a client of one service for what only tests need, as this user.
func (s stack) rest(t *testing.T, user, project, kind, version string) *gophercloud.ServiceClient {
	t.Helper()
	session := s.login(t, user, project)
	provider, err := session.Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := session.Endpoint(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	return &gophercloud.ServiceClient{ProviderClient: provider, Type: kind, Endpoint: strings.TrimSuffix(endpoint, "/v3") + version + "/"}
}

func ask[T any](t *testing.T, c *gophercloud.ServiceClient, method, at string, body any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	var got json.RawMessage
	o := &gophercloud.RequestOpts{JSONBody: body, JSONResponse: &got, OkCodes: []int{200, 201, 202, 204, 404}}
	if method == http.MethodDelete {
		o.JSONResponse = nil
	}
	if _, err := c.Request(ctx, method, c.ServiceURL(at), o); err != nil {
		t.Fatal(err)
	}
	var out T
	if got != nil {
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

type withID struct{ ID, Name string }

func TestStackServers(t *testing.T) {
	s := newStack(t)
	servers, v := s.servers(t)
	cinder, nova := s.admin(t), s.rest(t, "stowage", "service", "compute", "")
	keystone, neutron := s.rest(t, "admin", "admin", "identity", "/v3"), s.rest(t, "demo", "demo", "network", "/v2.0")
	owner := s.user(t, "demo", "demo")

	flavors := ask[struct{ Flavors []withID }](t, nova, http.MethodGet, "flavors", nil)
	tiny := ""
	for _, f := range flavors.Flavors {
		if f.Name == "m1.tiny" {
			tiny = f.ID
		}
	}
	huge := ask[struct{ Flavor withID }](t, nova, http.MethodPost, "flavors",
		map[string]any{"flavor": map[string]any{"name": "huge-" + uuid.NewString(), "vcpus": 1, "ram": 1 << 30, "disk": 0}}).Flavor.ID
	t.Cleanup(func() { ask[any](t, nova, http.MethodDelete, "flavors/"+huge, nil) })

	domain := ask[struct{ Domain withID }](t, keystone, http.MethodPost, "domains",
		map[string]any{"domain": map[string]any{"name": "closed-" + uuid.NewString()}}).Domain.ID
	foreign := ask[struct{ Project withID }](t, keystone, http.MethodPost, "projects",
		map[string]any{"project": map[string]any{"name": "closed", "domain_id": domain}}).Project.ID
	t.Cleanup(func() {
		ask[any](t, keystone, http.MethodPatch, "domains/"+domain, map[string]any{"domain": map[string]any{"enabled": false}})
		ask[any](t, keystone, http.MethodDelete, "domains/"+domain, nil)
	})

	cloudtest.Servers(t, cloudtest.ServersFixture{
		Servers: servers, FlavorID: tiny, NetworkID: s["PRIVATE_NETWORK_ID"], Address: "10.20.0.177", MAC: "fa:16:3e:20:01:77",
		Zone: "nova", NoHost: huge, NoSuchFlavor: uuid.NewString(), Foreign: foreign,
		Cinder: cloudtest.VolumesFixture{
			Volumes: v, Owner: owner, Stranger: s.user(t, "alt", "alt"), TooLargeGiB: 20000,
			Remove: func(t *testing.T, id string) {
				if err := volumes.ForceDelete(context.Background(), cinder, id).ExtractErr(); err != nil {
					t.Logf("remove volume %s: %v", id, err)
				}
			},
		},
		Delete: func(t *testing.T, id string) {
			ports := ask[struct{ Ports []withID }](t, neutron, http.MethodGet, "ports?device_id="+id, nil)
			ask[any](t, nova, http.MethodDelete, "servers/"+id, nil)
			err := gophercloud.WaitFor(t.Context(), func(ctx context.Context) (bool, error) {
				_, err := servers.ServerState(ctx, id)
				return stowage.CodeOf(err) == stowage.NotFound, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range ports.Ports {
				ask[any](t, neutron, http.MethodDelete, "ports/"+p.ID, nil)
			}
		},
	})
}

// A restore that is cancelled as its server is asked for: the volumes stay, although
// they would go with the server.
func TestStackServersRemovedAtOnce(t *testing.T) {
	s := newStack(t)
	servers, v := s.servers(t)
	owner := s.user(t, "demo", "demo")
	tiny := ""
	for _, f := range ask[struct{ Flavors []withID }](t, s.rest(t, "stowage", "service", "compute", ""), http.MethodGet, "flavors", nil).Flavors {
		if f.Name == "m1.tiny" {
			tiny = f.ID
		}
	}
	disk := s.volume(t, v, owner, "")
	if err := v.SetMetadata(t.Context(), disk, nil, nil, true); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		req := cloud.ServerRequest{
			Name: "hasty", FlavorID: tiny, Mark: uuid.NewString(),
			Volumes: []stowage.ServerDisk{{VolumeID: disk, Boot: true, DeleteWithServer: true}},
			Ports:   []stowage.ServerPort{{NetworkID: s["PRIVATE_NETWORK_ID"]}},
		}
		if _, _, err := servers.BuildServer(t.Context(), owner.ProjectID, req); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		err := gophercloud.WaitFor(ctx, func(ctx context.Context) (bool, error) {
			err := servers.RemoveServer(ctx, owner.ProjectID, req.Mark)
			if stowage.CodeOf(err) == stowage.Unavailable {
				t.Log(err)
				return false, nil
			}
			return true, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if vol, err := v.Volume(t.Context(), disk); err != nil || vol.Status != stowage.VolumeAvailable {
			t.Fatalf("volume %+v, %v", vol, err)
		}
	}
}
