-- +goose Up
-- Times are microseconds since 1970-01-01 UTC, 0 for "not yet": the same
-- arithmetic and the same order on every database.

CREATE TABLE IF NOT EXISTS backups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    container TEXT NOT NULL,
    status TEXT NOT NULL,
    fail_reason TEXT NOT NULL DEFAULT '',
    volume_id TEXT NOT NULL,
    volume TEXT NOT NULL,
    size_gib INTEGER NOT NULL,
    volume_bytes INTEGER NOT NULL DEFAULT 0,
    stored_bytes INTEGER NOT NULL DEFAULT 0,
    object_count INTEGER NOT NULL DEFAULT 0,
    incremental INTEGER NOT NULL DEFAULT 0,
    manifest TEXT NOT NULL DEFAULT '',
    manifest_digest TEXT NOT NULL DEFAULT '',
    snapshot_at INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS backups_uuid ON backups (uuid);
CREATE INDEX IF NOT EXISTS backups_project ON backups (project_id, id);

CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    request_id TEXT NOT NULL DEFAULT '',
    backend TEXT NOT NULL DEFAULT '',
    backup_id INTEGER NOT NULL DEFAULT 0,
    volume_id TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    rung_at INTEGER NOT NULL DEFAULT 0,
    window_start INTEGER NOT NULL DEFAULT 0,
    window_end INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT NOT NULL DEFAULT '',
    lease_expires INTEGER NOT NULL DEFAULT 0,
    percent INTEGER NOT NULL DEFAULT 0,
    bytes_done INTEGER NOT NULL DEFAULT 0,
    bytes_all INTEGER NOT NULL DEFAULT 0,
    lock_state TEXT NOT NULL DEFAULT '',
    attachment_id TEXT NOT NULL DEFAULT '',
    leftover INTEGER NOT NULL DEFAULT 0,
    params TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL DEFAULT 0,
    finished_at INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_id ON jobs (id);
CREATE INDEX IF NOT EXISTS jobs_next ON jobs (state, backend, priority, seq);
CREATE INDEX IF NOT EXISTS jobs_backup ON jobs (backup_id, seq);
CREATE INDEX IF NOT EXISTS jobs_lock ON jobs (lock_state, state);
CREATE INDEX IF NOT EXISTS jobs_leftover ON jobs (leftover, state);

CREATE TABLE IF NOT EXISTS services (
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    instance TEXT NOT NULL,
    version TEXT NOT NULL,
    backends TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    disabled_reason TEXT NOT NULL DEFAULT '',
    started_at INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (host, kind)
);

-- +goose Down
DROP TABLE IF EXISTS services;
DROP TABLE IF EXISTS jobs;
DROP TABLE IF EXISTS backups;
