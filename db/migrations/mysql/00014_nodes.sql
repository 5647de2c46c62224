-- +goose Up
-- Which manager worked on a job stays with it. An index for the order of those that asked
-- for jobs begins with what all lists of tasks leave out, as the others do.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND column_name = 'host') = 0,
    'ALTER TABLE jobs
        ADD COLUMN host VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '''',
        ADD KEY jobs_host (host, hidden, seq, kind, backup_id),
        DROP KEY jobs_schedule,
        ADD KEY jobs_origin (hidden, schedule_id, seq)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;
UPDATE jobs SET host = SUBSTRING_INDEX(lease_owner, '/', 1) WHERE host = '' AND lease_owner <> '';

-- What entities are sorted by is told of their newest backups by the index that finds them.
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND index_name = 'backups_latest' AND column_name = 'stored_bytes') = 0,
    'ALTER TABLE backups
        DROP KEY backups_latest,
        ADD KEY backups_latest (volume_id, snapshot_at, id, status, incremental, project_id, stored_bytes, created_at)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

-- +goose Down
ALTER TABLE backups DROP KEY backups_latest, ADD KEY backups_latest (volume_id, snapshot_at, id, status, incremental, project_id);
ALTER TABLE jobs DROP KEY jobs_origin, ADD KEY jobs_schedule (schedule_id, hidden, seq), DROP KEY jobs_host, DROP COLUMN host;
