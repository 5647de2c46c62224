-- +goose Up
-- What a job moved, for reports and bills that outlive the backup.
ALTER TABLE jobs ADD COLUMN volume_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN container TEXT NOT NULL DEFAULT '';
UPDATE jobs SET container = COALESCE((SELECT b.container FROM backups b WHERE b.id = jobs.backup_id), '')
    WHERE kind IN ('backup', 'restore');
UPDATE jobs SET volume_bytes = COALESCE((SELECT b.volume_bytes FROM backups b WHERE b.id = jobs.backup_id), 0)
    WHERE kind IN ('backup', 'restore') AND state = 'finished';
UPDATE jobs SET stored_bytes = COALESCE((SELECT b.stored_bytes FROM backups b WHERE b.id = jobs.backup_id), 0)
    WHERE kind = 'backup' AND state = 'finished';
CREATE INDEX IF NOT EXISTS jobs_report ON jobs (kind, finished_at, project_id, state, entity_id, policy_id, volume_bytes, stored_bytes);
CREATE INDEX IF NOT EXISTS backups_sizes ON backups (created_at, project_id, status, volume_id, policy_id, volume_bytes);

CREATE TABLE IF NOT EXISTS mailing_lists (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    recipients TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS mailing_lists_name ON mailing_lists (project_id, name);

-- The report of a policy's day that is or was mailed. Whoever makes attempts one
-- greater sends it.
CREATE TABLE IF NOT EXISTS daily_reports (
    policy_id TEXT NOT NULL PRIMARY KEY,
    day INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE IF EXISTS daily_reports;
DROP TABLE IF EXISTS mailing_lists;
DROP INDEX IF EXISTS backups_sizes;
DROP INDEX IF EXISTS jobs_report;
ALTER TABLE jobs DROP COLUMN container;
ALTER TABLE jobs DROP COLUMN stored_bytes;
ALTER TABLE jobs DROP COLUMN volume_bytes;
