package manifest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/seal"
)

// setOf is the backup of a server that a root is part of, with another part, and a
// disk that was left out.
func setOf(r *Root) *Set {
	return &Set{
		Backup: uuid.MustParse("99999999-8888-4777-8666-555555555555"), Name: "nightly", Description: "名",
		CreatedAt: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC),
		Server: stowage.ServerRecord{
			ID: "0d5a1f1f", ProjectID: "8f3c", Name: "web", Status: "ACTIVE", FlavorID: "f1", Flavor: "m1.small", Zone: "nova", KeyName: "mine",
			Metadata: map[string]string{"role": "web"}, Tags: []string{"gold"}, Config: true, CreatedAt: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC),
			Ports: []stowage.ServerPort{{ID: "p1", NetworkID: "n1", Network: "public", MAC: "fa:16:3e:00:00:01", Addresses: []string{"192.0.2.7"}, SecurityGroups: []string{"sg-1"}}},
			Disks: []stowage.ServerDisk{
				{VolumeID: r.Info.Volume.ID, Device: "/dev/vda", Boot: true, DeleteWithServer: true, Tag: "root", Backup: r.Info.Backup.String()},
				{VolumeID: "v2", Device: "/dev/vdb", Backup: "77777777-6666-4555-8444-333333333333"},
				{VolumeID: "v3", Device: "/dev/vdc", Left: "It is left out of backups."},
			},
		},
	}
}

func TestARootTellsWhatServersBackupItIsPartOf(t *testing.T) {
	for _, f := range []seal.Format{open, sealed} {
		c := newCodec(t)
		want := sample(f)
		if err := want.Info.AddSet(setOf(want)); err != nil {
			t.Fatal(err)
		}
		data, err := want.Encode(secret, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := reopen(data, secret, c)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(got.Info.Set, setOf(want)) {
			t.Errorf("got  %+v\nwant %+v", got.Info.Set, want.Info.Set)
		}
	}
}

// What is written of a volume alone is what was written before there were sets.
func TestTheJSONOfAVolumeAloneIsWhatItWas(t *testing.T) {
	const want = `{"format":"stowage-backup","backup":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","fence":1,"project":"8f3c",` +
		`"volume":{"id":"6b1f8a52-0c39-4f0e-9a53-0d5a1f1f4a10","name":"名","description":"of the volume","type":"fast","availability_zone":"nova",` +
		`"bootable":true,"metadata":{"k":"v"},"image_metadata":{"os":"plan9"}},"snapshot_at":"2026-01-02T03:04:05.000000006Z",` +
		`"created_at":"2026-01-02T03:04:00Z","volume_bytes":10737418240,"incremental":true,"parent":"11111111-2222-4333-8444-555555555555",` +
		`"name":"tuesday","description":"of the backup"}`
	if got, err := json.Marshal(goldenRoot(goldenFormats["none"]).Info); err != nil || string(got) != want {
		t.Errorf("it is\n%s\nnot\n%s: %v", got, want, err)
	}
}

// A root of a part, from its bytes as they were written once.
func TestGoldenPartsCanBeRead(t *testing.T) {
	for name, f := range goldenFormats {
		want := goldenRoot(f)
		want.Layers, want.Packs, want.Salts = []Layer{}, []Pack{}, map[Attempt]seal.Salt{}
		want.Info.Set = setOf(want)
		if *newGolden {
			data, err := want.Encode(goldenSecret, newCodec(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goldenFile(name, "part"), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(goldenFile(name, "part"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := reopen(data, goldenSecret, newCodec(t))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, want)
		}
	}
}

// hostileSets are what nobody may believe of a backup's server.
var hostileSets = map[string]func(*Set){
	"no backup":                    func(s *Set) { s.Backup = uuid.Nil },
	"it is itself":                 func(s *Set) { s.Backup = uuid.MustParse(s.Server.Disks[0].Backup) },
	"it is another part":           func(s *Set) { s.Backup = uuid.MustParse(s.Server.Disks[1].Backup) },
	"no server":                    func(s *Set) { s.Server.ID = "" },
	"a server that is a path":      func(s *Set) { s.Server.ID = "../x" },
	"it does not name this backup": func(s *Set) { s.Server.Disks[0].Backup = uuid.NewString() },
	"it names another volume":      func(s *Set) { s.Server.Disks[0].VolumeID = "v1" },
	"a backup twice":               func(s *Set) { s.Server.Disks[1].Backup = s.Server.Disks[0].Backup },
	"a volume twice":               func(s *Set) { s.Server.Disks[2].VolumeID = "v2" },
	"a volume that is none":        func(s *Set) { s.Server.Disks[1].VolumeID = "\x1b" },
	"a backup that is none":        func(s *Set) { s.Server.Disks[1].Backup = "x" },
	"a UUID in another form":       func(s *Set) { s.Server.Disks[1].Backup = strings.ToUpper("aaaa" + s.Server.Disks[1].Backup[4:]) },
	"no disks":                     func(s *Set) { s.Server.Disks = nil },
	"too many disks": func(s *Set) {
		for n := len(s.Server.Disks); n <= stowage.MaxServerDisks; n++ {
			s.Server.Disks = append(s.Server.Disks, stowage.ServerDisk{VolumeID: fmt.Sprint("w", n)})
		}
	},
	"too many ports":     func(s *Set) { s.Server.Ports = make([]stowage.ServerPort, maxSetList+1) },
	"too many addresses": func(s *Set) { s.Server.Ports[0].Addresses = make([]string, maxSetList+1) },
	"too many tags":      func(s *Set) { s.Server.Tags = make([]string, maxSetList+1) },
	"too much metadata": func(s *Set) {
		for n := range maxSetList {
			s.Server.Metadata[fmt.Sprint(n)] = ""
		}
	},
	"a long text":           func(s *Set) { s.Server.Name = strings.Repeat("x", maxSetText+1) },
	"a long value":          func(s *Set) { s.Server.Metadata["k"] = strings.Repeat("x", maxSetText+1) },
	"a long security group": func(s *Set) { s.Server.Ports[0].SecurityGroups = []string{strings.Repeat("x", maxSetText+1)} },
	"too much in all": func(s *Set) {
		for n := range MaxSetBytes/maxSetText + 1 {
			s.Server.Tags = append(s.Server.Tags, strings.Repeat(string(rune('a'+n%26)), maxSetText))
		}
	},
}

// The volume's backup can be read all the same: nothing of it is lost with its server.
func TestAHostileSetIsLeftOut(t *testing.T) {
	for name, change := range hostileSets {
		t.Run(name, func(t *testing.T) {
			c := newCodec(t)
			r := sample(sealed)
			s := setOf(r)
			change(s)
			r.Info.Set = s
			got, err := reopen(forge(t, r.header(), r.Wrapped, body(t, r)), secret, c)
			if err != nil {
				t.Fatal(err)
			}
			if got.Info.Set != nil || got.SetFault == "" || len(got.SetFault) > 500 {
				t.Errorf("it is read as %+v: %q", got.Info.Set, got.SetFault)
			}
			if got.SetFault = ""; !reflect.DeepEqual(got, sample(sealed)) {
				t.Errorf("the rest is %+v", got)
			}
			if _, err := r.Encode(secret, c); err == nil {
				t.Error("it can be written")
			}
			alone := sample(sealed)
			if alone.Info.AddSet(s) == nil || alone.Info.Set != nil {
				t.Error("it can be added")
			}
		})
	}
	for name, text := range map[string]string{
		"no object": `5`, "a list": `[]`, "of another form": `{"backup":7}`, "no time": `{"created_at":"yesterday"}`, "empty": `{}`,
		"long": `"` + strings.Repeat(" ", MaxSetBytes) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			plain := body(t, sample(open))
			n := binary.BigEndian.Uint32(plain)
			info := append([]byte(`{"set":`+text+`,`), plain[5:4+n]...)
			r := &Root{Format: open, Salt: sample(open).Salt}
			if err := r.parseBody(append(append(binary.BigEndian.AppendUint32(nil, uint32(len(info))), info...), plain[4+n:]...)); err != nil {
				t.Fatal(err)
			}
			if r.SetFault == "" {
				t.Error("nothing is wrong with it")
			}
			if r.SetFault = ""; !reflect.DeepEqual(r, sample(open)) {
				t.Errorf("the rest is %+v", r)
			}
		})
	}
}

// Both have room by themselves, and not together.
func TestASetThatHasNoRoomIsNotAdded(t *testing.T) {
	r := sample(open)
	r.Info.Volume.Description = strings.Repeat("x", MaxInfoBytes-5000)
	if r.Info.AddSet(setOf(r)) == nil || r.Info.Set != nil {
		t.Error("it was added")
	}
	if _, err := r.Encode(nil, newCodec(t)); err != nil {
		t.Errorf("and without it: %v", err)
	}
}
