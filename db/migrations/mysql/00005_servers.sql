-- +goose Up
-- A backup of a server is a row of its own, of kind server, whose volume_id is the
-- server's id; the backups of its volumes are rows that name it in set_id.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND column_name = 'set_id') = 0,
    'ALTER TABLE backups
        ADD COLUMN kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN set_id BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN server MEDIUMTEXT NULL,
        ADD KEY backups_set (set_id, id),
        ADD KEY backups_points (project_id, set_id, id)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

-- The job that a job is a part of, or follows.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND column_name = 'parent_id') = 0,
    'ALTER TABLE jobs
        ADD COLUMN parent_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD KEY jobs_parent (parent_id, seq)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;

-- A disk that is left out of backups of its server.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'entities' AND column_name = 'excluded') = 0,
    'ALTER TABLE entities ADD COLUMN excluded TINYINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_entities FROM @change;
EXECUTE change_entities;
DEALLOCATE PREPARE change_entities;

-- +goose Down
ALTER TABLE entities DROP COLUMN excluded;
ALTER TABLE jobs DROP KEY jobs_parent, DROP COLUMN parent_id;
ALTER TABLE backups DROP KEY backups_points, DROP KEY backups_set, DROP COLUMN server, DROP COLUMN set_id, DROP COLUMN kind;
