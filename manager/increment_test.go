package manager_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

func TestASecondBackupStoresWhatChanged(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	first := backup(t, h, "9")
	change(t, h, "9", "changed", 0, 17)
	second := backup(t, h, "9")
	if got := h.Show(first.id); got["is_incremental"] != false {
		t.Errorf("the first is %v", got)
	}
	if got := h.Show(second.id); got["is_incremental"] != true {
		t.Errorf("the second is %v", got)
	}
	if second.row.StoredBytes == 0 || second.row.StoredBytes > first.row.StoredBytes/4 {
		t.Errorf("the first stored %d bytes and the second %d", first.row.StoredBytes, second.row.StoredBytes)
	}
	if !h.LogContains("mode=compared") { // the driver tells of no changes
		t.Error("the second was not held against the first")
	}
	clean(t, h, "9")
	exact(t, h, first, second)
	back(t, h, first, second)
}

func TestBackupsGoInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Start(h.Manager("m1"))
			h.Volume("9", size)
			points := []point{backup(t, h, "9")}
			for i := range 2 {
				// One chunk that changes every time, one that changes once.
				change(t, h, "9", fmt.Sprint("change ", i), 3, int64(10+i))
				points = append(points, backup(t, h, "9"))
			}
			left := map[int]point{0: points[0], 1: points[1], 2: points[2]}
			for _, i := range order {
				delete(left, i)
				gone(t, h, points[i])
				var rest []point
				for _, p := range left {
					rest = append(rest, p)
				}
				exact(t, h, rest...)
				back(t, h, rest...)
			}
			nothing(t, h)
		})
	}
}

func TestADamagedParentIsNoted(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, h *harness.Harness, object string) error{
		"deleted": func(t *testing.T, h *harness.Harness, object string) error {
			return h.ObjectStore().Delete(t.Context(), object)
		},
		"another": func(t *testing.T, h *harness.Harness, object string) error {
			_, err := h.ObjectStore().Put(t.Context(), object, []byte("something else"))
			return err
		},
		"as long": func(t *testing.T, h *harness.Harness, object string) error {
			info, err := h.ObjectStore().Stat(t.Context(), object)
			if err == nil {
				_, err = h.ObjectStore().Put(t.Context(), object, make([]byte, info.Bytes))
			}
			return err
		},
	} {
		for _, kind := range []string{"/pack-", "/map-", "/root"} {
			t.Run(name+kind, func(t *testing.T) {
				t.Parallel()
				h := harness.New(t)
				h.Start(h.Manager("m1"))
				h.Volume("9", size)
				first := backup(t, h, "9")
				for _, o := range h.Objects() {
					if strings.Contains(o, kind) {
						if err := damage(t, h, o); err != nil {
							t.Fatal(err)
						}
						break
					}
				}
				change(t, h, "9", "changed", 5)
				second := backup(t, h, "9")
				if second.row.Incremental {
					t.Error("the second is an increment of a damaged backup")
				}
				if b := row(t, h, first.id); b.Damaged == "" || b.Status != stowage.BackupAvailable {
					t.Errorf("the damaged one is %+v", b)
				}
				change(t, h, "9", "changed again", 6)
				third := backup(t, h, "9")
				if !third.row.Incremental || third.row.StoredBytes > second.row.StoredBytes/4 {
					t.Errorf("the third is no increment of the second: %+v", third.row)
				}
				back(t, h, second, third)
				gone(t, h, first)
				back(t, h, second, third)
				gone(t, h, second, third)
				nothing(t, h)
			})
		}
	}
}

// What the look at the parent's objects cannot see, the reading of them does.
func TestAParentThatIsReadWrongIsNoted(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	backup(t, h, "9")
	var points []point
	for i := range 3 { // each time, and it is no failed attempt
		change(t, h, "9", fmt.Sprint("changed ", i), 5)
		points = append(points, backup(t, h, "9"))
	}
	h.Stores.On(drivertest.OpGet, "/map-").Times(4).Before(stowage.Errorf(stowage.Corrupt, "These are not the bytes."))
	change(t, h, "9", "at last", 7)
	last := backup(t, h, "9")
	if last.row.Incremental {
		t.Error("it is an increment of what could not be read")
	}
	for _, p := range points {
		if b := row(t, h, p.id); b.Damaged == "" {
			t.Errorf("backup %s is not noted as damaged", p.id)
		}
	}
	back(t, h, last)
}

func TestAParentGoesWhileItsChildIsMade(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	parent := backup(t, h, "9")
	change(t, h, "9", "changed", 0, 17)
	want := h.Bytes("9")
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.Stores.On(drivertest.OpPut, "/pack-").Run(func() { close(begun); <-goOn })
	id := h.Create("9")
	<-begun
	gone(t, h, parent)
	if n := len(h.Objects()); n < int(parent.row.ObjectCount)-1 {
		t.Errorf("%d objects are left of the parent's %d", n, parent.row.ObjectCount)
	}
	close(goOn)
	child := backed(t, h, id, want)
	if !child.row.Incremental {
		t.Error("the child is no increment")
	}
	h.Until("what only the parent needed is gone", func() bool { return len(garbage(t, h)) == 0 })
	exact(t, h, child)
	back(t, h, child)
	gone(t, h, child)
	nothing(t, h)
}

// The same, and the child fails: what it held on to goes with it.
func TestAParentGoesWhileItsChildFails(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	parent := backup(t, h, "9")
	change(t, h, "9", "changed", 0, 17)
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.Stores.On(drivertest.OpPut, "/pack-").Run(func() { close(begun); <-goOn })
	h.Stores.On(drivertest.OpPut, "/root").Always().Before(errors.New("no"))
	id := h.Create("9")
	<-begun
	gone(t, h, parent)
	close(goOn)
	h.Await(id, stowage.BackupError)
	h.Until("nothing is left", func() bool { return len(h.Objects()) == 0 })
	h.Stores.Clear()
	gone(t, h, point{id: id})
	later(t, h)
	nothing(t, h)
}

func TestTwoBackupsOfAVolumeAtOnce(t *testing.T) {
	t.Parallel()
	for name, parents := range map[string]int{"full": 0, "of one parent": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Start(h.Manager("m1"))
			h.Volume("9", size)
			var points []point
			for range parents {
				points = append(points, backup(t, h, "9"))
			}
			change(t, h, "9", "first", 2, 8)
			want := h.Bytes("9")
			begun, goOn := make(chan struct{}), make(chan struct{})
			h.Stores.On(drivertest.OpPut, "/pack-").Run(func() { close(begun); <-goOn })
			slow := h.Create("9")
			<-begun
			h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
			change(t, h, "9", "second", 2, 9)
			quick := backup(t, h, "9")
			close(goOn)
			points = append(points, backed(t, h, slow, want), quick)
			change(t, h, "9", "third", 2, 10)
			points = append(points, backup(t, h, "9"))
			if last := points[len(points)-1]; !last.row.Incremental || last.row.StoredBytes > 400_000 {
				t.Errorf("the last is no increment of the newest: %+v", last.row)
			}
			exact(t, h, points...)
			back(t, h, points...)
			for len(points) > 0 {
				gone(t, h, points[0])
				points = points[1:]
				exact(t, h, points...)
				back(t, h, points...)
			}
			nothing(t, h)
		})
	}
}

// The manager dies at every outside step of an increment.
func TestAnIncrementSurvivesTheDeathOfItsManagerAtAnyStep(t *testing.T) {
	t.Parallel()
	at := func(op drivertest.Op, name string, skip int) func(*harness.Harness, func()) {
		return func(h *harness.Harness, now func()) { h.Stores.On(op, name).Skip(skip).Run(now) }
	}
	for name, die := range map[string]func(h *harness.Harness, now func()){
		"before the snapshot": func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpCreateSnapshot, "").Run(now) },
		"reading the root":    at(drivertest.OpGet, "/root", 0),
		"at the look":         at(drivertest.OpStat, "/pack-", 2),
		"after the pin":       func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpAllocated, "").Run(now) },
		"reading the map":     at(drivertest.OpGet, "/map-", 0),
		"at the first pack":   at(drivertest.OpPut, "/pack-", 0),
		"in the middle":       at(drivertest.OpPut, "/pack-", 1),
		"at the map":          at(drivertest.OpPut, "/map-", 0),
		"before the proof":    func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpCheckSnapshot, "").Run(now) },
		"before the root":     at(drivertest.OpPut, "/root", 0),
		"after the root":      func(h *harness.Harness, now func()) { h.Disks.On(drivertest.OpRemoveSnapshot, "").Run(now) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Volume("9", size)
			stop := h.Start(h.Manager("m0"))
			parent := backup(t, h, "9")
			clean(t, h, "9")
			stop()
			change(t, h, "9", "changed", 0, 1, 17, 40)
			want := h.Bytes("9")
			dead := deadly(t, h, die)
			id := h.Create("9")
			<-dead
			h.Clock.Step(2 * time.Minute)
			h.Start(h.Manager("m2"))
			child := backed(t, h, id, want)
			clean(t, h, "9")
			later(t, h)
			if !child.row.Incremental {
				t.Error("it is no increment any more")
			}
			exact(t, h, parent, child)
			back(t, h, parent, child)
			gone(t, h, parent)
			exact(t, h, child)
			back(t, h, child)
			gone(t, h, child)
			nothing(t, h)
		})
	}
}

// The manager dies while it deletes what shares objects with others.
func TestADeleteOfWhatIsSharedSurvivesTheDeathOfItsManager(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(h *harness.Harness, now func()){
		"before the root":    func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpDelete, "/root").Run(now) },
		"at the first pack":  func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpDelete, "/pack-").Run(now) },
		"at the second pack": func(h *harness.Harness, now func()) { h.Stores.On(drivertest.OpDelete, "/pack-").Skip(1).Run(now) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Volume("9", size)
			stop := h.Start(h.Manager("m0"))
			var points []point
			for i := range 3 {
				change(t, h, "9", fmt.Sprint("changed ", i), 0, 1, 17, 40)
				points = append(points, backup(t, h, "9"))
			}
			clean(t, h, "9")
			stop()
			dead := deadly(t, h, die)
			remove(t, h, points[1].id)
			<-dead
			h.Clock.Step(2 * time.Minute)
			h.Start(h.Manager("m2"))
			h.Await(points[1].id, "")
			later(t, h)
			exact(t, h, points[0], points[2])
			back(t, h, points[0], points[2])
			gone(t, h, points[2], points[0])
			nothing(t, h)
		})
	}
}

func TestAFailedIncrementLeavesNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	parent := backup(t, h, "9")
	change(t, h, "9", "changed", 0, 1, 17, 40)
	away := stowage.Errorf(stowage.Unavailable, "The object store is away.")
	h.Stores.On(drivertest.OpPut, "/pack-").Skip(1).Always().Before(away)
	h.Stores.On(drivertest.OpDelete, "").Always().Before(away)
	h.Stores.On(drivertest.OpList, "backup").Skip(3).Always().Before(away) // each of three attempts looks whether its names are free
	id := h.Create("9")
	if got := h.Await(id, stowage.BackupError); got["fail_reason"] != "The object store is away." {
		t.Errorf("the reason is %v", got["fail_reason"])
	}
	clean(t, h, "9")
	if len(h.Objects()) <= int(parent.row.ObjectCount) {
		t.Error("it has left nothing that could be swept")
	}
	h.Stores.Clear()
	later(t, h)
	exact(t, h, parent)
	if b := row(t, h, parent.id); b.Damaged != "" {
		t.Errorf("the parent is said to be damaged: %s", b.Damaged)
	}
	back(t, h, parent)
	change(t, h, "9", "and again", 3)
	next := backup(t, h, "9")
	if !next.row.Incremental {
		t.Error("the next is no increment")
	}
	back(t, h, parent, next)
	gone(t, h, point{id: id})
	exact(t, h, parent, next)
	gone(t, h, parent, next)
	nothing(t, h)
}

// A volume that was zeroed, grew and was filled: every point is right.
func TestAVolumeThatChangesALot(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	points := []point{backup(t, h, "9")}
	for _, data := range [][]byte{
		make([]byte, size),
		bytes.Repeat([]byte("full "), size/5),
		append(bytes.Repeat([]byte("full "), size/5), bytes.Repeat([]byte("grown"), 50_000)...),
		append(make([]byte, size), bytes.Repeat([]byte("grown"), 50_000)...),
	} {
		write(t, h, "9", data)
		points = append(points, backup(t, h, "9"))
	}
	for _, p := range points[1:] {
		if !p.row.Incremental {
			t.Errorf("backup %s is no increment", p.id)
		}
	}
	exact(t, h, points...)
	back(t, h, points...)
	gone(t, h, points[1], points[3], points[0])
	exact(t, h, points[2], points[4])
	back(t, h, points[2], points[4])
	gone(t, h, points[4], points[2])
	nothing(t, h)
}
