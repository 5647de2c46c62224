package vendor

import "encoding/json"

// fsRef is a file system as clients name it: the object they were given, or its
// bare guid.
type fsRef struct{ guid, volume string }

// UnmarshalJSON takes an object, a bare guid, or null.
func (f *fsRef) UnmarshalJSON(data []byte) error {
	var object struct {
		GUID   text `json:"guid"`
		Volume text `json:"volume"`
	}
	if data[0] != '{' {
		err := object.GUID.UnmarshalJSON(data)
		*f = fsRef{guid: string(object.GUID)}
		return err
	}
	err := json.Unmarshal(data, &object)
	*f = fsRef{string(object.GUID), string(object.Volume)}
	return err
}

// locationRef is where a backup is, as clients name it: the object they were given, or
// its bare guid.
type locationRef struct {
	guid   string
	backup ref
}

// UnmarshalJSON takes an object, a bare guid, or null.
func (l *locationRef) UnmarshalJSON(data []byte) error {
	var object struct {
		GUID   text `json:"guid"`
		Backup ref  `json:"backup"`
	}
	var err error
	if data[0] == '{' {
		err = json.Unmarshal(data, &object)
	} else {
		err = object.GUID.UnmarshalJSON(data)
	}
	*l = locationRef{string(object.GUID), object.Backup}
	return err
}

// or gives the guid of the location's backup, which is where user interfaces name it, or
// of the one named alone. A location's own guid is its backup's.
func (l locationRef) or(alone ref) string {
	return orText(l.backup.GUID, orText(alone.GUID, l.guid))
}

// projectRef is a project as clients name it: an element of the list of projects, or
// its bare id or name.
type projectRef string

// UnmarshalJSON takes an object, a bare id or name, or null.
func (p *projectRef) UnmarshalJSON(data []byte) error {
	var object struct {
		GUID text `json:"guid"`
		UUID text `json:"uuid"`
		Name text `json:"name"`
	}
	var err error
	if data[0] == '{' {
		err = json.Unmarshal(data, &object)
	} else {
		err = object.GUID.UnmarshalJSON(data)
	}
	*p = projectRef(orText(string(object.GUID), orText(string(object.UUID), string(object.Name))))
	return err
}
