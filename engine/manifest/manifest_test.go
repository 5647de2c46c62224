package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/stowage/stowage"
)

func sample() Manifest {
	return Manifest{
		Backup: "b", Volume: stowage.VolumeRecord{ID: "v", Metadata: map[string]string{"k": "名"}}, SnapshotAt: time.Unix(1e9, 0).UTC(),
		VolumeBytes: 100 << 20, ChunkBytes: 4 << 20, PackChunks: 8,
		Packs: Packs{{Region: 1, Bytes: 77, MD5: strings.Repeat("ab", 16), SHA256: strings.Repeat("cd", 32)}},
	}
}

func squeeze(t testing.TB, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestWhatGoesInComesOut(t *testing.T) {
	data, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Format, want.Version = format, version
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// The bytes of version 1, written once: they must be readable for ever.
func TestGolden(t *testing.T) {
	plain, err := os.ReadFile("testdata/v1.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(squeeze(t, plain))
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Format, want.Version = format, version
	if fmt.Sprintf("%+v", *m) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", *m, want)
	}
}

func TestHostileManifestsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Manifest){
		"negative size":     func(m *Manifest) { m.VolumeBytes = -1 },
		"no chunks":         func(m *Manifest) { m.ChunkBytes = 0 },
		"huge chunks":       func(m *Manifest) { m.ChunkBytes = 1 << 40 },
		"huge packs":        func(m *Manifest) { m.PackChunks = 1 << 40 },
		"overflow":          func(m *Manifest) { m.PackChunks = 1 << 62 },
		"pack out of range": func(m *Manifest) { m.Packs[0].Region = 4 },
		"pack below range":  func(m *Manifest) { m.Packs[0].Region = -1 },
		"pack twice":        func(m *Manifest) { m.Packs = append(m.Packs, m.Packs[0]) },
		"huge pack":         func(m *Manifest) { m.Packs[0].Bytes = 1 << 40 },
		"digest is a path":  func(m *Manifest) { m.Packs[0].MD5 = "../../../../../../etc/passwd....." },
		"another format":    func(m *Manifest) { m.Format = "restic" },
		"another version":   func(m *Manifest) { m.Version = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			m := sample()
			m.Format, m.Version = format, version
			change(&m)
			plain, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Decode(squeeze(t, plain)); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABombIsRefused(t *testing.T) {
	for name, plain := range map[string][]byte{
		"spaces": append(bytes.Repeat([]byte(" "), maxPlain+1), "{}"...),
		"packs":  []byte(`{"packs":[` + strings.Repeat("{},", MaxPacks) + `{}]}`),
	} {
		if _, err := Decode(squeeze(t, plain)); stowage.CodeOf(err) != stowage.Corrupt {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	data, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if stowage.CodeOf(err) != stowage.Corrupt {
				t.Fatalf("error %v has another code", err)
			}
			return
		}
		if m.RegionBytes() > MaxPackBytes || int64(len(m.Packs)) > m.Regions() {
			t.Fatalf("out of bounds: %+v", m)
		}
	})
}
