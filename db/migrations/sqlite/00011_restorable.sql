-- +goose Up
-- How many backups of an entity can be restored stands in the indexes that lists of
-- entities walk along, so they look for none of them.
ALTER TABLE entities ADD COLUMN restorable INTEGER NOT NULL DEFAULT 0;
DROP INDEX IF EXISTS entities_listed;
CREATE INDEX entities_listed ON entities (listed, name, id, present, restorable);
DROP INDEX IF EXISTS entities_project;
CREATE INDEX entities_project ON entities (project_id, listed, name, id, present, restorable);
UPDATE entities SET restorable = (SELECT COUNT(*) FROM backups WHERE backups.volume_id = entities.id AND backups.status IN ('available', 'restoring'));

-- The tasks of the entities that have a text in their names, with all that tasks are
-- filtered and sorted by.
DROP INDEX IF EXISTS jobs_shown_entity;
CREATE INDEX jobs_shown_entity ON jobs (entity_id, hidden, seq, state, kind, priority, started_at, finished_at, created_at, parent_id, project_id);

-- +goose Down
DROP INDEX IF EXISTS jobs_shown_entity;
CREATE INDEX jobs_shown_entity ON jobs (entity_id, hidden, seq);
DROP INDEX IF EXISTS entities_project;
CREATE INDEX entities_project ON entities (project_id, listed, name, id, present);
DROP INDEX IF EXISTS entities_listed;
CREATE INDEX entities_listed ON entities (listed, name, id, present);
ALTER TABLE entities DROP COLUMN restorable;
