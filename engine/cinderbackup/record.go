package cinderbackup

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Record is what Cinder's database says of a backup, as "openstack volume
// backup record export" gives it. Of it, too, only what is named here is looked
// at.
type Record struct {
	ID, Parent        uuid.UUID // Parent: Nil if it is a full backup
	Prefix            Prefix
	Container         string
	ProjectID, UserID string
	Name, Description string
	SizeGiB           int64
	CreatedAt         time.Time // zero: it does not say
	Encrypted         bool
}

type recordJSON struct {
	ID              string `json:"id"`
	Parent          string `json:"parent_id"`
	VolumeID        string `json:"volume_id"`
	Container       string `json:"container"`
	ServiceMetadata string `json:"service_metadata"`
	Service         string `json:"service"`
	ProjectID       string `json:"project_id"`
	UserID          string `json:"user_id"`
	Name            string `json:"display_name"`
	Description     string `json:"display_description"`
	Size            int64  `json:"size"`
	CreatedAt       string `json:"created_at"`
	EncryptionKey   string `json:"encryption_key_id"`
}

const (
	// maxRecords and maxRecordBytes bound what is read of records.
	maxRecords     = 10_000
	maxRecordBytes = 64 << 20
	// swiftService is what the drivers call themselves whose format this is.
	swiftService = "cinder.backup.drivers.swift"
)

// ReadRecords reads one record or more: each either the bare backup_url or the
// JSON object that the command prints with -f json.
func ReadRecords(r io.Reader) ([]Record, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRecordBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRecordBytes {
		return nil, stowage.Errorf(stowage.OverLimit, "the records have more than %d bytes", maxRecordBytes)
	}
	urls, err := recordURLs(data)
	if err != nil {
		return nil, err
	}
	if len(urls) == 0 || len(urls) > maxRecords {
		return nil, stowage.Errorf(stowage.Invalid, "there are %d records", len(urls))
	}
	var all []Record
	for _, url := range urls {
		one, err := parseRecord(url)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func recordURLs(data []byte) (urls []string, err error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		return strings.Fields(string(data)), nil
	}
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var one struct {
			URL string `json:"backup_url"`
		}
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return urls, nil
		case err != nil:
			return nil, stowage.Wrap(stowage.Invalid, err, "the records are no JSON as the export prints it")
		}
		urls = append(urls, one.URL)
	}
}

func parseRecord(url string) (r Record, err error) {
	invalid := func(format string, args ...any) (Record, error) {
		return Record{}, stowage.Errorf(stowage.Invalid, format, args...)
	}
	data, err := base64.StdEncoding.DecodeString(url)
	if err != nil {
		return invalid("a record is no base64: %.40q...", url)
	}
	var j recordJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return Record{}, stowage.Wrap(stowage.Invalid, err, "a record is not the JSON of one")
	}
	if r.ID, err = uuid.Parse(j.ID); err != nil || r.ID.String() != j.ID || r.ID == uuid.Nil {
		return invalid("a record has the id %q", clip(j.ID, 64))
	}
	if j.Parent != "" {
		if r.Parent, err = uuid.Parse(j.Parent); err != nil || r.Parent == r.ID {
			return invalid("record %s has the parent %q", r.ID, clip(j.Parent, 64))
		}
	}
	if !strings.HasPrefix(j.Service, swiftService) {
		return invalid("record %s is of the driver %q; only those of Cinder's Swift driver can be taken over", r.ID, clip(j.Service, 128))
	}
	var ok bool
	if r.Prefix, ok = ParsePrefix(j.ServiceMetadata); !ok || r.Prefix.VolumeID != j.VolumeID {
		return invalid("record %s of volume %q has the prefix %q", r.ID, clip(j.VolumeID, 64), clip(j.ServiceMetadata, 200))
	}
	if j.Size < 0 || j.Size > maxSizeGiB {
		return invalid("record %s has a size of %d GiB", r.ID, j.Size)
	}
	r.Container, r.ProjectID, r.SizeGiB = j.Container, j.ProjectID, j.Size
	if len(j.UserID) <= 64 && plain(j.UserID) {
		r.UserID = j.UserID
	}
	r.Name, r.Description, r.Encrypted = clip(j.Name, maxText), clip(j.Description, maxText), j.EncryptionKey != ""
	if at, ok := ParseTime(j.CreatedAt); ok {
		r.CreatedAt = at
	}
	return r, nil
}
