-- +goose Up
-- Times are microseconds since 1970-01-01 UTC, 0 for "not yet": the same
-- arithmetic and the same order on every database.

CREATE TABLE IF NOT EXISTS backups (
    id               BIGINT       NOT NULL AUTO_INCREMENT,
    uuid             CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id       VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id          VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name             VARCHAR(255) NOT NULL,
    description      VARCHAR(255) NOT NULL,
    container        VARCHAR(256) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    status           VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fail_reason      VARCHAR(1024) NOT NULL DEFAULT '',
    volume_id        VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    volume           MEDIUMTEXT   NOT NULL,
    size_gib         BIGINT       NOT NULL,
    volume_bytes     BIGINT       NOT NULL DEFAULT 0,
    stored_bytes     BIGINT       NOT NULL DEFAULT 0,
    object_count     BIGINT       NOT NULL DEFAULT 0,
    incremental      TINYINT      NOT NULL DEFAULT 0,
    manifest         VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    manifest_digest  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    snapshot_at      BIGINT       NOT NULL DEFAULT 0,
    created_at       BIGINT       NOT NULL,
    updated_at       BIGINT       NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY backups_uuid (uuid),
    KEY backups_project (project_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS jobs (
    seq            BIGINT       NOT NULL AUTO_INCREMENT,
    id             CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind           VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state          VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id     VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    user_id        VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    request_id     VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    backend        VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    backup_id      BIGINT       NOT NULL DEFAULT 0,
    volume_id      VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    priority       INT          NOT NULL,
    ready_at       BIGINT       NOT NULL,
    rung_at        BIGINT       NOT NULL DEFAULT 0,
    window_start   BIGINT       NOT NULL DEFAULT 0,
    window_end     BIGINT       NOT NULL DEFAULT 0,
    attempt        INT          NOT NULL DEFAULT 0,
    failures       INT          NOT NULL DEFAULT 0,
    fence          BIGINT       NOT NULL DEFAULT 0,
    lease_owner    VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    lease_expires  BIGINT       NOT NULL DEFAULT 0,
    percent        INT          NOT NULL DEFAULT 0,
    bytes_done     BIGINT       NOT NULL DEFAULT 0,
    bytes_all      BIGINT       NOT NULL DEFAULT 0,
    lock_state     VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    attachment_id  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    leftover       TINYINT      NOT NULL DEFAULT 0,
    params         MEDIUMTEXT   NOT NULL,
    error          VARCHAR(1024) NOT NULL DEFAULT '',
    created_at     BIGINT       NOT NULL,
    started_at     BIGINT       NOT NULL DEFAULT 0,
    finished_at    BIGINT       NOT NULL DEFAULT 0,
    updated_at     BIGINT       NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY jobs_id (id),
    KEY jobs_next (state, backend, priority, seq),
    KEY jobs_backup (backup_id, seq),
    KEY jobs_lock (lock_state, state),
    KEY jobs_leftover (leftover, state)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS services (
    host            VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    kind            VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    instance        CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version         VARCHAR(64)  NOT NULL,
    backends        MEDIUMTEXT   NOT NULL,
    enabled         TINYINT      NOT NULL DEFAULT 1,
    disabled_reason VARCHAR(255) NOT NULL DEFAULT '',
    started_at      BIGINT       NOT NULL,
    last_seen       BIGINT       NOT NULL,
    PRIMARY KEY (host, kind)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS services;
DROP TABLE IF EXISTS jobs;
DROP TABLE IF EXISTS backups;
