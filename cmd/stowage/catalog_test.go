package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lostBase makes two backups of volume 9, a full one and an increment, ends the
// standalone and loses its database. It gives the volume as it was each time.
func lostBase(t *testing.T) (data string, was [2][]byte) {
	t.Helper()
	data = t.TempDir()
	r := start(t, data)
	volume := make([]byte, 8<<20+4096)
	rand.NewChaCha8([32]byte{9}).Read(volume[:3<<20])
	for i := range was {
		copy(volume[2<<20:], bytes.Repeat([]byte{byte(i), 7}, 300_000))
		was[i] = bytes.Clone(volume)
		if err := os.WriteFile(filepath.Join(data, "volumes", "volume-9"), volume, 0o600); err != nil {
			t.Fatal(err)
		}
		r.backUp(string(rune('1' + i)))
	}
	r.interrupt()
	for _, name := range []string{"stowage.sqlite", "stowage.sqlite-wal", "stowage.sqlite-shm"} {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	return data, was
}

// backUp makes a backup of volume 9, which gets this id.
func (r *running) backUp(id string) {
	r.t.Helper()
	until(r.t, "the manager is up", func() bool {
		code, answer := r.call(http.MethodPost, "", `{"backup": {"volume_id": 9, "container": "night", "display_name": "evening \u001b[31m"}}`)
		if code != 200 && code != 503 {
			r.t.Fatalf("create: %d %v", code, answer)
		}
		return code == 200
	})
	r.await(id, "available")
}

// tool runs a command on the container.
func tool(t *testing.T, data, command string, more ...string) (string, error) {
	t.Helper()
	args := append(strings.Fields(command), "--project", "demo", "--container", "night", "--data-dir", data)
	out, err := exec.Command(program, append(args, more...)...).CombinedOutput()
	return string(out), err
}

// scanned gives what a scan lists, and whether it found everything well.
func scanned(t *testing.T, data string, more ...string) ([]listed, bool) {
	t.Helper()
	args := append([]string{"catalog", "scan", "--json", "--project", "demo", "--container", "night", "--data-dir", data}, more...)
	out, err := exec.Command(program, args...).Output()
	var list []listed
	for line := range strings.Lines(string(out)) {
		var l listed
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, l)
	}
	return list, err == nil
}

func TestAContainerAloneIsEnough(t *testing.T) {
	data, was := lostBase(t)
	list, good := scanned(t, data, "--verify", "deep")
	if !good || len(list) != 2 || list[0].Incremental || !list[1].Incremental || !list[0].Sealed || list[1].State != "sound" || list[1].Volume != "9" {
		t.Fatalf("the scan finds %+v", list)
	}
	if out, err := tool(t, data, "catalog scan"); err != nil || !strings.Contains(out, `"evening \x1b[31m"`) || strings.Contains(out, "\x1b") {
		t.Errorf("the scan ended with %v and says\n%q", err, out)
	}
	image := filepath.Join(t.TempDir(), "image")
	for i, l := range list {
		more := []string{"--backup", l.Backup.String(), "--to", image}
		if i == 1 {
			if out, err := tool(t, data, "restore", more...); err == nil || !strings.Contains(out, "--force") {
				t.Errorf("it writes over a file: %v\n%s", err, out)
			}
			more = append(more, "--force")
		}
		if out, err := tool(t, data, "restore", more...); err != nil {
			t.Fatalf("restore: %v\n%s", err, out)
		}
		if got, err := os.ReadFile(image); err != nil || !bytes.Equal(got, was[i]) {
			t.Errorf("the image of backup %d is not equal: %v", i, err)
		}
		if info, err := os.Stat(image); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the image: %v %v", info, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(image)); err != nil || len(left) != 1 {
		t.Errorf("beside the image: %v %v", left, err)
	}
}

func TestALostDatabaseIsMadeAgain(t *testing.T) {
	data, was := lostBase(t)
	if out, err := tool(t, data, "catalog import"); err != nil || !strings.Contains(out, "2 imported, 0 there already, 0 refused") {
		t.Fatalf("import: %v\n%s", err, out)
	}
	if out, err := tool(t, data, "catalog import"); err != nil || !strings.Contains(out, "0 imported, 2 there already") {
		t.Errorf("import again: %v\n%s", err, out)
	}
	r := start(t, data)
	if out, err := tool(t, data, "catalog import"); err == nil || !strings.Contains(out, "another stowage") {
		t.Errorf("import beside a manager: %v\n%s", err, out)
	}
	for i, id := range []string{"1", "2"} {
		code, answer := r.call(http.MethodGet, "/"+id, "")
		b, _ := answer["backup"].(map[string]any)
		if code != 200 || b["status"] != "available" || b["is_incremental"] != (i == 1) || b["display_name"] != "evening \x1b[31m" {
			t.Errorf("backup %s: %d %v", id, code, answer)
		}
	}
	// The next one goes on from the last, and the first can go.
	r.backUp("3")
	if _, answer := r.call(http.MethodGet, "/3", ""); answer["backup"].(map[string]any)["is_incremental"] != true {
		t.Errorf("the third backup: %v", answer)
	}
	if code, _ := r.call(http.MethodDelete, "/1", ""); code != 202 {
		t.Fatalf("delete: %d", code)
	}
	r.await("1", "")
	target := filepath.Join(data, "volumes", "volume-10")
	for _, id := range []string{"2", "3"} {
		if err := os.WriteFile(target, make([]byte, len(was[1])), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, answer := r.call(http.MethodPost, "/"+id+"/restore", `{"restore": {"volume_id": 10}}`); code != 200 {
			t.Fatalf("restore: %d %v", code, answer)
		}
		r.await(id, "available")
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, was[1]) {
			t.Errorf("backup %s does not come back: %v", id, err)
		}
	}
	r.interrupt()
}

func TestWhatIsDamagedIsNamedAndNotImported(t *testing.T) {
	data, was := lostBase(t)
	list, _ := scanned(t, data)
	if len(list) != 2 {
		t.Fatalf("the scan finds %+v", list)
	}
	// The increment's pack is gone, so the full one is well.
	objects := filepath.Join(data, "objects", "demo", "night")
	packs, err := filepath.Glob(filepath.Join(objects, "volume_9", "backup_"+list[1].Backup.String(), "*", "pack-*"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("packs: %v %v", packs, err)
	}
	if err := os.Remove(packs[0]); err != nil {
		t.Fatal(err)
	}
	if got, good := scanned(t, data); !good || len(got) != 2 {
		t.Errorf("the scan that does not look finds %+v", got)
	}
	got, good := scanned(t, data, "--verify", "quick")
	if good || len(got) != 2 || got[0].State != "sound" || got[1].State != "damaged" || !strings.Contains(got[1].Damages[0].Object, "/pack-") {
		t.Errorf("the scan finds %+v", got)
	}
	image := filepath.Join(t.TempDir(), "image")
	if out, err := tool(t, data, "restore", "--backup", list[1].Backup.String(), "--to", image); err == nil || !strings.Contains(out, "/pack-") {
		t.Errorf("restore: %v\n%s", err, out)
	}
	if _, err := os.Stat(image); err == nil {
		t.Error("a restore that failed leaves its file")
	}
	if out, err := tool(t, data, "catalog import"); err == nil || !strings.Contains(out, "1 imported, 0 there already, 1 refused") || !strings.Contains(out, "/pack-") {
		t.Errorf("import: %v\n%s", err, out)
	}

	// A root that is none does not stop the scan.
	root := filepath.Join(objects, filepath.FromSlash(list[1].Root)+".object")
	if err := os.WriteFile(root, []byte("\x1b]0;gotcha\x07"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, good = scanned(t, data); good || len(got) != 2 || got[0].State != "readable" || got[1].State != "damaged" || got[1].Why == "" {
		t.Errorf("the scan finds %+v", got)
	}
	if out, err := tool(t, data, "restore", "--backup", list[0].Backup.String(), "--to", image); err != nil {
		t.Errorf("restore of the other: %v\n%s", err, out)
	}
	if now, err := os.ReadFile(image); err != nil || !bytes.Equal(now, was[0]) {
		t.Errorf("the image is not equal: %v", err)
	}
}

func TestAnotherMasterKeyIsSaidToBeAnother(t *testing.T) {
	data, _ := lostBase(t)
	other := filepath.Join(t.TempDir(), "other.key")
	if out, err := exec.Command(program, "keys", "create", other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, good := scanned(t, data, "--master-key", other)
	if good || len(got) != 2 || got[0].State != "locked" || !strings.Contains(got[0].Why, "master key that is not here") {
		t.Errorf("with another key the scan finds %+v", got)
	}
	if err := os.Remove(filepath.Join(data, "master.key")); err != nil {
		t.Fatal(err)
	}
	if got, good = scanned(t, data); good || len(got) != 2 || got[0].State != "locked" || !strings.Contains(got[0].Why, "no master key") {
		t.Errorf("without a key the scan finds %+v", got)
	}
	if out, err := tool(t, data, "catalog scan", "--master-key", filepath.Join(data, "none")); err == nil || !strings.Contains(out, "--master-key") {
		t.Errorf("a key that is not there: %v\n%s", err, out)
	}
}

func TestNothingThatStrangersWroteIsObeyed(t *testing.T) {
	const text = "a\x1b[2J\u009b2J\u202ex\x7f\nü\U0001F600"
	if got, want := plain(text), `a\x1b[2J\u009b2J\u202ex\x7f\nü😀`; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
	got, err := asciiJSON(text)
	if err != nil || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%q %v", got, err)
	}
	var back string
	if err := json.Unmarshal([]byte(got), &back); err != nil || back != text {
		t.Errorf("%q comes back as %q: %v", text, back, err)
	}
}

func TestTheProgressLineGivesAnEstimate(t *testing.T) {
	if got, want := progressLine(256<<20, 1<<30, 2*time.Second), "25 %  128.0 MiB/s  6s left"; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
	if got := progressLine(0, 0, time.Second); strings.Contains(got, "%") {
		t.Errorf("nothing is known yet: %q", got)
	}
}
