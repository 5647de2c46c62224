-- +goose Up
-- Policies, their rules, and the entities they protect: of an entity one policy at
-- most, so the entity is the key.
CREATE TABLE IF NOT EXISTS policies (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    active TINYINT NOT NULL,
    priority INT NOT NULL,
    assigns TINYINT NOT NULL,
    details MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY policies_name (project_id, name),
    KEY policies_all (name, id),
    KEY policies_assigns (assigns, created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS policy_rules (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    position INT NOT NULL,
    active TINYINT NOT NULL,
    details MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY policy_rules_policy (policy_id, position),
    KEY policy_rules_project (project_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS policy_entities (
    entity_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    automatic TINYINT NOT NULL,
    PRIMARY KEY (entity_id),
    KEY policy_entities_policy (policy_id, entity_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- next_due moves from the time that was due to the next one: whoever moves it
-- begins the run. 0: never.
CREATE TABLE IF NOT EXISTS schedules (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    active TINYINT NOT NULL,
    details MEDIUMTEXT NOT NULL,
    next_due BIGINT NOT NULL DEFAULT 0,
    last_run BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY schedules_name (project_id, name),
    KEY schedules_all (name, id),
    KEY schedules_due (active, next_due)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS rule_schedules (
    rule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    schedule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (rule_id, schedule_id),
    KEY rule_schedules_schedule (schedule_id, rule_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- A due time of a schedule is one run, whoever sees it first.
CREATE TABLE IF NOT EXISTS schedule_runs (
    id BIGINT NOT NULL AUTO_INCREMENT,
    schedule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    due BIGINT NOT NULL,
    window_end BIGINT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    full_backup TINYINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY schedule_runs_due (schedule_id, due),
    KEY schedule_runs_state (state, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS run_entries (
    run_id BIGINT NOT NULL,
    entity_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    job_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reason VARCHAR(1024) NOT NULL DEFAULT '',
    tried_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, entity_id),
    KEY run_entries_state (run_id, state, tried_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND column_name = 'schedule_id') = 0,
    'ALTER TABLE jobs
        ADD COLUMN schedule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN rule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD KEY jobs_schedule (schedule_id, hidden, seq),
        ADD KEY jobs_policy (policy_id, hidden, seq)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND column_name = 'schedule_id') = 0,
    'ALTER TABLE backups
        ADD COLUMN schedule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN policy_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN rule_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN retention_mark VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN retain_until BIGINT NOT NULL DEFAULT 0,
        ADD KEY backups_policy (policy_id, volume_id, id),
        ADD KEY backups_policy_bytes (policy_id, status, stored_bytes),
        ADD KEY backups_marks (retention_mark, policy_id, id)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

-- +goose Down
ALTER TABLE backups DROP KEY backups_marks, DROP KEY backups_policy_bytes, DROP KEY backups_policy, DROP COLUMN retain_until, DROP COLUMN retention_mark,
    DROP COLUMN rule_id, DROP COLUMN policy_id, DROP COLUMN schedule_id;
ALTER TABLE jobs DROP KEY jobs_policy, DROP KEY jobs_schedule, DROP COLUMN rule_id, DROP COLUMN policy_id, DROP COLUMN schedule_id;
DROP TABLE IF EXISTS run_entries;
DROP TABLE IF EXISTS schedule_runs;
DROP TABLE IF EXISTS rule_schedules;
DROP TABLE IF EXISTS schedules;
DROP TABLE IF EXISTS policy_entities;
DROP TABLE IF EXISTS policy_rules;
DROP TABLE IF EXISTS policies;
