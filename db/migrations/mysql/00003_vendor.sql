-- +goose Up
-- What jobs tell of themselves as tasks: the volume they are about, whether they
-- are shown at all, and why somebody wants the work stopped. An ALTER TABLE
-- cannot be told to do nothing where it was done already.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'jobs' AND column_name = 'entity_id') = 0,
    'ALTER TABLE jobs
        ADD COLUMN entity_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
        ADD COLUMN hidden TINYINT NOT NULL DEFAULT 0,
        ADD COLUMN cancel_reason VARCHAR(1024) NOT NULL DEFAULT '''',
        ADD KEY jobs_shown (hidden, seq, state, kind, priority, started_at, finished_at, entity_id),
        ADD KEY jobs_shown_state (hidden, state, seq),
        ADD KEY jobs_shown_project (project_id, hidden, seq, state, kind, priority, started_at, finished_at, entity_id),
        ADD KEY jobs_shown_entity (entity_id, hidden, seq)',
    'DO 0');
PREPARE change_jobs FROM @change;
EXECUTE change_jobs;
DEALLOCATE PREPARE change_jobs;
UPDATE jobs SET hidden = 1 WHERE kind = 'verify';
UPDATE jobs SET entity_id = COALESCE((SELECT volume_id FROM backups WHERE backups.id = jobs.backup_id), volume_id)
    WHERE entity_id = '';

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND column_name = 'acknowledged') = 0,
    'ALTER TABLE backups
        ADD COLUMN acknowledged TINYINT NOT NULL DEFAULT 0,
        ADD KEY backups_containers (project_id, container, stored_bytes)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

-- The token is sealed with a key that only the client's ticket gives.
CREATE TABLE IF NOT EXISTS login_sessions (
    ticket_hash BINARY(32)   NOT NULL,
    user_id     VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    project_id  VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    sealed      BLOB         NOT NULL,
    created_at  BIGINT       NOT NULL,
    idle_until  BIGINT       NOT NULL,
    ends_at     BIGINT       NOT NULL,
    PRIMARY KEY (ticket_hash),
    KEY login_sessions_idle (idle_until),
    KEY login_sessions_end (ends_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What the cloud holds, as the last look at it found it. seen is the number of
-- that look.
CREATE TABLE IF NOT EXISTS entities (
    id         VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind       VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name       VARCHAR(255) NOT NULL,
    words      VARCHAR(1024) NOT NULL,
    host       VARCHAR(255) NOT NULL,
    present    TINYINT      NOT NULL,
    listed     TINYINT      NOT NULL,
    server_id  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    attributes MEDIUMTEXT   NOT NULL,
    seen       BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL,
    PRIMARY KEY (id),
    KEY entities_listed (listed, name, id, present),
    KEY entities_project (project_id, listed, name, id, present),
    KEY entities_server (server_id, id),
    KEY entities_seen (kind, present, seen)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS resources (
    kind       VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    id         VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    project_id VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name       VARCHAR(255) NOT NULL,
    shared     TINYINT      NOT NULL,
    seen       BIGINT       NOT NULL,
    PRIMARY KEY (kind, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS inventory_marks (
    what VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    mark BIGINT      NOT NULL,
    PRIMARY KEY (what)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS inventory_marks;
DROP TABLE IF EXISTS resources;
DROP TABLE IF EXISTS entities;
DROP TABLE IF EXISTS login_sessions;
ALTER TABLE backups DROP KEY backups_containers, DROP COLUMN acknowledged;
ALTER TABLE jobs DROP KEY jobs_shown_entity, DROP KEY jobs_shown_project, DROP KEY jobs_shown_state, DROP KEY jobs_shown,
    DROP COLUMN cancel_reason, DROP COLUMN hidden, DROP COLUMN entity_id;
