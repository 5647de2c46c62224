package cinderbackup

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Whatever is read: it is of the format and can be put together, or Corrupt.
func FuzzMetadata(f *testing.F) {
	p, _ := ParsePrefix(first)
	z := golden(f)
	f.Add(content(f, z, first+"_metadata"))
	f.Add([]byte(line))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ReadMetadata(bytes.NewReader(data), p)
		if err != nil {
			if stowage.CodeOf(err) != stowage.Corrupt {
				t.Fatal(err)
			}
			return
		}
		image, err := NewImage([]*Metadata{m})
		if full := m.Parent == uuid.Nil; full == (err != nil) {
			t.Fatalf("full: %v, and %v", full, err)
		}
		if err != nil {
			return
		}
		end := int64(0)
		for i := range image.Len() {
			for _, r := range image.Part(i).Runs {
				if r.Offset != end || r.Length < 1 {
					t.Fatalf("after %d comes %+v", end, r)
				}
				end = r.End()
			}
		}
		if end != image.Bytes || end > maxVolume {
			t.Fatalf("the runs end at %d of %d", end, image.Bytes)
		}
	})
}

func FuzzHashes(f *testing.F) {
	p, _ := ParsePrefix(first)
	f.Add(content(f, golden(f), first+"_sha256file"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := ReadHashes(bytes.NewReader(data), p, func(block int64, _ [32]byte) error {
			if n++; block < minBlock || block > maxBlock {
				t.Fatalf("blocks of %d", block)
			}
			return nil
		})
		if err != nil && stowage.CodeOf(err) != stowage.Corrupt || n*66 > len(data) {
			t.Fatal(n, err)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add(first + "_metadata")
	f.Fuzz(func(t *testing.T, name string) {
		if p, ok := ParseMetadataName(name); ok && (p.Metadata() != name || !ValidVolumeID(p.VolumeID)) {
			t.Fatalf("%q is taken for %+v", name, p)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	z := golden(f)
	for c, n := range map[byte]int{0: 1, 1: 2, 2: 4, 3: 6} {
		f.Add(content(f, z, goldenPrefix(f, n, 0).Object(1)), c)
	}
	f.Fuzz(func(t *testing.T, data []byte, c byte) {
		if err := Decompress(make([]byte, 4096), bytes.NewReader(data), Compression(c%4)); err != nil && stowage.CodeOf(err) != stowage.Corrupt {
			t.Fatal(err)
		}
	})
}
