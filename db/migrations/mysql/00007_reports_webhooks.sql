-- +goose Up
-- What a job moved, for reports and bills that outlive the backup.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND column_name = 'stored_bytes') = 0,
    'ALTER TABLE jobs
        ADD COLUMN volume_bytes BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN stored_bytes BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN container VARCHAR(256) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '''',
        ADD KEY jobs_report (kind, finished_at, project_id, state, entity_id, policy_id, volume_bytes, stored_bytes)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;
UPDATE jobs SET container = COALESCE((SELECT b.container FROM backups b WHERE b.id = jobs.backup_id), '')
    WHERE kind IN ('backup', 'restore');
UPDATE jobs SET volume_bytes = COALESCE((SELECT b.volume_bytes FROM backups b WHERE b.id = jobs.backup_id), 0)
    WHERE kind IN ('backup', 'restore') AND state = 'finished';
UPDATE jobs SET stored_bytes = COALESCE((SELECT b.stored_bytes FROM backups b WHERE b.id = jobs.backup_id), 0)
    WHERE kind = 'backup' AND state = 'finished';

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND index_name = 'backups_sizes') = 0,
    'ALTER TABLE backups ADD KEY backups_sizes (created_at, project_id, status, volume_id, policy_id, volume_bytes)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

CREATE TABLE IF NOT EXISTS mailing_lists (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    recipients MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY mailing_lists_name (project_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The report of a policy's day that is or was mailed. Whoever makes attempts one
-- greater sends it.
CREATE TABLE IF NOT EXISTS daily_reports (
    policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    day BIGINT NOT NULL,
    attempts INT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (policy_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- events is a sum of the bits of what a webhook is told of. The secret is sealed to
-- the key that managers have published.
CREATE TABLE IF NOT EXISTS webhooks (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    url VARCHAR(2048) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    events BIGINT NOT NULL,
    active TINYINT NOT NULL,
    secret VARBINARY(1024) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY webhooks_project (project_id, active)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS webhook_keys (
    id BIGINT NOT NULL,
    public_key VARBINARY(255) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What webhooks are to be told, written with the change that it tells of, and what
-- became of that.
CREATE TABLE IF NOT EXISTS webhook_deliveries (
    id BIGINT NOT NULL AUTO_INCREMENT,
    webhook_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_bit BIGINT NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    subject_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    entity_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    backup_uuid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    container VARCHAR(256) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    volume_bytes BIGINT NOT NULL DEFAULT 0,
    stored_bytes BIGINT NOT NULL DEFAULT 0,
    reason VARCHAR(1024) NOT NULL DEFAULT '',
    happened_at BIGINT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL DEFAULT 0,
    status INT NOT NULL DEFAULT 0,
    took BIGINT NOT NULL DEFAULT 0,
    answer VARCHAR(1024) NOT NULL DEFAULT '',
    error VARCHAR(1024) NOT NULL DEFAULT '',
    tried_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY webhook_deliveries_due (state, next_at, webhook_id),
    KEY webhook_deliveries_hook (webhook_id, state, id),
    KEY webhook_deliveries_log (webhook_id, id),
    KEY webhook_deliveries_old (happened_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS webhook_deliveries;
DROP TABLE IF EXISTS webhook_keys;
DROP TABLE IF EXISTS webhooks;
DROP TABLE IF EXISTS daily_reports;
DROP TABLE IF EXISTS mailing_lists;
ALTER TABLE backups DROP KEY backups_sizes;
ALTER TABLE jobs DROP KEY jobs_report, DROP COLUMN container, DROP COLUMN stored_bytes, DROP COLUMN volume_bytes;
