package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// What webhooks are told is written by the transaction that makes it true, a row for
// each of those that want it: of the project, or of the operator. Where there are
// none, that is one look into an index.

const deliveryInsert = `INSERT INTO webhook_deliveries (webhook_id, event_id, event_bit, project_id, subject_id, kind, entity_id, backup_uuid, container,
	volume_bytes, stored_bytes, reason, happened_at, state, next_at) SELECT w.id, ?, ?, `

// tellOfTask tells of a job's new state under its new fence; the two make an id that
// is never another event's.
func tellOfTask(ctx context.Context, tx *sql.Tx, j stowage.Job, state stowage.JobState, fence int64, at time.Time) error {
	bit := stowage.EventOf("io.stowage.task." + string(state))
	if j.Kind == stowage.JobVerify || bit == 0 { // nobody's task
		return nil
	}
	_, err := tx.ExecContext(ctx, deliveryInsert+`j.project_id, j.id, j.kind, j.entity_id, COALESCE(b.uuid, ''), COALESCE(b.container, j.container),
		j.volume_bytes, j.stored_bytes, j.error, ?, ?, ? FROM webhooks w JOIN jobs j ON j.id = ? LEFT JOIN backups b ON b.id = j.backup_id
		WHERE w.project_id IN (?, '') AND w.active = 1 AND (w.events & ?) <> 0`,
		fmt.Sprintf("%s.%d.%s", j.ID, fence, state), bit, micros(at), stowage.DeliveryWaiting, micros(at), j.ID, j.ProjectID, bit)
	if err != nil {
		return fmt.Errorf("tell of job %s: %w", j.ID, err)
	}
	return nil
}

// tellOfBackup tells of a backup's new status; with the time that makes its id.
func tellOfBackup(ctx context.Context, tx *sql.Tx, id int64, status stowage.BackupStatus, at time.Time) error {
	bit := stowage.EventOf("io.stowage.backup." + string(status))
	_, err := tx.ExecContext(ctx, deliveryInsert+`b.project_id, b.uuid, '', b.volume_id, b.uuid, b.container,
		b.volume_bytes, b.stored_bytes, b.fail_reason, ?, ?, ? FROM backups b JOIN webhooks w ON w.project_id IN (b.project_id, '')
		WHERE b.id = ? AND w.active = 1 AND (w.events & ?) <> 0`,
		fmt.Sprintf("backup-%d.%d.%s", id, micros(at), status), bit, micros(at), stowage.DeliveryWaiting, micros(at), id, bit)
	if err != nil {
		return fmt.Errorf("tell of backup %d: %w", id, err)
	}
	return nil
}
