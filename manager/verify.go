package manager

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
)

// doVerify looks whether the backup can be restored, and notes what it finds.
// The backup's status stays: the one who restores is told, and decides.
func (t *task) doVerify(ctx context.Context) error {
	store, err := t.Stores.Open(ctx, t.backup.ProjectID, t.backup.Container)
	if err != nil {
		return transient(err)
	}
	chain, err := t.chain(ctx)
	if err != nil {
		return transient(err)
	}
	found, err := t.Engine.Verify(ctx, engine.VerifyInput{
		Store: store, Root: t.backup.Manifest, Digest: t.backup.ManifestDigest, Keys: t.Keys.Of(t.backup.ProjectID), Chain: chain,
		// What is damaged may be damaged in a way that only reading finds.
		Deep: t.job.Params.Deep || t.backup.Damaged != "", Progress: &t.progress,
	})
	if err != nil {
		return transient(err)
	}
	if err := t.noteVerified(ctx, found); err != nil {
		return transient(err)
	}
	if !t.end(ctx, db.JobEnd{State: stowage.JobFinished, Now: t.Now()}, nil) {
		return errLost
	}
	return nil
}

func (t *task) noteVerified(ctx context.Context, found []engine.Damage) error {
	if len(found) > 0 {
		for _, d := range found {
			t.log.WarnContext(ctx, "an object is not what was stored", "object", d.Name, "damage", d.Why)
		}
		return t.noteDamaged(ctx, t.backup, engine.Describe(found))
	}
	err := t.DB.NoteVerified(ctx, t.backup.ID, "", t.Now())
	if stowage.CodeOf(err) == stowage.NotFound {
		return nil // deleted meanwhile
	}
	return err
}

// verifyFailed lets the others have their turn: one that cannot be looked at
// would be the first to be looked at for ever. What is known of it stays.
func (t *task) verifyFailed(ctx context.Context) {
	now, err := t.DB.Backup(ctx, db.Scope{}, t.backup.ID)
	if err == nil {
		err = t.DB.NoteVerified(ctx, now.ID, now.Damaged, t.Now())
	}
	if err != nil && stowage.CodeOf(err) != stowage.NotFound {
		t.log.WarnContext(ctx, "the failed verification is not noted", "error", err)
	}
}

// scrubAtOnce is how many verifications one look asks for: they must not fill
// the queue.
const scrubAtOnce = 4

// scrub asks for verifications of the backups that were longest not looked at.
// Any manager does them, after what tenants wait for.
func (m *Manager) scrub(ctx context.Context) {
	if m.VerifyInterval <= 0 {
		return
	}
	now := m.Now()
	due, err := m.DB.NextToVerify(ctx, now.Add(-m.VerifyInterval), scrubAtOnce)
	if err != nil {
		m.Log.WarnContext(ctx, "backups to verify not looked for", "error", err)
	}
	for _, b := range due {
		j := stowage.Job{
			ID: m.NewID(), Kind: stowage.JobVerify, State: stowage.JobQueued, ProjectID: b.ProjectID, UserID: b.UserID,
			BackupID: b.ID, EntityID: b.Volume.ID, Priority: stowage.PriorityMin, ReadyAt: now, CreatedAt: now, UpdatedAt: now,
			Params: stowage.JobParams{Deep: m.VerifyDeep},
		}
		if err := m.DB.AddJob(ctx, &j); err != nil && stowage.CodeOf(err) != stowage.Conflict {
			m.Log.WarnContext(ctx, "verification not asked for", "backup", b.ID, "error", err)
		}
	}
}
