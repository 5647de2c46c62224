-- +goose Up
-- An ALTER TABLE cannot be told to do nothing where it was done already.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'backups' AND column_name = 'verified_at') = 0,
    'ALTER TABLE backups
        ADD COLUMN damaged_reason VARCHAR(1024) NOT NULL DEFAULT '''' AFTER snapshot_at,
        ADD COLUMN verified_at BIGINT NOT NULL DEFAULT 0 AFTER damaged_reason,
        ADD KEY backups_volume (volume_id, project_id, container, snapshot_at, id),
        ADD KEY backups_verified (status, verified_at, id)',
    'DO 0');
PREPARE change_backups FROM @change;
EXECUTE change_backups;
DEALLOCATE PREPARE change_backups;

-- What was stored before, in a format that nobody reads any more, is no parent.
UPDATE backups SET damaged_reason = 'It was stored by a development version, in a format that is not read any more.'
    WHERE manifest LIKE '%/manifest';

-- One row a volume and container that was ever backed up. Every change of the
-- sets below moves its version, so planners on two nodes write the same row.
CREATE TABLE IF NOT EXISTS lineages (
    id         BIGINT       NOT NULL AUTO_INCREMENT,
    project_id VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    volume_id  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    container  VARCHAR(256) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    version    BIGINT       NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY lineages_volume (volume_id, project_id, container)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS reaches (
    backup_id  BIGINT     NOT NULL,
    lineage_id BIGINT     NOT NULL,
    objects    MEDIUMBLOB NOT NULL,
    PRIMARY KEY (backup_id),
    KEY reaches_lineage (lineage_id, backup_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS garbage (
    id          BIGINT        NOT NULL AUTO_INCREMENT,
    project_id  VARCHAR(64)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    container   VARCHAR(256)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    volume_id   VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    backup_id   BIGINT        NOT NULL,
    objects     MEDIUMBLOB    NOT NULL,
    name_prefix VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    keep_prefix VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    ready_at    BIGINT        NOT NULL,
    PRIMARY KEY (id),
    KEY garbage_ready (ready_at, id),
    KEY garbage_backup (backup_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- replaced is 0 for the one base of a volume, and a row's own id once another
-- took its place.
CREATE TABLE IF NOT EXISTS bases (
    id          BIGINT       NOT NULL AUTO_INCREMENT,
    backend     VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    volume_id   VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    replaced    BIGINT       NOT NULL DEFAULT 0,
    backup_id   BIGINT       NOT NULL,
    backup_uuid CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    snapshot    MEDIUMTEXT   NOT NULL,
    made_at     BIGINT       NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY bases_volume (volume_id, backend, replaced),
    KEY bases_backend (backend, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Keys are wrapped by the operator's master key.
CREATE TABLE IF NOT EXISTS project_keys (
    project_id VARCHAR(64)    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    number     INT            NOT NULL,
    id         BINARY(16)     NOT NULL,
    wrapped    VARBINARY(255) NOT NULL,
    created_at BIGINT         NOT NULL,
    PRIMARY KEY (project_id, number),
    UNIQUE KEY project_keys_id (project_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- +goose Down
DROP TABLE IF EXISTS project_keys;
DROP TABLE IF EXISTS bases;
DROP TABLE IF EXISTS garbage;
DROP TABLE IF EXISTS reaches;
DROP TABLE IF EXISTS lineages;
ALTER TABLE backups DROP KEY backups_verified, DROP KEY backups_volume, DROP COLUMN verified_at, DROP COLUMN damaged_reason;
