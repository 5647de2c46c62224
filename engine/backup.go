package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// BackupInput is what a backup is made of.
type BackupInput struct {
	Source drivers.Source
	Store  drivers.Store
	// Attempt begins the names of all objects. No name of it was ever used.
	Attempt manifest.Attempt
	// Info is what the root is to say; the engine fills in what it finds out.
	Info manifest.Info
	// Key seals what is stored; nil: nothing is sealed.
	Key *seal.Key
	// Parent is the root of an earlier backup of the volume in this container,
	// opened; nil: a full backup. One of another format is as none.
	Parent *manifest.Root
	// Base is the snapshot that Parent was made of, if it is still there.
	Base *stowage.Snapshot
	// Check is asked between the last object and the root whether what was
	// read can be trusted. Its error ends the backup.
	Check    func(context.Context) error
	Progress *Progress // may be nil
}

// BackupResult is what a backup became.
type BackupResult struct {
	Mode        Mode
	VolumeBytes int64
	ReadBytes   int64 // of the volume
	StoredBytes int64 // what this backup added to the container
	ObjectCount int64 // what a restore reads: packs, map objects and the root
	Root        string
	RootDigest  string // SHA-256 of the root, hex
	Reach       *manifest.Objects
	// Spare are objects that were stored on the way and that nothing refers to.
	Spare *manifest.Objects
}

// backup is one backup under way.
type backup struct {
	*Engine
	in     BackupInput
	plan   *plan
	keys   *manifest.Keys
	format seal.Format
	salt   seal.Salt
	packs  *packer
	maps   *mapper
	limit  *rate.Limiter
	cpus   *cpus
	number atomic.Uint64

	read, stored atomic.Int64
	alive        map[manifest.Place]*manifest.Pack // of the parent, and of this backup's own without length and MD5
}

// Backup stores the source. On return without an error it is restorable from
// the store alone; with an error, objects of the attempt may be left, and
// nothing refers to them.
func (e *Engine) Backup(ctx context.Context, in BackupInput) (BackupResult, error) {
	e.jobs.Add(1)
	defer e.jobs.Add(-1)
	if in.Progress == nil {
		in.Progress = &Progress{}
	}
	b, err := e.newBackup(ctx, in)
	if err != nil {
		return BackupResult{}, err
	}
	delta, err := b.storeChunks(ctx)
	if err != nil {
		return BackupResult{}, err
	}
	layers, err := b.maps.settle(ctx, delta, b.plan.parent)
	if err != nil {
		return BackupResult{}, err
	}
	root, err := b.root(layers)
	if err != nil {
		return BackupResult{}, err
	}
	return b.commit(ctx, root)
}

func (e *Engine) newBackup(ctx context.Context, in BackupInput) (*backup, error) {
	b := &backup{Engine: e, in: in, limit: limiter(e.opts.JobBytesPerSecond), cpus: e.cpus(), salt: seal.NewSalt(), alive: map[manifest.Place]*manifest.Pack{}}
	b.format = seal.Format{Hash: e.opts.Hash, ChunkBytes: e.opts.ChunkBytes}
	var secret *seal.Secret
	if in.Key != nil {
		b.format.Cipher, b.format.KeyID, secret = seal.AES256GCM, in.Key.ID, &in.Key.Secret
	}
	parent := in.Parent
	if parent != nil && !b.extends(parent) {
		parent = nil
	}
	b.keys = manifest.NewKeys(b.format, secret)
	b.keys.AddAttempt(in.Attempt, b.salt)
	if parent != nil {
		for a, s := range parent.Salts {
			b.keys.AddAttempt(a, s)
		}
		for _, p := range parent.Packs {
			b.alive[p.Place] = &p
		}
	}
	var err error
	if b.plan, err = makePlan(ctx, in, parent, b.format.ChunkBytes); err != nil {
		return nil, err
	}
	b.maps = &mapper{
		e: e, store: in.Store, volume: in.Info.Volume.ID, keys: b.keys, attempt: in.Attempt, next: b.next,
		stored: b.count, limit: b.limit, listed: b.lives, put: &manifest.Objects{},
	}
	if err := b.thin(ctx); err != nil {
		return nil, err
	}
	in.Progress.all.Store(int64(b.plan.chunks.GetCardinality()) * int64(b.format.ChunkBytes))
	return b, nil
}

// extends reports whether an increment of this root can be written at all.
func (b *backup) extends(parent *manifest.Root) bool {
	return parent.Format == b.format && parent.Info.VolumeBytes <= b.in.Source.Size() && parent.Info.Volume.ID == b.in.Info.Volume.ID &&
		len(parent.Salts) < manifest.MaxAttempts
}

// next numbers the objects of the attempt.
func (b *backup) next() uint64 { return b.number.Add(1) }

func (b *backup) count(n int) {
	b.stored.Add(int64(n))
	b.in.Progress.stored.Add(int64(n))
}

// found is what a worker found in a unit: entries that replace others.
type found struct {
	seq     int
	entries []replacing
}

// replacing is a new entry, and the parent's for the same chunk.
type replacing struct {
	entry
	old *entry
}

// storeChunks reads the volume and stores what is new. It gives the layer of
// what is new; its map objects may not be stored yet.
func (b *backup) storeChunks(ctx context.Context) (manifest.Layer, error) {
	group, ctx := errgroup.WithContext(ctx)
	b.packs = &packer{
		e: b.Engine, store: b.in.Store, volume: b.in.Info.Volume.ID, keys: b.keys, attempt: b.in.Attempt, next: b.next,
		uploads: group, ctx: ctx, stored: b.count, cpus: b.cpus, done: map[manifest.Place]manifest.Pack{},
	}
	b.crowd.join(b.packs)
	defer b.packs.abandon()
	var (
		units   = make(chan *unit)
		results = make(chan found)
		window  = make(chan struct{}, 8*b.opts.Readers) // units begun and not collected
		readers sync.WaitGroup
		delta   manifest.Layer
	)
	group.Go(func() error {
		defer close(units)
		return b.feed(ctx, units, window)
	})
	readers.Add(b.opts.Readers)
	for range b.opts.Readers {
		group.Go(func() error {
			defer readers.Done()
			return b.work(ctx, units, results)
		})
	}
	group.Go(func() error {
		readers.Wait()
		close(results)
		b.packs.finish(ctx.Err() != nil)
		return nil
	})
	group.Go(func() (err error) {
		delta, err = b.collect(ctx, results, window)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return delta, nil
}

// feed hands out the units.
func (b *backup) feed(ctx context.Context, units chan<- *unit, window chan<- struct{}) error {
	var parent *peeker
	if b.plan.parent != nil {
		parent = b.parentMap()
		defer parent.Close()
	}
	seq := 0
	return b.plan.units(ctx, parent, func(u *unit) error {
		u.seq, seq = seq, seq+1
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case units <- u:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// work takes units through reading, hashing, compressing and sealing.
func (b *backup) work(ctx context.Context, units <-chan *unit, results chan<- found) error {
	w, err := b.newWorker()
	if err != nil {
		return err
	}
	defer w.close()
	for u := range units {
		entries, err := w.unit(ctx, u)
		if err != nil {
			return err
		}
		select {
		case results <- found{u.seq, entries}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// collect puts what was found in the order of the volume, writes it to the
// layer, and counts what of the packs is alive.
func (b *backup) collect(ctx context.Context, results <-chan found, window <-chan struct{}) (manifest.Layer, error) {
	return b.maps.write(ctx, func(add func(entry) error) error { return b.inOrder(ctx, results, window, add) })
}

func (b *backup) inOrder(ctx context.Context, results <-chan found, window <-chan struct{}, add func(entry) error) error {
	early := map[int][]replacing{} // at most as many as the window has
	next := 0
	for f := range results {
		early[f.seq] = f.entries
		for {
			entries, ok := early[next]
			if !ok {
				break
			}
			delete(early, next)
			next++
			<-window
			for _, e := range entries {
				if err := add(e.entry); err != nil {
					return err
				}
				if err := b.replace(e); err != nil {
					return err
				}
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(early) > 0 {
		return fmt.Errorf("unit %d of the volume was never done", next)
	}
	return nil
}

// replace counts an entry that takes the place of another.
func (b *backup) replace(e replacing) error {
	if e.old != nil {
		p := b.alive[e.old.Pack]
		if p != nil && p.Alive > 0 {
			p.Alive--
			p.AliveBytes -= int64(e.old.Stored)
		} else {
			p = nil
		}
		if p == nil || p.AliveBytes < 0 || (p.Alive == 0) != (p.AliveBytes == 0) {
			return stowage.Errorf(stowage.Corrupt, "the parent's map and its list of packs do not agree on pack %d", e.old.Pack.Number)
		}
	}
	if e.Codec == codec.Zeros {
		return nil
	}
	p := b.alive[e.Pack]
	if p == nil {
		p = &manifest.Pack{Place: e.Pack}
		b.alive[e.Pack] = p
	}
	p.Alive++
	p.AliveBytes += int64(e.Stored)
	return nil
}

// lives reports whether the root is going to list a pack.
func (b *backup) lives(pack manifest.Place) bool {
	p := b.alive[pack]
	return p != nil && p.Alive > 0
}

// root makes the root, once everything it leads to has arrived.
func (b *backup) root(layers []manifest.Layer) (*manifest.Root, error) {
	arrived, err := b.packs.arrived()
	if err != nil {
		return nil, err
	}
	r := &manifest.Root{
		Format: b.format, Self: b.in.Attempt, Salt: b.salt, Info: b.in.Info,
		Salts: map[manifest.Attempt]seal.Salt{b.in.Attempt: b.salt}, Layers: layers,
	}
	if b.in.Key != nil {
		r.Wrapped = b.in.Key.Wrapped
	}
	r.Info.VolumeBytes = b.plan.size
	if b.plan.parent != nil {
		r.Info.Incremental, r.Info.Parent = true, b.plan.parent.Self.Backup
		maps.Copy(r.Salts, b.plan.parent.Salts)
		if keepsAny(layers, b.plan.parent.Layers) {
			r.Kept = slices.Collect(maps.Keys(b.plan.parent.Salts))
		}
	}
	for place, p := range b.alive {
		if p.Alive == 0 {
			continue
		}
		if p.Bytes == 0 { // of this attempt
			up, ok := arrived[place]
			if !ok {
				return nil, fmt.Errorf("pack %d holds %d chunks and never arrived", place.Number, p.Alive)
			}
			p.Bytes, p.MD5 = up.Bytes, up.MD5
		}
		r.Packs = append(r.Packs, *p)
	}
	slices.SortFunc(r.Packs, func(a, b manifest.Pack) int { return a.Place.Compare(b.Place) })
	return r, nil
}

// keepsAny reports whether one of the layers is one of those below. Only that
// can name attempts of which nothing is reached any more: a new layer has no
// entry that is hidden.
func keepsAny(layers, below []manifest.Layer) bool {
	return len(layers) > 0 && len(below) > 0 && layers[len(layers)-1][0].Place == below[len(below)-1][0].Place
}

// commit proves what was read and stores the root: the one step that makes the
// backup.
func (b *backup) commit(ctx context.Context, root *manifest.Root) (BackupResult, error) {
	if b.in.Check != nil {
		if err := b.in.Check(ctx); err != nil {
			return BackupResult{}, fmt.Errorf("check the snapshot that was read: %w", err)
		}
	}
	c, err := b.codecs.get()
	if err != nil {
		return BackupResult{}, err
	}
	defer b.codecs.put(c)
	var secret *seal.Secret
	if b.in.Key != nil {
		secret = &b.in.Key.Secret
	}
	data, err := root.Encode(secret, c)
	if err != nil {
		return BackupResult{}, err
	}
	name := manifest.RootName(root.Info.Volume.ID, root.Self)
	if _, err := b.in.Store.Put(ctx, name, data); err != nil {
		return BackupResult{}, fmt.Errorf("store the root: %w", err)
	}
	b.count(len(data))
	digest := sha256.Sum256(data)
	reach, spare := root.Objects(), b.maps.put
	spare.Minus(reach)
	return BackupResult{
		Mode: b.plan.mode, VolumeBytes: b.plan.size, ReadBytes: b.read.Load(), StoredBytes: b.stored.Load(),
		ObjectCount: int64(reach.Len()) + 1, Root: name, RootDigest: hex.EncodeToString(digest[:]), Reach: reach, Spare: spare,
	}, nil
}
