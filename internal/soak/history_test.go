package soak

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

const (
	mib     = 1 << 20
	project = "soak"
)

// bounds are how large things get, in bytes, but for steps.
type bounds struct {
	smallest, largest int
	grow              int // at a time, at most
	write             int // likewise
	steps             int
}

// history is one volume, its model, and its backups.
type history struct {
	*testing.T
	*rand.Rand
	*engine.Engine
	vols   drivers.Volumes
	store  drivers.Store
	master *seal.Master
	key    *seal.Key
	image  string
	bounds bounds
	// How volumes are made, grown, and taken back to a snapshot; nil: they cannot be.
	create   func(image string, size int)
	resize   func(size int)
	rollback func(snapshot string)

	model  []byte
	points []*point
	spare  manifest.Objects
	counts map[string]int
}

// point is a backup.
type point struct {
	engine.BackupResult
	root *manifest.Root
	data []byte
	base *stowage.Snapshot
	lost bool // the base, whether the engine is told or not
}

// Key opens the one key there is.
func (h *history) Key(_ context.Context, id seal.KeyID, wrapped []byte) (seal.Key, error) {
	return h.master.Unwrap(id, wrapped, project)
}

// play plays a history of a volume that is on vols, to its end.
func (h *history) play(ctx context.Context, late func() bool) {
	stores, err := dir.Open(dir.Options{Root: h.TempDir(), NewID: uuid.NewString})
	h.ok(err)
	defer func() { h.ok(stores.Close()) }()
	h.ok(stores.CreateContainer(ctx, project, "c"))
	h.store, err = stores.Open(ctx, project, "c")
	h.ok(err)
	if h.master, err = seal.ParseMaster(seal.NewMaster()); h.IntN(4) > 0 {
		h.ok(err)
		key, err := h.master.NewKey(project)
		h.ok(err)
		h.key = &key
	}
	h.Engine = engine.New(engine.Options{ChunkBytes: 64 << 10 << h.IntN(3), PackBytes: mib << h.IntN(4), Readers: 1 + h.IntN(8)})

	h.model = make([]byte, h.bounds.smallest+512*h.IntN(h.bounds.grow/2048))
	h.create(h.image, len(h.model))
	for range h.bounds.steps {
		h.step(ctx)
		if late() {
			break
		}
	}
	for len(h.points) > 0 {
		h.remove(ctx)
	}
	h.ok(h.Delete(ctx, h.store, h.volume(), &h.spare, nil))
	h.ok(h.store.List(ctx, "", func(o drivers.ObjectInfo) error { h.Errorf("left behind: %s", o.Name); return nil }))
}

func newHistory(t *testing.T, seed uint64, b bounds) *history {
	return &history{
		T: t, Rand: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{}, image: "volume-" + uuid.NewString(), bounds: b,
	}
}

func (h *history) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *history) volume() string { return h.image[len("volume-"):] }

func (h *history) at(image string) stowage.VolumeLocation {
	return stowage.VolumeLocation{Backend: h.vols.Backend(), VolumeID: image[len("volume-"):], Name: image}
}

func (h *history) step(ctx context.Context) {
	switch n := h.IntN(20); {
	case n < 7:
		h.write(ctx)
	case n < 8 && len(h.model) < h.bounds.largest:
		h.model = append(h.model, make([]byte, 512*(1+h.IntN(h.bounds.grow/512)))...)
		h.resize(len(h.model))
		h.counts["grew"]++
	case n < 14:
		h.backup(ctx)
	case n < 16 && len(h.points) > 0:
		h.restore(ctx)
	case n < 17 && len(h.points) > 0:
		h.verify(ctx)
	case n < 18 && len(h.points) > 0:
		if h.IntN(2) == 0 {
			h.loseBase(ctx)
		} else {
			h.rollBack()
		}
	case len(h.points) > 2:
		h.remove(ctx)
	}
}

// write writes, overwrites and discards here and there.
func (h *history) write(ctx context.Context) {
	target, err := h.vols.OpenTarget(ctx, h.at(h.image))
	h.ok(err)
	for range 1 + h.IntN(8) {
		n := min(1+h.IntN(h.bounds.write>>h.IntN(14)), len(h.model)-1)
		at := h.IntN(len(h.model) - n)
		part := h.model[at : at+n]
		switch h.IntN(4) {
		case 0:
			clear(part)
			h.ok(target.WriteZeroes(int64(at), int64(n)))
			continue
		case 1:
			for i := range part {
				part[i] = byte("stowage "[i%8])
			}
		default:
			rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, h.Uint64()))).Read(part)
		}
		_, err := target.WriteAt(part, int64(at))
		h.ok(err)
	}
	h.ok(errors.Join(target.Flush(), target.Close()))
	h.counts["wrote"]++
}

func (h *history) backup(ctx context.Context) {
	id := uuid.New()
	snap, err := h.vols.CreateSnapshot(ctx, h.at(h.image), "stowage-inflight."+id.String())
	h.ok(err)
	source, err := h.vols.OpenSnapshot(ctx, snap)
	h.ok(err)
	in := engine.BackupInput{
		Source: source, Store: h.store, Attempt: manifest.Attempt{Backup: id, Fence: 1}, Key: h.key,
		Info: manifest.Info{
			Backup: id, Fence: 1, Project: project, Volume: stowage.VolumeRecord{ID: h.volume()}, SnapshotAt: snap.At, CreatedAt: time.Now(),
		},
		Check: func(ctx context.Context) error { return h.vols.CheckSnapshot(ctx, snap) },
	}
	if len(h.points) > 0 && h.IntN(10) > 0 {
		from := h.points[len(h.points)-1]
		if h.IntN(4) == 0 {
			from = h.points[h.IntN(len(h.points))]
		}
		in.Parent, in.Base = from.root, from.base
	}
	r, err := h.Backup(ctx, in)
	h.ok(errors.Join(err, source.Close()))
	root, err := h.ReadRoot(ctx, h.store, r.Root, r.RootDigest, h)
	h.ok(err)
	h.spare.Union(r.Spare)
	h.points = append(h.points, &point{BackupResult: r, root: root.Root, data: bytes.Clone(h.model), base: h.keep(ctx, id, snap)})
	h.counts[string(r.Mode)]++
}

// keep keeps the snapshot for the next backup, if the driver can.
func (h *history) keep(ctx context.Context, id uuid.UUID, snap stowage.Snapshot) *stowage.Snapshot {
	keeper, can := h.vols.(drivers.Bases)
	if !can {
		h.ok(h.vols.RemoveSnapshot(ctx, snap))
		return nil
	}
	kept, err := keeper.KeepSnapshot(ctx, snap, fmt.Sprintf("backup.%s.snap.%d", id, time.Now().Unix()))
	h.ok(err)
	return &kept
}

// loseBase removes a snapshot that was kept, as a user may; the engine is not
// always told.
func (h *history) loseBase(ctx context.Context) {
	p := h.points[h.IntN(len(h.points))]
	if p.base == nil {
		return
	}
	h.ok(h.vols.RemoveSnapshot(ctx, *p.base))
	p.lost = true
	if h.IntN(2) == 0 {
		p.base = nil
	}
	h.counts["base lost"]++
}

// rollBack takes the volume back to a snapshot that was kept.
func (h *history) rollBack() {
	p := h.points[h.IntN(len(h.points))]
	if p.base == nil || len(p.data) != len(h.model) || p.lost {
		return
	}
	h.rollback(p.base.Name)
	h.model = bytes.Clone(p.data)
	h.counts["rolled back"]++
}

// restore restores any backup to a new volume, or over one that is full of
// something else.
func (h *history) restore(ctx context.Context) {
	p := h.points[h.IntN(len(h.points))]
	image := "volume-" + uuid.NewString()
	extra := 512 * h.IntN(100)
	h.create(image, len(p.data)+extra)
	target, err := h.vols.OpenTarget(ctx, h.at(image))
	h.ok(err)
	dirty := h.IntN(2) == 0
	if dirty {
		junk := bytes.Clone(p.data)
		reach := min(100_000, len(junk)/4)
		for range 20 {
			at := h.IntN(len(junk) - reach)
			rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, h.Uint64()))).Read(junk[at : at+1+h.IntN(reach)])
		}
		_, err := target.WriteAt(junk, 0)
		h.ok(errors.Join(err, target.Flush(), target.Close()))
		target, err = h.vols.OpenTarget(ctx, h.at(image))
		h.ok(err)
	}
	h.ok(h.Restore(ctx, engine.RestoreInput{Store: h.store, Root: p.Root, Digest: p.RootDigest, Keys: h, Target: target, Compare: dirty && h.IntN(2) == 0}))
	got := make([]byte, len(p.data))
	_, err = target.(drivers.ReadableTarget).ReadAt(got, 0)
	h.ok(errors.Join(err, target.Close()))
	if !bytes.Equal(got, p.data) {
		h.Fatalf("backup %s came back otherwise", p.Root)
	}
	h.counts["restored"]++
}

func (h *history) verify(ctx context.Context) {
	p := h.points[h.IntN(len(h.points))]
	found, err := h.Verify(ctx, engine.VerifyInput{Store: h.store, Root: p.Root, Digest: p.RootDigest, Keys: h, Deep: h.IntN(2) == 0})
	h.ok(err)
	if len(found) > 0 {
		h.Fatalf("backup %s is said to be damaged: %v", p.Root, found)
	}
	h.counts["verified"]++
}

// remove deletes any backup, and what only it reached.
func (h *history) remove(ctx context.Context) {
	i := h.IntN(len(h.points))
	p := h.points[i]
	h.points = append(h.points[:i:i], h.points[i+1:]...)
	gone := p.root.Objects()
	for _, other := range h.points {
		gone.Minus(other.root.Objects())
	}
	h.ok(h.DeleteRoot(ctx, h.store, p.Root))
	h.ok(h.Delete(ctx, h.store, h.volume(), gone, nil))
	if p.base != nil {
		h.ok(h.vols.RemoveSnapshot(ctx, *p.base))
	}
	h.counts["deleted"]++
}
