package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/stowage/stowage"
)

// HistoryFilter narrows a list of backups. Empty fields do not.
type HistoryFilter struct {
	UUID        string
	Entities    []string // volumes
	Statuses    []stowage.BackupStatus
	Project     string // of the container, if that tells; and
	Container   string
	Since       time.Time // of the point in time, or of the creation before there is one
	Until       time.Time
	MinBytes    int64
	Incremental *bool
	Schedule    string
	Policies    []string
	Rule        string
	Host        string // of the manager that stored it, or took a server's snapshots
	Mark        stowage.RetentionMark
	Alone       bool // none that are part of a server's
	Mountable   bool // stowage.Backup.Mountable
}

var historyOrders = map[string]string{"time": "created_at", "size": "stored_bytes", "status": "status", "name": "name", "id": "id"}

func (f HistoryFilter) where(scope Scope, p Page) where {
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if f.UUID != "" {
		w.and("uuid = ?", f.UUID)
	}
	if f.Alone {
		w.and("set_id = 0")
	}
	oneOf(&w, "volume_id", f.Entities)
	oneOf(&w, "status", f.Statuses)
	if f.Project != "" {
		w.and("project_id = ?", f.Project)
	}
	if f.Container != "" {
		w.and("container = ?", f.Container)
	}
	const at = "(CASE WHEN snapshot_at > 0 THEN snapshot_at ELSE created_at END)"
	if !f.Since.IsZero() {
		w.and(at+" >= ?", micros(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(at+" <= ?", micros(f.Until))
	}
	if f.MinBytes > 0 {
		w.and("stored_bytes >= ?", f.MinBytes)
	}
	if f.Incremental != nil {
		w.and("incremental = ?", *f.Incremental)
	}
	by(&w, f.Schedule, "", f.Rule)
	oneOf(&w, "policy_id", f.Policies)
	if f.Host != "" {
		w.and("id IN (SELECT j.backup_id FROM jobs j WHERE j.host = ? AND j.kind IN (?, ?))", f.Host, stowage.JobBackup, stowage.JobExport)
	}
	if f.Mountable {
		w.and("status IN (?, ?) AND manifest NOT LIKE '%!_metadata' ESCAPE '!'", stowage.BackupAvailable, stowage.BackupRestoring)
	}
	if f.Mark != "" {
		w.and("retention_mark = ?", f.Mark)
	}
	if p.Filter != "" {
		part := like(p.Filter)
		// What the list's index does not hold is looked for in others.
		w.and(`(name LIKE ? ESCAPE '!' OR container LIKE ? ESCAPE '!' OR id IN (SELECT d.id FROM backups d WHERE d.description > '' AND d.description LIKE ? ESCAPE '!')
			OR id IN (SELECT u.id FROM backups u WHERE u.uuid = ?) OR id IN (SELECT v.id FROM backups v WHERE v.volume_id = ?))`,
			part, part, part, asciiOr(p.Filter), asciiOr(p.Filter))
	}
	if p.Name != "" {
		w.and("name LIKE ? ESCAPE '!'", like(p.Name))
	}
	return w
}

func (f HistoryFilter) possible() bool {
	return ascii(f.UUID+f.Schedule+f.Rule+f.Host) && allASCII(append(slices.Clone(f.Entities), f.Policies...))
}

// History lists backups, the newest first, and tells how many there are in all.
func (d *DB) History(ctx context.Context, scope Scope, f HistoryFilter, p Page) ([]stowage.Backup, int, error) {
	if !f.possible() {
		return nil, 0, nil
	}
	w := f.where(scope, p)
	total, err := d.count(ctx, "count backups", `SELECT COUNT(*) FROM backups WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	q, args := historyQuery(w, p, total)
	list, err := query(ctx, d, "list backups", scanBackup, q, args...)
	return list, total, err
}

func historyQuery(w where, p Page, total int) (string, []any) {
	order := ordered(historyOrders, p, "id", true)
	way, limit, offset := p.near(order, total)
	return `SELECT ` + backupColumns + ` FROM (SELECT id AS at FROM backups WHERE ` + w.String() + ` ORDER BY ` + way + ` LIMIT ? OFFSET ?) page
		JOIN backups ON backups.id = page.at ORDER BY ` + order, append(slices.Clone(w.args), limit, offset)
}

// BackupsByID gives those of the backups that there are.
func (d *DB) BackupsByID(ctx context.Context, ids []int64) (map[int64]stowage.Backup, error) {
	found := make(map[int64]stowage.Backup, len(ids))
	for part := range slices.Chunk(ids, 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "read backups", scanBackup, `SELECT `+backupColumns+` FROM backups WHERE id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, b := range list {
			found[b.ID] = b
		}
	}
	return found, nil
}

// Describe writes another description on a backup of the scope.
func (d *DB) Describe(ctx context.Context, scope Scope, uuid, text string, now time.Time) error {
	return d.changeBackup(ctx, scope, uuid, "description = ?, updated_at = ?", clip(text, 255), micros(now))
}

// Acknowledge notes that somebody has seen the warnings of a backup, or takes
// that back.
func (d *DB) Acknowledge(ctx context.Context, scope Scope, uuid string, seen bool) error {
	return d.changeBackup(ctx, scope, uuid, "acknowledged = ?", seen)
}

func (d *DB) changeBackup(ctx context.Context, scope Scope, uuid, set string, args ...any) error {
	missing := stowage.Errorf(stowage.NotFound, "Backup %.64s could not be found.", uuid)
	if !ascii(uuid) || uuid == "" {
		return missing
	}
	w := HistoryFilter{UUID: uuid}.where(scope, Page{})
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE backups SET `+set+` WHERE `+w.String(), append(args, w.args...)...)
		if err != nil {
			return fmt.Errorf("change backup %s: %w", uuid, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return missing
	})
}

// Acknowledged tells of which of the backups somebody has seen the warnings.
func (d *DB) Acknowledged(ctx context.Context, ids []int64) (map[int64]bool, error) {
	seen := map[int64]bool{}
	for part := range slices.Chunk(ids, 500) {
		marks, args := markers(part)
		list, err := query(ctx, d, "read backups", func(row rower) (int64, error) {
			var id int64
			err := row.Scan(&id)
			return id, err
		}, `SELECT id FROM backups WHERE acknowledged = 1 AND id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, id := range list {
			seen[id] = true
		}
	}
	return seen, nil
}

// Container is what backups there are in one.
type Container struct {
	ProjectID, Name string
	Backups         int
	Bytes           int64
}

// Containers lists the scope's containers that hold backups.
func (d *DB) Containers(ctx context.Context, scope Scope) ([]Container, error) {
	w := where{}
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	return query(ctx, d, "list containers", func(row rower) (Container, error) {
		var c Container
		err := row.Scan(&c.ProjectID, &c.Name, &c.Backups, &c.Bytes)
		return c, err
	}, `SELECT project_id, container, COUNT(*), SUM(stored_bytes) FROM backups WHERE kind = '' AND `+w.String()+`
		GROUP BY project_id, container ORDER BY project_id, container LIMIT 10000`, w.args...)
}
