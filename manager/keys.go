package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/seal"
)

// Keys makes and opens the keys of projects. They lie in the database, wrapped
// by the operator's master key, and nowhere in clear.
type Keys struct {
	DB     *db.DB
	Master *seal.Master // nil: what is sealed cannot be opened
	Seal   bool         // new backups are sealed
	Now    func() time.Time
}

// New gives the key to seal a project's new backups with, nil if they are not
// to be sealed. The first time, it is made.
func (k *Keys) New(ctx context.Context, project string) (*seal.Key, error) {
	if !k.Seal {
		return nil, nil
	}
	have, err := k.DB.ProjectKey(ctx, project)
	if stowage.CodeOf(err) == stowage.NotFound {
		var made seal.Key
		if made, err = k.Master.NewKey(project); err != nil {
			return nil, fmt.Errorf("make a key for project %s: %w", project, err)
		}
		have, err = k.DB.AddProjectKey(ctx, db.ProjectKey{ProjectID: project, ID: made.ID, Wrapped: made.Wrapped, CreatedAt: k.Now()})
	}
	if err != nil {
		return nil, err
	}
	key, err := k.Master.Unwrap(have.ID, have.Wrapped, project)
	if err != nil {
		return nil, fmt.Errorf("open the key of project %s: %w", project, err)
	}
	return &key, nil
}

// Of gives the keys of one project.
func (k *Keys) Of(project string) engine.Keyring { return ring{k, project} }

type ring struct {
	*Keys
	project string
}

// Key opens the key that the database has under this id, or else the one that
// stands in the root: it may come from another installation.
func (r ring) Key(ctx context.Context, id seal.KeyID, wrapped []byte) (seal.Key, error) {
	if r.Master == nil {
		return seal.Key{}, stowage.Errorf(stowage.Forbidden, "The backup is encrypted, and this manager has no master key.")
	}
	have, err := r.DB.ProjectKeyByID(ctx, r.project, id)
	switch {
	case err == nil:
		wrapped = have.Wrapped
	case stowage.CodeOf(err) != stowage.NotFound:
		return seal.Key{}, err
	}
	return r.Master.Unwrap(id, wrapped, r.project)
}
