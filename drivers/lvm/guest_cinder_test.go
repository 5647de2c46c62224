//go:build lvmguest

package lvm

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// take takes a snapshot with the command of Cinder's driver: thick with a store as large
// as the volume, if not of another size, and thin without one.
func take(t *testing.T, vol stowage.VolumeLocation, id string, store ...string) {
	t.Helper()
	line := "lvcreate --name _snapshot-" + id + " --snapshot " + group + "/" + vol.Name
	row := strings.Fields(run(t, "lvs --noheadings --units b --nosuffix -o segtype,lv_size %s/%s", group, vol.Name))
	if row[0] != "thin" {
		line += " -L " + append(store, row[1]+"b")[0]
	}
	run(t, "%s", line)
	t.Cleanup(func() { _, _ = tooled("lvremove -f " + group + "/_snapshot-" + id) })
}

// taken takes one for the suite, and tells of it what lvm2 does.
func taken(t *testing.T, vol stowage.VolumeLocation, id string) stowage.Snapshot {
	t.Helper()
	take(t, vol, id)
	const row = "lvs --noheadings --units b --nosuffix"
	at, err := strconv.ParseInt(run(t, row+` --config report/time_format="%%s" -o lv_time %s/_snapshot-%s`, group, id), 10, 64)
	must(t, err)
	bytes, err := strconv.ParseInt(run(t, row+" -o lv_size %s/%s", group, vol.Name), 10, 64)
	must(t, err)
	return stowage.Snapshot{
		Name: "snapshot-" + id, Volume: vol, Bytes: bytes, At: time.Unix(at, 0).UTC(),
		ID: run(t, row+" -o lv_uuid %s/%s", group, vol.Name) + "/" + run(t, row+" -o lv_uuid %s/_snapshot-%s", group, id),
	}
}

// untake removes one as Cinder does.
func untake(t *testing.T, _ stowage.VolumeLocation, id string) {
	t.Helper()
	run(t, "lvremove --config activation{retry_deactivation=1} -f %s/_snapshot-%s", group, id)
}

func attributes(t *testing.T, lv string) string {
	t.Helper()
	return run(t, "lvs --noheadings -o lv_attr %s/%s", group, lv)
}

// wantUntouched proves that the driver takes what Cinder took for none of its own.
func wantUntouched(t *testing.T, v *Volumes, snap stowage.Snapshot) {
	t.Helper()
	for what, list := range map[string]func() ([]stowage.Snapshot, error){
		"Leftovers": func() ([]stowage.Snapshot, error) { return v.Leftovers(t.Context()) },
		"Orphans":   func() ([]stowage.Snapshot, error) { return v.Orphans(t.Context()) },
	} {
		found, err := list()
		must(t, err)
		for _, f := range found {
			if f.ID == snap.ID || f.Name == snap.Name {
				t.Errorf("%s: %+v", what, f)
			}
		}
	}
	wantCode(t, "RemoveSnapshot", v.RemoveSnapshot(t.Context(), snap), stowage.Conflict)
	wantCode(t, "RemoveSnapshot by its name", v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: snap.Name, Volume: snap.Volume}), stowage.Conflict)
	_, err := v.KeepSnapshot(t.Context(), snap, keptName)
	wantCode(t, "KeepSnapshot", err, stowage.Invalid)
	_, err = v.CreateSnapshot(t.Context(), snap.Volume, snap.Name)
	wantCode(t, "CreateSnapshot", err, stowage.Invalid)
	must(t, v.CheckSnapshot(t.Context(), snap))
}

// What a pool tells of Cinder's is as exact as of ours, against a base of ours as well.
// It is active while it is read and as it was afterwards, for Cinder to remove.
func TestGuestCindersThin(t *testing.T) {
	v := driver(t)
	vol := thin(t, v, pool, "volume-quiesced", 32*mib)
	raw(t, vol, pattern(1, 4*mib), 0)
	base := keep(t, v, vol)
	raw(t, vol, pattern(2, mib), 2*mib)
	run(t, "blkdiscard -o 0 -l %d /dev/%s/%s", mib, group, vol.Name)
	take(t, vol, "1")
	raw(t, vol, pattern(3, 4*mib), 16*mib)
	const lv = "_snapshot-1"
	if attr := attributes(t, lv); attr != "Vwi---tz-k" {
		t.Errorf("what Cinder took is %s", attr)
	}
	snap, err := v.CinderSnapshot(t.Context(), vol, "1")
	must(t, err)
	wantUntouched(t, v, snap)

	open := func() drivers.Source {
		t.Helper()
		source, err := v.OpenSnapshot(t.Context(), snap)
		must(t, err)
		t.Cleanup(func() { _ = source.Close() })
		return source
	}
	one, two := open(), open()
	wantData(t, "what Cinder took", one, 2*mib, pattern(2, mib))
	wantData(t, "what was discarded", one, 0, make([]byte, mib))
	if sum := allocated(t, one); sum != 3*mib {
		t.Errorf("%d bytes are allocated", sum)
	}
	wantSince(t, two, base, stowage.Extent{Offset: 0, Length: mib}, stowage.Extent{Offset: 2 * mib, Length: mib})
	wantUntouched(t, v, snap)
	if out, err := tooled("lvremove -f " + group + "/" + lv); err == nil {
		t.Errorf("it could be removed while it was read: %s", out)
	}
	must(t, one.Close())
	if attr := attributes(t, lv); attr[4:6] != "ao" {
		t.Errorf("read by one still it is %s", attr)
	}
	wantData(t, "what the other reads", two, 2*mib, pattern(2, mib))
	must(t, two.Close())
	if attr := attributes(t, lv); attr != "Vwi---tz-k" {
		t.Errorf("read by nobody it is %s", attr)
	}
	must(t, v.CheckSnapshot(t.Context(), snap))

	// What Cinder had active stays so.
	run(t, "lvchange -q -a y --yes -K %s/%s", group, lv)
	must(t, open().Close())
	if attr := attributes(t, lv); attr[4:6] != "a-" {
		t.Errorf("active before, it is %s", attr)
	}
	// A base of ours goes and comes beside it.
	must(t, v.RemoveSnapshot(t.Context(), base))
	must(t, v.CheckSnapshot(t.Context(), snap))
	untake(t, vol, "1")
	wantCode(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), snap), stowage.NotFound)
	must(t, v.RemoveSnapshot(t.Context(), snap)) // gone already
}

// Readers of Cinder's come and go: none finds the device put away by another.
func TestGuestCindersReadersComeAndGo(t *testing.T) {
	v := driver(t)
	vol := thin(t, v, pool, "volume-busy", 8*mib)
	raw(t, vol, pattern(1, mib), 0)
	take(t, vol, "1")
	snap, err := v.CinderSnapshot(t.Context(), vol, "1")
	must(t, err)
	failed := make(chan error)
	const readers = 3
	for range readers {
		go func() {
			for range 4 {
				source, err := v.OpenSnapshot(t.Context(), snap)
				if err == nil {
					_, err = source.ReadAt(make([]byte, mib), 0)
				}
				if err == nil {
					err = source.Close()
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range readers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if attr := attributes(t, "_snapshot-1"); attr[4] != '-' {
		t.Errorf("in the end it is %s", attr)
	}
	untake(t, vol, "1")
}

// Thick, ours and Cinder's lie beside each other. Ours has less room, and that it runs
// full does Cinder's no harm; that Cinder's does is noticed as with ours.
func TestGuestCindersThick(t *testing.T) {
	v := driver(t, small)
	vol := classic(t, v, "volume-quiesced", 64*mib)
	raw(t, vol, pattern(1, 32*mib), 0)
	ours, _ := snapshot(t, v, vol, "stowage-inflight.1")
	take(t, vol, "1")
	snap, err := v.CinderSnapshot(t.Context(), vol, "1")
	must(t, err)
	source, err := v.OpenSnapshot(t.Context(), snap)
	must(t, err)
	t.Cleanup(func() { _ = source.Close() })
	raw(t, vol, pattern(2, 32*mib), 0)
	wantCode(t, "CheckSnapshot of ours", v.CheckSnapshot(t.Context(), ours), stowage.OverLimit)
	wantData(t, "what Cinder took", source, 0, pattern(1, 32*mib))
	wantUntouched(t, v, snap)
	must(t, source.Close())
	must(t, v.RemoveSnapshot(t.Context(), ours))
	if attr := attributes(t, vol.Name); attr[4] != 'a' {
		t.Errorf("the volume is %s", attr)
	}
	untake(t, vol, "1")

	take(t, vol, "2", "4M")
	full, err := v.CinderSnapshot(t.Context(), vol, "2")
	must(t, err)
	source, err = v.OpenSnapshot(t.Context(), full)
	must(t, err)
	t.Cleanup(func() { _ = source.Close() })
	raw(t, vol, pattern(3, 16*mib), 0)
	_, err = source.ReadAt(make([]byte, mib), 0)
	wantCode(t, "ReadAt", err, stowage.OverLimit)
	wantCode(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), full), stowage.OverLimit)
	_, err = v.OpenSnapshot(t.Context(), full)
	wantCode(t, "OpenSnapshot", err, stowage.OverLimit)
	_, err = v.CinderSnapshot(t.Context(), vol, "2")
	wantCode(t, "CinderSnapshot", err, stowage.OverLimit)
	must(t, source.Close())
	untake(t, vol, "2")
	run(t, "lvremove -f %s/%s", group, vol.Name)
}

// A thick volume that is not active, as after a boot, is activated with its snapshot, and
// stays so: its user may have come for it meanwhile.
func TestGuestCindersThickInactive(t *testing.T) {
	v := driver(t)
	vol := classic(t, v, "volume-asleep", 8*mib)
	raw(t, vol, pattern(1, mib), 0)
	take(t, vol, "1")
	run(t, "lvchange -q -y -a n %s/%s", group, vol.Name)
	snap, err := v.CinderSnapshot(t.Context(), vol, "1")
	must(t, err)
	must(t, v.CheckSnapshot(t.Context(), snap))
	source, err := v.OpenSnapshot(t.Context(), snap)
	must(t, err)
	wantData(t, "what Cinder took", source, 0, pattern(1, mib))
	must(t, source.Close())
	for _, lv := range []string{vol.Name, "_snapshot-1"} {
		if attr := attributes(t, lv); attr[4] != 'a' {
			t.Errorf("%s is %s", lv, attr)
		}
	}
	untake(t, vol, "1")
}
