package manifest

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/stowage/stowage/engine/seal"
)

// boxesKept is how many objects' boxes Keys holds on to, a kilobyte or so each:
// a restore goes to and fro among the packs of its layers.
const boxesKept = 1024

// Keys gives the boxes of any object that a root leads to: they follow from the
// format, the project's key, the salt of the attempt and the number of the
// object. It may be used by many goroutines at once.
type Keys struct {
	format seal.Format
	secret *seal.Secret
	mu     sync.RWMutex // guards salts
	salts  map[Attempt]seal.Salt
	boxes  *lru.Cache[seal.Header, *seal.Boxes]
}

// NewKeys makes Keys that know no attempt. Without a cipher, secret is not
// looked at.
func NewKeys(f seal.Format, secret *seal.Secret) *Keys {
	boxes, err := lru.New[seal.Header, *seal.Boxes](boxesKept)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Keys{format: f, secret: secret, salts: map[Attempt]seal.Salt{}, boxes: boxes}
}

// Format gives what all the objects have in common.
func (k *Keys) Format() seal.Format { return k.format }

// AddAttempt makes an attempt known.
func (k *Keys) AddAttempt(a Attempt, s seal.Salt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.salts[a] = s
}

// Knows reports whether an attempt is known.
func (k *Keys) Knows(a Attempt) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, known := k.salts[a]
	return known
}

// Header gives the header that an object must have. Corrupt: its attempt is
// not known.
func (k *Keys) Header(kind seal.Kind, p Place) (seal.Header, error) {
	k.mu.RLock()
	salt, known := k.salts[p.Attempt]
	k.mu.RUnlock()
	if !known {
		return seal.Header{}, corrupt("attempt %d at backup %s is not known here", p.Fence, p.Backup)
	}
	return seal.Header{Kind: kind, Format: k.format, Salt: salt, Number: p.Number}, nil
}

// Boxes gives the boxes of an object. Corrupt: its attempt is not known.
func (k *Keys) Boxes(kind seal.Kind, p Place) (*seal.Boxes, error) {
	h, err := k.Header(kind, p)
	if err != nil {
		return nil, err
	}
	if b, ok := k.boxes.Get(h); ok {
		return b, nil
	}
	b, err := seal.New(h, k.secret)
	if err != nil {
		return nil, err
	}
	k.boxes.Add(h, b)
	return b, nil
}
