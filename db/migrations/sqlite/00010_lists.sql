-- +goose Up
-- What lists are filtered and sorted by stands in the indexes that they walk along,
-- so no row is read but those of the page.
DROP INDEX IF EXISTS backups_set;
CREATE INDEX backups_set ON backups (set_id, id, status, incremental, snapshot_at, created_at, stored_bytes, policy_id, name, container);
DROP INDEX IF EXISTS backups_points;
CREATE INDEX backups_points ON backups (project_id, set_id, id, status, incremental, snapshot_at, created_at, stored_bytes, policy_id, name, container);
DROP INDEX IF EXISTS backups_containers;
CREATE INDEX backups_containers ON backups (kind, project_id, container, stored_bytes);
CREATE INDEX IF NOT EXISTS backups_described ON backups (description, id);
CREATE INDEX IF NOT EXISTS backups_named ON backups (set_id, name, id);
CREATE INDEX IF NOT EXISTS backups_sized ON backups (set_id, stored_bytes, id);
CREATE INDEX IF NOT EXISTS backups_good ON backups (volume_id, status);
DROP INDEX IF EXISTS jobs_shown;
CREATE INDEX jobs_shown ON jobs (hidden, seq, state, kind, priority, started_at, finished_at, entity_id, created_at, parent_id);
CREATE INDEX IF NOT EXISTS jobs_started ON jobs (hidden, started_at, seq);
CREATE INDEX IF NOT EXISTS jobs_finished ON jobs (hidden, finished_at, seq);
CREATE INDEX IF NOT EXISTS jobs_prior ON jobs (hidden, priority, seq);

-- +goose Down
DROP INDEX IF EXISTS jobs_prior;
DROP INDEX IF EXISTS jobs_finished;
DROP INDEX IF EXISTS jobs_started;
DROP INDEX IF EXISTS jobs_shown;
CREATE INDEX jobs_shown ON jobs (hidden, seq, state, kind, priority, started_at, finished_at, entity_id);
DROP INDEX IF EXISTS backups_good;
DROP INDEX IF EXISTS backups_sized;
DROP INDEX IF EXISTS backups_named;
DROP INDEX IF EXISTS backups_described;
DROP INDEX IF EXISTS backups_containers;
CREATE INDEX backups_containers ON backups (project_id, container, stored_bytes);
DROP INDEX IF EXISTS backups_points;
CREATE INDEX backups_points ON backups (project_id, set_id, id);
DROP INDEX IF EXISTS backups_set;
CREATE INDEX backups_set ON backups (set_id, id);
