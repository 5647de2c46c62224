package manifest

import (
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/seal"
)

// FormatName is what the JSON of a root says it is.
const FormatName = "stowage-backup"

// Info is what there is to know of a backup: the JSON of a root.
type Info struct {
	Format      string               `json:"format"` // FormatName; Encode sets it
	Backup      uuid.UUID            `json:"backup"`
	Fence       uint64               `json:"fence"`
	Project     string               `json:"project"`
	Volume      stowage.VolumeRecord `json:"volume"`
	SnapshotAt  time.Time            `json:"snapshot_at"`
	CreatedAt   time.Time            `json:"created_at"`
	VolumeBytes int64                `json:"volume_bytes"`
	Incremental bool                 `json:"incremental"`
	Parent      uuid.UUID            `json:"parent,omitzero"` // for the record only
	Name        string               `json:"name,omitempty"`  // the backup's
	Description string               `json:"description,omitempty"`
	Set         *Set                 `json:"set,omitempty"` // nil: of a volume alone
}

// Pack is a pack as a root lists it.
type Pack struct {
	Place
	Bytes      int64
	Alive      uint64 // chunks of it that this root reaches
	AliveBytes int64  // stored bytes of those
	MD5        [16]byte
}

// Root is what there is to say of a backup, and leads to all of it.
type Root struct {
	Format  seal.Format
	Wrapped []byte  // the project's key; none without a cipher
	Self    Attempt // the one that wrote it
	Salt    seal.Salt
	Info    Info
	Salts   map[Attempt]seal.Salt // of every attempt that Layers and Packs refer to
	Layers  []Layer               // newest first
	Packs   []Pack                // by ascending place
	// Kept are attempts that Encode writes the salts of though neither Layers nor
	// Packs refer to them: entries of the map do that newer ones hide, and a map
	// object is not read unless every attempt it names is listed. Reading a root
	// does not fill it.
	Kept []Attempt
	// SetFault is why a set that was there is not in Info. Encode does not write it.
	SetFault string
}

// Keys gives the keys of everything the root leads to.
func (r *Root) Keys(secret *seal.Secret) *Keys {
	k := NewKeys(r.Format, secret)
	for a, s := range r.Salts {
		k.AddAttempt(a, s)
	}
	k.AddAttempt(r.Self, r.Salt)
	return k
}

// Chunks is how many chunks the volume has.
func (r *Root) Chunks() uint64 {
	return (uint64(r.Info.VolumeBytes) + uint64(r.Format.ChunkBytes) - 1) / uint64(r.Format.ChunkBytes)
}

// CheckName holds the root against the name it was found under. Corrupt: it is
// another backup's, another attempt's or another volume's.
func (r *Root) CheckName(name string) error {
	if volume, a, ok := ParseRootName(name); !ok || volume != r.Info.Volume.ID || a != r.Self {
		return corrupt("the root of attempt %d at backup %s is not where it belongs", r.Self.Fence, r.Self.Backup)
	}
	return nil
}

// check holds everything against its bounds. What passes can be written and
// read; nothing else is read.
func (r *Root) check() error {
	if err := r.Format.Check(); err != nil {
		return err
	}
	wrapped := 0
	if r.Format.Cipher != seal.None {
		wrapped = seal.WrappedBytes
	}
	i := &r.Info
	switch {
	case len(r.Wrapped) != wrapped:
		return corrupt("the root has a wrapped key of %d bytes", len(r.Wrapped))
	case i.Format != FormatName:
		return corrupt("the format %.40q is not known", i.Format)
	case i.Backup != r.Self.Backup || i.Fence != r.Self.Fence || i.Fence > MaxFence:
		return corrupt("the root says it is of attempt %d at backup %s", i.Fence, i.Backup)
	case !ValidVolumeID(i.Volume.ID):
		return corrupt("a volume cannot have the id %.80q", i.Volume.ID)
	case i.VolumeBytes < 0 || i.VolumeBytes > MaxVolumeBytes:
		return corrupt("a volume cannot have %d bytes", i.VolumeBytes)
	case len(r.Salts) > MaxAttempts:
		return corrupt("the root refers to %d attempts", len(r.Salts))
	}
	if i.Set != nil {
		if err := i.Set.check(i); err != nil {
			return err
		}
	}
	if s, ok := r.Salts[r.Self]; ok && s != r.Salt {
		return corrupt("the root says its attempt has another salt than it has")
	}
	entries, err := r.checkLayers()
	if err != nil {
		return err
	}
	return r.checkPacks(entries)
}

// checkLayers also gives how many entries there are.
func (r *Root) checkLayers() (entries uint64, err error) {
	if len(r.Layers) > MaxLayers {
		return 0, corrupt("the root has %d layers", len(r.Layers))
	}
	seen, objects := map[Place]bool{}, 0
	for _, l := range r.Layers {
		if objects += len(l); len(l) == 0 || objects > MaxMapObjects {
			return 0, corrupt("the root has a layer of %d map objects", len(l))
		}
		for i := range l {
			o := &l[i]
			if err := o.check(min(r.Chunks(), chunk.MaxNumber)); err != nil {
				return 0, err
			}
			switch {
			case i > 0 && o.First <= l[i-1].Last:
				return 0, corrupt("map object %d is out of place in its layer", o.Number)
			case seen[o.Place]:
				return 0, corrupt("map object %d is listed twice", o.Number)
			case !r.knows(o.Attempt):
				return 0, corrupt("map object %d is of an attempt that is not listed", o.Number)
			}
			seen[o.Place] = true
			entries += o.Entries
		}
	}
	return entries, nil
}

func (r *Root) checkPacks(entries uint64) error {
	if len(r.Packs) > MaxPacks {
		return corrupt("the root has %d packs", len(r.Packs))
	}
	alive := uint64(0)
	over := int64(sealBytes(r.Format.Cipher))
	for i := range r.Packs {
		p := &r.Packs[i]
		switch {
		case p.Number < 1 || p.Number > MaxObjectNumber:
			return corrupt("there cannot be a pack %d", p.Number)
		case i > 0 && r.Packs[i-1].Compare(p.Place) >= 0:
			return corrupt("pack %d is out of place", p.Number)
		case !r.knows(p.Attempt):
			return corrupt("pack %d is of an attempt that is not listed", p.Number)
		case p.Bytes < seal.HeaderBytes+seal.TrailerBytes || p.Bytes > MaxPackBytes:
			return corrupt("pack %d has %d bytes", p.Number, p.Bytes)
		case p.Alive < 1 || p.Alive > MaxPackChunks || p.AliveBytes > p.Bytes || p.AliveBytes < int64(p.Alive)*(1+over):
			return corrupt("pack %d of %d bytes has %d of %d chunks alive", p.Number, p.Bytes, p.AliveBytes, p.Alive)
		}
		alive += p.Alive
	}
	// A chunk of the volume is in one pack at most, where an entry says.
	if alive > entries || alive > r.Chunks() {
		return corrupt("the root has %d chunks alive, of %d entries and %d chunks", alive, entries, r.Chunks())
	}
	return nil
}

func (r *Root) knows(a Attempt) bool { _, ok := r.Salts[a]; return ok }
