package lvm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

const (
	cindersID = "6c1e5f3a-8f0b-4a53-9d39-0f4f7a2f6b11"
	cindersLV = "_snapshot-" + cindersID
)

// takenLV is what Cinder makes of a volume: without tags, and to be written to.
func takenLV(origin lv) lv {
	l := origin
	l.Name, l.UUID, l.Attr, l.ThinID = cindersLV, otherUUID, "Vwi---tz-k", "2"
	if !origin.thin() {
		l.Attr, l.OriginSize, l.ThinID = "swi-a-s---", origin.Size, ""
	}
	l.Origin, l.OriginUUID = origin.Name, origin.UUID
	return l
}

func TestCommandsCinder(t *testing.T) {
	origin := thinLV("volume-a", thinUUID)
	r := &recorder{lvs: []lv{origin, takenLV(origin)}}
	v := recorded(t, r)
	vol := location(v, "volume-a")
	look := `lvm lvs FORMAT -o COLUMNS -S lv_name="` + cindersLV + `" vg-1`

	snap, err := v.CinderSnapshot(t.Context(), vol, cindersID)
	want := stowage.Snapshot{Name: "snapshot-" + cindersID, Volume: vol, ID: thinUUID + "/" + otherUUID, Bytes: 10 << 30, At: snap.At}
	if err != nil || snap != want || snap.At.Unix() != 1795221470 {
		t.Errorf("got %+v, %v", snap, err)
	}
	wantCalls(t, "CinderSnapshot", r, `lvm lvs FORMAT -o COLUMNS -S lv_name="volume-a" || lv_name="`+cindersLV+`" vg-1`)
	if err := v.CheckSnapshot(t.Context(), snap); err != nil {
		t.Error(err)
	}
	wantCalls(t, "CheckSnapshot", r, look)

	// It is the user's: whatever is asked for under its name, nothing happens to it.
	nameless, another := snap, snap
	nameless.ID, another.ID = "", thinUUID+"/"+snapUUID
	wantCoded(t, "RemoveSnapshot", v.RemoveSnapshot(t.Context(), snap), stowage.Conflict)
	wantCoded(t, "RemoveSnapshot by its name alone", v.RemoveSnapshot(t.Context(), nameless), stowage.Conflict)
	if err := v.RemoveSnapshot(t.Context(), another); err != nil {
		t.Errorf("RemoveSnapshot of one that is gone: %v", err)
	}
	wantCalls(t, "RemoveSnapshot", r, look, look, look)
	_, err = v.KeepSnapshot(t.Context(), snap, keptOne)
	wantCoded(t, "KeepSnapshot", err, stowage.Invalid)
	ours := stowage.Snapshot{Name: "stowage-inflight.1", Volume: vol, ID: thinUUID + "/" + snapUUID}
	_, err = v.KeepSnapshot(t.Context(), ours, snap.Name)
	wantCoded(t, "KeepSnapshot under its name", err, stowage.Invalid)
	_, err = v.CreateSnapshot(t.Context(), vol, snap.Name)
	wantCoded(t, "CreateSnapshot under its name", err, stowage.Invalid)
	_, err = v.OpenTarget(t.Context(), location(v, cindersLV))
	wantCoded(t, "OpenTarget", err, stowage.Invalid)
	wantCalls(t, "all of them", r)

	r.remove(cindersLV)
	if err := v.RemoveSnapshot(t.Context(), snap); err != nil {
		t.Errorf("RemoveSnapshot of what Cinder removed: %v", err)
	}
	wantCoded(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), snap), stowage.NotFound)
}

// One that was not active is not active afterwards, whatever came in between. A thick
// one is as its volume is.
func TestCindersIsLeftAsItWas(t *testing.T) {
	const on, off = "lvm lvchange -y -a y -K vg-1/" + cindersLV, `lvm lvchange -y -a n -S lv_uuid="` + otherUUID + `" vg-1/` + cindersLV
	active := takenLV(thinLV("volume-a", thinUUID))
	active.Attr = "Vwi-a-tz-k"
	inactive := takenLV(thickLV("volume-a", thickUUID))
	inactive.Attr = "swi---s---"
	for what, c := range map[string]struct {
		origin, taken lv
		want          []string
	}{
		"thin":           {thinLV("volume-a", thinUUID), takenLV(thinLV("volume-a", thinUUID)), []string{on, off}},
		"thin, active":   {thinLV("volume-a", thinUUID), active, nil},
		"thick":          {thickLV("volume-a", thickUUID), takenLV(thickLV("volume-a", thickUUID)), nil},
		"thick, not so":  {thickLV("volume-a", thickUUID), inactive, []string{on}},
		"thin, and ours": {thinLV("volume-a", thinUUID), snapLV(thinLV("volume-a", thinUUID), "s"), []string{"lvm lvchange -y -a y -K vg-1/" + lvName("vg-1", "volume-a", "s")}},
	} {
		r := &recorder{lvs: []lv{c.origin, c.taken}, change: func(*recorder, Command) error { return nil }}
		v := recorded(t, r)
		snap := stowage.Snapshot{Name: "s", Volume: location(v, "volume-a"), ID: c.origin.UUID + "/" + c.taken.UUID}
		if c.taken.cinders() {
			snap.Name = "snapshot-" + cindersID
		}
		// What is no block device is not opened.
		device := filepath.Join(v.o.DevDir, "mapper", deviceName("vg-1", c.taken.Name))
		if err := errors.Join(os.Mkdir(filepath.Dir(device), 0o700), os.WriteFile(device, make([]byte, 512), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := v.OpenSnapshot(t.Context(), snap); err == nil {
			t.Errorf("%s: a file was taken for the device", what)
		}
		wantCalls(t, what, r, append([]string{`lvm lvs FORMAT -o COLUMNS -S lv_name="` + c.taken.Name + `" vg-1`}, c.want...)...)
	}
}

// The last of several readers puts it away.
func TestCindersIsPutAwayByTheLast(t *testing.T) {
	taken := takenLV(thinLV("volume-a", thinUUID))
	r := &recorder{change: func(*recorder, Command) error { return nil }}
	v := recorded(t, r)
	off := `lvm lvchange -y -a n -S lv_uuid="` + otherUUID + `" vg-1/` + cindersLV
	one, two := os.NewFile(0, "one"), os.NewFile(0, "two")
	for round := range 2 {
		v.note(&taken)
		if err := errors.Join(v.hold(one, &taken), v.hold(two, &taken)); err != nil {
			t.Fatal(err)
		}
		for i, c := range []*os.File{one, two} {
			name, _ := v.drop(c)
			v.rest(t.Context(), name)
			if did := r.did(); strings.Join(did, "\n") != []string{"", off}[i] {
				t.Errorf("round %d, reader %d of 2 closes: %v", round, i+1, did)
			}
		}
		// Somebody has activated it since: then it is his.
		v.rest(t.Context(), cindersLV)
		wantCalls(t, "once more", r)
	}
}

// What an LV of the name is counts, and the volume is another for each.
func TestNoSnapshotOfCinders(t *testing.T) {
	thin, thick := thinLV("volume-a", thinUUID), thickLV("volume-a", thickUUID)
	other := takenLV(thin)
	other.Origin, other.OriginUUID = "volume-b", snapUUID
	orphan := takenLV(thin)
	orphan.Origin, orphan.OriginUUID = "", ""
	half := takenLV(thick)
	half.Attr, half.Origin, half.OriginUUID = "-wi-a-----", "", ""
	full := takenLV(thick)
	full.Attr = "swi-I-s---"
	merged := thick
	merged.Attr = "Owi-a-s---"
	marked := takenLV(thin)
	marked.OriginUUID, marked.Tags = snapUUID, tagOurs+","+tagOrigin+thin.UUID+","+tagVolume+"volume-a,"+tagSnapshot+"snapshot-"+cindersID
	for what, c := range map[string]struct {
		lvs  []lv
		want stowage.Code
	}{
		"none":                      {[]lv{thin}, stowage.NotFound},
		"no volume":                 {[]lv{takenLV(thin)}, stowage.NotFound},
		"of another volume":         {[]lv{thin, other}, stowage.NotFound},
		"of a volume that is gone":  {[]lv{thin, orphan}, stowage.NotFound},
		"of one of the name before": {[]lv{thinLV("volume-a", snapUUID), takenLV(thin)}, stowage.NotFound},
		"no snapshot":               {[]lv{thick, half}, stowage.NotFound},
		"with tags that say so":     {[]lv{thin, marked}, stowage.NotFound},
		"full":                      {[]lv{thick, full}, stowage.OverLimit},
		"being reverted to":         {[]lv{merged, takenLV(thick)}, stowage.Conflict},
	} {
		v := recorded(t, &recorder{lvs: c.lvs})
		_, err := v.CinderSnapshot(t.Context(), location(v, "volume-a"), cindersID)
		wantCoded(t, what, err, c.want)
	}
	// It was found, and its volume was deleted or its store has filled since.
	for want, l := range map[stowage.Code]lv{stowage.NotFound: orphan, stowage.OverLimit: full} {
		v := recorded(t, &recorder{lvs: []lv{l}})
		snap := stowage.Snapshot{Name: "snapshot-" + cindersID, Volume: location(v, "volume-a"), ID: thinUUID + "/" + otherUUID}
		if l.classicSnapshot() {
			snap.ID = thickUUID + "/" + otherUUID
		}
		wantCoded(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), snap), want)
		_, err := v.OpenSnapshot(t.Context(), snap)
		wantCoded(t, "OpenSnapshot", err, want)
	}
}

// Tags of ours make no snapshot of Cinder's one of ours.
func TestCindersAreNotListed(t *testing.T) {
	origin := thinLV("volume-a", thinUUID)
	taken := takenLV(origin)
	taken.Origin, taken.OriginUUID = "", "" // an orphan, were it ours
	taken.Tags = strings.Join([]string{tagOurs, tagBase, tagOrigin + origin.UUID, tagVolume + origin.Name, tagSnapshot + "snapshot-" + cindersID}, ",")
	r := &recorder{lvs: []lv{origin, taken}}
	v := recorded(t, r)
	for what, list := range map[string]func() ([]stowage.Snapshot, error){
		"Leftovers": func() ([]stowage.Snapshot, error) { return v.Leftovers(t.Context()) },
		"Orphans":   func() ([]stowage.Snapshot, error) { return v.Orphans(t.Context()) },
	} {
		if found, err := list(); len(found) != 0 || err != nil {
			t.Errorf("%s: %+v, %v", what, found, err)
		}
	}
	err := v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "snapshot-" + cindersID, Volume: location(v, "volume-a")})
	wantCoded(t, "RemoveSnapshot", err, stowage.Conflict)
}

func TestNamesOfCinders(t *testing.T) {
	r := &recorder{}
	v := recorded(t, r)
	for _, id := range []string{"", "-f", "a b", `a" || lv_name="b`, "../x", "@tag", "_x", strings.Repeat("a", 92)} {
		_, err := v.CinderSnapshot(t.Context(), location(v, "volume-a"), id)
		wantCoded(t, "CinderSnapshot "+id, err, stowage.Invalid)
	}
	_, err := v.CinderSnapshot(t.Context(), location(v, cindersLV), cindersID)
	wantCoded(t, "CinderSnapshot of a snapshot", err, stowage.Invalid)
	wantCalls(t, "all of them", r)
	// No name of ours is one of Cinder's.
	for _, name := range []string{"snapshot-" + cindersID, "snapshot", "snapshotx", "pvmove0", "a", "0"} {
		if l := (&lv{Name: lvName("vg-1", "volume-a", name)}); l.cinders() {
			t.Errorf("%s is %s", name, l.Name)
		}
	}
}
