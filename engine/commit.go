package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

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
	r.Info.Backup, r.Info.Fence, r.Info.VolumeBytes = r.Self.Backup, r.Self.Fence, b.plan.size
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
