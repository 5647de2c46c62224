-- +goose Up
-- Backups whose files a manager serves. A mount that is served belongs to the
-- process that owner names, for as long as its lease runs.
CREATE TABLE IF NOT EXISTS mounts (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    backup_id INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL DEFAULT '',
    endpoint TEXT NOT NULL DEFAULT '',
    lease_expires INTEGER NOT NULL DEFAULT 0,
    unmount_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    served_at INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mounts_project ON mounts (project_id, state, created_at);
CREATE INDEX IF NOT EXISTS mounts_backup ON mounts (backup_id, state, created_at);
CREATE INDEX IF NOT EXISTS mounts_state ON mounts (state, owner);

-- +goose Down
DROP TABLE IF EXISTS mounts;
