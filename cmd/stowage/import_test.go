package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/engine/cinderbackup/cindertest"
)

// cinders writes a full backup and an increment as cinder-backup does, and a
// backup of an encrypted volume, into a new data directory.
func cinders(t *testing.T) (data string, made []*cindertest.Made) {
	t.Helper()
	data = t.TempDir()
	for _, name := range []string{"objects", "volumes"} {
		if err := os.Mkdir(filepath.Join(data, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	stores, err := dir.Open(dir.Options{Root: filepath.Join(data, "objects")})
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	if err := stores.CreateContainer(t.Context(), "demo", "night"); err != nil {
		t.Fatal(err)
	}
	store, err := stores.Open(t.Context(), "demo", "night")
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		if _, err := store.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	var parent *cindertest.Made
	volume := bytes.Repeat([]byte("evening \x1b[31m"), 30_000)
	for i := range 2 {
		clear(volume[i*100_000 : i*100_000+70_000])
		parent = cindertest.Make(cindertest.Backup{
			ID: fmt.Sprintf("0000000%d-0000-4000-8000-000000000000", i), Parent: parent, Name: "evening \x1b[31m", Compression: "zlib",
			At: time.Date(2026, 1, 1+i, 12, 0, 0, 0, time.UTC),
		}, volume, put)
		made = append(made, parent)
	}
	return data, append(made, cindertest.Make(cindertest.Backup{
		ID: "00000009-0000-4000-8000-000000000000", VolumeID: "7b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60", Key: "a key", At: time.Date(2026, 1, 9, 12, 0, 0, 0, time.UTC),
	}, volume, put))
}

func TestAContainerOfCinderBackupsIsListedAndRestored(t *testing.T) {
	data, made := cinders(t)
	list, good := scanned(t, data, "--format", "cinder-backup", "--verify", "deep")
	if good || len(list) != 3 || list[0].State != "sound" || list[1].State != "sound" || !list[1].Incremental || list[2].State != "locked" ||
		!strings.Contains(list[2].Why, "key manager") || list[1].VolumeBytes != int64(len(made[1].Data)) {
		t.Fatalf("the scan finds %+v", list)
	}
	if list, good := scanned(t, data); !good || len(list) != 0 {
		t.Errorf("of ours the scan finds %+v", list)
	}
	if out, err := tool(t, data, "catalog scan --format cinder-backup", "--volume", cindertest.Volume); err != nil || strings.Contains(out, "\x1b") || !strings.Contains(out, "incremental") {
		t.Errorf("the scan says %q: %v", out, err)
	}
	image := filepath.Join(t.TempDir(), "image")
	for i := range 2 {
		if out, err := tool(t, data, "restore --force --format cinder-backup", "--backup", made[i].ID, "--to", image); err != nil {
			t.Fatalf("restore: %v\n%s", err, out)
		}
		if got, err := os.ReadFile(image); err != nil || !bytes.Equal(got, made[i].Data) {
			t.Errorf("the image of backup %d is not equal: %v", i, err)
		}
	}
	if out, err := tool(t, data, "restore --force --format cinder-backup", "--backup", made[2].ID, "--to", image); err == nil || !strings.Contains(out, "key manager") {
		t.Errorf("restore of an encrypted volume: %v\n%s", err, out)
	}
	for _, wrong := range [][]string{{"--format", "tar"}, {"--take"}, {"--record", "x"}} {
		if out, err := tool(t, data, "catalog import", wrong...); err == nil || !strings.Contains(out, "--format") {
			t.Errorf("import %v: %v\n%s", wrong, err, out)
		}
	}
}

func TestAContainerOfCinderBackupsIsImported(t *testing.T) {
	data, made := cinders(t)
	const command = "catalog import --format cinder-backup"
	if out, err := tool(t, data, command, "--take", "--volume", cindertest.Volume, "--backup", made[1].ID); err == nil || !strings.Contains(out, "not in the database") {
		t.Errorf("to take an increment alone: %v\n%s", err, out)
	}
	record := filepath.Join(t.TempDir(), "record")
	text := made[0].Record(map[string]any{"container": "night", "project_id": "demo", "display_name": "by its record"})
	if err := os.WriteFile(record, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, data, command, "--record", record); err != nil || !strings.Contains(out, "1 imported, 0 there already, 0 refused") {
		t.Errorf("by record: %v\n%s", err, out)
	}
	out, err := tool(t, data, command, "--take")
	if err == nil || !strings.Contains(out, "0 imported, 2 there already, 1 refused") || !strings.Contains(out, "key manager") ||
		!strings.Contains(out, "2 backups are Stowage's now") || !strings.Contains(out, "7b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60 is not taken") {
		t.Errorf("all: %v\n%s", err, out)
	}
	r := start(t, data)
	if _, answer := r.call(http.MethodGet, "/2", ""); answer["backup"].(map[string]any)["display_name"] != "by its record" {
		t.Errorf("it is shown as %v", answer)
	}
	target := filepath.Join(data, "volumes", "volume-10")
	for i, id := range []string{"2", "1"} {
		if err := os.WriteFile(target, bytes.Repeat([]byte{7}, len(made[i].Data)), 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, "the manager is up", func() bool {
			code, answer := r.call(http.MethodPost, "/"+id+"/restore", `{"restore": {"volume_id": 10}}`)
			if code != 200 && code != 503 {
				t.Fatalf("restore: %d %v", code, answer)
			}
			return code == 200
		})
		r.await(id, "available")
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, made[i].Data) {
			t.Errorf("backup %s does not come back: %v", id, err)
		}
		if code, _ := r.call(http.MethodDelete, "/"+id, ""); code != 202 {
			t.Fatalf("delete: %d", code)
		}
		r.await(id, "")
	}
	r.interrupt()
	if list, _ := scanned(t, data, "--format", "cinder-backup"); len(list) != 1 || list[0].State != "locked" {
		t.Errorf("left in the container: %+v", list)
	}
}
