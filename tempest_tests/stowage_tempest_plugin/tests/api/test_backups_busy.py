"""What a backup, a restore or a deletion under way excludes.

Nothing that a tenant can do holds the service in the middle of its work. So
these tests are quick: the second request follows the first at once. Should
the work be done already, that attempt tells nothing, and there is another.
"""

from tempest.lib import decorators

from stowage_tempest_plugin.tests import base

ATTEMPTS = 10
DELETE_FAULT = 'Invalid backup: Backup status must be available or error'
RESTORE_FAULT = 'Invalid backup: Backup status must be available'


class BackupsBusyTest(base.BaseBackupTest):

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.volume = cls.tenant.create_volume()

    def create(self):
        return self.tenant.create_backup(self.volume['id'], wait=False)

    def assertRefused(self, attempt, message):
        """One of the attempts is refused with a 400 and these words."""
        for _ in range(ATTEMPTS):
            answer = attempt()
            if answer[0].status == 400:
                self.assertFault(answer, 400, 'badRequest', message)
                return
            self.assertIn(answer[0].status, (200, 202), answer[1])
        self.fail('accepted %d times' % ATTEMPTS)

    @decorators.idempotent_id('5fb6d6fe-4e78-417d-9bb1-8838a38c2f6e')
    @decorators.attr(type=['negative'])
    def test_delete_while_creating(self):
        def attempt():
            backup = self.create()
            answer = self.backups.send(
                'DELETE', 'hp-volume-backups/' + backup['id'])
            if answer[0].status == 202:
                self.tenant.wait_until_backup_is_gone(backup['id'])
            else:
                self.tenant.wait_for_backup(backup['id'])
            self.tenant.wait_for_volume(self.volume['id'])
            return answer
        self.assertRefused(attempt, DELETE_FAULT)

    @decorators.idempotent_id('f78b91c0-bd52-40a8-aa2d-616de7498dd2')
    @decorators.attr(type=['negative'])
    def test_restore_while_creating(self):
        def attempt():
            backup = self.create()
            answer = self.backups.send(
                'POST', 'hp-volume-backups/%s/restore' % backup['id'],
                {'restore': {}})
            if answer[0].status == 200:
                volume = answer[1]['restore']['volume_id']
                self.tenant.own_volume(volume)
                self.tenant.wait_for_volume(volume)
            self.tenant.wait_for_backup(backup['id'])
            self.tenant.wait_for_volume(self.volume['id'])
            return answer
        self.assertRefused(attempt, RESTORE_FAULT)

    @decorators.idempotent_id('eff0f2d1-42e0-4991-80c3-2cedf12dc7f8')
    @decorators.attr(type=['negative'])
    def test_create_while_creating(self):
        def attempt():
            self.create()
            answer = self.backups.send('POST', body={
                'backup': {'volume_id': self.volume['id']}})
            if answer[0].status == 200:
                self.tenant.own_backup(answer[1]['backup']['id'])
            self.tenant.wait_for_volume(self.volume['id'])
            return answer
        self.assertRefused(
            attempt,
            'Invalid volume: Volume to be backed up must be available')

    @decorators.idempotent_id('95c17340-edad-4808-a6db-b78c78b5859c')
    @decorators.attr(type=['negative'])
    def test_delete_while_restoring(self):
        target = self.tenant.create_volume()
        kept = []

        def attempt():
            if not kept:
                kept.append(self.tenant.create_backup(self.volume['id']))
            backup = kept[0]
            self.backups.restore_backup(backup['id'], volume_id=target['id'])
            answer = self.backups.send(
                'DELETE', 'hp-volume-backups/' + backup['id'])
            self.tenant.wait_for_volume(target['id'])
            if answer[0].status == 202:
                self.tenant.wait_until_backup_is_gone(backup['id'])
                kept.clear()
            else:
                self.tenant.wait_for_backup(backup['id'])
            return answer
        self.assertRefused(attempt, DELETE_FAULT)

    @decorators.idempotent_id('4c1cd13f-792c-4a83-a7b8-5798e426832d')
    @decorators.attr(type=['negative'])
    def test_restore_twice_at_a_time(self):
        backup = self.tenant.create_backup(self.volume['id'])
        targets = [self.tenant.create_volume() for _ in range(2)]

        def attempt():
            self.backups.restore_backup(
                backup['id'], volume_id=targets[0]['id'])
            answer = self.backups.send(
                'POST', 'hp-volume-backups/%s/restore' % backup['id'],
                {'restore': {'volume_id': targets[1]['id']}})
            for target in targets:
                self.tenant.wait_for_volume(target['id'])
            self.tenant.wait_for_backup(backup['id'])
            return answer
        self.assertRefused(attempt, RESTORE_FAULT)
