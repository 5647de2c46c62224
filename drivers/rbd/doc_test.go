package rbd

import (
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

func TestSnapshotID(t *testing.T) {
	id, ok := parseID("10ab23cd/17")
	if !ok || id.image != "10ab23cd" || id.snap != 17 || id.String() != "10ab23cd/17" {
		t.Errorf("got %+v, %v", id, ok)
	}
	for _, text := range []string{
		"", "/", "10ab", "10ab/", "/17", "10ab/x", "10ab/17/", "10ab/017", "10ab/+17", "10ab/-1", "../17", "10ab/1e3", "1 0/17",
		"10ab/18446744073709551616", strings.Repeat("a", 65) + "/1", "é/1",
	} {
		if id, ok := parseID(text); ok {
			t.Errorf("%q was read as %+v", text, id)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"volume-0a1b": true, "stowage-inflight.0a1b": true, "backup.x.snap.1": true, "": false, "a@b": false, "a/b": false, "-x": false,
		".x": false, "é": false, "a b": false, "a\x00": false, strings.Repeat("a", 100): true, strings.Repeat("a", 101): false,
	} {
		if validName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestNamesCinderRemoves(t *testing.T) {
	for name, want := range map[string]bool{
		"backup.0a1b2c3d-1111-2222-3333-444455556666.snap.1795000000": true, "backup.x.snap.1": true, "backup.x.snap.1.5": true,
		"stowage-inflight.0a1b": false, "backup.x.snap.": false, "backup..snap.1": false, "backup.X.snap.1": false, "abackup.x.snap.1": false,
		"backup.x.snap.a b": false, "backup.x.snap.a@b": false, "backup.x.snapshot.1": false, "": false,
	} {
		if cinders(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestOptions(t *testing.T) {
	opts := Options{Pool: "volumes", User: "cinder", CephConf: "/etc/ceph/ceph.conf"}
	if err := opts.defaults(); err != nil || opts.ConnectTimeout != 30*time.Second || opts.OpTimeout != 2*time.Minute {
		t.Errorf("%+v, %v", opts, err)
	}
	for _, opts := range []Options{{}, {Pool: "p", User: "u"}, {Pool: "p", CephConf: "c"}, {User: "u", CephConf: "c"}} {
		if err := opts.defaults(); !stowage.Is(err, stowage.Invalid) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}
