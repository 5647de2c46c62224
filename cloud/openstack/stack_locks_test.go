//go:build stack

package openstack_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/attachments"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
)

// What the fakes claim of Cinder's ways with locks, Cinder itself must confirm.

func TestStackCinderLetsOneOwnerReserveTwice(t *testing.T) {
	s := newStack(t)
	v, admin, owner := s.volumes(t), s.admin(t), s.user(t, "demo", "demo")
	id, job := s.volume(t, v, owner, ""), uuid.NewString()
	if _, err := v.Reserve(t.Context(), id, job); err != nil {
		t.Fatal(err)
	}
	s.attach(t, admin, id, job)
	kept, err := v.Lock(t.Context(), id, job)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Release(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	if vol, err := v.Volume(t.Context(), id); err != nil || vol.Status != stowage.VolumeAvailable {
		t.Errorf("released %+v, %v", vol, err)
	}
}

func TestStackReserveWaitsForItsStatus(t *testing.T) {
	s := newStack(t)
	v := s.volumes(t)
	id := s.volume(t, v, s.user(t, "demo", "demo"), "")
	for _, status := range []string{"error", "creating", "downloading", "maintenance"} {
		if err := v.SetStatus(t.Context(), id, status); err != nil {
			t.Fatal(err)
		}
		_, err := v.Reserve(t.Context(), id, uuid.NewString())
		wantCode(t, err, stowage.Conflict)
	}
	wantCode(t, v.SetStatus(t.Context(), id, "no such status"), stowage.Invalid)
}

func TestStackReserveLeavesMultiattachVolumesInUseAlone(t *testing.T) {
	s := newStack(t)
	v, admin, owner := s.volumes(t), s.admin(t), s.user(t, "demo", "demo")
	kind, err := volumetypes.Create(t.Context(), admin, volumetypes.CreateOpts{
		Name: "stowage-test-" + uuid.NewString(), ExtraSpecs: map[string]string{"multiattach": "<is> True"},
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = volumetypes.Delete(context.Background(), admin, kind.ID).ExtractErr() })
	id := s.volume(t, v, owner, kind.Name)
	job := uuid.NewString()
	held, err := v.Reserve(t.Context(), id, job)
	if err != nil {
		t.Fatalf("an available one: %v", err)
	}
	if err := v.Release(t.Context(), held); err != nil {
		t.Fatal(err)
	}

	// Without an instance, so that Cinder lets us take it away again.
	server := s.attach(t, admin, id, "")
	t.Cleanup(func() { _ = v.Release(context.Background(), server) })
	connector := map[string]any{"host": "h", "ip": "192.0.2.1", "initiator": "iqn.x", "multipath": false, "platform": "x86_64", "os_type": "linux2"}
	if err := attachments.Update(t.Context(), admin, server, attachments.UpdateOpts{Connector: connector}).Err; err != nil {
		t.Fatal(err)
	}
	if err := attachments.Complete(t.Context(), admin, server).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	vol, err := v.Volume(t.Context(), id)
	if err != nil || vol.Status != stowage.VolumeInUse || !vol.Multiattach || vol.Attachments != 1 || vol.Type != kind.Name {
		t.Fatalf("attached %+v, %v", vol, err)
	}
	_, err = v.Reserve(t.Context(), id, job)
	wantCode(t, err, stowage.Conflict)
	// Cinder itself would have given it.
	if err := v.Release(t.Context(), s.attach(t, admin, id, job)); err != nil {
		t.Fatal(err)
	}
	if vol, err := v.Volume(t.Context(), id); err != nil || vol.Status != stowage.VolumeInUse {
		t.Errorf("afterwards %+v, %v", vol, err)
	}
}

// A proxy that hands POSTs on and then hangs up, in front of a path without a
// project: Cinder has done it, and we are told nothing.
func TestStackReserveWhoseAnswerIsLostIsFoundByLock(t *testing.T) {
	s := newStack(t)
	id, job := s.volume(t, s.volumes(t), s.user(t, "demo", "demo"), ""), uuid.NewString()
	target, err := url.Parse(strings.TrimSuffix(s["CINDER_URL"], "/v3"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	o := s.options(t, "stowage")
	o.EndpointOverride = server.URL + "/v3"
	v, err := openstack.NewVolumes(openstack.VolumesOptions{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Reserve(t.Context(), id, job)
	wantCode(t, err, stowage.Unavailable)
	held, err := v.Lock(t.Context(), id, job)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Release(t.Context(), held); err != nil {
		t.Fatal(err)
	}
}

// attach makes an attachment past the code under test.
func (s stack) attach(t *testing.T, admin *gophercloud.ServiceClient, volumeID, instance string) string {
	t.Helper()
	admin.Microversion = "3.54"
	args := map[string]any{"volume_uuid": volumeID}
	if instance != "" {
		args["instance_uuid"] = instance
	}
	var body struct {
		Attachment struct {
			ID string `json:"id"`
		} `json:"attachment"`
	}
	_, err := admin.Post(t.Context(), admin.ServiceURL("attachments"), map[string]any{"attachment": args}, &body,
		&gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}})
	if err != nil {
		t.Fatal(err)
	}
	return body.Attachment.ID
}

// volume makes one and waits until it is available.
func (s stack) volume(t *testing.T, v *openstack.Volumes, owner cloud.User, kind string) string {
	t.Helper()
	made, err := v.CreateUserVolume(t.Context(), owner, cloud.VolumeRequest{Name: "stack test", SizeGiB: 1, Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	admin := s.admin(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = volumes.ForceDelete(ctx, admin, made.ID).ExtractErr()
		_ = gophercloud.WaitFor(ctx, func(ctx context.Context) (bool, error) {
			_, err := v.Volume(ctx, made.ID)
			return stowage.CodeOf(err) == stowage.NotFound, nil
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = gophercloud.WaitFor(ctx, func(ctx context.Context) (bool, error) {
		vol, err := v.Volume(ctx, made.ID)
		return vol.Status == stowage.VolumeAvailable, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}
