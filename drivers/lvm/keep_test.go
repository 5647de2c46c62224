package lvm

import (
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// keeping is a volume group in which tags and names can be changed. after is
// how many changes work before the process dies; -1: all do.
type keeping struct {
	after int
	table string
}

func (k *keeping) change(r *recorder, c Command) error {
	if k.after == 0 {
		return &ExitError{Command: c.String(), Code: 5, Stderr: "died"}
	}
	k.after--
	name := c.Args[len(c.Args)-1][len("vg-1/"):]
	if c.Args[0] == "lvrename" {
		name = c.Args[len(c.Args)-2]
	}
	i := slices.IndexFunc(r.lvs, func(l lv) bool { return l.Name == name })
	if i < 0 {
		return &ExitError{Command: c.String(), Code: 5, Stderr: "no such LV"}
	}
	l := &r.lvs[i]
	tags := strings.Split(l.Tags, ",")
	for n, arg := range c.Args {
		switch {
		case arg == "--addtag" && !slices.Contains(tags, c.Args[n+1]):
			tags = append(tags, c.Args[n+1])
		case arg == "--deltag":
			tags = slices.DeleteFunc(tags, func(t string) bool { return t == c.Args[n+1] })
		case arg == "lvrename":
			l.Name = c.Args[len(c.Args)-1]
		case arg == "-a" && c.Args[n+1] == "n":
			l.Attr = "Vri---tz-k"
		case arg == "-a":
			l.Attr = "Vri-a-tz-k"
		case arg == "lvremove":
			r.remove(name)
			return nil
		}
	}
	l.Tags = strings.Join(tags, ",")
	return nil
}

// kept is a recorder with a thin volume and its snapshot.
func kept(t *testing.T, k *keeping) (*recorder, *Volumes, stowage.Snapshot) {
	t.Helper()
	origin := thinLV("volume-a", thinUUID)
	young := snapLV(origin, "stowage-inflight.1")
	young.Attr = "Vri-a-tz-k"
	r := &recorder{lvs: []lv{origin, young}, change: k.change, table: "0 20971520 thin 253:4 1\n"}
	if k.table != "" {
		r.table = k.table
	}
	v := recorded(t, r)
	return r, v, stowage.Snapshot{Name: "stowage-inflight.1", Volume: location(v, "volume-a"), ID: thinUUID + "/" + snapUUID}
}

func TestCommandsKeep(t *testing.T) {
	r, v, snap := kept(t, &keeping{after: -1})
	got, err := v.KeepSnapshot(t.Context(), snap, keptOne)
	if err != nil || got.Name != keptOne || got.ID != snap.ID {
		t.Errorf("got %+v, %v", got, err)
	}
	to := lvName("vg-1", "volume-a", keptOne)
	device := "vg--1-stowage--inflight.1.3a78910685"
	wantCalls(t, "KeepSnapshot", r,
		`lvm lvs FORMAT -o COLUMNS -S lv_name="`+snapName+`" || lv_name="`+to+`" vg-1`, "dmsetup table "+device,
		`lvm lvchange -y --addtag stowage.base --addtag stowage.snapshot=`+keptOne+` -S lv_uuid="`+snapUUID+`" vg-1/`+snapName,
		"lvm lvrename -y vg-1 "+snapName+" "+to, `lvm lvs FORMAT -o COLUMNS -S lv_name="`+to+`" vg-1`, `lvm lvchange -y -a n -S lv_uuid="`+snapUUID+`" vg-1/`+to,
		`lvm lvchange -y --deltag stowage.inflight --deltag stowage.snapshot=stowage-inflight.1 -S lv_uuid="`+snapUUID+`" vg-1/`+to)
	again, err := v.KeepSnapshot(t.Context(), got, keptOne)
	if err != nil || again != got {
		t.Errorf("once more: %+v, %v", again, err)
	}
	for _, c := range r.did() {
		if strings.Contains(c, "tag") && strings.HasPrefix(c, "lvm lvchange") || strings.Contains(c, "lvrename") {
			t.Errorf("once more ran %s", c)
		}
	}
}

// Whoever dies in the middle leaves one that is found by its old or its new
// name, listed once, and can be kept or removed.
func TestKeepDiesInTheMiddle(t *testing.T) {
	for after := range 4 {
		for _, then := range []string{"keep", "remove"} {
			k := &keeping{after: after}
			r, v, snap := kept(t, k)
			_, died := v.KeepSnapshot(t.Context(), snap, keptOne)
			// One that was not put away is only a blemish.
			if died == nil && after != 2 {
				t.Fatalf("after %d changes it did not die", after)
			}
			k.after = -1
			list, err := v.Leftovers(t.Context())
			if err != nil || len(list) != 1 || list[0].Name != snap.Name && list[0].Name != keptOne || list[0].ID != snap.ID {
				t.Fatalf("after %d changes there is %+v, %v", after, list, err)
			}
			if then == "remove" {
				if err := v.RemoveSnapshot(t.Context(), list[0]); err != nil || len(r.lvs) != 1 {
					t.Errorf("after %d changes: %v, left %+v", after, err, r.lvs)
				}
				continue
			}
			got, err := v.KeepSnapshot(t.Context(), snap, keptOne)
			if err != nil || got.Name != keptOne {
				t.Errorf("after %d changes: %+v, %v", after, got, err)
			}
			l := r.lvs[1]
			if l.tagged(tagOurs) || !l.base() || !l.named(keptOne) || l.named(snap.Name) || l.active() || l.Name != lvName("vg-1", "volume-a", keptOne) {
				t.Errorf("after %d changes it is in the end %+v", after, l)
			}
		}
	}
}

func TestNotKept(t *testing.T) {
	other := snapLV(thinLV("volume-a", thinUUID), keptOne)
	other.UUID = otherUUID
	for what, c := range map[string]struct {
		change func(r *recorder)
		want   stowage.Code
	}{
		"external origin": {func(r *recorder) { r.table = "0 20971520 thin 253:4 1 253:9\n" }, stowage.NotFound},
		"deleted":         {func(r *recorder) { r.lvs = r.lvs[1:]; r.lvs[0].Origin, r.lvs[0].OriginUUID = "", "" }, stowage.NotFound},
		"gone":            {func(r *recorder) { r.lvs = r.lvs[:1] }, stowage.NotFound},
		"another":         {func(r *recorder) { r.lvs[1].UUID = otherUUID }, stowage.NotFound},
		"taken":           {func(r *recorder) { r.lvs = append(r.lvs, other) }, stowage.Conflict},
		"thick": {func(r *recorder) {
			r.lvs = []lv{thickLV("volume-a", thinUUID), snapLV(thickLV("volume-a", thinUUID), "stowage-inflight.1")}
		}, stowage.NotFound},
	} {
		r, v, snap := kept(t, &keeping{after: 0})
		c.change(r)
		_, err := v.KeepSnapshot(t.Context(), snap, keptOne)
		wantCoded(t, what, err, c.want)
		for _, call := range r.did() {
			if strings.Contains(call, "lvchange") || strings.Contains(call, "lvrename") {
				t.Errorf("%s: ran %s", what, call)
			}
		}
	}
}

// A base whose volume is gone is of no use to anybody, and can be removed.
func TestOrphans(t *testing.T) {
	r, v, snap := kept(t, &keeping{after: -1})
	base, err := v.KeepSnapshot(t.Context(), snap, keptOne)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CheckSnapshot(t.Context(), base); err != nil {
		t.Error(err)
	}
	if list, err := v.Orphans(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	r.lvs = r.lvs[1:]
	r.lvs[0].Origin, r.lvs[0].OriginUUID = "", ""
	// In flight, the same is what a backup still reads.
	reading := snapLV(thinLV("volume-b", otherUUID), "stowage-inflight.2")
	reading.Origin, reading.OriginUUID, reading.UUID = "", "", thickUUID
	r.lvs = append(r.lvs, reading)
	list, err := v.Orphans(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != keptOne || list[0].ID != base.ID {
		t.Errorf("got %+v, %v", list, err)
	}
	wantCoded(t, "CheckSnapshot", v.CheckSnapshot(t.Context(), base), stowage.NotFound)
	if err := v.RemoveSnapshot(t.Context(), list[0]); err != nil || len(r.lvs) != 1 {
		t.Errorf("%v, left %+v", err, r.lvs)
	}
}
