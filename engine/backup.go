package engine

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/pack"
)

// BackupInput is what a backup is made of.
type BackupInput struct {
	Source drivers.Source
	Store  drivers.Store
	// Prefix begins the names of all objects. No name under it was ever used.
	Prefix     string
	Backup     string // the backup's UUID, for the manifest
	Volume     stowage.VolumeRecord
	SnapshotAt time.Time
	// Check is asked between the last pack and the manifest whether what was
	// read can be trusted. Its error ends the backup.
	Check    func(context.Context) error
	Progress *Progress
}

// BackupResult is what a backup became.
type BackupResult struct {
	VolumeBytes    int64
	StoredBytes    int64 // all objects, the manifest too
	ObjectCount    int64 // all objects, the manifest too
	Manifest       string
	ManifestDigest string // SHA-256, hex
}

// Backup stores the source. On return without an error it is restorable from
// the store alone; with an error, objects under the prefix may be left.
func (e *Engine) Backup(ctx context.Context, in BackupInput) (BackupResult, error) {
	size := in.Source.Size()
	o := e.opts.withDefaults(size)
	all, err := allocated(ctx, in.Source)
	if err != nil {
		return BackupResult{}, fmt.Errorf("list what the volume holds: %w", err)
	}
	in.Progress.all.Store(all)
	m := manifest.Manifest{
		Backup: in.Backup, Volume: in.Volume, SnapshotAt: in.SnapshotAt.UTC(),
		VolumeBytes: size, ChunkBytes: o.ChunkBytes, PackChunks: o.PackBytes / o.ChunkBytes,
	}
	if err := m.Check(); err != nil { // before everything is uploaded, not after
		return BackupResult{}, stowage.Wrap(stowage.Invalid, err, "A volume of %d bytes does not fit the format.", size)
	}
	if m.Packs, err = e.storeRegions(ctx, in, o, m); err != nil {
		return BackupResult{}, err
	}
	if in.Check != nil {
		if err := in.Check(ctx); err != nil {
			return BackupResult{}, fmt.Errorf("check the snapshot that was read: %w", err)
		}
	}
	data, err := manifest.Encode(m)
	if err != nil {
		return BackupResult{}, err
	}
	name := manifest.Name(in.Prefix)
	if err := in.Store.Put(ctx, name, data); err != nil {
		return BackupResult{}, fmt.Errorf("store the manifest: %w", err)
	}
	digest := sha256.Sum256(data)
	r := BackupResult{
		VolumeBytes: size, StoredBytes: int64(len(data)), ObjectCount: int64(len(m.Packs)) + 1,
		Manifest: name, ManifestDigest: hex.EncodeToString(digest[:]),
	}
	for _, p := range m.Packs {
		r.StoredBytes += p.Bytes
	}
	return r, nil
}

// storeRegions stores every region that holds data and lists the packs.
func (e *Engine) storeRegions(ctx context.Context, in BackupInput, o Options, m manifest.Manifest) (manifest.Packs, error) {
	group, ctx := errgroup.WithContext(ctx)
	regions := make(chan int64)
	group.Go(func() error {
		defer close(regions)
		for r := range m.Regions() {
			select {
			case regions <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	var (
		mu    sync.Mutex
		packs manifest.Packs
	)
	for range o.Workers {
		group.Go(func() error {
			p, err := newPacker(in, o)
			if err != nil {
				return err
			}
			for r := range regions {
				done, err := p.region(ctx, r)
				if err != nil {
					return fmt.Errorf("region %d: %w", r, err)
				}
				if done != nil {
					mu.Lock()
					packs = append(packs, *done)
					mu.Unlock()
				}
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(packs, func(a, b manifest.Pack) int { return int(a.Region - b.Region) })
	return packs, nil
}

// packer is one worker of a backup with its buffers.
type packer struct {
	in    BackupInput
	o     Options
	w     *pack.Writer
	chunk []byte
}

func newPacker(in BackupInput, o Options) (*packer, error) {
	w, err := pack.NewWriter(pack.MaxBytes(o.PackBytes/o.ChunkBytes, o.ChunkBytes), !o.NoCompress)
	if err != nil {
		return nil, err
	}
	return &packer{in: in, o: o, w: w, chunk: make([]byte, o.ChunkBytes)}, nil
}

// region stores one region; nil when it is all zeros.
func (p *packer) region(ctx context.Context, r int64) (*manifest.Pack, error) {
	size, chunkBytes := p.in.Source.Size(), int64(p.o.ChunkBytes)
	start := r * int64(p.o.PackBytes)
	length := min(int64(p.o.PackBytes), size-start)
	p.w.Reset()
	next, counted := int64(0), int64(0) // the first chunk not looked at yet; bytes of extents
	err := p.in.Source.Allocated(ctx, start, length, func(e stowage.Extent) error {
		last := (e.End() - start - 1) / chunkBytes
		for c := max(next, (e.Offset-start)/chunkBytes); c <= last; c++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.add(start, c, min(chunkBytes, length-c*chunkBytes)); err != nil {
				return err
			}
		}
		next, counted = last+1, counted+e.Length
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer p.in.Progress.done.Add(counted)
	if p.w.Len() == 0 {
		return nil, nil
	}
	data := p.w.Finish()
	if err := p.in.Store.Put(ctx, manifest.PackName(p.in.Prefix, r), data); err != nil {
		return nil, fmt.Errorf("store its pack: %w", err)
	}
	sum, etag := sha256.Sum256(data), md5.Sum(data)
	return &manifest.Pack{
		Region: r, Bytes: int64(len(data)),
		MD5: hex.EncodeToString(etag[:]), SHA256: hex.EncodeToString(sum[:]),
	}, nil
}

// add reads one chunk and adds it to the pack unless it is zeros.
func (p *packer) add(start, c, length int64) error {
	chunk := p.chunk[:length]
	at := start + c*int64(p.o.ChunkBytes)
	// io.ReaderAt may give io.EOF with the last bytes; fewer bytes is an error.
	if n, err := p.in.Source.ReadAt(chunk, at); n < len(chunk) {
		return fmt.Errorf("read %d bytes at %d, got %d: %w", length, at, n, err)
	}
	if isZero(chunk) {
		return nil
	}
	return p.w.Add(int(c), chunk)
}

// isZero reports whether all bytes are zero.
func isZero(b []byte) bool {
	for len(b) > zeroRun {
		if !bytes.Equal(b[:zeroRun], zeros) {
			return false
		}
		b = b[zeroRun:]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
