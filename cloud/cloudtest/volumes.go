package cloudtest

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

const noSuchID = "00000000-dead-4bee-8f00-000000000000"

// Volumes runs the suite for cloud.Volumes.
func Volumes(t *testing.T, f VolumesFixture) {
	t.Run("what was asked for is made", f.testCreate)
	t.Run("what cannot be made is refused", f.testCreateRefused)
	t.Run("a volume is seen by its project only", f.testVisibility)
	t.Run("an id that is none is not found", f.testOddIDs)
	t.Run("one owner at a time", f.testReserve)
	t.Run("two at once, one gets it", f.testReserveRace)
	t.Run("release makes available whatever the status", f.testRelease)
	t.Run("status", f.testStatus)
	t.Run("metadata", f.testMetadata)
	t.Run("found by metadata", f.testFind)
	t.Run("located", f.testLocate)
}

func (f VolumesFixture) testCreate(t *testing.T) {
	req := cloud.VolumeRequest{
		Name: "näme \"1\"", Description: "what it is for", SizeGiB: 1,
		Metadata: map[string]string{"made": "for a test"},
	}
	made, err := f.Volumes.CreateUserVolume(t.Context(), f.Owner, req)
	must(t, err, "create")
	t.Cleanup(func() { f.Remove(t, made.ID) })
	if made.ID == "" || made.Status != stowage.VolumeCreating {
		t.Errorf("told %+v, want an id and creating", made)
	}
	vol := f.await(t, made.ID, stowage.VolumeAvailable)
	if vol.ProjectID != f.Owner.ProjectID {
		t.Errorf("project %q, want %q", vol.ProjectID, f.Owner.ProjectID)
	}
	if vol.Name != req.Name || vol.Description != req.Description || vol.SizeGiB != 1 {
		t.Errorf("made %+v", vol)
	}
	if vol.Metadata["made"] != "for a test" || vol.Bootable || vol.Encrypted || vol.Attachments != 0 {
		t.Errorf("made %+v", vol)
	}
}

func (f VolumesFixture) testCreateRefused(t *testing.T) {
	refused := func(user cloud.User, req cloud.VolumeRequest, code stowage.Code) {
		t.Helper()
		vol, err := f.Volumes.CreateUserVolume(t.Context(), user, req)
		if err == nil {
			f.Remove(t, vol.ID)
		}
		wantCode(t, err, code, "create")
	}
	refused(f.Owner, cloud.VolumeRequest{SizeGiB: 0}, stowage.Invalid)
	if f.TooLargeGiB > 0 {
		refused(f.Owner, cloud.VolumeRequest{SizeGiB: f.TooLargeGiB}, stowage.OverLimit)
	}
	if f.NoSuchType != "" {
		refused(f.Owner, cloud.VolumeRequest{SizeGiB: 1, Type: f.NoSuchType}, stowage.Invalid)
	}
	if f.NoSuchZone != "" {
		refused(f.Owner, cloud.VolumeRequest{SizeGiB: 1, AvailabilityZone: f.NoSuchZone}, stowage.Invalid)
	}
	if f.Reader.Token != "" {
		refused(f.Reader, cloud.VolumeRequest{SizeGiB: 1}, stowage.Forbidden)
	}
	if f.Intruder.Token != "" {
		refused(f.Intruder, cloud.VolumeRequest{SizeGiB: 1}, stowage.Unauthorized)
	}
}

func (f VolumesFixture) testVisibility(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{Name: "mine"})
	seen, err := f.Volumes.UserVolume(t.Context(), f.Owner, vol.ID)
	must(t, err, "the owner looks")
	if seen.ID != vol.ID || seen.Name != "mine" || seen.Status != stowage.VolumeAvailable || seen.SizeGiB != 1 {
		t.Errorf("the owner sees %+v", seen)
	}
	if seen.ProjectID != f.Owner.ProjectID {
		t.Errorf("the owner sees project %q, want %q", seen.ProjectID, f.Owner.ProjectID)
	}
	_, err = f.Volumes.UserVolume(t.Context(), f.Stranger, vol.ID)
	wantCode(t, err, stowage.NotFound, "a stranger looks")
	if f.Intruder.Token != "" {
		_, err = f.Volumes.UserVolume(t.Context(), f.Intruder, vol.ID)
		wantCode(t, err, stowage.Unauthorized, "an intruder looks")
	}
}

func (f VolumesFixture) testOddIDs(t *testing.T) {
	odd := []string{noSuchID, "", ".", "..", "detail", "../volumes", "a/b", "%2e%2e", "x?y=z", "1 2", "é", strings.Repeat("1", 300)}
	for _, id := range odd {
		_, err := f.Volumes.UserVolume(t.Context(), f.Owner, id)
		wantCode(t, err, stowage.NotFound, "the owner looks at "+id)
		_, err = f.Volumes.Volume(t.Context(), id)
		wantCode(t, err, stowage.NotFound, "the service looks at "+id)
		_, err = f.Volumes.Reserve(t.Context(), id, uuid.NewString())
		wantCode(t, err, stowage.NotFound, "reserve "+id)
		_, err = f.Volumes.Lock(t.Context(), id, uuid.NewString())
		wantCode(t, err, stowage.NotFound, "look for the lock of "+id)
		wantCode(t, f.Volumes.SetStatus(t.Context(), id, stowage.VolumeError), stowage.NotFound, "set the status of "+id)
		wantCode(t, f.Volumes.SetMetadata(t.Context(), id, nil, nil, false), stowage.NotFound, "set the metadata of "+id)
		must(t, f.Volumes.Release(t.Context(), id), "release "+id)
	}
}

func (f VolumesFixture) testStatus(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{})
	for _, status := range []string{
		stowage.VolumeBackingUp, stowage.VolumeRestoringBackup, stowage.VolumeErrorRestoring, stowage.VolumeAvailable,
	} {
		must(t, f.Volumes.SetStatus(t.Context(), vol.ID, status), "set "+status)
		seen, err := f.Volumes.UserVolume(t.Context(), f.Owner, vol.ID)
		must(t, err, "look")
		if seen.Status != status {
			t.Errorf("the owner sees %s, want %s", seen.Status, status)
		}
	}
}

func (f VolumesFixture) testMetadata(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{Metadata: map[string]string{"old": "1"}})
	meta := map[string]string{"Key": "v", "k:2": "ä {} \"'", "empty": ""}
	image := map[string]string{"image_name": "cirros", "hw_disk_bus": "scsi", "min_disk": "1"}
	must(t, f.Volumes.SetMetadata(t.Context(), vol.ID, meta, image, true), "set")
	must(t, f.Volumes.SetMetadata(t.Context(), vol.ID, meta, image, true), "set again")
	seen, err := f.Volumes.Volume(t.Context(), vol.ID)
	must(t, err, "look")
	if !maps.Equal(seen.Metadata, meta) {
		t.Errorf("metadata %v, want %v", seen.Metadata, meta)
	}
	for k, v := range image {
		if seen.ImageMetadata[k] != v {
			t.Errorf("image metadata %v, want %v in it", seen.ImageMetadata, image)
		}
	}
	if !seen.Bootable {
		t.Error("not bootable")
	}
	must(t, f.Volumes.SetMetadata(t.Context(), vol.ID, nil, nil, false), "take away")
	seen, err = f.Volumes.Volume(t.Context(), vol.ID)
	must(t, err, "look")
	if len(seen.Metadata) != 0 || seen.Bootable {
		t.Errorf("left: metadata %v, bootable %v", seen.Metadata, seen.Bootable)
	}
}

func (f VolumesFixture) testFind(t *testing.T) {
	const key, value = "stowage:restore of 1", `it's {"1"} \ & more`
	vol := f.newVolume(t, cloud.VolumeRequest{Metadata: map[string]string{key: value, "other": "1"}})
	f.newVolume(t, cloud.VolumeRequest{Metadata: map[string]string{key: "2"}})
	found, err := f.Volumes.FindVolumes(t.Context(), f.Owner.ProjectID, key, value)
	must(t, err, "find")
	if len(found) != 1 || found[0].ID != vol.ID || found[0].ProjectID != f.Owner.ProjectID {
		t.Errorf("found %+v, want %s alone", found, vol.ID)
	}
	for _, none := range [][3]string{
		{f.Owner.ProjectID, key, "3"}, {f.Owner.ProjectID, "no such key", value}, {f.Stranger.ProjectID, key, value},
	} {
		found, err := f.Volumes.FindVolumes(t.Context(), none[0], none[1], none[2])
		must(t, err, "find")
		if len(found) != 0 {
			t.Errorf("%q: found %+v, want none", none, found)
		}
	}
}

func (f VolumesFixture) testLocate(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{})
	at, err := f.Volumes.Locate(t.Context(), vol)
	must(t, err, "locate")
	want := stowage.VolumeLocation{Backend: f.Backend, VolumeID: vol.ID, Name: "volume-" + vol.ID}
	if at != want {
		t.Errorf("at %+v, want %+v", at, want)
	}
}
