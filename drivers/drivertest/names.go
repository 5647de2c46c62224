package drivertest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// badNames are names of volumes and snapshots that no backend has and that
// could lead a careless driver somewhere else.
var badNames = []string{
	"", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a/../b", "x\x00y", "\x00", "volume@snap", "-rf", "--help",
	"a b", "a\nb", "snap*", "$(id)", ".snapshots", "\xff\xfe", strings.Repeat("a", 300),
}

func namesElsewhere(t *testing.T, f VolumesFixture) {
	good := f.volume(t, 4*mib)
	for _, name := range badNames {
		vol := stowage.VolumeLocation{Backend: f.Volumes.Backend(), VolumeID: good.VolumeID, Name: name}
		_, err := f.Volumes.CreateSnapshot(t.Context(), vol, "suite")
		wantCode(t, "CreateSnapshot of volume "+name, err, stowage.Invalid)
		_, err = f.Volumes.OpenTarget(t.Context(), vol)
		wantCode(t, "OpenTarget of volume "+name, err, stowage.Invalid)
		snap := stowage.Snapshot{Name: "suite", Volume: vol, ID: "1"}
		wantCode(t, "RemoveSnapshot of volume "+name, f.Volumes.RemoveSnapshot(t.Context(), snap), stowage.Invalid)

		_, err = f.Volumes.CreateSnapshot(t.Context(), good, name)
		wantCode(t, "CreateSnapshot named "+name, err, stowage.Invalid)
		snap = stowage.Snapshot{Name: name, Volume: good, ID: "1"}
		_, err = f.Volumes.OpenSnapshot(t.Context(), snap)
		wantCode(t, "OpenSnapshot named "+name, err, stowage.Invalid)
		wantCode(t, "CheckSnapshot named "+name, f.Volumes.CheckSnapshot(t.Context(), snap), stowage.Invalid)
		wantCode(t, "RemoveSnapshot named "+name, f.Volumes.RemoveSnapshot(t.Context(), snap), stowage.Invalid)
	}
	snap := f.snapshot(t, good, "suite")
	for _, id := range []string{"../x", "/", "a\x00", strings.Repeat("a", 300), snap.ID + "0", "x" + snap.ID} {
		other := snap
		other.ID = id
		_, err := f.Volumes.OpenSnapshot(t.Context(), other)
		wantCode(t, "OpenSnapshot with id "+id, err, stowage.NotFound)
		wantCode(t, "CheckSnapshot with id "+id, f.Volumes.CheckSnapshot(t.Context(), other), stowage.NotFound)
	}
	snap.ID = ""
	_, err := f.Volumes.OpenSnapshot(t.Context(), snap)
	wantCode(t, "OpenSnapshot without an id", err, stowage.Invalid)
	wantCode(t, "CheckSnapshot without an id", f.Volumes.CheckSnapshot(t.Context(), snap), stowage.Invalid)
}

func missingVolume(t *testing.T, f VolumesFixture) {
	vol := stowage.VolumeLocation{Backend: f.Volumes.Backend(), VolumeID: "no-such", Name: "volume-no-such"}
	_, err := f.Volumes.CreateSnapshot(t.Context(), vol, "suite")
	wantCode(t, "CreateSnapshot", err, stowage.NotFound)
	_, err = f.Volumes.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget", err, stowage.NotFound)
	must(t, f.Volumes.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "suite", Volume: vol}))
	good := f.volume(t, 4*mib)
	snap := f.snapshot(t, good, "suite")
	snap.Name = "suite-other"
	_, err = f.Volumes.OpenSnapshot(t.Context(), snap)
	wantCode(t, "OpenSnapshot of a name that is not there", err, stowage.NotFound)
	wantCode(t, "CheckSnapshot of a name that is not there", f.Volumes.CheckSnapshot(t.Context(), snap), stowage.NotFound)
}

func anotherBackend(t *testing.T, f VolumesFixture) {
	if f.Volumes.Backend() == "" {
		t.Error("no backend key")
	}
	vol := f.volume(t, 4*mib)
	if vol.Backend != f.Volumes.Backend() {
		t.Fatalf("the fixture's volume is on %q, the driver's key is %q", vol.Backend, f.Volumes.Backend())
	}
	vol.Backend = "other:backend"
	_, err := f.Volumes.CreateSnapshot(t.Context(), vol, "suite")
	wantCode(t, "CreateSnapshot", err, stowage.Invalid)
	_, err = f.Volumes.OpenTarget(t.Context(), vol)
	wantCode(t, "OpenTarget", err, stowage.Invalid)
	snap := stowage.Snapshot{Name: "suite", Volume: vol, ID: "1"}
	_, err = f.Volumes.OpenSnapshot(t.Context(), snap)
	wantCode(t, "OpenSnapshot", err, stowage.Invalid)
	wantCode(t, "CheckSnapshot", f.Volumes.CheckSnapshot(t.Context(), snap), stowage.Invalid)
	wantCode(t, "RemoveSnapshot", f.Volumes.RemoveSnapshot(t.Context(), snap), stowage.Invalid)
}

func volumesCancelled(t *testing.T, f VolumesFixture) {
	vol := f.volume(t, 4*mib)
	snap := f.snapshot(t, vol, "suite")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, create := f.Volumes.CreateSnapshot(ctx, vol, "suite-other")
	_, open := f.Volumes.OpenSnapshot(ctx, snap)
	_, target := f.Volumes.OpenTarget(ctx, vol)
	for what, err := range map[string]error{
		"CreateSnapshot": create, "OpenSnapshot": open, "OpenTarget": target,
		"CheckSnapshot": f.Volumes.CheckSnapshot(ctx, snap), "RemoveSnapshot": f.Volumes.RemoveSnapshot(ctx, snap),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s when cancelled: %v", what, err)
		}
	}
	must(t, f.Volumes.CheckSnapshot(t.Context(), snap))
}
