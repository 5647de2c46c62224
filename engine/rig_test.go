package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

const kib, mib = 1 << 10, 1 << 20

// unitBytes is the chunk most tests use.
const unitBytes = chunk.MinBytes

// rig is an engine, a store and a key.
type rig struct {
	*Engine
	t     testing.TB
	store *memStore
	key   *seal.Key
	rng   *rand.Rand
	noise *rand.ChaCha8
	made  int // attempts
}

// made is a backup that was made: what it is, and of what.
type made struct {
	BackupResult
	attempt manifest.Attempt
	data    []byte
}

// newRig makes an engine with the options, chunks of unitBytes unless they say
// other, and keyed if that is wanted.
func newRig(t testing.TB, o Options, keyed bool) *rig {
	t.Helper()
	if o.ChunkBytes == 0 {
		o.ChunkBytes = unitBytes
	}
	seed := sha256.Sum256([]byte(t.Name()))
	noise := rand.NewChaCha8(seed)
	r := &rig{Engine: New(o), t: t, store: newMemStore(t), noise: noise, rng: rand.New(noise)}
	if keyed {
		r.key = testKey(t)
	}
	return r
}

func testKey(t testing.TB) *seal.Key {
	t.Helper()
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	key, err := master.NewKey("a-project")
	if err != nil {
		t.Fatal(err)
	}
	return &key
}

// Key makes the rig a Keyring of its own key.
func (r *rig) Key(_ context.Context, id seal.KeyID, _ []byte) (seal.Key, error) {
	if r.key == nil || r.key.ID != id {
		return seal.Key{}, stowage.Errorf(stowage.Forbidden, "no such key")
	}
	return *r.key, nil
}

// random gives bytes that do not compress.
func (r *rig) random(n int) []byte {
	data := make([]byte, n)
	if _, err := r.noise.Read(data); err != nil {
		r.t.Fatal(err)
	}
	return data
}

// mixed gives bytes of text, noise, zeros and single bytes.
func (r *rig) mixed(n int) []byte {
	data := make([]byte, n)
	for at := 0; at < n; {
		run := data[at:min(n, at+1+r.rng.IntN(6*unitBytes))]
		switch r.rng.IntN(4) {
		case 0:
			copy(run, r.random(len(run)))
		case 1:
			for i := range run {
				run[i] = byte(i>>8) ^ "stowage "[i%8]
			}
		case 2:
			run[0] = 1
		}
		at += len(run)
	}
	return data
}

// input is a full backup of the source, as the next attempt.
func (r *rig) input(source drivers.Source) BackupInput {
	r.made++
	return BackupInput{
		Source: source, Store: r.store, Key: r.key,
		Attempt: manifest.Attempt{Backup: uuid.UUID{byte(r.made >> 8), byte(r.made), 0xbb}, Fence: uint64(r.made)},
		Info: manifest.Info{
			Project: "a-project", CreatedAt: time.Unix(1, 0).UTC(),
			Volume: stowage.VolumeRecord{ID: "vol-1", Name: "data"},
		},
		Progress: &Progress{},
	}
}

// backup makes a full backup.
func (r *rig) backup(source drivers.Source) made {
	r.t.Helper()
	return r.run(r.input(source))
}

// increment makes a backup with a parent; base is what the source knows the
// parent's snapshot by.
func (r *rig) increment(source drivers.Source, parent made, base string) made {
	r.t.Helper()
	in := r.input(source)
	in.Parent = r.open(parent).Root
	in.Base = &stowage.Snapshot{ID: base, Name: base}
	return r.run(in)
}

func (r *rig) run(in BackupInput) made {
	r.t.Helper()
	var last progressed
	stop := last.follow(in.Progress)
	res, err := r.Backup(r.t.Context(), in)
	stop(r.t)
	if err != nil {
		r.t.Fatalf("backup: %v", err)
	}
	if done, all := in.Progress.Get(); done != all {
		r.t.Errorf("the backup is done with %d of %d bytes", done, all)
	}
	if in.Progress.Stored() != res.StoredBytes {
		r.t.Errorf("progress says %d bytes are stored, the result %d", in.Progress.Stored(), res.StoredBytes)
	}
	if want := in.Source.Size(); res.VolumeBytes != want {
		r.t.Errorf("the volume has %d bytes instead of %d", res.VolumeBytes, want)
	}
	r.whole()
	return made{BackupResult: res, attempt: in.Attempt, data: bytesOf(in.Source)}
}

func bytesOf(s drivers.Source) []byte {
	switch s := s.(type) {
	case *memSource:
		return bytes.Clone(s.data)
	case *changeSource:
		return bytes.Clone(s.data)
	}
	return nil
}

// open reads the root of a backup.
func (r *rig) open(b made) *Opened {
	r.t.Helper()
	o, err := r.ReadRoot(r.t.Context(), r.store, b.Root, b.RootDigest, r)
	if err != nil {
		r.t.Fatalf("read the root: %v", err)
	}
	return o
}

// restoreInput is a restore of the backup to a target.
func (r *rig) restoreInput(b made, target drivers.Target) RestoreInput {
	return RestoreInput{Store: r.store, Root: b.Root, Digest: b.RootDigest, Keys: r, Target: target, Progress: &Progress{}}
}

// restore restores a backup to a dirty target of its size and compares.
func (r *rig) restore(b made) {
	r.t.Helper()
	target := &memTarget{t: r.t, data: r.random(len(b.data))}
	r.restoreTo(r.restoreInput(b, target), b)
	if !bytes.Equal(target.data, b.data) {
		r.t.Fatalf("%s restores to other bytes, from %d on", b.Root, differAt(target.data, b.data))
	}
	if !target.flush {
		r.t.Error("the target was not flushed")
	}
}

func (r *rig) restoreTo(in RestoreInput, b made) {
	r.t.Helper()
	var last progressed
	stop := last.follow(in.Progress)
	err := r.Restore(r.t.Context(), in)
	stop(r.t)
	if err != nil {
		r.t.Fatalf("restore: %v", err)
	}
	if done, all := in.Progress.Get(); done != all || all != int64(len(b.data)) {
		r.t.Errorf("the restore is done with %d of %d bytes; the volume has %d", done, all, len(b.data))
	}
	r.whole()
}

func differAt(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// verify gives what a verification finds.
func (r *rig) verify(b made, deep bool) []Damage {
	r.t.Helper()
	in := VerifyInput{Store: r.store, Root: b.Root, Digest: b.RootDigest, Keys: r, Deep: deep, Progress: &Progress{}}
	found, err := r.Verify(r.t.Context(), in)
	if err != nil {
		r.t.Fatalf("verify: %v", err)
	}
	if done, all := in.Progress.Get(); done != all && len(found) == 0 {
		r.t.Errorf("the verification is done with %d of %d", done, all)
	}
	r.whole()
	return found
}

// clean checks that neither verification finds anything.
func (r *rig) clean(b made) {
	r.t.Helper()
	for _, deep := range []bool{false, true} {
		if found := r.verify(b, deep); len(found) > 0 {
			r.t.Fatalf("a verification (deep: %v) of %s found %v", deep, b.Root, found)
		}
	}
}

// whole checks that all budgets are as if nobody had ever used them.
func (r *rig) whole() {
	r.t.Helper()
	for name, ok := range map[string]bool{
		"processors":    r.cpu.TryAcquire(int64(r.opts.CPUs)),
		"read buffers":  r.reads.room.TryAcquire(r.opts.ReadBudget / readBytes),
		"room of packs": r.Engine.packs.TryAcquire(r.opts.PackBudget),
	} {
		if !ok {
			r.t.Fatalf("some %s were not given back", name)
		}
	}
	r.cpu.Release(int64(r.opts.CPUs))
	r.reads.room.Release(r.opts.ReadBudget / readBytes)
	r.Engine.packs.Release(r.opts.PackBudget)
	for name, b := range map[string]*buffers{"read": r.reads, "pack": r.rooms} {
		if b.lent != 0 || len(b.free) > b.keep {
			r.t.Fatalf("%d %s buffers are lent, %d are free", b.lent, name, len(b.free))
		}
	}
	if len(r.crowd.all) != 0 || r.crowd.waiting.Load() != 0 {
		r.t.Fatalf("%d jobs share the budgets, %d wait", len(r.crowd.all), r.crowd.waiting.Load())
	}
	if n := r.jobs.Load(); n != 0 {
		r.t.Fatalf("%d backups are said to run", n)
	}
}

// progressed watches that progress never goes back.
type progressed struct{}

func (progressed) follow(p *Progress) (stop func(testing.TB)) {
	end, wrong := make(chan struct{}), make(chan string, 1)
	go func() {
		var before int64
		for {
			done, all := p.Get()
			if done < before || done > all && all > 0 {
				wrong <- fmt.Sprintf("progress went from %d to %d of %d", before, done, all)
				return
			}
			before = done
			select {
			case <-end:
				wrong <- ""
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
	}()
	return func(t testing.TB) {
		t.Helper()
		close(end)
		if what := <-wrong; what != "" {
			t.Error(what)
		}
	}
}
