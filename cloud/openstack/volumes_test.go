package openstack_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/cloudtest"
	"github.com/stowage/stowage/cloud/openstack"
)

func wantCode(t *testing.T, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Errorf("error %v, want %s", err, code)
	}
}

func TestVolumesSuite(t *testing.T) {
	c, g := newCinder(t)
	cloudtest.Volumes(t, cloudtest.VolumesFixture{
		Volumes: open(t, g), Owner: demo, Stranger: alt, Reader: reader, Intruder: intruder,
		Backend: "rbd:" + fakeFSID + ":volumes", TooLargeGiB: 1000, NoSuchType: "gone", NoSuchZone: "gone",
		Remove: func(_ *testing.T, id string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.volumes, id)
		},
	})
}

func TestUserCallsCarryTheRequestID(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	if _, err := open(t, g).UserVolume(t.Context(), demo, id); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.requestIDs, []string{"req-1"}) || !slices.Equal(c.versions, []string{""}) {
		t.Errorf("request ids %q, versions %q", c.requestIDs, c.versions)
	}
	if g.session.logins != 0 {
		t.Error("a user's call logged the service in")
	}
}

func TestServiceCallsHaveAMicroversion(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	if _, err := open(t, g).Volume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.versions, []string{"volume 3.54"}) {
		t.Errorf("versions %q", c.versions)
	}
}

func TestAdminFieldsAreRead(t *testing.T) {
	c, g := newCinder(t)
	nameID := uuid.NewString()
	id := c.volume("in-use", map[string]any{
		"os-vol-mig-status-attr:name_id": nameID, "os-vol-mig-status-attr:migstat": "success", "encrypted": true,
		"multiattach": true, "bootable": "true", "attachments": []any{map[string]any{"id": "1"}, map[string]any{"id": "2"}},
		"metadata": map[string]any{"k": "v", "readonly": "False", "attached_mode": "rw"}, "volume_type": "fast",
		"availability_zone": "nova", "volume_image_metadata": map[string]any{"min_disk": 1, "os": "x"},
	})
	vol, err := open(t, g).Volume(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if vol.Host != fakeHost || vol.NameID != nameID || vol.MigrationStatus != "success" || vol.Attachments != 2 ||
		!vol.Encrypted || !vol.Multiattach || !vol.Bootable || vol.Type != "fast" || vol.AvailabilityZone != "nova" {
		t.Errorf("read %+v", vol)
	}
	if len(vol.Metadata) != 1 || vol.Metadata["k"] != "v" || vol.ImageMetadata["min_disk"] != "1" || vol.ImageMetadata["os"] != "x" {
		t.Errorf("read metadata %v and %v", vol.Metadata, vol.ImageMetadata)
	}
	at, err := open(t, g).Locate(t.Context(), vol)
	if err != nil || at.Name != "volume-"+nameID || at.VolumeID != id {
		t.Errorf("at %+v, %v: the backend's name is that of the copy", at, err)
	}
}

// Cinder would give it to us at once: the lock must not be taken from under
// the servers that use the volume.
func TestReserveLeavesMultiattachVolumesInUseAlone(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("in-use", map[string]any{"multiattach": true})
	_, err := open(t, g).Reserve(t.Context(), id, uuid.NewString())
	wantCode(t, err, stowage.Conflict)
	if n := g.count("POST /v3/" + serviceProject + "/attachments"); n != 0 {
		t.Errorf("%d attachments asked for", n)
	}
}

func TestReserveGivesBackAMultiattachVolumeThatSomebodyElseHas(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", map[string]any{"multiattach": true})
	c.attachments["other"] = map[string]any{"id": "other", "volume_id": id, "instance": uuid.NewString(), "status": "attached"}
	_, err := open(t, g).Reserve(t.Context(), id, uuid.NewString())
	wantCode(t, err, stowage.Conflict)
	if len(c.attachments) != 1 || c.status(id) != "in-use" {
		t.Errorf("left %v, volume %v", c.attachments, c.status(id))
	}
}

func TestLockKeepsOneOfTwo(t *testing.T) {
	c, g := newCinder(t)
	v, owner := open(t, g), uuid.NewString()
	id := c.volume("available", nil)
	first, err := v.Reserve(t.Context(), id, owner)
	if err != nil {
		t.Fatal(err)
	}
	twin := uuid.NewString()
	c.attachments[twin] = map[string]any{"id": twin, "volume_id": id, "instance": owner, "status": "reserved"}
	kept, err := v.Lock(t.Context(), id, owner)
	if err != nil || (kept != first && kept != twin) || len(c.attachments) != 1 {
		t.Fatalf("kept %s (%v) of %v", kept, err, c.attachments)
	}
	if err := v.Release(t.Context(), kept); err != nil || c.status(id) != "available" {
		t.Errorf("release: %v, volume %v", err, c.status(id))
	}
}

func TestSetMetadataKeepsToItselfWhatCinderMustFindOut(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("restoring-backup", nil)
	image := map[string]string{"os": "x", "signature_verified": "True", "cinder_encryption_key_id": "k", "": "v"}
	if err := open(t, g).SetMetadata(t.Context(), id, nil, image, true); err != nil {
		t.Fatal(err)
	}
	set, _ := c.volumes[id]["volume_image_metadata"].(map[string]any)
	if len(set) != 1 || set["os"] != "x" {
		t.Errorf("set %v", set)
	}
	if len(image) != 4 {
		t.Error("the caller's map was changed")
	}
}

func TestFindVolumesReadsAllPages(t *testing.T) {
	c, g := newCinder(t)
	for range 5 { // the fake gives two at a time
		c.volume("available", map[string]any{"metadata": map[string]any{"k": "v"}})
	}
	found, err := open(t, g).FindVolumes(t.Context(), demo.ProjectID, "k", "v")
	if err != nil || len(found) != 5 {
		t.Errorf("found %d, %v", len(found), err)
	}
	_, err = open(t, g).FindVolumes(t.Context(), "a/b", "k", "v")
	wantCode(t, err, stowage.Invalid)
}

func TestNewVolumesChecksItsOptions(t *testing.T) {
	if _, err := openstack.NewVolumes(openstack.VolumesOptions{}); err == nil {
		t.Error("no session: no error")
	}
	_, g := newCinder(t)
	for _, template := range []string{"volume", "%s-%s", "%d", "%s-%d"} {
		if _, err := openstack.NewVolumes(openstack.VolumesOptions{Options: g.options(), NameTemplate: template}); err == nil {
			t.Errorf("template %q: no error", template)
		}
	}
}

func TestUserWithoutAPlainProjectOrToken(t *testing.T) {
	c, g := newCinder(t)
	id := c.volume("available", nil)
	v := open(t, g)
	for _, user := range []cloud.User{{ProjectID: demo.ProjectID}, {ProjectID: demo.ProjectID, Token: "token\r\nX: y"}} {
		_, err := v.UserVolume(t.Context(), user, id)
		wantCode(t, err, stowage.Unauthorized)
	}
	_, err := v.UserVolume(t.Context(), cloud.User{ProjectID: "../x", Token: demo.Token}, id)
	wantCode(t, err, stowage.Invalid)
	if n := g.count(""); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}
