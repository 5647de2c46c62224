package catalog

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/seal"
)

func (c *Catalog) keys() engine.Keyring { return ring{c.Master, c.Project} }

// ring opens the keys that stand in roots.
type ring struct {
	master  *seal.Master
	project string
}

func (r ring) Key(_ context.Context, id seal.KeyID, wrapped []byte) (seal.Key, error) {
	if r.master == nil {
		return seal.Key{}, &noKey{stowage.Errorf(stowage.Forbidden, "it is sealed, and there is no master key")}
	}
	key, err := r.master.Unwrap(id, wrapped, r.project)
	if stowage.CodeOf(err) == stowage.Forbidden {
		return key, &noKey{err}
	}
	return key, err
}

// noKey tells a key that is not here from an object that may not be read.
type noKey struct{ cause error }

func (n *noKey) Error() string { return n.cause.Error() }
func (n *noKey) Unwrap() error { return n.cause }
