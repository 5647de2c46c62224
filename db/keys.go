package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stowage/stowage"
)

// ProjectKey is a key of a project's backups as it may lie about: wrapped by
// the operator's master key.
type ProjectKey struct {
	ProjectID string
	ID        [16]byte // random; the headers of objects name it
	Wrapped   []byte
	CreatedAt time.Time
}

// ProjectKey gives the newest key of a project: NotFound if it has none.
func (d *DB) ProjectKey(ctx context.Context, projectID string) (ProjectKey, error) {
	return d.projectKey(ctx, projectID, ` ORDER BY number DESC LIMIT 1`)
}

// ProjectKeyByID gives the key of a project that has this id, which need not
// be the newest.
func (d *DB) ProjectKeyByID(ctx context.Context, projectID string, id [16]byte) (ProjectKey, error) {
	return d.projectKey(ctx, projectID, ` AND id = ?`, id[:])
}

func (d *DB) projectKey(ctx context.Context, projectID, which string, args ...any) (ProjectKey, error) {
	k := ProjectKey{ProjectID: projectID}
	var (
		id []byte
		at int64
	)
	err := d.sql.QueryRowContext(ctx, `SELECT id, wrapped, created_at FROM project_keys WHERE project_id = ?`+which,
		append([]any{projectID}, args...)...).Scan(&id, &k.Wrapped, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return k, stowage.Errorf(stowage.NotFound, "Project %s has no such key.", projectID)
	}
	if err != nil {
		return k, fmt.Errorf("read a key of project %s: %w", projectID, unavailable(err))
	}
	if copy(k.ID[:], id) != len(k.ID) || len(id) != len(k.ID) {
		return k, fmt.Errorf("read a key of project %s: its id has %d bytes", projectID, len(id))
	}
	k.CreatedAt = fromMicros(at)
	return k, nil
}

// AddProjectKey makes k the first key of its project and gives it back. A
// project that has keys already keeps them, and the newest is given back: of
// two managers that make the first key at once, one wins and both get the
// winner's. So only the key that is given back may seal anything.
func (d *DB) AddProjectKey(ctx context.Context, k ProjectKey) (ProjectKey, error) {
	const first = 1
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO project_keys (project_id, number, id, wrapped, created_at) VALUES (?,?,?,?,?)`,
			k.ProjectID, first, k.ID[:], k.Wrapped, micros(k.CreatedAt))
		return err
	})
	if err != nil && !duplicate(err) {
		return ProjectKey{}, fmt.Errorf("write a key of project %s: %w", k.ProjectID, err)
	}
	return d.ProjectKey(ctx, k.ProjectID)
}
