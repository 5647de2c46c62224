package vendor_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
)

// smallFarm has one server of one volume, and a manager whose lease runs for so long.
func smallFarm(t *testing.T, lease time.Duration) (h *harness.Harness, server string, stop func()) {
	t.Helper()
	h = harness.New(t)
	m := h.Manager("m1")
	m.Lease = lease
	stop = h.Start(m)
	h.Volume("21", 300_000)
	h.Nova.Offer(stowage.ResourceFlavor, stowage.Resource{ID: "f1", Name: "m1.small", Shared: true})
	server = place(h, stowage.ServerRecord{
		ProjectID: "demo", Name: "web", FlavorID: "f1", Flavor: "m1.small", Disks: []stowage.ServerDisk{{VolumeID: "21", Device: "/dev/vda", Boot: true}},
	})
	return h, server, stop
}

func builtAgain(h *harness.Harness, backup map[string]any) (restore string) {
	h.T.Helper()
	return guidOf(send(h, http.MethodPost, "/tasks/restore-and-import", fmt.Sprintf(`{"backup":%q,"restoredPeName":"again"}`, guidOf(backup)), demo).JSON(h.T.(*testing.T)))
}

func importOf(h *harness.Harness, restore string) map[string]any {
	h.T.Helper()
	awaitTask(h, restore, "FINISHED")
	return one(h.T.(*testing.T), send(h, http.MethodGet, "/tasks?type=IMPORT&parent-task="+restore, "", demo))
}

// A manager that asks Nova or Cinder for something cannot stop there: what it is given
// must go again.
func TestARestoreIsCancelledWhileSomethingIsMadeForIt(t *testing.T) {
	for _, op := range []string{"CreateVolume", "BuildServer"} {
		t.Run(op, func(t *testing.T) {
			h, id, _ := smallFarm(t, 12*time.Second)
			_, _, backup := exported(h, id, "FULL")
			volumesBefore, serversBefore := volumes(h), len(h.Servers.List())
			asked, renewed := make(chan struct{}), make(chan struct{})
			once := sync.OnceFunc(func() { close(asked) })
			h.Servers.After(op, func(string) error {
				once()
				<-renewed
				return nil
			})
			task := builtAgain(h, backup)
			if op == "BuildServer" {
				task = guidOf(importOf(h, task))
			}
			<-asked
			cancel(h, task)
			time.Sleep(2400 * time.Millisecond) // more than the time between two renewals
			close(renewed)
			if got := ended(h, task); at(got, "state.name") != "CANCELLED" {
				t.Errorf("the task is %v", got)
			}
			h.Until("nothing is left", func() bool {
				return slices.Equal(volumes(h), volumesBefore) && len(h.Servers.List()) == serversBefore
			})
			awaitBackup(h, backup)
		})
	}
}

// Whoever restored the volumes may die, or not reach Cinder, as they are all that is left to
// free: the server takes them all the same, and does not wait for a sweep.
func TestAServerIsBuiltOfAVolumeThatNobodyFreedYet(t *testing.T) {
	h, id, _ := smallFarm(t, time.Minute)
	_, _, backup := exported(h, id, "FULL")
	h.Cinder.Before("Release", func(string) error {
		if len(rows(t, send(h, http.MethodGet, "/tasks?type=IMPORT&state=RUNNING", "", demo))) == 0 {
			return stowage.Errorf(stowage.Unavailable, "Cinder is away.")
		}
		return nil
	})
	next := importOf(h, builtAgain(h, backup))
	if got := ended(h, guidOf(next)); at(got, "state.name") != "FINISHED" || len(h.Servers.List()) != 2 {
		t.Errorf("the task is %v", got)
	}
	if !h.LogContains("volume not freed, a sweep will") {
		t.Error("the volume was free")
	}
}

// awaitBackup waits until a backup is free again.
func awaitBackup(h *harness.Harness, backup map[string]any) {
	h.T.Helper()
	h.Until("the backup is free", func() bool {
		return at(good(h, http.MethodGet, "/backups/"+guidOf(backup), "", demo), "status.name") == "SUCCESS"
	})
}

// A manager that stood still finds its job another's: what that one built, it leaves alone.
func TestAServerThatASuccessorBuiltStays(t *testing.T) {
	h, id, _ := smallFarm(t, time.Minute)
	_, _, backup := exported(h, id, "FULL")
	first, over := true, make(chan struct{})
	h.Servers.After("BuildServer", func(string) error {
		if first {
			first = false
			h.Clock.Step(2 * time.Minute)
			h.Start(h.Manager("m2"))
			<-over
		}
		return nil
	})
	task := guidOf(importOf(h, builtAgain(h, backup)))
	if got := ended(h, task); at(got, "state.name") != "FINISHED" {
		t.Errorf("the task is %v", got)
	}
	made, servers := volumes(h), len(h.Servers.List())
	close(over)
	h.Until("the first has noticed", func() bool { return h.LogContains("job was ended by another manager") })
	if got := volumes(h); !slices.Equal(got, made) || len(h.Servers.List()) != servers {
		t.Errorf("there are %v and %d servers, there were %v and %d", got, len(h.Servers.List()), made, servers)
	}
}

// Whatever takes a day too long is done, or leaves nothing.
func TestAnImportThatNobodyCameForGoesOn(t *testing.T) {
	h, id, stop := smallFarm(t, time.Minute)
	_, _, backup := exported(h, id, "FULL")
	before := volumes(h)
	h.Servers.Before("ServerState", func(string) error { return stowage.Errorf(stowage.Unavailable, "Nova is away.") })
	task := guidOf(importOf(h, builtAgain(h, backup)))
	h.Until("it tries", func() bool { return h.LogContains("Nova is away.") })
	stop()
	h.Clock.Step(25 * time.Hour)
	h.Manager("m2").Sweep(t.Context())
	if got := good(h, http.MethodGet, "/tasks/"+task, "", demo); at(got, "state.name") != "QUEUED" {
		t.Errorf("nobody has removed what it made, and it is %v", got)
	}
	h.Start(h.Manager("m2"))
	if got := ended(h, task); at(got, "state.name") != "FAILED" {
		t.Errorf("the task is %v", got)
	}
	if got := volumes(h); !slices.Equal(got, before) || len(h.Servers.List()) != 1 {
		t.Errorf("left are %v and %d servers, there were %v", got, len(h.Servers.List()), before)
	}
	awaitBackup(h, backup)
}
