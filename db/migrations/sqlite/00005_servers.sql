-- +goose Up
-- A backup of a server is a row of its own, of kind server, whose volume_id is the
-- server's id; the backups of its volumes are rows that name it in set_id.
ALTER TABLE backups ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN set_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backups ADD COLUMN server TEXT NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS backups_set ON backups (set_id, id);
CREATE INDEX IF NOT EXISTS backups_points ON backups (project_id, set_id, id);

-- The job that a job is a part of, or follows.
ALTER TABLE jobs ADD COLUMN parent_id TEXT NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS jobs_parent ON jobs (parent_id, seq);

-- A disk that is left out of backups of its server.
ALTER TABLE entities ADD COLUMN excluded INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE entities DROP COLUMN excluded;
DROP INDEX IF EXISTS jobs_parent;
ALTER TABLE jobs DROP COLUMN parent_id;
DROP INDEX IF EXISTS backups_points;
DROP INDEX IF EXISTS backups_set;
ALTER TABLE backups DROP COLUMN server;
ALTER TABLE backups DROP COLUMN set_id;
ALTER TABLE backups DROP COLUMN kind;
