package manager

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// doDelete removes the objects, then the row. A neighbour that is away is
// tried until the job has waited longer than the operator allows.
func (t *task) doDelete(ctx context.Context) error {
	store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
	if err == nil {
		err = t.Engine.Delete(ctx, store, root(t.backup), manifestPrefix(t.backup), t.backup.ManifestDigest, &t.progress)
	}
	if err != nil {
		if t.Now().Sub(t.job.CreatedAt) > t.QueueTimeout {
			return err
		}
		return transient(err)
	}
	move := db.BackupMove{ID: t.backup.ID, From: stowage.BackupDeleting, Remove: true, Now: t.Now()}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}) {
		return errLost
	}
	return nil
}
