-- +goose Up
-- What jobs tell of themselves as tasks: the volume they are about, whether they
-- are shown at all, and why somebody wants the work stopped.
ALTER TABLE jobs ADD COLUMN entity_id TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN cancel_reason TEXT NOT NULL DEFAULT '';
UPDATE jobs SET hidden = 1 WHERE kind = 'verify';
UPDATE jobs SET entity_id = COALESCE((SELECT volume_id FROM backups WHERE backups.id = jobs.backup_id), volume_id);
CREATE INDEX IF NOT EXISTS jobs_shown ON jobs (hidden, seq, state, kind, priority, started_at, finished_at, entity_id);
CREATE INDEX IF NOT EXISTS jobs_shown_state ON jobs (hidden, state, seq);
CREATE INDEX IF NOT EXISTS jobs_shown_project ON jobs (project_id, hidden, seq, state, kind, priority, started_at, finished_at, entity_id);
CREATE INDEX IF NOT EXISTS jobs_shown_entity ON jobs (entity_id, hidden, seq);

ALTER TABLE backups ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS backups_containers ON backups (project_id, container, stored_bytes);

-- The token is sealed with a key that only the client's ticket gives.
CREATE TABLE IF NOT EXISTS login_sessions (
    ticket_hash BLOB NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS login_sessions_idle ON login_sessions (idle_until);
CREATE INDEX IF NOT EXISTS login_sessions_end ON login_sessions (ends_at);

-- What the cloud holds, as the last look at it found it. seen is the number of
-- that look.
CREATE TABLE IF NOT EXISTS entities (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    words TEXT NOT NULL,
    host TEXT NOT NULL,
    present INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    server_id TEXT NOT NULL DEFAULT '',
    attributes TEXT NOT NULL,
    seen INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS entities_listed ON entities (listed, name, id, present);
CREATE INDEX IF NOT EXISTS entities_project ON entities (project_id, listed, name, id, present);
CREATE INDEX IF NOT EXISTS entities_server ON entities (server_id, id);
CREATE INDEX IF NOT EXISTS entities_seen ON entities (kind, present, seen);

CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    shared INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE IF NOT EXISTS inventory_marks (
    what TEXT NOT NULL PRIMARY KEY,
    mark INTEGER NOT NULL
);

-- +goose Down
DROP TABLE IF EXISTS inventory_marks;
DROP TABLE IF EXISTS resources;
DROP TABLE IF EXISTS entities;
DROP TABLE IF EXISTS login_sessions;
DROP INDEX IF EXISTS backups_containers;
ALTER TABLE backups DROP COLUMN acknowledged;
DROP INDEX IF EXISTS jobs_shown_entity;
DROP INDEX IF EXISTS jobs_shown_project;
DROP INDEX IF EXISTS jobs_shown_state;
DROP INDEX IF EXISTS jobs_shown;
ALTER TABLE jobs DROP COLUMN cancel_reason;
ALTER TABLE jobs DROP COLUMN hidden;
ALTER TABLE jobs DROP COLUMN entity_id;
