-- +goose Up
-- How many backups of an entity can be restored stands in the indexes that lists of
-- entities walk along, so they look for none of them.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'entities' AND column_name = 'restorable') = 0,
    'ALTER TABLE entities
        ADD COLUMN restorable BIGINT NOT NULL DEFAULT 0,
        DROP KEY entities_listed,
        ADD KEY entities_listed (listed, name, id, present, restorable),
        DROP KEY entities_project,
        ADD KEY entities_project (project_id, listed, name, id, present, restorable)',
    'DO 0');
PREPARE change_entities FROM @change;
EXECUTE change_entities;
DEALLOCATE PREPARE change_entities;
UPDATE entities SET restorable = (SELECT COUNT(*) FROM backups WHERE backups.volume_id = entities.id AND backups.status IN ('available', 'restoring'));

-- The tasks of the entities that have a text in their names, with all that tasks are
-- filtered and sorted by.
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND index_name = 'jobs_shown_entity' AND column_name = 'parent_id') = 0,
    'ALTER TABLE jobs
        DROP KEY jobs_shown_entity,
        ADD KEY jobs_shown_entity (entity_id, hidden, seq, state, kind, priority, started_at, finished_at, created_at, parent_id, project_id)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;

-- +goose Down
ALTER TABLE jobs DROP KEY jobs_shown_entity, ADD KEY jobs_shown_entity (entity_id, hidden, seq);
ALTER TABLE entities DROP KEY entities_project, ADD KEY entities_project (project_id, listed, name, id, present),
    DROP KEY entities_listed, ADD KEY entities_listed (listed, name, id, present), DROP COLUMN restorable;
