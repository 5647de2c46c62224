package cinderbackup

import (
	"encoding/hex"
	"io"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Metadata is what a _metadata object says.
type Metadata struct {
	Prefix            Prefix // of the name it was found under
	Name, Description string
	CreatedAt         time.Time
	Parent            uuid.UUID // Nil: it is a full backup
	Volume            Volume
	Objects           []Object // in the order of their numbers, and of their offsets
}

// Object is a data object.
type Object struct {
	Offset, Length int64 // of the volume's bytes in it
	MD5            [16]byte
	Compression    Compression
}

// End is the first byte of the volume behind the object.
func (o Object) End() int64 { return o.Offset + o.Length }

// MaxStored is more than the object can take in the store.
func (o Object) MaxStored() int64 {
	if o.Compression == None {
		return o.Length
	}
	return o.Length + o.Length/8 + 64<<10
}

const (
	version = "1.0.0"
	// maxVolume is the longest volume there may be.
	maxVolume = 1 << 50
	// maxText is how many characters of names and descriptions are kept.
	maxText = 255
)

// ReadMetadata reads the _metadata object of a backup. Corrupt: it is none, or
// another backup's.
func ReadMetadata(r io.Reader, p Prefix) (*Metadata, error) {
	m := &Metadata{Prefix: p, CreatedAt: p.At}
	j := newReader(r)
	seen := map[string]bool{}
	err := j.object(func(key string) error {
		if seen[key] {
			return corrupt("it has %q twice", clip(key, 64))
		}
		seen[key] = true
		return m.field(j, key)
	})
	if err == nil {
		err = j.end()
	}
	for _, key := range []string{"version", "backup_id", "volume_id", "parent_id", "objects"} {
		if err == nil && !seen[key] {
			err = corrupt("it has no %q", key)
		}
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, wrap(err, p.Metadata())
	}
	return m, nil
}

// wrap says in which object something is wrong; what says nothing of the
// object stays as it is.
func wrap(err error, name string) error {
	if stowage.CodeOf(err) != stowage.Corrupt {
		return err
	}
	return stowage.Wrap(stowage.Corrupt, err, "%s: %s", name, stowage.MessageOf(err))
}

func (m *Metadata) field(j *reader, key string) error {
	switch key {
	case "version":
		return j.is("version", version)
	case "backup_id":
		return j.is("backup_id", m.Prefix.BackupID.String())
	case "volume_id":
		return j.is("volume_id", m.Prefix.VolumeID)
	case "backup_name":
		return j.textInto(&m.Name)
	case "backup_description":
		return j.textInto(&m.Description)
	case "created_at":
		return m.created(j)
	case "parent_id":
		return m.parent(j)
	case "volume_meta":
		text, err := j.text()
		if err != nil {
			return err
		}
		m.Volume, err = parseVolume(text, m.Prefix.VolumeID)
		return err
	case "objects":
		return j.array(func() error { return m.object(j) })
	}
	return j.skip()
}

// created reads the time of the backup's row. One that cannot be read is not
// missed: the prefix has a time, too.
func (m *Metadata) created(j *reader) error {
	text, err := j.text()
	if err != nil {
		return err
	}
	if at, ok := ParseTime(text); ok {
		m.CreatedAt = at
	}
	return nil
}

// ParseTime reads a time as Python or Cinder's records write it.
func ParseTime(text string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02 15:04:05.999999Z07:00", "2006-01-02 15:04:05.999999", time.RFC3339Nano, "2006-01-02T15:04:05.999999"} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() > 1970 && at.Year() < 2200 {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

func (m *Metadata) parent(j *reader) error {
	text, err := j.text()
	if err != nil || text == "" {
		return err
	}
	if m.Parent, err = uuid.Parse(text); err != nil || m.Parent == uuid.Nil || m.Parent.String() != text {
		return corrupt("its parent is %q", clip(text, 64))
	}
	if m.Parent == m.Prefix.BackupID {
		return corrupt("it is its own parent")
	}
	return nil
}

// object reads one entry: a map with the object's name for its only key. Names
// must be those that cinder-backup gives, in its order, so none can come twice
// or lead elsewhere.
func (m *Metadata) object(j *reader) error {
	if len(m.Objects) >= math.MaxInt32 {
		return corrupt("it lists too many objects")
	}
	want := m.Prefix.Object(len(m.Objects) + 1)
	entries := 0
	err := j.object(func(name string) error {
		if entries++; entries > 1 || name != want {
			return corrupt("where it should list %s, it lists %q", want, clip(name, 1024))
		}
		o, err := j.extent()
		if err != nil {
			return err
		}
		m.Objects = append(m.Objects, o)
		return nil
	})
	if err == nil && entries == 0 {
		err = corrupt("it lists an object without a name")
	}
	return err
}

// extent reads what is said of one object.
func (j *reader) extent() (o Object, err error) {
	var have int
	err = j.object(func(key string) error {
		var err error
		switch key {
		case "offset":
			have |= 1
			o.Offset, err = j.number(0, maxVolume)
		case "length":
			have |= 2
			o.Length, err = j.number(1, maxVolume)
		case "compression":
			have |= 4
			o.Compression, err = j.compression()
		case "md5":
			have |= 8
			err = j.hash(o.MD5[:])
		default:
			err = j.skip()
		}
		return err
	})
	if err == nil && (have != 15 || o.Length > maxVolume-o.Offset) {
		err = corrupt("an object has no offset, length, compression and MD5 that go together")
	}
	return o, err
}

func (j *reader) compression() (Compression, error) {
	text, err := j.text()
	if err != nil {
		return None, err
	}
	c, ok := compressions[text]
	if !ok {
		return None, corrupt("there is no compression %q", clip(text, 64))
	}
	return c, nil
}

// hash reads a digest in hex.
func (j *reader) hash(to []byte) error {
	text, err := j.text()
	if err != nil {
		return err
	}
	if len(text) != 2*len(to) {
		return corrupt("%q is no digest of %d bytes", clip(text, 128), len(to))
	}
	if _, err := hex.Decode(to, []byte(text)); err != nil {
		return corrupt("%q is no digest", clip(text, 128))
	}
	return nil
}

// check holds the objects against one another: a full backup's are the volume
// without a gap, an increment's do not overlap.
func (m *Metadata) check() error {
	end := int64(0)
	for i, o := range m.Objects {
		if o.Offset < end {
			return corrupt("object %d begins at %d, before the end of the one before", i+1, o.Offset)
		}
		if m.Parent == uuid.Nil && o.Offset != end {
			return corrupt("nothing has the bytes from %d to %d", end, o.Offset)
		}
		end = o.End()
	}
	if m.Parent == uuid.Nil && end == 0 {
		return corrupt("it is a full backup of nothing")
	}
	return nil
}

// clip gives the first n characters, in memory of their own.
func clip(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			s = s[:i]
			break
		}
	}
	return strings.Clone(s)
}
