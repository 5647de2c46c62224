package manifest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// Only for a new version of the format: what was written once must be readable
// for ever.
var newGolden = flag.Bool("new-golden", false, "write the golden files anew")

var (
	goldenParent = Attempt{uuid.MustParse("11111111-2222-4333-8444-555555555555"), 3}
	goldenSelf   = Attempt{uuid.MustParse("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"), 1}
	goldenSalts  = map[Attempt]seal.Salt{goldenParent: {1, 2, 3}, goldenSelf: {4, 5, 6}}
	goldenSecret = &seal.Secret{0xc0, 0xff, 0xee}
)

var goldenFormats = map[string]seal.Format{
	"none": {Cipher: seal.None, Hash: chunk.SHA256, ChunkBytes: 64 << 10},
	"gcm":  {Cipher: seal.AES256GCM, Hash: chunk.BLAKE3, ChunkBytes: 4 << 20, KeyID: seal.KeyID{0xab, 15: 0xcd}},
}

// goldenEntries are those of the increment's layer, and of the full one below.
func goldenEntries(over int) (fresh, full []Entry) {
	data := func(n uint64, a Attempt, pack uint64, offset int64) Entry {
		e := Entry{Chunk: n, Codec: byte(1 + n%2), Pack: Place{a, pack}, Offset: offset, Stored: 1000 + over}
		e.Hash = sha256.Sum256([]byte{byte(n), byte(n >> 8), byte(pack)})
		return e
	}
	for n := range uint64(40) {
		full = append(full, data(n*3, goldenParent, 1+n/20, 64+int64(n%20)*int64(1000+over)))
	}
	fresh = []Entry{data(1, goldenSelf, 1, 64), {Chunk: 3}, data(6, goldenSelf, 1, 2000), data(9, goldenParent, 2, 70_000), data(300, goldenSelf, 2, 64)}
	return fresh, full
}

func goldenRoot(f seal.Format) *Root {
	r := &Root{
		Format: f, Self: goldenSelf, Salt: goldenSalts[goldenSelf], Salts: goldenSalts,
		Info: Info{
			Format: FormatName, Backup: goldenSelf.Backup, Fence: goldenSelf.Fence, Project: "8f3c",
			Volume: stowage.VolumeRecord{
				ID: "6b1f8a52-0c39-4f0e-9a53-0d5a1f1f4a10", Name: "名", Description: "of the volume", Type: "fast", AvailabilityZone: "nova",
				Bootable: true, Metadata: map[string]string{"k": "v"}, ImageMetadata: map[string]string{"os": "plan9"},
			},
			SnapshotAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), CreatedAt: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
			VolumeBytes: 10 << 30, Incremental: true, Parent: goldenParent.Backup, Name: "tuesday", Description: "of the backup",
		},
		Packs: []Pack{
			{Place: Place{goldenParent, 1}, Bytes: 64 << 20, Alive: 17, AliveBytes: 20_000, MD5: [16]byte{1}},
			{Place: Place{goldenParent, 2}, Bytes: 64 << 20, Alive: 21, AliveBytes: 23_000, MD5: [16]byte{2}},
			{Place: Place{goldenSelf, 1}, Bytes: 1 << 20, Alive: 2, AliveBytes: 2500, MD5: [16]byte{3}},
			{Place: Place{goldenSelf, 2}, Bytes: 1 << 20, Alive: 1, AliveBytes: 1500, MD5: [16]byte{4}},
		},
	}
	if f.Cipher != seal.None {
		r.Wrapped = bytes.Repeat([]byte{9}, seal.WrappedBytes)
	}
	return r
}

func goldenFile(name, what string) string { return filepath.Join("testdata", "v1-"+name+"-"+what) }

// A restore, from the bytes of version 1 as they were written once.
func TestGoldenFilesCanBeRead(t *testing.T) {
	for name, f := range goldenFormats {
		t.Run(name, func(t *testing.T) {
			if *newGolden {
				writeGolden(t, name, f)
			}
			data, err := os.ReadFile(goldenFile(name, "root"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := reopen(data, goldenSecret, newCodec(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.CheckName("volume_6b1f8a52-0c39-4f0e-9a53-0d5a1f1f4a10/backup_aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee/00000001/root"); err != nil {
				t.Error(err)
			}
			objects := map[Place][]byte{}
			for what, o := range map[string]Object{"fresh": r.Layers[0][0], "full-1": r.Layers[1][0], "full-2": r.Layers[1][1]} {
				data, err := os.ReadFile(goldenFile(name, what))
				if err != nil {
					t.Fatal(err)
				}
				if int64(len(data)) != o.Bytes || md5.Sum(data) != o.MD5 {
					t.Errorf("%s is not what the root lists", what)
				}
				objects[o.Place] = data
			}
			fetch := func(_ context.Context, o Object, offset int64, buf []byte) error {
				copy(buf, objects[o.Place][offset:])
				return nil
			}
			cur := NewCursor(r.Keys(goldenSecret), fetch, r.Layers)
			defer cur.Close()
			var got []Entry
			for {
				e, ok, err := cur.Next(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				got = append(got, e)
			}
			fresh, full := goldenEntries(sealBytes(f.Cipher))
			mustEqual(t, got, newest([][]Entry{fresh, full}))
			r.Layers = nil
			if want := goldenRoot(f); !reflect.DeepEqual(r, want) {
				t.Errorf("got  %+v\nwant %+v", r, want)
			}
		})
	}
}

func writeGolden(t *testing.T, name string, f seal.Format) {
	r := goldenRoot(f)
	fresh, full := goldenEntries(sealBytes(f.Cipher))
	layer := func(a Attempt, entries []Entry, names ...string) {
		number := uint64(0)
		w, err := NewLayerWriter(r.Keys(goldenSecret), a, func() uint64 { number++; return number }, func(_ Object, data []byte) error {
			return os.WriteFile(goldenFile(name, names[number-1]), data, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.limits = limits{entries: 15, pages: 2, bytes: 1 << 20}
		for _, e := range entries {
			if err := w.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		l, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		r.Layers = append(r.Layers, l)
	}
	layer(goldenSelf, fresh, "fresh")
	layer(goldenParent, full, "full-1", "full-2")
	data, err := r.Encode(goldenSecret, newCodec(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile(name, "root"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is inside boxes and frames, byte by byte as doc/design.md has it.
func TestPagesAndIndexesAreWrittenAsTheDocumentSays(t *testing.T) {
	hash := func(b byte) (h chunk.Hash) {
		for i := range h {
			h[i] = b
		}
		return h
	}
	a, b := goldenParent, goldenSelf
	got := appendPage(nil, []Entry{
		{Chunk: 300, Codec: codec.Raw, Pack: Place{a, 1}, Offset: 64, Stored: 200, Hash: hash(0x11)},
		{Chunk: 301},
		{Chunk: 303, Codec: codec.Zstd, Pack: Place{a, 1}, Offset: 264, Stored: 5, Hash: hash(0x22)}, // as expected
		{Chunk: 500, Codec: codec.Zstd, Pack: Place{a, 1}, Offset: 259, Stored: 6, Hash: hash(0x33)}, // ten bytes earlier
		{Chunk: 501, Codec: codec.Raw, Pack: Place{b, 2}, Offset: 70, Stored: 7, Hash: hash(0x44)},   // another pack
	}, map[Attempt]int{a: 0, b: 1})
	hashes := ""
	for _, x := range []string{"11", "22", "33", "44"} {
		for range 32 {
			hashes += x
		}
	}
	want := "05" + // entries
		"ac02" + "01" + "02" + "c501" + "01" + // chunks
		"01" + "00" + "02" + "02" + "01" + // codecs
		"00" + "00" + "00" + "01" + // attempts
		"01" + "01" + "01" + "02" + // packs
		"00" + "00" + "13" + "0c" + // offsets: 0, 0, -10, 6
		"c801" + "05" + "06" + "07" + // stored lengths
		hashes
	if hex.EncodeToString(got) != want {
		t.Errorf("a page is\n%x\nnot\n%s", got, want)
	}

	x := &index{attempts: []Attempt{b}, pages: []page{
		{first: 300, entries: 5, stored: 130, plain: 160, hash: hash(0x55)}, {first: 502, entries: 1, stored: 40, plain: 39, hash: hash(0x66)},
	}}
	want = "01" + "aaaaaaaabbbb4ccc8dddeeeeeeeeeeee" + "0000000000000001" +
		"02" + "ac02" + "05" + "8201" + "a001" + hex.EncodeToString(x.pages[0].hash[:]) +
		"ca01" + "01" + "28" + "27" + hex.EncodeToString(x.pages[1].hash[:])
	if got := x.append(nil); hex.EncodeToString(got) != want {
		t.Errorf("an index is\n%x\nnot\n%s", got, want)
	}
}

func TestTheBodyOfARootIsWrittenAsTheDocumentSays(t *testing.T) {
	r := &Root{
		Salts: goldenSalts,
		Layers: []Layer{{{
			Place: Place{goldenSelf, 7}, Bytes: 300, Entries: 2, First: 5, Last: 200, MD5: [16]byte{0xab}, Index: chunk.Hash{0xcd},
		}}},
		Packs: []Pack{{Place: Place{goldenParent, 1}, Bytes: 1000, Alive: 2, AliveBytes: 500, MD5: [16]byte{0xef}}},
	}
	zeros := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	want := "00000002" + hex.EncodeToString([]byte("{}")) +
		"02" + "11111111222243338444555555555555" + "0000000000000003" + "010203" + zeros(21) +
		"aaaaaaaabbbb4ccc8dddeeeeeeeeeeee" + "0000000000000001" + "040506" + zeros(21) +
		"01" + "01" + "01" + "07" + "ac02" + "02" + "05" + "c801" + "ab" + zeros(15) + "cd" + zeros(31) +
		"01" + "00" + "01" + "e807" + "02" + "f403" + "ef" + zeros(15)
	if got := r.appendBody(nil, []byte("{}"), []Attempt{goldenParent, goldenSelf}); hex.EncodeToString(got) != want {
		t.Errorf("a body is\n%x\nnot\n%s", got, want)
	}
}
