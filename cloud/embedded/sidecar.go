package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stowage/stowage"
)

// sidecar is what is known of a volume besides its bytes.
type sidecar struct {
	ProjectID        string            `json:"project_id,omitempty"` // empty: whoever asks
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Status           string            `json:"status"`
	Type             string            `json:"type,omitempty"`
	AvailabilityZone string            `json:"availability_zone,omitempty"`
	Bootable         bool              `json:"bootable,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	ImageMetadata    map[string]string `json:"image_metadata,omitempty"`
	Locks            []lock            `json:"locks,omitempty"`
}

// lock is what Cinder calls an attachment without a connector.
type lock struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
}

func (v *Volumes) sidecarPath(id string) string {
	return filepath.Join(v.dir, metaDir, filePrefix+id+".json")
}

// readSidecar gives the sidecar, or what holds for a volume without one.
func (v *Volumes) readSidecar(id string) (sidecar, error) {
	side := sidecar{Status: stowage.VolumeAvailable}
	raw, err := os.ReadFile(v.sidecarPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return side, nil
	}
	if err != nil {
		return side, err
	}
	if err := json.Unmarshal(raw, &side); err != nil {
		return side, fmt.Errorf("sidecar %s: %w", v.sidecarPath(id), err)
	}
	return side, nil
}

// writeSidecar replaces the sidecar in one step; durable on return.
func (v *Volumes) writeSidecar(id string, side sidecar) (err error) {
	raw, err := json.MarshalIndent(side, "", "  ")
	if err != nil {
		return err
	}
	meta := filepath.Join(v.dir, metaDir)
	f, err := os.CreateTemp(meta, filePrefix+id+"-*"+newSuffix) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(append(raw, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), v.sidecarPath(id)); err != nil {
		return err
	}
	return syncDir(meta)
}

func (v *Volumes) dropSidecar(id string) error {
	err := os.Remove(v.sidecarPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// eachSidecar calls fn for every volume that has a sidecar, in the order of
// their names, until it gives false. The mutex must be held.
func (v *Volumes) eachSidecar(fn func(id string, size int64, side sidecar) bool) error {
	entries, err := os.ReadDir(filepath.Join(v.dir, metaDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, isVolume := strings.CutPrefix(e.Name(), filePrefix)
		id, isSidecar := strings.CutSuffix(id, ".json")
		if !isVolume || !isSidecar {
			continue
		}
		size, side, err := v.load(id)
		if stowage.Is(err, stowage.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !fn(id, size, side) {
			return nil
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
