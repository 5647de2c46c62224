package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
)

// Lineage is all backups of one volume in one container: they share objects,
// nobody else does. Each of them has a set of the objects it reaches. Every
// change of the sets moves the version by one, guarded by the version it was
// computed from: two managers that plan at the same time, also on two Galera
// nodes, write the same row, so one of them gets Conflict and plans again.
//
// A lineage stays when its last backup goes: a version that began anew could
// be taken for one that is known.
type Lineage struct {
	ID                             int64
	ProjectID, VolumeID, Container string
	Version                        int64
}

// Lineage gives the lineage of a volume in a container; it is made when it is
// not there. Two that make it at once get the same.
func (d *DB) Lineage(ctx context.Context, projectID, volumeID, container string) (Lineage, error) {
	what := "lineage of volume " + volumeID
	l := Lineage{ProjectID: projectID, VolumeID: volumeID, Container: container}
	for try := 0; ; try++ {
		err := d.sql.QueryRowContext(ctx, `SELECT id, version FROM lineages WHERE volume_id = ? AND project_id = ? AND container = ?`,
			volumeID, projectID, container).Scan(&l.ID, &l.Version)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, sql.ErrNoRows) || try > 0 {
			return l, fmt.Errorf("read %s: %w", what, unavailable(err))
		}
		err = d.inTx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO lineages (project_id, volume_id, container) VALUES (?,?,?)`,
				projectID, volumeID, container)
			return err
		})
		if err != nil && !duplicate(err) {
			return l, fmt.Errorf("make %s: %w", what, err)
		}
	}
}

// Reach is the set of objects that a backup reaches. What is in it is the
// engine's business.
type Reach struct {
	BackupID int64
	Objects  []byte
}

// reachesQuery is one statement, so that sets and version belong together on
// every isolation level. The few rows are put in order here: the database would
// do it with a temporary table of the sets.
const reachesQuery = `SELECT l.version, r.backup_id, r.objects FROM lineages l LEFT JOIN reaches r ON r.lineage_id = l.id
	WHERE l.id = ?`

// Reaches gives the sets of a lineage by ascending id of the backup and writes
// into l the version they belong to: NotFound for a lineage nobody made.
func (d *DB) Reaches(ctx context.Context, l *Lineage) ([]Reach, error) {
	found := false
	scan := func(row rower) (Reach, error) {
		var (
			r  Reach
			id sql.NullInt64
		)
		err := row.Scan(&l.Version, &id, &r.Objects)
		r.BackupID, found = id.Int64, true
		return r, err
	}
	list, err := query(ctx, d, fmt.Sprintf("list the sets of lineage %d", l.ID), scan, reachesQuery, l.ID)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, stowage.Errorf(stowage.NotFound, "Lineage %d could not be found.", l.ID)
	case list[0].BackupID == 0: // the one row of a lineage without sets
		return nil, nil
	}
	slices.SortFunc(list, func(a, b Reach) int { return cmp.Compare(a.BackupID, b.BackupID) })
	return list, nil
}

// moveLineage makes sure that the caller's version is the present one, by moving it.
func moveLineage(ctx context.Context, tx *sql.Tx, l Lineage) error {
	what := fmt.Sprintf("move lineage %d from version %d", l.ID, l.Version)
	res, err := tx.ExecContext(ctx, `UPDATE lineages SET version = version + 1 WHERE id = ? AND version = ?`, l.ID, l.Version)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return moved(res, what)
}

// inLineage makes sure that a backup belongs to the lineage and gives its
// status. A set in the wrong lineage would not be seen by those who look for
// what may be deleted.
func inLineage(ctx context.Context, tx *sql.Tx, backupID int64, l Lineage) (stowage.BackupStatus, error) {
	var status stowage.BackupStatus
	err := tx.QueryRowContext(ctx, `SELECT b.status FROM backups b JOIN lineages l
		ON l.project_id = b.project_id AND l.volume_id = b.volume_id AND l.container = b.container
		WHERE b.id = ? AND l.id = ?`, backupID, l.ID).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return "", stowage.Errorf(stowage.Conflict, "backup %d is gone, or not of lineage %d", backupID, l.ID)
	}
	if err != nil {
		return "", fmt.Errorf("look for backup %d in lineage %d: %w", backupID, l.ID, err)
	}
	return status, nil
}
