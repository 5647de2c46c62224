package vendor_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

// hasAgent says that the guest agent is in what demo's server boots from.
func hasAgent(h *harness.Harness) {
	h.T.Helper()
	if err := h.Cinder.SetMetadata(h.T.Context(), "21", nil, map[string]string{"hw_qemu_guest_agent": "yes"}, true); err != nil {
		h.T.Fatal(err)
	}
}

// settles has the guest of demo's server write what it had not written yet as Nova
// quiesces it: that is what tells Nova's snapshots from ours.
func settles(h *harness.Harness) (written []byte) {
	written = []byte("flushed as the guest was quiesced")
	h.Servers.Before("SnapshotServer", func(string) error {
		f, err := os.OpenFile(h.VolumeFile("22"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(written, 0); err != nil {
			return err
		}
		return f.Close()
	})
	return written
}

// restored restores a backup's volumes, and gives the bytes of the one that is no boot disk.
func restored(h *harness.Harness, backup map[string]any, boot []byte) []byte {
	h.T.Helper()
	before := volumes(h)
	task := send(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q,"restoredPeName":"again"}`, guidOf(backup)), demo).JSON(h.T)
	awaitTask(h, guidOf(task), "FINISHED")
	for _, v := range volumes(h) {
		if got := h.Bytes(v); !slices.Contains(before, v) && !bytes.HasPrefix(got, boot) {
			return got
		}
	}
	h.T.Fatal("it was not restored")
	return nil
}

// said is what the user is told of a task.
func said(h *harness.Harness, task map[string]any) string {
	h.T.Helper()
	info, _ := send(h, http.MethodGet, "/tasks/"+guidOf(task), "", demo).JSON(h.T)["statusInfo"].(string)
	return info
}

func TestAGuestWithAnAgentIsQuiesced(t *testing.T) {
	h, id, boot, data := farm(t)
	hasAgent(h)
	written := settles(h)
	task, _, backup := exported(h, id, "FULL")
	if info := said(h, task); info != "" {
		t.Errorf("the task says %q", info)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	if got := restored(h, backup, boot); !bytes.HasPrefix(got, written) || !bytes.Equal(got[len(written):len(data)], data[len(written):]) {
		t.Errorf("restored %q..., want what the guest wrote last", got[:len(written)])
	}
}

// Where Cinder's snapshots are devices it cannot remove one that is read, and would not
// try again.
func TestWhatNovaTookIsNotReadWhenItGoes(t *testing.T) {
	h, id, _, _ := farm(t)
	hasAgent(h)
	h.Servers.Snapshots = drivertest.FaultyVolumes(h.Servers.Snapshots.(drivers.Volumes), h.Disks)
	exported(h, id, "FULL")
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	open, read := map[string]int{}, 0
	for _, c := range h.Disks.Calls() {
		switch {
		case !strings.HasPrefix(c.Name, "snapshot-"):
		case c.Op == drivertest.OpOpenSnapshot:
			open[c.Name]++
			read++
		case c.Op == drivertest.OpClose:
			open[c.Name]--
		case c.Op == drivertest.OpRemoveSnapshot && open[c.Name] != 0:
			t.Errorf("%s was open as it was removed", c.Name)
		}
	}
	if read != 2 {
		t.Errorf("%d of Nova's were read", read)
	}
}

// A disk that is left out is taken by Nova all the same, and must not keep its snapshot.
func TestNothingIsLeftOfADiskThatIsLeftOut(t *testing.T) {
	h, id, _, _ := farm(t)
	hasAgent(h)
	send(h, http.MethodPut, "/virtual-machine-disks/22/settings", `{"guid":"22","excludedFromBackup":true}`, demo).JSON(t)
	exported(h, id, "FULL")
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
}

// Whatever becomes of quiescing: there is a backup, of snapshots that are of one moment.
func TestAGuestThatIsNotQuiescedIsBackedUpAllTheSame(t *testing.T) {
	for what, spoil := range map[string]func(h *harness.Harness){
		"Nova refuses": func(h *harness.Harness) {
			h.Servers.Before("SnapshotServer", func(string) error { return errBroken })
		},
		"the answer is lost": func(h *harness.Harness) {
			h.Servers.After("SnapshotServer", func(string) error { return errBroken })
		},
		"one of two is not on the backend": func(h *harness.Harness) {
			h.Disks.On(drivertest.OpCinderSnapshot, "").Skip(1).Before(errBroken)
		},
		"and what was taken is not removed at once": func(h *harness.Harness) {
			h.Servers.After("SnapshotServer", func(string) error { return errBroken })
			n := 0
			h.Servers.Before("RemoveServerSnapshots", func(string) error {
				if n++; n < 4 {
					return stowage.Errorf(stowage.Unavailable, "It broke.")
				}
				return nil
			})
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, id, boot, data := farm(t)
			hasAgent(h)
			settles(h)
			spoil(h)
			task, _, backup := exported(h, id, "FULL")
			if info := said(h, task); !strings.Contains(info, "not quiesced") || !strings.Contains(info, "It broke.") {
				t.Errorf("the task says %q", info)
			}
			h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
			if got := restored(h, backup, boot); !bytes.Equal(got[:len(data)], data) {
				t.Error("restored is not what was there before")
			}
		})
	}
}

// A manager that was away for too long as Nova took the snapshots finds the export
// another's: what that one took is what is stored, and nothing is left of the first.
func TestAnExportThatIsTakenOverIsQuiescedAgain(t *testing.T) {
	h, id, boot, _ := farm(t)
	hasAgent(h)
	written := settles(h)
	var takes atomic.Int32
	over := make(chan struct{})
	h.Servers.After("SnapshotServer", func(string) error {
		if takes.Add(1) == 1 {
			h.Clock.Step(2 * time.Minute)
			h.Start(h.Manager("m2"))
			<-over
		} else {
			close(over)
		}
		return nil
	})
	_, _, backup := exported(h, id, "FULL")
	if n := takes.Load(); n != 2 {
		t.Errorf("snapshots taken %d times", n)
	}
	h.Until("nothing is left of what was taken", func() bool { return len(h.Snapshots()) == 0 })
	if got := restored(h, backup, boot); !bytes.HasPrefix(got, written) {
		t.Errorf("restored %q...", got[:len(written)])
	}
}
