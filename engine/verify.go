package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// VerifyInput is what a verification needs.
type VerifyInput struct {
	Store drivers.Store
	// Root is the name of the backup's root, and Digest its SHA-256 in hex.
	// Empty: the root is believed as it is.
	Root, Digest string
	Keys         Keyring
	// Chain, if there is one, says that the backup is cinder-backup's, as in
	// RestoreInput.
	Chain *cinderbackup.Chain
	// Deep reads and hashes every chunk and every page of the map; else every
	// object is looked at: its length, and its MD5 where the store keeps it.
	Deep     bool
	Progress *Progress // may be nil
}

// Verify looks whether a backup can be restored, and names what is damaged. An
// error says that it could not be found out.
func (e *Engine) Verify(ctx context.Context, in VerifyInput) ([]Damage, error) {
	if in.Progress == nil {
		in.Progress = &Progress{}
	}
	if in.Chain != nil {
		return e.verifyChain(ctx, in)
	}
	root, err := e.ReadRoot(ctx, in.Store, in.Root, in.Digest, in.Keys)
	if why, bad := DamageOf(err); bad {
		return []Damage{{in.Root, why}}, nil
	}
	if err != nil {
		return nil, err
	}
	if !in.Deep {
		return e.LookAt(ctx, in.Store, root.Root, in.Progress)
	}
	found, err := e.LookAt(ctx, in.Store, root.Root, nil)
	if err != nil {
		return nil, err
	}
	in.Progress.all.Store(root.Info.VolumeBytes)
	r := &reader{fetcher: e.newFetcher(in.Store, root), progress: in.Progress, listed: root.Objects(), known: map[string]bool{}}
	for _, d := range found {
		r.known[d.Name] = true
	}
	err = r.run(ctx, r)
	if _, bad := DamageOf(err); bad { // of the map: without it no chunk is found
		err = r.maps(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return append(found, r.found...), nil
}

// DamageOf tells an error that says something of the backup from one that says
// something of the day.
func DamageOf(err error) (why string, bad bool) {
	switch {
	case err == nil:
		return "", false
	case isMissing(err):
		return gone, true
	case stowage.CodeOf(err) == stowage.Corrupt:
		return stowage.MessageOf(err), true
	}
	return "", false
}

// reader reads all of a backup for the sake of reading it.
type reader struct {
	*fetcher
	progress *Progress
	listed   *manifest.Objects // by the root

	mu    sync.Mutex
	known map[string]bool // objects that are told already
	found []Damage
}

// maps finds the map objects that are damaged, each by itself; cause is what
// the whole map gave.
func (r *reader) maps(ctx context.Context, cause error) error {
	bad := false
	for _, l := range r.root.Layers {
		for _, o := range l {
			name := manifest.MapName(r.root.Info.Volume.ID, o.Place)
			if !r.known[name] {
				err := r.pages(ctx, o)
				why, damaged := DamageOf(err)
				if err != nil && !damaged {
					return err
				}
				if !damaged {
					continue
				}
				r.tell(name, why)
			}
			bad = true
		}
	}
	if !bad {
		return stowage.Wrap(stowage.Unavailable, cause, "the map was read wrong, and then right")
	}
	return nil
}

// pages reads all of one map object.
func (r *reader) pages(ctx context.Context, o manifest.Object) error {
	cursor := manifest.NewCursor(r.keys, r.fetchMap, []manifest.Layer{{o}})
	defer cursor.Close()
	for {
		if _, ok, err := cursor.Next(ctx); err != nil || !ok {
			return err
		}
	}
}

// tell notes a damage, unless the object is known to be damaged.
func (r *reader) tell(name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known[name] && len(r.found) < maxDamages {
		r.known[name] = true
		r.found = append(r.found, Damage{name, why})
	}
}

func (r *reader) window(_ context.Context, from, to uint64, entries []entry) ([]entry, error) {
	data := int64(0)
	for _, e := range entries {
		if !r.listed.Has(seal.Pack, e.Pack) {
			r.tell(manifest.RootName(r.root.Info.Volume.ID, r.root.Self), stowage.MessageOf(unlisted(e.Pack)))
		}
		data += int64(r.length(e.Chunk))
	}
	unit := int64(r.root.Format.ChunkBytes)
	r.progress.done.Add(min(int64(to)*unit, r.root.Info.VolumeBytes) - int64(from)*unit - data)
	return entries, nil
}

func (r *reader) chunk(_ context.Context, e entry, plain []byte) error {
	r.progress.done.Add(int64(len(plain)))
	return nil
}

func (r *reader) damaged(e entry, err error) error {
	r.progress.done.Add(int64(r.length(e.Chunk)))
	why, _ := DamageOf(err)
	r.tell(manifest.PackName(r.root.Info.Volume.ID, e.Pack), why)
	return nil
}

// Describe tells of damages in one line, "" if there are none.
func Describe(damages []Damage) string {
	switch len(damages) {
	case 0:
		return ""
	case 1:
		return damages[0].Name + ": " + damages[0].Why
	}
	return fmt.Sprintf("%s: %s (and %d more objects)", damages[0].Name, damages[0].Why, len(damages)-1)
}
