package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Attempt is one attempt at a backup: what its objects' names begin with. It
// writes each of its names once.
type Attempt struct {
	Backup uuid.UUID
	Fence  uint64
}

// Compare puts attempts in the order that tables have: by the bytes of the
// UUID, then by fence.
func (a Attempt) Compare(b Attempt) int {
	if c := bytes.Compare(a.Backup[:], b.Backup[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.Fence, b.Fence)
}

// Place names a numbered object of an attempt.
type Place struct {
	Attempt
	Number uint64
}

// Compare is by attempt, then by number.
func (p Place) Compare(q Place) int {
	if c := p.Attempt.Compare(q.Attempt); c != 0 {
		return c
	}
	return cmp.Compare(p.Number, q.Number)
}

// Prefix is what the names of an attempt's objects begin with, and no others.
func Prefix(volumeID string, a Attempt) string {
	return fmt.Sprintf("volume_%s/backup_%s/%08d/", volumeID, a.Backup, a.Fence)
}

// PackName is the name of a pack.
func PackName(volumeID string, p Place) string {
	return fmt.Sprintf("%spack-%08d", Prefix(volumeID, p.Attempt), p.Number)
}

// MapName is the name of a map object.
func MapName(volumeID string, p Place) string {
	return fmt.Sprintf("%smap-%08d", Prefix(volumeID, p.Attempt), p.Number)
}

// RootName is the name of an attempt's root.
func RootName(volumeID string, a Attempt) string { return Prefix(volumeID, a) + "root" }

// ParseRootName reads what RootName made, and nothing else.
func ParseRootName(name string) (volumeID string, a Attempt, ok bool) {
	part := strings.Split(name, "/")
	if len(part) != 4 {
		return "", Attempt{}, false
	}
	volumeID, ok = strings.CutPrefix(part[0], "volume_")
	if !ok || !ValidVolumeID(volumeID) {
		return "", Attempt{}, false
	}
	backup, err := uuid.Parse(strings.TrimPrefix(part[1], "backup_"))
	if err != nil {
		return "", Attempt{}, false
	}
	fence, err := strconv.ParseUint(part[2], 10, 63)
	if err != nil {
		return "", Attempt{}, false
	}
	// UUIDs and numbers can be written in more than one way; one is ours.
	if a = (Attempt{Backup: backup, Fence: fence}); RootName(volumeID, a) != name {
		return "", Attempt{}, false
	}
	return volumeID, a, true
}

// ValidVolumeID reports whether id may stand in names: 1 to 64 of letters,
// digits, '.', '_' and '-', and neither "." nor "..".
func ValidVolumeID(id string) bool {
	if len(id) < 1 || len(id) > 64 || id == "." || id == ".." {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
