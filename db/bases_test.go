package db

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stowage/stowage"
)

func baseOf(b stowage.Backup, id string) Base {
	loc := stowage.VolumeLocation{Backend: "rbd:f:p", VolumeID: b.Volume.ID, Name: "volume-" + b.Volume.ID}
	return Base{
		Backend: loc.Backend, VolumeID: b.Volume.ID, BackupUUID: b.UUID, BackupID: b.ID, At: noon,
		Snapshot: stowage.Snapshot{Name: "s-" + b.UUID, Volume: loc, ID: id, Bytes: 5, At: noon},
	}
}

func wantUnneeded(t *testing.T, d *DB, want ...Base) {
	t.Helper()
	if got := must(d.UnneededBases(t.Context(), []string{"rbd:f:p", "lvm:x:y"}, 10))(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("unneeded are %+v\nwant %+v", got, want)
	}
}

// The manager may die at any point between the new snapshot and the removal of
// the old one: the old one is never forgotten.
func TestABaseThatWasReplacedIsRememberedUntilItIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		a, b := baseOf(made(t, d, "a"), "1/1"), baseOf(made(t, d, "b"), "1/2")
		_, err := d.Base(t.Context(), a.Backend, a.VolumeID)
		wantCode(t, err, stowage.NotFound)
		if old := must(d.SetBase(t.Context(), a))(t); old != nil {
			t.Errorf("the first replaced %+v", old)
		}
		wantUnneeded(t, d)
		if old := must(d.SetBase(t.Context(), b))(t); old == nil || fmt.Sprint(*old) != fmt.Sprint(a) {
			t.Errorf("replaced %+v, want %+v", old, a)
		}
		// Here it dies, or the answer gets lost.
		if old := must(d.SetBase(t.Context(), b))(t); old != nil {
			t.Errorf("to set the same again replaced %+v", old)
		}
		if got := must(d.Base(t.Context(), b.Backend, b.VolumeID))(t); fmt.Sprint(got) != fmt.Sprint(b) {
			t.Errorf("the base is %+v, want %+v", got, b)
		}
		wantUnneeded(t, d, a)
		if all := must(d.Bases(t.Context(), a.Backend))(t); fmt.Sprint(all) != fmt.Sprint([]Base{a, b}) {
			t.Errorf("there are %+v", all)
		}
		if other := must(d.Bases(t.Context(), "lvm:x:y"))(t); len(other) != 0 {
			t.Errorf("on another backend there are %+v", other)
		}
		for range 2 {
			if err := d.BaseRemoved(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		wantUnneeded(t, d)
		must(d.Base(t.Context(), b.Backend, b.VolumeID))(t)

		// Its volume is gone.
		for range 2 {
			if err := d.GiveUpBase(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		_, err = d.Base(t.Context(), b.Backend, b.VolumeID)
		wantCode(t, err, stowage.NotFound)
		wantUnneeded(t, d, b)
	})
}

// A late repetition must not have the snapshot removed that it makes the base.
func TestABaseThatIsSetAgainIsNotToBeRemoved(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		a, b := baseOf(made(t, d, "a"), "1/1"), baseOf(made(t, d, "b"), "1/2")
		for _, base := range []Base{a, b, a} {
			must(d.SetBase(t.Context(), base))(t)
		}
		wantUnneeded(t, d, b)
		if got := must(d.Base(t.Context(), a.Backend, a.VolumeID))(t); got.BackupUUID != a.BackupUUID {
			t.Errorf("the base is %+v", got)
		}
	})
}

// A snapshot taken anew has the name of the one before, and another id.
func TestANewSnapshotOfTheSameNameIsAnotherBase(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		backup := made(t, d, "a")
		first, second := baseOf(backup, "1/1"), baseOf(backup, "1/2")
		must(d.SetBase(t.Context(), first))(t)
		must(d.SetBase(t.Context(), second))(t)
		wantUnneeded(t, d, first)
		if err := d.BaseRemoved(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if got := must(d.Base(t.Context(), second.Backend, second.VolumeID))(t); got.Snapshot.ID != "1/2" {
			t.Errorf("the base is %+v", got)
		}
	})
}

func TestABaseWithoutItsBackupIsUnneeded(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		backup, j := beingMade(t, d)
		base := baseOf(backup, "1/1")
		must(d.SetBase(t.Context(), base))(t)
		wantUnneeded(t, d) // it is being made
		fail := JobEnd{State: stowage.JobFailed, Now: noon, Move: &BackupMove{ID: backup.ID, From: stowage.BackupCreating, To: stowage.BackupError}}
		if err := d.End(t.Context(), j, fail); err != nil {
			t.Fatal(err)
		}
		wantUnneeded(t, d, base)
		gone := sampleJob(stowage.JobDelete)
		if err := d.StartJob(t.Context(), BackupMove{ID: backup.ID, From: stowage.BackupError, To: stowage.BackupDeleting}, &gone); err != nil {
			t.Fatal(err)
		}
		wantUnneeded(t, d, base)
		end := JobEnd{State: stowage.JobFinished, Now: noon, Move: &BackupMove{ID: backup.ID, From: stowage.BackupDeleting, Remove: true}}
		if err := d.End(t.Context(), running(t, d, gone), end); err != nil {
			t.Fatal(err)
		}
		wantUnneeded(t, d, base)
		if other := must(d.UnneededBases(t.Context(), []string{"file:a"}, 10))(t); len(other) != 0 {
			t.Errorf("another backend's: %+v", other)
		}
		if none := must(d.UnneededBases(t.Context(), nil, 10))(t); len(none) != 0 {
			t.Errorf("no backend's: %+v", none)
		}
		if err := d.BaseRemoved(t.Context(), base); err != nil {
			t.Fatal(err)
		}
		wantUnneeded(t, d)
	})
}

// However many are set at once, one is the base and every other is remembered.
func TestBasesThatRaceAreAllAccountedFor(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var bases []Base
		for i := range 6 {
			bases = append(bases, baseOf(made(t, d, ""), fmt.Sprint("1/", i)))
		}
		var wg sync.WaitGroup
		for _, b := range bases {
			wg.Go(func() {
				if _, err := d.SetBase(context.Background(), b); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all := append(must(d.UnneededBases(t.Context(), []string{"rbd:f:p"}, 10))(t), must(d.Base(t.Context(), "rbd:f:p", "9"))(t))
		var ids []string
		for _, b := range all {
			ids = append(ids, b.Snapshot.ID)
		}
		if slices.Sort(ids); fmt.Sprint(ids) != "[1/0 1/1 1/2 1/3 1/4 1/5]" {
			t.Errorf("accounted for: %v", ids)
		}
	})
}

// What is not known of a base is another thing than that there is nothing.
func TestABaseKeepsWhereItsBackupDiffers(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for i, between := range [][]stowage.Extent{nil, {}, {{Offset: 4096, Length: 512}, {Offset: 1 << 44, Length: 1}}} {
			b := baseOf(made(t, d, fmt.Sprint("v", i)), "1/1")
			b.Between = between
			must(d.SetBase(t.Context(), b))(t)
			got := must(d.Base(t.Context(), b.Backend, b.VolumeID))(t)
			if !slices.Equal(got.Between, between) || (got.Between == nil) != (between == nil) || got.Snapshot != b.Snapshot {
				t.Errorf("the base is %+v, want %+v", got, b)
			}
		}
	})
}
