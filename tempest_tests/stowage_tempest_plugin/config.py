"""Options of the plugin in tempest.conf."""

from oslo_config import cfg

service_option = cfg.BoolOpt(
    'stowage',
    default=True,
    help='Whether Stowage, the volume backup service, is there')

# The group is named like the client's service, and has the options that
# Tempest gives to every service client.
volume_backup_group = cfg.OptGroup(
    name='volume_backup', title='Volume backup service')

VolumeBackupGroup = [
    cfg.StrOpt('catalog_type',
               default='volume-backup',
               help='Type of the service in the catalog'),
    cfg.StrOpt('region',
               default='',
               help='Region of the service; empty: that of [identity]'),
    cfg.StrOpt('endpoint_type',
               default='publicURL',
               choices=['public', 'admin', 'internal',
                        'publicURL', 'adminURL', 'internalURL'],
               help='Which of the endpoints is tested'),
    cfg.FloatOpt('build_interval',
                 default=1,
                 min=0.1,
                 help='Seconds between two looks at a status'),
    cfg.IntOpt('build_timeout',
               default=300,
               min=1,
               help='Seconds that a backup, a restore or a deletion of a '
                    'small volume may take'),
    cfg.IntOpt('volume_size',
               default=1,
               min=1,
               help='GiB of the volumes that are backed up'),
    cfg.StrOpt('container',
               default='volumebackups',
               help='Where the service puts backups that name no container'),
    cfg.IntOpt('max_request_body_size',
               default=114688,
               help='Bytes of a request body that the service still takes'),
]
