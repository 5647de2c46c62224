package lvm

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	// maxName is what the contract allows.
	maxName = 100
	// maxDevice is the length of a device-mapper name, without what lvm2 adds
	// to those of its layers ("-real", "-cow", "-tpool").
	maxDevice = 127 - 6
)

// Tags say whose snapshot an LV is. LVM allows all characters of names in them.
const (
	tagOurs     = "stowage.inflight" // until it is kept
	tagBase     = "stowage.base"     // from then on
	tagVolume   = "stowage.volume="
	tagSnapshot = "stowage.snapshot="
	tagOrigin   = "stowage.origin="
)

// lvName gives the name of the LV that is the snapshot of this name of this
// volume. Names of LVs are one for a whole volume group, so the volume is in
// it; as a hash, since a device's name must have room for it. A name that LVM
// keeps for itself, or that is too long, is hashed too.
func lvName(group, volume, name string) string {
	sum := sha256.Sum256([]byte(volume + "/" + name))
	hash := hex.EncodeToString(sum[:])
	readable := name + "." + hash[:10]
	if reserved(readable) || len(deviceName(group, readable)) > maxDevice {
		return "stowage." + hash[:32]
	}
	return readable
}

// reserved are the names that LVM takes for its own, see lvm(8).
func reserved(name string) bool {
	for _, prefix := range []string{"snapshot", "pvmove"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, part := range []string{
		"_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_iorig", "_imeta", "_mimage", "_mlog", "_pmspare", "_rimage",
		"_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// deviceName is what device-mapper calls an LV: dashes within are doubled.
func deviceName(group, lv string) string { return double(group) + "-" + double(lv) }

func double(name string) string { return strings.ReplaceAll(name, "-", "--") }

// validName allows what Cinder and we make names of, and nothing that means
// anything to a command, in a selection or in a path.
func validName(name string) bool {
	return name != "" && len(name) <= maxName && alnum(rune(name[0])) &&
		strings.IndexFunc(name, func(r rune) bool { return !alnum(r) && !strings.ContainsRune("._-", r) }) < 0
}

// validGroup allows the names LVM allows.
func validGroup(name string) bool {
	return name != "" && len(name) <= maxName && name[0] != '-' && name != "." && name != ".." &&
		strings.IndexFunc(name, func(r rune) bool { return !alnum(r) && !strings.ContainsRune("._-+", r) }) < 0
}

func alnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// snapID is what Snapshot.ID says: the uuids of two LVs.
type snapID struct{ origin, lv string }

func (id snapID) String() string { return id.origin + "/" + id.lv }

// parseID reads an ID; only one that String writes is one.
func parseID(text string) (snapID, bool) {
	origin, lv, _ := strings.Cut(text, "/")
	return snapID{origin, lv}, validUUID(origin) && validUUID(lv)
}

// validUUID: LVM writes 32 letters and digits in groups of 6-4-4-4-4-4-6.
func validUUID(text string) bool {
	if len(text) != 38 {
		return false
	}
	for i, r := range text {
		dash := i == 6 || i == 11 || i == 16 || i == 21 || i == 26 || i == 31
		if dash != (r == '-') || !dash && !alnum(r) {
			return false
		}
	}
	return true
}
