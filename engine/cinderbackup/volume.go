package cinderbackup

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/stowage/stowage"
)

// Volume is what is taken over of a backup's volume_meta. There is more in it,
// among it secrets of the storage's; what is not named here is not looked at.
type Volume struct {
	stowage.VolumeRecord
	SizeGiB   int64
	UserID    string
	Encrypted bool
}

const (
	// maxSizeGiB bounds a size that a tenant may have written.
	maxSizeGiB = maxVolume / stowage.GiB
	// maxPairs and maxValue bound what is kept of metadata.
	maxPairs, maxValue = 256, 4096
)

// parseVolume reads volume_meta, itself a text with JSON in it; "" is none. Of
// the versions 1 and 2 the parts wanted here are the same.
func parseVolume(text, volumeID string) (v Volume, err error) {
	v.ID = volumeID
	if text == "" {
		return v, nil
	}
	j := newReader(strings.NewReader(text))
	err = j.object(func(key string) error {
		switch key {
		case "volume-base-metadata":
			return j.object(func(key string) error { return v.base(j, key) })
		case "volume-metadata":
			return j.pairs(&v.Metadata)
		case "volume-glance-metadata":
			return j.pairs(&v.ImageMetadata)
		}
		return j.skip()
	})
	if err == nil {
		err = j.end()
	}
	if err != nil {
		return v, wrap(err, "its volume_meta")
	}
	return v, nil
}

func (v *Volume) base(j *reader, key string) error {
	switch key {
	case "id":
		return j.is("volume", v.ID)
	case "display_name":
		return j.textInto(&v.Name)
	case "display_description":
		return j.textInto(&v.Description)
	case "volume_type_id":
		return j.textInto(&v.Type)
	case "availability_zone":
		return j.textInto(&v.AvailabilityZone)
	case "user_id":
		return j.idInto(&v.UserID)
	case "encryption_key_id":
		key, err := j.text()
		v.Encrypted = key != ""
		return err
	case "bootable":
		set, err := j.truth()
		v.Bootable = set
		return err
	case "size":
		size, err := j.number(0, maxSizeGiB)
		v.SizeGiB = size
		return err
	}
	return j.skip()
}

// truth reads a truth; null is none. Other things are none either: Cinder has
// had 0 and 1 here.
func (j *reader) truth() (bool, error) {
	t, err := j.token()
	if err != nil {
		return false, err
	}
	switch t := t.(type) {
	case bool:
		return t, nil
	case string:
		return strings.EqualFold(t, "true") || t == "1", nil
	case json.Number:
		return t == "1", nil
	case nil:
		return false, nil
	}
	return false, corrupt("where it should have a truth, it has something else")
}

// idInto reads an id of Keystone's. What cannot be one is left out.
func (j *reader) idInto(to *string) error {
	text, err := j.text()
	if len(text) <= 64 && plain(text) && len(text) == utf8.RuneCountInString(text) {
		*to = strings.Clone(text)
	}
	return err
}

// pairs reads a map of texts; what in it is no text is left out.
func (j *reader) pairs(to *map[string]string) error {
	all := map[string]string{}
	err := j.object(func(key string) error {
		t, err := j.token()
		if err != nil {
			return err
		}
		if _, nested := t.(json.Delim); nested {
			return corrupt("its metadata %q is no text", clip(key, 64))
		}
		value, ok := t.(string)
		if ok && len(all) < maxPairs && len(key) <= maxText && len(value) <= maxValue {
			all[strings.Clone(key)] = strings.Clone(value)
		}
		return nil
	})
	if len(all) > 0 {
		*to = all
	}
	return err
}
