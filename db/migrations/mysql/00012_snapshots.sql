-- +goose Up
-- Policies and schedules are of backups or of snapshots, and an entity may have one
-- policy of each kind.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'policies' AND column_name = 'kind') = 0,
    'ALTER TABLE policies
        ADD COLUMN kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''backup'',
        DROP KEY policies_name,
        ADD UNIQUE KEY policies_name (project_id, kind, name)',
    'DO 0');
PREPARE change_policies FROM @change;
EXECUTE change_policies;
DEALLOCATE PREPARE change_policies;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'policy_entities' AND column_name = 'kind') = 0,
    'ALTER TABLE policy_entities
        ADD COLUMN kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''backup'',
        DROP PRIMARY KEY,
        ADD PRIMARY KEY (entity_id, kind)',
    'DO 0');
PREPARE change_entities FROM @change;
EXECUTE change_entities;
DEALLOCATE PREPARE change_entities;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'schedules' AND column_name = 'kind') = 0,
    'ALTER TABLE schedules
        ADD COLUMN kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''backup''',
    'DO 0');
PREPARE change_schedules FROM @change;
EXECUTE change_schedules;
DEALLOCATE PREPARE change_schedules;

-- Snapshots that Cinder keeps in the entities' projects; the id is that of the job that
-- takes it, and the mark it is found by.
CREATE TABLE IF NOT EXISTS snapshots (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    entity_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    schedule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    rule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reason VARCHAR(1024) NOT NULL DEFAULT '',
    taken_at BIGINT NOT NULL DEFAULT 0,
    volumes MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY snapshots_policy (policy_id, entity_id),
    KEY snapshots_entity (entity_id, created_at),
    KEY snapshots_project (project_id, created_at),
    KEY snapshots_status (status, project_id, updated_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS snapshots;
DELETE FROM rule_schedules WHERE schedule_id IN (SELECT id FROM schedules WHERE kind <> 'backup');
DELETE FROM schedules WHERE kind <> 'backup';
ALTER TABLE schedules DROP COLUMN kind;
DELETE FROM policy_rules WHERE policy_id IN (SELECT id FROM policies WHERE kind <> 'backup');
DELETE FROM policy_entities WHERE kind <> 'backup';
ALTER TABLE policy_entities DROP PRIMARY KEY, ADD PRIMARY KEY (entity_id), DROP COLUMN kind;
DELETE FROM policies WHERE kind <> 'backup';
ALTER TABLE policies DROP KEY policies_name, ADD UNIQUE KEY policies_name (project_id, name), DROP COLUMN kind;
