-- +goose Up
-- Backups whose files a manager serves. A mount that is served belongs to the
-- process that owner names, for as long as its lease runs.
CREATE TABLE IF NOT EXISTS mounts (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    backup_id BIGINT NOT NULL,
    job_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reason VARCHAR(1024) NOT NULL DEFAULT '',
    host VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    owner VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    endpoint VARCHAR(512) NOT NULL DEFAULT '',
    lease_expires BIGINT NOT NULL DEFAULT 0,
    unmount_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    served_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL,
    details MEDIUMTEXT NOT NULL,
    PRIMARY KEY (id),
    KEY mounts_project (project_id, state, created_at),
    KEY mounts_backup (backup_id, state, created_at),
    KEY mounts_state (state, owner)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS mounts;
