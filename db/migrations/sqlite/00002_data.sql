-- +goose Up
ALTER TABLE backups ADD COLUMN damaged_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN verified_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS backups_volume ON backups (volume_id, project_id, container, snapshot_at, id);
CREATE INDEX IF NOT EXISTS backups_verified ON backups (status, verified_at, id);

-- What was stored before, in a format that nobody reads any more, is no parent.
UPDATE backups SET damaged_reason = 'It was stored by a development version, in a format that is not read any more.'
    WHERE manifest LIKE '%/manifest';

-- One row a volume and container that was ever backed up. Every change of the
-- sets below moves its version, so planners on two nodes write the same row.
CREATE TABLE IF NOT EXISTS lineages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    volume_id TEXT NOT NULL,
    container TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS lineages_volume ON lineages (volume_id, project_id, container);

CREATE TABLE IF NOT EXISTS reaches (
    backup_id INTEGER PRIMARY KEY,
    lineage_id INTEGER NOT NULL,
    objects BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS reaches_lineage ON reaches (lineage_id, backup_id);

CREATE TABLE IF NOT EXISTS garbage (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    container TEXT NOT NULL,
    volume_id TEXT NOT NULL,
    backup_id INTEGER NOT NULL,
    objects BLOB NOT NULL,
    name_prefix TEXT NOT NULL,
    keep_prefix TEXT NOT NULL,
    ready_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS garbage_ready ON garbage (ready_at, id);
CREATE INDEX IF NOT EXISTS garbage_backup ON garbage (backup_id, id);

-- replaced is 0 for the one base of a volume, and a row's own id once another
-- took its place.
CREATE TABLE IF NOT EXISTS bases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    backend TEXT NOT NULL,
    volume_id TEXT NOT NULL,
    replaced INTEGER NOT NULL DEFAULT 0,
    backup_id INTEGER NOT NULL,
    backup_uuid TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    made_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS bases_volume ON bases (volume_id, backend, replaced);
CREATE INDEX IF NOT EXISTS bases_backend ON bases (backend, id);

-- Keys are wrapped by the operator's master key.
CREATE TABLE IF NOT EXISTS project_keys (
    project_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS project_keys_id ON project_keys (project_id, id);

-- +goose Down
DROP TABLE IF EXISTS project_keys;
DROP TABLE IF EXISTS bases;
DROP TABLE IF EXISTS garbage;
DROP TABLE IF EXISTS reaches;
DROP TABLE IF EXISTS lineages;
DROP INDEX IF EXISTS backups_verified;
DROP INDEX IF EXISTS backups_volume;
ALTER TABLE backups DROP COLUMN verified_at;
ALTER TABLE backups DROP COLUMN damaged_reason;
