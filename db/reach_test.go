package db

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// In these stories a set is a text: one letter for each object.

// lineageOf gives the lineage of a backup, with the version it has now.
func lineageOf(t *testing.T, d *DB, b stowage.Backup) Lineage {
	t.Helper()
	return must(d.Lineage(t.Context(), b.ProjectID, b.Volume.ID, b.Container))(t)
}

// sets gives the sets of a backup's lineage and the lineage they belong to.
func sets(t *testing.T, d *DB, b stowage.Backup) (map[int64]string, Lineage) {
	t.Helper()
	l := lineageOf(t, d, b)
	found := map[int64]string{}
	for _, r := range must(d.Reaches(t.Context(), &l))(t) {
		found[r.BackupID] = string(r.Objects)
	}
	return found, l
}

// beingMade writes a backup whose job runs.
func beingMade(t *testing.T, d *DB) (stowage.Backup, stowage.Job) {
	t.Helper()
	b, j := created(t, d, nil)
	return b, running(t, d, j)
}

// running claims a job, and none but this one.
func running(t *testing.T, d *DB, j stowage.Job) stowage.Job {
	t.Helper()
	j = must(d.Job(t.Context(), j.ID))(t)
	if err := d.claim(t.Context(), &j, "m/1", noon, time.Minute); err != nil {
		t.Fatal(err)
	}
	return j
}

// made writes an available backup that reaches the objects.
func made(t *testing.T, d *DB, objects string) stowage.Backup {
	t.Helper()
	b, j := beingMade(t, d)
	_, l := sets(t, d, b)
	if err := d.End(t.Context(), j, availableWith(b, l, objects)); err != nil {
		t.Fatal(err)
	}
	return must(d.Backup(t.Context(), Scope{}, b.ID))(t)
}

func availableWith(b stowage.Backup, l Lineage, objects string) JobEnd {
	return JobEnd{
		State: stowage.JobFinished, Now: noon, Reach: &ReachMove{Lineage: l, Objects: []byte(objects)},
		Move: &BackupMove{
			ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Now: noon,
			Result: &BackupResult{Incremental: true, Manifest: "root", SnapshotAt: noon},
		},
	}
}

// beingDeleted moves an available backup to deleting, with a job that runs.
func beingDeleted(t *testing.T, d *DB, b stowage.Backup) stowage.Job {
	t.Helper()
	j := sampleJob(stowage.JobDelete)
	j.BackupID = b.ID
	if err := d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupDeleting, Now: noon}, &j); err != nil {
		t.Fatal(err)
	}
	return running(t, d, j)
}

// freed is what becomes free when a backup goes, worked out from its lineage.
func freed(b stowage.Backup, found map[int64]string) []Garbage {
	left := found[b.ID]
	for id, objects := range found {
		if id != b.ID {
			left = strings.Map(func(r rune) rune {
				if strings.ContainsRune(objects, r) {
					return -1
				}
				return r
			}, left)
		}
	}
	return []Garbage{garbageOf(b, left)}
}

func garbageOf(b stowage.Backup, objects string) Garbage {
	return Garbage{
		ProjectID: b.ProjectID, Container: b.Container, VolumeID: b.Volume.ID, BackupID: b.ID, Objects: []byte(objects), ReadyAt: noon,
	}
}

func wantSets(t *testing.T, d *DB, b stowage.Backup, want map[int64]string) {
	t.Helper()
	if found, _ := sets(t, d, b); fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("the sets are %v, want %v", found, want)
	}
}

func TestALineageIsMadeOnceHoweverManyAskForIt(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		var got [8]Lineage
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				l, err := d.Lineage(context.Background(), "p", "v", "c")
				if err != nil {
					t.Error(err)
				}
				got[i] = l
			})
		}
		wg.Wait()
		for _, l := range got {
			if l != got[0] || l.ID == 0 || l.VolumeID != "v" {
				t.Fatalf("got %+v", got)
			}
		}
		for _, other := range [][3]string{{"P", "v", "c"}, {"p", "w", "c"}, {"p", "v", "C"}} {
			if l := must(d.Lineage(t.Context(), other[0], other[1], other[2]))(t); l.ID == got[0].ID {
				t.Errorf("%v has the same lineage", other)
			}
		}
		if list := must(d.Reaches(t.Context(), &got[0]))(t); list != nil {
			t.Errorf("sets of a new lineage: %v", list)
		}
		_, err := d.Reaches(t.Context(), &Lineage{ID: 99})
		wantCode(t, err, stowage.NotFound)
	})
}

func TestAChildKeepsWhatItsParentReached(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		parent := made(t, d, "ab")
		child, j := beingMade(t, d)
		found, l := sets(t, d, child)
		if err := d.PinReach(t.Context(), l, j, parent.ID, []byte(found[parent.ID])); err != nil {
			t.Fatal(err)
		}
		// The parent is deleted while the child is being made: nothing is free.
		gone := beingDeleted(t, d, parent)
		found, l = sets(t, d, parent)
		if err := d.Release(t.Context(), l, gone, freed(parent, found), noon); err != nil {
			t.Fatal(err)
		}
		for _, g := range must(d.GarbageOf(t.Context(), parent.ID))(t) {
			if len(g.Objects) > 0 {
				t.Errorf("free is %q, which the child needs", g.Objects)
			}
		}
		_, l = sets(t, d, child)
		if err := d.End(t.Context(), j, availableWith(child, l, "bc")); err != nil {
			t.Fatal(err)
		}
		wantSets(t, d, child, map[int64]string{child.ID: "bc"})
		if got := must(d.Backup(t.Context(), Scope{}, child.ID))(t); !got.Incremental || got.Status != stowage.BackupAvailable {
			t.Errorf("the child is %+v", got)
		}
	})
}

// Who planned to delete the parent before the child pinned its set must not go
// through with it. Fails without the version guard.
func TestAPlanFromBeforeThePinIsRefused(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		parent := made(t, d, "ab")
		child, j := beingMade(t, d)
		found, old := sets(t, d, parent)
		if err := d.PinReach(t.Context(), old, j, parent.ID, []byte(found[parent.ID])); err != nil {
			t.Fatal(err)
		}
		gone := beingDeleted(t, d, parent)
		wantCode(t, d.Release(t.Context(), old, gone, freed(parent, found), noon), stowage.Conflict)
		wantSets(t, d, parent, map[int64]string{parent.ID: "ab", child.ID: "ab"})
		if list := must(d.GarbageOf(t.Context(), parent.ID))(t); len(list) != 0 {
			t.Errorf("written down: %+v", list)
		}
	})
}

func TestAParentThatIsDeletedMeanwhileIsNoParent(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		parent, other := made(t, d, "ab"), made(t, d, "c")
		child, j := beingMade(t, d)
		_, l := sets(t, d, child)
		gone := beingDeleted(t, d, parent)
		wantCode(t, d.PinReach(t.Context(), l, j, parent.ID, []byte("ab")), stowage.Conflict)

		found, l := sets(t, d, parent)
		if err := d.Release(t.Context(), l, gone, freed(parent, found), noon); err != nil {
			t.Fatal(err)
		}
		end := JobEnd{State: stowage.JobFinished, Move: &BackupMove{ID: parent.ID, From: stowage.BackupDeleting, Remove: true}, Now: noon}
		if err := d.End(t.Context(), gone, end); err != nil {
			t.Fatal(err)
		}
		_, l = sets(t, d, child)
		wantCode(t, d.PinReach(t.Context(), l, j, parent.ID, []byte("ab")), stowage.Conflict)
		wantSets(t, d, child, map[int64]string{other.ID: "c"})
		if now := lineageOf(t, d, child); now != l {
			t.Errorf("a refused pin moved the lineage from %+v to %+v", l, now)
		}
		// The next parent will do, also while it is being restored.
		r := sampleJob(stowage.JobRestore)
		move := BackupMove{ID: other.ID, From: stowage.BackupAvailable, To: stowage.BackupRestoring, Now: noon}
		if err := d.StartJob(t.Context(), move, &r); err != nil {
			t.Fatal(err)
		}
		if err := d.PinReach(t.Context(), l, j, other.ID, []byte("c")); err != nil {
			t.Fatal(err)
		}
		wantSets(t, d, child, map[int64]string{other.ID: "c", child.ID: "c"})
	})
}

func TestANewAttemptReplacesThePinOfTheOneBefore(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		first, second := made(t, d, "a"), made(t, d, "b")
		child, j := beingMade(t, d)
		_, l := sets(t, d, child)
		if err := d.PinReach(t.Context(), l, j, first.ID, []byte("a")); err != nil {
			t.Fatal(err)
		}
		if err := d.Requeue(t.Context(), j, "", 1, noon, noon); err != nil {
			t.Fatal(err)
		}
		again := running(t, d, j)
		_, l = sets(t, d, child)
		wantCode(t, d.PinReach(t.Context(), l, j, first.ID, []byte("a")), stowage.Conflict) // fenced
		if err := d.PinReach(t.Context(), l, again, second.ID, []byte("b")); err != nil {
			t.Fatal(err)
		}
		// The answer got lost: the same again is refused, a new plan is not.
		wantCode(t, d.PinReach(t.Context(), l, again, second.ID, []byte("b")), stowage.Conflict)
		_, l = sets(t, d, child)
		if err := d.PinReach(t.Context(), l, again, second.ID, []byte("b")); err != nil {
			t.Fatal(err)
		}
		wantSets(t, d, child, map[int64]string{first.ID: "a", second.ID: "b", child.ID: "b"})
	})
}

// A pin on a backup that is there already would take its own set away.
func TestOnlyABackupThatIsBeingMadePins(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		parent, b := made(t, d, "a"), made(t, d, "b")
		v := sampleJob(stowage.JobVerify)
		v.BackupID = b.ID
		if err := d.AddJob(t.Context(), &v); err != nil {
			t.Fatal(err)
		}
		_, l := sets(t, d, b)
		wantCode(t, d.PinReach(t.Context(), l, running(t, d, v), parent.ID, []byte("a")), stowage.Conflict)
		wantSets(t, d, b, map[int64]string{parent.ID: "a", b.ID: "b"})
	})
}

func TestNothingIsPinnedAcrossLineages(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		parent := made(t, d, "a")
		child, j := created(t, d, func(b *stowage.Backup, _ *stowage.Job) { b.Container = "other" })
		j = running(t, d, j)
		for _, b := range []stowage.Backup{parent, child} {
			_, l := sets(t, d, b)
			wantCode(t, d.PinReach(t.Context(), l, j, parent.ID, []byte("a")), stowage.Conflict)
			end := availableWith(child, l, "a")
			if b.ID != child.ID {
				wantCode(t, d.End(t.Context(), j, end), stowage.Conflict)
			}
		}
		wantSets(t, d, child, map[int64]string{})
		wantSets(t, d, parent, map[int64]string{parent.ID: "a"})
	})
}

// Two backups that share an object are deleted at once by planners that meet
// with the same version in hand: one gets Conflict, plans again, and finds that
// the shared object is now its to free. Without the version guard both leave it
// to the other, and nobody ever deletes it.
func TestOfTwoPlannersOneGetsConflictAndPlansAgain(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for range 10 {
			b := [2]stowage.Backup{made(t, d, "ab"), made(t, d, "bc")}
			j := [2]stowage.Job{beingDeleted(t, d, b[0]), beingDeleted(t, d, b[1])}
			var meet, done sync.WaitGroup
			meet.Add(2)
			var conflicts [2]int
			for i := range b {
				done.Go(func() {
					for met := false; ; met = true {
						found, l := sets(t, d, b[i])
						if !met {
							meet.Done()
							meet.Wait()
						}
						err := d.Release(context.Background(), l, j[i], freed(b[i], found), noon)
						if err == nil {
							return
						}
						if stowage.CodeOf(err) != stowage.Conflict {
							t.Error(err)
							return
						}
						conflicts[i]++
					}
				})
			}
			done.Wait()
			if conflicts[0]+conflicts[1] != 1 {
				t.Fatalf("conflicts: %v", conflicts)
			}
			var free []string
			for i := range b {
				for _, g := range must(d.GarbageOf(t.Context(), b[i].ID))(t) {
					free = append(free, strings.Split(string(g.Objects), "")...)
				}
			}
			if slices.Sort(free); strings.Join(free, "") != "abc" {
				t.Fatalf("free became %q", free)
			}
		}
	})
}

// A child that begins and a parent that goes, at the same time, many times: what
// the child has pinned never becomes free.
func TestAPinAndAReleaseMayMeetInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		for range 10 {
			parent := made(t, d, "ab")
			child, j := beingMade(t, d)
			var done sync.WaitGroup
			pinned := false
			done.Go(func() {
				for tries := 0; tries < 3 && !pinned; tries++ {
					found, l := sets(t, d, child)
					err := d.PinReach(context.Background(), l, j, parent.ID, []byte(found[parent.ID]))
					if err != nil && stowage.CodeOf(err) != stowage.Conflict {
						t.Error(err)
					}
					pinned = err == nil
				}
			})
			done.Go(func() {
				gone := beingDeleted(t, d, parent)
				for {
					found, l := sets(t, d, parent)
					err := d.Release(context.Background(), l, gone, freed(parent, found), noon)
					if err == nil {
						return
					}
					if stowage.CodeOf(err) != stowage.Conflict {
						t.Error(err)
						return
					}
				}
			})
			done.Wait()
			found, l := sets(t, d, child)
			free := must(d.GarbageOf(t.Context(), parent.ID))(t)
			if pinned && (found[child.ID] != "ab" || len(free) != 1 || free[0].Objects != nil) || !pinned && string(free[0].Objects) != "ab" {
				t.Fatalf("pinned %v: the child has %q, free is %+v", pinned, found[child.ID], free)
			}
			end := JobEnd{State: stowage.JobFailed, Now: noon, Reach: &ReachMove{Lineage: l},
				Move: &BackupMove{ID: child.ID, From: stowage.BackupCreating, To: stowage.BackupError, Now: noon}}
			if err := d.End(t.Context(), j, end); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAnEndWithItsSetIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b, j := beingMade(t, d)
		_, old := sets(t, d, b)
		other := made(t, d, "x") // the lineage moves on
		unchanged := func() {
			t.Helper()
			wantSets(t, d, b, map[int64]string{other.ID: "x"})
			if got := must(d.Backup(t.Context(), Scope{}, b.ID))(t); got.Status != stowage.BackupCreating {
				t.Errorf("the backup is %s", got.Status)
			}
			if got := must(d.Job(t.Context(), j.ID))(t); got.State != stowage.JobRunning {
				t.Errorf("the job is %s", got.State)
			}
			if list := must(d.GarbageOf(t.Context(), b.ID))(t); len(list) != 0 {
				t.Errorf("written down: %+v", list)
			}
		}
		end := func(l Lineage) JobEnd {
			e := availableWith(b, l, "a")
			e.Reach.Garbage = []Garbage{garbageOf(b, "z")}
			return e
		}
		wantCode(t, d.End(t.Context(), j, end(old)), stowage.Conflict)
		unchanged()
		_, l := sets(t, d, b)
		wrong := end(l)
		wrong.Move.From = stowage.BackupRestoring
		wantCode(t, d.End(t.Context(), j, wrong), stowage.Conflict)
		unchanged()
		fenced := j
		fenced.Fence--
		wantCode(t, d.End(t.Context(), fenced, end(l)), stowage.Conflict)
		unchanged()

		for _, answer := range []string{"first", "again, as after a lost answer"} {
			if err := d.End(t.Context(), j, end(l)); err != nil {
				t.Fatalf("%s: %v", answer, err)
			}
		}
		wantSets(t, d, b, map[int64]string{other.ID: "x", b.ID: "a"})
		if list := must(d.GarbageOf(t.Context(), b.ID))(t); len(list) != 1 || string(list[0].Objects) != "z" {
			t.Errorf("written down: %+v", list)
		}
	})
}

func TestAReleaseIsTheDeletersAlone(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := made(t, d, "ab")
		// A job that runs for it is not enough: the backup must be going.
		v := sampleJob(stowage.JobVerify)
		v.BackupID = b.ID
		if err := d.AddJob(t.Context(), &v); err != nil {
			t.Fatal(err)
		}
		_, l := sets(t, d, b)
		wantCode(t, d.Release(t.Context(), l, running(t, d, v), nil, noon), stowage.Conflict)

		j := beingDeleted(t, d, b)
		found, l := sets(t, d, b)
		fenced := j
		fenced.Fence--
		wantCode(t, d.Release(t.Context(), l, fenced, freed(b, found), noon), stowage.Conflict)
		remove := JobEnd{State: stowage.JobFinished, Move: &BackupMove{ID: b.ID, From: stowage.BackupDeleting, Remove: true}, Now: noon}
		wantCode(t, d.End(t.Context(), j, remove), stowage.Conflict) // its set is still there
		wantSets(t, d, b, map[int64]string{b.ID: "ab"})

		if err := d.Release(t.Context(), l, j, freed(b, found), noon); err != nil {
			t.Fatal(err)
		}
		// The answer got lost: Conflict, and a look tells that it is done.
		wantCode(t, d.Release(t.Context(), l, j, freed(b, found), noon), stowage.Conflict)
		wantSets(t, d, b, map[int64]string{})
		if list := must(d.GarbageOf(t.Context(), b.ID))(t); len(list) != 1 || string(list[0].Objects) != "ab" {
			t.Errorf("written down: %+v", list)
		}
		// Whoever plans again without a look does no harm.
		_, l = sets(t, d, b)
		if err := d.Release(t.Context(), l, j, nil, noon); err != nil {
			t.Fatal(err)
		}
		if err := d.End(t.Context(), j, remove); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnEndMayReleaseAndRemoveAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := made(t, d, "ab")
		j := beingDeleted(t, d, b)
		found, l := sets(t, d, b)
		end := JobEnd{
			State: stowage.JobFinished, Now: noon, Reach: &ReachMove{Lineage: l, Garbage: freed(b, found)},
			Move: &BackupMove{ID: b.ID, From: stowage.BackupDeleting, Remove: true},
		}
		for range 2 { // also after a lost answer
			if err := d.End(t.Context(), j, end); err != nil {
				t.Fatal(err)
			}
		}
		if list := must(d.GarbageOf(t.Context(), b.ID))(t); len(list) != 1 {
			t.Errorf("written down: %+v", list)
		}
	})
}

func TestASetIsAnyBytes(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		all := make([]byte, 1<<20)
		for i := range all {
			all[i] = byte(i)
		}
		b := made(t, d, string(all))
		wantSets(t, d, b, map[int64]string{b.ID: string(all)})
	})
}

func TestAnEmptySetIsASet(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		b := made(t, d, "")
		wantSets(t, d, b, map[int64]string{b.ID: ""})
		c, j := beingMade(t, d)
		_, l := sets(t, d, c)
		if err := d.PinReach(t.Context(), l, j, b.ID, nil); err != nil {
			t.Fatal(err)
		}
		wantSets(t, d, b, map[int64]string{b.ID: "", c.ID: ""})
	})
}

func TestABackupFromACatalogueComesWithItsSet(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		old := made(t, d, "a")
		_, planned := sets(t, d, old)
		b := sampleBackup("p")
		b.Manifest, b.ManifestDigest, b.StoredBytes, b.VolumeBytes, b.ObjectCount = "root", "00ff", 5, 6, 7
		b.Incremental, b.SnapshotAt, b.VerifiedAt, b.Damaged = true, noon, noon, "no"
		if err := d.ImportBackup(t.Context(), &b, []byte("ab")); err != nil {
			t.Fatal(err)
		}
		if got := must(d.BackupByUUID(t.Context(), Scope{"p"}, b.UUID))(t); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", b) ||
			got.Status != stowage.BackupAvailable || got.ID == 0 {
			t.Errorf("got  %+v\nwant %+v", got, b)
		}
		_, err := d.BackupByUUID(t.Context(), Scope{"other"}, b.UUID)
		wantCode(t, err, stowage.NotFound)
		wantSets(t, d, b, map[int64]string{old.ID: "a", b.ID: "ab"})

		// Who planned without it plans again.
		j := beingDeleted(t, d, old)
		wantCode(t, d.Release(t.Context(), planned, j, []Garbage{garbageOf(old, "a")}, noon), stowage.Conflict)

		again := b
		wantCode(t, d.ImportBackup(t.Context(), &again, []byte("zz")), stowage.Conflict)
		wantSets(t, d, b, map[int64]string{old.ID: "a", b.ID: "ab"})
		// The first of a volume, too.
		first := sampleBackup("p")
		first.Volume.ID = uuid.NewString()
		if err := d.ImportBackup(t.Context(), &first, []byte("q")); err != nil {
			t.Fatal(err)
		}
		wantSets(t, d, first, map[int64]string{first.ID: "q"})
	})
}
