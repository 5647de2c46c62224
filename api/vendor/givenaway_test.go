package vendor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

// giveAway has alt own a volume, as a transfer of Cinder's does.
func giveAway(h *harness.Harness, id string) {
	h.Cinder.Change(func(v *cloud.Volume) {
		if v.ID == id {
			v.ProjectID = "alt"
		}
	})
}

// refused waits for the end of a task that is about a volume which was given away, of
// which nothing may be stored.
func refused(t *testing.T, h *harness.Harness, task map[string]any) {
	t.Helper()
	got := ended(h, guidOf(task))
	if info, _ := got["statusInfo"].(string); at(got, "state.name") != "FAILED" || !strings.Contains(info, "another project now") {
		t.Errorf("the task is %v, %q", at(got, "state.name"), info)
	}
	h.Until("nothing is left of it", func() bool { return len(h.Snapshots()) == 0 && len(h.Objects()) == 0 })
}

// What is asked for long before it begins is not done with what is another's by then.
func TestAVolumeThatWasGivenAwayIsNotBackedUp(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	start := h.Clock.Now().Add(2 * time.Hour)
	task := one(t, export(h, demo, fmt.Sprintf(`{"windowStart":%d,"protectedEntities":[{"guid":"10"}]}`, start.UnixMilli())))
	giveAway(h, "10")
	until(h, start)
	refused(t, h, task)
	h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
}

func TestADiskThatWasGivenAwayIsNotBackedUp(t *testing.T) {
	for what, give := range map[string]func(h *harness.Harness){
		"before the window": func(h *harness.Harness) { giveAway(h, "22") },
		"as the snapshots are taken": func(h *harness.Harness) {
			h.Disks.On(drivertest.OpCreateSnapshot, "").Run(func() { giveAway(h, "22") })
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, _, _ := farm(t)
			start := h.Clock.Now().Add(2 * time.Hour)
			task := one(t, export(h, demo, fmt.Sprintf(`{"windowStart":%d,"protectedEntities":[{"guid":%q}]}`, start.UnixMilli(), id)))
			give(h)
			until(h, start)
			refused(t, h, task)
		})
	}
}

// stored makes a backup of volume 10 of demo's.
func stored(t *testing.T) (h *harness.Harness, backup string) {
	t.Helper()
	h = clouded(t)
	h.Volume("10", 300_000)
	task := one(t, export(h, demo, `{"protectedEntities":[{"guid":"10"}]}`))
	awaitTask(h, guidOf(task), "FINISHED")
	h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
	return h, at(task, "backup.guid").(string)
}

func TestAVolumeThatWasGivenAwayIsNotWrittenOver(t *testing.T) {
	h, backup := stored(t)
	theirs := bytes.Repeat([]byte("alt"), 100_000)
	if err := os.WriteFile(h.VolumeFile("10"), theirs, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Cinder.Before("Reserve", func(string) error { giveAway(h, "10"); return nil })
	a := send(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q,"overwrite":true}`, backup), demo)
	wantFault(t, a, http.StatusConflict, "another project now")
	if !bytes.Equal(h.Bytes("10")[:len(theirs)], theirs) || h.VolumeStatus("10") != stowage.VolumeAvailable {
		t.Errorf("the volume was touched, and is %s", h.VolumeStatus("10"))
	}
	if b := send(h, http.MethodGet, "/backups/"+backup, "", demo).JSON(t); at(b, "status.name") != "SUCCESS" {
		t.Errorf("the backup is %v", b["status"])
	}
}

// Nor is a new one, be it given away before the API has its lock or behind that; and it is not
// marked as one that holds nothing.
func TestANewVolumeThatWasGivenAwayIsNotWritten(t *testing.T) {
	for _, what := range []string{"at once", "when it is there at last", "when nobody wants it any more"} {
		slow, unwanted := what != "at once", strings.HasPrefix(what, "when nobody")
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, backup := stored(t)
			before := volumes(h)
			if slow {
				h.Cinder.Change(func(v *cloud.Volume) {
					if v.ID != "10" && v.ID != "9" {
						v.Status = stowage.VolumeCreating
					}
				})
			} else {
				h.Cinder.Before("Reserve", func(id string) error { giveAway(h, id); return nil })
			}
			a := send(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q,"restoredPeName":"again"}`, backup), demo)
			made := ""
			for _, v := range volumes(h) {
				if !strings.Contains(strings.Join(before, " "), v) {
					made = v
				}
			}
			if made == "" {
				t.Fatalf("there is no new volume: %d %s", a.Status, a.Body)
			}
			switch {
			case unwanted:
				cancel(h, guidOf(a.JSON(t)))
				if got := ended(h, guidOf(a.JSON(t))); at(got, "state.name") != "CANCELLED" {
					t.Errorf("the task is %v", got)
				}
				giveAway(h, made)
			case slow:
				giveAway(h, made)
				if got := ended(h, guidOf(a.JSON(t))); at(got, "state.name") != "FAILED" || !strings.Contains(fmt.Sprint(got["statusInfo"]), "another project now") {
					t.Errorf("the task is %v", got)
				}
			default:
				wantFault(t, a, http.StatusConflict, "another project now")
			}
			for range 3 { // sweeps
				h.Clock.Step(5 * time.Minute)
				time.Sleep(300 * time.Millisecond)
			}
			if got := h.Bytes(made); !bytes.Equal(got, make([]byte, len(got))) || h.VolumeStatus(made) != stowage.VolumeAvailable {
				t.Errorf("the volume was touched, and is %s", h.VolumeStatus(made))
			}
		})
	}
}

// An administrator sees the volumes of all projects, and may have them backed up into his own.
func TestAVolumeOfAnotherProjectThatIsSeenIsBackedUp(t *testing.T) {
	h := clouded(t)
	want := h.Volume("10", 300_000)
	h.Cinder.Change(func(v *cloud.Volume) { v.ProjectID = "alt" })
	start := h.Clock.Now().Add(2 * time.Hour)
	task := one(t, export(h, demo, fmt.Sprintf(`{"windowStart":%d,"protectedEntities":[{"guid":"10"}]}`, start.UnixMilli())))
	until(h, start)
	awaitTask(h, guidOf(task), "FINISHED")
	h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable })
	if err := os.WriteFile(h.VolumeFile("10"), make([]byte, len(want)), 0o600); err != nil {
		t.Fatal(err)
	}
	over := good(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q,"overwrite":true}`, at(task, "backup.guid")), demo)
	awaitTask(h, guidOf(over), "FINISHED")
	if !bytes.Equal(h.Bytes("10")[:len(want)], want) {
		t.Error("it was not restored")
	}
}
