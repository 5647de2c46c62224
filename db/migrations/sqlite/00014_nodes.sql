-- +goose Up
-- Which manager worked on a job stays with it. An index for the order of those that asked
-- for jobs begins with what all lists of tasks leave out, as the others do.
ALTER TABLE jobs ADD COLUMN host TEXT NOT NULL DEFAULT '';
UPDATE jobs SET host = substr(lease_owner, 1, instr(lease_owner, '/') - 1) WHERE instr(lease_owner, '/') > 0;
CREATE INDEX IF NOT EXISTS jobs_host ON jobs (host, hidden, seq, kind, backup_id);
DROP INDEX IF EXISTS jobs_schedule;
CREATE INDEX IF NOT EXISTS jobs_origin ON jobs (hidden, schedule_id, seq);

-- What entities are sorted by is told of their newest backups by the index that finds them.
DROP INDEX IF EXISTS backups_latest;
CREATE INDEX backups_latest ON backups (volume_id, snapshot_at, id, status, incremental, project_id, stored_bytes, created_at);

-- +goose Down
DROP INDEX IF EXISTS backups_latest;
CREATE INDEX backups_latest ON backups (volume_id, snapshot_at, id, status, incremental, project_id);
DROP INDEX IF EXISTS jobs_origin;
CREATE INDEX IF NOT EXISTS jobs_schedule ON jobs (schedule_id, hidden, seq);
DROP INDEX IF EXISTS jobs_host;
ALTER TABLE jobs DROP COLUMN host;
