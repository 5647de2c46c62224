"""Restore to a new volume and to an existing one."""

import uuid

from tempest.lib import decorators

from stowage_tempest_plugin.tests import base

CONF = base.CONF

FORMAT = 'Incorrect request body format.'


class RestoreTest(base.BaseBackupTest):

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.metadata = {'department': 'B\u00fcro', 'tier': 'gold'}
        cls.small = CONF.volume_backup.volume_size
        cls.volume = cls.tenant.create_volume(
            size=cls.small + 1, metadata=cls.metadata)
        cls.backup = cls.tenant.create_backup(cls.volume['id'])
        cls.path = 'hp-volume-backups/%s/restore' % cls.backup['id']

    def restore(self, **kwargs):
        """Restores, checks the answer, follows the states to their end."""
        answer = self.backups.restore_backup(self.backup['id'], **kwargs)
        self.assertEqual({'restore'}, set(answer))
        self.assertEqual({'backup_id', 'volume_id'}, set(answer['restore']))
        self.assertEqual(self.backup['id'], answer['restore']['backup_id'])
        target = answer['restore']['volume_id']
        if not kwargs.get('volume_id'):
            self.tenant.own_volume(target)
        volume = self.tenant.wait_for_volume(target)
        self.assertLessEqual(set(volume), {'restoring-backup', 'available'})
        backup = self.tenant.wait_for_backup(self.backup['id'])
        self.assertLessEqual(set(backup), {'restoring', 'available'})
        self.assertEqual(self.backup['object_count'],
                         self.tenant.show_backup(
                             self.backup['id'])['object_count'])
        return self.tenant.show_volume(target)

    def assertMetadata(self, volume):
        """The tenant's metadata is back. A key of Cinder's own restores, which
        tells where the data are from, may be there besides.
        """
        found = dict(volume['metadata'])
        found.pop('src_backup_id', None)
        self.assertEqual(self.metadata, found)

    def assertUnchanged(self):
        self.assertEqual('available', self.tenant.show_backup(
            self.backup['id'])['status'])

    @decorators.idempotent_id('907c8341-ac2e-4193-8b96-522fda25271c')
    @decorators.attr(type='smoke')
    def test_restore_to_a_new_volume(self):
        volume = self.restore()
        self.assertNotEqual(self.volume['id'], volume['id'])
        self.assertEqual(self.volume['size'], volume['size'])
        self.assertEqual(self.volume['volume_type'], volume['volume_type'])
        self.assertEqual(self.volume['availability_zone'],
                         volume['availability_zone'])
        self.assertMetadata(volume)
        self.assertEqual([], volume['attachments'])

    @decorators.idempotent_id('7016ae3a-d78f-45fc-9665-4db6d2044be5')
    def test_restore_to_a_new_volume_with_null(self):
        volume = self.restore(volume_id=None)
        self.assertNotEqual(self.volume['id'], volume['id'])

    @decorators.idempotent_id('5412f30d-ea69-43a8-960e-14c634ec202d')
    def test_restore_to_an_existing_volume(self):
        target = self.tenant.create_volume(size=self.volume['size'])
        volume = self.restore(volume_id=target['id'])
        for key in 'id', 'name', 'size', 'volume_type', 'created_at':
            self.assertEqual(target[key], volume[key])
        self.assertEqual([], volume['attachments'])

    @decorators.idempotent_id('60049b6e-7d35-430a-87c7-fa5f5c675e58')
    def test_restore_to_its_own_volume(self):
        volume = self.restore(volume_id=self.volume['id'])
        self.assertMetadata(volume)

    @decorators.idempotent_id('05af1fc8-41b2-400c-9d9f-32053d9fb8ac')
    def test_restore_to_a_larger_volume(self):
        target = self.tenant.create_volume(size=self.volume['size'] + 1)
        volume = self.restore(volume_id=target['id'])
        self.assertEqual(target['size'], volume['size'])

    @decorators.idempotent_id('5797e2ca-a1eb-43a5-b2d7-f3fd79a0a221')
    @decorators.attr(type=['negative'])
    def test_restore_body_of_wrong_format(self):
        for body in (
                '', '{', '{"restore": {}} x', 'null', '[]', {},
                {'restore': None}, {'restore': []}, {'restore': 'new'},
                {'volume_id': self.volume['id']},
                {'restore': {'volume_id': ''}},
                {'restore': {'volume_id': 'nine'}},
                {'restore': {'volume_id': True}},
                {'restore': {'volume_id': [self.volume['id']]}},
                {'restore': {'name': 'new'}},
                {'restore': {}, 'backup': {}}):
            self.assertFault(self.backups.send('POST', self.path, body),
                             400, 'badRequest', FORMAT)
        self.assertUnchanged()

    @decorators.idempotent_id('46d26335-73b3-4959-8edc-8826895398f2')
    @decorators.attr(type=['negative'])
    def test_restore_to_no_volume(self):
        for volume in str(uuid.uuid4()), '9', 9:
            self.assertFault(
                self.backups.send('POST', self.path,
                                  {'restore': {'volume_id': volume}}),
                404, 'itemNotFound',
                'Volume %s could not be found.' % volume)
        self.assertUnchanged()

    @decorators.idempotent_id('13ec0ac7-573a-44a3-9edd-b9ab61f9a219')
    @decorators.attr(type=['negative'])
    def test_restore_to_a_volume_that_is_not_available(self):
        target = self.tenant.create_volume(size=self.volume['size'])
        self.tenant.volumes.reserve_volume(target['id'])
        self.assertFault(
            self.backups.send('POST', self.path,
                              {'restore': {'volume_id': target['id']}}),
            400, 'badRequest',
            'Invalid volume: Volume to be restored to must be available')
        self.assertUnchanged()
        self.tenant.volumes.unreserve_volume(target['id'])
        self.restore(volume_id=target['id'])

    @decorators.idempotent_id('19c143af-ad60-45d8-93c8-50b67a22a7c9')
    @decorators.attr(type=['negative'])
    def test_restore_to_a_smaller_volume(self):
        target = self.tenant.create_volume(size=self.small)
        self.assertFault(
            self.backups.send('POST', self.path,
                              {'restore': {'volume_id': target['id']}}),
            400, 'badRequest',
            'Invalid volume: Volume to be restored to is smaller than the '
            'backup to be restored')
        self.assertUnchanged()
        self.assertEqual('available',
                         self.tenant.show_volume(target['id'])['status'])


class RestoreQuotaTest(base.BaseBackupTest):
    """A restore to a new volume counts against the tenant's quota."""

    credentials = ['primary', 'admin']

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.volume = cls.tenant.create_volume()
        cls.backup = cls.tenant.create_backup(cls.volume['id'])

    def refused(self, **quota):
        quotas = self.os_admin.volume_quotas_client_latest
        project = self.tenant.project_id
        quotas.update_quota_set(project, **quota)
        self.addCleanup(quotas.delete_quota_set, project)
        self.assertFault(
            self.backups.send(
                'POST', 'hp-volume-backups/%s/restore' % self.backup['id'],
                {'restore': {}}),
            400, 'badRequest',
            'Volume quota exceeded. You cannot create a volume of size %dG'
            % self.volume['size'])
        self.tenant.wait_for_backup(self.backup['id'])
        listed = self.tenant.volumes.list_volumes()['volumes']
        self.assertEqual([self.volume['id']], [v['id'] for v in listed])

    @decorators.idempotent_id('c21afd7d-3fa4-414b-a1e9-bac368ffc2bf')
    @decorators.attr(type=['negative'])
    def test_restore_over_the_quota_of_volumes(self):
        self.refused(volumes=1)

    @decorators.idempotent_id('594dfacd-2de0-43a9-9367-4b56a5d16df2')
    @decorators.attr(type=['negative'])
    def test_restore_over_the_quota_of_gigabytes(self):
        self.refused(gigabytes=self.volume['size'])
