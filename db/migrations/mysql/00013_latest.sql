-- +goose Up
-- The newest backup of a volume is that of the latest snapshot: an import writes older
-- ones behind it.
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND index_name = 'backups_latest') = 0,
    'ALTER TABLE backups
        DROP KEY backups_good,
        ADD KEY backups_latest (volume_id, snapshot_at, id, status, incremental, project_id)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

-- +goose Down
ALTER TABLE backups DROP KEY backups_latest, ADD KEY backups_good (volume_id, status);
