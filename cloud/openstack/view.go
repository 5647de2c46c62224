package openstack

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/stowage/stowage/cloud"
)

// errRubbish means that an answer of status 200 was not one to the question.
var errRubbish = errors.New("the answer is not what was asked for")

// volumeBody is a volume in Cinder's answers. gophercloud's struct lacks what
// only administrators see, and fails on dates we do not need.
type volumeBody struct {
	ID               string       `json:"id"`
	Name             string       `json:"name"`
	Description      string       `json:"description"`
	Status           string       `json:"status"`
	Size             int64        `json:"size"`
	Type             string       `json:"volume_type"`
	AvailabilityZone string       `json:"availability_zone"`
	Bootable         looseBool    `json:"bootable"`
	Encrypted        looseBool    `json:"encrypted"`
	Multiattach      looseBool    `json:"multiattach"`
	Metadata         looseMap     `json:"metadata"`
	ImageMetadata    looseMap     `json:"volume_image_metadata"`
	Attachments      []attachedTo `json:"attachments"`
	Created          looseTime    `json:"created_at"`
	ProjectID        string       `json:"os-vol-tenant-attr:tenant_id"`
	Host             string       `json:"os-vol-host-attr:host"`
	NameID           string       `json:"os-vol-mig-status-attr:name_id"`
	MigrationStatus  string       `json:"os-vol-mig-status-attr:migstat"`
}

// check proves that this is the volume that was asked for; an empty id takes any.
func (b *volumeBody) check(id string) error {
	if b.ID == "" || b.Status == "" || (id != "" && !strings.EqualFold(b.ID, id)) {
		return errRubbish
	}
	return nil
}

func (b *volumeBody) volume() cloud.Volume {
	meta := maps.Clone(b.Metadata)
	// Cinder mixes these two of its own in; they are not the user's, and it
	// is not for us to set them.
	delete(meta, "readonly")
	delete(meta, "attached_mode")
	vol := cloud.Volume{
		ID:               b.ID,
		ProjectID:        b.ProjectID,
		Name:             b.Name,
		Description:      b.Description,
		Status:           b.Status,
		SizeGiB:          b.Size,
		Type:             b.Type,
		AvailabilityZone: b.AvailabilityZone,
		Bootable:         bool(b.Bootable),
		Encrypted:        bool(b.Encrypted),
		Multiattach:      bool(b.Multiattach),
		Metadata:         meta,
		ImageMetadata:    b.ImageMetadata,
		Attachments:      len(b.Attachments),
		Host:             b.Host,
		NameID:           b.NameID,
		MigrationStatus:  b.MigrationStatus,
	}
	vol.CreatedAt = b.Created.Time
	if len(b.Attachments) > 0 {
		vol.ServerID, vol.Device = b.Attachments[0].ServerID, b.Attachments[0].Device
	}
	return vol
}

// attachedTo is a server in what Cinder tells of a volume.
type attachedTo struct {
	ServerID string `json:"server_id"`
	Device   string `json:"device"`
}

// looseTime takes the forms that services write a time in, with or without
// parts of a second and Z; all are UTC. What is no time is none: nothing depends
// on it.
type looseTime struct{ time.Time }

func (l *looseTime) UnmarshalJSON(raw []byte) error {
	for _, form := range []string{"2006-01-02T15:04:05.999999", time.RFC3339Nano} {
		if t, err := time.Parse(form, strings.Trim(string(raw), `"`)); err == nil {
			l.Time = t.UTC()
			return nil
		}
	}
	return nil
}

// looseBool takes true as well as "true": Cinder writes both.
type looseBool bool

func (l *looseBool) UnmarshalJSON(raw []byte) error {
	*l = looseBool(strings.EqualFold(strings.Trim(string(raw), `"`), "true"))
	return nil
}

// looseMap takes values that are not text as the text they are written in.
type looseMap map[string]string

func (l *looseMap) UnmarshalJSON(raw []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return err
	}
	if values == nil {
		return nil
	}
	*l = make(looseMap, len(values))
	for k, v := range values {
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		(*l)[k] = text
	}
	return nil
}

// pythonDict writes {"key": "value"} as Cinder wants it in a query: it reads a
// Python literal, and a JSON object of strings is one.
func pythonDict(key, value string) string {
	raw, err := json.Marshal(map[string]string{key: value})
	if err != nil { // not with strings
		panic(err)
	}
	return string(raw)
}
