//go:build stack && ceph

package rbd_test

import (
	"bufio"
	"errors"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/drivers/rbd"
)

// TestMain lets more tests run side by side than there are processors: they
// wait for the monitors most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// stackEnv reads the file of a running stack.
func stackEnv(t *testing.T) map[string]string {
	t.Helper()
	name := os.Getenv("STOWAGE_STACK_ENV")
	if name == "" {
		t.Skip("STOWAGE_STACK_ENV names no stack")
	}
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			env[key] = strings.Trim(value, `"'`)
		}
	}
	return env
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, code stowage.Code) {
	t.Helper()
	if err == nil || stowage.CodeOf(err) != code {
		t.Errorf("%s: %v (%s), want code %s", what, err, stowage.CodeOf(err), code)
	}
}

func options(env map[string]string) rbd.Options {
	return rbd.Options{
		Key:  rbd.Key(env["CEPH_FSID"], env["CEPH_POOL"]),
		Pool: env["CEPH_POOL"], User: env["CEPH_USER"], CephConf: env["CEPH_CONF"], Keyring: env["CEPH_KEYRING"],
	}
}

// rig is the driver, and a connection beside it that does what Cinder does.
type rig struct {
	drivers.Volumes
	ioctx *rados.IOContext
}

func newRig(t *testing.T) *rig {
	t.Helper()
	env := stackEnv(t)
	v, err := rbd.Open(t.Context(), options(env))
	must(t, err)
	conn, err := rados.NewConnWithUser(env["CEPH_USER"])
	must(t, err)
	must(t, conn.ReadConfigFile(env["CEPH_CONF"]))
	must(t, conn.SetConfigOption("keyring", env["CEPH_KEYRING"]))
	must(t, conn.Connect())
	ioctx, err := conn.OpenIOContext(env["CEPH_POOL"])
	must(t, err)
	t.Cleanup(func() {
		must(t, v.Close())
		ioctx.Destroy()
		conn.Shutdown()
	})
	return &rig{v, ioctx}
}

// layout is what Cinder or its operator may have chosen for images.
type layout struct {
	name        string
	features    uint64
	order       int
	stripeUnit  uint64
	stripeCount uint64
}

const allFeatures = ceph.FeatureLayering | ceph.FeatureExclusiveLock | ceph.FeatureObjectMap | ceph.FeatureFastDiff | ceph.FeatureDeepFlatten

var cinders = layout{name: "as Cinder makes them", features: allFeatures, order: 22}

func (r *rig) volume(t *testing.T, bytes int64, l layout) stowage.VolumeLocation {
	t.Helper()
	id := uuid.NewString()
	vol := stowage.VolumeLocation{Backend: r.Backend(), VolumeID: id, Name: "volume-" + id}
	var err error
	if l.stripeCount > 0 {
		_, err = ceph.Create3(r.ioctx, vol.Name, uint64(bytes), l.features|ceph.FeatureStripingV2, l.order, l.stripeUnit, l.stripeCount)
	} else {
		_, err = ceph.Create2(r.ioctx, vol.Name, uint64(bytes), l.features, l.order)
	}
	must(t, err)
	t.Cleanup(func() { r.wipe(t, vol.Name) })
	return vol
}

// wipe leaves nothing of a test's image, wherever it is.
func (r *rig) wipe(t *testing.T, name string) {
	entries, err := ceph.GetTrashList(r.ioctx)
	if err != nil && !errors.Is(err, ceph.ErrNotFound) {
		t.Error(err)
	}
	for _, e := range entries {
		if e.Name == name {
			if err := ceph.TrashRestore(r.ioctx, e.Id, name); err != nil {
				t.Error(err)
			}
		}
	}
	image, err := ceph.OpenImage(r.ioctx, name, ceph.NoSnapshot)
	if errors.Is(err, ceph.ErrNotFound) {
		return
	}
	must(t, err)
	snaps, err := image.GetSnapshotNames()
	must(t, err)
	for _, s := range snaps {
		snap := image.GetSnapshot(s.Name)
		if protected, err := snap.IsProtected(); err == nil && protected {
			_ = snap.Unprotect()
		}
		if err := snap.Remove(); err != nil {
			t.Error(err)
		}
	}
	must(t, image.Close())
	if err := ceph.RemoveImage(r.ioctx, name); err != nil {
		t.Error(err)
	}
}

// deleteAsCinder removes snapshots that look like those of Cinder's backups,
// then the image or, when it has others, trashes it.
func (r *rig) deleteAsCinder(t *testing.T, vol stowage.VolumeLocation) {
	t.Helper()
	image := r.image(t, vol.Name)
	snaps, err := image.GetSnapshotNames()
	must(t, err)
	for _, s := range snaps {
		if regexp.MustCompile(`^backup\.([a-z0-9\-]+?)\.snap\.(.+)$`).MatchString(s.Name) {
			must(t, image.GetSnapshot(s.Name).Remove())
		}
	}
	must(t, image.Close())
	if err := ceph.RemoveImage(r.ioctx, vol.Name); err != nil {
		must(t, ceph.GetImage(r.ioctx, vol.Name).Trash(0))
	}
}

// inTrash gives the ids of what the trash has under the volume's name.
func (r *rig) inTrash(t *testing.T, vol stowage.VolumeLocation) (ids []string) {
	t.Helper()
	entries, err := ceph.GetTrashList(r.ioctx)
	must(t, err)
	for _, e := range entries {
		if e.Name == vol.Name {
			ids = append(ids, e.Id)
		}
	}
	return ids
}

func (r *rig) image(t *testing.T, name string) *ceph.Image {
	t.Helper()
	image, err := ceph.OpenImage(r.ioctx, name, ceph.NoSnapshot)
	must(t, err)
	return image
}

func (r *rig) allocated(t *testing.T, vol stowage.VolumeLocation) (sum int64) {
	t.Helper()
	image := r.image(t, vol.Name)
	defer image.Close()
	size, err := image.GetSize()
	must(t, err)
	must(t, image.DiffIterate(ceph.DiffIterateConfig{
		Length: size,
		Callback: func(_, length uint64, exists int, _ any) int {
			if exists != 0 {
				sum += int64(length)
			}
			return 0
		},
	}))
	return sum
}

func TestStackSuite(t *testing.T) {
	for _, l := range []layout{
		cinders,
		{name: "without object map and lock", features: ceph.FeatureLayering, order: 22},
		{name: "small objects, striped", features: allFeatures, order: 20, stripeUnit: 256 << 10, stripeCount: 3},
		{name: "striped without object map", features: ceph.FeatureLayering | ceph.FeatureExclusiveLock, order: 20, stripeUnit: 64 << 10, stripeCount: 4},
		{name: "large objects", features: allFeatures, order: 24},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel() // each snapshot waits a second or two for the monitors
			drivertest.Volumes(t, func(t *testing.T) drivertest.VolumesFixture {
				r := newRig(t)
				return drivertest.VolumesFixture{
					Volumes:      r.Volumes, // with all that it can do
					NewVolume:    func(t *testing.T, bytes int64) stowage.VolumeLocation { return r.volume(t, bytes, l) },
					DeleteVolume: r.deleteAsCinder,
					Left: func(t *testing.T, vol stowage.VolumeLocation) bool {
						names, err := ceph.GetImageNames(r.ioctx)
						must(t, err)
						return slices.Contains(names, vol.Name) || len(r.inTrash(t, vol)) > 0
					},
					AllocatedBytes: r.allocated,
					HoleUnit:       max(1, int64(l.stripeCount)) << l.order,
				}
			})
		})
	}
}

func TestStackOpen(t *testing.T) {
	env := stackEnv(t)
	for what, c := range map[string]struct {
		change func(*rbd.Options)
		code   stowage.Code
	}{
		"another key":     {func(o *rbd.Options) { o.Key = "rbd:0:volumes" }, stowage.Invalid},
		"no such pool":    {func(o *rbd.Options) { o.Key, o.Pool = "", "no-such-pool" }, stowage.NotFound},
		"no such keyring": {func(o *rbd.Options) { o.Keyring = "/nonexistent" }, stowage.Forbidden},
		"no such conf":    {func(o *rbd.Options) { o.CephConf = "/nonexistent" }, stowage.Invalid},
	} {
		opts := options(env)
		opts.ConnectTimeout = 5 * time.Second
		c.change(&opts)
		_, err := rbd.Open(t.Context(), opts)
		wantCode(t, what, err, c.code)
	}
	conf := t.TempDir() + "/ceph.conf"
	must(t, os.WriteFile(conf, []byte("[global]\nfsid = "+uuid.NewString()+"\nmon_host = 127.0.0.1:1\n"), 0o600))
	opts := options(env)
	opts.CephConf, opts.ConnectTimeout = conf, 2*time.Second
	_, err := rbd.Open(t.Context(), opts)
	wantCode(t, "nobody listens", err, stowage.Unavailable)
}
