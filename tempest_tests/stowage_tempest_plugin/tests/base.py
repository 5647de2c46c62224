"""What all tests of the plugin share."""

import time
from urllib import parse

from tempest import config
from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils
from tempest.lib import exceptions
from tempest import test

CONF = config.CONF

BUSY_VOLUME = ('creating', 'downloading', 'uploading', 'reserved',
               'backing-up', 'restoring-backup', 'deleting')
BUSY_BACKUP = ('creating', 'restoring', 'deleting')

# What the specification shows of a backup, and which types it gives it.
DETAILS = {
    'id': str,
    'display_name': (str, type(None)),
    'display_description': (str, type(None)),
    'volume_id': str,
    'container': str,
    'status': str,
    'fail_reason': (str, type(None)),
    'created_at': str,
    'size': int,
    'object_count': int,
}
STAMP = r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$'


def wait_until(show, done, what):
    """Looks until done(what is shown), for build_timeout seconds at most.

    :return: everything that was seen, in order, without repetitions
    """
    seen = []
    end = time.monotonic() + CONF.volume_backup.build_timeout
    while True:
        now = show()
        if not seen or seen[-1] != now:
            seen.append(now)
        if done(now):
            return seen
        if time.monotonic() > end:
            raise exceptions.TimeoutException(
                '%s: %s after %s s' % (what, ', '.join(map(str, seen)),
                                       CONF.volume_backup.build_timeout))
        time.sleep(CONF.volume_backup.build_interval)


class Tenant:
    """One tenant: makes volumes and backups, waits for them, and cleans up."""

    def __init__(self, case, manager):
        self.case = case
        self.manager = manager
        self.backups = manager.volume_backup.BackupsClient()
        self.volumes = manager.volumes_client_latest
        self.project_id = manager.credentials.project_id
        case.addClassResourceCleanup(self.empty_account)

    def create_volume(self, **kwargs):
        kwargs.setdefault('size', CONF.volume_backup.volume_size)
        kwargs.setdefault('name', data_utils.rand_name('stowage-volume'))
        if CONF.volume.volume_type:
            kwargs.setdefault('volume_type', CONF.volume.volume_type)
        volume = self.volumes.create_volume(**kwargs)['volume']
        self.own_volume(volume['id'])
        self.wait_for_volume(volume['id'])
        return self.show_volume(volume['id'])

    def own_volume(self, volume_id):
        """Takes care that the volume is deleted in the end."""
        self.case.addClassResourceCleanup(self.remove_volume, volume_id)

    def show_volume(self, volume_id):
        return self.volumes.show_volume(volume_id)['volume']

    def wait_for_volume(self, volume_id, wanted='available'):
        """Waits for the status and gives those seen on the way to it."""
        seen = wait_until(
            lambda: self.show_volume(volume_id)['status'],
            lambda status: status == wanted or status.startswith('error'),
            'volume %s' % volume_id)
        if seen[-1] != wanted:
            raise exceptions.TempestException(
                'volume %s: %s' % (volume_id, ', '.join(seen)))
        return seen

    def remove_volume(self, volume_id):
        try:
            wait_until(lambda: self.show_volume(volume_id)['status'],
                       lambda status: status not in BUSY_VOLUME,
                       'volume %s' % volume_id)
            self.volumes.delete_volume(volume_id)
            self.volumes.wait_for_resource_deletion(volume_id)
        except exceptions.NotFound:
            return

    def create_backup(self, volume_id, wait=True, **kwargs):
        kwargs.setdefault('display_name',
                          data_utils.rand_name('stowage-backup'))
        backup = self.backups.create_backup(
            volume_id=volume_id, **kwargs)['backup']
        self.own_backup(backup['id'])
        if not wait:
            return backup
        self.wait_for_backup(backup['id'])
        return self.show_backup(backup['id'])

    def own_backup(self, backup_id):
        """Takes care that the backup is deleted in the end."""
        self.case.addClassResourceCleanup(self.remove_backup, backup_id)

    def show_backup(self, backup_id):
        return self.backups.show_backup(backup_id)['backup']

    def wait_for_backup(self, backup_id, wanted='available'):
        """Waits for the status and gives those seen on the way to it."""
        seen = wait_until(
            lambda: self.show_backup(backup_id)['status'],
            lambda status: status in (wanted, 'error'),
            'backup %s' % backup_id)
        if seen[-1] != wanted:
            raise exceptions.TempestException('backup %s: %s: %s' % (
                backup_id, ', '.join(seen),
                self.show_backup(backup_id)['fail_reason']))
        return seen

    def wait_until_backup_is_gone(self, backup_id):
        def status():
            try:
                return self.show_backup(backup_id)['status']
            except exceptions.NotFound:
                return 'gone'
        seen = wait_until(status, lambda s: s in ('gone', 'error'),
                          'backup %s' % backup_id)
        if seen[-1] != 'gone':
            raise exceptions.DeleteErrorException(
                resource_id=backup_id, reason=', '.join(seen))

    def remove_backup(self, backup_id):
        try:
            wait_until(lambda: self.show_backup(backup_id)['status'],
                       lambda status: status not in BUSY_BACKUP,
                       'backup %s' % backup_id)
            self.backups.delete_backup(backup_id)
        except exceptions.NotFound:
            return
        self.wait_until_backup_is_gone(backup_id)

    def containers(self):
        """Names of the containers in the tenant's account."""
        _, listed = self.manager.account_client.list_account_containers(
            params={'format': 'json'})
        return [container['name'] for container in listed]

    def objects(self, container):
        _, listed = self.manager.container_client.list_container_objects(
            parse.quote(container), params={'format': 'json'})
        return [o['name'] for o in listed]

    def empty_account(self):
        """Deletes what is left in the account, which outlives its project."""
        for container in self.containers():
            for name in self.objects(container):
                test_utils.call_and_ignore_notfound_exc(
                    self.manager.object_client.delete_object,
                    parse.quote(container), parse.quote(name))
            test_utils.call_and_ignore_notfound_exc(
                self.manager.container_client.delete_container,
                parse.quote(container))


class BaseBackupTest(test.BaseTestCase):
    """Tests of one tenant, `primary`. It needs no server and no network."""

    credentials = ['primary']

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        for service in ('stowage', 'cinder', 'swift'):
            if not getattr(CONF.service_available, service):
                raise cls.skipException('%s is not available' % service)

    @classmethod
    def setup_credentials(cls):
        cls.set_network_resources()
        super().setup_credentials()

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        if hasattr(cls, 'os_primary'):
            cls.tenant = Tenant(cls, cls.os_primary)
            cls.backups = cls.tenant.backups

    def assertFault(self, answer, status, name, message=None):
        """The answer is this fault, in the form of the specification."""
        resp, body = answer
        self.assertEqual(status, resp.status, body)
        self.assertEqual([name], list(body))
        self.assertEqual(status, body[name]['code'])
        self.assertIsInstance(body[name]['message'], str)
        if message is not None:
            self.assertEqual(message, body[name]['message'])
        self.assertIn('x-openstack-request-id', resp)

    def assertDetails(self, backup):
        """The backup has every key of the specification, of its type."""
        for key, kind in DETAILS.items():
            self.assertIn(key, backup)
            self.assertIsInstance(backup[key], kind, key)
        self.assertRegex(backup['id'], r'^[1-9]\d*$')
        self.assertRegex(backup['created_at'], STAMP)
