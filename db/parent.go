package db

import (
	"context"

	"github.com/stowage/stowage"
)

const parentQuery = `SELECT ` + backupColumns + ` FROM backups WHERE volume_id = ? AND project_id = ? AND container = ?
	AND status IN ('` + string(stowage.BackupAvailable) + `', '` + string(stowage.BackupRestoring) + `')
	AND manifest <> '' AND manifest NOT LIKE '%!_metadata' ESCAPE '!' AND damaged_reason = '' ORDER BY snapshot_at DESC, id DESC LIMIT 1`

// Parent gives the backup that an increment of the volume in the container
// begins from, the newest point in time that can be restored: NotFound if there
// is none. A damaged one is passed over: what it lacks, its children would lack.
// So is one that cinder-backup made, which begins with its _metadata: there are
// no chunks of ours in it.
func (d *DB) Parent(ctx context.Context, projectID, volumeID, container string) (stowage.Backup, error) {
	return d.oneBackup(ctx, "A parent for volume "+volumeID, parentQuery, volumeID, projectID, container)
}
