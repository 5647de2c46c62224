// Package manifest is the format of the object that says which packs make a
// backup. It is pure: bytes in, bytes out.
//
// A manifest is one zstd frame around one JSON object:
//
//	format        "stowage-backup"
//	version       1
//	backup        the backup's UUID
//	volume        what is worth knowing of the volume, as package stowage's VolumeRecord
//	snapshot_at   when the snapshot was taken, RFC 3339
//	volume_bytes  the length of the volume
//	chunk_bytes   the length of every chunk but the last of the volume
//	pack_chunks   how many chunks of the volume one pack's region has
//	packs         the packs, by ascending region: {"region", "bytes", "md5", "sha256"}
//
// Region r is the volume's chunks r*pack_chunks and following. Its pack is the
// object named by Name(prefix, r), of so many bytes with these digests (hex).
// A region that is not listed is zeros. The manifest itself is the object
// prefix + "manifest", written last: a backup is there when its manifest is.
//
// A tenant can write over a manifest. Decode bounds everything it reads, and
// names of packs are made from the prefix and a number only, so that no
// manifest can lead to another object.
package manifest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/stowage/stowage"
)

const (
	format  = "stowage-backup"
	version = 1

	// MaxStored bounds the stored bytes of a manifest: 2^18 packs of some 110
	// bytes that do not compress, and as much again.
	MaxStored = 64 << 20
	maxPlain  = 64 << 20

	// MaxPacks bounds the packs of one backup; larger volumes have larger packs.
	MaxPacks = 1 << 18
	// MaxPackBytes bounds one pack, and with it the memory a restore needs.
	MaxPackBytes = 160 << 20
	// MinChunk and MaxChunk bound the length of a chunk.
	MinChunk, MaxChunk = 4 << 10, 16 << 20
)

// Pack is one entry of the list.
type Pack struct {
	Region int64  `json:"region"`
	Bytes  int64  `json:"bytes"`
	MD5    string `json:"md5"`    // hex, as Swift's ETag
	SHA256 string `json:"sha256"` // hex
}

// Manifest says which packs make a backup.
type Manifest struct {
	Format      string               `json:"format"`
	Version     int                  `json:"version"`
	Backup      string               `json:"backup"`
	Volume      stowage.VolumeRecord `json:"volume"`
	SnapshotAt  time.Time            `json:"snapshot_at"`
	VolumeBytes int64                `json:"volume_bytes"`
	ChunkBytes  int                  `json:"chunk_bytes"`
	PackChunks  int                  `json:"pack_chunks"`
	Packs       Packs                `json:"packs"`
}

// Packs is the list of packs. Decoding it stops at MaxPacks, so that a hostile
// list costs no memory.
type Packs []Pack

// UnmarshalJSON reads the list.
func (p *Packs) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("the packs are no list")
	}
	for d.More() {
		if len(*p) == MaxPacks {
			return fmt.Errorf("there are more than %d packs", MaxPacks)
		}
		var one Pack
		if err := d.Decode(&one); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

// Name is the name of the manifest under a prefix.
func Name(prefix string) string { return prefix + "manifest" }

// PackName is the name of a region's pack under a prefix.
func PackName(prefix string, region int64) string { return fmt.Sprintf("%spack-%08d", prefix, region) }

// RegionBytes is the length of every region but the last.
func (m *Manifest) RegionBytes() int64 { return int64(m.ChunkBytes) * int64(m.PackChunks) }

// Regions is how many regions the volume has.
func (m *Manifest) Regions() int64 { return (m.VolumeBytes + m.RegionBytes() - 1) / m.RegionBytes() }

// Encode gives the manifest's bytes.
func Encode(m Manifest) ([]byte, error) {
	m.Format, m.Version = format, version
	if m.Packs == nil {
		m.Packs = Packs{}
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make a zstd encoder: %w", err)
	}
	if err := json.NewEncoder(enc).Encode(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("compress manifest: %w", err)
	}
	return buf.Bytes(), nil
}

func damaged(cause error, format string, args ...any) error {
	return stowage.Wrap(stowage.Corrupt, cause, "not a manifest: "+format, args...)
}

// Decode reads a manifest. Its errors have the code Corrupt.
func Decode(data []byte) (*Manifest, error) {
	if len(data) > MaxStored {
		return nil, damaged(nil, "it has %d bytes", len(data))
	}
	dec, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain))
	if err != nil {
		return nil, damaged(err, "it does not decompress")
	}
	defer dec.Close()
	plain := &io.LimitedReader{R: dec, N: maxPlain}
	var m Manifest
	d := json.NewDecoder(plain)
	if err := d.Decode(&m); err != nil {
		return nil, damaged(err, "it is no JSON of this form")
	}
	if _, err := d.Token(); err != io.EOF || plain.N == 0 {
		return nil, damaged(err, "something follows it")
	}
	if m.Format != format || m.Version != version {
		return nil, damaged(nil, "format %.40q version %d is not known", m.Format, m.Version)
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return &m, nil
}

// Check holds every number against its bounds.
func (m *Manifest) Check() error {
	switch {
	case m.VolumeBytes < 0:
		return damaged(nil, "the volume has %d bytes", m.VolumeBytes)
	case m.ChunkBytes < MinChunk || m.ChunkBytes > MaxChunk:
		return damaged(nil, "chunks have %d bytes", m.ChunkBytes)
	case m.PackChunks < 1 || m.PackChunks > MaxPackBytes/MinChunk || m.RegionBytes() > MaxPackBytes:
		return damaged(nil, "packs have %d chunks of %d bytes", m.PackChunks, m.ChunkBytes)
	case len(m.Packs) > MaxPacks || int64(len(m.Packs)) > m.Regions():
		return damaged(nil, "it lists %d packs", len(m.Packs))
	}
	if m.Regions() > MaxPacks {
		return damaged(nil, "the volume has %d regions", m.Regions())
	}
	last := int64(-1)
	for _, p := range m.Packs {
		switch {
		case p.Region <= last || p.Region >= m.Regions():
			return damaged(nil, "region %d is out of place", p.Region)
		case p.Bytes < 1 || p.Bytes > MaxPackBytes:
			return damaged(nil, "the pack of region %d has %d bytes", p.Region, p.Bytes)
		case !isHex(p.MD5, 16) || !isHex(p.SHA256, 32):
			return damaged(nil, "the pack of region %d has no proper digests", p.Region)
		}
		last = p.Region
	}
	return nil
}

func isHex(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == n
}
