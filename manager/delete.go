package manager

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine/manifest"
)

// doDelete makes the backup unknown: first to the backups to come, then to the
// container, then to the users; what only it reached goes. A neighbour that is
// away is tried until the job has waited longer than the operator allows.
func (t *task) doDelete(ctx context.Context) error {
	if err := t.empty(ctx); err != nil {
		if t.Now().Sub(t.job.CreatedAt) > t.QueueTimeout {
			return err
		}
		return transient(err)
	}
	move := db.BackupMove{ID: t.backup.ID, From: stowage.BackupDeleting, Remove: true, Now: t.Now()}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Move: &move, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

func (t *task) empty(ctx context.Context) error {
	if err := t.release(ctx); err != nil {
		return err
	}
	switch _, _, root := manifest.ParseRootName(t.backup.Manifest); {
	case t.backup.Manifest == "": // it was never made
	case fromCinder(t.backup): // whose objects are garbage by now, or stay
	case !root: // of the format before roots, whose backups shared nothing
		all := t.garbage(db.Garbage{Prefix: backupPrefix(t.backup), ReadyAt: t.Now()})
		if err := t.DB.AddGarbage(ctx, all); err != nil {
			return err
		}
	default:
		store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
		if err != nil {
			return err
		}
		if err := t.Engine.DeleteRoot(ctx, store, t.backup.Manifest); err != nil {
			return err
		}
	}
	return t.emptyOut(ctx)
}
