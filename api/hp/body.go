package hp

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/service"
)

var (
	errFormat    = stowage.Errorf(stowage.Invalid, "Incorrect request body format.")
	errMediaType = stowage.Errorf(stowage.Invalid, "Unsupported Content-Type")
	number       = regexp.MustCompile(`^[0-9]{1,18}$`)
	uuid         = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// volumeID is an integer or a UUID, as a string or a number.
type volumeID string

// UnmarshalJSON refuses everything else.
func (v *volumeID) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	if !number.MatchString(text) && !uuid.MatchString(text) {
		return errFormat
	}
	*v = volumeID(strings.ToLower(text))
	return nil
}

type createBody struct {
	Backup struct {
		VolumeID    *volumeID `json:"volume_id"`
		Name        string    `json:"display_name"`
		Description string    `json:"display_description"`
		Container   *string   `json:"container"`
	} `json:"backup"`
}

func readCreate(r *http.Request) (service.BackupRequest, error) {
	var (
		body createBody
		none service.BackupRequest
	)
	if err := readJSON(r, &body, "backup", "volume_id", "display_name", "display_description", "container"); err != nil {
		return none, err
	}
	if body.Backup.VolumeID == nil {
		return none, errFormat
	}
	b := body.Backup
	req := service.BackupRequest{
		VolumeID: string(*b.VolumeID), Name: b.Name, Description: b.Description, Container: stowage.DefaultContainer,
	}
	if b.Container != nil {
		req.Container = *b.Container
	}
	for _, field := range []struct{ name, value string }{{"display_name", b.Name}, {"display_description", b.Description}} {
		if utf8.RuneCountInString(field.value) > 255 {
			return none, stowage.Errorf(stowage.Invalid, "%s has more than 255 characters.", field.name)
		}
	}
	return req, checkContainer(req.Container)
}

// checkContainer holds a name against Swift's rules. "." and ".." are refused
// as well: they would not survive a URL.
func checkContainer(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return stowage.Errorf(stowage.Invalid, "Invalid container: the name %q cannot be used.", name)
	case strings.Contains(name, "/"):
		return stowage.Errorf(stowage.Invalid, "Invalid container: the name contains a slash.")
	case len(name) > 256:
		return stowage.Errorf(stowage.Invalid, "Invalid container: the name has more than 256 bytes.")
	case strings.ContainsRune(name, 0):
		return stowage.Errorf(stowage.Invalid, "Invalid container: the name contains a NUL character.")
	}
	return nil
}

type restoreBody struct {
	Restore struct {
		VolumeID *volumeID `json:"volume_id"`
	} `json:"restore"`
}

// readRestore gives the volume to restore to, empty for a new one.
func readRestore(r *http.Request) (string, error) {
	var body restoreBody
	if err := readJSON(r, &body, "restore", "volume_id"); err != nil {
		return "", err
	}
	if body.Restore.VolumeID == nil {
		return "", nil
	}
	return string(*body.Restore.VolumeID), nil
}

// readJSON reads one JSON object of exactly this form: an envelope, and in it
// no other fields. The media type counts only where it says that the body is
// something else: curl -d says "form".
func readJSON(r *http.Request, into any, envelope string, fields ...string) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil {
		if strings.HasSuffix(kind, "xml") || strings.HasPrefix(kind, "multipart/") {
			return errMediaType
		}
	}
	body, err := api.ReadBody(r)
	if err != nil {
		return err
	}
	// encoding/json takes "Backup" for "backup", and replaces what is no UTF-8.
	var outer, inner map[string]json.RawMessage
	if !utf8.Valid(body) || json.Unmarshal(body, &outer) != nil || !only(outer, envelope) {
		return errFormat
	}
	if json.Unmarshal(outer[envelope], &inner) != nil || inner == nil || !only(inner, fields...) {
		return errFormat
	}
	if err := json.Unmarshal(body, into); err != nil {
		return stowage.Wrap(stowage.Invalid, err, "%s", errFormat.Message)
	}
	return nil
}

// only reports whether an object has none but these keys.
func only(object map[string]json.RawMessage, keys ...string) bool {
	for k := range object {
		if !slices.Contains(keys, k) {
			return false
		}
	}
	return true
}
