package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// Keyring finds the key a root was sealed with, or opens the one that stands
// wrapped in the root. Forbidden: it is not to be had.
type Keyring interface {
	Key(ctx context.Context, id seal.KeyID, wrapped []byte) (seal.Key, error)
}

// Opened is a root that was read, with the key to what it leads to.
type Opened struct {
	*manifest.Root
	Key *seal.Key // nil: nothing is sealed
}

// Keys gives the keys of the objects the root leads to.
func (o *Opened) Keys() *manifest.Keys {
	if o.Key == nil {
		return o.Root.Keys(nil)
	}
	return o.Root.Keys(&o.Key.Secret)
}

// maxRoot bounds the bytes of a root: its body in a box, and the clear part.
const maxRoot = 256<<20 + 4096

// Missing marks the error for an object that should be there and, the store
// says, is not. It carries the code Unavailable: a container that is not
// replicated yet, or an endpoint set up wrongly, say the same.
type Missing struct{ Cause error }

// Error gives the cause's text.
func (m *Missing) Error() string { return m.Cause.Error() }

// Unwrap gives the cause.
func (m *Missing) Unwrap() error { return m.Cause }

func isMissing(err error) bool {
	_, missing := errors.AsType[*Missing](err)
	return missing
}

// lost turns "there is no such object" into Missing.
func lost(err error, what string) error {
	if stowage.CodeOf(err) == stowage.NotFound {
		return &Missing{stowage.Wrap(stowage.Unavailable, err, "%s is missing from the container", what)}
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// ReadRoot reads the root of this name, and checks its digest unless that is
// empty. A root that is gone is Missing; one that is not what was stored, or
// not of this name, is Corrupt.
func (e *Engine) ReadRoot(ctx context.Context, store drivers.Store, name, digest string, keys Keyring) (*Opened, error) {
	info, err := store.Stat(ctx, name)
	if err != nil {
		return nil, lost(err, "the backup's root")
	}
	if info.Bytes > maxRoot {
		return nil, stowage.Errorf(stowage.Corrupt, "the backup's root has %d bytes", info.Bytes)
	}
	data := make([]byte, info.Bytes)
	if err := getExactly(ctx, store, name, data, 0); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); digest != "" && hex.EncodeToString(sum[:]) != digest {
		return nil, stowage.Errorf(stowage.Corrupt, "the backup's root was changed after it was written")
	}
	sealed, err := manifest.ParseRoot(data)
	if err != nil {
		return nil, err
	}
	o := &Opened{}
	var secret *seal.Secret
	if sealed.Header.Cipher != seal.None {
		if keys == nil {
			return nil, stowage.Errorf(stowage.Forbidden, "the backup is encrypted, and there is no key")
		}
		key, err := keys.Key(ctx, sealed.Header.KeyID, sealed.Wrapped)
		if err != nil {
			return nil, fmt.Errorf("find the key of the backup: %w", err)
		}
		o.Key, secret = &key, &key.Secret
	}
	c, err := e.codecs.get()
	if err != nil {
		return nil, err
	}
	defer e.codecs.put(c)
	if o.Root, err = sealed.Open(secret, c); err != nil {
		return nil, err
	}
	return o, o.CheckName(name)
}

// Damage is an object that is not what it should be.
type Damage struct {
	Name string
	Why  string
}

// gone is why of an object that is not there.
const gone = "it is missing"

// object is one that a root leads to, and what its root says of it.
type object struct {
	kind  seal.Kind
	place manifest.Place
	name  string
	bytes int64
	md5   [16]byte
}

// objects calls fn for everything a root leads to.
func objects(r *manifest.Root, fn func(object) bool) {
	volume := r.Info.Volume.ID
	for _, p := range r.Packs {
		if !fn(object{seal.Pack, p.Place, manifest.PackName(volume, p.Place), p.Bytes, p.MD5}) {
			return
		}
	}
	for _, l := range r.Layers {
		for _, o := range l {
			if !fn(object{seal.Map, o.Place, manifest.MapName(volume, o.Place), o.Bytes, o.MD5}) {
				return
			}
		}
	}
}

// maxDamages bounds what is remembered of a backup that is damaged all over.
const maxDamages = 1000

// LookAt looks at every object a root leads to, without reading any, and names
// those that are gone or not what was stored. progress may be nil; it counts
// objects.
func (e *Engine) LookAt(ctx context.Context, store drivers.Store, r *manifest.Root, progress *Progress) ([]Damage, error) {
	if progress != nil {
		progress.all.Store(int64(r.Objects().Len()))
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(e.opts.Fetches)
	var mu sync.Mutex
	var found []Damage
	objects(r, func(o object) bool {
		group.Go(func() error {
			info, err := store.Stat(gctx, o.name)
			why := ""
			switch {
			case stowage.CodeOf(err) == stowage.NotFound:
				why = gone
			case err != nil:
				return fmt.Errorf("look at %s: %w", o.name, err)
			case info.Bytes != o.bytes:
				why = fmt.Sprintf("it has %d bytes instead of %d", info.Bytes, o.bytes)
			case info.ETag != "" && info.ETag != hex.EncodeToString(o.md5[:]):
				why = "it was changed after it was written"
			}
			if why != "" {
				mu.Lock()
				defer mu.Unlock()
				if len(found) < maxDamages {
					found = append(found, Damage{o.name, why})
				}
			}
			if progress != nil {
				progress.done.Add(1)
			}
			return nil
		})
		return gctx.Err() == nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, ctx.Err()
}
