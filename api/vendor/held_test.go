package vendor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

// holding has a backup of the volume begin, and keep it until it is let go.
func holding(h *harness.Harness, volume string) (letGo func()) {
	h.T.Helper()
	done := make(chan struct{})
	h.Cinder.Before("Release", func(string) error { <-done; return nil })
	letGo = sync.OnceFunc(func() { close(done) })
	h.T.Cleanup(letGo)
	h.Create(volume)
	return letGo
}

// waits waits until something that the task needs is held by another, and wants it not to
// have ended for that.
func waits(h *harness.Harness, task string) {
	h.T.Helper()
	h.Until("it waits", func() bool {
		got := good(h, http.MethodGet, "/tasks/"+task, "", portal)
		if at(got, "state.name") == "FAILED" {
			h.T.Fatalf("the task is %v", got)
		}
		return strings.Contains(fmt.Sprint(got["statusInfo"]), "is being backed up or restored")
	})
}

func TestASnapshotWaitsForAVolumeThatIsBeingBackedUp(t *testing.T) {
	h := clouded(t)
	letGo := holding(h, "10")
	task := guidOf(one(t, withTotal(send(h, http.MethodPost, "/tasks/vm-snapshot", `{"protectedEntities":["10"]}`, demo))))
	waits(h, task)
	letGo()
	if got := ended(h, task); at(got, "state.name") != "FINISHED" {
		t.Errorf("the task is %v", got)
	}
}

// What somebody else has is not waited for.
func TestASnapshotOfAVolumeThatOthersHaveFails(t *testing.T) {
	h := clouded(t)
	if err := h.Cinder.Volumes.SetStatus(t.Context(), "10", "maintenance"); err != nil {
		t.Fatal(err)
	}
	if got := snap(h, "10", ""); at(got, "state.name") != "FAILED" || !strings.Contains(fmt.Sprint(got["statusInfo"]), "maintenance") {
		t.Errorf("the task is %v", got)
	}
}

func TestABackupInItsWindowWaitsForAVolumeThatIsBeingBackedUp(t *testing.T) {
	for _, after := range []time.Duration{2 * time.Hour, 3 * 24 * time.Hour} { // more than jobs may wait
		t.Run(after.String(), func(t *testing.T) {
			h := clouded(t)
			start := h.Clock.Now().Add(after)
			task := guidOf(one(t, export(h, demo, fmt.Sprintf(`{"windowStart":%d,"protectedEntities":["10"]}`, start.UnixMilli()))))
			h.Clock.Step(after - time.Minute)
			h.Until("a manager is heard of", func() bool {
				list, err := h.DB.Services(t.Context())
				return err == nil && h.Clock.Now().Sub(list[0].LastSeen) < 15*time.Second
			})
			letGo := holding(h, "10")
			until(h, start)
			waits(h, task)
			letGo()
			awaitTask(h, task, "FINISHED")
		})
	}
}

func TestABackupThatWaitsBeyondItsWindowFails(t *testing.T) {
	h := clouded(t)
	start := h.Clock.Now().Add(2 * time.Hour)
	task := guidOf(one(t, export(h, demo, fmt.Sprintf(`{"windowStart":%d,"windowEnd":%d,"protectedEntities":["10"]}`, start.UnixMilli(), start.Add(25*time.Second).UnixMilli()))))
	holding(h, "10")
	until(h, start)
	waits(h, task)
	h.Clock.Step(25 * time.Second)
	awaitTask(h, task, "FAILED")
}

func TestAScheduledBackupWaitsForAVolumeThatIsBeingBackedUp(t *testing.T) {
	h := clouded(t)
	s, due := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	letGo := holding(h, "10")
	until(h, due)
	h.Until("it waits", func() bool {
		list := polled(h, "/schedules/"+s+"/runs")
		return len(list) == 1 && entries(list[0]) == "10 WAITING Volume 10 is being backed up or restored."
	})
	letGo()
	for range 2 { // it is tried again after a minute
		until(h, h.Clock.Now().Add(40*time.Second))
	}
	if got := entries(ran(h, s, 1)); got != "10 BEGUN" {
		t.Errorf("the run has %s", got)
	}
}

// overwritable is a backup of a server whose volumes are free, and other data in them.
func overwritable(t *testing.T) (h *harness.Harness, boot, data []byte, request string) {
	t.Helper()
	h, id, boot, data := farm(t)
	_, _, backup := exported(h, id, "FULL")
	if err := h.Servers.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"21", "22"} {
		if err := os.WriteFile(h.VolumeFile(v), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h, boot, data, fmt.Sprintf(`{"backup":%q,"overwrite":true}`, guidOf(backup))
}

func TestNoVolumeOfAServerIsOverwrittenBeforeAllAreFree(t *testing.T) {
	h, boot, data, request := overwritable(t)
	letGo := holding(h, "22")
	task := guidOf(good(h, http.MethodPost, "/tasks/restore", request, demo))
	waits(h, task)
	if s := h.VolumeStatus("21"); s != stowage.VolumeAvailable || !bytes.Equal(h.Bytes("21"), make([]byte, 1<<20)) {
		t.Errorf("the first is %s", s)
	}
	letGo()
	awaitTask(h, task, "FINISHED")
	if !bytes.Equal(h.Bytes("21")[:len(boot)], boot) || !bytes.Equal(h.Bytes("22")[:len(data)], data) {
		t.Error("they were not restored")
	}
}

func TestAnOverwriteThatWaitsIsCancelled(t *testing.T) {
	h, _, _, request := overwritable(t)
	holding(h, "22")
	task := guidOf(good(h, http.MethodPost, "/tasks/restore", request, demo))
	waits(h, task)
	cancel(h, task)
	awaitTask(h, task, "CANCELLED")
}

func TestNoVolumeOfAServerIsOverwrittenIfOneIsNotFree(t *testing.T) {
	h, _, _, request := overwritable(t)
	if err := h.Cinder.Volumes.SetStatus(t.Context(), "22", "maintenance"); err != nil {
		t.Fatal(err)
	}
	task := guidOf(good(h, http.MethodPost, "/tasks/restore", request, demo))
	if got := ended(h, task); at(got, "state.name") != "FAILED" || !strings.Contains(fmt.Sprint(got["statusInfo"]), "must be available") {
		t.Errorf("the task is %v", got)
	}
	if s := h.VolumeStatus("21"); s != stowage.VolumeAvailable || !bytes.Equal(h.Bytes("21"), make([]byte, 1<<20)) {
		t.Errorf("the first is %s", s)
	}
}

// Nobody comes for a volume on a backend that no manager reaches: that is said at once.
func TestAServerIsNotRestoredToWhereNoManagerReaches(t *testing.T) {
	h, id, _, _ := farm(t)
	_, _, backup := exported(h, id, "FULL")
	before := volumes(h)
	h.Cinder.Before("Reserve", func(volume string) error { h.Cinder.Place(volume, "lvm:nowhere"); return nil })
	task := builtAgain(h, backup)
	if got := ended(h, task); at(got, "state.name") != "FAILED" || !strings.Contains(fmt.Sprint(got["statusInfo"]), "lvm:nowhere") {
		t.Errorf("the task is %v", got)
	}
	if got := volumes(h); len(got) != len(before) {
		t.Errorf("volumes %v, before %v", got, before)
	}
}

// A type may make encrypted volumes, which nobody can write to here; also one that a
// manager made.
func TestAServerIsNotRestoredToEncryptedVolumes(t *testing.T) {
	for what, spoil := range map[string]func(h *harness.Harness){
		"made at once": func(*harness.Harness) {},
		"made later": func(h *harness.Harness) {
			var asked atomic.Bool
			h.Servers.Before("CreateVolume", func(string) error {
				if asked.CompareAndSwap(false, true) {
					return stowage.Errorf(stowage.Unavailable, "Cinder is away.")
				}
				return nil
			})
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _ := smallFarm(t, time.Minute)
			_, _, backup := exported(h, id, "FULL")
			before := volumes(h)
			h.Cinder.Change(func(v *cloud.Volume) { v.Encrypted = !slices.Contains(before, v.ID) })
			spoil(h)
			task := builtAgain(h, backup)
			if got := ended(h, task); at(got, "state.name") != "FAILED" || !strings.Contains(strings.ToLower(fmt.Sprint(got["statusInfo"])), "encrypted volumes") {
				t.Errorf("the task is %v", got)
			}
			if got := volumes(h); !slices.Equal(got, before) {
				t.Errorf("volumes %v, before %v", got, before)
			}
		})
	}
}

// What Cinder makes after its answer was lost, and another try has made one: one of them stays.
func TestAVolumeThatWasMadeTwiceIsRemoved(t *testing.T) {
	h, id, _ := smallFarm(t, time.Minute)
	_, _, backup := exported(h, id, "FULL")
	before := volumes(h)
	var twin cloud.Volume
	h.Disks.On(drivertest.OpOpenTarget, "").Run(func() {
		for _, id := range volumes(h) {
			if slices.Contains(before, id) {
				continue
			}
			made, err := h.Cinder.Volume(t.Context(), id)
			if err == nil {
				req := cloud.VolumeRequest{Name: "late", SizeGiB: 1, Metadata: map[string]string{stowage.RestoreMark: made.Metadata[stowage.RestoreMark]}}
				twin, err = h.Servers.CreateVolume(t.Context(), "demo", req)
			}
			if err != nil || twin.Metadata[stowage.RestoreMark] == "" {
				t.Errorf("%+v %v", twin, err)
			}
		}
	})
	next := importOf(h, builtAgain(h, backup))
	if got := ended(h, guidOf(next)); at(got, "state.name") != "FINISHED" {
		t.Errorf("the task is %v", got)
	}
	if got := volumes(h); len(got) != len(before)+1 || slices.Contains(got, twin.ID) || len(h.Servers.List()) != 2 {
		t.Errorf("volumes %v", got)
	}
}

// However Cinder fails for a while: a server is restored all the same, and nothing is made twice.
func TestAShortFailureOfCinderFailsNoRestoreOfAServer(t *testing.T) {
	away := stowage.Errorf(stowage.Unavailable, "Cinder is away.")
	times := func(n int, err error) func(string) error {
		var mu sync.Mutex
		return func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if n--; n >= 0 {
				return err
			}
			return nil
		}
	}
	for what, spoil := range map[string]func(h *harness.Harness){
		"a volume is not made":          func(h *harness.Harness) { h.Servers.Before("CreateVolume", times(5, away)) },
		"the answer is lost":            func(h *harness.Harness) { h.Servers.After("CreateVolume", times(1, away)) },
		"a new volume is not locked":    func(h *harness.Harness) { h.Cinder.Before("Reserve", times(3, away)) },
		"nobody knows if it was locked": func(h *harness.Harness) { h.Cinder.After("Reserve", times(2, &cloud.Unknown{Cause: away})) },
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, boot, _ := farm(t)
			_, _, backup := exported(h, id, "FULL")
			before := len(volumes(h))
			spoil(h)
			next := importOf(h, builtAgain(h, backup))
			if got := ended(h, guidOf(next)); at(got, "state.name") != "FINISHED" {
				t.Errorf("the task is %v", got)
			}
			if got := volumes(h); len(got) != before+2 || len(h.Servers.List()) != 2 {
				t.Errorf("%d volumes, before %d", len(got), before)
			}
			made := h.Servers.List()[1]
			if !bytes.Equal(h.Bytes(made.Disks[0].VolumeID)[:len(boot)], boot) {
				t.Error("it was not restored")
			}
		})
	}
}
