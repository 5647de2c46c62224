package db

import (
	"fmt"
	"testing"
	"time"
)

func TestGarbageWaitsUntilItIsReadyAndIsStruckOutOnce(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		set := Garbage{ProjectID: "p", Container: "c", VolumeID: "v", BackupID: 7, Objects: []byte{0, 1, 255}, ReadyAt: noon.Add(time.Hour)}
		names := Garbage{ProjectID: "p", Container: "ü", VolumeID: "v", BackupID: 7, Prefix: "a/1/", Keep: "a/1/00000002/", ReadyAt: noon}
		for _, g := range []Garbage{set, names} {
			if err := d.AddGarbage(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		list := must(d.GarbageOf(t.Context(), 7))(t)
		if len(list) != 2 {
			t.Fatalf("written down: %+v", list)
		}
		set.ID, names.ID = list[0].ID, list[1].ID
		want := func(when time.Time, limit int, want ...Garbage) {
			t.Helper()
			if got := must(d.ReadyGarbage(t.Context(), when, limit))(t); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		want(noon.Add(-time.Second), 10)
		want(noon, 10, names)
		want(noon.Add(time.Hour), 10, names, set)
		want(noon.Add(time.Hour), 1, names)
		if err := d.PostponeGarbage(t.Context(), names.ID, noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		want(noon.Add(time.Hour), 10, set)
		for range 2 { // also after a lost answer
			if err := d.GarbageGone(t.Context(), set.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.PostponeGarbage(t.Context(), set.ID, noon); err != nil {
			t.Errorf("to postpone what is gone: %v", err)
		}
		if list := must(d.GarbageOf(t.Context(), 7))(t); len(list) != 1 || list[0].ID != names.ID {
			t.Errorf("left: %+v", list)
		}
	})
}
