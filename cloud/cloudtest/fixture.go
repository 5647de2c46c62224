// Package cloudtest holds the suites that every implementation of
// cloud.Volumes, cloud.Containers and cloud.Servers passes, the stand-ins as well as the real
// services. A suite makes what it needs through the fixture, and leaves volumes
// and containers behind only where the fixture cannot remove them.
package cloudtest

import (
	"context"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// VolumesFixture is a cloud to test Volumes on.
type VolumesFixture struct {
	Volumes  cloud.Volumes
	Owner    cloud.User
	Stranger cloud.User // of another project

	// Remove deletes a volume of the Owner whatever its status is.
	Remove func(t *testing.T, id string)

	// Backend is the key Locate must give for a volume of the Owner.
	Backend string

	// What only some clouds refuse; the zero value leaves the case out.
	TooLargeGiB int64      // size beyond the Owner's quota
	NoSuchType  string     // volume type that does not exist
	NoSuchZone  string     // availability zone that does not exist
	Reader      cloud.User // of the Owner's project, may not create volumes
	Intruder    cloud.User // of the Owner's project, with a token that is no token

	// Patience is how long a status may take to come; zero: a minute.
	Patience time.Duration
}

// ContainersFixture is a cloud to test Containers on.
type ContainersFixture struct {
	Containers cloud.Containers
	Owner      cloud.User
	Stranger   cloud.User // of another project, with the same rights there

	// ServiceCan proves that the service itself can write, list and delete in
	// the container of the project.
	ServiceCan func(t *testing.T, project, container string)
	// Remove deletes a container of the Owner and what is in it.
	Remove func(t *testing.T, container string)

	// The zero value leaves the cases out.
	Reader   cloud.User // of the Owner's project, may read the service's catalog but no object
	Intruder cloud.User // of the Owner's project, with a token that is no token
}

func wantCode(t *testing.T, err error, code stowage.Code, what string) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want %s", what, code)
	}
	if got := stowage.CodeOf(err); got != code {
		t.Fatalf("%s: code %s (%v), want %s", what, got, err, code)
	}
	if stowage.MessageOf(err) == "" {
		t.Errorf("%s: no message for the user in %v", what, err)
	}
}

func must(t *testing.T, err error, what string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// newVolume makes a volume of the owner and waits until it is available.
func (f VolumesFixture) newVolume(t *testing.T, req cloud.VolumeRequest) cloud.Volume {
	t.Helper()
	if req.SizeGiB == 0 {
		req.SizeGiB = 1
	}
	vol, err := f.Volumes.CreateUserVolume(t.Context(), f.Owner, req)
	must(t, err, "create a volume")
	t.Cleanup(func() { f.Remove(t, vol.ID) })
	return f.await(t, vol.ID, stowage.VolumeAvailable)
}

// await looks until the volume has the status. A real cloud takes its time and
// tells nobody, hence the polling.
func (f VolumesFixture) await(t *testing.T, id, status string) cloud.Volume {
	t.Helper()
	patience := f.Patience
	if patience == 0 {
		patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		vol, err := f.Volumes.Volume(ctx, id)
		must(t, err, "look at volume "+id)
		if vol.Status == status {
			return vol
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("volume %s is %s, want %s", id, vol.Status, status)
		}
	}
}
