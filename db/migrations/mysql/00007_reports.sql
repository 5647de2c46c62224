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

-- +goose Down
DROP TABLE IF EXISTS daily_reports;
DROP TABLE IF EXISTS mailing_lists;
ALTER TABLE backups DROP KEY backups_sizes;
ALTER TABLE jobs DROP KEY jobs_report, DROP COLUMN container, DROP COLUMN stored_bytes, DROP COLUMN volume_bytes;
