"""Requests that are refused, and the words for it."""

import uuid

from tempest.lib import decorators

from stowage_tempest_plugin.tests import base

CONF = base.CONF

FORMAT = 'Incorrect request body format.'
NO_BACKUPS = ('999999999', '0', '-1', '01', '1.0', '0x1', 'none',
              '99999999999999999999', str(uuid.uuid4()))


class BackupsNegativeTest(base.BaseBackupTest):
    """None of these needs a backup, and only the last one a volume."""

    def create_with(self, **backup):
        return self.backups.send('POST', body={'backup': backup})

    @decorators.idempotent_id('b1446f85-07db-41dd-a471-ff127c2963a2')
    @decorators.attr(type=['negative'])
    def test_create_body_of_wrong_format(self):
        volume = str(uuid.uuid4())
        for body in (
                '', 'backup', '{', '{"backup": {"volume_id": "9",}}',
                '{"backup": {"volume_id": "9"}} {}', 'null', '[]', '"9"',
                b'{"backup": {"volume_id": "9", "display_name": "\xff"}}',
                {}, {'volume_id': volume}, {'backup': None},
                {'backup': []}, {'backup': volume}, {'backup': {}},
                {'backup': {'display_name': 'no volume'}},
                {'backup': {'volume_id': volume}, 'more': 1},
                {'backup': {'volume_id': volume, 'force': True}}):
            self.assertFault(self.backups.send('POST', body=body),
                             400, 'badRequest', FORMAT)

    @decorators.idempotent_id('e1a02a88-28f8-492f-9560-9e553352b509')
    @decorators.attr(type=['negative'])
    def test_create_fields_of_wrong_type(self):
        volume = str(uuid.uuid4())
        for value in (None, '', 'nine', 1.5, -9, True, [], {}, [volume],
                      volume[:-1], volume + '/'):
            self.assertFault(self.create_with(volume_id=value),
                             400, 'badRequest', FORMAT)
        for key in 'display_name', 'display_description', 'container':
            for value in 1, True, [], {}, ['name']:
                self.assertFault(
                    self.create_with(volume_id=volume, **{key: value}),
                    400, 'badRequest', FORMAT)

    @decorators.idempotent_id('f0c642d1-1f8b-495b-99c9-1c5e2af07ecc')
    @decorators.attr(type=['negative'])
    def test_create_too_long(self):
        volume = str(uuid.uuid4())
        for key in 'display_name', 'display_description':
            for letter in 'n', '\u00fc', '\U0001f5c4':
                self.assertFault(
                    self.create_with(volume_id=volume, **{key: letter * 256}),
                    400, 'badRequest')

    @decorators.idempotent_id('cdd40ddd-a4ce-4a69-9ae8-e558ec56e9b5')
    @decorators.attr(type=['negative'])
    def test_create_container_of_bad_name(self):
        volume = str(uuid.uuid4())
        for name in ('', 'a/b', '/', '..', '.', 'n' * 257, '\u00fc' * 129,
                     'n\0'):
            self.assertFault(
                self.create_with(volume_id=volume, container=name),
                400, 'badRequest')

    @decorators.idempotent_id('ce5cf8c9-34d0-44bb-a977-8e6b25ce7629')
    @decorators.attr(type=['negative'])
    def test_create_of_no_volume(self):
        for volume in str(uuid.uuid4()), '9', 9:
            self.assertFault(
                self.create_with(volume_id=volume), 404, 'itemNotFound',
                'Volume %s could not be found.' % volume)

    @decorators.idempotent_id('c8acd371-cf40-4893-994c-77956e224618')
    @decorators.attr(type=['negative'])
    def test_show_restore_and_delete_of_no_backup(self):
        for backup in NO_BACKUPS:
            path = 'hp-volume-backups/' + backup
            missing = 'Backup %s could not be found.' % backup
            self.assertFault(self.backups.send('GET', path),
                             404, 'itemNotFound', missing)
            self.assertFault(
                self.backups.send('POST', path + '/restore', {'restore': {}}),
                404, 'itemNotFound', missing)
            self.assertFault(self.backups.send('DELETE', path),
                             404, 'itemNotFound',
                             'The resource could not be found.')

    @decorators.idempotent_id('4d78389f-497a-4aa8-9cf7-9632ecb70bfc')
    @decorators.attr(type=['negative'])
    def test_method_not_allowed(self):
        for path, methods in (
                ('hp-volume-backups', ('PUT', 'PATCH', 'DELETE')),
                ('hp-volume-backups/detail', ('POST', 'PUT')),
                ('hp-volume-backups/1', ('POST', 'PUT', 'PATCH')),
                ('hp-volume-backups/1/restore', ('GET', 'PUT', 'DELETE'))):
            for method in methods:
                self.assertFault(self.backups.send(method, path),
                                 405, 'badMethod')

    @decorators.idempotent_id('a6de9d70-20c3-4560-95a0-5168d648ad98')
    @decorators.attr(type=['negative'])
    def test_no_such_path(self):
        for path in ('hp-volume-backup', 'hp-volume-backups/1/more',
                     'hp-volume-backups/1/restore/1'):
            self.assertFault(self.backups.send('GET', path),
                             404, 'itemNotFound')

    @decorators.idempotent_id('76b2984f-e656-474f-89f0-b3d761e3d8ab')
    @decorators.attr(type=['negative'])
    def test_xml_is_not_supported(self):
        for kind in 'application/xml', 'text/xml; charset=utf-8':
            for path in ('hp-volume-backups',
                         'hp-volume-backups/999999999/restore'):
                self.assertFault(
                    self.backups.send('POST', path, '<backup/>',
                                      headers={'Content-Type': kind}),
                    415, 'badMediaType')

    @decorators.idempotent_id('b2f69a75-2df4-4247-860b-9370684bf87f')
    @decorators.attr(type=['negative'])
    def test_body_too_large(self):
        most = CONF.volume_backup.max_request_body_size
        answer = self.backups.send('POST', body=' ' * (most + 1))
        self.assertFault(answer, 413, 'overLimit')
        self.assertIn('retry-after', answer[0])
        answer = self.backups.send('POST', body=[b' ' * (most + 1)],
                                   chunked=True)
        self.assertFault(answer, 413, 'overLimit')
        self.assertFault(self.backups.send('POST', body=' ' * most),
                         400, 'badRequest', FORMAT)

    @decorators.idempotent_id('5d67fe92-3be0-4996-95e7-22a9c9d8febe')
    @decorators.attr(type=['negative'])
    def test_without_a_good_token(self):
        for token in '', 'no-such-token':
            for method, path in (
                    ('GET', 'hp-volume-backups'),
                    ('GET', 'hp-volume-backups/detail'),
                    ('GET', 'hp-volume-backups/1'),
                    ('POST', 'hp-volume-backups'),
                    ('DELETE', 'hp-volume-backups/1'),
                    ('POST', 'hp-volume-backups/1/restore')):
                resp, body = self.backups.send(method, path, token=token)
                self.assertEqual(401, resp.status, body)
                self.assertRegex(resp['www-authenticate'],
                                 r'^Keystone uri="https?://[^"]+"$')
                self.assertEqual(
                    {'error': {
                        'code': 401, 'title': 'Unauthorized',
                        'message': 'The request you have made requires '
                                   'authentication.'}}, body)

    @decorators.idempotent_id('6e942b66-5ecf-4fdf-9ef3-29060a588a99')
    @decorators.attr(type=['negative'])
    def test_forged_identity(self):
        """What a middleware would say counts for nothing from a client."""
        forged = {
            'X-Identity-Status': 'Confirmed', 'X-Roles': 'admin',
            'X-Project-Id': self.tenant.project_id, 'X-User-Id': 'somebody'}
        resp, _ = self.backups.send('GET', token='', headers=forged)
        self.assertEqual(401, resp.status)
        answer = self.backups.send('GET', headers={
            'X-Roles': 'reader', 'X-Project-Id': uuid.uuid4().hex})
        self.assertEqual(200, answer[0].status)

    @decorators.idempotent_id('56871c3a-92db-4fb3-a900-110147fb7296')
    @decorators.attr(type=['negative'])
    def test_path_of_another_project(self):
        own = '/' + self.tenant.project_id
        self.assertTrue(self.backups.base_url.endswith(own))
        other = self.backups.base_url[:-len(own)] + '/' + uuid.uuid4().hex
        for method, path in (
                ('GET', '/hp-volume-backups'),
                ('GET', '/hp-volume-backups/detail'),
                ('GET', '/hp-volume-backups/1'),
                ('POST', '/hp-volume-backups'),
                ('DELETE', '/hp-volume-backups/1'),
                ('POST', '/hp-volume-backups/1/restore')):
            self.assertFault(self.backups.send(method, url=other + path),
                             400, 'badRequest', 'Malformed request url')

    @decorators.idempotent_id('9dcf5122-9046-4c60-82d1-dcb2b19c32b3')
    @decorators.attr(type=['negative'])
    def test_create_of_a_volume_that_is_not_available(self):
        volume = self.tenant.create_volume()
        self.tenant.volumes.reserve_volume(volume['id'])
        self.assertFault(
            self.create_with(volume_id=volume['id']), 400, 'badRequest',
            'Invalid volume: Volume to be backed up must be available')
        self.assertEqual([], self.backups.list_backups()['backups'])
        self.tenant.volumes.unreserve_volume(volume['id'])
        self.tenant.create_backup(volume['id'])
