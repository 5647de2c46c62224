-- +goose Up
-- Recovery plans with their rules, which nothing is looked for by.
CREATE TABLE IF NOT EXISTS recovery_plans (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    active TINYINT NOT NULL,
    priority INT NOT NULL,
    rules MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY recovery_plans_name (project_id, name),
    KEY recovery_plans_all (name, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS recovery_plans;
