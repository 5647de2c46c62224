// Micro-benchmarks of what a chunk goes through, each stage alone and all
// together without a network:
//
//	go test -run - -bench . -count 10 ./bench | tee new.txt   # for benchstat
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// sample is n bytes that compress to about half.
func sample(n int) []byte {
	data, random := make([]byte, n), rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = "etaoin shrdlucm"[random.IntN(15)]
	}
	return data
}

func each(b *testing.B, n int64, fn func() error) {
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		if err := fn(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkZeros(b *testing.B) {
	zeros := make([]byte, chunk.DefaultBytes)
	each(b, chunk.DefaultBytes, func() error { chunk.IsZero(zeros); return nil })
}

func BenchmarkHash(b *testing.B) {
	data := sample(chunk.DefaultBytes)
	for _, a := range []chunk.Algorithm{chunk.BLAKE3, chunk.SHA256} {
		b.Run(a.String(), func(b *testing.B) {
			each(b, chunk.DefaultBytes, func() error { a.Sum(data); return nil })
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	c, err := codec.New()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	room := make([]byte, codec.Bound(chunk.DefaultBytes))
	random := make([]byte, chunk.DefaultBytes)
	rand.NewChaCha8([32]byte{1}).Read(random)
	for name, data := range map[string][]byte{"text": sample(chunk.DefaultBytes), "random": random} {
		b.Run(name, func(b *testing.B) {
			each(b, chunk.DefaultBytes, func() error { _, _, err := c.Chunk(room, data); return err })
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	c, err := codec.New()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	frame, err := c.Compress(make([]byte, codec.Bound(chunk.DefaultBytes)), sample(chunk.DefaultBytes))
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, chunk.DefaultBytes)
	each(b, chunk.DefaultBytes, func() error { return c.Decompress(out, frame) })
}

func BenchmarkSeal(b *testing.B) {
	h := seal.Header{Kind: seal.Pack, Format: seal.Format{Cipher: seal.AES256GCM, Hash: chunk.BLAKE3, ChunkBytes: chunk.DefaultBytes}, Number: 1}
	boxes, err := seal.New(h, &seal.Secret{1})
	if err != nil {
		b.Fatal(err)
	}
	data, room := sample(chunk.DefaultBytes), make([]byte, 0, chunk.DefaultBytes+64)
	each(b, chunk.DefaultBytes, func() error { boxes.Seal(room, data, 7); return nil })
}

func BenchmarkETag(b *testing.B) {
	data := sample(chunk.DefaultBytes)
	each(b, chunk.DefaultBytes, func() error { md5.Sum(data); return nil })
}

// BenchmarkBackup is everything but the network: a volume in memory, and a
// store that takes the MD5 and forgets the bytes.
func BenchmarkBackup(b *testing.B) {
	source := memory{bytes.NewReader(sample(64 << 20))}
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		b.Fatal(err)
	}
	key, err := master.NewKey("p")
	if err != nil {
		b.Fatal(err)
	}
	e := engine.New(engine.Options{})
	each(b, source.Size(), func() error {
		id := uuid.New()
		_, err := e.Backup(b.Context(), engine.BackupInput{
			Source: source, Store: forgetful{}, Attempt: manifest.Attempt{Backup: id, Fence: 1}, Key: &key,
			Info: manifest.Info{Project: "p", Volume: stowage.VolumeRecord{ID: "9"}, SnapshotAt: time.Unix(0, 0), CreatedAt: time.Unix(0, 0)},
		})
		return err
	})
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }
func (memory) Allocated(_ context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	return fn(stowage.Extent{Offset: offset, Length: length})
}

type forgetful struct{ drivers.Store }

func (forgetful) Put(_ context.Context, _ string, data []byte) (string, error) {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:]), nil
}
