package cloudtest

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

func (f VolumesFixture) testReserve(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{})
	job, other := uuid.NewString(), uuid.NewString()
	_, err := f.Volumes.Lock(t.Context(), vol.ID, job)
	wantCode(t, err, stowage.NotFound, "lock before")

	held, err := f.Volumes.Reserve(t.Context(), vol.ID, job)
	must(t, err, "reserve")
	f.await(t, vol.ID, stowage.VolumeReserved)
	for _, owner := range []string{other, job} {
		_, err = f.Volumes.Reserve(t.Context(), vol.ID, owner)
		wantCode(t, err, stowage.Conflict, "reserve again")
	}
	found, err := f.Volumes.Lock(t.Context(), vol.ID, job)
	must(t, err, "lock")
	if found != held {
		t.Errorf("lock is %s, reserve gave %s", found, held)
	}
	_, err = f.Volumes.Lock(t.Context(), vol.ID, other)
	wantCode(t, err, stowage.NotFound, "another's lock")

	must(t, f.Volumes.Release(t.Context(), held), "release")
	f.await(t, vol.ID, stowage.VolumeAvailable)
	must(t, f.Volumes.Release(t.Context(), held), "release again")
	_, err = f.Volumes.Lock(t.Context(), vol.ID, job)
	wantCode(t, err, stowage.NotFound, "lock after")

	next, err := f.Volumes.Reserve(t.Context(), vol.ID, other)
	must(t, err, "reserve after release")
	must(t, f.Volumes.Release(t.Context(), held), "release the old one once more")
	f.await(t, vol.ID, stowage.VolumeReserved)
	must(t, f.Volumes.Release(t.Context(), next), "release")

	_, err = f.Volumes.Reserve(t.Context(), vol.ID, "")
	wantCode(t, err, stowage.Invalid, "reserve for nobody")
	f.await(t, vol.ID, stowage.VolumeAvailable)
}

func (f VolumesFixture) testReserveRace(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{})
	const racers = 4
	var (
		wg   sync.WaitGroup
		held [racers]string
		errs [racers]error
	)
	for i := range racers {
		wg.Go(func() { held[i], errs[i] = f.Volumes.Reserve(t.Context(), vol.ID, uuid.NewString()) })
	}
	wg.Wait()
	won := ""
	for i := range racers {
		switch {
		case errs[i] != nil:
			wantCode(t, errs[i], stowage.Conflict, "lose the race")
		case won != "":
			t.Errorf("both %s and %s were given", won, held[i])
		default:
			won = held[i]
		}
	}
	if won == "" {
		t.Fatal("nobody got it")
	}
	must(t, f.Volumes.Release(t.Context(), won), "release")
}

func (f VolumesFixture) testRelease(t *testing.T) {
	vol := f.newVolume(t, cloud.VolumeRequest{})
	for _, status := range []string{stowage.VolumeBackingUp, stowage.VolumeRestoringBackup, stowage.VolumeErrorRestoring} {
		job := uuid.NewString()
		held, err := f.Volumes.Reserve(t.Context(), vol.ID, job)
		must(t, err, "reserve")
		must(t, f.Volumes.SetStatus(t.Context(), vol.ID, status), "set "+status)
		_, err = f.Volumes.Reserve(t.Context(), vol.ID, uuid.NewString())
		wantCode(t, err, stowage.Conflict, "reserve while "+status)
		found, err := f.Volumes.Lock(t.Context(), vol.ID, job)
		must(t, err, "lock while "+status)
		if found != held {
			t.Errorf("lock while %s is %s, want %s", status, found, held)
		}
		must(t, f.Volumes.Release(t.Context(), held), "release while "+status)
		f.await(t, vol.ID, stowage.VolumeAvailable)
	}
}
