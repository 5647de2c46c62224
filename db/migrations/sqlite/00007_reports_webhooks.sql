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

-- events is a sum of the bits of what a webhook is told of. The secret is sealed to
-- the key that managers have published.
CREATE TABLE IF NOT EXISTS webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    url TEXT NOT NULL,
    events INTEGER NOT NULL,
    active INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS webhooks_project ON webhooks (project_id, active);

CREATE TABLE IF NOT EXISTS webhook_keys (
    id INTEGER NOT NULL PRIMARY KEY,
    public_key BLOB NOT NULL
);

-- What webhooks are to be told, written with the change that it tells of, and what
-- became of that.
CREATE TABLE IF NOT EXISTS webhook_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_bit INTEGER NOT NULL,
    project_id TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '',
    entity_id TEXT NOT NULL DEFAULT '',
    backup_uuid TEXT NOT NULL DEFAULT '',
    container TEXT NOT NULL DEFAULT '',
    volume_bytes INTEGER NOT NULL DEFAULT 0,
    stored_bytes INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    happened_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL DEFAULT 0,
    took INTEGER NOT NULL DEFAULT 0,
    answer TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    tried_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS webhook_deliveries_due ON webhook_deliveries (state, next_at, webhook_id);
CREATE INDEX IF NOT EXISTS webhook_deliveries_hook ON webhook_deliveries (webhook_id, state, id);
CREATE INDEX IF NOT EXISTS webhook_deliveries_log ON webhook_deliveries (webhook_id, id);
CREATE INDEX IF NOT EXISTS webhook_deliveries_old ON webhook_deliveries (happened_at);

-- +goose Down
DROP TABLE IF EXISTS webhook_deliveries;
DROP TABLE IF EXISTS webhook_keys;
DROP TABLE IF EXISTS webhooks;
DROP TABLE IF EXISTS daily_reports;
DROP TABLE IF EXISTS mailing_lists;
DROP INDEX IF EXISTS backups_sizes;
DROP INDEX IF EXISTS jobs_report;
ALTER TABLE jobs DROP COLUMN container;
ALTER TABLE jobs DROP COLUMN stored_bytes;
ALTER TABLE jobs DROP COLUMN volume_bytes;
