package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

const mountColumns = `id, project_id, user_id, backup_id, job_id, state, reason, host, owner, endpoint, lease_expires, unmount_at,
	created_at, served_at, ended_at, updated_at, details`

func scanMount(row rower) (stowage.Mount, error) {
	var (
		m       stowage.Mount
		details string
		at      [6]int64
	)
	err := row.Scan(&m.ID, &m.ProjectID, &m.UserID, &m.BackupID, &m.JobID, &m.State, &m.Reason, &m.Host, &m.Owner, &m.Endpoint,
		&at[0], &at[1], &at[2], &at[3], &at[4], &at[5], &details)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(details), &m.Is); err != nil {
		return m, fmt.Errorf("mount %s: its details: %w", m.ID, err)
	}
	m.LeaseExpires, m.UnmountAt, m.CreatedAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2])
	m.ServedAt, m.EndedAt, m.UpdatedAt = fromMicros(at[3]), fromMicros(at[4]), fromMicros(at[5])
	return m, nil
}

// mountLives is the condition of mounts that are served, or about to be.
const mountLives = `state IN ('waiting', 'served')`

// AddMount writes a mount that waits, and the job that serves it. The backup must
// be there to be read: Conflict otherwise. OverLimit: the project has as many
// mounts as it may have.
func (d *DB) AddMount(ctx context.Context, m stowage.Mount, j *stowage.Job, most int) error {
	details, err := json.Marshal(m.Is)
	if err != nil {
		return fmt.Errorf("write mount %s: %w", m.ID, err)
	}
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := mountable(ctx, tx, m, most); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO mounts (id, project_id, user_id, backup_id, job_id, state, host, unmount_at, created_at,
			updated_at, details) VALUES (?,?,?,?,?,?,?,?,?,?,?)`, m.ID, m.ProjectID, m.UserID, m.BackupID, j.ID, stowage.MountWaiting, m.Host,
			micros(m.UnmountAt), micros(m.CreatedAt), micros(m.UpdatedAt), string(details))
		if err != nil {
			return fmt.Errorf("write mount %s: %w", m.ID, err)
		}
		return insertJob(ctx, tx, j)
	})
}

// MountAgain lets a mount that is over wait anew, with another job: Conflict if it
// is not over, or as for AddMount.
func (d *DB) MountAgain(ctx context.Context, m stowage.Mount, j *stowage.Job, most int) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if err := mountable(ctx, tx, m, most); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE mounts SET state = ?, reason = '', host = '', owner = '', endpoint = '', job_id = ?, unmount_at = ?,
			served_at = 0, ended_at = 0, updated_at = ? WHERE id = ? AND state = ?`,
			stowage.MountWaiting, j.ID, micros(m.UnmountAt), micros(m.UpdatedAt), m.ID, m.State)
		if err != nil {
			return fmt.Errorf("write mount %s: %w", m.ID, err)
		}
		if !m.State.May(stowage.MountWaiting) {
			return stowage.Errorf(stowage.Conflict, "mount %s is %s", m.ID, m.State)
		}
		if err := moved(res, "mount again "+m.ID); err != nil {
			return err
		}
		return insertJob(ctx, tx, j)
	})
}

// mountable holds the backup, and the server's that it is part of, so that a deletion
// beside us waits or fails.
func mountable(ctx context.Context, tx *sql.Tx, m stowage.Mount, most int) error {
	what := fmt.Sprintf("mount backup %d", m.BackupID)
	// Whoever mounts another one at once waits for us or we for him, before anything is read.
	if _, err := tx.ExecContext(ctx, `UPDATE mounts SET project_id = project_id WHERE project_id = ?`, m.ProjectID); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	res, err := tx.ExecContext(ctx, `UPDATE backups SET updated_at = ? WHERE id = ? AND status IN (?, ?)`,
		micros(m.UpdatedAt), m.BackupID, stowage.BackupAvailable, stowage.BackupRestoring)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := moved(res, what); err != nil {
		return err
	}
	if err := holdWhole(ctx, tx, m.BackupID, m.UpdatedAt); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mounts WHERE project_id = ? AND `+mountLives, m.ProjectID).Scan(&n); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n >= most {
		return stowage.Errorf(stowage.OverLimit, "The project has %d mounted backups, as many as it may have: unmount one first.", n)
	}
	return nil
}

// AddUnmount writes a job that ends a mount: Conflict if it is not served.
func (d *DB) AddUnmount(ctx context.Context, m stowage.Mount, j *stowage.Job) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE mounts SET updated_at = ? WHERE id = ? AND state = ? AND owner = ?`,
			micros(j.CreatedAt), m.ID, stowage.MountServed, m.Owner)
		if err != nil {
			return fmt.Errorf("unmount %s: %w", m.ID, err)
		}
		if err := moved(res, "unmount "+m.ID); err != nil {
			return err
		}
		return insertJob(ctx, tx, j)
	})
}

// MountFilter narrows a list of mounts. Empty fields do not.
type MountFilter struct {
	ID       string
	Backup   string // a UUID
	Entities []string
	Host     string
	Modes    []string
	Over     *bool
}

var mountOrders = map[string]string{"created": "created_at", "state": "state", "host": "host", "unmount": "unmount_at", "snapshot": "backup_id",
	"mode": `(CASE WHEN details LIKE '%"mode":"MANUAL"%' THEN 1 ELSE 0 END)`, // there are two
}

// Mounts lists mounts, the newest first, and tells how many there are in all.
func (d *DB) Mounts(ctx context.Context, scope Scope, f MountFilter, p Page) ([]stowage.Mount, int, error) {
	if !allASCII(append([]string{f.ID, f.Backup}, f.Entities...)) {
		return nil, 0, nil
	}
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if f.ID != "" {
		w.and("id = ?", f.ID)
	}
	if f.Backup != "" {
		w.and("backup_id IN (SELECT b.id FROM backups b WHERE b.uuid = ?)", f.Backup)
	}
	if len(f.Entities) > 0 {
		marks, args := markers(f.Entities)
		w.and("backup_id IN (SELECT b.id FROM backups b WHERE b.volume_id IN ("+marks+"))", args...)
	}
	if f.Host != "" {
		w.and("host = ?", f.Host)
	}
	if len(f.Modes) > 0 {
		var modes where
		for _, m := range f.Modes {
			modes.and("details LIKE ? ESCAPE '!'", like(`"mode":"`+m+`"`))
		}
		w.and("("+strings.Join(modes.conditions, " OR ")+")", modes.args...)
	}
	if f.Over != nil && *f.Over {
		w.and("NOT " + mountLives)
	} else if f.Over != nil {
		w.and(mountLives)
	}
	if text := p.Filter + p.Name; text != "" {
		w.and("backup_id IN (SELECT b.id FROM backups b WHERE b.name LIKE ? ESCAPE '!' OR b.uuid = ? OR b.volume_id = ?)",
			like(text), asciiOr(text), asciiOr(text))
	}
	total, err := d.count(ctx, "count mounts", `SELECT COUNT(*) FROM mounts WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	order := ordered(mountOrders, p, "created_at", true)
	list, err := query(ctx, d, "list mounts", scanMount, `SELECT `+mountColumns+` FROM mounts WHERE `+w.String()+` ORDER BY `+order+`, id LIMIT ? OFFSET ?`,
		append(slices.Clone(w.args), p.Limit, p.Offset)...)
	return list, total, err
}

// Mount gives one mount: NotFound outside the scope, too.
func (d *DB) Mount(ctx context.Context, scope Scope, id string) (stowage.Mount, error) {
	list, _, err := d.Mounts(ctx, scope, MountFilter{ID: orNobodys(id)}, Page{Limit: 1})
	if err != nil {
		return stowage.Mount{}, err
	}
	if len(list) == 0 {
		return stowage.Mount{}, stowage.Errorf(stowage.NotFound, "Mounted backup %.64s could not be found.", id)
	}
	return list[0], nil
}

// LatestMount gives the latest mount of a backup in which file systems were found:
// NotFound if there is none.
func (d *DB) LatestMount(ctx context.Context, backup int64) (stowage.Mount, error) {
	list, err := query(ctx, d, "look for mounts", scanMount, `SELECT `+mountColumns+` FROM mounts WHERE backup_id = ? AND details LIKE '%"file_systems":%'
		ORDER BY created_at DESC LIMIT 1`, backup)
	if err != nil {
		return stowage.Mount{}, err
	}
	if len(list) == 0 {
		return stowage.Mount{}, stowage.Errorf(stowage.NotFound, "Backup %d was never mounted.", backup)
	}
	return list[0], nil
}

// serveMount moves the mount of a job that ends well.
func serveMount(ctx context.Context, tx *sql.Tx, m stowage.Mount, now time.Time) error {
	details, err := json.Marshal(m.Is)
	if err != nil {
		return fmt.Errorf("serve mount %s: %w", m.ID, err)
	}
	res, err := tx.ExecContext(ctx, `UPDATE mounts SET state = ?, host = ?, owner = ?, endpoint = ?, lease_expires = ?, served_at = ?, updated_at = ?,
		details = ? WHERE id = ? AND job_id = ? AND state = ?`, stowage.MountServed, m.Host, m.Owner, m.Endpoint, micros(m.LeaseExpires),
		micros(now), micros(now), string(details), m.ID, m.JobID, stowage.MountWaiting)
	if err != nil {
		return fmt.Errorf("serve mount %s: %w", m.ID, err)
	}
	return moved(res, "serve mount "+m.ID)
}

// failMount moves the mount of a job that ends in another way, whoever ends it.
func failMount(ctx context.Context, tx *sql.Tx, j stowage.Job, reason string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE mounts SET state = ?, reason = ?, ended_at = ?, updated_at = ? WHERE id = ? AND job_id = ? AND state = ?`,
		stowage.MountFailed, clip(reason, 1024), micros(now), micros(now), j.Params.Mount, j.ID, stowage.MountWaiting)
	if err != nil {
		return fmt.Errorf("fail mount %s: %w", j.Params.Mount, err)
	}
	return nil
}

// OwnMounts gives what a manager's process serves, by its rows, and makes its
// leases last until now+lease.
func (d *DB) OwnMounts(ctx context.Context, owner string, now time.Time, lease time.Duration) ([]stowage.Mount, error) {
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE mounts SET lease_expires = ? WHERE state = ? AND owner = ?`, micros(now.Add(lease)), stowage.MountServed, owner)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("renew mounts: %w", err)
	}
	return query(ctx, d, "list own mounts", scanMount, `SELECT `+mountColumns+` FROM mounts WHERE state = ? AND owner = ?`, stowage.MountServed, owner)
}

// EndMount moves a mount that a manager's process serves to a state in which it is
// over: Conflict if it does not serve it.
func (d *DB) EndMount(ctx context.Context, id, owner string, to stowage.MountState, reason string, now time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE mounts SET state = ?, reason = ?, ended_at = ?, updated_at = ? WHERE id = ? AND state = ? AND owner = ?`,
			to, clip(reason, 1024), micros(now), micros(now), id, stowage.MountServed, owner)
		if err != nil {
			return fmt.Errorf("end mount %s: %w", id, err)
		}
		return moved(res, "end mount "+id)
	})
}

// LoseMounts ends the mounts whose lease ran out before now, and those that an
// earlier process of the same host served. Jobs that wait for the lost manager to
// unmount them can be done by any. It gives the ids.
func (d *DB) LoseMounts(ctx context.Context, host, owner string, now time.Time) ([]string, error) {
	list, err := query(ctx, d, "look for lost mounts", scanMount, `SELECT `+mountColumns+` FROM mounts WHERE state = ?`, stowage.MountServed)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range list {
		if m.LeaseExpires.After(now) && (m.Host != host || m.Owner == owner) {
			continue
		}
		err := d.EndMount(ctx, m.ID, m.Owner, stowage.MountLost, "The manager on "+m.Host+" that served it stopped.", now)
		if stowage.CodeOf(err) == stowage.Conflict {
			continue
		}
		if err != nil {
			return ids, err
		}
		ids = append(ids, m.ID)
		err = d.inTx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE jobs SET backend = ? WHERE kind = ? AND state = ? AND backend = ?`,
				stowage.MountsKey(""), stowage.JobUnmount, stowage.JobQueued, stowage.MountsKey(m.Host))
			return err
		})
		if err != nil {
			return ids, fmt.Errorf("hand on what unmounts: %w", err)
		}
	}
	return ids, nil
}

// ForgetMounts deletes mounts that were over before the given time, and those of
// backups that are gone.
func (d *DB) ForgetMounts(ctx context.Context, before time.Time) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM mounts WHERE NOT (`+mountLives+`) AND (ended_at < ? OR
			NOT EXISTS (SELECT 1 FROM backups WHERE backups.id = mounts.backup_id))`, micros(before))
		if err != nil {
			return fmt.Errorf("forget mounts: %w", err)
		}
		return nil
	})
}
