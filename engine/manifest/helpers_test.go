package manifest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

var (
	open   = seal.Format{Cipher: seal.None, Hash: chunk.SHA256, ChunkBytes: chunk.DefaultBytes}
	sealed = seal.Format{Cipher: seal.AES256GCM, Hash: chunk.BLAKE3, ChunkBytes: chunk.DefaultBytes, KeyID: seal.KeyID{7}}
	secret = &seal.Secret{1, 2, 3}
)

// attempt gives the n-th of attempts that are always the same.
func attempt(n int) Attempt {
	return Attempt{Backup: uuid.UUID{byte(n >> 8), byte(n), 0xaa}, Fence: uint64(n%3 + 1)}
}

func salt(n int) seal.Salt { return seal.Salt{byte(n >> 8), byte(n), 0x55} }

// keys know so many attempts.
func keys(f seal.Format, attempts int) *Keys {
	k := NewKeys(f, secret)
	for n := range attempts {
		k.AddAttempt(attempt(n), salt(n))
	}
	return k
}

// container is where map objects are, and what was fetched from there.
type container struct {
	t       testing.TB
	keys    *Keys
	objects map[Place][]byte
	next    map[Attempt]uint64
	fetched []string // object:offset+length
	bytes   int64
}

func newContainer(t testing.TB, k *Keys) *container {
	return &container{t: t, keys: k, objects: map[Place][]byte{}, next: map[Attempt]uint64{}}
}

func (c *container) put(o Object, data []byte) error {
	if c.objects[o.Place] != nil {
		return fmt.Errorf("%v is written twice", o.Place)
	}
	c.objects[o.Place] = bytes.Clone(data)
	return nil
}

func (c *container) fetch(ctx context.Context, o Object, offset int64, buf []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data := c.objects[o.Place]
	if offset < 0 || offset+int64(len(buf)) > int64(len(data)) {
		return stowage.Errorf(stowage.Corrupt, "%d bytes at %d of an object of %d", len(buf), offset, len(data))
	}
	c.fetched = append(c.fetched, fmt.Sprintf("%d:%d+%d", o.Number, offset, len(buf)))
	c.bytes += int64(len(buf))
	copy(buf, data[offset:])
	return nil
}

// write writes a layer of attempt a.
func (c *container) write(a Attempt, l limits, entries []Entry) Layer {
	c.t.Helper()
	w, err := NewLayerWriter(c.keys, a, func() uint64 { c.next[a]++; return c.next[a] }, c.put)
	if err != nil {
		c.t.Fatal(err)
	}
	if l != (limits{}) {
		w.limits = l
	}
	for _, e := range entries {
		if err := w.Add(e); err != nil {
			c.t.Fatal(err)
		}
	}
	layer, err := w.Close()
	if err != nil {
		c.t.Fatal(err)
	}
	return layer
}

// walk gives all entries of layers.
func (c *container) walk(layers ...Layer) ([]Entry, error) {
	cur := NewCursor(c.keys, c.fetch, layers)
	defer cur.Close()
	var all []Entry
	for {
		e, ok, err := cur.Next(context.Background())
		if err != nil || !ok {
			return all, err
		}
		all = append(all, e)
	}
}

// entries makes n of them as a backup would: packs that fill up, one after the
// other, of the first of attempts; some of zeros, some of other attempts.
func entries(r *rand.Rand, n, attempts int, gap int) []Entry {
	all := make([]Entry, 0, n)
	at, pack, offset := uint64(r.Intn(gap)), uint64(1), int64(seal.HeaderBytes)
	for range n {
		e := Entry{Chunk: at}
		if r.Intn(10) > 0 {
			e.Codec, e.Stored = byte(1+r.Intn(2)), 17+r.Intn(chunk.DefaultBytes-17)
			e.Pack, e.Offset = Place{Attempt: attempt(0), Number: pack}, offset
			r.Read(e.Hash[:])
			if offset += int64(e.Stored); offset > 64<<20 {
				pack, offset = pack+1, seal.HeaderBytes
			}
			if r.Intn(20) == 0 {
				e.Pack.Attempt = attempt(r.Intn(attempts))
				e.Pack.Number, e.Offset = uint64(1+r.Intn(1000)), int64(64+r.Intn(100<<20))
			}
		}
		all = append(all, e)
		at += uint64(1 + r.Intn(gap))
	}
	return all
}

func mustEqual(t testing.TB, got, want []Entry) {
	t.Helper()
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("entry %d is\n%+v\nnot\n%+v", i, got[i], want[i])
			}
		}
		t.Fatalf("there are %d entries instead of %d", len(got), len(want))
	}
}

func mustBeCorrupt(t testing.TB, err error) {
	t.Helper()
	if stowage.CodeOf(err) != stowage.Corrupt {
		t.Fatalf("got %v, which is not corrupt", err)
	}
}

func newCodec(t testing.TB) *codec.Codec {
	t.Helper()
	c, err := codec.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// sample is a root with two layers and three packs.
func sample(f seal.Format) *Root {
	r := &Root{
		Format: f, Self: attempt(5), Salt: salt(5),
		Info: Info{
			Format: FormatName, Backup: attempt(5).Backup, Fence: attempt(5).Fence, Project: "p",
			Volume:     stowage.VolumeRecord{ID: "0b1c", Name: "名", Metadata: map[string]string{"k": "v"}},
			SnapshotAt: time.Unix(1e9, 0).UTC(), CreatedAt: time.Unix(1e9+5, 0).UTC(),
			VolumeBytes: 10 << 30, Incremental: true, Parent: attempt(4).Backup, Name: "n", Description: "d",
		},
		Salts: map[Attempt]seal.Salt{attempt(5): salt(5), attempt(4): salt(4)},
		Layers: []Layer{
			{{Place: Place{attempt(5), 1}, Bytes: 1000, Entries: 10, First: 5, Last: 99, MD5: [16]byte{1}, Index: chunk.Hash{2}}},
			{
				{Place: Place{attempt(4), 1}, Bytes: 1000, Entries: 10, First: 0, Last: 9, MD5: [16]byte{3}, Index: chunk.Hash{4}},
				{Place: Place{attempt(4), 2}, Bytes: 5000, Entries: 100, First: 10, Last: 40959, MD5: [16]byte{5}, Index: chunk.Hash{6}},
			},
		},
		Packs: []Pack{
			{Place: Place{attempt(4), 1}, Bytes: 64 << 20, Alive: 90, AliveBytes: 1 << 20, MD5: [16]byte{7}},
			{Place: Place{attempt(4), 2}, Bytes: 64 << 20, Alive: 1, AliveBytes: 100, MD5: [16]byte{8}},
			{Place: Place{attempt(5), 1}, Bytes: 1 << 20, Alive: 8, AliveBytes: 1 << 19, MD5: [16]byte{9}},
		},
	}
	if f.Cipher != seal.None {
		r.Wrapped = bytes.Repeat([]byte{1}, seal.WrappedBytes)
	}
	return r
}
