-- +goose Up
-- Recovery plans with their rules, which nothing is looked for by.
CREATE TABLE IF NOT EXISTS recovery_plans (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    active INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    rules TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS recovery_plans_name ON recovery_plans (project_id, name);
CREATE INDEX IF NOT EXISTS recovery_plans_all ON recovery_plans (name, id);

-- +goose Down
DROP TABLE IF EXISTS recovery_plans;
