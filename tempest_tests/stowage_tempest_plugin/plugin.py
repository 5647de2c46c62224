"""What Tempest asks a plugin for."""

import os

from tempest import config
from tempest.test_discover import plugins

from stowage_tempest_plugin import config as options


class StowageTempestPlugin(plugins.TempestPlugin):

    def load_tests(self):
        package = os.path.dirname(os.path.abspath(__file__))
        return os.path.join(package, 'tests'), os.path.dirname(package)

    def register_opts(self, conf):
        conf.register_opt(options.service_option, group='service_available')
        conf.register_group(options.volume_backup_group)
        conf.register_opts(options.VolumeBackupGroup,
                           options.volume_backup_group)

    def get_opt_lists(self):
        return [
            (options.volume_backup_group.name, options.VolumeBackupGroup),
            ('service_available', [options.service_option]),
        ]

    def get_service_clients(self):
        client = {
            'name': 'volume_backup',
            'service_version': 'volume_backup.v1.1',
            'module_path': 'stowage_tempest_plugin.services.volume_backup',
            'client_names': ['BackupsClient'],
        }
        client.update(config.service_client_config('volume_backup'))
        return [client]
