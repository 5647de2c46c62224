package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/pack"
)

// RestoreInput is what a restore needs.
type RestoreInput struct {
	Store  drivers.Store
	Prefix string
	// Digest is the manifest's SHA-256 in hex. Empty: it is believed as it is.
	Digest string
	Target drivers.Target
	// BeforeWrite is asked once, before the first byte is written. Its error
	// ends the restore.
	BeforeWrite func(context.Context) error
	Progress    *Progress
}

// Restore writes the backup to the beginning of the target; what a larger
// target has behind it stays. Every pack is looked at before the first byte is
// written, and every byte is checked before it is. Corrupt: an object is not
// what was stored. An object that is not there is Missing: the store may be
// wrong about that for a while.
func (e *Engine) Restore(ctx context.Context, in RestoreInput) error {
	m, err := ReadManifest(ctx, in.Store, in.Prefix, in.Digest)
	if err != nil {
		return err
	}
	if m.VolumeBytes > in.Target.Size() {
		return stowage.Errorf(stowage.Invalid, "the volume has %d bytes, the backup %d", in.Target.Size(), m.VolumeBytes)
	}
	in.Progress.all.Store(m.VolumeBytes)
	if err := lookAtPacks(ctx, in, m); err != nil {
		return err
	}
	fresh, err := in.Target.Empty(ctx)
	if err != nil {
		return fmt.Errorf("look at the volume: %w", err)
	}
	if in.BeforeWrite != nil {
		if err := in.BeforeWrite(ctx); err != nil {
			return err
		}
	}
	if err := e.writeRegions(ctx, in, m, fresh); err != nil {
		return err
	}
	if err := in.Target.Flush(); err != nil {
		return fmt.Errorf("flush the volume: %w", err)
	}
	return nil
}

// Missing marks the error for an object that should be there and, the store
// says, is not. It carries the code Unavailable: a container that is not
// replicated yet, or an endpoint set up wrongly, say the same.
type Missing struct{ Cause error }

// Error gives the cause's text.
func (m *Missing) Error() string { return m.Cause.Error() }

// Unwrap gives the cause.
func (m *Missing) Unwrap() error { return m.Cause }

// ReadManifest reads the manifest under a prefix, and checks its digest unless
// that is empty. A manifest that is gone is Missing.
func ReadManifest(ctx context.Context, store drivers.Store, prefix, digest string) (*manifest.Manifest, error) {
	name := manifest.Name(prefix)
	info, err := store.Stat(ctx, name)
	if err != nil {
		return nil, lost(err, "the backup's manifest")
	}
	if info.Bytes > manifest.MaxStored {
		return nil, stowage.Errorf(stowage.Corrupt, "the backup's manifest has %d bytes", info.Bytes)
	}
	data, err := getWhole(ctx, store, name, make([]byte, info.Bytes))
	if err != nil {
		return nil, lost(err, "the backup's manifest")
	}
	if sum := sha256.Sum256(data); digest != "" && hex.EncodeToString(sum[:]) != digest {
		return nil, stowage.Errorf(stowage.Corrupt, "the backup's manifest was changed after it was written")
	}
	return manifest.Decode(data)
}

// lost turns "there is no such object" into Missing.
func lost(err error, what string) error {
	if stowage.CodeOf(err) == stowage.NotFound {
		return &Missing{stowage.Wrap(stowage.Unavailable, err, "%s is missing from the container", what)}
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// getWhole reads an object of exactly len(buf) bytes.
func getWhole(ctx context.Context, store drivers.Store, name string, buf []byte) ([]byte, error) {
	n, err := store.Get(ctx, name, buf, 0)
	if err != nil {
		return nil, err
	}
	if n != len(buf) {
		return nil, stowage.Errorf(stowage.Corrupt, "object %s has %d bytes instead of %d", name, n, len(buf))
	}
	return buf, nil
}

// lookAtPacks checks that every pack is there with the right size and ETag.
func lookAtPacks(ctx context.Context, in RestoreInput, m *manifest.Manifest) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, p := range m.Packs {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			what := fmt.Sprintf("pack %d of the backup", p.Region)
			info, err := in.Store.Stat(gctx, manifest.PackName(in.Prefix, p.Region))
			if err != nil {
				return lost(err, what)
			}
			if info.Bytes != p.Bytes || info.ETag != "" && info.ETag != p.MD5 {
				return stowage.Errorf(stowage.Corrupt, "%s was changed after it was written", what)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// work is one region to write: a pack, or nil for zeros.
type work struct {
	region int64
	pack   *manifest.Pack
}

func (e *Engine) writeRegions(ctx context.Context, in RestoreInput, m *manifest.Manifest, fresh bool) error {
	group, ctx := errgroup.WithContext(ctx)
	todo := make(chan work)
	group.Go(func() error {
		defer close(todo)
		packs := m.Packs
		for r := range m.Regions() {
			w := work{region: r}
			if len(packs) > 0 && packs[0].Region == r {
				w.pack, packs = &packs[0], packs[1:]
			}
			select {
			case todo <- w:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range e.opts.withDefaults(m.VolumeBytes).Workers {
		group.Go(func() error {
			u, err := newUnpacker(in, m, fresh)
			if err != nil {
				return err
			}
			defer u.reader.Close()
			for w := range todo {
				if err := u.write(ctx, w); err != nil {
					return fmt.Errorf("region %d: %w", w.region, err)
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// unpacker is one worker of a restore with its buffers.
type unpacker struct {
	in     RestoreInput
	m      *manifest.Manifest
	fresh  bool
	reader *pack.Reader
	room   []byte // of the pack
	chunk  []byte
}

func newUnpacker(in RestoreInput, m *manifest.Manifest, fresh bool) (*unpacker, error) {
	reader, err := pack.NewReader(m.ChunkBytes)
	if err != nil {
		return nil, err
	}
	return &unpacker{in: in, m: m, fresh: fresh, reader: reader, chunk: make([]byte, m.ChunkBytes)}, nil
}

func (u *unpacker) write(ctx context.Context, w work) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := w.region * u.m.RegionBytes()
	length := min(u.m.RegionBytes(), u.m.VolumeBytes-start)
	at := int64(0) // written so far
	if w.pack != nil {
		p, err := u.fetch(ctx, w.pack)
		if err != nil {
			return err
		}
		for _, entry := range p.Entries {
			offset := int64(entry.Number) * int64(u.m.ChunkBytes)
			if offset >= length || int64(entry.Length) != min(int64(u.m.ChunkBytes), length-offset) {
				return stowage.Errorf(stowage.Corrupt, "chunk %d has %d bytes", entry.Number, entry.Length)
			}
			plain, err := u.reader.Plain(p, entry, u.chunk)
			if err != nil {
				return err
			}
			if err := u.zero(start+at, offset-at); err != nil {
				return err
			}
			if err := u.data(start+offset, plain); err != nil {
				return err
			}
			at = offset + int64(entry.Length)
		}
	}
	if err := u.zero(start+at, length-at); err != nil {
		return err
	}
	u.in.Progress.done.Add(length)
	return nil
}

// fetch gets a pack and holds it against the manifest.
func (u *unpacker) fetch(ctx context.Context, p *manifest.Pack) (*pack.Pack, error) {
	if int64(cap(u.room)) < p.Bytes {
		u.room = make([]byte, max(p.Bytes, min(u.m.RegionBytes(), manifest.MaxPackBytes)))
	}
	data, err := getWhole(ctx, u.in.Store, manifest.PackName(u.in.Prefix, p.Region), u.room[:p.Bytes])
	if err != nil {
		return nil, lost(err, "its pack")
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.SHA256 {
		return nil, stowage.Errorf(stowage.Corrupt, "its pack is not what was stored")
	}
	return pack.Parse(data, u.m.PackChunks, u.m.ChunkBytes)
}

// data writes a chunk, its runs of zeros as zeros.
func (u *unpacker) data(at int64, plain []byte) error {
	for len(plain) > 0 {
		n := 0
		empty := isZero(plain[:min(zeroRun, len(plain))])
		for n < len(plain) && isZero(plain[n:min(n+zeroRun, len(plain))]) == empty {
			n = min(n+zeroRun, len(plain))
		}
		if empty {
			if err := u.zero(at, int64(n)); err != nil {
				return err
			}
		} else if _, err := u.in.Target.WriteAt(plain[:n], at); err != nil {
			return fmt.Errorf("write %d bytes at %d: %w", n, at, err)
		}
		plain, at = plain[n:], at+int64(n)
	}
	return nil
}

// zero makes a run of the target zeros; a fresh target is zeros already.
func (u *unpacker) zero(at, length int64) error {
	if u.fresh || length == 0 {
		return nil
	}
	if err := u.in.Target.WriteZeroes(at, length); err != nil {
		return fmt.Errorf("write %d zeros at %d: %w", length, at, err)
	}
	return nil
}
