-- +goose Up
-- The newest backup of a volume is that of the latest snapshot: an import writes older
-- ones behind it.
DROP INDEX IF EXISTS backups_good;
DROP INDEX IF EXISTS backups_latest;
CREATE INDEX backups_latest ON backups (volume_id, snapshot_at, id, status, incremental, project_id);

-- +goose Down
DROP INDEX IF EXISTS backups_latest;
CREATE INDEX IF NOT EXISTS backups_good ON backups (volume_id, status);
