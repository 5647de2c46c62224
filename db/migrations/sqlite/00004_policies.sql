-- +goose Up
-- Policies, their rules, and the entities they protect: of an entity one policy at
-- most, so the entity is the key.
CREATE TABLE IF NOT EXISTS policies (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    active INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    assigns INTEGER NOT NULL,
    details TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS policies_name ON policies (project_id, name);
CREATE INDEX IF NOT EXISTS policies_all ON policies (name, id);
CREATE INDEX IF NOT EXISTS policies_assigns ON policies (assigns, created_at);

CREATE TABLE IF NOT EXISTS policy_rules (
    id TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    position INTEGER NOT NULL,
    active INTEGER NOT NULL,
    details TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS policy_rules_policy ON policy_rules (policy_id, position);
CREATE INDEX IF NOT EXISTS policy_rules_project ON policy_rules (project_id, name);

CREATE TABLE IF NOT EXISTS policy_entities (
    entity_id TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    automatic INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS policy_entities_policy ON policy_entities (policy_id, entity_id);

-- next_due moves from the time that was due to the next one: whoever moves it
-- begins the run. 0: never.
CREATE TABLE IF NOT EXISTS schedules (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    active INTEGER NOT NULL,
    details TEXT NOT NULL,
    next_due INTEGER NOT NULL DEFAULT 0,
    last_run INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS schedules_name ON schedules (project_id, name);
CREATE INDEX IF NOT EXISTS schedules_all ON schedules (name, id);
CREATE INDEX IF NOT EXISTS schedules_due ON schedules (active, next_due);

CREATE TABLE IF NOT EXISTS rule_schedules (
    rule_id TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    PRIMARY KEY (rule_id, schedule_id)
);
CREATE INDEX IF NOT EXISTS rule_schedules_schedule ON rule_schedules (schedule_id, rule_id);

-- A due time of a schedule is one run, whoever sees it first.
CREATE TABLE IF NOT EXISTS schedule_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    due INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    state TEXT NOT NULL,
    full_backup INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS schedule_runs_due ON schedule_runs (schedule_id, due);
CREATE INDEX IF NOT EXISTS schedule_runs_state ON schedule_runs (state, id);

CREATE TABLE IF NOT EXISTS run_entries (
    run_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    tried_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, entity_id)
);
CREATE INDEX IF NOT EXISTS run_entries_state ON run_entries (run_id, state, tried_at);

ALTER TABLE jobs ADD COLUMN schedule_id TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN policy_id TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN rule_id TEXT NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS jobs_schedule ON jobs (schedule_id, hidden, seq);
CREATE INDEX IF NOT EXISTS jobs_policy ON jobs (policy_id, hidden, seq);

ALTER TABLE backups ADD COLUMN schedule_id TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN policy_id TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN rule_id TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN retention_mark TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN retain_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS backups_policy ON backups (policy_id, volume_id, id);
CREATE INDEX IF NOT EXISTS backups_policy_bytes ON backups (policy_id, status, stored_bytes);
CREATE INDEX IF NOT EXISTS backups_marks ON backups (retention_mark, policy_id, id);

-- +goose Down
DROP INDEX IF EXISTS backups_marks;
DROP INDEX IF EXISTS backups_policy_bytes;
DROP INDEX IF EXISTS backups_policy;
ALTER TABLE backups DROP COLUMN retain_until;
ALTER TABLE backups DROP COLUMN retention_mark;
ALTER TABLE backups DROP COLUMN rule_id;
ALTER TABLE backups DROP COLUMN policy_id;
ALTER TABLE backups DROP COLUMN schedule_id;
DROP INDEX IF EXISTS jobs_policy;
DROP INDEX IF EXISTS jobs_schedule;
ALTER TABLE jobs DROP COLUMN rule_id;
ALTER TABLE jobs DROP COLUMN policy_id;
ALTER TABLE jobs DROP COLUMN schedule_id;
DROP TABLE IF EXISTS run_entries;
DROP TABLE IF EXISTS schedule_runs;
DROP TABLE IF EXISTS rule_schedules;
DROP TABLE IF EXISTS schedules;
DROP TABLE IF EXISTS policy_entities;
DROP TABLE IF EXISTS policy_rules;
DROP TABLE IF EXISTS policies;
