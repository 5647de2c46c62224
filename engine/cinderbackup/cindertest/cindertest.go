// Package cindertest makes backups as Cinder's backup service does, for tests:
// written from the description of the format, and without the code that reads it.
package cindertest

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Volume is the id of the volume whose backups are made unless another is named.
const Volume = "6b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60"

// Backup is a backup to be made.
type Backup struct {
	ID, VolumeID string // VolumeID "": Volume
	Parent       *Made  // nil: a full backup
	At           time.Time
	Name         string
	Compression  string // none, zlib, gzip or zstd
	Window       int    // bytes of the volume in an object; 0: 64 KiB
	Block        int    // 0: 4 KiB
	Key          string // of an encrypted volume
	SizeGiB      int
	// Change changes what is about to be written to _metadata.
	Change func(map[string]any)
}

// Made is a backup that was made.
type Made struct {
	Backup
	Prefix string
	Data   []byte
	sums   []string
	count  int
}

// Metadata is the name of the object that says what the backup is.
func (m *Made) Metadata() string { return m.Prefix + "_metadata" }

// Object is the name of a data object.
func (m *Made) Object(n int) string { return fmt.Sprintf("%s-%05d", m.Prefix, n) }

// Count is how many data objects it has of its own.
func (m *Made) Count() int { return m.count }

// Make backs up the data, and calls put with every object in the order in which
// they are written.
func Make(b Backup, data []byte, put func(name string, data []byte)) *Made {
	if b.VolumeID == "" {
		b.VolumeID = Volume
	}
	if b.Window == 0 {
		b.Window = 64 << 10
	}
	if b.Block == 0 {
		b.Block = 4 << 10
	}
	if b.SizeGiB == 0 {
		b.SizeGiB = 1
	}
	m := &Made{Backup: b, Data: bytes.Clone(data)}
	m.Prefix = fmt.Sprintf("volume_%s/%s/az_nova_backup_%s", b.VolumeID, b.At.UTC().Format("20060102150405"), b.ID)
	objects := []any{}
	store := func(from, to int) {
		m.count++
		name := m.Object(m.count)
		algorithm, stored := compress(b.Compression, data[from:to])
		sum := md5.Sum(data[from:to])
		objects = append(objects, map[string]any{name: map[string]any{
			"offset": from, "length": to - from, "compression": algorithm, "md5": hex.EncodeToString(sum[:]),
		}})
		put(name, stored)
	}
	for from := 0; from < len(data); from += b.Window {
		m.window(from, min(from+b.Window, len(data)), store)
	}
	put(m.Prefix+"_sha256file", m.json(map[string]any{"chunk_size": b.Block, "sha256s": m.sums}))
	meta := map[string]any{"objects": objects, "parent_id": nil, "volume_meta": b.volumeMeta()}
	if b.Parent != nil {
		meta["parent_id"] = b.Parent.ID
	}
	if b.Change != nil {
		b.Change(meta)
	}
	put(m.Metadata(), m.json(meta))
	return m
}

// window hashes a window block by block, and stores all of it, or the runs of
// blocks that are not the parent's.
func (m *Made) window(from, to int, store func(from, to int)) {
	begin := -1
	for at := from; at < to; at += m.Block {
		sum := sha256.Sum256(m.Data[at:min(at+m.Block, to)])
		text := hex.EncodeToString(sum[:])
		m.sums = append(m.sums, text)
		if m.Parent == nil {
			continue
		}
		if changed := text != m.Parent.sums[len(m.sums)-1]; changed && begin < 0 {
			begin = at
		} else if !changed && begin >= 0 {
			store(begin, at)
			begin = -1
		}
	}
	switch {
	case m.Parent == nil:
		store(from, to)
	case begin >= 0:
		store(begin, to)
	}
}

func (m *Made) json(more map[string]any) []byte {
	all := map[string]any{
		"version": "1.0.0", "backup_id": m.ID, "volume_id": m.VolumeID, "backup_name": m.Name, "backup_description": nil,
		"created_at": m.At.UTC().Format("2006-01-02 15:04:05") + "+00:00",
	}
	for k, v := range more {
		all[k] = v
	}
	return encode(all)
}

func (b Backup) volumeMeta() string {
	base := map[string]any{
		"id": b.VolumeID, "size": b.SizeGiB, "display_name": "data", "display_description": nil, "volume_type_id": "fast",
		"availability_zone": "nova", "bootable": true, "user_id": "someone", "encryption_key_id": nil,
		"provider_auth": "CHAP stowage secret", "provider_location": "10.0.0.1:3260",
	}
	if b.Key != "" {
		base["encryption_key_id"] = b.Key
	}
	return string(encode(map[string]any{
		"version": 2, "volume-base-metadata": base, "volume-metadata": map[string]any{"k": "v"},
		"volume-glance-metadata": map[string]any{"image_name": "tiny"},
	}))
}

// Record is what Cinder's export of the backup's record gives.
func (m *Made) Record(change map[string]any) string {
	all := map[string]any{
		"id": m.ID, "volume_id": m.VolumeID, "container": "c", "service_metadata": m.Prefix, "project_id": "p", "user_id": "u",
		"service": "cinder.backup.drivers.swift.SwiftBackupDriver", "size": m.SizeGiB, "display_name": m.Name, "display_description": nil,
		"object_count": m.count, "created_at": m.At.UTC().Format(time.RFC3339), "encryption_key_id": nil, "parent_id": nil,
	}
	if m.Parent != nil {
		all["parent_id"] = m.Parent.ID
	}
	for k, v := range change {
		all[k] = v
	}
	return base64.StdEncoding.EncodeToString(encode(all))
}

func encode(v any) []byte {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return out
}

func compress(algorithm string, data []byte) (string, []byte) {
	var out bytes.Buffer
	switch algorithm {
	case "", "none":
		return "none", bytes.Clone(data)
	case "zlib", "gzip":
		w := zlib.NewWriter(&out)
		if _, err := w.Write(data); err != nil {
			panic(err)
		}
		if err := w.Close(); err != nil {
			panic(err)
		}
	case "zstd":
		w, err := zstd.NewWriter(nil)
		if err != nil {
			panic(err)
		}
		out.Write(w.EncodeAll(data, nil))
	default:
		panic("there is no compression " + algorithm)
	}
	if out.Len() >= len(data) {
		return "none", bytes.Clone(data)
	}
	return algorithm, out.Bytes()
}
