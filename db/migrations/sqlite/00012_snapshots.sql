-- +goose Up
-- Policies and schedules are of backups or of snapshots, and an entity may have one
-- policy of each kind.
ALTER TABLE policies ADD COLUMN kind TEXT NOT NULL DEFAULT 'backup';
DROP INDEX IF EXISTS policies_name;
CREATE UNIQUE INDEX IF NOT EXISTS policies_name ON policies (project_id, kind, name);

CREATE TABLE policy_entities_new (
    entity_id TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    automatic INTEGER NOT NULL,
    kind TEXT NOT NULL DEFAULT 'backup',
    PRIMARY KEY (entity_id, kind)
);
INSERT INTO policy_entities_new (entity_id, policy_id, automatic) SELECT entity_id, policy_id, automatic FROM policy_entities;
DROP TABLE policy_entities;
ALTER TABLE policy_entities_new RENAME TO policy_entities;
CREATE INDEX IF NOT EXISTS policy_entities_policy ON policy_entities (policy_id, entity_id);

ALTER TABLE schedules ADD COLUMN kind TEXT NOT NULL DEFAULT 'backup';

-- Snapshots that Cinder keeps in the entities' projects; the id is that of the job that
-- takes it, and the mark it is found by.
CREATE TABLE IF NOT EXISTS snapshots (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    schedule_id TEXT NOT NULL DEFAULT '',
    policy_id TEXT NOT NULL DEFAULT '',
    rule_id TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    taken_at INTEGER NOT NULL DEFAULT 0,
    volumes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS snapshots_policy ON snapshots (policy_id, entity_id);
CREATE INDEX IF NOT EXISTS snapshots_entity ON snapshots (entity_id, created_at);
CREATE INDEX IF NOT EXISTS snapshots_project ON snapshots (project_id, created_at);
CREATE INDEX IF NOT EXISTS snapshots_status ON snapshots (status, project_id, updated_at);

-- +goose Down
DROP TABLE IF EXISTS snapshots;
DELETE FROM rule_schedules WHERE schedule_id IN (SELECT id FROM schedules WHERE kind <> 'backup');
DELETE FROM schedules WHERE kind <> 'backup';
ALTER TABLE schedules DROP COLUMN kind;
DELETE FROM policy_rules WHERE policy_id IN (SELECT id FROM policies WHERE kind <> 'backup');
CREATE TABLE policy_entities_old (
    entity_id TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    automatic INTEGER NOT NULL
);
INSERT INTO policy_entities_old SELECT entity_id, policy_id, automatic FROM policy_entities WHERE kind = 'backup';
DROP TABLE policy_entities;
ALTER TABLE policy_entities_old RENAME TO policy_entities;
CREATE INDEX IF NOT EXISTS policy_entities_policy ON policy_entities (policy_id, entity_id);
DELETE FROM policies WHERE kind <> 'backup';
DROP INDEX IF EXISTS policies_name;
ALTER TABLE policies DROP COLUMN kind;
CREATE UNIQUE INDEX IF NOT EXISTS policies_name ON policies (project_id, name);
