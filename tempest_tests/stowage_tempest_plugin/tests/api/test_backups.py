"""Create, show and delete."""

import datetime

from tempest.lib.common.utils import data_utils
from tempest.lib import decorators
from tempest.lib import exceptions

from stowage_tempest_plugin.tests import base

CONF = base.CONF

# Umlauts, CJK, a character beyond 16 bits and one made of several.
UNICODE = 'Sicherung \u00fc\u00df \u5099\u4efd \U0001f5c4\ufe0f e\u0301'


class BackupsTest(base.BaseBackupTest):

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.volume = cls.tenant.create_volume()

    def create(self, **kwargs):
        """Creates a backup, checks the answer, and waits for the rest."""
        before = self.server_time()
        answer = self.backups.create_backup(
            volume_id=self.volume['id'], **kwargs)['backup']
        self.tenant.own_backup(answer['id'])
        self.assertRegex(answer['id'], r'^[1-9]\d*$')
        self.assertEqual('creating', answer['status'])
        self.assertEqual(self.volume['id'], answer['volume_id'])
        self.assertRegex(answer['created_at'], base.STAMP)
        self.assertLessEqual(before, answer['created_at'])
        for key in 'display_name', 'display_description':
            self.assertEqual(kwargs.get(key) or None, answer[key])
        volume = self.tenant.wait_for_volume(self.volume['id'])
        self.assertLessEqual(set(volume), {'backing-up', 'available'})
        backup = self.tenant.wait_for_backup(answer['id'])
        self.assertLessEqual(set(backup), {'creating', 'available'})

        shown = self.tenant.show_backup(answer['id'])
        self.assertDetails(shown)
        for key in set(answer) - {'status'}:
            self.assertEqual(answer[key], shown[key], key)
        self.assertEqual('available', shown['status'])
        self.assertIsNone(shown['fail_reason'])
        self.assertEqual(self.volume['size'], shown['size'])
        self.assertLess(0, shown['object_count'])
        return shown

    def server_time(self):
        """The service's clock, so that ours does not matter."""
        resp, _ = self.backups.send('GET')
        date = datetime.datetime.strptime(
            resp['date'], '%a, %d %b %Y %H:%M:%S GMT')
        return date.strftime('%Y-%m-%dT%H:%M:%SZ')

    @decorators.idempotent_id('4340bf53-1ec3-4870-9fc7-a2507c227eb4')
    @decorators.attr(type='smoke')
    def test_create_show_delete(self):
        backup = self.create(display_name='backup-001',
                             display_description='Nightly Backup')
        self.assertEqual(CONF.volume_backup.container, backup['container'])
        self.assertIn(CONF.volume_backup.container, self.tenant.containers())
        self.assertTrue(
            self.tenant.objects(CONF.volume_backup.container))

        resp, body = self.backups.send(
            'DELETE', 'hp-volume-backups/' + backup['id'])
        self.assertEqual(202, resp.status)
        self.assertIsNone(body)
        self.tenant.wait_until_backup_is_gone(backup['id'])

        listed = self.backups.list_backups()['backups']
        self.assertNotIn(backup['id'], [b['id'] for b in listed])
        missing = 'Backup %s could not be found.' % backup['id']
        path = 'hp-volume-backups/' + backup['id']
        self.assertFault(self.backups.send('GET', path),
                         404, 'itemNotFound', missing)
        self.assertFault(
            self.backups.send('POST', path + '/restore', {'restore': {}}),
            404, 'itemNotFound', missing)
        self.assertFault(self.backups.send('DELETE', path),
                         404, 'itemNotFound',
                         'The resource could not be found.')
        self.assertRaises(exceptions.NotFound,
                          self.backups.delete_backup, backup['id'])

    @decorators.idempotent_id('a2c4a153-b048-4452-bb26-ae414b3702a8')
    def test_create_makes_the_container(self):
        name = data_utils.rand_name('b\u00e4ckups and more')
        self.assertNotIn(name, self.tenant.containers())
        backup = self.create(container=name)
        self.assertEqual(name, backup['container'])
        self.assertIn(name, self.tenant.containers())

    @decorators.idempotent_id('5e29acc3-8d5a-49f0-83d3-4ca6bbf3a336')
    def test_create_in_a_container_of_the_tenant(self):
        name = data_utils.rand_name('nightlybackups')
        client = self.os_primary.container_client
        client.create_container(name)
        self.os_primary.object_client.create_object(name, 'mine', b'data')
        backup = self.create(container=name)
        self.backups.delete_backup(backup['id'])
        self.tenant.wait_until_backup_is_gone(backup['id'])
        self.assertIn('mine', self.tenant.objects(name))

    @decorators.idempotent_id('cc825f2e-fdad-473d-91ed-cbb8680632dc')
    def test_create_without_name_and_description(self):
        backup = self.create()
        self.assertIsNone(backup['display_name'])
        self.assertIsNone(backup['display_description'])

    @decorators.idempotent_id('063174e7-464f-401e-85ea-9b75f1fbd966')
    def test_create_with_longest_unicode_name_and_description(self):
        name = UNICODE + '\U0001f5c4' * (255 - len(UNICODE))
        self.create(display_name=name, display_description=name[::-1])

    @decorators.idempotent_id('ca8715ac-8f58-4871-9439-d82ffd954932')
    def test_failed_backup(self):
        """Swift refuses the objects: the container may hold one byte."""
        info = self.os_primary.capabilities_client.list_capabilities()
        if 'container_quotas' not in info:
            raise self.skipException('Swift has no container quotas')
        name = data_utils.rand_name('full')
        self.os_primary.container_client.create_container(
            name, **{'X-Container-Meta-Quota-Bytes': '1'})
        backup = self.tenant.create_backup(
            self.volume['id'], wait=False, container=name)
        seen = self.tenant.wait_for_backup(backup['id'], 'error')
        self.assertLessEqual(set(seen), {'creating', 'error'})
        self.tenant.wait_for_volume(self.volume['id'])
        backup = self.tenant.show_backup(backup['id'])
        self.assertDetails(backup)
        self.assertTrue(backup['fail_reason'])
        path = 'hp-volume-backups/' + backup['id']
        self.assertFault(
            self.backups.send('POST', path + '/restore', {'restore': {}}),
            400, 'badRequest',
            'Invalid backup: Backup status must be available')
        self.backups.delete_backup(backup['id'])
        self.tenant.wait_until_backup_is_gone(backup['id'])
