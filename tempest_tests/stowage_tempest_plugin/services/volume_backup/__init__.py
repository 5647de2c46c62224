from stowage_tempest_plugin.services.volume_backup.backups_client import \
    BackupsClient

__all__ = ['BackupsClient']
