package embedded_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/cloudtest"
	"github.com/stowage/stowage/cloud/embedded"
)

const backend = "file:test"

var (
	demo = cloud.User{ProjectID: "p-demo", UserID: "u-demo", Token: "t-demo"}
	alt  = cloud.User{ProjectID: "p-alt", UserID: "u-alt", Token: "t-alt"}
)

func open(t *testing.T, dir string) *embedded.Volumes {
	t.Helper()
	v, err := embedded.OpenVolumes(embedded.Options{Dir: dir, Backend: backend})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// drop makes a volume as an operator would: a file of so many bytes.
func drop(t *testing.T, dir, id string, size int64) {
	t.Helper()
	name := filepath.Join(dir, "volume-"+id)
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, id string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "volume-"+id)); err != nil {
		t.Fatal(err)
	}
}

func TestVolumesSuite(t *testing.T) {
	dir := t.TempDir()
	cloudtest.Volumes(t, cloudtest.VolumesFixture{
		Volumes: open(t, dir), Owner: demo, Stranger: alt, Backend: backend,
		Remove: func(t *testing.T, id string) { remove(t, dir, id) },
	})
}

func TestDroppedFileIsAVolume(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	drop(t, dir, "7", stowage.GiB+1)
	for _, user := range []cloud.User{demo, alt} {
		vol, err := v.UserVolume(t.Context(), user, "7")
		if err != nil {
			t.Fatal(err)
		}
		if vol.Status != stowage.VolumeAvailable || vol.SizeGiB != 2 || vol.ProjectID != user.ProjectID || vol.Name != "" {
			t.Errorf("%s sees %+v", user.UserID, vol)
		}
	}
	if _, err := v.Reserve(t.Context(), "7", uuid.NewString()); err != nil {
		t.Fatal(err)
	}
	vol, err := v.UserVolume(t.Context(), alt, "7")
	if err != nil || vol.Status != stowage.VolumeReserved {
		t.Errorf("after a lock %+v, %v: still everybody's", vol, err)
	}
}

func TestWhatIsNoFileIsNoVolume(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "volume-8"), 0o700); err != nil {
		t.Fatal(err)
	}
	drop(t, dir, "name", 1)
	if err := os.Symlink("volume-name", filepath.Join(dir, "volume-10")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"8", "9", "10", "name"} {
		if _, err := v.Volume(t.Context(), id); stowage.CodeOf(err) != stowage.NotFound {
			t.Errorf("volume %s: %v, want NotFound", id, err)
		}
	}
}

func TestRestartFindsEverything(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	made, err := v.CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{Name: "n", SizeGiB: 2, Metadata: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	job := uuid.NewString()
	held, err := v.Reserve(t.Context(), made.ID, job)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.SetStatus(t.Context(), made.ID, stowage.VolumeRestoringBackup); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(dir, ".meta", "volume-5-1.new")
	if err := os.WriteFile(leftover, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	v = open(t, dir)
	vol, err := v.UserVolume(t.Context(), demo, made.ID)
	if err != nil || vol.Status != stowage.VolumeRestoringBackup || vol.Name != "n" || vol.SizeGiB != 2 {
		t.Errorf("found %+v, %v", vol, err)
	}
	if found, err := v.Lock(t.Context(), made.ID, job); err != nil || found != held {
		t.Errorf("lock %s, %v, want %s", found, err, held)
	}
	if _, err := os.Stat(leftover); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("leftover: %v", err)
	}
}

func TestFilesAreForNobodyElse(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	made, err := v.CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"volume-" + made.ID, ".meta/volume-" + made.ID + ".json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// A number used again by another file must not inherit anything.
func TestDeletedFileTakesTheSidecarAlong(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	drop(t, dir, "7", 1)
	if err := v.SetStatus(t.Context(), "7", stowage.VolumeErrorRestoring); err != nil {
		t.Fatal(err)
	}
	remove(t, dir, "7")
	if _, err := v.FindVolumes(t.Context(), "p-demo", "k", "v"); err != nil {
		t.Fatal(err)
	}
	drop(t, dir, "7", 1)
	if vol, err := v.Volume(t.Context(), "7"); err != nil || vol.Status != stowage.VolumeAvailable {
		t.Errorf("found %+v, %v", vol, err)
	}
}

func TestBrokenSidecarIsNotGuessedAt(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	drop(t, dir, "7", 1)
	if err := os.WriteFile(filepath.Join(dir, ".meta", "volume-7.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Reserve(t.Context(), "7", uuid.NewString()); stowage.CodeOf(err) != stowage.Internal {
		t.Errorf("reserve: %v, want an error without a code", err)
	}
}

func TestTooLargeIsOverLimit(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	_, err := v.CreateUserVolume(t.Context(), demo, cloud.VolumeRequest{SizeGiB: 1 << 32})
	if stowage.CodeOf(err) != stowage.OverLimit {
		t.Errorf("4 EiB: %v, want over-limit", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".meta", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// objects is an object store that only knows names.
type objects struct {
	mu   sync.Mutex
	have map[[2]string]bool
	err  error
}

func (o *objects) CreateContainer(_ context.Context, project, container string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.have[[2]string{project, container}] = true
	return o.err
}

func (o *objects) ContainerExists(_ context.Context, project, container string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.have[[2]string{project, container}], o.err
}

func TestContainersSuite(t *testing.T) {
	o := &objects{have: map[[2]string]bool{}}
	cloudtest.Containers(t, cloudtest.ContainersFixture{
		Containers: embedded.NewContainers(o), Owner: demo, Stranger: alt,
		ServiceCan: func(t *testing.T, project, container string) {
			if ok, err := o.ContainerExists(t.Context(), project, container); err != nil || !ok {
				t.Errorf("no container %s of %s: %v", container, project, err)
			}
		},
		Remove: func(_ *testing.T, container string) {
			delete(o.have, [2]string{demo.ProjectID, container})
		},
	})
}

func TestContainersPassErrorsOn(t *testing.T) {
	o := &objects{have: map[[2]string]bool{}, err: stowage.Errorf(stowage.Unavailable, "The disk is away.")}
	c := embedded.NewContainers(o)
	for what, err := range map[string]error{
		"prepare": c.Prepare(t.Context(), demo, "c"), "read": c.MayRead(t.Context(), demo, "c"),
	} {
		if stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := c.Prepare(t.Context(), cloud.User{}, "c"); stowage.CodeOf(err) != stowage.Forbidden {
		t.Errorf("without a project: %v", err)
	}
}

func TestTheInventoryIsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	v, err := embedded.OpenVolumes(embedded.Options{Dir: dir, Backend: "file:x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"volume-9", "volume-x", "other", "volume-10"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := v.CreateUserVolume(t.Context(), cloud.User{ProjectID: "demo"}, cloud.VolumeRequest{Name: "n", SizeGiB: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := v.EachVolume(t.Context(), func(v cloud.Volume) error { got[v.ID] = v.ProjectID; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got["9"] != "" || got[made.ID] != "demo" {
		t.Errorf("%v", got)
	}
}
