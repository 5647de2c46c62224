package hp_test

import (
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

func TestABackupUnderWayTellsHowItGetsOn(t *testing.T) {
	h := harness.New(t)
	m := h.Manager("m1")
	m.Lease = 6 * time.Second // renewed, and with it the progress told, every second
	goOn := make(chan struct{})
	h.Stores.On(drivertest.OpPut, "root").Always().Run(func() { <-goOn })
	h.Start(m)
	h.Volume("9", size)
	id := h.Create("9")
	var b map[string]any
	h.Until("it tells", func() bool { b = h.Show(id); return b["bytes_done"] != nil && b["bytes_done"] != 0.0 })
	done, _ := b["bytes_done"].(float64)
	total, _ := b["bytes_total"].(float64)
	rate, _ := b["bytes_per_second"].(float64)
	left, said := b["seconds_left"].(float64)
	if done > total || total < size || rate <= 0 || !said || left < 0 || b["progress"].(float64) >= 100 {
		t.Errorf("under way it is %v", b)
	}
	close(goOn)
	b = h.Await(id, stowage.BackupAvailable)
	for _, key := range []string{"bytes_done", "bytes_total", "bytes_per_second", "seconds_left"} {
		if v, there := b[key]; there {
			t.Errorf("when it is done, %s is %v", key, v)
		}
	}
	if b["verified_at"] == nil || b["damaged"] != nil {
		t.Errorf("what was just stored is %v", b)
	}
	if err := h.DB.NoteVerified(t.Context(), 1, "a pack is missing", time.Now()); err != nil {
		t.Fatal(err)
	}
	if b = h.Show(id); b["damaged"] != "a pack is missing" || b["status"] != "available" {
		t.Errorf("damaged, it is %v", b)
	}
}
