package cinderbackup

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

const (
	volume = "6b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60"
	first  = "volume_" + volume + "/20260101120001/az_nova_backup_00000001-0000-4000-8000-000000000000"
)

// golden opens what testdata/make.py made with Cinder's own code.
func golden(t testing.TB) *zip.ReadCloser {
	t.Helper()
	z, err := zip.OpenReader("testdata/golden.zip")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() }) // only read from
	return z
}

func content(t testing.TB, fsys fs.FS, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldenPrefix is the prefix of a golden backup: of a compression, 1 to 6, the
// full one or an increment.
func goldenPrefix(t testing.TB, compression, n int) Prefix {
	t.Helper()
	p, ok := ParsePrefix(fmt.Sprintf("volume_%s/2026010%d120001/az_nova_backup_%08d-0000-4000-8000-00000000000%d", volume, n+1, compression, n))
	if !ok {
		t.Fatal("it is no prefix")
	}
	return p
}

// Every state of the volume comes back from what Cinder's own code wrote, with
// each of its compressions.
func TestWhatCinderWroteComesBack(t *testing.T) {
	z := golden(t)
	for c, want := range []string{"none", "zlib", "gzip", "bz2", "bzip2", "zstd"} {
		t.Run(want, func(t *testing.T) {
			var list []*Metadata
			used := map[Compression]int{}
			for n := range 3 {
				p := goldenPrefix(t, c+1, n)
				m, err := ReadMetadata(bytes.NewReader(content(t, z, p.Metadata())), p)
				if err != nil {
					t.Fatal(err)
				}
				list = append([]*Metadata{m}, list...)
				image, err := NewImage(list)
				if err != nil {
					t.Fatal(err)
				}
				data := content(t, z, fmt.Sprintf("volume-%d", n))
				if got := restored(t, z, image, used); !bytes.Equal(got, data) {
					t.Errorf("state %d does not come back", n)
				}
				hashesAre(t, z, p, data)
			}
			if c > 0 && (used[compressions[want]] == 0 || used[None] == 0) {
				t.Errorf("objects by compression: %v", used)
			}
		})
	}
}

// restored puts the volume together. What no run writes stays 0xff.
func restored(t *testing.T, fsys fs.FS, image *Image, used map[Compression]int) []byte {
	t.Helper()
	out := bytes.Repeat([]byte{0xff}, int(image.Bytes))
	for i := range image.Len() {
		p := image.Part(i)
		plain := make([]byte, p.Length)
		if err := Decompress(plain, bytes.NewReader(content(t, fsys, p.Name)), p.Compression); err != nil {
			t.Fatal(err)
		}
		if md5.Sum(plain) != p.MD5 {
			t.Fatalf("%s has another MD5", p.Name)
		}
		used[p.Compression]++
		for _, r := range p.Runs {
			copy(out[r.Offset:r.End()], plain[r.Offset-p.Offset:])
		}
	}
	return out
}

func hashesAre(t *testing.T, fsys fs.FS, p Prefix, data []byte) {
	t.Helper()
	at := 0
	err := ReadHashes(bytes.NewReader(content(t, fsys, p.Hashes())), p, func(block int64, sum [32]byte) error {
		end := min(at+int(block), len(data))
		if block != 4096 || sha256.Sum256(data[at:end]) != sum {
			t.Errorf("the hash of the block at %d is another", at)
		}
		at = end
		return nil
	})
	if err != nil || at != len(data) {
		t.Errorf("hashes of %d bytes of %d: %v", at, len(data), err)
	}
}

func TestWhatIsKeptOfABackup(t *testing.T) {
	z := golden(t)
	p := goldenPrefix(t, 2, 1)
	m, err := ReadMetadata(bytes.NewReader(content(t, z, p.Metadata())), p)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "backup 1" || m.Description != "" || !m.CreatedAt.Equal(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)) ||
		m.Parent != uuid.MustParse("00000002-0000-4000-8000-000000000000") {
		t.Errorf("it is %+v", m)
	}
	v := m.Volume
	if v.ID != volume || v.Name != "data 名" || v.Type != "fe6d2bc0-0000-4000-8000-000000000001" || v.AvailabilityZone != "nova" || !v.Bootable ||
		v.SizeGiB != 1 || v.UserID != "0123456789abcdef0123456789abcdef" || v.Encrypted || v.Metadata["k"] != "v" || v.ImageMetadata["image_name"] != "tiny" {
		t.Errorf("the volume is %+v", v)
	}
	if strings.Contains(fmt.Sprintf("%+v", m), "CHAP") {
		t.Error("a secret of the storage was taken over")
	}
}

func TestNames(t *testing.T) {
	p, ok := ParseMetadataName(first + "_metadata")
	if !ok || p.VolumeID != volume || p.Zone != "nova" || p.At != time.Date(2026, 1, 1, 12, 0, 1, 0, time.UTC) || p.String() != first {
		t.Fatalf("%+v %v", p, ok)
	}
	if p.Object(1) != first+"-00001" || p.Object(123456) != first+"-123456" || p.Hashes() != first+"_sha256file" {
		t.Errorf("%s %s %s", p.Object(1), p.Object(123456), p.Hashes())
	}
	for _, zone := range []string{"", "a/b", "x_backup_y", "zone 1", "ü"} {
		text := strings.Replace(first, "az_nova", "az_"+zone, 1)
		if p, ok := ParsePrefix(text); !ok || p.Zone != zone {
			t.Errorf("zone %q: %+v %v", zone, p, ok)
		}
	}
	for _, text := range []string{
		"", first + "x", "x" + first, strings.Replace(first, "6b1b", "6B1B", 1), strings.Replace(first, "2026", "2O26", 1),
		strings.Replace(first, "20260101", "20261301", 1), strings.Replace(first, "nova", "no\nva", 1), strings.Replace(first, "nova", "\xff", 1),
		strings.Replace(first, "nova", strings.Repeat("n", 1000), 1), strings.Replace(first, volume, "../"+volume[3:], 1),
		first[:len(first)-36] + uuid.Nil.String(), strings.Replace(first, "/az_", "az_/", 1), volumePart + volume + "/20260101120001/az__backup",
	} {
		if p, ok := ParsePrefix(text); ok {
			t.Errorf("%q is taken for %+v", text, p)
		}
	}
	for _, name := range []string{first, first + "_sha256file", first + "-00001", "_metadata", first + "_metadata_metadata"} {
		if _, ok := ParseMetadataName(name); ok {
			t.Errorf("%q is taken for the name of a _metadata", name)
		}
	}
}

// line is a _metadata with one object, to be changed.
const line = `{"version": "1.0.0", "backup_id": "00000001-0000-4000-8000-000000000000", "volume_id": "` + volume + `", "parent_id": null,
	"backup_name": null, "backup_description": null, "created_at": "x", "volume_meta": null, "other": {"a": [1, {}]},
	"objects": [{"` + first + `-00001": {"offset": 0, "length": 10, "compression": "none", "md5": "00000000000000000000000000000000", "x": 1}}]}`

func TestMetadataThatIsNoneIsCorrupt(t *testing.T) {
	p, _ := ParsePrefix(first)
	if m, err := ReadMetadata(strings.NewReader(line), p); err != nil || len(m.Objects) != 1 || !m.CreatedAt.Equal(p.At) {
		t.Fatalf("%+v %v", m, err)
	}
	object := line[strings.Index(line, `{"`+first):strings.LastIndex(line, "]")]
	for name, change := range map[string][2]string{
		"another version":              {"1.0.0", "2.0.0"},
		"another backup":               {`"00000001-`, `"00000002-`},
		"another volume":               {`"` + volume, `"7b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60`},
		"its own parent":               {`"parent_id": null`, `"parent_id": "00000001-0000-4000-8000-000000000000"`},
		"a parent that is none":        {`"parent_id": null`, `"parent_id": "../x"`},
		"a parent that is a number":    {`"parent_id": null`, `"parent_id": 5`},
		"an object of another backup":  {first + "-00001", strings.Replace(first, "00000001-", "00000009-", 1) + "-00001"},
		"an object elsewhere":          {first + "-00001", "../../etc/passwd"},
		"a number left out":            {"-00001", "-00002"},
		"an object twice":              {object, object + "," + object},
		"two objects in one":           {object, object[:len(object)-1] + "," + object[1:]},
		"an object without a name":     {object, "{}"},
		"no offset":                    {`"offset": 0, `, ""},
		"an offset below zero":         {`"offset": 0`, `"offset": -1`},
		"a gap at the beginning":       {`"offset": 0`, `"offset": 1`},
		"an offset that is no number":  {`"offset": 0`, `"offset": "0"`},
		"an offset with a point":       {`"offset": 0`, `"offset": 0.0`},
		"an offset that is huge":       {`"offset": 0`, `"offset": 9223372036854775807`},
		"no length":                    {`"length": 10, `, ""},
		"a length of zero":             {`"length": 10`, `"length": 0`},
		"a length that is huge":        {`"length": 10`, `"length": 1125899906842625`},
		"a length beyond all numbers":  {`"length": 10`, `"length": 1e99`},
		"another compression":          {`"none"`, `"lzma"`},
		"an MD5 that is short":         {`"0000`, `"`},
		"an MD5 that is none":          {`"0000`, `"zzzz`},
		"a key twice":                  {`"version"`, `"version": "1.0.0", "version"`},
		"no objects":                   {`"objects"`, `"objets"`},
		"no parent":                    {`"parent_id"`, `"parents"`},
		"a full backup of nothing":     {object, ""},
		"something behind it":          {line, line + "{}"},
		"an array":                     {line, "[" + line + "]"},
		"cut off":                      {line, line[:len(line)-1]},
		"nothing at all":               {line, ""},
		"nested too deep":              {`{"a": [1, {}]}`, strings.Repeat("[", 100) + strings.Repeat("]", 100)},
		"nested far too deep":          {`{"a": [1, {}]}`, strings.Repeat("[", 100_000)},
		"a text too long":              {`"x"`, `"` + strings.Repeat("x", maxToken+1000) + `"`},
		"volume_meta that is no JSON":  {`"volume_meta": null`, `"volume_meta": "x"`},
		"volume_meta of another":       {`"volume_meta": null`, `"volume_meta": "{\"volume-base-metadata\": {\"id\": \"1\"}}"`},
		"a size that is huge":          {`"volume_meta": null`, `"volume_meta": "{\"volume-base-metadata\": {\"size\": 99999999999}}"`},
		"metadata that is nested":      {`"volume_meta": null`, `"volume_meta": "{\"volume-metadata\": {\"k\": {}}}"`},
		"an object list that is none":  {`"objects": [`, `"objects": {"x": [`},
		"an object that is a text":     {object, `"x"`},
		"what is said of it is a text": {object, `{"` + first + `-00001": "x"}`},
	} {
		text := strings.Replace(line, change[0], change[1], 1)
		if text == line {
			t.Errorf("%s: nothing was changed", name)
		}
		if m, err := ReadMetadata(strings.NewReader(text), p); stowage.CodeOf(err) != stowage.Corrupt {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
}

// brittle fails in the middle with an error of the store's.
type brittle struct {
	io.Reader
	err error
}

func (b *brittle) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		err = b.err
	}
	return n, err
}

func TestAStoreThatFailsSaysNothingOfTheObject(t *testing.T) {
	p, _ := ParsePrefix(first)
	away := stowage.Errorf(stowage.Unavailable, "503")
	if _, err := ReadMetadata(&brittle{strings.NewReader(line[:200]), away}, p); stowage.CodeOf(err) != stowage.Unavailable {
		t.Errorf("_metadata: %v", err)
	}
	z := golden(t)
	for c, name := range map[Compression]Prefix{Zlib: goldenPrefix(t, 2, 0), Bzip2: goldenPrefix(t, 4, 0), Zstd: goldenPrefix(t, 6, 0)} {
		data := content(t, z, name.Object(1))
		err := Decompress(make([]byte, 32768), &brittle{bytes.NewReader(data[:len(data)/2]), away}, c)
		if stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("compression %d: %v", c, err)
		}
	}
}

func TestAnObjectHoldsWhatItShouldAndNoMore(t *testing.T) {
	z := golden(t)
	for c, name := range map[Compression]Prefix{None: goldenPrefix(t, 1, 0), Zlib: goldenPrefix(t, 2, 0), Bzip2: goldenPrefix(t, 4, 0), Zstd: goldenPrefix(t, 6, 0)} {
		data := content(t, z, name.Object(1))
		if err := Decompress(make([]byte, 32768), bytes.NewReader(data), c); err != nil {
			t.Errorf("compression %d: %v", c, err)
		}
		for _, bad := range []struct {
			n    int
			data []byte
		}{{32767, data}, {32769, data}, {1, data}, {32768, data[:len(data)-1]}, {32768, nil}} {
			if err := Decompress(make([]byte, bad.n), bytes.NewReader(bad.data), c); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("compression %d, %d of %d bytes: %v", c, bad.n, len(bad.data), err)
			}
		}
		if c != None {
			if err := Decompress(make([]byte, 32768), bytes.NewReader(append([]byte("no"), data...)), c); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("compression %d, something else: %v", c, err)
			}
		}
	}
}
