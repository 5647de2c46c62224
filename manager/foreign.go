package manager

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/cinderbackup"
)

// fromCinder tells a backup that cinder-backup made from our own: by the name of
// the object that a restore begins with.
func fromCinder(b stowage.Backup) bool {
	_, ok := cinderbackup.ParseMetadataName(b.Manifest)
	return ok
}

// chain gives the chain of a backup that cinder-backup made; nil: it is one of
// our own. It is what the backup reaches, and was written down when it was
// imported, so that no listing is asked.
func (t *task) chain(ctx context.Context) (*cinderbackup.Chain, error) {
	if !fromCinder(t.backup) {
		return nil, nil
	}
	r, err := t.reached(ctx)
	if err != nil {
		return nil, err
	}
	if r.chain == nil || len(r.chain.Members) == 0 || r.chain.Members[0].Prefix.Metadata() != t.backup.Manifest {
		return nil, stowage.Errorf(stowage.Internal, "It is not written down what the backup needs.")
	}
	return r.chain, nil
}
