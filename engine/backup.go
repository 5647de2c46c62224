package engine

import (
	"context"
	"fmt"
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
	// Doubt is where Parent may differ from Base, in any order: it is looked at, too.
	Doubt []stowage.Extent
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
	units  int // handed out

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
	// What no root can say is better known before anything is stored.
	if size := in.Source.Size(); !manifest.ValidVolumeID(in.Info.Volume.ID) || size < 0 || size > manifest.MaxVolumeBytes || in.Attempt.Fence > manifest.MaxFence {
		return nil, stowage.Errorf(stowage.Invalid, "a volume %.80q of %d bytes cannot be backed up", in.Info.Volume.ID, size)
	}
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
		ended   atomic.Int64 // readers, when all was read
		delta   manifest.Layer
	)
	// A channel is closed only when all that was to go through it has gone. Who
	// fails leaves it open, and all others end with the context; so the first
	// error is the cause, and nothing that was cut short looks complete.
	group.Go(func() error {
		if err := b.feed(ctx, units, window); err != nil {
			return err
		}
		close(units)
		return nil
	})
	readers.Add(b.opts.Readers)
	for range b.opts.Readers {
		group.Go(func() error {
			defer readers.Done()
			err := b.work(ctx, units, results)
			if err == nil {
				ended.Add(1)
			}
			return err
		})
	}
	group.Go(func() error {
		readers.Wait()
		all := int(ended.Load()) == b.opts.Readers
		b.packs.finish(!all)
		if all {
			close(results)
		}
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
	return b.plan.units(ctx, parent, func(u *unit) error {
		u.seq, b.units = b.units, b.units+1
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
	for {
		u, ok, err := receive(ctx, units)
		if err != nil || !ok {
			return err
		}
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
}

// receive gives the next of a channel; false: it is closed.
func receive[T any](ctx context.Context, from <-chan T) (next T, ok bool, err error) {
	select {
	case next, ok = <-from:
		return next, ok, nil
	case <-ctx.Done():
		return next, false, ctx.Err()
	}
}

// collect puts what was found in the order of the volume, writes it to the
// layer, and counts what of the packs is alive.
func (b *backup) collect(ctx context.Context, results <-chan found, window <-chan struct{}) (manifest.Layer, error) {
	return b.maps.write(ctx, func(add func(entry) error) error { return b.inOrder(ctx, results, window, add) })
}

func (b *backup) inOrder(ctx context.Context, results <-chan found, window <-chan struct{}, add func(entry) error) error {
	early := map[int][]replacing{} // at most as many as the window has
	next := 0
	for {
		f, ok, err := receive(ctx, results)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
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
	if next != b.units {
		return fmt.Errorf("%d of %d units of the volume were done", next, b.units)
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
