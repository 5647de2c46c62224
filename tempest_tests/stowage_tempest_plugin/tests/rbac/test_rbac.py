"""Which role may do what: the personas of Secure RBAC."""

from tempest import clients
from tempest.lib import auth
from tempest.lib import decorators

from stowage_tempest_plugin.tests import base

CONF = base.CONF


class RbacTest(base.BaseBackupTest):

    credentials = ['project_reader', 'project_member', 'project_admin',
                   'project_alt_member', 'admin']

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.member = base.Tenant(cls, cls.os_project_member)
        cls.other = base.Tenant(cls, cls.os_project_alt_member)
        cls.reader = cls.in_members_project(
            cls.os_project_reader, 'reader').volume_backup.BackupsClient()
        cls.admin = cls.os_project_admin.volume_backup.BackupsClient()
        cls.volume = cls.member.create_volume()
        cls.backup = cls.member.create_backup(cls.volume['id'])
        cls.others_volume = cls.other.create_volume()
        cls.others_backup = cls.other.create_backup(cls.others_volume['id'])
        cls.path = 'hp-volume-backups/' + cls.backup['id']

    @classmethod
    def in_members_project(cls, manager, role):
        """The user as one of the member's project, with that role there.

        Newer releases of Tempest make all of them in one project.
        """
        project = cls.member.project_id
        have = manager.credentials
        if have.project_id == project:
            return manager
        roles = cls.os_admin.roles_v3_client
        role_id = [r['id'] for r in roles.list_roles()['roles']
                   if r['name'] == role][0]
        roles.create_user_role_on_project(project, have.user_id, role_id)
        return clients.Manager(auth.get_credentials(
            CONF.identity.uri_v3, fill_in=True, identity_version='v3',
            user_id=have.user_id, password=have.password,
            project_id=project))

    def ids(self, client, **params):
        listed = client.list_backups(**params)['backups']
        return [backup['id'] for backup in listed]

    def assertForbidden(self, answer):
        self.assertFault(answer, 403, 'forbidden')

    @decorators.idempotent_id('121d6ecb-a49b-496a-972d-8b395a419eb3')
    def test_reader_looks(self):
        mine = [self.backup['id']]
        self.assertEqual(mine, self.ids(self.reader))
        self.assertEqual(mine, self.ids(self.reader, detail=True))
        self.assertEqual(self.backup, self.reader.show_backup(
            self.backup['id'])['backup'])

    @decorators.idempotent_id('cda31515-85c8-4999-813d-b6caf61439e6')
    @decorators.attr(type=['negative'])
    def test_reader_changes_nothing(self):
        self.assertForbidden(self.reader.send('POST', body={
            'backup': {'volume_id': self.volume['id']}}))
        self.assertForbidden(self.reader.send('DELETE', self.path))
        self.assertForbidden(self.reader.send(
            'POST', self.path + '/restore', {'restore': {}}))
        self.assertForbidden(self.reader.send(
            'POST', self.path + '/restore',
            {'restore': {'volume_id': self.volume['id']}}))
        self.assertEqual([self.backup['id']], self.ids(self.member.backups))
        self.assertEqual(self.backup,
                         self.member.show_backup(self.backup['id']))
        self.assertEqual('available', self.member.show_volume(
            self.volume['id'])['status'])

    @decorators.idempotent_id('3784c684-c386-4bc2-81be-ffc61db4b653')
    def test_member_does_everything_in_his_project(self):
        volume = self.member.create_volume()
        backup = self.member.create_backup(volume['id'])
        answer = self.member.backups.restore_backup(
            backup['id'], volume_id=volume['id'])
        self.assertEqual(volume['id'], answer['restore']['volume_id'])
        self.member.wait_for_volume(volume['id'])
        self.member.wait_for_backup(backup['id'])
        self.member.backups.delete_backup(backup['id'])
        self.member.wait_until_backup_is_gone(backup['id'])

    @decorators.idempotent_id('88db94e2-6135-4b38-ba85-42072e038d8f')
    def test_all_tenants_is_ignored_for_reader_and_member(self):
        for client in self.reader, self.member.backups:
            for query in {'all_tenants': '1'}, {'all_tenants': 'True'}, {
                    'project_id': self.other.project_id}:
                self.assertEqual([self.backup['id']],
                                 self.ids(client, **query))
                self.assertEqual([self.backup['id']],
                                 self.ids(client, detail=True, **query))

    @decorators.idempotent_id('f2127d9b-db56-464d-99d8-dbd33ae8a24d')
    def test_admin_sees_all_projects_if_he_asks(self):
        both = {self.backup['id'], self.others_backup['id']}
        for detail in False, True:
            seen = set(self.ids(self.admin, detail=detail, all_tenants='1'))
            self.assertLessEqual(both, seen)
            self.assertFalse(both & set(self.ids(
                self.admin, detail=detail, all_tenants='0'))
                - self.own_of_admin())
        listed = self.admin.list_backups(
            detail=True, all_tenants='1')['backups']
        projects = {b['id']: b['project_id'] for b in listed}
        self.assertEqual(self.member.project_id,
                         projects[self.backup['id']])
        self.assertEqual(self.other.project_id,
                         projects[self.others_backup['id']])

    def own_of_admin(self):
        """Backups of the admin's project: where Tempest made that the
        member's as well, there are some.
        """
        if self.os_project_admin.credentials.project_id == \
                self.member.project_id:
            return {self.backup['id']}
        return set()

    @decorators.idempotent_id('b2ba9d7f-f376-40c2-91d0-d61b9e52396f')
    def test_admin_asks_for_one_project(self):
        self.assertEqual(
            [self.others_backup['id']],
            self.ids(self.admin, project_id=self.other.project_id))

    @decorators.idempotent_id('e0732e1e-c067-4dac-8de6-fd3cfe22d772')
    def test_admin_shows_a_backup_of_any_project_if_he_asks(self):
        shown = self.admin.show_backup(
            self.others_backup['id'], all_tenants='1')['backup']
        self.assertEqual(self.other.project_id, shown['project_id'])
        self.assertFault(
            self.admin.send(
                'GET', 'hp-volume-backups/' + self.others_backup['id']),
            404, 'itemNotFound',
            'Backup %s could not be found.' % self.others_backup['id'])
