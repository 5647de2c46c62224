"""What one tenant has is nothing to another."""

from tempest.lib import decorators

from stowage_tempest_plugin.tests import base


class IsolationTest(base.BaseBackupTest):

    credentials = ['primary', 'alt']

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.other = base.Tenant(cls, cls.os_alt)
        cls.volume = cls.tenant.create_volume()
        cls.backup = cls.tenant.create_backup(cls.volume['id'])
        cls.path = 'hp-volume-backups/' + cls.backup['id']
        cls.missing = 'Backup %s could not be found.' % cls.backup['id']

    @decorators.idempotent_id('9071d793-0791-4de9-aaf2-1d0aadc0b550')
    @decorators.attr(type=['negative'])
    def test_lists_are_the_projects_own(self):
        for query in {}, {'all_tenants': '1'}, {
                'project_id': self.tenant.project_id}:
            for detail in False, True:
                listed = self.other.backups.list_backups(
                    detail=detail, **query)['backups']
                self.assertEqual([], listed)

    @decorators.idempotent_id('4050a4ff-6ca9-46f0-9898-66d42e5559a7')
    @decorators.attr(type=['negative'])
    def test_show(self):
        for query in '', '?all_tenants=1', (
                '?project_id=' + self.tenant.project_id):
            self.assertFault(self.other.backups.send('GET',
                                                     self.path + query),
                             404, 'itemNotFound', self.missing)

    @decorators.idempotent_id('3739cfd6-7175-47c5-8c9a-99f5faba578c')
    @decorators.attr(type=['negative'])
    def test_delete(self):
        for query in '', '?all_tenants=1':
            self.assertFault(
                self.other.backups.send('DELETE', self.path + query),
                404, 'itemNotFound', 'The resource could not be found.')
        self.assertEqual(self.backup,
                         self.tenant.show_backup(self.backup['id']))

    @decorators.idempotent_id('176837b0-b764-4ec5-bab4-e58705946eda')
    @decorators.attr(type=['negative'])
    def test_restore(self):
        for query in '', '?all_tenants=1':
            self.assertFault(
                self.other.backups.send(
                    'POST', self.path + '/restore' + query, {'restore': {}}),
                404, 'itemNotFound', self.missing)
        self.assertEqual([], self.other.volumes.list_volumes()['volumes'])
        self.assertEqual(self.backup,
                         self.tenant.show_backup(self.backup['id']))

    @decorators.idempotent_id('9769d11c-d07e-4cb3-aa3c-c0d740baaae6')
    @decorators.attr(type=['negative'])
    def test_back_up_anothers_volume(self):
        self.assertFault(
            self.other.backups.send('POST', body={
                'backup': {'volume_id': self.volume['id']}}),
            404, 'itemNotFound',
            'Volume %s could not be found.' % self.volume['id'])
        self.assertEqual('available', self.tenant.show_volume(
            self.volume['id'])['status'])
        self.assertEqual([], self.other.containers())

    @decorators.idempotent_id('ebfbfb84-4b95-4075-ad48-827a74bb3657')
    @decorators.attr(type=['negative'])
    def test_restore_to_anothers_volume(self):
        volume = self.other.create_volume()
        self.assertFault(
            self.backups.send('POST', self.path + '/restore', {
                'restore': {'volume_id': volume['id']}}),
            404, 'itemNotFound',
            'Volume %s could not be found.' % volume['id'])
        self.assertEqual('available', self.other.show_volume(
            volume['id'])['status'])

    @decorators.idempotent_id('30ceb297-1bc5-4bf6-ac6c-5c0b6d7c944a')
    @decorators.attr(type=['negative'])
    def test_anothers_path(self):
        self.assertFault(
            self.other.backups.send(
                'GET', url='%s/hp-volume-backups' % self.backups.base_url),
            400, 'badRequest', 'Malformed request url')
