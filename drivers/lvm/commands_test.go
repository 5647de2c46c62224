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
	lookThick = `lvm lvs FORMAT -o COLUMNS -S lv_name="volume-a" || lv_name="stowage-inflight.1.3a78910685" vg-1`
	snapName  = "stowage-inflight.1.3a78910685"
)

// The command lines, one by one: they are what an operator sees in his log of
// lvm2, and what stands between the names and a shell that is not there.
func TestCommandsClassic(t *testing.T) {
	origin := thickLV("volume-a", thickUUID)
	r := &recorder{lvs: []lv{origin}, free: 100 << 30}
	v := recorded(t, r)
	vol := location(v, "volume-a")
	r.change = func(r *recorder, _ Command) error {
		r.lvs = append(r.lvs, snapLV(origin, "stowage-inflight.1"))
		return nil
	}

	snap, err := v.CreateSnapshot(t.Context(), vol, "stowage-inflight.1")
	if err != nil || snap.ID != thickUUID+"/"+snapUUID || snap.Bytes != 10<<30 || snap.At.Unix() != 1795221469 {
		t.Errorf("got %+v, %v", snap, err)
	}
	wantCalls(t, "CreateSnapshot", r, lookThick, "lvm vgs FORMAT -o vg_free,vg_extent_size vg-1",
		"lvm lvcreate -y -s -p r -n "+snapName+" --addtag stowage.inflight --addtag stowage.volume=volume-a"+
			" --addtag stowage.snapshot=stowage-inflight.1 --addtag stowage.origin="+thickUUID+" -L 2147483648b vg-1/volume-a", lookThick)

	again, err := v.CreateSnapshot(t.Context(), vol, "stowage-inflight.1")
	if err != nil || again != snap {
		t.Errorf("once more: %+v, %v", again, err)
	}
	wantCalls(t, "CreateSnapshot once more", r, lookThick)

	r.change = func(r *recorder, _ Command) error { r.remove(snapName); return nil }
	if err := v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: snap.Name, Volume: vol}); err != nil {
		t.Error(err)
	}
	look := `lvm lvs FORMAT -o COLUMNS -S lv_name="` + snapName + `" vg-1`
	wantCalls(t, "RemoveSnapshot", r, look, `lvm lvremove -f -y -S lv_uuid="`+snapUUID+`" vg-1/`+snapName, look)
	if err := v.RemoveSnapshot(t.Context(), snap); err != nil {
		t.Error(err)
	}
	wantCalls(t, "RemoveSnapshot of what is gone", r, look)
}

func TestCommandsThin(t *testing.T) {
	origin := thinLV("volume-a", thinUUID)
	r := &recorder{lvs: []lv{origin}}
	v := recorded(t, r)
	r.change = func(r *recorder, _ Command) error {
		r.lvs = append(r.lvs, snapLV(origin, "stowage-inflight.1"))
		return nil
	}
	snap, err := v.CreateSnapshot(t.Context(), location(v, "volume-a"), "stowage-inflight.1")
	if err != nil || snap.ID != thinUUID+"/"+snapUUID || snap.Bytes != 10<<30 {
		t.Errorf("got %+v, %v", snap, err)
	}
	wantCalls(t, "CreateSnapshot", r, lookThick,
		"lvm lvcreate -y -s -p r -n "+snapName+" --addtag stowage.inflight --addtag stowage.volume=volume-a"+
			" --addtag stowage.snapshot=stowage-inflight.1 --addtag stowage.origin="+thinUUID+" --setactivationskip y vg-1/volume-a", lookThick)
	if err := v.CheckSnapshot(t.Context(), snap); err != nil {
		t.Error(err)
	}
	r.did()
	r.change = func(*recorder, Command) error { return nil }
	device := filepath.Join(v.o.DevDir, "mapper", "vg--1-stowage--inflight.1.3a78910685")
	if err := errors.Join(os.Mkdir(filepath.Dir(device), 0o700), os.WriteFile(device, make([]byte, 512), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err = v.OpenSnapshot(t.Context(), snap); err == nil {
		t.Error("a file was taken for the device")
	}
	wantCalls(t, "OpenSnapshot", r, `lvm lvs FORMAT -o COLUMNS -S lv_name="`+snapName+`" vg-1`, "lvm lvchange -y -a y -K vg-1/"+snapName)
}

// Names that are none reach no command.
func TestNoCommandForBadNames(t *testing.T) {
	r := &recorder{}
	v := recorded(t, r)
	for _, name := range []string{"", "-f", "--all", "a b", `a" || lv_name="b`, "a/b", "@tag", "a;b", "$(b)", "é", strings.Repeat("a", 101)} {
		_, err := v.CreateSnapshot(t.Context(), location(v, name), "s")
		wantCoded(t, "CreateSnapshot of "+name, err, stowage.Invalid)
		_, err = v.CreateSnapshot(t.Context(), location(v, "volume-a"), name)
		wantCoded(t, "CreateSnapshot named "+name, err, stowage.Invalid)
		_, err = v.OpenTarget(t.Context(), location(v, name))
		wantCoded(t, "OpenTarget of "+name, err, stowage.Invalid)
		wantCoded(t, "RemoveSnapshot of "+name, v.RemoveSnapshot(t.Context(), stowage.Snapshot{Name: "s", Volume: location(v, name)}), stowage.Invalid)
	}
	wantCalls(t, "all of them", r)
	for _, o := range []Options{
		{}, {VolumeGroup: "vg"}, {Host: "h"}, {VolumeGroup: "-f", Host: "h"}, {VolumeGroup: "a/b", Host: "h"}, {VolumeGroup: "..", Host: "h"},
		{VolumeGroup: "vg", Host: "h:x"}, {VolumeGroup: "vg", Host: "h", SnapshotPercent: -1},
		{VolumeGroup: "vg", Host: "h", SnapshotMinBytes: 2, SnapshotMaxBytes: 1},
	} {
		o.Runner = r
		_, err := Open(t.Context(), o)
		wantCoded(t, "Open", err, stowage.Invalid)
	}
	wantCalls(t, "Open", r)
}

func TestStoreSizes(t *testing.T) {
	const gib = stowage.GiB
	for _, c := range []struct {
		volume, free int64
		o            Options
		want         int64
	}{
		{volume: 100 * gib, want: 20 * gib},
		{volume: 2 * gib, want: gib},                                                                   // the least
		{volume: 64 << 20, want: 68 << 20},                                                             // all it can need
		{volume: 100 * gib, o: Options{SnapshotPercent: 33}, want: 33 * gib},                           //
		{volume: 128 * gib, o: Options{SnapshotPercent: 100}, want: 129*gib + 4<<20},                   // never full
		{volume: 128 * gib, o: Options{SnapshotPercent: 150}, want: 129*gib + 4<<20},                   //
		{volume: 900 * gib, o: Options{SnapshotMaxBytes: 50 * gib}, want: 50 * gib},                    //
		{volume: 10 * gib, o: Options{SnapshotPercent: 1, SnapshotMinBytes: 3 * gib}, want: 3 * gib},   //
		{volume: 10 * gib, o: Options{SnapshotMaxBytes: 1 << 20, SnapshotPercent: 100}, want: 4 << 20}, // an extent
		{volume: 100 * gib, free: 20*gib - 1, want: -1},                                                // too little
		{volume: 100 * gib, free: 20 * gib, want: 20 * gib},                                            //
	} {
		c.o.VolumeGroup, c.o.Host = "vg", "h"
		r := &recorder{free: 1 << 60}
		if c.free != 0 {
			r.free = c.free
		}
		c.o.Runner = r
		v, err := Open(t.Context(), c.o)
		if err != nil {
			t.Fatal(err)
		}
		l := thickLV("volume-a", thickUUID)
		l.Size = itoa(c.volume)
		got, err := v.storeBytes(t.Context(), &l)
		if c.want < 0 {
			wantCoded(t, "a store without room", err, stowage.OverLimit)
			continue
		}
		if got != c.want || err != nil {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
}

// What lvcreate reports is not what counts.
func TestCreateLooksAtWhatIsThere(t *testing.T) {
	origin, exit := thickLV("volume-a", thickUUID), &ExitError{Command: "lvcreate", Code: 5, Stderr: "no"}
	other := snapLV(origin, "s")
	other.OriginUUID = otherUUID
	half := snapLV(origin, "s")
	half.Attr, half.Origin, half.OriginUUID = "-wi-a-----", "", ""
	full := snapLV(origin, "s")
	full.Attr = "sri-I-s---"
	foreign := snapLV(origin, "s")
	foreign.Tags = ""
	for what, c := range map[string]struct {
		before []lv
		change func(r *recorder, c Command) error
		want   stowage.Code // "": it works
	}{
		"made, and reported failed": {[]lv{origin}, func(r *recorder, _ Command) error { r.lvs = append(r.lvs, snapLV(origin, "s")); return exit }, ""},
		"reported, and not made":    {[]lv{origin}, func(*recorder, Command) error { return nil }, stowage.Internal},
		"failed":                    {[]lv{origin}, func(*recorder, Command) error { return exit }, stowage.Internal},
		"the group has filled":      {[]lv{origin}, func(r *recorder, _ Command) error { r.free = 0; return exit }, stowage.OverLimit},
		"the volume has gone":       {[]lv{origin}, func(r *recorder, _ Command) error { r.lvs = nil; return exit }, stowage.NotFound},
		"half of it made":           {[]lv{origin}, func(r *recorder, _ Command) error { r.lvs = append(r.lvs, half); return exit }, stowage.Internal},
		"of another volume":         {[]lv{origin}, func(r *recorder, _ Command) error { r.lvs = append(r.lvs, other); return nil }, stowage.Conflict},
		"overflowed before":         {[]lv{origin, full}, nil, stowage.OverLimit},
		"a foreign LV before":       {[]lv{origin, foreign}, nil, stowage.Conflict},
		"half of it before": {[]lv{origin, half}, func(r *recorder, c Command) error {
			if c.Args[0] == "lvremove" {
				r.remove(half.Name)
			} else {
				r.lvs = append(r.lvs, snapLV(origin, "s"))
			}
			return nil
		}, ""},
		"no volume": {nil, nil, stowage.NotFound},
	} {
		r := &recorder{lvs: c.before, free: 1 << 40}
		v := recorded(t, r)
		r.change = c.change
		_, err := v.CreateSnapshot(t.Context(), location(v, "volume-a"), "s")
		if c.want == "" && err != nil || c.want != "" && (err == nil || stowage.CodeOf(err) != c.want) {
			t.Errorf("%s: got %v (%s), want %q", what, err, stowage.CodeOf(err), c.want)
		}
	}
}
