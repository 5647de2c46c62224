-- +goose Up
-- What lists are filtered and sorted by stands in the indexes that they walk along,
-- so no row is read but those of the page.
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND index_name = 'backups_described') = 0,
    'ALTER TABLE backups
        DROP KEY backups_set,
        ADD KEY backups_set (set_id, id, status, incremental, snapshot_at, created_at, stored_bytes, policy_id, name, container),
        DROP KEY backups_points,
        ADD KEY backups_points (project_id, set_id, id, status, incremental, snapshot_at, created_at, stored_bytes, policy_id, name, container),
        DROP KEY backups_containers,
        ADD KEY backups_containers (kind, project_id, container, stored_bytes),
        ADD KEY backups_described (description, id),
        ADD KEY backups_named (set_id, name, id),
        ADD KEY backups_sized (set_id, stored_bytes, id),
        ADD KEY backups_good (volume_id, status)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND index_name = 'jobs_prior') = 0,
    'ALTER TABLE jobs
        DROP KEY jobs_shown,
        ADD KEY jobs_shown (hidden, seq, state, kind, priority, started_at, finished_at, entity_id, created_at, parent_id),
        ADD KEY jobs_started (hidden, started_at, seq),
        ADD KEY jobs_finished (hidden, finished_at, seq),
        ADD KEY jobs_prior (hidden, priority, seq)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;

-- +goose Down
ALTER TABLE jobs DROP KEY jobs_prior, DROP KEY jobs_finished, DROP KEY jobs_started, DROP KEY jobs_shown,
    ADD KEY jobs_shown (hidden, seq, state, kind, priority, started_at, finished_at, entity_id);
ALTER TABLE backups DROP KEY backups_good, DROP KEY backups_sized, DROP KEY backups_named, DROP KEY backups_described,
    DROP KEY backups_containers, ADD KEY backups_containers (project_id, container, stored_bytes),
    DROP KEY backups_points, ADD KEY backups_points (project_id, set_id, id),
    DROP KEY backups_set, ADD KEY backups_set (set_id, id);
