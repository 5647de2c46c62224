package manifest

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

var example = Attempt{Backup: uuid.MustParse("0e1f2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7"), Fence: 12}

func TestNamesAreThoseOfTheFormat(t *testing.T) {
	const prefix = "volume_v.1/backup_0e1f2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7/00000012/"
	for got, want := range map[string]string{
		Prefix("v.1", example):                    prefix,
		RootName("v.1", example):                  prefix + "root",
		PackName("v.1", Place{example, 3}):        prefix + "pack-00000003",
		MapName("v.1", Place{example, 123456789}): prefix + "map-123456789",
		Prefix("v", Attempt{example.Backup, 1234567890})[len("volume_v/backup_")+37:]: "1234567890/",
	} {
		if got != want {
			t.Errorf("got %s, not %s", got, want)
		}
	}
}

func TestARootsNameTellsWhoseItIs(t *testing.T) {
	for _, fence := range []uint64{0, 1, 99999999, 100000000, MaxFence} {
		a := Attempt{example.Backup, fence}
		if id, got, ok := ParseRootName(RootName("v.1", a)); !ok || id != "v.1" || got != a {
			t.Errorf("got %s %v %v", id, got, ok)
		}
	}
}

const uid = "0e1f2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7"

var otherNames = []string{
	"", "root", "///",
	"volume_v/backup_" + uid + "/00000012/",
	"volume_v/backup_" + uid + "/00000012/root/",
	"volume_v/backup_" + uid + "/00000012/pack-00000001",
	"/volume_v/backup_" + uid + "/00000012/root",
	"volume_v/backup_" + uid + "/12/root",
	"volume_v/backup_" + uid + "/000000012/root",
	"volume_v/backup_" + uid + "/+0000012/root",
	"volume_v/backup_" + uid + "/9223372036854775808/root",
	"volume_v/backup_" + strings.ToUpper(uid) + "/00000012/root",
	"volume_v/backup_{" + uid + "}/00000012/root",
	"volume_v/backup_urn:uuid:" + uid + "/00000012/root",
	"volume_v/backup_" + strings.ReplaceAll(uid, "-", "") + "/00000012/root",
	"volume_v/" + uid + "/00000012/root",
	"v/backup_" + uid + "/00000012/root",
	"volume_/backup_" + uid + "/00000012/root",
	"volume_../backup_" + uid + "/00000012/root",
	"volume_a b/backup_" + uid + "/00000012/root",
	"volume_" + strings.Repeat("v", 65) + "/backup_" + uid + "/00000012/root",
}

func TestOtherNamesAreNoRoots(t *testing.T) {
	for _, name := range otherNames {
		if id, a, ok := ParseRootName(name); ok {
			t.Errorf("%q is taken for a root of %s, %v", name, id, a)
		}
	}
}

func TestWhatMayStandInNames(t *testing.T) {
	for _, id := range []string{"a", "...", "-", "0B1c_x.y-z", strings.Repeat("v", 64)} {
		if !ValidVolumeID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "a b", "é", "a\x00", "a\n", "%2e", strings.Repeat("v", 65)} {
		if ValidVolumeID(id) {
			t.Errorf("%q may stand in names", id)
		}
	}
}
