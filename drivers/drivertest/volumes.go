// Package drivertest holds what every driver is measured with: one suite for
// volume drivers, one for object stores, and wrappers that fail or lag as real
// storage does.
//
// A driver's own test hands a fixture to the suite; the suite tests every
// sentence of the contract in package drivers, and leaves to the driver's test
// what only this driver promises. The wrappers are for the tests of everybody
// who uses a driver: Faulty* fail chosen calls, before or after the work was
// done, and Lagging lists late.
package drivertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// VolumesFixture is a volume driver and what the suite needs around it.
type VolumesFixture struct {
	Volumes drivers.Volumes
	// NewVolume makes a fresh volume that holds no data and cleans it up in
	// the end. Bytes is a multiple of SizeUnit.
	NewVolume func(t *testing.T, bytes int64) stowage.VolumeLocation
	// DeleteVolume does what Cinder does to a volume, whatever snapshots there
	// are. Nil: the backend refuses, so there is nothing to test.
	DeleteVolume func(t *testing.T, vol stowage.VolumeLocation)
	// AllocatedBytes tells, past the driver, how much the volume takes up. Nil:
	// the backend cannot tell, and holes are not tested.
	AllocatedBytes func(t *testing.T, vol stowage.VolumeLocation) int64
	// HoleUnit is what the backend allocates in: an aligned range of so many
	// bytes can be a hole. Zero: 4 KiB.
	HoleUnit int64
	// SizeUnit is what volume sizes are a multiple of. Zero: 1, any size.
	SizeUnit int64
	// Shared: the backend cannot keep two writers apart.
	Shared bool
	// Full: Allocated cannot tell data from holes and gives everything.
	Full bool
	// NeverEmpty: the backend cannot tell that a volume was never written.
	NeverEmpty bool
	// KeepsNone: no snapshot of these volumes may stay, though of others it may.
	KeepsNone bool
	// Left tells, past the driver, whether anything is left of a volume that
	// DeleteVolume deleted. Nil: not looked at.
	Left func(t *testing.T, vol stowage.VolumeLocation) bool
	// CinderSnapshot takes a snapshot as Cinder does, and gives it as it is to be
	// found; RemoveCinderSnapshot removes it. Nil: as the driver does with one of
	// the name that Cinder gives.
	CinderSnapshot       func(t *testing.T, vol stowage.VolumeLocation, id string) stowage.Snapshot
	RemoveCinderSnapshot func(t *testing.T, vol stowage.VolumeLocation, id string)
}

const mib = int64(1) << 20

// Volumes runs the suite. fixture is called once for every test in it.
func Volumes(t *testing.T, fixture func(t *testing.T) VolumesFixture) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, f VolumesFixture)
	}{
		{"snapshot is apart from later writes", snapshotIsolated},
		{"snapshot of the same name is the same", snapshotTwice},
		{"another snapshot of the same name is not found", snapshotAnother},
		{"removed while read is not found", snapshotRemovedWhileRead},
		{"remove twice", snapshotRemoveTwice},
		{"snapshot outlives its volume", snapshotOfDeleted},
		{"snapshot that Cinder took", cindersSnapshot},
		{"allocated covers the data", allocatedCovers},
		{"allocated keeps its bounds", allocatedBounds},
		{"allocated ends early", allocatedEnds},
		{"changed covers the changes", changedCovers},
		{"changed keeps its bounds", changedBounds},
		{"changed ends early", changedEnds},
		{"changed since another snapshot", changedSinceAnother},
		{"changed while the base goes", changedBaseGoes},
		{"kept snapshot is the same", keptIsTheSame},
		{"kept twice", keptTwice},
		{"kept is another", keptAnother},
		{"kept and deleted", keptAndDeleted},
		{"reads anywhere", readsAnywhere},
		{"reads in parallel", readsParallel},
		{"writes anywhere", writesAnywhere},
		{"writes in parallel", writesParallel},
		{"writes stay inside", writesInside},
		{"zeroes at any alignment", zeroesAnywhere},
		{"zeroes make holes", zeroesHoles},
		{"empty until written", emptyUntilWritten},
		{"target reads what was written", targetReads},
		{"target is exclusive", targetExclusive},
		{"names that lead elsewhere", namesElsewhere},
		{"missing volume", missingVolume},
		{"another backend's volume", anotherBackend},
		{"cancelled", volumesCancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := fixture(t)
			if f.HoleUnit == 0 {
				f.HoleUnit = 4096
			}
			if f.SizeUnit == 0 {
				f.SizeUnit = 1
			}
			test.run(t, f)
		})
	}
}

// volume makes a volume of about so many bytes.
func (f VolumesFixture) volume(t *testing.T, about int64) stowage.VolumeLocation {
	t.Helper()
	return f.NewVolume(t, (about+f.SizeUnit-1)/f.SizeUnit*f.SizeUnit)
}

// change opens the volume for writing, has it written, flushes and closes.
func (f VolumesFixture) change(t *testing.T, vol stowage.VolumeLocation, write func(drivers.Target)) {
	t.Helper()
	target, err := f.Volumes.OpenTarget(t.Context(), vol)
	must(t, err)
	write(target)
	must(t, target.Flush())
	must(t, target.Close())
}

// write puts data at the offset.
func (f VolumesFixture) write(t *testing.T, vol stowage.VolumeLocation, data []byte, offset int64) {
	t.Helper()
	f.change(t, vol, func(target drivers.Target) { writeAt(t, target, data, offset) })
}

// snapshot makes one and removes it in the end.
func (f VolumesFixture) snapshot(t *testing.T, vol stowage.VolumeLocation, name string) stowage.Snapshot {
	t.Helper()
	snap, err := f.Volumes.CreateSnapshot(t.Context(), vol, name)
	must(t, err)
	t.Cleanup(func() { _ = f.Volumes.RemoveSnapshot(context.Background(), snap) })
	return snap
}

// open opens a snapshot for reading until the test ends.
func (f VolumesFixture) open(t *testing.T, snap stowage.Snapshot) drivers.Source {
	t.Helper()
	source, err := f.Volumes.OpenSnapshot(t.Context(), snap)
	must(t, err)
	t.Cleanup(func() { _ = source.Close() })
	return source
}

// contents reads all of the volume through a snapshot of its own.
func (f VolumesFixture) contents(t *testing.T, vol stowage.VolumeLocation) []byte {
	t.Helper()
	snap, err := f.Volumes.CreateSnapshot(t.Context(), vol, "suite-contents")
	must(t, err)
	source, err := f.Volumes.OpenSnapshot(t.Context(), snap)
	must(t, err)
	data := readAll(t, source)
	must(t, source.Close())
	must(t, f.Volumes.RemoveSnapshot(t.Context(), snap))
	return data
}

func readAll(t *testing.T, source drivers.Source) []byte {
	t.Helper()
	data := make([]byte, source.Size())
	n, err := source.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) || int64(n) != source.Size() {
		t.Fatalf("ReadAt of all %d bytes: %d bytes, %v", source.Size(), n, err)
	}
	return data
}

func writeAt(t *testing.T, target drivers.Target, data []byte, offset int64) {
	t.Helper()
	if n, err := target.WriteAt(data, offset); n != len(data) || err != nil {
		t.Fatalf("WriteAt %d bytes at %d: %d, %v", len(data), offset, n, err)
	}
}

// noise gives n bytes without a zero among them, the same for the same seed.
func noise(seed uint64, n int64) []byte {
	r := rand.NewPCG(seed, 1)
	data := make([]byte, n+8)
	for i := int64(0); i < n; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], r.Uint64()|0x0101010101010101)
	}
	return data[:n:n]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, code stowage.Code) {
	t.Helper()
	if stowage.CodeOf(err) != code || err == nil {
		t.Errorf("%s: got %v (%s), want an error of code %s", what, err, codeOf(err), code)
	}
}

func codeOf(err error) string {
	if err == nil {
		return "no error"
	}
	return string(stowage.CodeOf(err))
}

// same compares without flooding the log with megabytes.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if diff := difference(got, want); diff != "" {
		t.Fatalf("%s: %s", what, diff)
	}
}

func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Sprintf("first difference at byte %d of %d: %#x, want %#x", i, len(got), got[i], want[i])
		}
	}
	return ""
}
