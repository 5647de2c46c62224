// Package cinderbackup reads what Cinder's own backup service leaves in a Swift
// container: the format of its chunked driver, version 1.0.0, the only one there
// ever was. It is pure; who reads the objects and writes the volume is the
// engine.
//
// A backup is a run of data objects, numbered from 1 without a gap, and two
// JSON objects: _metadata lists the data objects, and _sha256file has the hash
// of every block of the volume. A full backup's data objects are the volume from
// beginning to end, an increment's are what changed since its parent. So a
// restore needs a chain, from the backup down to a full one:
//
//	_metadata of each -> Chain -> Image: which bytes come from which object -> Get -> Decompress -> MD5
//
// Everything here was written where tenants can write. What is read is held
// against the name it was found under, every number against its bounds, and the
// names of objects are made from a prefix and a number: none that stands in a
// file is ever followed.
package cinderbackup

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Prefix is what the names of a backup's objects begin with.
type Prefix struct {
	VolumeID string    // a UUID, as Cinder writes it
	At       time.Time // when the backup began, to the second
	Zone     string    // availability zone of the service that made it
	BackupID uuid.UUID
}

const (
	volumePart   = "volume_"
	zonePart     = "/az_"
	backupPart   = "_backup_"
	metadataPart = "_metadata"
	hashesPart   = "_sha256file"

	stampLayout = "20060102150405"
	uuidLen     = 36
	// maxPrefix leaves room in a name of Swift for the longest suffix.
	maxPrefix = 1000
)

// String gives the prefix as it stands in names.
func (p Prefix) String() string {
	return volumePart + p.VolumeID + "/" + p.At.UTC().Format(stampLayout) + zonePart + p.Zone + backupPart + p.BackupID.String()
}

// Object is the name of a data object. They are numbered from 1.
func (p Prefix) Object(number int) string { return fmt.Sprintf("%s-%05d", p, number) }

// Metadata is the name of the object that is written last, and makes the backup one.
func (p Prefix) Metadata() string { return p.String() + metadataPart }

// Hashes is the name of the object with the hash of every block.
func (p Prefix) Hashes() string { return p.String() + hashesPart }

// VolumePrefix is what the names of all backups of a volume begin with.
func VolumePrefix(volumeID string) string { return volumePart + volumeID + "/" }

// ParsePrefix reads what String gives, and nothing else.
func ParsePrefix(text string) (p Prefix, ok bool) {
	rest, ok := strings.CutPrefix(text, volumePart)
	if !ok || len(text) > maxPrefix || len(rest) < uuidLen+1+len(stampLayout) {
		return p, false
	}
	volume, stamp := rest[:uuidLen], rest[uuidLen+1:uuidLen+1+len(stampLayout)]
	zone, ok := strings.CutPrefix(rest[uuidLen+1+len(stampLayout):], zonePart)
	if !ok || len(zone) < len(backupPart)+uuidLen {
		return p, false
	}
	backup := zone[len(zone)-uuidLen:]
	if zone, ok = strings.CutSuffix(zone[:len(zone)-uuidLen], backupPart); !ok || !ValidVolumeID(volume) || !plain(zone) {
		return p, false
	}
	at, err := time.Parse(stampLayout, stamp)
	if err != nil {
		return p, false
	}
	id, err := uuid.Parse(backup)
	if err != nil || id == uuid.Nil {
		return p, false
	}
	// UUIDs and times can be written in more than one way; one is Cinder's.
	p = Prefix{VolumeID: strings.Clone(volume), At: at, Zone: strings.Clone(zone), BackupID: id}
	return p, p.String() == text
}

// ParseMetadataName tells the name of a _metadata from all others.
func ParseMetadataName(name string) (Prefix, bool) {
	text, ok := strings.CutSuffix(name, metadataPart)
	if !ok {
		return Prefix{}, false
	}
	return ParsePrefix(text)
}

// ValidVolumeID reports whether a text is a UUID as Cinder writes volumes' ids.
func ValidVolumeID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}

// plain reports whether all of a text can be seen.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// corrupt is the error for what is not of the format.
func corrupt(format string, args ...any) error {
	return stowage.Errorf(stowage.Corrupt, format, args...)
}
