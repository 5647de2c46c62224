// Package embedded stands in for Cinder and for Swift's rights in standalone
// mode and in tests, on a directory of raw files.
//
// Every regular file <dir>/volume-<id>, with an integer or a UUID for the id,
// is a volume, also one dropped there while we run, and a volume whose file is
// removed is gone. What a file cannot tell (name, owner, status, metadata,
// locks) is kept beside it in <dir>/.meta/volume-<id>.json. A volume without
// that sidecar is available, has no name and belongs to whoever asks.
//
// Nothing is cached: every call looks at the directory, so a restart finds
// everything again. Calls that change something exclude one another by a mutex,
// so only one process may use the directory. The package leaves the bytes of
// volumes to the file driver and the objects to the dir driver.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

const (
	filePrefix = "volume-"
	metaDir    = ".meta"
	newSuffix  = ".new"
)

var plainID = regexp.MustCompile(`^([0-9]{1,18}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$`)

// Options say where the volumes are.
type Options struct {
	Dir     string        // holds the volumes; made if it is not there
	Backend string        // key of the backend, such as file:local
	NewID   func() string // ids of new volumes and attachments; nil: random UUIDs
}

// Volumes implements cloud.Volumes. All methods may be called at the same time.
type Volumes struct {
	dir     string
	backend string
	newID   func() string

	mu sync.Mutex // held by whoever reads a sidecar in order to change it
}

var _ cloud.Volumes = (*Volumes)(nil)

// OpenVolumes opens a directory of volumes and removes what an earlier process
// left half made.
func OpenVolumes(opts Options) (*Volumes, error) {
	if opts.Dir == "" || opts.Backend == "" {
		return nil, errors.New("open embedded volumes: directory and backend key are needed")
	}
	v := &Volumes{dir: opts.Dir, backend: opts.Backend, newID: opts.NewID}
	if v.newID == nil {
		v.newID = uuid.NewString
	}
	if err := os.MkdirAll(filepath.Join(v.dir, metaDir), 0o700); err != nil {
		return nil, fmt.Errorf("open embedded volumes: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(v.dir, metaDir, "*"+newSuffix))
	if err != nil {
		return nil, fmt.Errorf("open embedded volumes: %w", err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("remove a leftover: %w", err)
		}
	}
	return v, nil
}

// UserVolume gives a volume that is the user's project's or nobody's.
func (v *Volumes) UserVolume(ctx context.Context, user cloud.User, id string) (cloud.Volume, error) {
	vol, err := v.Volume(ctx, id)
	switch {
	case err != nil:
		return cloud.Volume{}, err
	case vol.ProjectID == "":
		vol.ProjectID = user.ProjectID
	case vol.ProjectID != user.ProjectID:
		return cloud.Volume{}, notFound(id)
	}
	vol.Host = ""
	return vol, nil
}

// Volume gives any volume. The project is empty for one without an owner.
func (v *Volumes) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	if err := ctx.Err(); err != nil {
		return cloud.Volume{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	size, side, err := v.load(id)
	if err != nil {
		return cloud.Volume{}, err
	}
	return v.view(id, size, side), nil
}

// FindVolumes gives the volumes of the project, or of nobody, with this pair
// in their metadata.
func (v *Volumes) FindVolumes(ctx context.Context, projectID, key, value string) ([]cloud.Volume, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []cloud.Volume
	err := v.eachSidecar(func(id string, size int64, side sidecar) bool {
		has, ok := side.Metadata[key]
		if ok && has == value && (side.ProjectID == "" || side.ProjectID == projectID) {
			vol := v.view(id, size, side)
			vol.ProjectID = projectID
			found = append(found, vol)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("find volumes of project %s: %w", projectID, err)
	}
	return found, nil
}

// Locate gives the one backend there is, and the file's name.
func (v *Volumes) Locate(_ context.Context, vol cloud.Volume) (stowage.VolumeLocation, error) {
	if !plainID.MatchString(vol.ID) {
		return stowage.VolumeLocation{}, notFound(vol.ID)
	}
	return stowage.VolumeLocation{Backend: v.backend, VolumeID: vol.ID, Name: filePrefix + vol.ID}, nil
}

// load gives a volume's length in bytes and what its sidecar says. The sidecar
// of a volume that is gone goes too.
func (v *Volumes) load(id string) (int64, sidecar, error) {
	if !plainID.MatchString(id) {
		return 0, sidecar{}, notFound(id)
	}
	info, err := os.Lstat(v.path(id)) // as the file driver, which follows no links
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := v.dropSidecar(id); err != nil {
			return 0, sidecar{}, fmt.Errorf("look at volume %s: %w", id, err)
		}
		return 0, sidecar{}, notFound(id)
	case err != nil:
		return 0, sidecar{}, fmt.Errorf("look at volume %s: %w", id, err)
	case !info.Mode().IsRegular():
		return 0, sidecar{}, notFound(id)
	}
	side, err := v.readSidecar(id)
	if err != nil {
		return 0, sidecar{}, fmt.Errorf("look at volume %s: %w", id, err)
	}
	return info.Size(), side, nil
}

func (v *Volumes) view(id string, size int64, side sidecar) cloud.Volume {
	vol := cloud.Volume{
		ID:               id,
		ProjectID:        side.ProjectID,
		Name:             side.Name,
		Description:      side.Description,
		Status:           side.Status,
		SizeGiB:          max(1, stowage.SizeGiB(size)), // Cinder knows no volume of 0 GiB
		Type:             side.Type,
		AvailabilityZone: side.AvailabilityZone,
		Bootable:         side.Bootable,
		Metadata:         side.Metadata,
		ImageMetadata:    side.ImageMetadata,
		Host:             v.backend,
	}
	if side.Status == stowage.VolumeInUse {
		vol.Attachments = len(side.Locks)
		vol.ServerID = side.Locks[0].Owner
	}
	return vol
}

func (v *Volumes) path(id string) string { return filepath.Join(v.dir, filePrefix+id) }

func notFound(id string) error {
	return stowage.Errorf(stowage.NotFound, "Volume %.64s could not be found.", strings.ToValidUTF8(id, "?"))
}
