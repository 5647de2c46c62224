package cinderbackup_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/cinderbackup/cindertest"
)

const one, two = "00000001-0000-4000-8000-000000000000", "00000002-0000-4000-8000-000000000000"

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func made() *cindertest.Made {
	put := func(string, []byte) {}
	full := cindertest.Make(cindertest.Backup{ID: one, At: noon, Name: "evening"}, make([]byte, 9000), put)
	return cindertest.Make(cindertest.Backup{ID: two, At: noon, Name: "morning", Parent: full}, make([]byte, 9000), put)
}

func TestRecordsAreReadAsTheyAreExported(t *testing.T) {
	m := made()
	bare := m.Record(nil)
	asJSON, err := json.Marshal(map[string]string{"backup_service": "cinder.backup.drivers.swift.SwiftBackupDriver", "backup_url": bare})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"bare": bare + "\n", "two bare ones": bare + "\n" + bare, "JSON": string(asJSON), "JSON, twice": string(asJSON) + "\n" + string(asJSON),
	} {
		list, err := cinderbackup.ReadRecords(strings.NewReader(text))
		if err != nil || len(list) != 1+strings.Count(text, "}\n{")+strings.Count(name, "two") {
			t.Fatalf("%s: %+v %v", name, list, err)
		}
		r := list[0]
		if r.ID != uuid.MustParse(two) || r.Parent != uuid.MustParse(one) || r.Prefix.String() != m.Prefix || r.Container != "c" || r.ProjectID != "p" ||
			r.UserID != "u" || r.Name != "morning" || r.SizeGiB != 1 || !r.CreatedAt.Equal(noon) || r.Encrypted {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRecordsThatAreNoneAreRefused(t *testing.T) {
	m := made()
	for name, text := range map[string]string{
		"nothing":           " \n",
		"no base64":         "%%%",
		"base64 of nothing": "aGVsbG8=",
		"JSON without it":   `{"id": 1}`,
		"JSON cut off":      `{"backup_url": "`,
		"no id":             m.Record(map[string]any{"id": "x"}),
		"its own parent":    m.Record(map[string]any{"parent_id": two}),
		"another driver":    m.Record(map[string]any{"service": "cinder.backup.drivers.ceph.CephBackupDriver"}),
		"another volume":    m.Record(map[string]any{"volume_id": one}),
		"another prefix":    m.Record(map[string]any{"service_metadata": "../x"}),
		"a size below zero": m.Record(map[string]any{"size": -1}),
	} {
		if list, err := cinderbackup.ReadRecords(strings.NewReader(text)); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s: %+v %v", name, list, err)
		}
	}
	if list, err := cinderbackup.ReadRecords(strings.NewReader(m.Record(map[string]any{"encryption_key_id": "x"}))); err != nil || !list[0].Encrypted {
		t.Errorf("an encrypted one: %+v %v", list, err)
	}
}
